// What a document is to the server: its id, its URL, how to ask for it by curl, its entry in a manifest.
import { parse } from 'graphql';
import { documentId } from '../../clients/js/src/blake3.ts';
import { canonicalVariables, encodeComponent } from '../../clients/js/src/canonical.ts';

export { documentId };

/** Longer URLs are cut by proxies on the way, or refused (`limits.max_url_bytes`): such a query is sent by POST. */
const LONGEST_URL = 8000;

/** The document's operations, or undefined where the text is not GraphQL. */
export function operationsOf(text) {
  try {
    return parse(text, { noLocation: true }).definitions.filter(({ kind }) => kind === 'OperationDefinition');
  } catch {
    return undefined;
  }
}

/** The operation that a request means; undefined where that is for the server to refuse. */
export function operationOf(text, name) {
  const operations = operationsOf(text) ?? [];
  return name ? operations.find((operation) => operation.name?.value === name) : operations.length === 1 ? operations[0] : undefined;
}

/** How to send a request: a query by GET, so that it has an ETag; under its own URL where the document is registered. */
export function addressOf({ query, variables, operationName }, documents) {
  const operation = operationOf(query, operationName);
  const given = variables && Object.keys(variables).length > 0 ? JSON.stringify(variables) : undefined;
  const id = documentId(query);
  const registered = documents.find((document) => document.id === id && document.valid);
  const path = registered ? pathOf(id, operation, registered.operations.length) : '/graphql';
  const kind = operation?.operation ?? 'unknown';
  if (kind === 'query') {
    const parameters = new URLSearchParams();
    if (!registered) {
      parameters.set('query', query);
      if (operationName) parameters.set('operationName', operationName);
    }
    if (given) parameters.set('variables', given);
    const url = parameters.size > 0 ? `${path}?${parameters}` : path;
    if (url.length <= LONGEST_URL) return { kind, method: 'GET', url };
  }
  const body = registered ? { variables } : { query, variables, operationName };
  return { kind, method: 'POST', url: path, body: JSON.stringify(body) };
}

function pathOf(id, operation, count) {
  return count > 1 ? `/q/${id}/${operation.name.value}` : `/q/${id}`;
}

/** The URL of a query as the server itself would write it. */
export function canonicalUrl(text, operation, variables) {
  const path = pathOf(documentId(text), operation, operationsOf(text).length);
  const canonical = canonicalVariables(variables ?? {}, operation.variableDefinitions ?? []);
  return canonical === '{}' ? path : `${path}?variables=${encodeComponent(canonical)}`;
}

/** A line for the shell that asks the same. */
export function curl({ origin, text, operation, variables, etag, authorization }) {
  const path = pathOf(documentId(text), operation, operationsOf(text).length);
  const parts = ['curl -i'];
  if (authorization) parts.push('-H "Authorization: $AUTHORIZATION"');
  if (operation.operation !== 'query') {
    parts.push(quoted(origin + path), '--json', quoted(JSON.stringify({ variables: variables ?? {} })));
    return parts.join(' ');
  }
  if (etag) parts.push('-H', quoted(`If-None-Match: ${etag}`));
  parts.push(quoted(origin + canonicalUrl(text, operation, variables)));
  return parts.join(' ');
}

/** For a POSIX shell. */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** The document's entry in a manifest of Apollo's, which `freshql push` and `POST /q` register. */
export function manifestEntry(text, operation) {
  return { id: documentId(text), name: operation.name?.value ?? '', type: operation.operation, body: text };
}

/**
 * Variables to begin with: those of the document's first case that is to succeed, or else one entry for each variable that
 * must be given.
 */
export function startingVariables(text, name, cases) {
  const operation = operationOf(text, name) ?? operationsOf(text)?.[0];
  const fits = (entry) => (entry?.status ?? 200) === 200 && (!entry?.operation || entry.operation === operation?.name?.value);
  const first = cases && Object.values(cases).find(fits);
  if (first) return write(first.variables ?? {});
  const required = (operation?.variableDefinitions ?? []).filter(
    ({ type, defaultValue }) => type.kind === 'NonNullType' && !defaultValue,
  );
  return write(Object.fromEntries(required.map(({ variable, type }) => [variable.name.value, blank(type.type)])));
}

function write(variables) {
  // `freshql test` puts a row's token there at run time; no token is none at all.
  const kept = Object.entries(variables).filter(([, value]) => typeof value !== 'string' || !value.startsWith('[etag of '));
  return kept.length > 0 ? JSON.stringify(Object.fromEntries(kept), null, 2) : '';
}

function blank(type) {
  if (type.kind === 'ListType') return [];
  return { Int: 0, Float: 0, Boolean: false, ID: '', String: '' }[type.name.value] ?? {};
}
