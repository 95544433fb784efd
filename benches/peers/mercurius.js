// Mercurius, with its compiler of queries (JIT), its cache of resolvers, and Fastify's ETags.
import etag from "@fastify/etag";
import Fastify from "fastify";
import mercurius from "mercurius";
import cache from "mercurius-cache";
import { cached, loaders, port, resolvers, typeDefs } from "./market.js";

const app = Fastify();
if (cached) {
  app.register(etag);
}
app.register(mercurius, { schema: typeDefs, resolvers, jit: 1, context: () => ({ loaders: loaders() }) });
if (cached) {
  // Keys of our own, as its documentation advises: by default it writes the whole parent as JSON for each look-up.
  const of = ({ self, arg }) => `${self?.id}${arg.id ?? JSON.stringify(arg)}`;
  const field = { key: of };
  const policy = { Query: { merchant: field, merchants: field }, Merchant: { products: field }, Product: { reviews: field } };
  app.register(cache, { ttl: 3600, storage: { type: "memory", options: { size: 1_000_000 } }, policy });
}
await app.listen({ port, host: "127.0.0.1" });
