/** Apollo Client 4: the link, which includes the etag guard, and type policies for connections. */
import {
  type ApolloCache,
  ApolloLink,
  type FieldPolicy,
  gql,
  Observable,
  type OperationVariables,
  type Reference,
  type TypedDocumentNode,
  type TypePolicies,
} from "@apollo/client";
import { ServerError } from "@apollo/client/errors";
import { print, relayStylePagination } from "@apollo/client/utilities";
import type { DocumentNode, FieldNode, OperationDefinitionNode } from "graphql";
import { documentId } from "./blake3.js";
import { conflictOf } from "./conflict.js";
import { type Entity, entitiesIn } from "./entities.js";
import { HttpError } from "./errors.js";
import { isConnection, isSame, Replaced, type Sighting, sightings } from "./guard.js";
import { type Answer, NOT_MODIFIED, type Question, Transport, type TransportOptions } from "./transport.js";

export { conflictOf, retryOnConflict, type Clash, type Conflict } from "./conflict.js";

export interface FreshqlLinkOptions extends TransportOptions {
  /** Whether to use the etag guard. Default true. */
  readonly etagGuard?: boolean;
}

/**
 * The terminating link: queries are sent as `GET /q/{id}`, mutations by POST. It uses `headers`, `credentials` and
 * `fetchOptions` from an operation's context, like Apollo's `HttpLink`; `documentId` there is the document's id.
 */
export class FreshqlLink extends ApolloLink {
  constructor(options: FreshqlLinkOptions = {}) {
    const transport = new Transport(options);
    // One guard per cache, as one link may serve several clients, such as one per request on a server.
    const guards = new WeakMap<ApolloCache, EtagGuard>();
    const guardOf = (cache: ApolloCache): EtagGuard | undefined => {
      if (options.etagGuard === false) return undefined;
      const guard = guards.get(cache) ?? new EtagGuard(cache);
      guards.set(cache, guard);
      return guard;
    };
    super(
      (operation) =>
        new Observable((observer) => {
          const { headers, credentials, fetchOptions, documentId } = operation.getContext();
          const { controller, release } = following(fetchOptions?.signal);
          const question = questionOf(operation, documentId);
          const init = { ...fetchOptions, ...(credentials === undefined ? {} : { credentials }) };
          const ask = async (atOrigin: boolean): Promise<Answer> => {
            const asking = { init, headers, signal: controller.signal, atOrigin };
            const answer = await transport.ask(question, asking);
            if (answer === NOT_MODIFIED) throw new Error("the server answered 304 to a request without If-None-Match");
            return answer;
          };
          const run = async (): Promise<void> => {
            const guard = guardOf(operation.client.cache);
            let answer = await ask(false);
            if (question.kind === "query" && guard?.doubts(operation.query, answer.data)) {
              // A cache may have what the server cannot be asked for now. It is old, but consistent.
              answer = await ask(true).catch((error: unknown) => {
                if (controller.signal.aborted) throw error;
                return answer;
              });
            }
            if (controller.signal.aborted) return;
            const { response, ...result } = answer;
            operation.setContext({ response });
            if (question.kind === "query") warnWithoutTypename(operation.query, answer);
            guard?.forget(operation.query, answer.data);
            if (answer.errors) guard?.learn(operation, answer);
            observer.next(result as ApolloLink.Result);
            observer.complete();
          };
          run()
            .catch((error: unknown) => observer.error(asServerError(error)))
            .finally(release);
          return () => controller.abort();
        }),
    );
  }
}

/**
 * A document that is registered with exactly this text, such as a file of `queries/` imported unchanged: it has the
 * file's id, whatever Apollo Client adds to it for its own use.
 */
export function registered<Data = unknown, V extends OperationVariables = OperationVariables>(text: string): TypedDocumentNode<Data, V> {
  return { ...gql(text), __meta__: { hash: documentId(text) } } as TypedDocumentNode<Data, V>;
}

/** What the package's own command generates from a schema: see `freshql-client schema`. */
export interface SchemaShape {
  /** The fields that are lists, by type. */
  readonly connections: Readonly<Record<string, readonly string[]>>;
}

/** The type policies for a schema's connections: pages are appended, and each filter and order has its own list. */
export function typePolicies({ connections }: SchemaShape): TypePolicies {
  const fields = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, connectionPolicy()]));
  return Object.fromEntries(Object.entries(connections).map(([type, names]) => [type, { fields: fields(names) }]));
}

interface Page {
  readonly nodes?: readonly Reference[];
  readonly pageInfo?: { readonly startCursor?: string | null; readonly endCursor?: string | null };
}

/** `relayStylePagination`, which handles only `edges`, extended to `nodes`. */
export function connectionPolicy(keyArgs: string[] | false = ["where", "orderBy"]): FieldPolicy {
  const edges = relayStylePagination(keyArgs);
  return {
    ...edges,
    read(existing, options) {
      if (!existing) return existing;
      const page = typeof edges.read === "function" ? edges.read(existing, options) : existing;
      const nodes = (existing as Page).nodes?.filter((node) => options.canRead(node));
      return nodes ? { ...page, nodes } : page;
    },
    merge(existing, incoming, options) {
      const merged = typeof edges.merge === "function" ? edges.merge(existing, incoming, options) : incoming;
      const [before, now] = [existing as Page | undefined, incoming as Page | null];
      if (!now?.nodes) return merged;
      const { after, before: upTo } = options.args ?? {};
      const known = before?.nodes ?? [];
      if (after && after === before?.pageInfo?.endCursor) return { ...merged, nodes: [...known, ...now.nodes] };
      if (upTo && upTo === before?.pageInfo?.startCursor) {
        return { ...merged, nodes: [...now.nodes, ...known] };
      }
      // Any other page cannot be joined to the existing ones. Without edges, we must detect that the list starts again.
      return (incoming as { edges?: unknown }).edges ? { ...merged, nodes: now.nodes } : { ...merged, ...incoming };
    },
  };
}

class EtagGuard {
  readonly #replaced = new Replaced();
  readonly #cache: ApolloCache;

  constructor(cache: ApolloCache) {
    this.#cache = cache;
  }

  /** Whether the answer may be older than what is in the cache. */
  doubts(document: DocumentNode, data: unknown): boolean {
    for (const [id, seen] of this.#sightings(document, data)) {
      if (this.#verdict(id, seen, false) === "doubt") return true;
    }
    return false;
  }

  /** Before Apollo writes an answer: removes from the cache what would belong to another version than the answer. */
  forget(document: DocumentNode, data: unknown): void {
    for (const [id, seen] of this.#sightings(document, data)) {
      if (this.#verdict(id, seen, true) !== "forget") continue;
      const held = this.#read(id, ["etag"])["etag"];
      if (typeof held === "string") this.#replaced.add(id, held);
      // Not optimistic updates: they are separate layers, and are removed by themselves.
      this.#cache.modify({
        id,
        broadcast: false,
        fields: (value: unknown, { fieldName, DELETE }) =>
          fieldName === "__typename" || seen.fields.has(fieldName) || isConnection(value) ? value : DELETE,
      });
    }
  }

  /** A refused write returns the current row: pages that show it need not fetch it again. */
  learn({ query, variables }: ApolloLink.Operation, answer: Answer): void {
    const conflict = conflictOf(answer);
    const key = conflict?.path[0];
    if (!conflict?.current || typeof key !== "string") return;
    const result = { [key]: conflict.current };
    this.forget(query, result);
    // If only one of several fields has it, there is no complete result to write.
    const fields = operationOf(query).selectionSet.selections.filter((selection) => selection.kind === "Field");
    if (fields.filter((field) => field.name.value !== "__typename").length > 1) return;
    this.#cache.write({ query, variables, dataId: "ROOT_MUTATION", result });
  }

  #sightings(document: DocumentNode, data: unknown): Map<string, Sighting> {
    return sightings(entitiesIn(document, data), ({ typename, fields }: Entity) => {
      try {
        return this.#cache.identify({ ...Object.fromEntries(fields), __typename: typename });
      } catch {
        // `keyFields` that the application defines may depend on other objects.
        return undefined;
      }
    });
  }

  #verdict(id: string, { etag, fields }: Sighting, isFinal: boolean) {
    const held = this.#read(id, ["etag"])["etag"];
    const changes = () => {
      const leaves = [...fields.keys()].filter((name) => name !== "__typename" && fields.get(name) !== undefined);
      const known = this.#read(id, leaves);
      return leaves.some((name) => known[name] !== undefined && !isSame(known[name], fields.get(name)));
    };
    return this.#replaced.verdict(id, etag, typeof held === "string" ? held : undefined, changes, isFinal);
  }

  /** The cache's values of these fields. Uses `diff`, since `modify` would count as a change and make Apollo refetch. */
  #read(id: string, names: readonly string[]): Readonly<Record<string, unknown>> {
    const query = fieldsQuery(names);
    const { result } = this.#cache.diff<Record<string, unknown>>({ query, id, optimistic: false, returnPartialData: true });
    return (result as Record<string, unknown> | null) ?? {};
  }
}

const queries = new Map<string, DocumentNode>();

function fieldsQuery(names: readonly string[]): DocumentNode {
  const key = names.join(" ");
  const selections = names.map((value): FieldNode => ({ kind: "Field" as FieldNode["kind"], name: { kind: "Name", value } as FieldNode["name"] }));
  const query = queries.get(key) ?? ({
    kind: "Document",
    definitions: [{ kind: "OperationDefinition", operation: "query", selectionSet: { kind: "SelectionSet", selections } }],
  } as unknown as DocumentNode);
  queries.set(key, query);
  return query;
}

function questionOf(operation: ApolloLink.Operation, documentId: unknown): Question {
  const { query, operationName, operationType, variables } = operation;
  const type: string = operationType;
  if (type === "subscription") throw new Error(`${operationName ?? "a subscription"}: freshql has no subscriptions`);
  const definitions = operationOf(query).variableDefinitions ?? [];
  const kind = type === "mutation" ? "mutation" : "query";
  const id = typeof documentId === "string" ? documentId : generatedId(query);
  // The server refuses variables that the document does not declare.
  const declared = definitions.map((definition) => definition.variable.name.value);
  const used = Object.fromEntries(Object.entries(variables).filter(([name]) => declared.includes(name)));
  return { text: print(query), id, name: operationName, kind, variables: used, definitions };
}

function operationOf(document: DocumentNode): OperationDefinitionNode {
  return document.definitions.find((definition) => definition.kind === "OperationDefinition")!;
}

/** GraphQL Code Generator's `persistedDocuments` stores it like this; Apollo's transformations keep it. */
function generatedId(document: DocumentNode): string | undefined {
  const { __meta__ } = document as { __meta__?: { hash?: unknown } };
  return typeof __meta__?.hash === "string" ? __meta__.hash : undefined;
}

const warned = new WeakSet<DocumentNode>();

/** Without it, Apollo's cache does not normalize objects, and does not say so. */
function warnWithoutTypename(document: DocumentNode, { data }: Answer): void {
  const isProduction = (globalThis as { process?: { env?: { NODE_ENV?: string } } }).process?.env?.NODE_ENV === "production";
  if (isProduction || warned.has(document) || typeof data !== "object" || data === null) return;
  const row = Object.values(data).find((value) => typeof value === "object" && value !== null && !Array.isArray(value)) as object | undefined;
  if (!row || "__typename" in row) return;
  const asks = print(document).includes("__typename");
  if (!asks) return;
  warned.add(document);
  const name = operationOf(document).name?.value ?? "an operation";
  console.warn(
    `freshql-client: ${name} asks for __typename, but the registered document does not, so Apollo's cache keeps no entities of it. ` +
      "Set `typename = true` in freshql.toml, or register the document with `__typename` in it, as Apollo Client sends it.",
  );
}

/** A controller that is aborted together with another signal. `AbortSignal.any` is not available everywhere yet. */
function following(signal: AbortSignal | null | undefined): { controller: AbortController; release: () => void } {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener("abort", abort, { once: true });
  return { controller, release: () => signal?.removeEventListener("abort", abort) };
}

function asServerError(error: unknown): unknown {
  if (!(error instanceof HttpError)) return error;
  return new ServerError(error.message, { response: error.response, bodyText: error.bodyText });
}
