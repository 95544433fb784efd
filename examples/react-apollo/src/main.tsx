import { ApolloClient, InMemoryCache } from '@apollo/client';
import { ApolloProvider } from '@apollo/client/react';
import { FreshqlLink, typePolicies } from 'freshql-client/apollo';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './App';
import './style.css';

const client = new ApolloClient({
  cache: new InMemoryCache({ typePolicies: typePolicies({ connections: { Query: ['products'], Product: ['reviews'] } }) }),
  // Without an address, the server is where the page is from.
  link: new FreshqlLink({ url: import.meta.env.VITE_FRESHQL_URL ?? '' }),
});

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <ApolloProvider client={client}>
      <App />
    </ApolloProvider>
  </StrictMode>,
);
