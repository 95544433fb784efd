/** The package's command, on the SDL and on introspection. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { documentId, scalars } from "freshql-client/codegen";
import { serve, type Server } from "./server.js";

const run = promisify(execFile);
const cli = fileURLToPath(import.meta.resolve("freshql-client/apollo").replace("apollo.js", "cli.js"));

let server: Server;
before(async () => {
  server = await serve("open");
});

test("the command tells what is a row and what is a list, from SDL, URL and introspection alike", async () => {
  const out = join(server.directory, "generated/of the api/shape.mjs");
  await run(process.execPath, [cli, "schema", `${server.url}/schema.graphql`, "--out", out]);
  const shape = await import(pathToFileURL(out).href);
  assert.deepEqual({ ...shape }, {
    entities: ["Merchant", "Product", "Review"],
    connections: { Query: ["merchants", "products", "reviews"], Merchant: ["products"], Product: ["reviews"] },
    keyless: ["MerchantConnection", "MerchantEdge", "PageInfo", "ProductConnection", "ProductEdge", "ReviewConnection", "ReviewEdge"],
  });
  const text = await readFile(out, "utf8");
  const { stdout } = await run(process.execPath, [cli, "schema", `${server.url}/graphql`]);
  assert.equal(stdout, text);
});

test("the command says what is wrong", async () => {
  for (const [args, message] of [
    [["schema"], /Usage/],
    [["schema", "/no/such/file"], /no such file/],
    [["schema", `${server.url}/nothing.graphql`], /404/],
  ] as const) {
    await assert.rejects(run(process.execPath, [cli, ...args]), (error: { code: number; stderr: string }) => error.code === 1 && message.test(error.stderr));
  }
});

test("every scalar of the API is there for a code generator", async () => {
  const sdl = await (await fetch(`${server.url}/schema.graphql`)).text();
  for (const [, name] of sdl.matchAll(/^scalar (\w+)/gm)) assert.ok(name! in scalars, name);
  assert.equal(documentId("{ a }").length, 64);
});
