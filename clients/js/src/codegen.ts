/** Settings for GraphQL Code Generator. */
export { documentId } from "./blake3.js";

/** The JSON types of freshql's scalars: `config: { scalars, strictScalars: true }`. */
export const scalars = {
  ID: "string",
  /** 64 bits; a JavaScript number would lose digits. */
  BigInt: { input: "string | number", output: "string" },
  /** A string of digits, not a float: `"12.50"`. */
  Decimal: { input: "string | number", output: "string" },
  /** RFC 3339 in UTC with milliseconds, so `new Date(…)` loses nothing. */
  DateTime: "string",
  /** `2026-11-22`. */
  Date: "string",
  UUID: "string",
  JSON: "unknown",
} as const;
