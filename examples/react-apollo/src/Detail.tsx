import { useQuery } from '@apollo/client/react';
import { useState } from 'react';
import { Form } from './Form';
import { PRODUCT, STATES } from './operations';
import { useSession } from './session';

export function Detail({ id, close }: { id: string; close: () => void }) {
  const { data, previousData, error, refetch } = useQuery(PRODUCT, { variables: { id }, fetchPolicy: 'cache-and-network' });
  const [isEditing, setEditing] = useState(false);
  const [saved, setSaved] = useState(false);
  const session = useSession();
  const edit = () => {
    if (!session) return document.getElementById('token')?.focus();
    setEditing(true);
    setSaved(false);
  };
  // While the etag guard has the rest of a changed row fetched again, what was shown stays.
  const product = (data ?? previousData)?.product;
  if (error && !product) {
    return (
      <p className="failure" role="alert">
        {error.message} <button onClick={() => void refetch()}>Try again</button>
      </p>
    );
  }
  if (product === null) return <p className="empty">This product is gone.</p>;
  if (!product) return <div className="skeleton" aria-busy="true" />;
  return (
    <article>
      <button type="button" className="back" onClick={close}>
        ← All products
      </button>
      <div className="head">
        <div>
          <h2>{product.name}</h2>
          <p className="origin">
            {product.merchant.name}, {product.merchant.city} · {product.sku}
          </p>
        </div>
        {!isEditing && (
          <button type="button" className="primary" onClick={edit}>
            {session ? 'Edit' : 'Sign in to edit'}
          </button>
        )}
      </div>
      {saved && !isEditing && (
        <p className="saved" role="status">
          Saved.
        </p>
      )}
      {isEditing ? (
        <Form product={product} done={(saved) => (setEditing(false), setSaved(saved))} />
      ) : (
        <>
          <p className="description">{product.description}</p>
          <dl className="facts">
            <div>
              <dt>Price</dt>
              <dd>€ {product.price}</dd>
            </div>
            <div>
              <dt>Stock</dt>
              <dd>{product.stock}</dd>
            </div>
            <div>
              <dt>State</dt>
              <dd>{STATES[product.status]}</dd>
            </div>
            <div>
              <dt>Version</dt>
              <dd>
                <code>{product.etag}</code>
              </dd>
            </div>
          </dl>
          <h3>
            Reviews <span>{product.reviews.totalCount}</span>
          </h3>
          <ul className="reviews">
            {product.reviews.nodes.map((review) => (
              <li key={review.id}>
                <p className="stars" aria-label={`${review.rating} of 5 stars`}>
                  {'★'.repeat(review.rating)}
                  <span>{'★'.repeat(5 - review.rating)}</span>
                </p>
                {review.title && <h4>{review.title}</h4>}
                <p>{review.body}</p>
                <p className="author">{review.author}</p>
              </li>
            ))}
          </ul>
        </>
      )}
    </article>
  );
}
