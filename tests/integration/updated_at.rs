//! `@updatedAt`: the server sets the column in the write that creates the row and in each that
//! changes it.

use freshql::config::Mode;
use freshql::model::parse;
use freshql::store::schema::difference::step;
use freshql::store::schema::migrations::{self, Migrations};
use serde_json::{Value, json};

use crate::harness::TestApp;

const MODEL: &str = "type Note @entity {
  id: ID! @id @default(fn: UUID_V7)
  text: String!
  changed: DateTime! @updatedAt
  changedOn: Date @updatedAt
}";

async fn run(app: &TestApp, query: &str, variables: Value) -> Value {
    let answer = app.post("/graphql", &json!({ "query": query, "variables": variables })).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"].clone()
}

#[tokio::test]
async fn every_write_that_changes_a_row_sets_its_time() {
    let directory = tempfile::tempdir().unwrap();
    let model = parse("schema.graphql", MODEL).unwrap().model;
    std::fs::write(directory.path().join("schema.graphql"), MODEL).unwrap();
    std::fs::create_dir(directory.path().join("migrations")).unwrap();
    let step = step(&Migrations::default(), &model).unwrap().unwrap();
    migrations::add(&directory.path().join("migrations"), "create", &step.sqlite, &step.postgres)
        .unwrap();
    let app = TestApp::start_in(directory, Mode::Open, |_| {}).await;

    let query = "{ a: __type(name: \"NoteInput\") { inputFields { name } } b: __type(name: \"NotePatch\") { inputFields { name } } }";
    let inputs = run(&app, query, json!({})).await;
    let text = json!({"inputFields": [{"name": "text"}]});
    assert_eq!(inputs, json!({"a": text, "b": text}), "clients cannot write it");

    let create = "mutation { createNote(input: {text: \"a\"}) { id etag changed changedOn } }";
    let made = run(&app, create, json!({})).await["createNote"].clone();
    assert!(
        made["changed"].as_str().unwrap().starts_with(made["changedOn"].as_str().unwrap()),
        "{made}"
    );

    let update = "mutation($id: ID!, $p: NotePatch!, $e: String) { updateNote(id: $id, patch: $p, expectedEtag: $e) { id etag changed changedOn } }";
    let same = run(&app, update, json!({"id": made["id"], "p": {}})).await["updateNote"].clone();
    assert_eq!(same, made, "a patch that says nothing changes nothing");

    tokio::time::sleep(std::time::Duration::from_millis(3)).await;
    let changed = json!({"id": made["id"], "p": {"text": "b"}, "e": made["etag"]});
    let second = run(&app, update, changed.clone()).await["updateNote"].clone();
    assert!(second["changed"].as_str() > made["changed"].as_str(), "{second} after {made}");
    assert_ne!(second["etag"], made["etag"]);

    let refused = app.post("/graphql", &json!({"query": update, "variables": changed})).await;
    refused.assert_error(412, "PRECONDITION_FAILED");
    let read = run(
        &app,
        "query($id: ID!) { note(id: $id) { id etag changed changedOn } }",
        json!({"id": made["id"]}),
    )
    .await;
    assert_eq!(read["note"], second, "the refused one wrote nothing");
}
