// The SDL that a server prints equals what its introspection says, as graphql-js reads both.
// FRESHQL_URL names a server in mode `open`; without it there is nothing to test.
import assert from "node:assert/strict";
import test from "node:test";
import {
  buildClientSchema,
  buildSchema,
  getIntrospectionQuery,
  lexicographicSortSchema,
  printSchema,
  validateSchema,
} from "graphql";

const url = process.env.FRESHQL_URL;
const print = (schema) => printSchema(lexicographicSortSchema(schema));

test("the printed SDL equals introspection", { skip: !url && "FRESHQL_URL is not set" }, async () => {
  const query = getIntrospectionQuery({
    specifiedByUrl: true,
    directiveIsRepeatable: true,
    inputValueDeprecation: true,
    oneOf: true,
  });
  const response = await fetch(new URL("/graphql", url), {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/graphql-response+json" },
    body: JSON.stringify({ query }),
  });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  const printed = buildSchema(await (await fetch(new URL("/schema.graphql", url))).text());
  assert.deepEqual(validateSchema(printed), []);
  assert.equal(print(printed), print(buildClientSchema(data)));
});
