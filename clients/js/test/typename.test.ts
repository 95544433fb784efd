/** Apollo Client's own persisted-query link with the manifest that `freshql manifest` writes of hand-written query files. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { recording, program, repository, serve } from "./server.js";

const PAGE = "query Page { products(first: 2) { nodes { id name merchant { id } } } }";

interface Manifest {
  operations: { id: string; name: string; type: string; body: string }[];
}

/** What Apollo's cache holds after it has asked by the manifest's ids. */
async function cached(toml: string) {
  const server = await serve("trusted", { page: PAGE }, {}, repository, toml);
  const manifest: Manifest = JSON.parse(execFileSync(program, ["--dir", server.directory, "manifest"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  // As `generatePersistedQueryIdsFromManifest` of @apollo/persisted-query-lists does it: ids by the operations' names.
  const ids = new Map(manifest.operations.map(({ name, id }) => [name, id]));
  const { fetch, requests } = recording();
  const persisted = new PersistedQueryLink({ generateHash: (document) => {
    const operation = document.definitions.find((definition) => definition.kind === "OperationDefinition");
    return ids.get(operation?.name?.value ?? "") ?? "";
  }, useGETForHashedQueries: true });
  const link = ApolloLink.from([persisted, new HttpLink({ uri: `${server.url}/graphql`, fetch })]);
  const cache = new InMemoryCache();
  const client = new ApolloClient({ link, cache });
  const result = await client.query({ query: gql(PAGE), errorPolicy: "all" }).catch((error: unknown) => ({ error }));
  await server.stop();
  return { result, entities: Object.keys(cache.extract()).filter((key) => key !== "ROOT_QUERY" && key !== "__META"), requests, manifest };
}

test("with `typename = true` the ids of hand-written query files fill Apollo's cache with entities", async () => {
  const { entities, requests, manifest } = await cached("typename = true\n");
  assert.equal(requests.length, 1, "asked once, by GET, and found");
  assert.equal(entities.filter((key) => key.startsWith("Product:")).length, 2, entities.join());
  assert.ok(entities.some((key) => key.startsWith("Merchant:")), entities.join());
  assert.match(manifest.operations.find(({ name }) => name === "Page")!.body, /name merchant \{ id __typename \} __typename \} __typename \}/);
});

test("without it the manifest's ids are those of texts that ask for it, which the server does not know until they are pushed", async () => {
  const { entities, result } = await cached("");
  assert.deepEqual(entities, []);
  assert.ok("error" in result && result.error, "a miss is an error, and no cache without entities");
});
