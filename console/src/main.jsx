// The page: GraphiQL as its makers ship it, with our fetcher, our name and a first query that fits any schema.
import './workers.js';
import '@graphiql/react/style.css';
import '@graphiql/plugin-doc-explorer/style.css';
import '@graphiql/plugin-history/style.css';
import 'graphiql/graphiql.css';
import './page.css';

import { GraphiQL } from 'graphiql';
import { createRoot } from 'react-dom/client';
import { fetcher } from './fetcher.js';

const FIRST_QUERY = `# What can be asked? The book icon on the left opens the documentation of
# every type. Ctrl-Space completes, Ctrl-Enter runs.
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

createRoot(document.getElementById('console')).render(
  <GraphiQL fetcher={fetcher} defaultQuery={FIRST_QUERY} inputValueDeprecation schemaDescription>
    <GraphiQL.Logo>freshql</GraphiQL.Logo>
  </GraphiQL>,
);
