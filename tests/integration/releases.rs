//! Two releases on one PostgreSQL database: neither takes the other's ETag for its own, and a node of
//! the older one goes on after a migration where its model still fits, and says so where it does not.

use std::path::Path;

use reqwest::header::{ETAG, IF_NONE_MATCH, RETRY_AFTER};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{copy, url};
use crate::postgres::Postgres;
use crate::program::{Program, of_project};

const MODEL: &str = "type Thing @entity { id: ID! @id name: String! note: String n: Int }
type Other @entity { id: ID! @id text: String code: String @unique }
";
const THINGS: &str = "query Things { things { nodes { id etag name note n } } }";
const NAMES: &str = "query Names { things { nodes { id name } } }";
const OTHERS: &str = "query Others { others { nodes { id etag text } } }";
const RENAME: &str = "mutation Rename($name: String!) { updateThing(id: \"a\", patch: { name: $name }) { id name } }";
const ADD: &str = "mutation Add { createThing(input: { id: \"b\", name: \"one\" }) { id name } }";
const ROWS: &str = "INSERT INTO things (id, name, note, n) VALUES ('a', 'one', 'x', 1); INSERT INTO others (id, text) VALUES ('o', 't')";

fn project(model: &str, queries: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("queries")).unwrap();
    std::fs::write(directory.path().join("schema.graphql"), model).unwrap();
    for (number, text) in queries.iter().enumerate() {
        std::fs::write(directory.path().join(format!("queries/{number}.graphql")), text).unwrap();
    }
    directory
}

fn freshql(directory: &Path, database: &str, arguments: &[&str]) {
    let mut command = of_project(directory);
    let output = command.args(["--database", database]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

struct Answer {
    status: u16,
    etag: Option<String>,
    retry: bool,
    body: Value,
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let etag = headers.get(ETAG).map(|etag| etag.to_str().unwrap().to_owned());
    let body = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default();
    Answer { status, etag, retry: headers.contains_key(RETRY_AFTER), body }
}

async fn get(node: &Program, text: &str, etag: Option<&str>) -> Answer {
    let request = reqwest::Client::new().get(format!("{}{}", node.address, url(text)));
    answer(match etag {
        Some(etag) => request.header(IF_NONE_MATCH, etag),
        None => request,
    })
    .await
}

async fn post(node: &Program, text: &str, variables: Value) -> Answer {
    let request = reqwest::Client::new().post(format!("{}{}", node.address, url(text)));
    answer(request.json(&json!({ "variables": variables }))).await
}

/// Whatever the log says until the node ends.
async fn end(mut node: Program) -> Vec<String> {
    node.process.kill().await.unwrap();
    let mut lines = Vec::new();
    while let Ok(Some(line)) = node.log.next_line().await {
        lines.push(line);
    }
    lines
}

/// What a migration means for a node whose model has no part in it.
enum Meaning {
    Fits,
    /// With this reason; and whether what does not use the column goes on.
    Lacks(&'static str, bool),
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_node_serves_what_still_fits_and_names_the_migration_that_does_not() {
    let Some(postgres) = Postgres::start() else { return };
    for (name, sql, meaning) in [
        ("added", "ALTER TABLE things ADD COLUMN colour text;", Meaning::Fits),
        ("keyed", "CREATE UNIQUE INDEX things_by_name ON things (name);", Meaning::Fits),
        (
            "dropped",
            "ALTER TABLE things DROP COLUMN note;",
            Meaning::Lacks("column `things.note` is missing", true),
        ),
        (
            "renamed",
            "ALTER TABLE things RENAME TO items;",
            Meaning::Lacks("table `things` is missing", false),
        ),
    ] {
        postgres.create(name);
        let database = postgres.url(name);
        let old = project(MODEL, &[THINGS, NAMES, OTHERS, RENAME, ADD]);
        freshql(old.path(), &database, &["migrate", "new", "create"]);
        let node = Program::start_with(old.path(), &[("FRESHQL_DATABASE", &database)]).await;
        postgres.run(name, ROWS);
        let before = get(&node, THINGS, None).await.etag.expect("it is guarded");

        let new = tempfile::tempdir().unwrap();
        copy(old.path(), new.path());
        std::fs::write(new.path().join("migrations/0002_step.sql"), sql).unwrap();
        freshql(new.path(), &database, &["migrate", "up"]);

        let things = get(&node, THINGS, Some(&before)).await;
        let others = get(&node, OTHERS, None).await;
        assert_eq!((others.status, others.etag.is_some()), (200, true), "{name}");
        match meaning {
            Meaning::Fits => {
                assert_eq!((things.status, things.etag.is_some()), (200, true), "{name}");
                let again = get(&node, THINGS, things.etag.as_deref()).await;
                assert_eq!(again.status, 304, "{name}");
                postgres.run(name, "UPDATE things SET note = 'y'");
                let changed = get(&node, THINGS, things.etag.as_deref()).await;
                assert_eq!(changed.body["data"]["things"]["nodes"][0]["note"], "y", "{name}");
                let added = post(&node, ADD, json!({})).await;
                let expected = if name == "keyed" { 409 } else { 200 };
                assert_eq!(added.status, expected, "{name}: {}", added.body);
                assert_eq!(post(&node, RENAME, json!({"name": "two"})).await.status, 200);
                drop(end(node).await);
            }
            Meaning::Lacks(reason, goes_on) => {
                assert_eq!((things.status, things.retry), (503, true), "{}", things.body);
                let names = get(&node, NAMES, None).await;
                assert_eq!((names.status == 200, names.etag), (goes_on, None), "{}", names.body);
                let written = post(&node, RENAME, json!({"name": "two"})).await;
                let table = if name == "renamed" { "items" } else { "things" };
                let is_there = postgres.run(name, &format!("SELECT name FROM {table}")) == ["two"];
                assert_eq!(written.status == 200, is_there, "{}", written.body);
                assert!(matches!(written.status, 200 | 503), "{}", written.body);
                let ready = answer(reqwest::Client::new().get(format!("{}/readyz", node.address)));
                let ready = ready.await;
                let detail = ready.body["detail"].as_str().unwrap();
                assert_eq!(ready.status, 503);
                assert!(
                    detail.contains(reason) && detail.contains("0002_step was applied"),
                    "{detail}"
                );
                let log = end(node).await;
                let told = log.iter().filter(|line| line.contains("0002_step")).count();
                let failed = log.iter().any(|line| line.contains("an operation failed"));
                assert_eq!((told, failed), (1, false), "{log:#?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_whose_models_differ_never_share_an_etag() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("two_models");
    let database = postgres.url("two_models");
    // The same rows at the same versions, and other bytes.
    let one = "type Thing @entity { id: ID! @id a: String @column(name: \"x\") b: String @column(name: \"y\") }\n";
    // Each column under the other's name.
    let two = one.replace(" a: ", " c: ").replace(" b: ", " a: ").replace(" c: ", " b: ");
    let text = "query Things { things { nodes { id a b } } }";
    let (one, two) = (project(one, &[text]), project(&two, &[text]));
    freshql(one.path(), &database, &["migrate", "new", "create"]);
    copy(&one.path().join("migrations"), &two.path().join("migrations"));
    let older = Program::start_with(one.path(), &[("FRESHQL_DATABASE", &database)]).await;
    postgres.run("two_models", "INSERT INTO things (id, x, y) VALUES ('i', '1', '2')");
    let newer = Program::start_with(two.path(), &[("FRESHQL_DATABASE", &database)]).await;
    for _ in 0..2 {
        let (first, second) = (get(&older, text, None).await, get(&newer, text, None).await);
        assert_ne!(first.body["data"], second.body["data"]);
        assert_ne!(first.etag, second.etag);
        assert_eq!(get(&older, text, second.etag.as_deref()).await.status, 200);
        assert_eq!(get(&newer, text, first.etag.as_deref()).await.status, 200);
        assert_eq!(get(&older, text, first.etag.as_deref()).await.status, 304);
        assert_eq!(get(&newer, text, second.etag.as_deref()).await.status, 304);
        postgres.run("two_models", "UPDATE things SET x = '3'");
    }
}
