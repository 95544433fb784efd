/**
 * How operations are sent: a query as `GET /q/{id}`, so that every cache on the way can store the answer; a mutation, or
 * a query that is too long for a URL, by POST. An unregistered document is registered with the request if the server
 * allows that (modes `open` and `apq`); otherwise, there is a clear error.
 *
 * This is independent of GraphQL clients: `apollo.ts`, `urql.ts` and `fetch.ts` pass their operations to it.
 */
import type { VariableDefinitionNode } from "graphql";
import { documentId } from "./blake3.js";
import { canonicalVariables, encodeComponent, type Variables } from "./canonical.js";
import { type GraphqlError, HttpError } from "./errors.js";

/** Apollo's manifest, as written by `freshql manifest` and `@apollo/generate-persisted-query-manifest`. */
export interface ApolloManifest {
  readonly format?: string;
  readonly version?: number;
  readonly operations: readonly { readonly id: string; readonly name: string; readonly type?: string; readonly body?: string }[];
}

/** The ids of documents, by the names of their operations. */
export type Manifest = ApolloManifest | Readonly<Record<string, string>>;

/** The options of all clients. */
export interface TransportOptions {
  /** The server's URL, such as `https://api.example.com`. Default: the page's own origin. */
  readonly url?: string;
  /** The ids of registered documents. The id of any other operation is the blake3 hash of its text. */
  readonly manifest?: Manifest;
  /** Headers for every request, or a function that returns them. On a GET to another origin, most cost a preflight. */
  readonly headers?: HeadersInit | (() => HeadersInit | PromiseLike<HeadersInit>);
  /** As for `fetch`. */
  readonly credentials?: RequestCredentials;
  /** Replaces `fetch`. */
  readonly fetch?: typeof fetch;
  /** The longest URL, in characters; a longer query is sent by POST, which no cache stores. Default 4096. */
  readonly maxUrlLength?: number;
  /** How often a query is repeated if the server is busy (503), after its `Retry-After`. Default 2. */
  readonly retries?: number;
  /** Whether to send the server a document that it does not know. Default true. In mode `trusted`, the server refuses it. */
  readonly register?: boolean;
}

/** One operation. */
export interface Question {
  /** The exact text of its document. May be absent if the id is known. */
  readonly text?: string | undefined;
  /** Its id, unless the manifest or the hash determines it. */
  readonly id?: string | undefined;
  readonly name?: string | undefined;
  /** Whether the document has several operations, so that the name must be in the URL. */
  readonly isOneOfSeveral?: boolean;
  readonly kind: "query" | "mutation";
  readonly variables?: Variables | undefined;
  /** The variable definitions in the document, for the canonical form of variables. */
  readonly definitions?: readonly VariableDefinitionNode[] | undefined;
}

/** How to send it. */
export interface Asking {
  readonly signal?: AbortSignal | null | undefined;
  readonly headers?: HeadersInit | undefined;
  /** Options for `fetch`, such as `cache`, `keepalive`, or Next.js' `next`. */
  readonly init?: RequestInit | undefined;
  /** Whether to bypass all caches and ask the server itself. */
  readonly atOrigin?: boolean;
}

/** A GraphQL response. */
export interface Answer<Data = unknown> {
  readonly data?: Data | null;
  readonly errors?: readonly GraphqlError[];
  readonly extensions?: Readonly<Record<string, unknown>>;
  readonly response: Response;
}

/** A 304 to a request that carried `If-None-Match`. */
export const NOT_MODIFIED = Symbol("304");

const LONGEST_WAIT = 10_000;
// A single media type, so that `extensions.etag` is the ETag at `/graphql` too. The body shows whether there are errors.
const ACCEPT = "application/json";

export class Transport {
  readonly #options: TransportOptions;
  readonly #ids: ReadonlyMap<string, string>;
  /** The sha256 hashes of texts that this server has registered. */
  readonly #learned = new Map<string, string>();
  #isTrusted = false;

  constructor(options: TransportOptions = {}) {
    this.#options = options;
    this.#ids = idsOf(options.manifest);
  }

  /** The id with which the request names its document. */
  id({ id, name, text }: Question): string {
    const known = id ?? (name === undefined ? undefined : this.#ids.get(name));
    if (known !== undefined) return known;
    if (text === undefined) throw new Error(`operation ${name ?? "without a name"}: neither its text nor its id is known`);
    return documentId(text);
  }

  /** The URL of a query; the canonical one, as far as the client can tell. */
  url(question: Question): string {
    const variables = canonicalVariables(question.variables, question.definitions);
    return this.#path(question) + (variables === "{}" ? "" : `?variables=${encodeComponent(variables)}`);
  }

  /** Sends a request and returns the response. Throws {@link HttpError} if that is not a GraphQL response. */
  async ask(question: Question, asking: Asking = {}): Promise<Answer | typeof NOT_MODIFIED> {
    const sha256 = question.text === undefined ? undefined : this.#learned.get(question.text);
    if (sha256 !== undefined) return this.#askLearned(question, asking, sha256);
    const url = question.kind === "query" && !asking.atOrigin ? this.url(question) : undefined;
    const answer =
      url !== undefined && this.#fits(url)
        ? await this.#get(url, asking)
        : await this.#post(this.#path(question), { variables: question.variables }, asking, question.kind);
    if (answer === NOT_MODIFIED || !isMiss(answer)) return answer;
    return this.#afterMiss(question, asking, answer);
  }

  /** The document is not registered: register it with the server, or report why that is refused. */
  async #afterMiss(question: Question, asking: Asking, miss: Answer): Promise<Answer | typeof NOT_MODIFIED> {
    if (question.text !== undefined && this.#options.register !== false && !this.#isTrusted) {
      const sha256 = await sha256Of(question.text);
      const answer = await this.#askLearned(question, asking, sha256);
      if (answer === NOT_MODIFIED || codeOf(answer) !== "PERSISTED_QUERY_REQUIRED") return answer;
      this.#isTrusted = true;
    }
    return { ...miss, errors: [await this.#explain(question, asking, miss)] };
  }

  async #askLearned(question: Question, asking: Asking, sha256: string): Promise<Answer | typeof NOT_MODIFIED> {
    const { name, text, variables, definitions, kind } = question;
    const base = `${this.#base()}/graphql`;
    const extensions = { persistedQuery: { version: 1, sha256Hash: sha256 } };
    if (kind === "query" && !asking.atOrigin && this.#learned.has(text!)) {
      const parameters = [
        ...(name === undefined ? [] : [`operationName=${encodeComponent(name)}`]),
        `variables=${encodeComponent(canonicalVariables(variables, definitions))}`,
        `extensions=${encodeComponent(JSON.stringify(extensions))}`,
      ];
      const url = `${base}?${parameters.join("&")}`;
      const answer = this.#fits(url) ? await this.#get(url, asking) : undefined;
      // The server forgets documents from clients when there are too many, and when it restarts.
      if (answer !== undefined && (answer === NOT_MODIFIED || !isMiss(answer))) return answer;
    }
    const body = { query: text, operationName: name, variables, extensions };
    const answer = await this.#post(base, body, asking, kind);
    if (codeOf(answer) !== "PERSISTED_QUERY_REQUIRED") this.#learned.set(text!, sha256);
    else this.#learned.delete(text!);
    return answer;
  }

  /** With the operation's name in the URL, the server can report the id of another version that it knows. */
  async #explain(question: Question, asking: Asking, miss: Answer): Promise<GraphqlError> {
    const { name } = question;
    const error = miss.errors![0]!;
    let known = error.extensions?.["registeredId"];
    if (known === undefined && name !== undefined && !question.isOneOfSeveral) {
      const answer = await this.#get(this.#path({ ...question, isOneOfSeveral: true }), { ...asking, init: undefined });
      known = answer === NOT_MODIFIED ? undefined : answer.errors?.[0]?.extensions?.["registeredId"];
    }
    const why = known
      ? `the server has an operation of this name with the id ${known}: this client was built from another version of it`
      : "register it with the server, or give the client the manifest of what is registered";
    return {
      ...error,
      message: `operation ${name ?? "without a name"}: no document has the id ${this.id(question)}; ${why}`,
      extensions: { ...error.extensions, ...(known ? { registeredId: known } : {}) },
    };
  }

  #fits(url: string): boolean {
    return url.length <= (this.#options.maxUrlLength ?? 4096);
  }

  #base(): string {
    return (this.#options.url ?? "").replace(/\/+$/, "");
  }

  #path(question: Question): string {
    // The colon of `sha256:…` is allowed in a path.
    const id = encodeComponent(this.id(question)).replaceAll("%3A", ":");
    const name = question.isOneOfSeveral && question.name !== undefined ? `/${encodeComponent(question.name)}` : "";
    return `${this.#base()}/q/${id}${name}`;
  }

  async #get(url: string, asking: Asking): Promise<Answer | typeof NOT_MODIFIED> {
    const response = await this.#fetch(url, { method: "GET" }, asking, "query");
    return response.status === 304 ? NOT_MODIFIED : read(response);
  }

  async #post(url: string, body: object, asking: Asking, kind: Question["kind"]): Promise<Answer> {
    const init = { method: "POST", body: JSON.stringify(body, bigints), headers: { "content-type": "application/json" } };
    return read(await this.#fetch(url, init, asking, kind));
  }

  async #fetch(url: string, init: RequestInit, asking: Asking, kind: Question["kind"]): Promise<Response> {
    const { headers: own, credentials, retries = 2 } = this.#options;
    const headers = new Headers({ accept: ACCEPT });
    for (const more of [typeof own === "function" ? await own() : own, asking.init?.headers, asking.headers, init.headers]) {
      new Headers(more).forEach((value, name) => headers.set(name, value));
    }
    // `If-None-Match` has no meaning on a POST, and would cost a preflight.
    if (init.method === "POST") headers.delete("if-none-match");
    const signal = asking.signal ?? asking.init?.signal ?? null;
    const request = { ...asking.init, ...(credentials ? { credentials } : {}), ...init, headers, signal };
    // The global `fetch` is looked up for each request: tests and frameworks replace it.
    const send = this.#options.fetch ?? globalThis.fetch;
    for (let attempt = 0; ; attempt++) {
      const response = await send(url, request);
      // A mutation may already have taken effect.
      if (response.status !== 503 || kind !== "query" || attempt >= retries) return response;
      await response.body?.cancel();
      await wait(retryAfter(response) * (1 + Math.random() / 4), signal);
    }
  }
}

/** Parses a GraphQL response, whatever its status. */
async function read(response: Response): Promise<Answer> {
  const text = await response.text();
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new HttpError(response, text);
  }
  if (typeof body !== "object" || body === null) throw new HttpError(response, text);
  const { data, errors, extensions } = body as Answer;
  if (data === undefined && !Array.isArray(errors)) throw new HttpError(response, text);
  return {
    ...(data === undefined ? {} : { data }),
    ...(Array.isArray(errors) ? { errors } : {}),
    ...(extensions === undefined ? {} : { extensions }),
    response,
  };
}

function isMiss(answer: Answer): boolean {
  return codeOf(answer) === "PERSISTED_QUERY_NOT_FOUND";
}

function codeOf(answer: Answer): unknown {
  return answer.errors?.[0]?.extensions?.["code"];
}

function idsOf(manifest: Manifest = {}): ReadonlyMap<string, string> {
  if (Array.isArray(manifest["operations"])) {
    return new Map((manifest as ApolloManifest).operations.map(({ name, id }) => [name, id]));
  }
  return new Map(Object.entries(manifest as Record<string, string>));
}

/** Milliseconds. */
function retryAfter(response: Response): number {
  const text = response.headers.get("retry-after") ?? "1";
  const seconds = /^\d+$/.test(text) ? Number(text) : (Date.parse(text) - Date.now()) / 1000;
  return Math.min(Math.max((Number.isNaN(seconds) ? 1 : seconds) * 1000, 0), LONGEST_WAIT);
}

function wait(milliseconds: number, signal: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, milliseconds);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** Apollo's id for a text that the server is to register. */
async function sha256Of(text: string): Promise<string> {
  // Not available on pages that were loaded without HTTPS, except on localhost.
  if (!globalThis.crypto?.subtle) throw new Error("registering a document takes Web Crypto, which pages have over HTTPS only");
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bigints(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}
