// The part of freshql's API that the benchmark's operations use, over better-sqlite3, for any GraphQL server: types,
// resolvers, and the loaders of one request. The database is in process, so a batch runs its prepared statement once per
// key, which is the fastest that SQLite offers.
import Database from "better-sqlite3";
import DataLoader from "dataloader";
import { GraphQLError } from "graphql";

export const typeDefs = `
  scalar Decimal
  enum OrderDirection { ASC DESC }
  input StringFilter { eq: String }
  input MerchantWhere { city: StringFilter }
  input MerchantOrderBy { name: OrderDirection }
  input MerchantPatch { name: String }
  type Query {
    merchant(id: ID!): Merchant
    merchants(where: MerchantWhere, orderBy: [MerchantOrderBy!], first: Int = 20): MerchantConnection!
  }
  type Mutation {
    updateMerchant(id: ID!, patch: MerchantPatch!, expectedEtag: String): Merchant!
  }
  type Merchant {
    id: ID!
    etag: String!
    name: String!
    description: String!
    city: String!
    products(first: Int = 20): ProductConnection!
  }
  type MerchantConnection { nodes: [Merchant!]! }
  type Product {
    id: ID!
    name: String!
    description: String!
    price: Decimal!
    reviews(first: Int = 20): ReviewConnection!
  }
  type ProductConnection { nodes: [Product!]! }
  type Review {
    id: ID!
    rating: Int!
    author: String!
    body: String!
  }
  type ReviewConnection { nodes: [Review!]! }
`;

const database = new Database(process.env.DATABASE);
for (const pragma of ["journal_mode = WAL", "synchronous = FULL", "cache_size = -65536", "mmap_size = 1073741824"]) {
  database.pragma(pragma);
}

const merchantById = database.prepare("SELECT id, _version, name, description, city FROM merchants WHERE id = ?");
const merchantsOfCity = database.prepare(
  "SELECT id, _version, name, description, city FROM merchants WHERE city = ? ORDER BY name, id LIMIT ?",
);
const productsOfMerchant = database.prepare(
  "SELECT id, name, description, price FROM products WHERE merchant_id = ? ORDER BY name, id LIMIT ?",
);
const reviewsOfProduct = database.prepare(
  "SELECT id, rating, author, body FROM reviews WHERE product_id = ? ORDER BY created_at DESC, id LIMIT ?",
);
const rename = database.prepare(
  "UPDATE merchants SET name = ?, _version = _version + 1 WHERE id = ? AND _version = ? " +
    "RETURNING id, _version, name, description, city",
);

/** Lists by parent and length. */
function lists(statement) {
  return new DataLoader(async (keys) => keys.map(({ id, first }) => statement.all(id, first)), {
    cacheKeyFn: ({ id, first }) => `${first} ${id}`,
  });
}

export function loaders() {
  return { products: lists(productsOfMerchant), reviews: lists(reviewsOfProduct) };
}

function updateMerchant(_, { id, patch, expectedEtag }) {
  const merchant = rename.get(patch.name, id, Number(expectedEtag));
  if (!merchant) {
    throw new GraphQLError("the merchant has changed", { extensions: { code: "PRECONDITION_FAILED" } });
  }
  return merchant;
}

export const resolvers = {
  Query: {
    merchant: (_, { id }) => merchantById.get(id),
    merchants: (_, { where, first }) => ({ nodes: merchantsOfCity.all(where.city.eq, first) }),
  },
  Mutation: { updateMerchant },
  Merchant: {
    etag: (merchant) => String(merchant._version),
    products: async (merchant, { first }, { loaders }) => ({ nodes: await loaders.products.load({ id: merchant.id, first }) }),
  },
  Product: {
    price: (product) => (product.price / 100).toFixed(2),
    reviews: async (product, { first }, { loaders }) => ({ nodes: await loaders.reviews.load({ id: product.id, first }) }),
  },
};

/** Whether answers are to be cached. */
export const cached = Boolean(process.env.CACHE);
export const port = Number(process.env.PORT);
