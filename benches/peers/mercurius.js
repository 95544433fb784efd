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
  app.register(cache, { ttl: 3600, all: true });
}
await app.listen({ port, host: "127.0.0.1" });
