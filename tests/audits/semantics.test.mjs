// http-cache-semantics, the policy of got, undici and many caches on npm, fed with real answers: it keeps them for as long
// as the model of tests/lifetimes says, in private and in shared caches, and asks again then.
// FRESHQL_URL is a server of that project; FRESHQL_PATHS is JSON: the URLs of its rows and of one mutation.
import assert from "node:assert/strict";
import http from "node:http";
import test from "node:test";
import CachePolicy from "http-cache-semantics";

const base = process.env.FRESHQL_URL;
const options = { skip: !base && "FRESHQL_URL is not set" };
const paths = JSON.parse(process.env.FRESHQL_PATHS ?? "{}");

/** Sends a request, and gives it with its response in the form that the library reads. */
function ask(path, { method = "GET", headers = {}, body } = {}) {
  const url = new URL(path, base);
  const request = { method, url: path, headers: { host: url.host, ...headers } };
  return new Promise((resolve, reject) => {
    const sent = http.request(url, { method, headers: request.headers }, (response) => {
      response.resume();
      response.on("end", () => resolve({ request, response: { status: response.statusCode, headers: response.headers } }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

const policyOf = ({ request, response }, shared) => new CachePolicy(request, response, { shared });

/** What a cache may do with it after so many seconds: "keeps" it as it is, or "asks" first. */
function later(policy, request, seconds) {
  const begun = Date.now();
  policy.now = () => begun + seconds * 1000;
  const { response, revalidation } = policy.evaluateRequest(request);
  assert.equal(policy.satisfiesWithoutRevalidation(request), Boolean(response) && !revalidation);
  return response ? "keeps" : "asks";
}

// For how many seconds; null: not stored at all.
const LIFETIMES = {
  page: { private: 0, shared: 60 },
  photo: { private: 10, shared: 100 },
  news: { private: 0, shared: 1 },
  notice: { private: 0, shared: 1 },
  draft: { private: 0, shared: 0 },
  letter: { private: 0, shared: null },
};

for (const [entity, lifetimes] of Object.entries(LIFETIMES)) {
  for (const [kind, seconds] of Object.entries(lifetimes)) {
    test(`a ${kind} cache keeps ${entity} for ${seconds} s and asks then`, options, async () => {
      const asked = await ask(paths[entity]);
      const policy = policyOf(asked, kind === "shared");
      assert.equal(asked.response.status, 200);
      assert.equal(policy.storable(), seconds !== null);
      if (seconds === null) return;
      // The library counts from `Date`, which is in whole seconds, and this machine may be slow.
      if (seconds > 1) assert.equal(later(policy, asked.request, seconds / 2), "keeps");
      assert.equal(later(policy, asked.request, seconds + 1), "asks");
      const headers = policy.revalidationHeaders(asked.request);
      assert.equal(headers["if-none-match"], asked.response.headers.etag);

      // A 304 makes it as fresh as it was.
      const again = await ask(paths[entity], { headers: { "if-none-match": headers["if-none-match"] } });
      assert.equal(again.response.status, 304);
      const { policy: renewed, modified } = policy.revalidatedPolicy(asked.request, again.response);
      assert.equal(modified, false);
      if (seconds > 1) assert.equal(later(renewed, asked.request, seconds / 2), "keeps");
      assert.equal(later(renewed, asked.request, seconds + 1), "asks");
    });
  }
}

test("what is changed is told apart from what is the same", options, async () => {
  const asked = await ask(paths.page);
  const policy = policyOf(asked, true);
  const body = JSON.stringify({ variables: { id: "1", text: `changed ${Math.random()}` } });
  const edited = await ask(paths.edit_page, { method: "POST", headers: { "content-type": "application/json" }, body });
  assert.equal(edited.response.status, 200);
  assert.equal(policyOf(edited, true).storable() || policyOf(edited, false).storable(), false);
  const again = await ask(paths.page, { headers: { "if-none-match": asked.response.headers.etag } });
  assert.equal(again.response.status, 200);
  assert.equal(policy.revalidatedPolicy(asked.request, again.response).modified, true);
});

test("the coding chooses among copies, nothing else does", options, async () => {
  const gzip = await ask(paths.page, { headers: { "accept-encoding": "gzip" } });
  const policy = policyOf(gzip, true);
  const like = (headers) => policy.satisfiesWithoutRevalidation({ ...gzip.request, headers: { ...gzip.request.headers, ...headers } });
  assert.equal(like({ accept: "application/json", origin: "https://a.example", "x-any": "1" }), true);
  assert.equal(like({ "accept-encoding": "br" }), false);
});

test("a public answer is everybody's, whoever asked; a private one is not", options, async () => {
  const headers = { authorization: "Bearer x" };
  assert.equal(policyOf(await ask(paths.page, { headers }), true).storable(), true);
  assert.equal(policyOf(await ask(paths.letter, { headers }), true).storable(), false);
});

test("errors are never stored", options, async () => {
  const id = "0".repeat(64);
  for (const [path, status] of [[`/q/${id}`, 404], [paths.page.split("?")[0], 422], ["/nothing", 404], [paths.edit_page, 405]]) {
    const asked = await ask(path);
    assert.equal(asked.response.status, status);
    assert.equal(policyOf(asked, true).storable() || policyOf(asked, false).storable(), false, path);
  }
});
