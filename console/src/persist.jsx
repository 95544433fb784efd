// Persist this query: what stands in the editor as a registered document would be asked for.
import { useGraphiQL } from '@graphiql/react';
import { canonicalUrl, curl, documentId, manifestEntry, operationOf, operationsOf } from './documents.js';
import { header } from './panel.jsx';
import { Code, Copy, Section } from './parts.jsx';
import { authorization, documents } from './state.js';
import { useStore } from './store.js';

export function Persist({ exchange }) {
  const { query, variables, operationName } = useGraphiQL(({ tabs, activeTabIndex, operationName }) => ({
    query: tabs[activeTabIndex].query ?? '',
    variables: tabs[activeTabIndex].variables,
    operationName,
  }));
  const known = useStore(documents);
  const token = useStore(authorization);
  const operations = operationsOf(query);
  if (!operations?.length) return <p className="fq-hint">The editor holds no operation that parses.</p>;
  const operation = operationOf(query, operationName) ?? operations[0];
  const given = parsed(variables);
  if (given === undefined) return <p className="fq-hint">The variables are not a JSON object.</p>;

  const id = documentId(query);
  const registered = known.find((document) => document.id === id);
  const name = operation.name?.value;
  const etag = exchange?.request.query === query ? header(exchange, 'etag') : undefined;
  const line = curl({ origin: location.origin, text: query, operation, variables: given, etag, authorization: token });
  return (
    <>
      <Section title="Document id" aside={<Copy text={id} />}>
        <p>
          <code className="fq-id">{id}</code>
        </p>
        <p>
          {registered ? (
            <>Registered{registered.files.length > 0 ? <> by <code>{registered.files.join(', ')}</code></> : ' over the API'}.</>
          ) : (
            <>
              Not registered. {name ? <>Save these bytes as <code>queries/{name}.graphql</code>, or register the manifest below with <code>freshql push</code>.</> : 'Give the operation a name first: files and manifests go by it.'}{' '}
              {name && <Download name={`${name}.graphql`} text={query} />}
            </>
          )}
        </p>
      </Section>
      {operation.operation === 'query' && <Code title="URL" text={location.origin + canonicalUrl(query, operation, given)} />}
      <Code title="curl" text={line} />
      <Code title="Manifest entry" text={JSON.stringify(manifestEntry(query, operation), null, 2)}>
        <p>
          <Download name="persisted-query-manifest.json" text={manifest(query, operation)} /> <small>in the form of Apollo Client’s, with this one operation</small>
        </p>
      </Code>
    </>
  );
}

function manifest(text, operation) {
  const operations = [manifestEntry(text, operation)];
  return `${JSON.stringify({ format: 'apollo-persisted-query-manifest', version: 1, operations }, null, 2)}\n`;
}

function Download({ name, text }) {
  const save = () => {
    const url = URL.createObjectURL(new Blob([text], { type: 'application/octet-stream' }));
    Object.assign(document.createElement('a'), { href: url, download: name }).click();
    URL.revokeObjectURL(url);
  };
  return (
    <button type="button" className="fq-link" onClick={save}>
      Download {name}
    </button>
  );
}

/** The variables, or undefined where they are no JSON object. */
function parsed(text) {
  if (!text?.trim()) return {};
  try {
    const value = JSON.parse(text);
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
