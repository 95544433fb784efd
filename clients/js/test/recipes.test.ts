/**
 * The pages of `docs/clients`, and this package's README, do what they say: their blocks are written to files under the names
 * that stand beside the language, compiled together, and used against a server.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ApolloClient, gql, InMemoryCache } from "@apollo/client";
import { preset } from "@graphql-codegen/client-preset";
import { codegen } from "@graphql-codegen/core";
import { QueryClient } from "@tanstack/react-query";
import { FreshqlLink } from "freshql-client/apollo";
import { documentId } from "freshql-client/codegen";
import { buildSchema, parse, printSchema } from "graphql";
import { program, repository, serve, type Server } from "./server.js";

/** Within the package, where Node and TypeScript find it and its packages. */
const top = fileURLToPath(new URL("../recipes", import.meta.url));
const packageTop = fileURLToPath(new URL("../..", import.meta.url));
const bin = (name: string) => join(packageTop, "node_modules", name);
const node = (directory: string, ...command: string[]) => execFileSync(process.execPath, command, { cwd: directory, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });

let demo: Server;
let globalIds: string;
const pages = readdirSync(join(repository, "docs/clients")).filter((name) => name !== "README.md");
const files = [...pages.map((page) => join("docs/clients", page)), "README.md", "clients/js/README.md"];

before(async () => {
  demo = await serve("open");
  rmSync(top, { recursive: true, force: true });
  for (const file of files) {
    for (const [name, text] of blocks(join(repository, file))) write(join(directoryOf(file), name), text);
  }
  // The commands that the pages tell to run first.
  for (const page of ["docs/clients/apollo.md", "docs/clients/urql.md", "README.md", "clients/js/README.md"]) {
    node(directoryOf(page), join(packageTop, "dist/cli.js"), "schema", `${demo.url}/schema.graphql`, "--out", "freshql.schema.ts");
  }
  const relay = directoryOf("relay.md");
  globalIds = readFileSync(join(relay, "freshql.toml"), "utf8");
  const global = await serve("open", {}, {}, repository, globalIds);
  write(join(relay, "schema.graphql"), await (await fetch(`${global.url}/schema.graphql`)).text());
  // Relay's compiler looks for the directory of a repository.
  node(relay, bin("relay-compiler/cli.js"), "relay.config.json");
  // What Next.js itself adds; it is too large to be installed for this.
  write(join(directoryOf("nextjs.md"), "next.d.ts"), 'interface RequestInit { next?: { revalidate?: number | false; tags?: string[] } }\ndeclare module "next/cache" { export function updateTag(tag: string): void; }\n');
  const options = { strict: true, module: "nodenext", target: "es2022", lib: ["es2022", "dom", "dom.iterable"], jsx: "react-jsx", skipLibCheck: true, types: ["node"], outDir: join(top, "out"), rootDir: top, noUncheckedIndexedAccess: true };
  write(join(top, "tsconfig.json"), JSON.stringify({ compilerOptions: options, include: ["**/*"], exclude: ["out"] }));
  node(top, bin("typescript/bin/tsc"), "-p", ".");
});

const directoryOf = (file: string) => join(top, file.replace("docs/clients/", "").replace(".md", ""));
const load = (page: string, name: string) => import(pathToFileURL(join(top, "out", page, name)).href);
const change = (id: string, patch: object) => demo.run("mutation M($id: ID!, $patch: ProductPatch!) { updateProduct(id: $id, patch: $patch) { etag } }", { id, patch });
async function anyProduct() {
  const { products } = await demo.run("{ products(first: 1, orderBy: [{ id: ASC }]) { nodes { id etag name price } } }");
  return products.nodes[0] as { id: string; etag: string; name: string; price: string };
}

for (const [file, directory] of [["README.md", "README"], ["clients/js/README.md", "clients/js/README"]] as const) {
  test(`${file}: each client reads a product`, async () => {
    const { id, name } = await anyProduct();
    const { client: apollo } = await load(directory, "apollo.js");
    const query = gql`query One($id: ID!) { product(id: $id) { id name } }`;
    assert.equal((await apollo.query({ query, variables: { id } })).data.product.name, name);
    const { client: urql } = await load(directory, "urql.js");
    assert.equal((await urql.query(query, { id }).toPromise()).data.product.name, name);
    const { names } = await load(directory, "fetch.js");
    assert.equal(names.products.nodes.length, 3);
  });
}

test("clients/js/README.md: a conflict is decided by asking", async () => {
  const { changePrice } = await load("clients/js/README", "conflict.js");
  const { client } = await load("clients/js/README", "apollo.js");
  const product = await anyProduct();
  await change(product.id, { price: "8.00" });
  const asked: string[] = [];
  Object.assign(globalThis, { window: { confirm: (text: string) => asked.push(text) > 0 } });
  await changePrice(client, product, "9.00");
  assert.deepEqual(asked, ["It costs 8.00 now. Go on?"]);
  assert.equal((await anyProduct()).price, "9.00");
});

test("apollo.md", async () => {
  const { client } = await load("apollo", "client.js");
  const { NAMES, PRODUCT } = await load("apollo", "product.js");
  const { save } = await load("apollo", "save.js");
  const { id, name } = await anyProduct();
  const { data } = await client.query({ query: PRODUCT, variables: { id } });
  assert.equal(data.product.name, name);
  await change(id, { price: "3.00" });
  const saved = await save(data.product, { price: "4.00" }, async (current: { price: string }) => {
    assert.equal(current.price, "3.00");
    return { price: "5.00" };
  });
  assert.equal(saved.price, "5.00");
  assert.equal((await client.query({ query: NAMES, variables: {} })).data.products.nodes.length, 5);
});

test("urql.md", async () => {
  const { product, rename } = await load("urql", "save.js");
  const { id } = await anyProduct();
  const read = await product(id);
  await change(id, { price: "6.00" });
  assert.deepEqual({ ...(await rename(read, "renamed")), __typename: 0, etag: 0 }, { __typename: 0, id, etag: 0, name: "renamed", price: "6.00" });
});

test("tanstack-query.md", async () => {
  const { productOptions } = await load("tanstack-query", "Product.js");
  const { id, name } = await anyProduct();
  const client = new QueryClient();
  const first = await client.fetchQuery(productOptions(id)) as { product: { name: string } };
  assert.equal(first.product.name, name);
  assert.equal(await client.fetchQuery({ ...productOptions(id), staleTime: 0 }), first);
});

test("nextjs.md", async () => {
  const { names } = await load("nextjs", "products.js");
  assert.equal((await names(2)).products.nodes.length, 2);
});

test("relay.md", async () => {
  const relay = directoryOf("relay.md");
  const manifest = readFileSync(join(relay, "queries/relay.json"), "utf8");
  assert.equal(Object.keys(JSON.parse(manifest)).length, 3);
  const server = await serve("trusted", {}, {}, repository, globalIds, { "queries/relay.json": manifest });
  await useRelay("relay", server);
});

test("relay.md: the compiler registers what it finds at a server that runs", async () => {
  const relay = directoryOf("relay.md");
  const server = await serve("trusted", {}, { FRESHQL_ADMIN_TOKEN: "s3cret" }, repository, globalIds);
  const other = join(top, "relay-url");
  cpSync(join(relay, "schema.graphql"), join(other, "schema.graphql"));
  for (const name of ["environment.ts", "product.ts", "save.ts"]) cpSync(join(relay, "src", name), join(other, "src", name));
  write(join(other, "relay.config.json"), readFileSync(join(relay, "relay.url.config.json"), "utf8").replaceAll(demo.url, server.url));
  node(other, bin("relay-compiler/cli.js"), "relay.config.json");
  node(top, bin("typescript/bin/tsc"), "-p", ".");
  await useRelay("relay-url", server);
});

/** A page, the next page of a list in it, and a mutation, as Relay's hooks have it. */
async function useRelay(directory: string, server: Server) {
  // The page's server is another here: its URL was written before this one was known.
  const file = join(top, "out", directory, "src/environment.js");
  writeFileSync(file, readFileSync(file, "utf8").replace(demo.url, server.url));
  // For Node; bundlers do without.
  const artifacts = join(top, "out", directory, "src/__generated__");
  for (const name of readdirSync(artifacts)) {
    const text = readFileSync(join(artifacts, name), "utf8");
    writeFileSync(join(artifacts, name), text.replace(/(from '.*\.graphql)'/g, "$1.js'").replace(/(from ".*\.graphql)"/g, '$1.js"'));
  }
  const { environment } = await load(directory, "src/environment.js");
  const { commitMutation, createOperationDescriptor, fetchQuery, getPaginationMetadata, getPaginationVariables, getRequest, getSelector } = await import("relay-runtime") as any;
  const generated = async (name: string) => (await load(directory, `src/__generated__/${name}.graphql.js`)).default;
  const [page, fragment, rename] = [await generated("productPageQuery"), await generated("product_reviews"), await generated("productRenameMutation")];

  // A product with more reviews than one page has.
  const admin = await serve("open", {}, {}, repository, globalIds);
  const found = await admin.run("{ products { nodes { id reviews { totalCount } } } }");
  const { id } = found.products.nodes.find((product: any) => product.reviews.totalCount > 3);
  const operation = createOperationDescriptor(getRequest(page), { id });
  environment.retain(operation);
  await fetchQuery(environment, page, { id }).toPromise();
  const product = environment.lookup(operation.fragment).data.product;
  const selector = getSelector(fragment, product);
  const read = () => environment.lookup(selector).data.reviews;
  assert.equal(read().edges.length, 2);
  assert.ok(read().pageInfo.hasNextPage);

  // What usePaginationFragment's loadNext does; `where` was never given, so Relay sends null.
  const { paginationRequest, paginationMetadata } = getPaginationMetadata(fragment, "loadNext");
  const variables = getPaginationVariables("forward", 2, read().pageInfo.endCursor, { ...selector.variables, where: null }, {}, paginationMetadata);
  await fetchQuery(environment, paginationRequest, { ...variables, id: product.id }).toPromise();
  const ids = read().edges.map((edge: any) => edge.node.id);
  assert.equal(new Set(ids).size, 4, "the second page is behind the first");

  const renamed = await new Promise<any>((onCompleted, onError) =>
    commitMutation(environment, { mutation: rename, variables: { id, patch: { name: "by Relay" }, expectedEtag: product.etag }, onCompleted, onError }),
  );
  assert.equal(renamed.updateProduct.name, "by Relay");
  assert.equal(environment.lookup(operation.fragment).data.product.name, "by Relay");

  // Its `etag` has been used up, and the row that has another one is shown.
  const { save } = await load(directory, "src/save.js");
  const asked: any[] = [];
  const stale = { id, patch: { name: "late" }, expectedEtag: product.etag };
  const saved = await save(rename, stale, async (current: any) => (asked.push(current), { name: `${current.name}, then by hand` }));
  assert.deepEqual([asked.length, asked[0].id], [1, id]);
  assert.equal(saved.updateProduct.name, "by Relay, then by hand");
  await assert.rejects(save(rename, stale, async () => null), /has changed since it was read/);
}

test("codegen.md", async () => {
  const { default: config } = await load("codegen", "codegen.js");
  const target = config.generates["src/gql/"];
  const schema = buildSchema(await (await fetch(config.schema)).text());
  const source = "query Weighed($where: ProductWhere) { products(where: $where, first: 2) { nodes { id etag price createdAt } } }";
  // As the generator's own command does it.
  const sections = await preset.buildGeneratesSection({
    baseOutputDir: "src/gql/",
    schema: parse(printSchema(schema)),
    schemaAst: schema,
    documents: [{ location: "src/weighed.ts", rawSDL: source, document: parse(source) }],
    // For Node; bundlers do without.
    config: { ...target.config, emitLegacyCommonJSImports: false },
    documentTransforms: target.documentTransforms.map((transformObject: object) => ({ name: "typename", transformObject })),
    presetConfig: target.presetConfig,
    plugins: [],
    pluginMap: {},
  });
  for (const section of sections) write(join(top, "codegen", section.filename), await codegen(section));
  node(top, bin("typescript/bin/tsc"), "-p", ".");

  const types = readFileSync(join(top, "codegen/src/gql/graphql.ts"), "utf8");
  assert.match(types, /price: string/);
  const persisted = JSON.parse(readFileSync(join(top, "codegen/src/gql/persisted-documents.json"), "utf8")) as Record<string, string>;
  assert.deepEqual(Object.keys(persisted), Object.values(persisted).map(documentId));
  const server = await serve("trusted", persisted);
  const { WeighedDocument } = await load("codegen", "src/gql/graphql.js");
  const client = new ApolloClient({ cache: new InMemoryCache(), link: new FreshqlLink({ url: server.url }) });
  const { data } = await client.query<any>({ query: WeighedDocument, variables: {} });
  assert.equal(data.products.nodes.length, 2);
  assert.ok(`Product:${data.products.nodes[0].id}` in (client.extract() as object), "the cache has the row");
});

test("updated-at.md", async () => {
  const server = await project("updated-at");
  const { createNote: note } = await server.run('mutation { createNote(input: {text: "a"}) { id etag updatedAt } }');
  await new Promise((resume) => setTimeout(resume, 5));
  const text = readFileSync(join(server.directory, "queries/SaveNote.graphql"), "utf8");
  const { updateNote: saved } = await server.run(text, { id: note.id, text: "b", expectedEtag: note.etag });
  assert.ok(saved.updatedAt > note.updatedAt, `${saved.updatedAt} after ${note.updatedAt}`);
  const { note: read } = await server.run("query N($id: ID!) { note(id: $id) { etag updatedAt } }", { id: note.id });
  assert.deepEqual(read, { etag: saved.etag, updatedAt: saved.updatedAt });
});

test("many-to-many.md", async () => {
  const server = await project("many-to-many");
  const query = (name: string) => readFileSync(join(server.directory, `queries/${name}.graphql`), "utf8");
  const { createProduct: tea, createTag: green } = await server.run('mutation { createProduct(input: {name: "Sencha"}) { id } createTag(input: {label: "green"}) { id } }');
  await server.run(query("TagProduct"), { productId: tea.id, tagId: green.id });
  const tagged = async () => (await server.run(query("ProductsWithTag"), { label: "green" })).tagByLabel.products.nodes;
  const [{ id, product }] = await tagged();
  assert.deepEqual([product.name, product.tags.nodes[0].tag.label], ["Sencha", "green"]);
  const { products } = await server.run('{ products(where: { tags: { some: { tag: { label: { eq: "green" } } } } }) { totalCount } }');
  assert.equal(products.totalCount, 1);
  await server.run(query("UntagProduct"), { id });
  assert.deepEqual(await tagged(), []);
});

/** A project of a page's own, made as the page says. */
async function project(page: string): Promise<Server> {
  const directory = join(top, page);
  const own = join(directory, "project");
  mkdirSync(join(own, "migrations"), { recursive: true });
  cpSync(join(directory, "schema.graphql"), join(own, "schema.graphql"));
  execFileSync(program, ["migrate", "new", "create"], { cwd: own, env: {} });
  for (const name of ["migrations", "queries"]) {
    cpSync(join(directory, name), join(own, name), { recursive: true, filter: (source) => source !== join(directory, name) || readdirSync(directory).includes(name) });
  }
  execFileSync(program, ["check"], { cwd: own, env: {} });
  return serve("open", {}, {}, own);
}

/** The blocks of a page that have a name. The server that it speaks of is the one that runs. */
function blocks(file: string): [name: string, text: string][] {
  const page = readFileSync(file, "utf8");
  const found = [...page.matchAll(/^```\w+ (\S+)\n(.*?)^```$/gms)].map(([, name, text]): [string, string] => [name!, text!.replaceAll("http://127.0.0.1:8080", demo.url)]);
  assert.ok(found.length > 0, `${file}: no block has a name`);
  return found;
}

function write(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
