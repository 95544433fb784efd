/** What every client of freshql can use. The adapters are in `freshql-client/apollo`, `/urql` and `/fetch`. */
export { documentId } from "./blake3.js";
export { canonicalVariables, type Variables } from "./canonical.js";
export { conflictOf, retryOnConflict, type Checked, type Clash, type Conflict } from "./conflict.js";
export { HttpError, OperationError, type GraphqlError } from "./errors.js";
export { type ApolloManifest, type Manifest, type TransportOptions } from "./transport.js";
