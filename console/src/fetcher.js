// Sends a request to /graphql and hands whatever came back to the response pane.
//
// freshql says in the status what happened (412: the row has changed, 422: the document is invalid, …), and the body
// of such an answer is a GraphQL response like any other. So the status is never a reason to throw a body away.

const ACCEPT = 'application/graphql-response+json, application/json';

/** GraphiQL's fetcher: always resolves to an object that can be shown, unless the request never got an answer. */
export async function fetcher(request, { headers } = {}) {
  const response = await fetch('/graphql', {
    method: 'POST',
    headers: { accept: ACCEPT, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(request),
  });
  const text = await response.text();
  return parseObject(text) ?? explain(response, text);
}

/** The JSON object that `text` is, or undefined. GraphiQL reads arrays as multipart responses, so they don't count. */
function parseObject(text) {
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Puts an answer that is no GraphQL response (a proxy's error page, an empty body) into the form of one. */
function explain(response, body) {
  const status = `${response.status} ${response.statusText}`.trim();
  const contentType = response.headers.get('content-type');
  return { errors: [{ message: `the server answered ${status} without a GraphQL response`, extensions: { contentType, body } }] };
}
