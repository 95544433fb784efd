// Sends what GraphiQL runs, as a client of the API would, and keeps all of the exchange for the panel below the answer.
//
// Queries go by GET, so that they have ETags; what is registered goes to its own URL. freshql says in the status what
// happened (412: the row has changed, 422: the document is invalid, …), and the body of such an answer is a GraphQL response
// like any other. So the status is never a reason to throw a body away.
import { addressOf } from './documents.js';
import { activeTab, authorization, documents, exchanges, openPart, setExchange } from './state.js';

const ACCEPT = 'application/graphql-response+json, application/json';

/** The ETag that the next request is to send as If-None-Match. */
let known;

/** Makes the request that `run` sends conditional. */
export function runConditionally(etag, run) {
  known = etag;
  run();
}

/** GraphiQL's fetcher: always resolves to an object that can be shown, unless the request never got an answer. */
export async function fetcher(request, { headers } = {}) {
  const own = ownHeaders(headers);
  if (request.operationName === 'IntrospectionQuery') {
    const body = JSON.stringify(request);
    return (await send({ method: 'POST', url: '/graphql', body }, own)).body;
  }
  const tab = activeTab.get();
  const before = exchanges.get().get(tab);
  const ifNoneMatch = known;
  known = undefined;

  const address = addressOf(request, documents.get());
  // First, because afterwards the server could only say that it has the answer now.
  const explained = address.kind === 'query' && openPart.get() !== '' ? await explain(address, own) : undefined;
  const conditions = ifNoneMatch ? { 'if-none-match': ifNoneMatch } : {};
  const answer = await send(address, { ...own, ...conditions });
  if (answer.status === 304) answer.body = before?.body ?? {};
  const exchange = { ...address, ...answer, request, ifNoneMatch, explained, wasAskedFirst: explained !== undefined };
  setExchange(tab, exchange);
  if (conflictIn(exchange)) openPart.set('Conflict');
  else if (openPart.get() === 'Conflict') openPart.set('Freshness');
  return answer.body;
}

/** Asks why, for an answer that came while the panel was folded. */
export async function explainLater(tab, exchange) {
  const explained = await explain(exchange, exchange.sent);
  if (explained && exchanges.get().get(tab) === exchange) setExchange(tab, { ...exchange, explained });
}

/** What the server says about the answer: what it depends on, and what the cache would say. */
async function explain(address, headers) {
  try {
    const { body } = await send(address, { ...headers, 'freshql-explain': '1' });
    return body.extensions?.explain;
  } catch {
    // The request itself will say what is wrong.
    return undefined;
  }
}

/** The conflict that a 412 brings: the row's fields as the request would have them, and as they are now. */
export function conflictIn({ status, body }) {
  if (status !== 412) return undefined;
  const error = body.errors?.find(({ extensions }) => extensions?.code === 'PRECONDITION_FAILED');
  return error && 'currentEtag' in error.extensions ? error : undefined;
}

function ownHeaders(headers) {
  const own = {};
  if (authorization.get()) own.authorization = authorization.get();
  for (const [name, value] of Object.entries(headers ?? {})) own[name.toLowerCase()] = String(value);
  return own;
}

async function send({ method, url, body }, headers) {
  const started = performance.now();
  const response = await fetch(url, {
    method,
    headers: { accept: ACCEPT, ...(body && { 'content-type': 'application/json' }), ...headers },
    body,
    // The browser's own cache stays out of it: what is shown is what the server said.
    cache: 'no-store',
  });
  const text = await response.text();
  const milliseconds = performance.now() - started;
  return {
    status: response.status,
    statusText: response.statusText,
    headers: [...response.headers],
    sent: headers,
    milliseconds,
    bytes: new TextEncoder().encode(text).length,
    body: response.status === 304 ? undefined : parseObject(text) ?? refuse(response, text),
  };
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
function refuse(response, body) {
  const status = `${response.status} ${response.statusText}`.trim();
  const contentType = response.headers.get('content-type');
  return { errors: [{ message: `the server answered ${status} without a GraphQL response`, extensions: { contentType, body } }] };
}
