/** A model that is nothing like the demo (`festival/schema.graphql`), with local ids and with global ones, as its clients use it. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { ApolloClient, gql, InMemoryCache, type ObservableQuery } from "@apollo/client";
import { Client, gql as urqlGql } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { FreshqlLink, retryOnConflict, typePolicies } from "freshql-client/apollo";
import { createClient, OperationError } from "freshql-client/fetch";
import { shapeOf, type SchemaShape } from "freshql-client/schema";
import { freshql } from "freshql-client/urql";
import { buildSchema } from "graphql";
import { program, recording, repository, serve, type Server, until } from "./server.js";

const project = mkdtempSync(join(tmpdir(), "freshql-festival-"));
before(() => {
  mkdirSync(join(project, "queries"));
  copyFileSync(join(repository, "clients/js/test/festival/schema.graphql"), join(project, "schema.graphql"));
  execFileSync(program, ["migrate", "new", "create"], { cwd: project, env: {} });
  execFileSync(program, ["check"], { cwd: project, env: {} });
});
after(() => rmSync(project, { recursive: true, force: true }));

const ARTISTS = `query Artists($status: ArtistStatus, $genre: String, $after: String) {
  artists(first: 4, after: $after, where: { status: { eq: $status }, genres: { some: { genre: { label: { eq: $genre } } } }, deletedAt: { isNull: true } }) {
    totalCount
    nodes { id etag name fee status }
    pageInfo { hasNextPage endCursor }
  }
}`;
const ARTIST = `query Artist($id: ID!) {
  artist(id: $id) { id etag name bio fee status formed listeners deletedAt genres { nodes { id genre { id label parent { id label } } } } gigs(first: 1) { nodes { id startsAt stage { id name kind venue { id name facts } } } pageInfo { hasNextPage endCursor } } }
}`;
const SAVE = `mutation Save($id: ID!, $patch: ArtistPatch!, $expectedEtag: String) {
  updateArtist(id: $id, patch: $patch, expectedEtag: $expectedEtag) { id etag name bio fee status formed listeners deletedAt }
}`;

/** What a page that is open shows first. */
async function complete(watched: ObservableQuery<any>): Promise<any> {
  watched.subscribe(() => {});
  await until(() => watched.getCurrentResult().dataState === "complete", "the page shows something");
  return watched.getCurrentResult().data;
}

for (const ids of ["local", "global"]) {
  describe(`with ${ids} ids`, () => {
    let server: Server;
    let shape: SchemaShape;
    const artists: string[] = [];
    const made = async (type: string, input: object): Promise<string> => {
      const answer = await server.run(`mutation M($input: ${type}Input!) { made: create${type}(input: $input) { id } }`, { input });
      return answer.made.id;
    };

    before(async () => {
      server = await serve("open", {}, {}, project, `ids = "${ids}"\n`);
      shape = shapeOf(buildSchema(await (await fetch(`${server.url}/schema.graphql`)).text()));
      const rock = await made("Genre", { id: "g-rock", label: "rock" });
      const punk = await made("Genre", { id: "g-punk", label: "punk", parentId: rock });
      const venueId = await made("Venue", { slug: "harbour", name: "Harbour", lat: 53.5, facts: { bars: [1, 2], water: true } });
      const stageId = await made("Stage", { name: "Main", kind: "OPEN_AIR", venueId });
      for (let number = 1; number <= 12; number++) {
        const status = ["ENQUIRED", "CONFIRMED"][number % 2];
        const artistId = await made("Artist", { name: `Band ${number + 10}`, fee: `${number}00.50`, status, formed: "2001-02-03", listeners: "9007199254740993" });
        await made("ArtistGenre", { artistId, genreId: number % 3 ? punk : rock });
        for (const day of ["03", "04"]) await made("Gig", { artistId, stageId, startsAt: `2027-07-${day}T${number + 10}:00:00Z` });
        artists.push(artistId);
      }
    });

    test("every type is known to the adapters", () => {
      assert.deepEqual(shape.entities, ["Artist", "ArtistGenre", "Genre", "Gig", "Order", "OrderLine", "Staff", "Stage", "TicketType", "Venue"]);
      assert.deepEqual(shape.connections["Staff"], ["reports"]);
      assert.ok(shape.connections["Query"]!.includes("crew") && !("ArtistConnection" in shape.connections));
    });

    test("Apollo Client reads pages of each filter, nested ones too, edits, and hides a row", async () => {
      const { fetch, requests } = recording();
      const cache = new InMemoryCache({ typePolicies: typePolicies(shape) });
      const client = new ApolloClient({ cache, link: new FreshqlLink({ url: server.url, fetch }) });
      const query = gql(ARTISTS);
      const watched = client.watchQuery<any>({ query, variables: {} });
      await complete(watched);
      const page = () => (watched.getCurrentResult().data as any).artists;
      const names = () => page().nodes.map((artist: any) => artist.name);
      for (const length of [8, 12]) {
        await watched.fetchMore({ variables: { after: page().pageInfo.endCursor } });
        await until(() => names().length === length, "the page shows the next page, too");
      }
      assert.deepEqual(names(), Array.from({ length: 12 }, (_, i) => `Band ${i + 11}`));
      // An optional filter that is null is no condition; each filter has pages of its own.
      const { data: punks } = await client.query<any>({ query, variables: { status: null, genre: "punk" } });
      assert.deepEqual([punks.artists.totalCount, punks.artists.nodes.length], [8, 4]);
      assert.equal(names().length, 12);

      const id = artists[0]!;
      const { data } = await client.query<any>({ query: gql(ARTIST), variables: { id } });
      assert.deepEqual([data.artist.listeners, data.artist.fee, data.artist.formed], ["9007199254740993", "100.50", "2001-02-03"]);
      assert.equal(data.artist.genres.nodes[0].genre.parent.label, "rock");
      assert.deepEqual(data.artist.gigs.nodes[0].stage.venue.facts, { bars: [1, 2], water: true });
      const gigs = `query Gigs($id: ID!, $after: String) { artist(id: $id) { id gigs(first: 1, after: $after) { nodes { id startsAt } pageInfo { hasNextPage endCursor } } } }`;
      const more = client.watchQuery<any>({ query: gql(gigs), variables: { id } });
      const { endCursor } = (await complete(more)).artist.gigs.pageInfo;
      await more.fetchMore({ variables: { after: endCursor } });
      const days = () => (more.getCurrentResult().data as any).artist.gigs.nodes.map(({ startsAt }: any) => startsAt.slice(8, 10));
      await until(() => days().length === 2, "both days are shown");
      assert.deepEqual(days(), ["03", "04"]);

      // Somebody else writes a bio; a fee is sent with the etag that was read before.
      await server.run(SAVE, { id, patch: { bio: "theirs" } });
      const asked: any[] = [];
      await retryOnConflict({ id, patch: { fee: "99.00" }, expectedEtag: data.artist.etag as string }, (variables) => client.mutate({ mutation: gql(SAVE), variables }), ({ current, intent }) => (asked.push(current), intent));
      assert.deepEqual(asked.map(({ bio, fee }) => [bio, fee]), [["theirs", "100.50"]]);
      const { data: now } = await client.query<any>({ query: gql(ARTIST), variables: { id } });
      assert.deepEqual([now.artist.bio, now.artist.fee], ["theirs", "99.00"]);

      await client.mutate({ mutation: gql(SAVE), variables: { id, patch: { deletedAt: "2027-01-01T00:00:00Z", status: "CANCELLED" } } });
      const { data: left } = await client.query<any>({ query, variables: {}, fetchPolicy: "network-only" });
      assert.equal(left.artists.totalCount, 11);
      assert.ok(requests.filter(({ method, url }) => method === "GET" && url.pathname.startsWith("/q/")).length >= 3);
    });

    test("urql joins pages, and Graphcache holds each row at one version", async () => {
      const { exchange, updates } = freshql({ url: server.url, entities: shape.entities });
      const keys = Object.fromEntries(shape.keyless.map((type) => [type, () => null]));
      const resolvers = { Query: { artists: relayPagination() } };
      const client = new Client({ url: server.url, preferGetMethod: false, exchanges: [cacheExchange({ keys, resolvers, updates }), exchange] });
      const query = urqlGql(ARTISTS);
      const first = await client.query(query, { status: "CONFIRMED" }).toPromise();
      const second = await client.query(query, { status: "CONFIRMED", after: first.data.artists.pageInfo.endCursor }).toPromise();
      assert.equal(second.data.artists.nodes.length, second.data.artists.totalCount);
      const { id, etag } = second.data.artists.nodes[0];
      const saved = await client.mutation(urqlGql(SAVE), { id, patch: { bio: "by urql" }, expectedEtag: etag }).toPromise();
      const shown = await client.query(urqlGql(ARTIST), { id }).toPromise();
      assert.deepEqual([shown.data.artist.bio, shown.data.artist.etag], ["by urql", saved.data.updateArtist.etag]);
    });

    test("keys that refer to their own type, unique keys of two columns, and etags that must be given", async () => {
      const client = createClient({ url: server.url });
      const badge = async (badge: string, managerId?: string) => (await client.mutate<any>("mutation B($badge: String!, $managerId: ID) { createStaff(input: { badge: $badge, managerId: $managerId }) { id } }", { badge, managerId })).createStaff.id;
      const boss = await badge("S-1");
      await badge("S-2", boss);
      const { crew } = await client.data<any>("query C($boss: ID!) { crew(where: { managerId: { eq: $boss } }) { nodes { badge manager { badge reports { totalCount } } } } }", { boss });
      assert.deepEqual(crew.nodes, [{ badge: "S-2", manager: { badge: "S-1", reports: { totalCount: 1 } } }]);

      const { venueBySlug } = await client.data<any>('{ venueBySlug(slug: "harbour") { id } }');
      const { stageByVenueAndName } = await client.data<any>("query S($venueId: ID!) { stageByVenueAndName(venueId: $venueId, name: \"Main\") { kind } }", { venueId: venueBySlug.id });
      assert.equal(stageByVenueAndName.kind, "OPEN_AIR");

      const ticket = await made("TicketType", { code: "DAY", price: "49.90", validOn: "2027-07-03" });
      const order = await made("Order", { number: 1000000000001, placedAt: undefined });
      await made("OrderLine", { orderId: order, ticketId: ticket, quantity: 2 });
      const price = "mutation P($id: ID!, $price: Decimal!, $etag: String!) { updateTicketType(id: $id, patch: { price: $price }, expectedEtag: $etag) { price } }";
      await assert.rejects(client.mutate<any>(price, { id: ticket, price: "1.00", etag: "AAAAAAAAAAAAAAAA" }), OperationError);
      // What an order refers to stays.
      const refused = await client.mutate<any>("mutation D($id: ID!) { deleteTicketType(id: $id, expectedEtag: \"*\") { id } }", { id: ticket }).then(() => undefined, (error: OperationError) => error);
      assert.equal(refused?.errors[0]?.extensions?.["code"], "CONFLICT", String(refused));
      const { orderByNumber } = await client.data<any>('{ orderByNumber(number: "1000000000001") { number lines { nodes { quantity ticket { code price } } } } }');
      assert.deepEqual(orderByNumber, { number: "1000000000001", lines: { nodes: [{ quantity: 2, ticket: { code: "DAY", price: "49.90" } }] } });
    });
  });
}
