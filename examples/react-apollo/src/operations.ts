/** The application's operations: the very files that are registered with the server, and the types of what they get. */
import { registered } from 'freshql-client/apollo';
import product from '../queries/Product.graphql?raw';
import products from '../queries/Products.graphql?raw';
import saveProduct from '../queries/SaveProduct.graphql?raw';

export type Status = 'DRAFT' | 'ACTIVE' | 'DISCONTINUED';

export const STATES: Record<Status, string> = { DRAFT: 'draft', ACTIVE: 'on sale', DISCONTINUED: 'discontinued' };

/** What the form edits. */
export interface Draft {
  name: string;
  description: string;
  price: string;
  stock: number;
  status: Status;
}

/** A row at one version: all of `Draft` is what `etag` names. */
export interface Editable extends Draft {
  __typename: 'Product';
  id: string;
  etag: string;
}

export interface Product extends Editable {
  sku: string;
  merchant: { id: string; name: string; city: string };
  reviews: {
    totalCount: number;
    nodes: { id: string; rating: number; title: string | null; body: string; author: string }[];
  };
}

export interface Shelf {
  products: {
    totalCount: number;
    nodes: (Pick<Product, 'id' | 'name' | 'price' | 'stock' | 'status'> & { merchant: { name: string } })[];
    pageInfo: { hasNextPage: boolean; endCursor: string | null };
  };
}

export const PRODUCTS = registered<Shelf, { text?: string | null; status?: Status | null; after?: string }>(products);
export const PRODUCT = registered<{ product: Product | null }, { id: string }>(product);
export const SAVE_PRODUCT = registered<
  { updateProduct: Editable },
  { id: string; patch: Partial<Draft>; expectedEtag: string }
>(saveProduct);
