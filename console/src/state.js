// What the page knows beside GraphiQL's own state.
import { remembered, store } from './store.js';

/** Each tab's last exchange with the server, by the tab's id: see `fetcher.js`. */
export const exchanges = store(new Map());

/** The tab that is in front. GraphiQL does not tell its fetcher. */
export const activeTab = store(undefined);

/** The registered documents, as /graphiql/operations lists them. */
export const documents = store([]);

/** Which part of the panel below the answer is open; '' while it is folded. */
export const openPart = remembered(localStorage, 'freshql:part', 'Freshness');

/** What goes along as `Authorization`. It ends with the browser's tab. */
export const authorization = remembered(sessionStorage, 'freshql:authorization', '');

/** Takes the list of registered documents from the server; leaves the last one where that fails. */
export async function loadDocuments() {
  try {
    const headers = authorization.get() ? { authorization: authorization.get() } : {};
    const response = await fetch('/graphiql/operations', { headers });
    if (response.ok) documents.set((await response.json()).documents);
  } catch {
    // The page works without.
  }
}

export function setExchange(tab, exchange) {
  exchanges.set(new Map(exchanges.get()).set(tab, exchange));
}
