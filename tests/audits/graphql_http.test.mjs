// graphql-http's audits of a server after the GraphQL-over-HTTP specification. No error, and these warnings only.
// FRESHQL_URL names a server in mode `open`.
import assert from "node:assert/strict";
import test from "node:test";
import { auditServer } from "graphql-http";

const url = process.env.FRESHQL_URL;

// The status says what happened, whatever the media type: caches and logs go by it, and clients that read
// application/json look for `errors` in the body at any status.
const SPEAKING_STATUS = "the status says what happened for application/json too";
const REASONS = {
  "572B": SPEAKING_STATUS,
  FDE2: SPEAKING_STATUS,
  "7B9B": SPEAKING_STATUS,
  // The draft has 422 for requests that are well-formed and cannot be executed; the audit is older.
  "86EE": "422, which the specification recommends by now, instead of 400",
};

test("graphql-http finds no error and no warning without a reason", { skip: !url && "FRESHQL_URL is not set" }, async () => {
  const results = await auditServer({ url: new URL("/graphql", url).href });
  assert.equal(results.length, 61);
  const found = results.filter(({ status }) => status !== "ok");
  const told = found.map(({ id, status, name, reason }) => `${status} ${id} ${name}: ${reason}`).join("\n");
  assert.deepEqual(found.filter(({ status }) => status !== "warn"), [], told);
  assert.deepEqual(found.map(({ id }) => id).sort(), Object.keys(REASONS).sort(), told);
});
