/**
 * A small client over `fetch`, for TanStack Query, SWR, servers and scripts. If an answer has not changed, it is the
 * identical object, so nothing is rendered again.
 */
import type { Variables } from "./canonical.js";
import { OperationError } from "./errors.js";
import { type Asking, NOT_MODIFIED, type Question, Transport, type TransportOptions } from "./transport.js";

export { conflictOf, retryOnConflict, type Clash, type Conflict } from "./conflict.js";
export { HttpError, OperationError, type GraphqlError } from "./errors.js";

/**
 * A document: its text; a document from GraphQL Code Generator (`documentMode: "string"`), which has the types of its
 * data and variables; or a reference to a registered document.
 */
export type Document<Data = unknown, V = Variables> = string | TypedDocument<Data, V> | RegisteredDocument<Data, V>;

/** Like GraphQL Code Generator's `TypedDocumentString`. */
export interface TypedDocument<Data, V> extends String {
  readonly __apiType?: ((variables: V) => Data) | undefined;
  readonly __meta__?: Record<string, unknown> | undefined;
}

/** A document that the server has. */
export interface RegisteredDocument<Data = unknown, V = Variables> {
  readonly id: string;
  /** Which operation to run, if it has several. */
  readonly operationName?: string;
  readonly __apiType?: ((variables: V) => Data) | undefined;
}

export interface ClientOptions extends TransportOptions {
  /**
   * Whether this client stores answers and sends `If-None-Match` itself. Default: only outside browsers, which have their
   * own cache. Across origins, that header would cost a page a preflight.
   */
  readonly conditional?: boolean;
  /** The maximum number of stored answers. Default 500. */
  readonly keep?: number;
}

/** The result of a query. */
export interface Result<Data> {
  readonly data: Data;
  /** The ETag of the answer: equal ETags mean equal data. */
  readonly etag: string | undefined;
}

export type RequestOptions = Pick<Asking, "signal" | "headers" | "init">;

type VariablesOf<V> = Record<string, never> extends V ? [variables?: V, options?: RequestOptions] : [variables: V, options?: RequestOptions];

export interface FreshqlClient {
  /** Runs a query. Throws an `OperationError` if the answer has errors. */
  query<Data = unknown, V extends Variables = Variables>(document: Document<Data, V>, ...rest: VariablesOf<V>): Promise<Result<Data>>;
  /** Runs a query and returns only its data. */
  data<Data = unknown, V extends Variables = Variables>(document: Document<Data, V>, ...rest: VariablesOf<V>): Promise<Data>;
  /** Runs a mutation. */
  mutate<Data = unknown, V extends Variables = Variables>(document: Document<Data, V>, ...rest: VariablesOf<V>): Promise<Data>;
  /** A query's URL, for preloading, links and frameworks with their own `fetch`; also a good cache key. */
  url<Data = unknown, V extends Variables = Variables>(document: Document<Data, V>, ...rest: VariablesOf<V>): string;
}

/** Creates a client. */
export function createClient(options: ClientOptions = {}): FreshqlClient {
  const transport = new Transport(options);
  const kept = new Map<string, Result<unknown>>();
  const { conditional = typeof document === "undefined", keep = 500 } = options;

  async function query<Data>(document: Document<Data, never>, variables?: Variables, asking: RequestOptions = {}): Promise<Result<Data>> {
    const question = questionOf(document, "query", variables);
    const url = transport.url(question);
    const known = kept.get(url) as Result<Data> | undefined;
    const headers = new Headers(asking.headers);
    if (conditional && known?.etag !== undefined && !headers.has("if-none-match")) headers.set("if-none-match", `"${known.etag}"`);
    const answer = await transport.ask(question, { ...asking, headers });
    if (answer === NOT_MODIFIED) {
      if (known) return remember(url, known);
      throw new Error("the server answered 304; leave If-None-Match to the client");
    }
    if (answer.errors?.length) throw new OperationError(answer.errors, answer.response.status);
    const etag = answer.extensions?.["etag"];
    if (typeof etag !== "string") return { data: answer.data as Data, etag: undefined };
    return remember(url, known?.etag === etag ? known : { data: answer.data as Data, etag });
  }

  /** Marks it as the most recently used. */
  function remember<Data>(url: string, result: Result<Data>): Result<Data> {
    kept.delete(url);
    kept.set(url, result);
    if (kept.size > keep) kept.delete(kept.keys().next().value!);
    return result;
  }

  const client = {
    query,
    data: async (document: Document<unknown, never>, variables?: Variables, asking?: RequestOptions) =>
      (await query(document, variables, asking)).data,
    async mutate(document: Document<unknown, never>, variables?: Variables, asking: RequestOptions = {}) {
      const answer = await transport.ask(questionOf(document, "mutation", variables), asking);
      if (answer === NOT_MODIFIED) throw new Error("the server answered 304 to a mutation");
      if (answer.errors?.length) throw new OperationError(answer.errors, answer.response.status);
      return answer.data;
    },
    url: (document: Document<unknown, never>, variables?: Variables) => transport.url(questionOf(document, "query", variables)),
  };
  return client as FreshqlClient;
}

function questionOf(document: Document<unknown, never>, kind: Question["kind"], variables?: Variables): Question {
  if (typeof document === "object" && "id" in document) {
    const { id, operationName } = document;
    return { id, name: operationName, isOneOfSeveral: operationName !== undefined, kind, variables };
  }
  const text = String(document);
  const hash = typeof document === "object" ? document.__meta__?.["hash"] : undefined;
  // The name is for the manifest and for messages: if a comment makes it wrong, the hash still identifies the document.
  const name = /^\s*(?:#.*\s+)*(?:query|mutation)\s+([_A-Za-z]\w*)/.exec(text)?.[1];
  return { text, id: typeof hash === "string" ? hash : undefined, name, kind, variables };
}
