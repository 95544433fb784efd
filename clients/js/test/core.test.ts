/** Ids and canonical variables, against what the server says. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { canonicalVariables, conflictOf, documentId, retryOnConflict } from "freshql-client";
import { type OperationDefinitionNode, parse } from "graphql";
import { program, serve, type Server } from "./server.js";

const ANYTHING = `query Anything($id: ID = "1", $where: ProductWhere, $orderBy: [ProductOrderBy!], $first: Int = 3, $merchants: MerchantWhere, $yes: Boolean! = true) {
  product(id: $id) @include(if: $yes) { id }
  products(where: $where, orderBy: $orderBy, first: $first) { totalCount }
  merchants(where: $merchants, first: 1) { totalCount }
}`;
const WEIGHT = "query Weight($weight: Float) { products(where: {weight: {lt: $weight}}) { totalCount } }";

let server: Server;
before(async () => {
  server = await serve("trusted", { Anything: ANYTHING, Weight: WEIGHT });
});

test("a document's id is blake3 of its bytes, for every shape of the hash's tree", () => {
  const directory = mkdtempSync(join(tmpdir(), "freshql-hash-"));
  after(() => rmSync(directory, { recursive: true }));
  assert.equal(documentId(""), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
  const sizes = [0, 1, 3, 63, 64, 65, 127, 128, 1023, 1024, 1025, 2047, 2048, 2049, 3072, 3073, 4096, 5121, 7168, 8193, 31744, 102400];
  const texts = ["{ größe }", "🍵\r\n", ...sizes.map((size) => Array.from({ length: size }, (_, i) => String.fromCharCode(32 + ((i * 7) % 95))).join(""))];
  const files = texts.map((text, i) => {
    const file = join(directory, String(i));
    writeFileSync(file, text);
    return file;
  });
  const lines = execFileSync(program, ["hash", ...files], { encoding: "utf8" }).trim().split("\n");
  assert.deepEqual(
    texts.map(documentId),
    lines.map((line) => line.slice(0, 64)),
  );
});

test("variables are spelled as the server spells them", async () => {
  const asked: [string, Record<string, unknown>][] = [
    [ANYTHING, {}],
    [ANYTHING, { id: 42 }],
    [ANYTHING, { first: null }],
    [ANYTHING, { id: undefined, where: null }],
    [ANYTHING, { where: { stock: { lt: 5 }, sku: { eq: "ä€🍵 \"\\\u0001\b\u007f!'()*~+&=%" } } }],
    [ANYTHING, { where: { sku: { eq: null, in: ["b", "a"] }, and: [{ name: { contains: "x" } }], or: null } }],
    [ANYTHING, { orderBy: { name: "ASC" }, first: 7 }],
    [ANYTHING, { orderBy: [{ price: "DESC" }, { name: "ASC" }], merchants: { city: { eq: "Ghent" } } }],
    ...[0, -0, 5, 0.1, 1e-5, 1e-6, 1.5e-7, 123456.75, 1e15, 1e16, -1e16, 9.2e18, -9.2e18, 1.2345e19, 2 ** 64, 1.5e20, 1e21, 1e300].map((weight): [string, Record<string, unknown>] => [WEIGHT, { weight }]),
  ];
  for (const [text, variables] of asked) {
    const operation = parse(text).definitions[0] as OperationDefinitionNode;
    const canonical = canonicalVariables(variables, operation.variableDefinitions);
    const response = await fetch(`${server.url}/q/${documentId(text)}?${new URLSearchParams({ variables: JSON.stringify(variables) })}`);
    assert.equal(response.status, 200, await response.text());
    const location = response.headers.get("content-location")!;
    assert.equal(decodeURIComponent(location.split("?variables=")[1] ?? "{}"), canonical, JSON.stringify(variables));
  }
});

test("keys are sorted by code points, as bytes of UTF-8 are", () => {
  assert.equal(canonicalVariables({ b: 1, a: { "🍵": 1, "\uffee": 2, "": 3 } }), '{"a":{"":3,"\uffee":2,"🍵":1},"b":1}');
});

test("values that JSON lacks are written as JSON would have them", () => {
  const at = new Date(0);
  assert.equal(canonicalVariables({ at, big: 12345678901234567890n, none: undefined }), '{"at":"1970-01-01T00:00:00.000Z","big":"12345678901234567890"}');
});

test("a refused write is known by its code wherever a client keeps errors", () => {
  const error = { message: "changed", path: ["updateProduct"], extensions: { code: "PRECONDITION_FAILED", expectedEtag: "a", currentEtag: "b", current: { id: "1" } } };
  for (const failure of [{ errors: [error] }, { graphQLErrors: [error] }, { error: { graphQLErrors: [error] } }, { cause: { errors: [error] } }]) {
    assert.deepEqual(conflictOf(failure), { message: "changed", path: ["updateProduct"], expectedEtag: "a", currentEtag: "b", current: { id: "1" } });
  }
  for (const other of [null, undefined, "x", new Error("x"), { errors: [] }, { errors: [{ message: "x" }] }, { data: {} }]) assert.equal(conflictOf(other), null);
});

test("a conflict is resolved with both versions, and again when the row has changed meanwhile", async () => {
  const refused = (currentEtag: string | null, current: object | null) => ({
    errors: [{ message: "changed", extensions: { code: "PRECONDITION_FAILED", expectedEtag: "?", currentEtag, current } }],
  });
  const answers: unknown[] = [refused("2", { stock: 5 }), refused("3", { stock: 6 }), { data: "done" }];
  const sent: unknown[] = [];
  const asked: unknown[] = [];
  const send = async (variables: { patch: { stock: number }; expectedEtag: string }) => {
    sent.push(variables);
    return answers.shift() as { data?: unknown; errors?: unknown };
  };
  const result = await retryOnConflict({ patch: { stock: 1 }, expectedEtag: "1" }, send, ({ current, intent, attempt }) => {
    asked.push([current, intent.patch, attempt]);
    return { ...intent, patch: { stock: intent.patch.stock + 1 } };
  });
  assert.deepEqual(result, { data: "done" });
  assert.deepEqual(sent, [
    { patch: { stock: 1 }, expectedEtag: "1" },
    { patch: { stock: 2 }, expectedEtag: "2" },
    { patch: { stock: 3 }, expectedEtag: "3" },
  ]);
  assert.deepEqual(asked, [
    [{ stock: 5 }, { stock: 1 }, 1],
    [{ stock: 6 }, { stock: 2 }, 2],
  ]);

  // Nobody is asked about a row that is gone; whoever gives up gets the failure; and it ends.
  const never = () => assert.fail("asked about a row that is gone");
  const thrown = refused(null, null);
  await assert.rejects(retryOnConflict({}, () => Promise.reject(thrown), never), (error) => error === thrown);
  const first = refused("2", {});
  assert.equal(await retryOnConflict({}, async () => first, () => null), first);
  let calls = 0;
  await retryOnConflict({}, async () => (calls++, first), ({ intent }) => intent, { attempts: 3 });
  assert.equal(calls, 4);
});
