// The registered operations by name; a click opens one in a tab.
import { useState } from 'react';
import { useGraphiQL, useGraphiQLActions } from '@graphiql/react';
import { startingVariables } from './documents.js';
import { Pill } from './parts.jsx';
import { documents, loadDocuments } from './state.js';
import { useStore } from './store.js';

/** As in panel.css. */
const NARROW = '(max-width: 760px)';

export const OPERATIONS = { title: 'Operations', icon: Icon, content: Operations };

function Operations() {
  const [sought, seek] = useState('');
  const known = useStore(documents);
  const open = useOpen();
  const all = known.flatMap((document) => entries(document));
  const shown = all
    .filter(({ name }) => name.toLowerCase().includes(sought.trim().toLowerCase()))
    .sort((a, b) => a.name.localeCompare(b.name));
  return (
    <section className="fq-operations" aria-label="Registered operations">
      <header>
        <h2>Operations</h2>
        <button type="button" className="fq-link" onClick={loadDocuments}>
          Reload
        </button>
      </header>
      <input type="search" placeholder="Search by name" aria-label="Search operations" value={sought} onChange={(event) => seek(event.target.value)} />
      <ul>
        {shown.map((entry) => (
          <li key={`${entry.document.id} ${entry.name}`}>
            <button type="button" onClick={() => open(entry)} disabled={!entry.document.text}>
              <span className={`fq-kind fq-kind-${entry.kind}`} title={entry.kind}>{entry.kind[0].toUpperCase()}</span>
              <span>
                {entry.name}
                <small>{where(entry.document)}</small>
              </span>
              {entry.document.retired && <Pill tone="warn" title={`served until ${entry.document.retired.until}`}>retired</Pill>}
              {!entry.document.valid && <Pill tone="bad">does not fit the model</Pill>}
            </button>
          </li>
        ))}
      </ul>
      {all.length === 0 && (
        <p className="fq-hint">
          No operation is registered yet. The files in <code>queries/</code> are, when the server starts.
        </p>
      )}
      {all.length > 0 && shown.length === 0 && <p className="fq-hint">No name contains “{sought}”.</p>}
    </section>
  );
}

function entries(document) {
  const operations = document.operations.length > 0 ? document.operations : [{ name: null, kind: 'query' }];
  return operations.map(({ name, kind }) => ({ document, operation: name, kind, name: name ?? `anonymous ${document.id.slice(0, 8)}` }));
}

function where({ files, stored }) {
  if (files.length > 0) return files.join(', ');
  return stored ? 'registered over the API' : '';
}

/** Opens an operation in the tab that shows it already, or in a new one. */
function useOpen() {
  const { addTab, changeTab, updateActiveTabValues, setOperationName, setVisiblePlugin } = useGraphiQLActions();
  const { tabs, queryEditor, variableEditor } = useGraphiQL(({ tabs, queryEditor, variableEditor }) => ({ tabs, queryEditor, variableEditor }));
  return ({ document, operation }) => {
    const at = tabs.findIndex(({ query }) => query === document.text);
    if (at >= 0) {
      changeTab(at);
    } else {
      const variables = startingVariables(document.text, operation, document.cases);
      addTab();
      queryEditor.setValue(document.text);
      variableEditor?.setValue(variables);
      updateActiveTabValues({ query: document.text, variables });
    }
    if (document.operations.length > 1 && operation) setOperationName(operation);
    if (matchMedia(NARROW).matches) {
      // The list would cover what was opened.
      setVisiblePlugin(null);
      window.document.getElementById('graphiql-session').scrollTop = 0;
    }
  };
}

/** The document and operation for the first tab: a query that needs no variables, or has a case that gives them. */
export function firstOperation(known) {
  const queries = known
    .filter(({ valid, retired, files }) => valid && !retired && files.length > 0)
    .flatMap((document) => entries(document))
    .filter(({ kind }) => kind === 'query')
    .sort((a, b) => a.name.localeCompare(b.name))
    .map((entry) => ({ ...entry, variables: startingVariables(entry.document.text, entry.operation, entry.document.cases) }));
  return queries.find(({ variables, document }) => variables === '' || document.cases) ?? queries[0];
}

function Icon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5" strokeLinecap="round" strokeLinejoin="round" aria-hidden="true">
      <path d="M8 6h12M8 12h12M8 18h12M4 6h.01M4 12h.01M4 18h.01" />
    </svg>
  );
}
