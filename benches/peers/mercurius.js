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
  // Not `all`: a look-up for each price costs more than it saves.
  const policy = { Query: { merchant: true, merchants: true }, Merchant: { products: true }, Product: { reviews: true } };
  app.register(cache, { ttl: 3600, policy });
}
await app.listen({ port, host: "127.0.0.1" });
