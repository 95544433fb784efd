#!/usr/bin/env node
/** `freshql-client schema SOURCE [--out FILE]`: what the adapters need to know of an API, from its SDL or introspection. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { buildClientSchema, buildSchema, getIntrospectionQuery, type GraphQLSchema, type IntrospectionQuery } from "graphql";
import { shapeModule, shapeOf } from "./schema.js";

const USAGE = `Usage: freshql-client schema SOURCE [--out FILE]

Writes which types of the API are rows and which fields are lists, for typePolicies() and Graphcache.

  SOURCE      a file with the SDL (\`freshql schema\` prints it) or with the answer to an introspection query;
              or a URL: of the SDL, such as http://127.0.0.1:8080/schema.graphql, or of a GraphQL endpoint
  --out FILE  where to write: a TypeScript module, which is JavaScript, too; default: standard output
`;

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { out: { type: "string" }, help: { type: "boolean", short: "h" } } });
  const [command, source, ...rest] = positionals;
  if (values.help) return void process.stdout.write(USAGE);
  if (command !== "schema" || source === undefined || rest.length > 0) throw new Error(USAGE);
  const text = shapeModule(shapeOf(await load(source)));
  if (values.out === undefined) process.stdout.write(text);
  else {
    await mkdir(dirname(values.out), { recursive: true });
    await writeFile(values.out, text);
  }
}

async function load(source: string): Promise<GraphQLSchema> {
  const text = /^https?:/.test(source) ? await download(source) : await readFile(source, "utf8");
  if (!text.trimStart().startsWith("{")) return buildSchema(text);
  const { data, ...bare } = JSON.parse(text) as { data?: IntrospectionQuery };
  return buildClientSchema(data ?? (bare as IntrospectionQuery));
}

async function download(url: string): Promise<string> {
  const isSdl = new URL(url).pathname.endsWith(".graphql");
  const body = JSON.stringify({ query: getIntrospectionQuery() });
  const post = { method: "POST", headers: { "content-type": "application/json" }, body };
  const response = await fetch(url, isSdl ? {} : post);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}: ${response.status} ${text.slice(0, 300)}`);
  return text;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});
