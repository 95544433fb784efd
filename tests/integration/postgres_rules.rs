//! Mutations on PostgreSQL that depend on rules, on keys that the database gives, or on several
//! tags: how often they ask the database, and what they do if somebody is in the way.

use std::time::Duration;

use freshql::config::{Database, Mode};
use freshql::store::postgres::client::{Connection, Role, Session};
use http::HeaderName;
use serde_json::{Value, json};

use crate::harness::{Answer, TestApp};
use crate::newsroom::{MODEL, Newsroom, issuer, project, role, user};
use crate::plans::{run_by_indexes, statements_on};
use crate::postgres::Postgres;
use crate::wiretap::Wiretap;

/// Beside the newsroom's: rows whose keys the database gives, and rules that require different
/// things of the result.
const MORE: &str = r#"
type Ticket @entity @allow(to: [READ]) @allow(role: "editor") {
  id: ID! @id @default(fn: AUTOINCREMENT)
  subject: String!
  notes: [Note!]! @derivedFrom(field: "ticket")
}

type Note @entity @allow(to: [READ]) @allow(where: {writer: {eq: "$sub"}}) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  writer: String!
  text: String!
  ticket: Ticket @relation(onDelete: SET_NULL)
}

type Form @entity @allow(to: [READ])
  @allow(to: [UPDATE], where: {owner: {eq: "$sub"}})
  @allow(to: [UPDATE], where: {state: {eq: "OPEN"}}, check: {state: {eq: "CLOSED"}}) {
  id: ID! @id
  owner: String!
  state: String!
}
"#;
const ROWS: &str = "
INSERT INTO users (id, name) VALUES ('ada', 'Ada'), ('bob', 'Bob'), ('eve', 'Eve');
INSERT INTO teams (id, name) VALUES ('t1', 'News');
INSERT INTO members (id, team_id, user_id) VALUES ('m1', 't1', 'ada');
INSERT INTO posts (id, title, status, author_id, team_id) VALUES
  ('p1', 'Of Ada', 'DRAFT', 'ada', NULL), ('p2', 'Of Ada, too', 'DRAFT', 'ada', NULL),
  ('p3', 'Of Bob', 'DRAFT', 'bob', NULL), ('p4', 'Of the team', 'DRAFT', 'bob', 't1');
INSERT INTO forms (id, owner, state) VALUES
  ('f1', 'bob', 'OPEN'), ('f2', 'ada', 'DONE'), ('f3', 'ada', 'DONE'), ('f4', 'bob', 'DONE');
";

const UPDATE: &str = "mutation($id: ID!, $patch: PostPatch!, $etag: String) {
  updatePost(id: $id, patch: $patch, expectedEtag: $etag) { id etag title } }";
const CREATE: &str = "mutation($input: PostInput!) { createPost(input: $input) { id etag title } }";
const DELETE: &str = "mutation($id: ID!) { deletePost(id: $id) { id title } }";
const POST: &str = "query($id: ID!) { post(id: $id) { etag title } }";
const TICKET: &str =
    "mutation($input: TicketInput!) { createTicket(input: $input) { id etag subject } }";
const TICKETS: &str = "mutation($a: TicketInput!, $b: TicketInput!) {
  a: createTicket(input: $a) { id subject } b: createTicket(input: $b) { id subject } }";
const WITH_NOTES: &str =
    "mutation($input: TicketInput!) { createTicket(input: $input) { id notes { totalCount } } }";
const NOTE: &str = "mutation($input: NoteInput!) { createNote(input: $input) { id etag text } }";
const DROP_NOTE: &str = "mutation($id: ID!) { deleteNote(id: $id) { id } }";
const FORM: &str = "mutation($id: ID!, $patch: FormPatch!) {
  updateForm(id: $id, patch: $patch) { id owner state } }";
const TEAM: &str = "query($id: ID!) {
  team(id: $id) { name posts(first: 3) { nodes { title author { name } } totalCount } } }";
const USER: &str = "query($id: ID!) {
  user(id: $id) { name posts(first: 3) { nodes { title team { name } } } members { nodes { team { name } } } } }";

/// Tables large enough for the planner to use their indexes.
const FILL: &str = "
  INSERT INTO users (id, name) SELECT 'u' || n, 'User' FROM generate_series(1, 4000) AS n;
  INSERT INTO teams (id, name) SELECT 'team' || n, 'Team ' || n FROM generate_series(1, 2000) AS n;
  INSERT INTO members (id, team_id, user_id)
    SELECT 'm' || n || '-' || m, 'team' || n, 'u' || n * 2 - m FROM generate_series(1, 2000) AS n, generate_series(0, 1) AS m;
  INSERT INTO posts (id, title, status, author_id, team_id)
    SELECT 'p' || n || '-' || m, 'Post ' || n, 'DRAFT', 'u' || n * 2, 'team' || n FROM generate_series(1, 2000) AS n, generate_series(1, 5) AS m;
  INSERT INTO notes (writer, text) SELECT 'ada', 'Note' FROM generate_series(1, 4000);
  INSERT INTO forms (id, owner, state) SELECT 'form' || n, 'ada', 'DONE' FROM generate_series(1, 4000) AS n;
  INSERT INTO tickets (subject) SELECT 'Ticket' FROM generate_series(1, 4000);
  ANALYZE";

struct Room {
    room: Newsroom,
    tap: Wiretap,
    server: Postgres,
}

impl Room {
    async fn open() -> Option<Self> {
        let server = Postgres::start()?;
        server.create("room");
        let tap = Wiretap::start(server.socket()).await;
        let database = format!("{}&writers=1", tap.url("room")).parse().unwrap();
        let documents = [
            UPDATE, CREATE, DELETE, POST, TICKET, TICKETS, WITH_NOTES, NOTE, DROP_NOTE, FORM, TEAM,
            USER,
        ];
        let directory = project(&format!("{MODEL}{MORE}"), ROWS, &documents);
        let app = TestApp::start_in(directory, Mode::Trusted, |config| {
            (config.database, config.auth) = (database, vec![issuer()]);
        })
        .await;
        Some(Self { room: Newsroom { app }, tap, server })
    }

    fn run(&self, sql: &str) -> Vec<String> {
        self.server.run("room", sql)
    }

    /// The data of a mutation, and its number of round trips.
    async fn trips(&self, text: &str, variables: Value, token: &str) -> (Value, usize) {
        self.trips_with(text, variables, token, &[]).await
    }

    async fn trips_with(
        &self,
        text: &str,
        variables: Value,
        token: &str,
        headers: &[(HeaderName, &str)],
    ) -> (Value, usize) {
        loop {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if self.tap.take() == (0, 0) {
                break;
            }
        }
        let answer = self.room.post_with(text, &variables, Some(token), headers).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (answer.json()["data"].clone(), self.tap.take().0)
    }

    /// The token of a post.
    async fn token(&self, id: &str, viewer: &str) -> String {
        let answer = self.room.get(POST, &json!({"id": id}), Some(viewer)).await;
        answer.json()["data"]["post"]["etag"].as_str().unwrap().to_owned()
    }

    /// Runs a mutation while another program has run `sql` in a transaction, which it commits when
    /// the mutation waits for it.
    async fn behind(&self, sql: &str, mutation: impl Future<Output = Answer>) -> Answer {
        let Database::Postgres(to) = self.server.url("room").parse().unwrap() else { panic!() };
        let mut other = Connection::connect(&to, Session::new(Role::Write)).await.unwrap();
        other.script(&format!("BEGIN; {sql}")).await.unwrap();
        let commit = async {
            let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
            for _ in 0..500 {
                if !self.run(waits).is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other.script("COMMIT").await.unwrap();
        };
        tokio::join!(mutation, commit).0
    }

    async fn post(&self, text: &str, variables: &Value, token: &str) -> Answer {
        self.room.post(text, variables, Some(token)).await
    }

    async fn title(&self, id: &str) -> String {
        self.run(&format!("SELECT title FROM posts WHERE id = '{id}'")).remove(0)
    }
}

fn if_match(tags: &[&str]) -> (HeaderName, String) {
    let tags: Vec<String> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
    (HeaderName::from_static("if-match"), tags.join(", "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_takes_one_flight_though_rules_or_several_tags_restrict_it() {
    let Some(room) = Room::open().await else { return };
    let (ada, editor) = (user("ada"), role("x", "editor"));
    let patch = |id: &str, title: &str| json!({"id": id, "patch": {"title": title}});
    // The first one of each kind prepares statements, and its version is compared behind a check.
    room.trips(UPDATE, patch("p1", "First"), &ada).await;
    let (data, trips) = room.trips(UPDATE, patch("p1", "By its author"), &ada).await;
    assert_eq!((&data["updatePost"]["title"], trips), (&json!("By its author"), 1));
    let (_, trips) = room.trips(UPDATE, patch("p4", "By the team"), &ada).await;
    assert_eq!((trips, &*room.title("p4").await), (1, "By the team"));
    let moved = json!({"id": "p1", "patch": {"teamId": "t1"}});
    let (_, trips) = room.trips(UPDATE, moved, &ada).await;
    assert_eq!(trips, 1, "the team is one that she may read");
    let token = room.token("p1", &ada).await;
    let at = |etag: &str, title: &str| json!({"id": "p1", "patch": {"title": title}, "etag": etag});
    let etag = |data: &Value| data["updatePost"]["etag"].as_str().unwrap().to_owned();
    let (data, trips) = room.trips(UPDATE, at(&token, "At its first"), &ada).await;
    assert_eq!(trips, 2, "the first time, another check precedes the COMMIT");
    let token = etag(&data);
    let (data, trips) = room.trips(UPDATE, at(&token, "At its version"), &ada).await;
    assert_eq!(trips, 1);
    let newer = etag(&data);
    let either = if_match(&[&token, &newer]);
    let either = [(either.0, &*either.1)];
    let (data, trips) = room.trips_with(UPDATE, patch("p1", "The first"), &ada, &either).await;
    assert_eq!((trips, &*room.title("p1").await), (2, "The first"));
    let either = if_match(&[&newer, &etag(&data)]);
    let either = [(either.0, &*either.1)];
    let (_, trips) = room.trips_with(UPDATE, patch("p1", "Either"), &ada, &either).await;
    assert_eq!((trips, &*room.title("p1").await), (1, "Either"));
    // Now neither is current.
    let late = room.room.post_with(UPDATE, &patch("p1", "Late"), Some(&ada), &either).await;
    late.assert_error(412, "PRECONDITION_FAILED");
    assert_eq!(late.json()["errors"][0]["extensions"]["current"]["title"], "Either");

    let input = json!({"input": {"id": "p9", "title": "New", "teamId": "t1"}});
    assert_eq!(room.trips(CREATE, input, &ada).await.1, 1);
    assert_eq!(room.trips(DELETE, json!({"id": "p9"}), &ada).await.1, 1);
    let input = |subject: &str| json!({"input": {"subject": subject}});
    room.trips(TICKET, input("First"), &editor).await;
    let (data, trips) = room.trips(TICKET, input("Second"), &editor).await;
    assert_eq!(trips, 1, "the statement that creates a row returns it");
    assert_eq!(
        (&data["createTicket"]["id"], &data["createTicket"]["subject"]),
        (&json!("2"), &json!("Second"))
    );
    // If its statement is analysed again, one of them waits for a check.
    room.run("ANALYZE tickets");
    let (data, _) = room.trips(TICKET, input("Analysed"), &editor).await;
    assert_eq!(data["createTicket"]["id"], "3");
    assert_eq!(room.trips(TICKET, input("As before"), &editor).await.1, 1);
    let both = json!({"a": {"subject": "Third"}, "b": {"subject": "Fourth"}});
    let (data, trips) = room.trips(TICKETS, both, &editor).await;
    assert_eq!((&data["a"]["id"], &data["b"]["id"]), (&json!("5"), &json!("6")));
    assert_eq!(trips, 1, "so do those of two fields");
    let (data, trips) = room.trips(WITH_NOTES, input("Fifth"), &editor).await;
    assert_eq!((&data["createTicket"]["id"], trips), (&json!("7"), 2), "its key is waited for");
    let note = json!({"input": {"writer": "ada", "text": "Hers"}});
    let (data, trips) = room.trips(NOTE, note, &ada).await;
    assert_eq!((&data["createNote"]["text"], trips), (&json!("Hers"), 2), "as is that of a rule");
    let note = json!({"input": {"writer": "bob", "text": "Not hers"}});
    room.post(NOTE, &note, &ada).await.assert_error(403, "FORBIDDEN");
    assert_eq!(room.run("SELECT text FROM notes"), ["Hers"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rules_require_is_planned_once_and_looked_up_by_indexes() {
    let Some(room) = Room::open().await else { return };
    room.run(FILL);
    while room.room.app.get("/readyz").await.status != 200 {}
    let (member, editor) = (user("u14"), role("x", "editor"));
    for (query, id) in [(POST, "p7-1"), (TEAM, "team7"), (USER, "u14")] {
        let answer = room.room.get(query, &json!({"id": id}), Some(&member)).await;
        assert!(!answer.text().contains("errors"), "{}", answer.text());
    }
    let patch = |id: &str, title: &str| json!({"id": id, "patch": {"title": title}});
    let token = room.token("p7-2", &member).await;
    let mut old = patch("p7-2", "At its version");
    old["etag"] = json!(token);
    let input = json!({"input": {"id": "new", "title": "New", "teamId": "team7"}});
    let note = json!({"input": {"writer": "u14", "text": "Hers", "ticketId": "3"}});
    let form = |id: &str, state: &str| json!({"id": id, "patch": {"state": state}});
    let subject = json!({"input": {"subject": "New"}});
    let ada = user("ada");
    // Each is sent as one flight, and the last ones, which fail, step by step.
    for (text, variables, viewer, status) in [
        (UPDATE, patch("p7-1", "Its author's"), &member, 200),
        (UPDATE, json!({"id": "p7-1", "patch": {"teamId": null}}), &member, 200),
        (UPDATE, patch("p9-1", "An editor's"), &editor, 200),
        (UPDATE, old.clone(), &member, 200),
        (CREATE, input, &member, 200),
        (DELETE, json!({"id": "new"}), &member, 200),
        (TICKET, subject.clone(), &editor, 200),
        (WITH_NOTES, subject, &editor, 200),
        (NOTE, note, &member, 200),
        (DROP_NOTE, json!({"id": "7"}), &ada, 200),
        (FORM, form("form9", "OPEN"), &ada, 200),
        (UPDATE, old, &member, 412),
        (UPDATE, patch("p8-1", "Nothing to her"), &member, 404),
        (DELETE, json!({"id": "p7-3"}), &ada, 404),
        (DROP_NOTE, json!({"id": "8"}), &member, 403),
        (FORM, form("form9", "DONE"), &member, 403),
    ] {
        let answer = room.post(text, &variables, viewer).await;
        assert_eq!(answer.status, status, "{text} {variables}: {}", answer.text());
    }
    let tag = room.token("p7-4", &member).await;
    let (name, tags) = if_match(&[&tag, &token]);
    let (patch, headers) = (patch("p7-4", "Either"), [(name, &*tags)]);
    let either = room.room.post_with(UPDATE, &patch, Some(&member), &headers);
    assert_eq!(either.await.status, 200);

    let tables = ["users", "teams", "members", "posts", "notes", "forms", "tickets"];
    let all = statements_on(&room.tap, &tables);
    let texts: Vec<&str> = all.iter().map(|(sql, _)| sql.as_str()).collect();
    assert!(all.len() >= 25, "{}: {texts:#?}", all.len());
    run_by_indexes(&room.server.url("room"), &tables, &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_judged_on_the_row_that_is_written_and_on_the_rows_that_it_then_looks_at() {
    let Some(room) = Room::open().await else { return };
    let ada = user("ada");
    let patch = |id: &str| json!({"id": id, "patch": {"title": "Too late"}});
    for warm in ["p1", "p4"] {
        let patch = json!({"id": warm, "patch": {"title": "Warm"}});
        assert_eq!(room.post(UPDATE, &patch, &ada).await.status, 200);
    }
    let given = "UPDATE posts SET author_id = 'bob' WHERE id = 'p1'";
    let answer = room.behind(given, room.post(UPDATE, &patch("p1"), &ada)).await;
    answer.assert_error(404, "NOT_FOUND");
    let given = "UPDATE posts SET author_id = 'bob' WHERE id = 'p2'";
    let answer = room.behind(given, room.post(DELETE, &json!({"id": "p2"}), &ada)).await;
    answer.assert_error(404, "NOT_FOUND");
    let left =
        "DELETE FROM members WHERE id = 'm1'; UPDATE posts SET slug = 'left' WHERE id = 'p4'";
    let answer = room.behind(left, room.post(UPDATE, &patch("p4"), &ada)).await;
    answer.assert_error(404, "NOT_FOUND");
    let titles = ["p1", "p2", "p4"].map(|id| room.title(id));
    let [of_ada, too, of_team] = titles;
    assert_eq!((&*of_ada.await, &*too.await, &*of_team.await), ("Warm", "Of Ada, too", "Warm"));
    // What everybody may read, and only its writer may delete.
    room.run("INSERT INTO notes (writer, text) VALUES ('ada', 'Warm'), ('ada', 'Given away')");
    assert_eq!(room.post(DROP_NOTE, &json!({"id": "1"}), &ada).await.status, 200);
    let given = "UPDATE notes SET writer = 'bob' WHERE id = 2";
    let answer = room.behind(given, room.post(DROP_NOTE, &json!({"id": "2"}), &ada)).await;
    answer.assert_error(403, "FORBIDDEN");
    assert_eq!(room.run("SELECT text FROM notes"), ["Given away"]);
    // What becomes hers while she waits is hers.
    let taken = "UPDATE posts SET author_id = 'ada' WHERE id = 'p3'";
    let patch = json!({"id": "p3", "patch": {"title": "Hers now"}});
    let answer = room.behind(taken, room.post(UPDATE, &patch, &ada)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(room.title("p3").await, "Hers now");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_rules_one_allows_the_row_as_it_was_and_as_it_becomes() {
    let Some(room) = Room::open().await else { return };
    let ada = user("ada");
    let form = |id: &str, patch: Value| json!({"id": id, "patch": patch});
    let closed = form("f1", json!({"state": "CLOSED"}));
    room.trips(FORM, closed, &ada).await;
    let (_, trips) = room.trips(FORM, form("f2", json!({"state": "OPEN"})), &ada).await;
    assert_eq!(trips, 1);
    // As it was, only its owner may change it; as it becomes, only the other rule would allow it.
    let given = form("f3", json!({"owner": "bob", "state": "CLOSED"}));
    room.post(FORM, &given, &ada).await.assert_error(403, "FORBIDDEN");
    let foreign = form("f4", json!({"state": "CLOSED"}));
    room.post(FORM, &foreign, &ada).await.assert_error(403, "FORBIDDEN");
    // Both allow it as it was, and the second one as it becomes.
    let given = form("f2", json!({"owner": "bob", "state": "CLOSED"}));
    let (_, trips) = room.trips(FORM, given, &ada).await;
    assert_eq!(trips, 1);
    assert_eq!(
        room.run("SELECT owner || ' ' || state FROM forms ORDER BY id"),
        ["bob CLOSED", "bob CLOSED", "ada DONE", "bob DONE"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_tags_the_one_of_the_row_that_is_written_counts() {
    let Some(room) = Room::open().await else { return };
    let ada = user("ada");
    let old = room.token("p1", &ada).await;
    let patch = json!({"id": "p1", "patch": {"title": "Second"}});
    assert_eq!(room.post(UPDATE, &patch, &ada).await.status, 200);
    let current = room.token("p1", &ada).await;
    let (name, tags) = if_match(&[&old, &current]);
    let headers = [(name, &*tags)];
    let patch = json!({"id": "p1", "patch": {"title": "Third"}});
    let mutation = room.room.post_with(UPDATE, &patch, Some(&ada), &headers);
    let other = "UPDATE posts SET slug = 'other' WHERE id = 'p1'";
    let answer = room.behind(other, mutation).await;
    answer.assert_error(412, "PRECONDITION_FAILED");
    assert_eq!(room.title("p1").await, "Second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_with_a_key_of_the_database_is_answered_as_it_stands_whatever_is_in_the_way() {
    let Some(room) = Room::open().await else { return };
    let editor = role("x", "editor");
    let input = |subject: &str| json!({"input": {"subject": subject}});
    let created = async |subject: &str| {
        let answer = room.post(TICKET, &input(subject), &editor).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"]["createTicket"].clone()
    };
    assert_eq!(created("First").await["id"], "1");
    // Somebody has taken the next keys.
    room.run("INSERT INTO tickets (id, subject) VALUES (2, 'Taken'), (3, 'Taken, too')");
    assert_eq!(created("Fourth").await["id"], "4");
    room.run(
        "CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           UPDATE tickets SET subject = upper(subject) WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE TRIGGER shout AFTER INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION shout()",
    );
    for (given, stands) in [("Fifth", "FIFTH"), ("Sixth", "SIXTH"), ("Seventh", "SEVENTH")] {
        assert_eq!(created(given).await["subject"], stands);
    }
    room.run(
        "DROP FUNCTION shout CASCADE;
         CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
         CREATE TRIGGER swallow BEFORE INSERT ON tickets FOR EACH ROW EXECUTE FUNCTION swallow()",
    );
    let swallowed = room.post(TICKET, &input("Nobody"), &editor).await;
    assert!(swallowed.text().contains("swallow"), "{}", swallowed.text());
    room.run("DROP FUNCTION swallow CASCADE");
    assert_eq!(created("Last").await["subject"], "Last");
    assert_eq!(room.run("SELECT count(*) FROM tickets WHERE subject = 'Nobody'"), ["0"]);
}
