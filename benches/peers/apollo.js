// Apollo Server, with its response cache, on Express, which makes ETags of the bytes.
import { createServer } from "node:http";
import { expressMiddleware } from "@as-integrations/express5";
import { ApolloServer } from "@apollo/server";
import { ApolloServerPluginCacheControl } from "@apollo/server/plugin/cacheControl";
import responseCache from "@apollo/server-plugin-response-cache";
import express from "express";
import { cached, loaders, port, resolvers, typeDefs } from "./market.js";

const server = new ApolloServer({
  typeDefs,
  resolvers,
  plugins: cached ? [ApolloServerPluginCacheControl({ defaultMaxAge: 3600 }), responseCache()] : [],
});
await server.start();
const app = express();
app.use("/graphql", express.json(), expressMiddleware(server, { context: async () => ({ loaders: loaders() }) }));
createServer(app).listen(port, "127.0.0.1");
