/** Apollo Client 4 over the link: what goes over the wire, and that its cache never pairs an etag with fields of another version. */
import assert from "node:assert/strict";
import { beforeEach, before, test } from "node:test";
import { ApolloClient, CombinedGraphQLErrors, gql, InMemoryCache, type TypedDocumentNode } from "@apollo/client";
import { ServerError } from "@apollo/client/errors";
import { conflictOf, FreshqlLink, type FreshqlLinkOptions, retryOnConflict, typePolicies } from "freshql-client/apollo";
import { shapeOf } from "freshql-client/schema";
import { documentId } from "freshql-client";
import { buildSchema, type DocumentNode, print } from "graphql";
import { cdn, forgetful, generator, recording, serve, type Server, until } from "./server.js";

interface Row {
  __typename: "Product";
  id: string;
  etag: string;
  name: string;
  description: string;
  stock: number;
}
type Page = { product: Row };
const DETAIL: TypedDocumentNode<Page, { id: string }> = gql`
  query Detail($id: ID!) { product(id: $id) { id etag name description reviews(first: 2) { nodes { id rating } pageInfo { hasNextPage endCursor } } } }
`;
const LIST = gql`query List($sku: String) { products(where: { sku: { eq: $sku } }, first: 5) { nodes { id etag name stock } } }`;
const ALIASED = gql`
  query Aliased($sku: String) { shelf: products(where: { sku: { eq: $sku } }, first: 5) { edges { node { key: id ...Head ... on Product { title: name } } } } }
  fragment Head on Product { version: etag }
`;
const BARE = gql`query Bare($sku: String) { products(where: { sku: { eq: $sku } }, first: 5) { nodes { id name stock } } }`;
const UPDATE: TypedDocumentNode<{ updateProduct: Row }, { id: string; patch: Partial<Row>; expectedEtag?: string }> = gql`
  mutation Update($id: ID!, $patch: ProductPatch!, $expectedEtag: String) {
    updateProduct(id: $id, patch: $patch, expectedEtag: $expectedEtag) { id etag name }
  }
`;

/** As Apollo Client sends it. */
function printed(document: DocumentNode): string {
  return print(new InMemoryCache().transformDocument(document));
}

let server: Server;
let shape: ReturnType<typeof shapeOf>;
before(async () => {
  const documents = Object.entries({ DETAIL, LIST, ALIASED, BARE, UPDATE }).map(([name, document]) => [name, printed(document)]);
  server = await serve("open", Object.fromEntries(documents));
  shape = shapeOf(buildSchema(await (await fetch(`${server.url}/schema.graphql`)).text()));
});

let id: string;
let sku: string;
let made = 0;
beforeEach(async () => {
  const { merchants } = await server.run("{ merchants(first: 1) { nodes { id } } }");
  sku = `APOLLO-${++made}`;
  const input = { merchantId: merchants.nodes[0].id, sku, name: "old name", description: "old text", price: "1.00" };
  id = (await server.run("mutation M($input: ProductInput!) { createProduct(input: $input) { id } }", { input })).createProduct.id;
  for (const rating of [5, 4, 3]) {
    const review = { productId: id, rating, body: "good", author: "Ada" };
    await server.run("mutation M($input: ReviewInput!) { createReview(input: $input) { id } }", { input: review });
  }
});

function clientOf(options: FreshqlLinkOptions = {}, cache = new InMemoryCache({ typePolicies: typePolicies(shape) })) {
  const { fetch, requests } = recording(options.fetch);
  return { client: new ApolloClient({ cache, link: new FreshqlLink({ url: server.url, ...options, fetch }) }), requests };
}

/** Another program changes the row. */
function change(patch: object) {
  return server.run("mutation M($id: ID!, $patch: ProductPatch!) { updateProduct(id: $id, patch: $patch) { etag } }", { id, patch });
}

/** What the cache would show on the page now; null where it would ask. */
function shown(client: ApolloClient): Row | null {
  return client.cache.readQuery({ query: DETAIL, variables: { id } })?.product ?? null;
}

/** All that a page that is open shows. */
function watch(client: ApolloClient) {
  const seen: Row[] = [];
  const subscription = client.watchQuery({ query: DETAIL, variables: { id } }).subscribe(({ data, dataState }) => {
    if (dataState === "complete" && data.product) seen.push(data.product as Row);
  });
  return { seen, close: () => subscription.unsubscribe() };
}

const list = (client: ApolloClient, query = LIST) => client.query({ query, variables: { sku }, fetchPolicy: "network-only" });

/** Each etag stands for one text. */
function assertPaired(seen: Row[]): void {
  const texts = new Map<string, string>();
  for (const { etag, description, name } of seen) {
    const text = `${name}: ${description}`;
    assert.equal(texts.get(etag) ?? text, text, "an etag beside two texts");
    texts.set(etag, text);
  }
}

test("without the guard, a list gives a page an etag that does not stand for its text", async () => {
  const { client } = clientOf({ etagGuard: false });
  await client.query({ query: DETAIL, variables: { id } });
  await change({ description: "new text" });
  await list(client);
  const { etag, description } = shown(client)!;
  assert.equal(description, "old text");
  // And so the new text is lost.
  await client.mutate({ mutation: UPDATE, variables: { id, patch: { description: `${description}, edited` }, expectedEtag: etag } });
});

for (const [name, query] of [["a list", LIST], ["a list with aliases and fragments", ALIASED]] as const) {
  test(`${name} that brings another etag makes the cache forget what else it knows of the row`, async () => {
    const { client } = clientOf();
    await client.query({ query: DETAIL, variables: { id } });
    await list(client, query);
    assert.equal(shown(client)?.description, "old text");
    await change({ description: "new text" });
    await list(client, query);
    assert.equal(shown(client), null);
    const { data } = await client.query({ query: DETAIL, variables: { id } });
    assert.equal(data?.product.description, "new text");
  });
}

test("a page that is open asks again, and never shows an etag beside another version's text", async () => {
  const { client, requests } = clientOf();
  const page = watch(client);
  await until(() => page.seen.length > 0, "the page");
  await list(client);
  await change({ description: "new text", name: "new name" });
  await list(client);
  await until(() => page.seen.at(-1)?.description === "new text", "the new text");
  assertPaired(page.seen);
  // Once for each, and no more.
  await new Promise((resume) => setTimeout(resume, 100));
  assert.equal(requests.filter(({ url, method }) => method === "GET" && url.pathname.includes(documentId(printed(DETAIL)))).length, 2);
  page.close();
});

test("other rows' lists stay: they are no part of the row's version", async () => {
  const { client } = clientOf();
  await client.query({ query: DETAIL, variables: { id } });
  await change({ description: "new text" });
  await list(client);
  const stored = (client.cache.extract() as Record<string, Record<string, { nodes: unknown[] }>>)[`Product:${id}`]!;
  assert.equal(stored["description"], undefined);
  assert.equal(stored["reviews:{}"]?.nodes.length, 2);
});

test("an etag that comes to fields of which nobody knows the version makes the cache forget these", async () => {
  const { client } = clientOf();
  const text = gql`query Text($id: ID!) { product(id: $id) { id description } }`;
  await client.query({ query: text, variables: { id } });
  await change({ description: "new text" });
  await list(client);
  assert.equal(client.cache.readQuery({ query: text, variables: { id } }), null);
});

test("a list without etag that shows another value takes the etag away", async () => {
  const { client } = clientOf();
  const page = watch(client);
  await until(() => page.seen.length > 0, "the page");
  await list(client, BARE);
  assert.ok(shown(client), "what it shows is what the cache has");
  await change({ description: "new text", name: "new name" });
  await list(client, BARE);
  await until(() => page.seen.at(-1)?.description === "new text", "the new text");
  assertPaired(page.seen);
  page.close();
});

test("an answer that is overtaken by a newer one is asked for again", async () => {
  let isSlow = false;
  let release = () => {};
  const slow: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    if (isSlow && String(input).includes(documentId(printed(LIST)))) {
      isSlow = false;
      await new Promise<void>((open) => (release = open));
    }
    return response;
  };
  const { client } = clientOf({ fetch: slow });
  const page = watch(client);
  await until(() => page.seen.length > 0, "the page");
  await list(client);
  isSlow = true;
  const overtaken = list(client);
  await until(() => !isSlow, "the old answer");
  const { data } = await client.mutate({ mutation: UPDATE, variables: { id, patch: { description: "mine", name: "new name" } } });
  await until(() => page.seen.at(-1)?.description === "mine", "the page after the update");
  release();
  const { data: late } = await overtaken;
  assert.equal((late as { products: { nodes: Row[] } }).products.nodes[0]!.etag, data!.updateProduct.etag);
  assert.equal(shown(client)?.name, "new name");
  assertPaired(page.seen);
  page.close();
});

for (const [name, query] of [["with", LIST], ["without", BARE]] as const) {
  for (const first of ["the list", "the page"] as const) {
    test(`a shared cache that keeps an old list ${name} etags cannot make queries chase each other; ${first} came first`, async () => {
      const shared = cdn();
      await list(clientOf({ fetch: shared.fetch }).client, query);
      shared.freeze(documentId(printed(query)));
      const { client, requests } = clientOf({ fetch: shared.fetch });
      const lists = client.watchQuery({ query, variables: { sku } });
      const open = () => {
        const listed: unknown[] = [];
        const subscription = lists.subscribe(({ data, dataState }) => dataState === "complete" && listed.push(data));
        return { listed, close: () => subscription.unsubscribe() };
      };
      let side: ReturnType<typeof open> | undefined;
      if (first === "the list") {
        side = open();
        await until(() => side!.listed.length > 0, "the list");
      }
      await change({ description: "new text", name: "new name", stock: 7 });
      const page = watch(client);
      await until(() => page.seen.length > 0, "the page");
      side ??= open();
      for (let round = 0; round < 3; round++) {
        await lists.refetch();
        await new Promise((resume) => setTimeout(resume, 50));
      }
      assert.ok(shared.served() > 0, "the old list was given");
      await until(() => shown(client)?.name === "new name" && page.seen.at(-1)?.name === "new name", "the new name");
      assertPaired(page.seen);
      assert.ok(requests.length < 25, `${requests.length} requests`);
      const before = requests.length;
      await new Promise((resume) => setTimeout(resume, 200));
      assert.equal(requests.length, before, "they still chase each other");
      side.close();
      page.close();
    });
  }
}

test("whatever is read, changed and kept by caches on the way, an etag in the cache stands for the fields beside it", async () => {
  const seed = Number(process.env["FRESHQL_TEST_SEED"] ?? 20261126);
  const random = generator(seed);
  const one = <T>(choices: readonly T[]) => choices[Math.floor(random() * choices.length)]!;
  for (let life = 0; life < 8; life++) {
    const versions = new Map<string, string>();
    const note = ({ etag, name, description }: Pick<Row, "etag" | "name" | "description">) => versions.set(etag, `${name}: ${description}`);
    const read = async () => (await server.run("query R($id: ID!) { product(id: $id) { etag name description } }", { id })).product;
    note(await read());
    const { client, requests } = clientOf({ fetch: forgetful(random) });
    const steps: string[] = [];
    for (let step = 0; step < 25; step++) {
      const action = one(["change", "change", "detail", "page", "list", "aliased", "bare", "update"] as const);
      steps.push(action);
      if (action === "change") {
        await change({ [one(["name", "description"])]: `version ${life}.${step}` });
        note(await read());
      } else if (action === "update") {
        const { data } = await client.mutate({ mutation: UPDATE, variables: { id, patch: { name: `update ${life}.${step}` } } });
        note(await read());
        assert.ok(versions.has(data!.updateProduct.etag));
      } else if (action === "detail" || action === "page") {
        await client.query({ query: DETAIL, variables: { id }, fetchPolicy: action === "page" ? "network-only" : "cache-first" });
      } else {
        await list(client, { list: LIST, aliased: ALIASED, bare: BARE }[action]);
      }
      const row = shown(client);
      if (row) assert.equal(`${row.name}: ${row.description}`, versions.get(row.etag), `seed ${seed}: ${steps.join(", ")}`);
    }
    assert.ok(requests.length < 60, `${requests.length} requests for ${steps.join(", ")}`);
  }
});

test("an optimistic update neither loses what the cache has, nor outlives its mutation", async () => {
  const { client } = clientOf();
  await client.query({ query: DETAIL, variables: { id } });
  const { etag } = shown(client)!;
  const names: (string | undefined)[] = [];
  const page = client.watchQuery({ query: DETAIL, variables: { id } }).subscribe(({ data }) => names.push(data?.product?.name));
  const optimisticResponse = { updateProduct: { __typename: "Product", id, etag: "made up", name: "hoped for" } as Row };
  await assert.rejects(client.mutate({ mutation: UPDATE, variables: { id, patch: { name: "x" }, expectedEtag: "AAAAAAAAAAAAAAAA" }, optimisticResponse }));
  assert.equal(shown(client)?.description, "old text");
  assert.equal(shown(client)?.etag, etag);
  await client.mutate({ mutation: UPDATE, variables: { id, patch: { name: "new name" }, expectedEtag: etag }, optimisticResponse });
  assert.ok(names.includes("hoped for"));
  await until(() => names.at(-1) === "new name", "the new name");
  page.unsubscribe();
});

test("a refused update brings the row, which the cache takes; it can be resolved and sent again", async () => {
  const { client } = clientOf();
  await client.query({ query: DETAIL, variables: { id } });
  const { etag } = shown(client)!;
  await change({ name: "their name", description: "their text" });
  const asked: unknown[] = [];
  const variables = { id, patch: { description: "my text" }, expectedEtag: etag };
  const send = (variables: { id: string; patch: Partial<Row>; expectedEtag?: string }) => client.mutate({ mutation: UPDATE, variables });
  const error: unknown = await send(variables).catch((error: unknown) => error);
  assert.ok(CombinedGraphQLErrors.is(error));
  assert.equal(conflictOf<Row>(error)?.current?.name, "their name");
  assert.equal((client.cache.extract() as Record<string, Partial<Row>>)[`Product:${id}`]?.name, "their name");
  assert.equal(shown(client), null, "the mutation does not say what the text is now");
  const { data } = await retryOnConflict(variables, send, ({ current, intent }) => {
    asked.push((current as Partial<Row>).name, intent.patch);
    return intent;
  });
  assert.deepEqual(asked, ["their name", { description: "my text" }]);
  assert.equal(data?.updateProduct.name, "their name");

  await server.run("mutation M($id: ID!) { deleteProduct(id: $id) { id } }", { id });
  const gone: unknown = await send(variables).catch((error: unknown) => error);
  assert.deepEqual([conflictOf(gone)?.current, conflictOf(gone)?.currentEtag], [null, null]);
});

test("what a server rendered is taken over by the page, and guarded there", async () => {
  const { client: onServer } = clientOf();
  await onServer.query({ query: DETAIL, variables: { id } });
  const state = JSON.parse(JSON.stringify(onServer.extract()));
  const { client, requests } = clientOf({}, new InMemoryCache({ typePolicies: typePolicies(shape) }).restore(state));
  await client.query({ query: DETAIL, variables: { id } });
  assert.equal(requests.length, 0);
  await change({ description: "new text" });
  await list(client);
  assert.equal(shown(client), null);
});

test("no answer is waited for when nobody listens any more", async () => {
  let signal: AbortSignal | null | undefined;
  const never: typeof fetch = (_, init) => new Promise((_, failed) => {
    signal = init?.signal;
    signal?.addEventListener("abort", () => failed(signal!.reason));
  });
  const client = new ApolloClient({ cache: new InMemoryCache(), link: new FreshqlLink({ fetch: never }) });
  const subscription = client.watchQuery({ query: DETAIL, variables: { id } }).subscribe(() => {});
  await until(() => signal !== undefined, "the request");
  subscription.unsubscribe();
  await until(() => signal!.aborted, "the abort");
  const controller = new AbortController();
  const asked = client.query({ query: DETAIL, variables: { id }, context: { fetchOptions: { signal: controller.signal } } });
  controller.abort(new Error("left the page"));
  await assert.rejects(asked, /left the page/);
});

test("a proxy's page is Apollo's ServerError", async () => {
  const { client } = clientOf({ fetch: async () => new Response("<h1>Bad gateway</h1>", { status: 502 }) });
  const error: unknown = await client.query({ query: DETAIL, variables: { id } }).catch((error: unknown) => error);
  assert.ok(ServerError.is(error));
  assert.deepEqual([error.statusCode, error.bodyText], [502, "<h1>Bad gateway</h1>"]);
});

test("pages of a list are joined, each filter and order by itself, whether as edges or as nodes", async () => {
  const { client } = clientOf();
  for (const part of ["edges { cursor node { id } }", "nodes { id }"]) {
    const query = gql`query Pages($order: OrderDirection!, $after: String) {
      products(first: 3, after: $after, orderBy: [{ name: $order }]) { ${part} pageInfo { hasNextPage endCursor } }
    }` as TypedDocumentNode<{ products: { edges?: { node: Row }[]; nodes?: Row[]; pageInfo: { endCursor: string } } }, { order: "ASC" | "DESC"; after?: string }>;
    const ids = (products: { edges?: { node: Row }[]; nodes?: Row[] }) => (products.nodes ?? products.edges!.map(({ node }) => node)).map(({ id }) => id);
    const seen: string[][] = [];
    const pages = client.watchQuery({ query, variables: { order: "ASC" } });
    const subscription = pages.subscribe(({ data, dataState }) => dataState === "complete" && seen.push(ids(data.products)));
    await until(() => seen.length > 0, "the first page");
    const { data } = pages.getCurrentResult();
    await pages.fetchMore({ variables: { after: data!.products!.pageInfo!.endCursor! } });
    await until(() => seen.at(-1)!.length === 6, "two pages");
    assert.equal(new Set(seen.at(-1)).size, 6);
    await client.query({ query, variables: { order: "DESC" } });
    assert.equal(seen.at(-1)!.length, 6);
    await pages.refetch();
    await until(() => seen.at(-1)!.length === 3, "the list begun anew");
    subscription.unsubscribe();
  }
});
