/** The program itself on a fresh copy of the demo (or another project), with documents of the tests' own. */
import { type ChildProcess, spawn } from "node:child_process";
import { createHmac } from "node:crypto";
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { after } from "node:test";
import { fileURLToPath } from "node:url";

/** Where the repository is: this file runs from `clients/js/build/test`. */
export const repository = fileURLToPath(new URL("../../../..", import.meta.url));
export const program = resolve(process.env["FRESHQL_BIN"] ?? join(repository, "target/debug/freshql"));

export interface Server {
  readonly url: string;
  readonly directory: string;
  /** Runs what no client of ours asks. */
  run(query: string, variables?: object): Promise<any>;
  stop(): Promise<void>;
}

const running = new Map<ChildProcess, () => Promise<void>>();

// Here, as the runner would take one that is added within `before` for that hook's own.
after(() => Promise.all([...running.values()].map((stop) => stop())));

/** What the demo's tokens are signed with here. */
const SECRET = "a secret of the tests, thirty-two bytes or more";

/** The token of somebody with these claims, as the demo's `[auth]` wants it. */
export function token(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const said = { iss: "https://market.example/", aud: "market", exp: Math.floor(Date.now() / 1000) + 3600, ...claims };
  const signed = `${part({ alg: "HS256", typ: "JWT" })}.${part(said)}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

// In the demo everybody reads, and an editor writes: what these tests POST, an editor does, where they do not say otherwise.
const plainFetch = globalThis.fetch;
const editor = `Bearer ${token({ sub: "eve", roles: ["editor"] })}`;
globalThis.fetch = (input, init) => {
  if (init?.method !== "POST") return plainFetch(input, init);
  const headers = new Headers(init.headers);
  if (!headers.has("authorization")) headers.set("authorization", editor);
  return plainFetch(input, { ...init, headers });
};

/** Starts a server; it ends with the tests of this file. */
export async function serve(mode: "open" | "apq" | "trusted", documents: Record<string, string> = {}, settings: Record<string, string> = {}, project = repository, configuration = "", files: Record<string, string> = {}): Promise<Server> {
  const directory = await mkdtemp(join(tmpdir(), "freshql-client-"));
  for (const name of ["schema.graphql", "migrations", "queries"]) {
    await cp(join(project, name), join(directory, name), { recursive: true });
  }
  await mkdir(join(directory, "queries/tests"), { recursive: true });
  for (const [name, text] of Object.entries(documents)) {
    await writeFile(join(directory, `queries/tests/${name}.graphql`), text);
  }
  // Of the demo's configuration, who asks.
  const auth = project === repository ? (await readFile(join(project, "freshql.toml"), "utf8")).replace(/^[^]*\n(?=\[auth\])/, "\n") : "";
  for (const [name, text] of Object.entries({ "freshql.toml": configuration + auth, ...files })) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), text);
  }
  const environment = { FRESHQL_LISTEN: "127.0.0.1:0", FRESHQL_MIGRATE: "true", FRESHQL_MODE: mode, FRESHQL_JWT_SECRET: SECRET, ...settings };
  const child = spawn(program, [], { cwd: directory, env: environment, stdio: ["ignore", "ignore", "pipe"] });
  const url = await new Promise<string>((found, failed) => {
    let log = "";
    child.stderr!.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      const address = /listening on (http:\/\/[^\s]+)/.exec(log)?.[1];
      if (address) found(address);
    });
    child.on("exit", () => failed(new Error(`the server ended: ${log}`)));
    child.on("error", failed);
  });
  const stop = async () => {
    if (running.delete(child)) {
      child.kill("SIGKILL");
      await new Promise((ended) => child.once("exit", ended));
    }
    await rm(directory, { recursive: true, force: true });
  };
  running.set(child, stop);
  const run = async (query: string, variables: object = {}) => {
    const body = JSON.stringify({ query, variables });
    const response = await fetch(`${url}/graphql`, { method: "POST", headers: { "content-type": "application/json" }, body });
    return (await response.json() as { data: unknown }).data;
  };
  return { url, directory, run, stop };
}

/** A `fetch` that notes what it is asked. */
export function recording(inner: typeof fetch = fetch) {
  const requests: { method: string; url: URL; headers: Headers; body: string | null; status: number }[] = [];
  const record: typeof fetch = async (input, init) => {
    const response = await inner(input, init);
    const url = new URL(String(input), "http://same.origin");
    const headers = new Headers(init?.headers);
    requests.push({ method: init?.method ?? "GET", url, headers, body: (init?.body as string | undefined) ?? null, status: response.status });
    return response;
  };
  return { fetch: record, requests };
}

/** A shared cache on the way: what it has of a frozen URL it gives for ever, as a CDN that nobody purges. */
export function cdn(inner: typeof fetch = fetch) {
  const kept = new Map<string, Response>();
  const frozen = new Set<string>();
  let served = 0;
  const through: typeof fetch = async (input, init) => {
    const key = String(input);
    if ((init?.method ?? "GET") !== "GET") return inner(input, init);
    if ([...frozen].some((part) => key.includes(part)) && kept.has(key)) {
      served++;
      return kept.get(key)!.clone();
    }
    const response = await inner(input, init);
    kept.set(key, response.clone());
    return response;
  };
  return { fetch: through, freeze: (part: string) => void frozen.add(part), served: () => served };
}

/** The same numbers for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

/** A CDN that gives what it has as often as not. */
export function forgetful(random: () => number): typeof fetch {
  const kept = new Map<string, Response>();
  return async (input, init) => {
    const key = String(input);
    if (init?.method !== "GET") return fetch(input, init);
    if (kept.has(key) && random() < 0.5) return kept.get(key)!.clone();
    const response = await fetch(input, init);
    kept.set(key, response.clone());
    return response;
  };
}

/** Waits until it holds. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!holds()) {
    if (Date.now() > deadline) throw new Error(`it never came to be: ${what}`);
    await new Promise((resume) => setTimeout(resume, 5));
  }
}
