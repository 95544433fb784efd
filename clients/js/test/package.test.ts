/** The package as npm publishes it, in a project that is not this one. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { repository } from "./server.js";

const source = fileURLToPath(new URL("../..", import.meta.url));
// Below `clients/js`, so that the peers, which are installed there, are found.
const project = join(source, "build/consumer");
const installed = join(project, "node_modules/freshql-client");
const manifest = JSON.parse(readFileSync(join(source, "package.json"), "utf8"));
const entries = Object.entries(manifest.exports as Record<string, string>).filter(([, file]) => file.endsWith(".js"));

before(() => {
  rmSync(project, { recursive: true, force: true });
  mkdirSync(installed, { recursive: true });
  // `prepack` has been done: it is how these tests were compiled.
  const packed = execFileSync("npm", ["pack", "--ignore-scripts", "--json", "--pack-destination", project], { cwd: source, encoding: "utf8", shell: process.platform === "win32" });
  const [{ filename }] = JSON.parse(packed);
  execFileSync("tar", ["-xzf", join(project, filename), "-C", installed, "--strip-components=1"]);
});

/** What a compiled module imports, by name. */
function imports(file: string): string[] {
  const text = readFileSync(file, "utf8");
  return [...text.matchAll(/^(?:import|export)\b[^;]*?from "([^"]+)"|^import "([^"]+)"|\bimport\("([^"]+)"\)/gm)].map(([, a, b, c]) => (a ?? b ?? c)!);
}

/** All modules that an entry reaches, and what they import from elsewhere. */
function reach(entry: string) {
  const files = new Set<string>();
  const outside = new Set<string>();
  const visit = (file: string) => {
    if (files.has(file)) return;
    files.add(file);
    for (const name of imports(file)) {
      if (name.startsWith(".")) visit(join(dirname(file), name));
      else outside.add(name);
    }
  };
  visit(join(installed, entry));
  return { files, outside };
}

const packageOf = (name: string) => name.split("/").slice(0, name.startsWith("@") ? 2 : 1).join("/");

test("it holds what it needs and nothing else", () => {
  assert.deepEqual(readdirSync(installed).sort(), ["LICENSE-APACHE", "LICENSE-MIT", "README.md", "dist", "package.json", "src"]);
  for (const name of ["LICENSE-APACHE", "LICENSE-MIT"]) {
    assert.equal(readFileSync(join(installed, name), "utf8"), readFileSync(join(repository, name), "utf8"), name);
  }
  assert.equal(manifest.dependencies, undefined);
  // A link on npm's page leads somewhere.
  for (const [, target] of readFileSync(join(installed, "README.md"), "utf8").matchAll(/\]\(([^)#]+)\)/g)) {
    assert.ok(/^https?:/.test(target!) || existsSync(join(installed, target!)), target);
  }
});

test("no module imports what the package does not declare, and no entry more than it is for", () => {
  const declared = Object.keys(manifest.peerDependencies);
  const allowed: Record<string, string[]> = {
    ".": [], "./fetch": [], "./codegen": [], "./schema": ["graphql"],
    "./apollo": ["@apollo/client", "graphql"], "./urql": ["@urql/core", "@urql/exchange-graphcache", "graphql", "wonka"],
  };
  for (const [name, file] of entries) {
    const { outside } = reach(file);
    const packages = [...outside].map(packageOf).filter((used) => !used.startsWith("node:") && !builtinModules.includes(used));
    for (const used of packages) assert.ok(declared.includes(used), `${name} imports ${used}`);
    assert.ok(name in allowed, `a new entry ${name}`);
    for (const used of packages) assert.ok(allowed[name]!.includes(used), `${name} imports ${used}`);
    if (name !== "./schema") assert.equal([...outside].some((used) => used.startsWith("node:")), false, `${name} runs in browsers`);
  }
  assert.equal(manifest.sideEffects, false, "bundlers leave out what nobody uses");
});

test("its types are found, and hold, however a project resolves modules", () => {
  const names = entries.map(([name]) => name);
  const lines = names.map((name, at) => `import * as module${at} from "freshql-client${name.slice(1)}";`);
  writeFileSync(join(project, "all.ts"), `${lines.join("\n")}\nexport const all = [${names.map((_, at) => `module${at}`).join(", ")}];
import { createClient } from "freshql-client/fetch";
export const names: Promise<{ id: string }[]> = createClient().data<{ id: string }[]>("{ x }");
// @ts-expect-error Types are known, or this would be no mistake.
export const wrong: number = createClient();
`);
  writeFileSync(join(project, "package.json"), '{ "type": "module", "private": true }\n');
  for (const [resolution, module] of [["bundler", "esnext"], ["node16", "node16"], ["nodenext", "nodenext"]]) {
    // Without the types of Node: nothing in a browser's project brings them.
    const compilerOptions = { noEmit: true, strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: true, target: "es2022", lib: ["es2022", "dom", "dom.iterable"], types: [], module, moduleResolution: resolution };
    writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["all.ts"] }));
    const command = [join(source, "node_modules/typescript/bin/tsc"), "-p", "."];
    execFileSync(process.execPath, command, { cwd: project, stdio: ["ignore", "inherit", "inherit"] });
  }
});

test("its command runs", () => {
  const help = execFileSync(process.execPath, [join(installed, manifest.bin["freshql-client"]), "--help"], { encoding: "utf8" });
  assert.match(help, /^Usage: freshql-client schema/);
});
