//! Manual changes to the tables of a PostgreSQL database: whatever they are, every node answers the
//! next request correctly, and no ETag ever stands for two answers.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use freshql::cache::{ResponseCache, Source};
use freshql::clock::Clock;
use freshql::config::Consistency;
use freshql::graphql::{Compiler, Engine};
use freshql::model::{Model, parse};
use freshql::store::schema::migrations::Migrations;
use freshql::store::{Admin, Store};
use serde_json::json;

use crate::database::{Driver, Outsider, TestDatabase};
use crate::library::{Question, data};
use crate::node::{Node, ROOMY};

/// `Reading` and `Mooded` are unmanaged.
const SDL: &str = r#"
enum Mood { calm wild }
type Shop @entity { id: ID! @id name: String! goods: [Good!]! @derivedFrom(field: "shop") }
type Good @entity {
  id: ID! @id
  price: Decimal @column(precision: 10, scale: 2)
  note: String
  remark: String
  shop: Shop @relation(onDelete: CASCADE)
}
type Reading @entity(managed: false, table: "readings") { id: ID! @id value: Int }
type Mooded @entity(managed: false, table: "mooded") { id: ID! @id mood: Mood }
"#;

const THEIRS: &str = "
CREATE TYPE mood AS ENUM ('calm', 'wild');
CREATE TABLE mooded (id text PRIMARY KEY, mood mood);
CREATE TABLE readings (id text PRIMARY KEY, value int) PARTITION BY RANGE (id);
CREATE TABLE readings_0 PARTITION OF readings FOR VALUES FROM ('0') TO ('5');
CREATE TABLE readings_1 PARTITION OF readings FOR VALUES FROM ('5') TO ('9');
";

const ROWS: &str = "
INSERT INTO shops (id, name) VALUES ('s', 'S');
INSERT INTO goods (id, price, note, remark, shop_id) VALUES ('a', 1, 'na', 'ra', 's'), ('b', 2, 'nb', 'rb', 's');
INSERT INTO mooded VALUES ('1', 'calm');
INSERT INTO readings VALUES ('1', 1), ('7', 11);
";

const QUESTIONS: [&str; 4] = [
    "query { good(id: \"a\") { id price note remark } }",
    "query { shops { nodes { id name goods { nodes { id price note remark } } } } }",
    "query { readings { totalCount nodes { id value } } }",
    "query { moodeds { nodes { id mood } } }",
];

struct Cluster {
    database: TestDatabase,
    outsider: Outsider,
    model: Arc<Model>,
    nodes: Vec<Node>,
    questions: Vec<Question>,
    /// The answer that each ETag stands for.
    etags: HashMap<String, String>,
}

impl Cluster {
    async fn start() -> Self {
        let model = Arc::new(
            parse("schema.graphql", SDL).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).model,
        );
        let database = TestDatabase::new_on(Driver::Postgres);
        let outsider = database.outsider();
        outsider.execute(THEIRS);
        let mut admin = Admin::open(&database.config()).unwrap();
        admin.create(&model).unwrap();
        assert_eq!(admin.watch(&model).unwrap(), ["readings", "mooded"]);
        assert_eq!(admin.check(&model).unwrap(), []);
        outsider.execute(ROWS);
        let mut cluster = Self {
            database,
            outsider,
            model,
            nodes: Vec::new(),
            questions: Vec::new(),
            etags: HashMap::new(),
        };
        for _ in 0..2 {
            cluster.nodes.push(cluster.node().await);
        }
        for text in QUESTIONS {
            cluster.questions.push(Question::new(&cluster.nodes[0].engine, text, &json!({})).await);
        }
        cluster
    }

    async fn node(&self) -> Node {
        let store =
            Store::open_with_clock(&self.database.config(), 2, &self.model, Clock::new(10_000))
                .await
                .unwrap();
        let engine = Engine::new(Compiler::new(self.model.clone()).unwrap(), store.clone());
        Node { engine, cache: ResponseCache::new(store, ROOMY, Consistency::Strict) }
    }

    /// The current answers of all nodes, query by query; the first queries are those that have been
    /// cached the longest.
    async fn look(&mut self, after: &str) -> Vec<String> {
        let mut answers = Vec::new();
        for question in &self.questions {
            let mut given = Vec::new();
            for node in &self.nodes {
                let body = node.ask(question).await.body;
                let fresh = question.ask(&node.engine).await;
                assert_eq!(body, fresh.body, "after {after}: {}", question.text);
                if let Some(etag) = &fresh.etag {
                    let stands_for = self
                        .etags
                        .entry(etag.to_string())
                        .or_insert_with(|| data(&fresh).to_owned());
                    assert_eq!(stands_for, data(&fresh), "after {after}: one ETag for two answers");
                }
                given.push(body);
            }
            assert_eq!(given[0], given[1], "after {after}: the nodes differ: {}", question.text);
            answers.push(String::from_utf8(given.remove(0).to_vec()).unwrap());
        }
        answers
    }

    fn repair(&self) {
        let mut admin = Admin::open(&self.database.config()).unwrap();
        admin.repair(&self.model, &Migrations::default()).unwrap();
        admin.watch(&self.model).unwrap();
    }
}

/// Manual changes; what the answers then contain; whether all versions are still reliable.
const ALTERATIONS: [(&str, &str, bool); 15] = [
    ("ALTER TABLE goods DISABLE TRIGGER USER;\n UPDATE goods SET note = 'n2' WHERE id = 'a'", "n2", false),
    ("DROP TRIGGER zz_freshql_log ON goods;\n UPDATE goods SET note = 'n3' WHERE id = 'a'", "n3", false),
    ("DROP TRIGGER zz_freshql_version ON goods;\n UPDATE goods SET note = 'n4' WHERE id = 'a'", "n4", false),
    // The result does not show what has been done.
    (
        "BEGIN; ALTER TABLE goods DISABLE TRIGGER USER; UPDATE goods SET note = 'n5' WHERE id = 'a';
         ALTER TABLE goods ENABLE ALWAYS TRIGGER zz_freshql_version; ALTER TABLE goods ENABLE ALWAYS TRIGGER zz_freshql_log;
         ALTER TABLE goods ENABLE ALWAYS TRIGGER zz_freshql_truncate; COMMIT",
        "n5",
        true,
    ),
    // A table that is rewritten while its columns stay the same.
    ("ALTER TABLE goods ALTER COLUMN price TYPE numeric(10, 2) USING price + 6", "7.00", true),
    (
        "BEGIN; ALTER TABLE goods RENAME note TO other; ALTER TABLE goods RENAME remark TO note;
         ALTER TABLE goods RENAME other TO remark; COMMIT",
        "\"note\":\"ra\"",
        true,
    ),
    (
        "CREATE OR REPLACE FUNCTION _freshql_goods_version() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         UPDATE goods SET note = 'n6' WHERE id = 'a'",
        "n6",
        false,
    ),
    (
        "DROP FUNCTION _freshql_goods_version() CASCADE;\n UPDATE goods SET note = 'n7' WHERE id = 'a'",
        "n7",
        false,
    ),
    // Another table takes its place, with the same versions.
    (
        "BEGIN; CREATE TABLE shops_new (LIKE shops INCLUDING ALL);
         INSERT INTO shops_new SELECT * FROM shops; UPDATE shops_new SET name = 'swapped';
         ALTER TABLE shops RENAME TO shops_old; ALTER TABLE shops_new RENAME TO shops; COMMIT",
        "swapped",
        false,
    ),
    (
        "BEGIN; DROP TABLE shops; ALTER TABLE shops_old RENAME TO shops; COMMIT",
        "\"name\":\"S\"",
        true,
    ),
    // One schema replaces another.
    (
        "BEGIN; CREATE SCHEMA staging; CREATE TABLE staging.readings (LIKE readings);
         INSERT INTO staging.readings VALUES ('5', 55); ALTER TABLE readings RENAME TO readings_away;
         ALTER TABLE staging.readings SET SCHEMA public; COMMIT",
        "55",
        false,
    ),
    ("BEGIN; DROP TABLE readings; ALTER TABLE readings_away RENAME TO readings; COMMIT", "\"value\":11", true),
    ("ALTER TABLE readings DETACH PARTITION readings_1", "\"totalCount\":1", true),
    (
        "UPDATE readings_1 SET value = 12;\n ALTER TABLE readings ATTACH PARTITION readings_1 FOR VALUES FROM ('5') TO ('9')",
        "\"value\":12",
        true,
    ),
    ("ALTER TYPE mood RENAME VALUE 'wild' TO 'calm2';\n ALTER TYPE mood RENAME VALUE 'calm' TO 'wild'", "wild", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn after_ddl_by_hand_the_next_request_is_answered_correctly() {
    let mut cluster = Cluster::start().await;
    let before = cluster.look("the start").await;
    assert!(before.iter().all(|answer| answer.contains("\"etag\"")), "{before:#?}");
    for (sql, wanted, is_whole) in ALTERATIONS {
        // Everything is in the caches.
        cluster.look("nothing").await;
        let end = if sql.starts_with("BEGIN") { "COMMIT" } else { ";\n" };
        for statement in sql.split_inclusive(end) {
            cluster.outsider.execute(statement);
            cluster.look(statement).await;
        }
        let answers = cluster.look(sql).await;
        assert!(answers.concat().contains(wanted), "{sql}: {answers:#?}");
        let etags = answers.iter().filter(|answer| answer.contains("\"etag\"")).count();
        assert_eq!(etags == answers.len(), is_whole, "{sql}: {answers:#?}");
        // A node that starts now gives the same answers as those that saw the change.
        let young = cluster.node().await;
        for (question, answer) in cluster.questions.iter().zip(&answers) {
            assert_eq!(young.ask(question).await.text(), answer, "{sql}");
        }
        if !is_whole && !sql.contains("LIKE") {
            cluster.repair();
            let answers = cluster.look("the repair").await;
            assert!(
                answers.iter().all(|answer| answer.contains("\"etag\"")),
                "{sql}: {answers:#?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ddl_that_does_not_change_a_table_changes_no_etag() {
    let mut cluster = Cluster::start().await;
    cluster.look("the start").await;
    let before = cluster.look("the start").await;
    for harmless in [
        "ANALYZE goods",
        "VACUUM goods",
        "VACUUM FULL goods",
        "REINDEX TABLE goods",
        "CREATE INDEX ON goods (note)",
        "CREATE TABLE others (id int)",
        "ALTER TABLE others ADD COLUMN more int",
        "CREATE TEMPORARY TABLE goods (id int); DROP TABLE pg_temp.goods",
        "DROP TABLE others",
    ] {
        cluster.outsider.execute(harmless);
        for (question, answer) in cluster.questions.iter().zip(&before) {
            for node in &cluster.nodes {
                let given = node.ask(question).await;
                assert_eq!(
                    (given.text(), given.source),
                    (answer.as_str(), Source::Hit),
                    "after {harmless}"
                );
            }
        }
    }
    // One table is emptied: answers about others stay cached.
    cluster.outsider.execute("TRUNCATE readings_0");
    for (number, question) in cluster.questions.iter().enumerate() {
        let Node { cache, .. } = &cluster.nodes[0];
        let executions = cache.executions();
        let body: Bytes = cluster.nodes[0].ask(question).await.body;
        assert_eq!(cache.executions() > executions, number == 2, "{}", question.text);
        assert_eq!(body == before[number].as_bytes(), number != 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_cannot_record_an_alteration_gives_no_etags() {
    let mut cluster = Cluster::start().await;
    cluster.look("the start").await;
    let role = format!("reader_{}", std::process::id());
    cluster.outsider.execute(&format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role};
         GRANT ALL ON _freshql_run TO {role}"
    ));
    let freshql::config::Database::Postgres(mut url) = cluster.database.config() else {
        unreachable!()
    };
    url.user = Some(role.clone());
    let store = Store::open_with_clock(
        &freshql::config::Database::Postgres(url),
        1,
        &cluster.model,
        Clock::new(100),
    )
    .await;
    let store = store.unwrap();
    assert!(store.guard().unwrap().is_whole());
    for (statement, is_whole) in [
        ("ALTER TABLE goods ADD COLUMN more int", false),
        // Another server may record it.
        ("", true),
    ] {
        match statement {
            "" => drop(cluster.look("").await),
            statement => cluster.outsider.execute(statement),
        }
        store.catch_up().await.unwrap();
        let reasons = store.guard().unwrap().reasons(&cluster.model);
        assert_eq!(reasons.is_empty(), is_whole, "{reasons:?}");
    }
    store.close().await;
    cluster.outsider.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_check_in_front_has_the_etag_of_the_schema_that_it_was_read_in() {
    let cluster = Cluster::start().await;
    let (engine, question) = (&cluster.nodes[0].engine, &cluster.questions[0]);
    for _ in 0..3 {
        let before = question.ask(engine).await;
        // The row is another one, and its version is the same.
        cluster.outsider.execute(
            "ALTER TABLE goods ALTER COLUMN note TYPE text COLLATE \"C\" USING note || '!'",
        );
        let after = question.ask(engine).await;
        assert_ne!(data(&before), data(&after));
        assert!(before.etag.is_some() && after.etag.is_some());
        assert_ne!(before.etag, after.etag);
    }
}
