/**
 * Somebody else was faster: a write that carried `expectedEtag` was refused with 412, and the error brings the row as it is
 * now. Nothing was written, so the client can decide with both versions before it and send its intent again.
 */
import type { GraphqlError } from "./errors.js";

/** A refused write. */
export interface Conflict<Row = Record<string, unknown>> {
  /** The row as it is now, in the mutation's selection; null if it has been deleted. */
  readonly current: Row | null;
  /** The row's `etag` now; null if it has been deleted. */
  readonly currentEtag: string | null;
  /** What the client had read. */
  readonly expectedEtag: string | null;
  /** The field that was refused. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** What {@link retryOnConflict} asks: both sides, and how often it has asked before. */
export interface Clash<V, Row> extends Conflict<Row> {
  /** What was to be written. */
  readonly intent: V;
  /** 1 at the first conflict. */
  readonly attempt: number;
}

/** Variables of a mutation that checks what it changes. */
export interface Checked {
  readonly expectedEtag?: string | null | undefined;
}

/**
 * The conflict in an error that Apollo Client, urql or our `fetch` client threw, or in a result that they gave; null if it
 * is something else.
 */
export function conflictOf<Row = Record<string, unknown>>(failure: unknown): Conflict<Row> | null {
  for (const error of errorsOf(failure)) {
    const extensions = error.extensions;
    if (extensions?.["code"] !== "PRECONDITION_FAILED") continue;
    return {
      current: (extensions["current"] ?? null) as Row | null,
      currentEtag: (extensions["currentEtag"] ?? null) as string | null,
      expectedEtag: (extensions["expectedEtag"] ?? null) as string | null,
      path: error.path ?? [],
      message: error.message,
    };
  }
  return null;
}

/**
 * Sends a mutation; at a conflict asks `resolve`, which gets the current row and the intent, and sends what it returns, now
 * against the current row's `etag`. When `resolve` returns nothing, or the row is gone, or there were `attempts` conflicts,
 * the failure is passed on.
 *
 * `send` may throw (Apollo Client, `fetch`) or return a result that holds the error (urql).
 */
export async function retryOnConflict<V extends Checked, R, Row = Record<string, unknown>>(
  variables: V,
  send: (variables: V) => PromiseLike<R>,
  resolve: (clash: Clash<V, Row>) => V | null | undefined | PromiseLike<V | null | undefined>,
  { attempts = 5 }: { attempts?: number } = {},
): Promise<R> {
  let intent = variables;
  for (let attempt = 1; ; attempt++) {
    const outcome = await Promise.resolve(send(intent)).then(
      (result) => ({ failure: result as unknown, settle: () => result }),
      (error: unknown) => ({
        failure: error,
        settle: (): R => {
          throw error;
        },
      }),
    );
    const conflict = conflictOf<Row>(outcome.failure);
    if (!conflict?.currentEtag || attempt > attempts) return outcome.settle();
    const resolved = await resolve({ ...conflict, intent, attempt });
    if (!resolved) return outcome.settle();
    intent = { ...resolved, expectedEtag: conflict.currentEtag };
  }
}

/** Where clients keep the errors of a response: Apollo and ours in `errors`, urql in `graphQLErrors`, results in `error`. */
function errorsOf(failure: unknown): GraphqlError[] {
  if (typeof failure !== "object" || failure === null) return [];
  const { errors, graphQLErrors, error, cause } = failure as Record<string, unknown>;
  const found = [errors, graphQLErrors].find(Array.isArray) as GraphqlError[] | undefined;
  if (found && found.length > 0) return found;
  return error || cause ? errorsOf(error ?? cause) : [];
}
