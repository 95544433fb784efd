/** urql over the exchange, with Graphcache and without. */
import assert from "node:assert/strict";
import { before, beforeEach, test } from "node:test";
import { Client, cacheExchange as documentCache, formatDocument, gql, stringifyDocument } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { documentId } from "freshql-client";
import { shapeOf } from "freshql-client/schema";
import { conflictOf, freshql, retryOnConflict } from "freshql-client/urql";
import { buildSchema } from "graphql";
import { pipe, subscribe } from "wonka";
import { cdn, forgetful, generator, recording, serve, type Server, until } from "./server.js";

type Row = { id: string; etag: string; name: string; description: string };
const DETAIL = gql<{ product: Row }, { id: string }>`
  query Detail($id: ID!) { product(id: $id) { description name id etag reviews(first: 2) { nodes { id rating } } } }
`;
const LIST = gql`query List($sku: String) { products(where: { sku: { eq: $sku } }, first: 5) { nodes { id etag name stock } } }`;
const ALIASED = gql`
  query Aliased($sku: String) { shelf: products(where: { sku: { eq: $sku } }, first: 5) { edges { node { title: name ...Head } } } }
  fragment Head on Product { version: etag id }
`;
const BARE = gql`query Bare($sku: String) { products(where: { sku: { eq: $sku } }, first: 5) { nodes { id name stock } } }`;
const UPDATE = gql<{ updateProduct: Row }, { id: string; patch: object; expectedEtag?: string | null }>`
  mutation Update($id: ID!, $patch: ProductPatch!, $expectedEtag: String) {
    updateProduct(id: $id, patch: $patch, expectedEtag: $expectedEtag) { id etag name }
  }
`;
const printed = (document: typeof LIST) => stringifyDocument(formatDocument(document));

let server: Server;
let shape: ReturnType<typeof shapeOf>;
before(async () => {
  const documents = Object.entries({ DETAIL, LIST, ALIASED, BARE, UPDATE }).map(([name, document]) => [name, printed(document as typeof LIST)]);
  server = await serve("open", Object.fromEntries(documents));
  shape = shapeOf(buildSchema(await (await fetch(`${server.url}/schema.graphql`)).text()));
});

let id: string;
let sku: string;
let made = 0;
beforeEach(async () => {
  const { merchants } = await server.run("{ merchants(first: 1) { nodes { id } } }");
  sku = `URQL-${++made}`;
  const input = { merchantId: merchants.nodes[0].id, sku, name: "old name", description: "old text", price: "1.00" };
  id = (await server.run("mutation M($input: ProductInput!) { createProduct(input: $input) { id } }", { input })).createProduct.id;
  await server.run("mutation M($input: ReviewInput!) { createReview(input: $input) { id } }", { input: { productId: id, rating: 5, body: "good", author: "Ada" } });
});

function clientOf({ guard = true, fetch: inner = fetch } = {}) {
  const { fetch, requests } = recording(inner);
  const { exchange, updates } = freshql({ url: server.url, fetch, ...(guard ? { entities: shape.entities } : {}) });
  const keys = Object.fromEntries(shape.keyless.map((type) => [type, () => null]));
  const client = new Client({ url: server.url, preferGetMethod: false, exchanges: [cacheExchange({ keys, updates }), exchange] });
  return { client, requests };
}

const change = (patch: object) => server.run("mutation M($id: ID!, $patch: ProductPatch!) { updateProduct(id: $id, patch: $patch) { etag } }", { id, patch });
const list = (client: Client, query = LIST) => client.query(query, { sku }, { requestPolicy: "network-only" }).toPromise();
const shown = (client: Client) => client.readQuery(DETAIL, { id })?.data?.product;

function watch(client: Client) {
  const seen: Row[] = [];
  const { unsubscribe } = pipe(client.query(DETAIL, { id }), subscribe(({ data, stale }) => data?.product && !stale && seen.push(data.product)));
  return { seen, close: unsubscribe };
}

test("queries are GETs by hash, mutations POSTs, also without a normalised cache", async () => {
  const { fetch, requests } = recording();
  const client = new Client({ url: server.url, preferGetMethod: false, exchanges: [documentCache, freshql({ url: server.url, fetch }).exchange] });
  const { data } = await client.query(DETAIL, { id }).toPromise();
  const changed = await client.mutation(UPDATE, { id, patch: { name: "x" }, expectedEtag: data!.product.etag }).toPromise();
  assert.equal(changed.data?.updateProduct.name, "x");
  assert.deepEqual(
    requests.map(({ method, url, headers }) => [method, url.pathname, headers.get("content-type")]),
    [
      ["GET", `/q/${documentId(printed(DETAIL as typeof LIST))}`, null],
      ["POST", `/q/${documentId(printed(UPDATE as typeof LIST))}`, "application/json"],
    ],
  );
  const failed = await client.query(gql`query Wrong { nothing }`, {}).toPromise();
  assert.match(failed.error!.message, /nothing/);
});

test("without the guard, a list gives a page an etag that does not stand for its text", async () => {
  const { client } = clientOf({ guard: false });
  await client.query(DETAIL, { id }).toPromise();
  const { etag } = shown(client)!;
  await change({ description: "new text" });
  await list(client);
  assert.equal(shown(client)?.description, "old text");
  assert.notEqual(shown(client)?.etag, etag);
});

for (const [name, query] of [["a list", LIST], ["a list with aliases and fragments", ALIASED]] as const) {
  test(`${name} that brings another etag makes Graphcache forget what else it knows of the row`, async () => {
    const { client } = clientOf();
    await client.query(DETAIL, { id }).toPromise();
    await list(client, query);
    assert.equal(shown(client)?.description, "old text");
    await change({ description: "new text" });
    const { data } = await list(client, query);
    assert.ok(data);
    assert.equal(shown(client), undefined);
    const again = await client.query(DETAIL, { id }).toPromise();
    assert.equal(again.data?.product.description, "new text");
    assert.ok("reviews" in again.data!.product);
  });
}

test("a page that is open asks again, and never shows an etag beside another version's text", async () => {
  for (const query of [LIST, BARE]) {
    const { client, requests } = clientOf();
    const page = watch(client);
    await until(() => page.seen.length > 0, "the page");
    await list(client, query);
    const first = `${page.seen[0]!.name}: ${page.seen[0]!.description}`;
    const text = query === LIST ? "new text" : "newer text";
    await change({ description: text, name: text });
    await list(client, query);
    await until(() => page.seen.at(-1)?.description === text, text);
    for (const { etag, name, description } of page.seen) {
      assert.equal(`${name}: ${description}`, etag === page.seen[0]!.etag ? first : `${text}: ${text}`);
    }
    const count = requests.length;
    await new Promise((resume) => setTimeout(resume, 100));
    assert.equal(requests.length, count);
    page.close();
  }
});

test("a shared cache that keeps an old list cannot make queries chase each other", async () => {
  for (const query of [LIST, BARE]) {
    const shared = cdn();
    await list(clientOf({ fetch: shared.fetch }).client, query);
    shared.freeze(documentId(printed(query)));
    const { client, requests } = clientOf({ fetch: shared.fetch });
    await change({ description: `new ${requests.length}`, name: "new name", stock: 7 });
    const page = watch(client);
    await until(() => page.seen.length > 0, "the page");
    const side = pipe(client.query(query, { sku }), subscribe(() => {}));
    for (let round = 0; round < 3; round++) {
      await list(client, query);
      await new Promise((resume) => setTimeout(resume, 50));
    }
    assert.ok(shared.served() > 0);
    await until(() => shown(client)?.name === "new name", "the new name");
    assert.ok(requests.length < 25, `${requests.length} requests`);
    const count = requests.length;
    await new Promise((resume) => setTimeout(resume, 200));
    assert.equal(requests.length, count, "they still chase each other");
    side.unsubscribe();
    page.close();
    await change({ name: "old name", description: "old text", stock: 0 });
  }
});

test("whatever is read, changed and kept by caches on the way, an etag in Graphcache stands for the fields beside it", async () => {
  const seed = Number(process.env["FRESHQL_TEST_SEED"] ?? 20261126);
  const random = generator(seed);
  const one = <T>(choices: readonly T[]) => choices[Math.floor(random() * choices.length)]!;
  for (let life = 0; life < 8; life++) {
    const versions = new Map<string, string>();
    const note = async () => {
      const { etag, name, description } = (await server.run("query R($id: ID!) { product(id: $id) { etag name description } }", { id })).product;
      versions.set(etag, `${name}: ${description}`);
    };
    await note();
    const { client, requests } = clientOf({ fetch: forgetful(random) });
    const steps: string[] = [];
    for (let step = 0; step < 25; step++) {
      const action = one(["change", "change", "detail", "page", "list", "aliased", "bare", "update"] as const);
      steps.push(action);
      if (action === "change") await change({ [one(["name", "description"])]: `version ${life}.${step}` });
      else if (action === "update") await client.mutation(UPDATE, { id, patch: { name: `update ${life}.${step}` } }).toPromise();
      else if (action === "detail") await client.query(DETAIL, { id }).toPromise();
      else if (action === "page") await client.query(DETAIL, { id }, { requestPolicy: "network-only" }).toPromise();
      else await list(client, { list: LIST, aliased: ALIASED, bare: BARE }[action]);
      await note();
      const row = shown(client);
      if (row) assert.equal(`${row.name}: ${row.description}`, versions.get(row.etag), `seed ${seed}: ${steps.join(", ")}`);
    }
    assert.ok(requests.length < 60, `${requests.length} requests for ${steps.join(", ")}`);
  }
});

test("an optimistic update neither loses what Graphcache has, nor outlives its mutation", async () => {
  const { exchange, updates } = freshql({ url: server.url, entities: shape.entities });
  const keys = Object.fromEntries(shape.keyless.map((type) => [type, () => null]));
  const optimistic = { updateProduct: ({ id }: { id?: unknown }) => ({ __typename: "Product", id: id as string, etag: "made up", name: "hoped for" }) };
  const client = new Client({ url: server.url, preferGetMethod: false, exchanges: [cacheExchange({ keys, updates, optimistic }), exchange] });
  const names: string[] = [];
  const page = pipe(client.query(DETAIL, { id }), subscribe(({ data }) => data?.product && names.push(data.product.name)));
  await until(() => names.length > 0, "the page");
  const { etag } = shown(client)!;
  const refused = await client.mutation(UPDATE, { id, patch: { name: "x" }, expectedEtag: "AAAAAAAAAAAAAAAA" }).toPromise();
  assert.ok(conflictOf(refused), JSON.stringify(refused));
  assert.deepEqual([shown(client)?.etag, shown(client)?.description], [etag, "old text"]);
  await client.mutation(UPDATE, { id, patch: { name: "new name" }, expectedEtag: etag }).toPromise();
  assert.ok(names.includes("hoped for"));
  await until(() => names.at(-1) === "new name" && shown(client)?.name === "new name", "the new name");
  page.unsubscribe();
});

test("a refused update can be resolved and sent again", async () => {
  const { client } = clientOf();
  const { data } = await client.query(DETAIL, { id }).toPromise();
  await change({ name: "their name" });
  const variables = { id, patch: { description: "my text" }, expectedEtag: data!.product.etag };
  const refused = await client.mutation(UPDATE, variables).toPromise();
  assert.equal(conflictOf<Row>(refused)?.current?.name, "their name");
  const result = await retryOnConflict(variables, (variables) => client.mutation(UPDATE, variables).toPromise(), ({ intent }) => intent);
  assert.equal(result.error, undefined);
  assert.equal(result.data?.updateProduct.name, "their name");
});

test("after a refused update, pages that show the row get it as it is now", async () => {
  const { client } = clientOf();
  const page = watch(client);
  await until(() => page.seen.length > 0, "the page");
  await change({ name: "their name" });
  const { error } = await client.mutation(UPDATE, { id, patch: { description: "my text" }, expectedEtag: page.seen[0]!.etag }).toPromise();
  assert.equal(conflictOf<Row>(error)?.current?.name, "their name");
  await until(() => page.seen.at(-1)?.name === "their name", "their name");
  assert.equal(page.seen.at(-1)!.description, "old text");
  page.close();
});

test("who leaves takes the request along", async () => {
  let signal: AbortSignal | null | undefined;
  const never: typeof fetch = (_, init) => new Promise((_, failed) => {
    signal = init?.signal;
    signal?.addEventListener("abort", () => failed(signal!.reason));
  });
  const { client } = clientOf({ fetch: never });
  const page = watch(client);
  await until(() => signal !== undefined, "the request");
  page.close();
  await until(() => signal!.aborted, "the abort");
});
