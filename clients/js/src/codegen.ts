/** For a GraphQL code generator's configuration. */
export { documentId } from "./blake3.js";

/** What freshql's scalars are in JSON: `config: { scalars, strictScalars: true }`. */
export const scalars = {
  ID: "string",
  /** 64 bits; a JavaScript number would lose digits. */
  BigInt: { input: "string | number", output: "string" },
  /** Digits, not a float: `"12.50"`. */
  Decimal: { input: "string | number", output: "string" },
  /** RFC 3339 in UTC with milliseconds, so that `new Date(…)` loses nothing. */
  DateTime: "string",
  /** `2026-11-22`. */
  Date: "string",
  UUID: "string",
  JSON: "unknown",
} as const;
