// GraphQL Yoga, with its response cache.
import { createServer } from "node:http";
import { createSchema, createYoga } from "graphql-yoga";
import { useResponseCache } from "@graphql-yoga/plugin-response-cache";
import { cached, loaders, port, resolvers, typeDefs } from "./market.js";

const yoga = createYoga({
  schema: createSchema({ typeDefs, resolvers }),
  context: () => ({ loaders: loaders() }),
  plugins: cached ? [useResponseCache({ session: () => null, ttl: 3_600_000 })] : [],
  graphiql: false,
  landingPage: false,
  logging: false,
});
createServer(yoga).listen(port, "127.0.0.1");
