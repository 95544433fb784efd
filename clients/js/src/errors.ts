/** Errors of requests, and what a refused write says. */

/** An error of a GraphQL response. */
export interface GraphqlError {
  readonly message: string;
  readonly path?: readonly (string | number)[];
  readonly locations?: readonly { readonly line: number; readonly column: number }[];
  readonly extensions?: Readonly<Record<string, unknown>>;
}

/** The server answered, but not with GraphQL: a proxy's error page, a 413, a 404 from another server. */
export class HttpError extends Error {
  override readonly name = "HttpError";

  constructor(
    readonly response: Response,
    readonly bodyText: string,
  ) {
    super(`${response.status} ${detail(bodyText) ?? (response.statusText || "without a GraphQL response")}`);
  }

  get status(): number {
    return this.response.status;
  }
}

/** The operation failed: the server's errors, with its status. Thrown by `fetch` clients; Apollo and urql have their own. */
export class OperationError extends Error {
  override readonly name = "OperationError";

  constructor(
    readonly errors: readonly GraphqlError[],
    readonly status: number,
  ) {
    super(errors.map((error) => error.message).join("; "));
  }

  /** The code of the first error, such as `NOT_FOUND`. */
  get code(): string | undefined {
    const code = this.errors[0]?.extensions?.["code"];
    return typeof code === "string" ? code : undefined;
  }
}

/** RFC 9457's `detail`. */
function detail(bodyText: string): string | undefined {
  try {
    const { detail, title } = JSON.parse(bodyText) as { detail?: unknown; title?: unknown };
    return [detail, title].find((text) => typeof text === "string") as string | undefined;
  } catch {
    return undefined;
  }
}
