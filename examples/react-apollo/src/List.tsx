import { useQuery } from '@apollo/client/react';
import { useDeferredValue, useState } from 'react';
import { PRODUCTS, type Status } from './operations';

const STATES: [Status | null, string][] = [
  [null, 'All'],
  ['ACTIVE', 'On sale'],
  ['DRAFT', 'Drafts'],
  ['DISCONTINUED', 'Discontinued'],
];

export function List({ selected, select }: { selected: string | null; select: (id: string) => void }) {
  const [text, setText] = useState('');
  const [status, setStatus] = useState<Status | null>(null);
  const wanted = useDeferredValue(text.trim());
  // A filter that is null is none.
  const { data, previousData, loading, error, fetchMore, refetch } = useQuery(PRODUCTS, {
    variables: { text: wanted || null, status },
    fetchPolicy: 'cache-and-network',
    notifyOnNetworkStatusChange: true,
  });
  const products = (data ?? previousData)?.products;
  return (
    <nav className="list" aria-label="Products">
      <div className="tools">
        <input
          type="search"
          placeholder="Search products and merchants"
          aria-label="Search"
          value={text}
          onChange={(event) => setText(event.target.value)}
        />
        <div className="tabs" role="group" aria-label="State">
          {STATES.map(([value, label]) => (
            <button key={label} type="button" aria-pressed={status === value} onClick={() => setStatus(value)}>
              {label}
            </button>
          ))}
        </div>
      </div>
      {error && !products && (
        <p className="failure" role="alert">
          {error.message} <button onClick={() => void refetch()}>Try again</button>
        </p>
      )}
      <ul>
        {products?.nodes.map((product) => (
          <li key={product.id}>
            <button
              type="button"
              className="row"
              aria-current={product.id === selected || undefined}
              onClick={() => select(product.id)}
            >
              <span className="name">{product.name}</span>
              <span className="price">€ {product.price}</span>
              <span className="merchant">{product.merchant.name}</span>
              <Badge status={product.status} stock={product.stock} />
            </button>
          </li>
        ))}
      </ul>
      {products && (
        <footer className="pages">
          <span>
            {products.nodes.length} of {products.totalCount}
          </span>
          {products.pageInfo.hasNextPage && (
            <button
              type="button"
              disabled={loading}
              onClick={() => void fetchMore({ variables: { after: products.pageInfo.endCursor! } })}
            >
              {loading ? 'Loading…' : 'Show more'}
            </button>
          )}
        </footer>
      )}
    </nav>
  );
}

function Badge({ status, stock }: { status: Status; stock: number }) {
  if (status === 'ACTIVE') return <span className={stock > 0 ? 'badge' : 'badge is-warning'}>{stock > 0 ? `${stock} in stock` : 'sold out'}</span>;
  return <span className="badge is-quiet">{status === 'DRAFT' ? 'draft' : 'discontinued'}</span>;
}
