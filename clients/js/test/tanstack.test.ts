/** The `fetch` client under TanStack Query: an answer that has not changed changes nothing. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { QueryClient, QueryObserver } from "@tanstack/query-core";
import { documentId } from "freshql-client";
import { createClient } from "freshql-client/fetch";
import { recording, serve, type Server } from "./server.js";

const LIST = "query Names { products(first: 3) { nodes { id name } } }";

let server: Server;
before(async () => {
  server = await serve("open", { LIST });
});

test("a refetch is a 304, and gives observers the object that they have", async () => {
  const { fetch, requests } = recording();
  const freshql = createClient({ url: server.url, fetch });
  const client = new QueryClient({ defaultOptions: { queries: { retry: false, structuralSharing: false } } });
  const options = { queryKey: [freshql.url(LIST)], queryFn: ({ signal }: { signal: AbortSignal }) => freshql.data(LIST, {}, { signal }) };
  const observer = new QueryObserver(client, options);
  const unsubscribe = observer.subscribe(() => {});
  const first = (await observer.refetch()).data;
  assert.equal((await observer.refetch()).data, first);
  assert.equal(requests.at(-1)!.status, 304);
  const { products } = await server.run("{ products(first: 1) { nodes { id } } }");
  await server.run("mutation M($id: ID!) { updateProduct(id: $id, patch: {name: \"AAA\"}) { id } }", { id: products.nodes[0].id });
  assert.notEqual((await observer.refetch()).data, first);
  unsubscribe();
});

test("no more answers are kept than one allows", async () => {
  const { fetch, requests } = recording();
  const client = createClient({ url: server.url, fetch, keep: 1 });
  const other = "query Other { merchants(first: 1) { nodes { id } } }";
  for (const text of [LIST, LIST, other, LIST]) await client.query(text);
  assert.deepEqual(
    requests.filter(({ method }) => method === "GET").map(({ status }) => status),
    [200, 304, 404, 200],
  );
});

test("documents that a code generator made tell the types of their data and variables, and their ids", async () => {
  class TypedDocumentString<Data, V> extends String {
    declare __apiType?: (variables: V) => Data;
    constructor(
      text: string,
      readonly __meta__?: Record<string, unknown>,
    ) {
      super(text);
    }
  }
  const { fetch, requests } = recording();
  const client = createClient({ url: server.url, fetch });
  const document = new TypedDocumentString<{ products: { nodes: { name: string }[] } }, Record<string, never>>(LIST, { hash: documentId(LIST) });
  const data = await client.data(document);
  const names: string[] = data.products.nodes.map(({ name }) => name);
  assert.equal(names.length, 3);
  assert.equal(requests[0]!.url.pathname, `/q/${documentId(LIST)}`);
  const one = new TypedDocumentString<unknown, { id: string }>("query One($id: ID!) { product(id: $id) { id } }");
  // @ts-expect-error: it has a variable
  await assert.rejects(client.data(one));
});
