/** urql: the exchange that replaces `fetchExchange`, and the etag guard for Graphcache. */
import {
  type Exchange,
  type ExecutionResult,
  makeErrorResult,
  makeOperation,
  makeResult,
  type Operation,
  type OperationResult,
  stringifyDocument,
} from "@urql/core";
import type { Cache, ResolveInfo, UpdatesConfig } from "@urql/exchange-graphcache";
import type { DocumentNode, OperationDefinitionNode } from "graphql";
import { filter, make, merge, mergeMap, pipe, takeUntil, tap } from "wonka";
import { conflictOf } from "./conflict.js";
import { type Entity, entitiesIn } from "./entities.js";
import { isSame, Replaced, type Sighting, sightings } from "./guard.js";
import { type Answer, NOT_MODIFIED, type Question, Transport, type TransportOptions } from "./transport.js";

export { conflictOf, retryOnConflict, type Clash, type Conflict } from "./conflict.js";

export interface FreshqlOptions extends TransportOptions {
  /** The types with an `id` and an `etag`, for the guard; `freshql-client schema` generates the list. */
  readonly entities?: readonly string[];
}

export interface Freshql {
  /** The last exchange. */
  readonly exchange: Exchange;
  /** Graphcache's `updates`, which keep all fields of a row at one version. */
  readonly updates: UpdatesConfig;
}

/** The exchange, and the updates for Graphcache: `cacheExchange({ updates: freshql.updates })`. */
export function freshql(options: FreshqlOptions = {}): Freshql {
  const transport = new Transport(options);
  const guard = new EtagGuard();
  const exchange: Exchange =
    ({ client, forward }) =>
    (operations$) => {
      // Graphcache does not refetch a query because of another query's answer; it shows the old rows, complete, as stale.
      const askAgain = (operation: Operation) =>
        client.reexecuteOperation(makeOperation("query", operation, { ...operation.context, requestPolicy: "network-only" }));
      const isOurs = ({ kind }: Operation) => kind === "query" || kind === "mutation";
      const answered$ = pipe(
        operations$,
        filter(isOurs),
        mergeMap((operation) => {
          const result$ = make<OperationResult>(({ next, complete }) => {
            const controller = new AbortController();
            void ask(transport, options.entities ? guard : undefined, operation, controller.signal).then(({ result, outdated }) => {
              if (controller.signal.aborted) return;
              next(result);
              complete();
              outdated.forEach(askAgain);
            });
            return () => controller.abort();
          });
          const isOver = (other: Operation) => other.kind === "teardown" && other.key === operation.key;
          return pipe(result$, takeUntil(pipe(operations$, filter(isOver))));
        }),
      );
      const others$ = pipe(
        operations$,
        filter((operation) => !isOurs(operation)),
        tap((operation) => operation.kind === "teardown" && guard.leave(operation)),
        forward,
      );
      return merge([answered$, others$]);
    };
  const updates = Object.fromEntries((options.entities ?? []).map((type) => [type, { id: guard.update }]));
  return { exchange, updates };
}

interface Asked {
  readonly result: OperationResult;
  /** Queries that show rows of which the cache has just forgotten something. */
  readonly outdated: Operation[];
}

async function ask(transport: Transport, guard: EtagGuard | undefined, operation: Operation, signal: AbortSignal): Promise<Asked> {
  try {
    const { fetchOptions } = operation.context;
    const init = (typeof fetchOptions === "function" ? fetchOptions() : fetchOptions) ?? {};
    const question = questionOf(operation);
    const once = async (atOrigin: boolean): Promise<Answer> => {
      const answer = await transport.ask(question, { init, signal, atOrigin });
      if (answer === NOT_MODIFIED) throw new Error("the server answered 304 to a request without If-None-Match");
      return answer;
    };
    let answer = await once(false);
    if (guard && question.kind === "query" && guard.doubts(operation.query, answer.data)) {
      answer = await once(true).catch(() => answer);
    }
    const seen = (!signal.aborted && guard?.see(operation, answer.data)) || [];
    const outdated = seen.length > 0 || !guard ? seen : guard.refused(operation, answer);
    const { response, ...result } = answer;
    return { result: makeResult(operation, { hasNext: false, ...result } as ExecutionResult, response), outdated };
  } catch (error) {
    return { result: makeErrorResult(operation, error instanceof Error ? error : new Error(String(error))), outdated: [] };
  }
}

function questionOf(operation: Operation): Question {
  const { query, kind, variables } = operation;
  const document = query as DocumentNode & { documentId?: string; __meta__?: { hash?: string } };
  const definition = document.definitions.find((node): node is OperationDefinitionNode => node.kind === "OperationDefinition");
  return {
    text: stringifyDocument(query),
    // Only documents from urql's persisted documents or GraphQL Code Generator have it.
    id: document.documentId ?? document.__meta__?.hash,
    name: definition?.name?.value,
    kind: kind === "mutation" ? "mutation" : "query",
    variables: variables as Record<string, unknown> | undefined,
    definitions: definition?.variableDefinitions ?? [],
  };
}

interface Known {
  etag: string | undefined;
  readonly fields: Map<string, unknown>;
}

/**
 * Graphcache reveals its contents only while it writes, field by field. So what answers said is stored here, too, and
 * the decision is made before it writes. Then, at a row's `id`, the other fields are invalidated.
 */
class EtagGuard {
  readonly #replaced = new Replaced();
  readonly #known = new Map<string, Known>();
  /** The active queries, with their last results. */
  readonly #readers = new Map<number, { operation: Operation; rows: ReadonlyMap<string, Sighting> }>();
  /** By the object in the answer: the fields to keep, for a row whose other fields have another version. */
  readonly #kept = new WeakMap<object, ReadonlyMap<string, unknown>>();

  doubts(document: DocumentNode, data: unknown): boolean {
    return [...rows(document, data)].some(([key, seen]) => this.#verdict(key, seen, false) === "doubt");
  }

  /** Before Graphcache writes an answer. Returns the other queries that must be sent again. */
  see(operation: Operation, data: unknown): Operation[] {
    const seen = rows(operation.query, data);
    const outdated = new Set<Operation>();
    for (const [key, row] of seen) {
      const known = this.#known.get(key);
      if (this.#verdict(key, row, true) === "keep") {
        const fields = new Map([...(known?.fields ?? []), ...row.fields]);
        this.#known.set(key, { etag: row.etag ?? known?.etag, fields });
        continue;
      }
      if (known?.etag !== undefined) this.#replaced.add(key, known.etag);
      this.#known.set(key, { etag: row.etag, fields: new Map(row.fields) });
      for (const object of row.objects) this.#kept.set(object, row.fields);
      for (const reader of this.#readers.values()) {
        const shown = reader.rows.get(key);
        if (reader.operation.key !== operation.key && shown && [...shown.fields.keys()].some((name) => !row.fields.has(name))) {
          outdated.add(reader.operation);
        }
      }
    }
    if (operation.kind === "query") this.#readers.set(operation.key, { operation, rows: seen });
    return [...outdated];
  }

  /**
   * A refused write returns the current row. Graphcache takes no rows from errors, so queries that show another version of
   * it are sent again.
   */
  refused(operation: Operation, answer: unknown): Operation[] {
    const conflict = operation.kind === "mutation" ? conflictOf(answer) : null;
    const field = conflict?.path[0];
    if (!conflict?.current || typeof field !== "string") return [];
    const outdated = new Set<Operation>();
    for (const [key] of rows(operation.query, { [field]: conflict.current })) {
      for (const reader of this.#readers.values()) {
        const shown = reader.rows.get(key);
        if (shown && shown.etag !== conflict.currentEtag) outdated.add(reader.operation);
      }
    }
    return [...outdated];
  }

  /** The query is no longer active. */
  leave({ key }: Operation): void {
    this.#readers.delete(key);
  }

  /** Called by Graphcache when it writes a row's `id`. */
  readonly update = (row: object, _: unknown, cache: Cache, { parentKey, optimistic }: ResolveInfo): void => {
    const kept = this.#kept.get(row);
    if (!kept || optimistic) return;
    for (const { fieldName, fieldKey, arguments: args } of cache.inspectFields(parentKey)) {
      if (fieldName === "__typename" || kept.has(fieldName)) continue;
      // An object without a key is a connection: lists of other rows do not belong to a row's version.
      const value = cache.resolve(parentKey, fieldKey);
      if (typeof value === "string" && value.startsWith(`${parentKey}.`)) continue;
      cache.invalidate(parentKey, fieldName, args);
    }
  };

  #verdict(key: string, { etag, fields }: Sighting, isFinal: boolean) {
    const known = this.#known.get(key);
    const changes = () => [...fields].some(([name, value]) => known?.fields.get(name) !== undefined && value !== undefined && !isSame(known.fields.get(name), value));
    return this.#replaced.verdict(key, etag, known?.etag, changes, isFinal);
  }
}

function rows(document: DocumentNode, data: unknown): Map<string, Sighting> {
  return sightings(entitiesIn(document, data), ({ typename, fields }: Entity) => {
    const id = fields.get("id");
    return typeof id === "string" ? `${typename}:${id}` : undefined;
  });
}
