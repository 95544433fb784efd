/**
 * Conflicts: another client was faster. A write with `expectedEtag` was refused with 412, and the error contains the
 * current row. Nothing was written, so the client can compare both versions and send its change again.
 */
import type { GraphqlError } from "./errors.js";

/** A refused write. */
export interface Conflict<Row = Record<string, unknown>> {
  /** The current row, in the mutation's selection; null if it has been deleted. */
  readonly current: Row | null;
  /** The row's current `etag`; null if it has been deleted. */
  readonly currentEtag: string | null;
  /** The etag that the client had read. */
  readonly expectedEtag: string | null;
  /** The mutation field that was refused. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The argument of {@link retryOnConflict}'s `resolve`: both versions, and the number of the attempt. */
export interface Clash<V, Row> extends Conflict<Row> {
  /** The variables that were to be written. */
  readonly intent: V;
  /** 1 at the first conflict. */
  readonly attempt: number;
}

/** The variables of a mutation with `expectedEtag`. */
export interface Checked {
  readonly expectedEtag?: string | null | undefined;
}

/**
 * The conflict in an error thrown by Apollo Client, urql or our `fetch` client, or in one of their results; null for
 * everything else.
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
 * Sends a mutation. On a conflict, calls `resolve` with the current row and the intended variables, and sends what it
 * returns with the current row's `etag`. If `resolve` returns nothing, the row is gone, or there were `attempts`
 * conflicts, the failure is passed on.
 *
 * `send` may throw (Apollo Client, `fetch`) or return a result that contains the error (urql).
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

/** Where clients keep a response's errors: Apollo and ours in `errors`, urql in `graphQLErrors`, results in `error`. */
function errorsOf(failure: unknown): GraphqlError[] {
  if (typeof failure !== "object" || failure === null) return [];
  const { errors, graphQLErrors, error, cause } = failure as Record<string, unknown>;
  const found = [errors, graphQLErrors].find(Array.isArray) as GraphqlError[] | undefined;
  if (found && found.length > 0) return found;
  return error || cause ? errorsOf(error ?? cause) : [];
}
