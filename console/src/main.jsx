// The page: GraphiQL as its makers ship it, with our fetcher and name, the registered operations, a field picker, and a panel that
// says what the server said about an answer.
import './workers.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './page.css';
import './panel.css';

import { explorerPlugin } from '@graphiql/plugin-explorer';
import { HISTORY_PLUGIN } from '@graphiql/plugin-history';
import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { fetcher } from './fetcher.js';
import { OPERATIONS, firstOperation } from './operations.jsx';
import { Panel } from './panel.jsx';
import { documents, loadDocuments } from './state.js';
import { TOKEN } from './token.jsx';

/** Fits any schema. */
const FIRST_QUERY = `# What can be asked? The book icon opens the documentation of every type.
# Ctrl-Space completes, Ctrl-Enter runs.
{
  __schema {
    queryType {
      fields {
        name
      }
    }
  }
}
`;

const PLUGINS = [OPERATIONS, explorerPlugin(), HISTORY_PLUGIN, TOKEN];

/** Whether the browser keeps tabs of an earlier visit. */
function hasTabs() {
  try {
    return localStorage.getItem('graphiql:tabState') !== null;
  } catch {
    return false;
  }
}

loadDocuments().then(() => {
  const first = firstOperation(documents.get());
  const tab = first ? { query: first.document.text, variables: first.variables } : { query: FIRST_QUERY };
  createRoot(document.getElementById('console')).render(
    <GraphiQL
      fetcher={fetcher}
      plugins={PLUGINS}
      defaultTabs={[tab]}
      // GraphiQL takes the variables of the first tab from here, even if it has a tab from before.
      initialVariables={hasTabs() ? undefined : tab.variables}
      defaultQuery={'# Ctrl-Space completes, Ctrl-Enter runs.\n'}
      shouldPersistHeaders={false}
      inputValueDeprecation
      schemaDescription
    >
      <GraphiQL.Logo>freshql</GraphiQL.Logo>
      <GraphiQL.Footer>
        <Panel />
      </GraphiQL.Footer>
    </GraphiQL>,
  );
});
