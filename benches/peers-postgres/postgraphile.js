// PostGraphile over the market's tables, with the preset that its manual recommends.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const instance = postgraphile({
  extends: [PostGraphileAmberPreset],
  // It hides orderings that no index begins with. The index on the reviews begins with their product, which is what matters here.
  disablePlugins: ["PgIndexBehaviorsPlugin"],
  // As many connections as the handler written by hand has.
  pgServices: [makePgService({ connectionString: process.env.DATABASE, schemas: ["public"], pgPoolConfig: { max: 8 } })],
  grafserv: { graphqlOverGET: true, graphqlPath: "/graphql", graphiql: false, websockets: false },
});
const server = createServer();
await instance.createServ(grafserv).addTo(server);
server.listen(Number(process.env.PORT), "127.0.0.1");
