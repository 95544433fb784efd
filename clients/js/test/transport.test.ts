/** How operations travel, seen on the wire of real servers in each mode, and of stubs for what these seldom do. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { documentId, type Manifest } from "freshql-client";
import { createClient, HttpError, OperationError } from "freshql-client/fetch";
import { recording, serve, type Server } from "./server.js";

const LIST = "query Names($first: Int = 2, $where: ProductWhere) { products(first: $first, where: $where) { nodes { id etag name } } }";
const UPDATE = `mutation Rename($id: ID!, $patch: ProductPatch!, $expectedEtag: String) {
  updateProduct(id: $id, patch: $patch, expectedEtag: $expectedEtag) { id etag name }
}`;
const TWO = "query A { products(first: 1) { totalCount } }\nquery B { merchants(first: 1) { totalCount } }";
const NEW = "query New { products(first: 1) { totalCount } }";

type List = { products: { nodes: { id: string; etag: string; name: string }[] } };

let trusted: Server;
let open: Server;
before(async () => {
  [trusted, open] = await Promise.all([serve("trusted", { LIST, UPDATE, TWO }), serve("open", { LIST, UPDATE })]);
});

test("a query is a GET at its canonical URL without any header that costs a preflight", async () => {
  const { fetch, requests } = recording();
  const client = createClient({ url: `${trusted.url}/`, fetch });
  const { data, etag } = await client.query<List, { first: number }>(LIST, { first: 1 });
  assert.equal(data.products.nodes.length, 1);
  assert.match(etag!, /^[\w-]{22}$/);
  const [{ method, url, headers }] = requests as [(typeof requests)[0]];
  assert.equal(method, "GET");
  assert.equal(url.pathname + url.search, `/q/${documentId(LIST)}?variables=%7B%22first%22%3A1%7D`);
  assert.deepEqual([...headers.keys()], ["accept"]);
  assert.ok(headers.get("accept")!.length < 128);
});

test("an answer that has not changed is a 304, and the same object as before", async () => {
  const { fetch, requests } = recording();
  const client = createClient({ url: trusted.url, fetch });
  const first = await client.query(LIST, { first: 3 });
  assert.equal(await client.query(LIST, { first: 3 }), first);
  assert.deepEqual(
    requests.map(({ status }) => status),
    [200, 304],
  );
  assert.equal(requests[1]!.headers.get("if-none-match"), `"${first.etag}"`);
  // In a browser it is its cache that revalidates, and gives a 200.
  const inBrowser = createClient({ url: trusted.url, fetch, conditional: false });
  const seen = await inBrowser.query(LIST, { first: 3 });
  assert.equal(await inBrowser.query(LIST, { first: 3 }), seen);
  assert.equal(requests.at(-1)!.headers.has("if-none-match"), false);
});

test("a mutation is a POST, and so is a query that is too long for a URL", async () => {
  const { fetch, requests } = recording();
  const client = createClient({ url: trusted.url, fetch });
  const { products } = await client.data<List, {}>(LIST);
  const { id, etag, name } = products.nodes[0]!;
  const renamed = await client.mutate<{ updateProduct: { etag: string } }, object & Record<string, unknown>>(UPDATE, { id, patch: { name: `${name}!` }, expectedEtag: etag });
  assert.notEqual(renamed.updateProduct.etag, etag);
  await client.query(LIST, { where: { name: { in: Array.from({ length: 400 }, (_, i) => `product ${i}`) } } });
  assert.deepEqual(
    requests.map(({ method, url }) => `${method} ${url.pathname.slice(0, 6)}${url.search}`),
    [`GET /q/${documentId(LIST).slice(0, 3)}`, `POST /q/${documentId(UPDATE).slice(0, 3)}`, `POST /q/${documentId(LIST).slice(0, 3)}`],
  );
  const error = await client.mutate(UPDATE, { id, patch: { name: "x" }, expectedEtag: etag }).catch((error: unknown) => error);
  assert.ok(error instanceof OperationError);
  assert.deepEqual([error.status, error.code], [412, "PRECONDITION_FAILED"]);
});

test("a manifest tells ids by names; ids and operations may also be given", async () => {
  const { fetch, requests } = recording();
  const operations = [{ id: `sha256:${"0".repeat(64)}`, name: "Other", type: "query", body: "" }, { id: documentId(LIST), name: "Names", type: "query", body: LIST }];
  const another = "query Names { products(first: 2) { nodes { id } } }";
  const manifests: Manifest[] = [{ format: "apollo-persisted-query-manifest", version: 1, operations }, { Names: documentId(LIST) }];
  for (const manifest of manifests) {
    const { data } = await createClient({ url: trusted.url, manifest, fetch }).query<List, {}>(another);
    assert.ok(data.products.nodes[0]!.etag);
  }
  const client = createClient({ url: trusted.url, fetch });
  await client.query({ id: documentId(TWO), operationName: "B" });
  assert.equal(requests.at(-1)!.url.pathname, `/q/${documentId(TWO)}/B`);
  assert.equal(client.url({ id: `sha256:${"0".repeat(64)}` }), `${trusted.url}/q/sha256:${"0".repeat(64)}`);
  await assert.rejects(client.query({ id: "none" }), /operation without a name: no document has the id none; register it/);
});

test("where the server learns documents, a new one is registered once and read by GET from then on", async () => {
  const apq = await serve("apq");
  for (const server of [open, apq]) {
    const { fetch, requests } = recording();
    const client = createClient({ url: server.url, fetch });
    const first = await client.query(NEW);
    assert.equal(await client.query(NEW), first);
    assert.deepEqual(
      requests.map(({ method, url, status }) => [method, url.pathname.slice(0, 3), status]),
      [
        ["GET", "/q/", 404],
        ["POST", "/gr", 200],
        ["GET", "/gr", 304],
      ],
    );
  }
  const { fetch: long, requests: asked } = recording();
  const longer = createClient({ url: open.url, fetch: long, maxUrlLength: 150 });
  for (let i = 0; i < 2; i++) await longer.query("query Longer { products(first: 1) { totalCount } }");
  assert.deepEqual(asked.map(({ method }) => method), ["GET", "POST", "POST"]);

  // It forgets, for instance when it starts anew: then it learns again.
  const { fetch, requests } = recording();
  let url = apq.url;
  const client = createClient({ fetch: (input, init) => fetch(String(input).replace(apq.url, url), init), url: apq.url, conditional: false });
  await client.query(NEW);
  url = (await serve("apq")).url;
  await client.query(NEW);
  assert.deepEqual(
    requests.map(({ method }) => method),
    ["GET", "POST", "GET", "POST"],
  );
});

test("in mode trusted, an operation that is not registered is a clear error, and no text is sent twice", async () => {
  const { fetch, requests } = recording();
  const client = createClient({ url: trusted.url, fetch });
  await assert.rejects(client.query(NEW), new RegExp(`operation New: no document has the id ${documentId(NEW)}; register it`));
  await assert.rejects(client.query(NEW), OperationError);
  assert.equal(requests.filter(({ method }) => method === "POST").length, 1);
  const old = "query Names { products(first: 1) { totalCount } }";
  await assert.rejects(client.query(old), new RegExp(`the server has an operation of this name with the id ${documentId(LIST)}: this client was built from another version`));
});

test("a query waits for a busy server as long as it says, a mutation does not ask twice", async () => {
  const answers = [503, 503, 200];
  const { fetch, requests } = recording(async () => {
    const status = answers.shift() ?? 503;
    const body = status === 200 ? { data: { a: 1 } } : { errors: [{ message: "busy", extensions: { code: "OVERLOADED" } }] };
    return Response.json(body, { status, headers: { "retry-after": "0" } });
  });
  const client = createClient({ fetch });
  assert.deepEqual(await client.data("{ a }"), { a: 1 });
  assert.equal(requests.length, 3);
  await assert.rejects(client.query("{ a }"), { status: 503 });
  assert.equal(requests.length, 6);
  await assert.rejects(client.mutate("mutation { a }"), { status: 503 });
  assert.equal(requests.length, 7);
});

test("an abort ends the wait for a busy server, and a request", async () => {
  const busy = createClient({ fetch: async () => Response.json({}, { status: 503, headers: { "retry-after": "9" } }) });
  const controller = new AbortController();
  const waiting = busy.query("{ a }", {}, { signal: controller.signal });
  setTimeout(() => controller.abort(new Error("enough")), 20);
  await assert.rejects(waiting, /enough/);
  await assert.rejects(createClient({ url: trusted.url }).query(LIST, {}, { signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("what is no GraphQL response is told with its status and text", async () => {
  for (const [body, type, message] of [
    ["<h1>Bad gateway</h1>", "text/html", /^502 /],
    ['{"type":"about:blank","title":"Payload Too Large","detail":"the body is too long"}', "application/problem+json", "502 the body is too long"],
    ["", "application/json", /^502 /],
    ["[]", "application/json", /^502 /],
    ["null", "application/json", /^502 /],
    ['{"data":', "application/json", /^502 /],
  ] as const) {
    const response = () => new Response(body, { status: 502, headers: { "content-type": type } });
    const error = await createClient({ fetch: async () => response() }).query("{ a }").catch((error: unknown) => error);
    assert.ok(error instanceof HttpError, String(error));
    assert.equal(error.bodyText, body);
    typeof message === "string" ? assert.equal(error.message, message) : assert.match(error.message, message);
  }
});

test("headers may be made for each request", async () => {
  const { fetch, requests } = recording();
  let token = 0;
  const client = createClient({ url: trusted.url, fetch, headers: async () => ({ authorization: `Bearer ${++token}` }) });
  await client.query(LIST);
  await client.query(LIST, {}, { headers: { "x-trace": "1" } });
  assert.deepEqual(
    requests.map(({ headers }) => [headers.get("authorization"), headers.get("x-trace")]),
    [
      ["Bearer 1", null],
      ["Bearer 2", "1"],
    ],
  );
});
