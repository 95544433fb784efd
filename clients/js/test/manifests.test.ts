/**
 * The manifests that `freshql manifest` writes, in the hands of the tools whose formats they have: what these make of them is asked
 * of a server in mode `trusted`, which knows no more than what a manifest told it.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";
import { createPersistedQueryManifestVerificationLink, generatePersistedQueryIdsFromManifest } from "@apollo/persisted-query-lists";
import { preset } from "@graphql-codegen/client-preset";
import { codegen } from "@graphql-codegen/core";
import { buildSchema, parse, printSchema } from "graphql";
import { program, recording, repository, serve, type Server } from "./server.js";

const PAGE = "query Page($first: Int = 2) {\n  products(first: $first) { nodes { id ...Card } }\n}\n";
const CARD = "# Of other pages, too.\nfragment Card on Product { id name merchant { id name } }\n";
const RENAME = "mutation Rename($id: ID!, $name: String!) { updateProduct(id: $id, patch: { name: $name }) { id etag name } }\n";
const FILES = { "queries/app/Page.graphql": PAGE, "queries/app/Card.graphql": CARD, "queries/app/Rename.graphql": RENAME };
const TOKEN = { FRESHQL_ADMIN_TOKEN: "s3cret" };

const top = mkdtempSync(join(tmpdir(), "freshql-manifests-"));
after(() => rmSync(top, { recursive: true, force: true }));
const bin = (name: string) => fileURLToPath(new URL(`../../node_modules/${name}`, import.meta.url));
const freshql = (...args: string[]) => execFileSync(program, args, { encoding: "utf8", env: TOKEN, stdio: ["ignore", "pipe", "pipe"] });

/** A project with these query files beside the demo's, which is never asked: what it writes is. */
let project: Server;
before(async () => {
  project = await serve("trusted", {}, {}, repository, "", FILES);
});

function manifest(format: string, directory = project.directory): string {
  const file = join(top, `${format}.json`);
  freshql("--dir", directory, "manifest", "--format", format, "--out", file);
  return file;
}

async function ask(server: Server, body: object): Promise<any> {
  const headers = { "content-type": "application/json" };
  return (await fetch(`${server.url}/graphql`, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

for (const typename of [true, false]) {
  test(`Apollo's own links take the manifest${typename ? "" : ", once it is pushed where `typename` is not set"}`, async () => {
    const server = await serve("trusted", {}, TOKEN, repository, `typename = ${typename}\n`, FILES);
    const file = manifest("apollo", server.directory);
    if (!typename) assert.match(freshql("push", file, "--to", server.url), /^\d+ new, \d+ known, 0 refused\n$/);
    const loadManifest = () => JSON.parse(readFileSync(file, "utf8"));
    const complaints: unknown[] = [];
    const { fetch, requests } = recording();
    const client = new ApolloClient({
      cache: new InMemoryCache(),
      link: ApolloLink.from([
        // Its types are those of the CommonJS build.
        createPersistedQueryManifestVerificationLink({ loadManifest, onVerificationFailed: ({ reason }) => complaints.push(reason) }) as unknown as ApolloLink,
        new PersistedQueryLink({ ...generatePersistedQueryIdsFromManifest({ loadManifest }), useGETForHashedQueries: true }),
        new HttpLink({ uri: `${server.url}/graphql`, fetch }),
      ]),
    });
    const { data } = await client.query<any>({ query: gql(PAGE + CARD) });
    assert.equal(data.products.nodes.length, 2);
    const { id, merchant } = data.products.nodes[0];
    assert.ok(`Merchant:${merchant.id}` in (client.extract() as object), "the cache knows rows by their types");
    await client.mutate({ mutation: gql(RENAME), variables: { id, name: "by a manifest" } });
    assert.equal((client.extract() as any)[`Product:${id}`].name, "by a manifest");
    assert.deepEqual(requests.map(({ method, status }) => [method, status]), [["GET", 200], ["POST", 200]], "each by its id, at the first try");
    // That link compares texts byte for byte as Apollo prints them, and a query file has comments and lines of its own: docs/clients/apollo.md.
    assert.deepEqual(new Set(complaints), new Set(["OperationMismatch"]));
  });
}

test("relay-compiler adds what it finds to a manifest that we wrote, and the server answers to all of it", async () => {
  const directory = join(top, "relay");
  const file = join(directory, "relay.json");
  write(join(directory, "schema.graphql"), await (await fetch(`${(await serve("open")).url}/schema.graphql`)).text());
  const own = readFileSync(manifest("relay"), "utf8");
  write(file, own);
  write(join(directory, "src/list.ts"), 'import { graphql } from "relay-runtime";\nexport const list = graphql`query listQuery($first: Int) { products(first: $first) { totalCount } }`;\n');
  write(join(directory, "relay.config.json"), JSON.stringify({ src: "./src", language: "typescript", schema: "./schema.graphql", eagerEsModules: true, persistConfig: { file: "./relay.json", algorithm: "MD5" } }));
  execFileSync(process.execPath, [bin("relay-compiler/cli.js"), "relay.config.json"], { cwd: directory, stdio: ["ignore", "ignore", "inherit"] });

  const known = JSON.parse(own) as Record<string, string>;
  const all = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;
  assert.deepEqual({ ...all, ...known }, all, "nothing of ours was lost");
  const [added, ...more] = Object.keys(all).filter((id) => !(id in known));
  assert.match(added!, /^[0-9a-f]{32}$/);
  assert.equal(more.length, 0);
  const artifact = readFileSync(join(directory, "src/__generated__/listQuery.graphql.ts"), "utf8");
  assert.ok(artifact.includes(added!), "the artifact asks by this id");

  const server = await serve("trusted", {}, TOKEN);
  const pushed = freshql("push", file, "--to", server.url);
  assert.match(pushed, /, 0 refused\n$/);
  assert.ok((await ask(server, { doc_id: added, variables: { first: null } })).data.products.totalCount > 0);
  const page = Object.keys(known).find((id) => known[id]!.startsWith("query Page"))!;
  assert.equal((await ask(server, { doc_id: page, variables: { first: 1 } })).data.products.nodes.length, 1);
});

test("the client preset reads the documents of a manifest that we wrote; its ids and ours are answered", async () => {
  const sdl = await (await fetch(`${(await serve("open")).url}/schema.graphql`)).text();
  const schema = buildSchema(sdl);
  const own = JSON.parse(readFileSync(manifest("codegen"), "utf8")) as Record<string, string>;
  const sections = await preset.buildGeneratesSection({
    baseOutputDir: "gql/",
    schema: parse(printSchema(schema)),
    schemaAst: schema,
    documents: Object.entries(own).map(([location, text]) => ({ location, rawSDL: text, document: parse(text) })),
    config: {},
    documentTransforms: [],
    // With nothing said, the hash is the generator's own: `sha256:…`, or sha1 in older ones.
    presetConfig: { fragmentMasking: false, persistedDocuments: true },
    plugins: [],
    pluginMap: {},
  });
  const generated = new Map<string, string>();
  for (const section of sections) generated.set(section.filename, await codegen(section));
  assert.match(generated.get("gql/graphql.ts")!, /export const PageDocument/);
  const file = join(top, "persisted-documents.json");
  write(file, generated.get("gql/persisted-documents.json")!);
  const theirs = JSON.parse(readFileSync(file, "utf8")) as Record<string, string>;

  // Our ids need no push where the files are; theirs name the texts that the generator prints.
  const server = await serve("trusted", {}, TOKEN, repository, "", FILES);
  const named = (texts: Record<string, string>) => Object.keys(texts).find((id) => /query Page\b/.test(texts[id]!))!;
  assert.match(named(own), /^x-blake3:[0-9a-f]{64}$/);
  assert.match(freshql("push", file, "--to", server.url), /, 0 refused\n$/);
  for (const id of [named(own), named(theirs)]) {
    assert.equal((await ask(server, { documentId: id, variables: {} })).data.products.nodes.length, 2, id);
    const got = await fetch(`${server.url}/q/${encodeURIComponent(id)}?variables=${encodeURIComponent('{"first":1}')}`);
    assert.equal(((await got.json()) as any).data.products.nodes.length, 1, id);
  }
});

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
