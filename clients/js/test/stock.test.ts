/** Apollo Client and urql as they come, with their own persisted-query links and nothing of ours between them and the server. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { ApolloClient, ApolloLink, CombinedGraphQLErrors, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { ServerError } from "@apollo/client/errors";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { cacheExchange, Client, fetchExchange } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";
import { recording, serve, type Server } from "./server.js";

const LIST = gql`query List($first: Int = 2) { products(first: $first) { nodes { id etag name } } }`;
const RENAME = gql`mutation Rename($id: ID!, $patch: ProductPatch!, $expectedEtag: String) { updateProduct(id: $id, patch: $patch, expectedEtag: $expectedEtag) { id etag name } }`;
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

let apq: Server;
let trusted: Server;
before(async () => {
  const cors = { FRESHQL_CORS_ORIGINS: "https://shop.example" };
  [apq, trusted] = await Promise.all([serve("apq", {}, cors), serve("trusted")]);
});

/** What is asked, and what was answered, without the body being taken from the client. */
function watched() {
  const answers: { status: number; type: string | null; cacheControl: string | null; body: any }[] = [];
  const { fetch, requests } = recording(async (input, init) => {
    const response = await globalThis.fetch(input, init);
    const body = await response.clone().json();
    answers.push({ status: response.status, type: response.headers.get("content-type"), cacheControl: response.headers.get("cache-control"), body });
    return response;
  });
  return { fetch, requests, answers };
}

function apollo(server: Server, hash: (text: string) => string = sha256, http: object = {}) {
  const { fetch, ...seen } = watched();
  const persisted = new PersistedQueryLink({ sha256: async (text: string) => hash(text), useGETForHashedQueries: true });
  const link = ApolloLink.from([persisted, new HttpLink({ uri: `${server.url}/graphql`, fetch, ...http })]);
  return { client: new ApolloClient({ cache: new InMemoryCache(), link, clientAwareness: { name: "shop", version: "1" } }), ...seen };
}

const isQuery = (text: string | null) => text !== null && "query" in JSON.parse(text);

test("Apollo's automatic persisted queries: a miss is a 200 that nobody keeps, then the text, then GETs by hash alone", async () => {
  const { client, requests, answers } = apollo(apq);
  const { data } = await client.query<any>({ query: LIST });
  assert.equal(data.products.nodes.length, 2);
  assert.ok(`Product:${data.products.nodes[0].id}` in (client.extract() as object));
  assert.deepEqual(requests.map(({ method, body }) => [method, isQuery(body)]), [["GET", false], ["POST", true]]);
  const [miss] = answers;
  assert.deepEqual([miss!.status, miss!.cacheControl], [200, "no-store"]);
  assert.deepEqual([miss!.body.errors[0].message, miss!.body.errors[0].extensions.code], ["PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND"]);

  await client.query({ query: LIST, variables: { first: 1 }, fetchPolicy: "network-only" });
  const { method, url, status } = requests[2]!;
  assert.deepEqual([requests.length, method, status, url.searchParams.has("query")], [3, "GET", 200, false]);
  // A mutation is no GET, however its text is sent.
  const { id } = data.products.nodes[0];
  await client.mutate({ mutation: RENAME, variables: { id, patch: { name: "by hash" } } });
  await client.mutate({ mutation: RENAME, variables: { id, patch: { name: "by hash alone" } } });
  assert.deepEqual(requests.slice(3).map(({ method, body }) => [method, isQuery(body)]), [["POST", false], ["POST", true], ["POST", false]]);
  assert.equal((client.extract() as any)[`Product:${id}`].name, "by hash alone", "the cache takes what the mutation returns");
});

test("whatever headers Apollo Client adds, a page of a listed origin may send them", async () => {
  const { client, requests } = apollo(apq);
  await client.query({ query: LIST, context: { headers: { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" } } });
  const names = [...requests[0]!.headers.keys()];
  for (const name of ["content-type", "apollographql-client-name", "traceparent"]) assert.ok(names.includes(name), `${name} in ${names}`);
  for (const { url, method } of requests) {
    const asked = { origin: "https://shop.example", "access-control-request-method": method, "access-control-request-headers": names.join() };
    const preflight = await fetch(url, { method: "OPTIONS", headers: asked });
    assert.equal(preflight.headers.get("access-control-allow-origin") ?? "", url.pathname === "/graphql" ? "https://shop.example" : "*");
    assert.equal(preflight.headers.get("access-control-allow-headers"), names.join());
  }
});

test("where the server takes no documents of clients, Apollo's link is told so, and a text is refused", async () => {
  const { client, requests, answers } = apollo(trusted);
  await assert.rejects(client.query({ query: LIST }), (error) => CombinedGraphQLErrors.is(error) && error.errors[0]!.extensions!["code"] === "PERSISTED_QUERY_REQUIRED");
  assert.deepEqual(answers.map(({ body }) => body.errors[0].extensions.code), ["PERSISTED_QUERY_NOT_SUPPORTED", "PERSISTED_QUERY_REQUIRED"]);
  assert.equal(answers[0]!.body.errors[0].message, "PersistedQueryNotSupported");
  // The link has learned: the hash is not tried again.
  await assert.rejects(client.query({ query: LIST, variables: { first: 1 } }));
  assert.equal(requests.length, 3);
});

test("a hash that is not the text's is refused", async () => {
  const { client, answers } = apollo(apq, () => sha256("another text"));
  await assert.rejects(client.query({ query: gql`query Other { products(first: 1) { totalCount } }` }), /./);
  const { status, body } = answers.at(-1)!;
  assert.deepEqual([status, body.errors[0].extensions.code], [400, "PERSISTED_QUERY_HASH_MISMATCH"]);
});

test("a 412 reaches Apollo Client with the row in its extensions, because its media type is GraphQL's", async () => {
  const { client, answers } = apollo(apq);
  const { data } = await client.query<any>({ query: LIST });
  const { id, etag } = data.products.nodes[1];
  const rename = (name: string) => client.mutate({ mutation: RENAME, variables: { id, patch: { name }, expectedEtag: etag } });
  await rename("first");
  const conflict = await rename("second").then(() => assert.fail("it was written"), (error: unknown) => error);
  assert.ok(CombinedGraphQLErrors.is(conflict), String(conflict));
  assert.equal((conflict.errors[0]!.extensions!["current"] as any).name, "first");
  const { status, type } = answers.at(-1)!;
  assert.deepEqual([status, type], [412, "application/graphql-response+json; charset=utf-8"]);

  // A client that accepts JSON only gets JSON, of which Apollo takes a 412 for a broken network.
  const plain = apollo(apq, sha256, { headers: { accept: "application/json" } });
  await assert.rejects(plain.client.mutate({ mutation: RENAME, variables: { id, patch: { name: "third" }, expectedEtag: etag } }), (error) => ServerError.is(error) && error.statusCode === 412);
});

test("urql accepts streams, too, and gets one answer; its persisted queries are GETs by hash", async () => {
  const { fetch, requests, answers } = watched();
  const exchanges = [cacheExchange, persistedExchange({ preferGetForPersistedQueries: true, enableForMutation: true }), fetchExchange];
  const client = new Client({ url: `${apq.url}/graphql`, fetch, exchanges });
  const query = gql`query Urql($first: Int = 2) { products(first: $first) { nodes { id etag name } } }`;
  const { data, error } = await client.query(query, {}).toPromise();
  assert.equal(error, undefined);
  assert.equal(data.products.nodes.length, 2);
  const { headers } = requests[0]!;
  assert.match(headers.get("accept")!, /text\/event-stream.*multipart\/mixed/);
  assert.ok(answers.every(({ type }) => type === "application/graphql-response+json; charset=utf-8"), JSON.stringify(answers.map(({ type }) => type)));
  await client.query(query, { first: 1 }).toPromise();
  // The text travels once, by GET too where it is short.
  assert.deepEqual(requests.map(({ method, url }) => [method, url.searchParams.has("query")]), [["GET", false], ["GET", true], ["GET", false]]);

  const { id, etag } = data.products.nodes[0];
  const rename = (name: string) => client.mutation(RENAME, { id, patch: { name }, expectedEtag: etag }).toPromise();
  assert.equal((await rename("by urql")).data.updateProduct.name, "by urql");
  const conflict = (await rename("too late")).error!.graphQLErrors[0]!;
  assert.deepEqual([conflict.extensions["code"], (conflict.extensions["current"] as any).name], ["PRECONDITION_FAILED", "by urql"]);
});
