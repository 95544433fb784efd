//! `ids = "global"`: one opaque id per row, unique among all types and used everywhere in the API;
//! and `node`.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use freshql::app::{self, TestOptions};
use freshql::config::{Ids, Mode, PartialConfig};
use freshql::graphql::Compiler;
use freshql::model::parse;
use freshql::store::schema::difference::step;
use freshql::store::schema::migrations::{Migrations, add};
use http::HeaderName;
use http::header::IF_NONE_MATCH;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{TestApp, encode};
use crate::newsroom::{Newsroom, user};

/// A person and a project have the same key; a country's key is not an `id`.
const MODEL: &str = r#"
type Person @entity(plural: "people") @cacheControl(maxAge: 0, sharedMaxAge: 60) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  name: String! @unique
  country: Country @relation(onDelete: SET_NULL)
  projects: [Project!]! @derivedFrom(field: "owner")
}
type Project @entity @unique(fields: ["owner", "title"]) @cacheControl(maxAge: 0, sharedMaxAge: 60) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  title: String!
  owner: Person! @relation(onDelete: RESTRICT)
  reviewer: Person @relation(onDelete: SET_NULL)
}
type Note @entity @cacheControl(maxAge: 0, sharedMaxAge: 60) { id: ID! @id  text: String! }
type Country @entity(plural: "countries") { code: ID! @id  name: String! }
"#;

const ROWS: &str = "
INSERT INTO countries (code, name) VALUES ('de', 'Germany');
INSERT INTO people (id, name, country_id) VALUES (1, 'Ada', 'de'), (2, 'Bo', NULL);
INSERT INTO projects (id, title, owner_id, reviewer_id) VALUES (1, 'Engine', 1, 2), (2, 'Loom', 2, NULL);
INSERT INTO notes (id, text) VALUES ('a:\"ü', 'odd key');
";

fn project() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let model = parse("schema.graphql", MODEL).unwrap().model;
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("schema.graphql", MODEL);
    let first = step(&Migrations::default(), &model).unwrap().unwrap();
    write("migrations/0001_create.sqlite.sql", &first.sqlite);
    write("migrations/0001_create.postgres.sql", &first.postgres);
    write("migrations/0002_rows.sql", ROWS);
    directory
}

async fn start() -> TestApp {
    TestApp::start_in(project(), Mode::Open, |config| config.ids = Ids::Global).await
}

fn id(type_name: &str, key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{type_name}:{key}"))
}

async fn ask(app: &TestApp, query: &str, variables: Value) -> (u16, Value) {
    let answer = app.post("/graphql", &json!({ "query": query, "variables": variables })).await;
    (answer.status.as_u16(), answer.json())
}

async fn data(app: &TestApp, query: &str, variables: Value) -> Value {
    let (status, answer) = ask(app, query, variables).await;
    assert_eq!(status, 200, "{answer}");
    answer["data"].clone()
}

/// The message of a refusal.
async fn refused(app: &TestApp, query: &str, variables: Value) -> String {
    let (status, answer) = ask(app, query, variables).await;
    assert_eq!(
        (status, answer["errors"][0]["extensions"]["code"].as_str()),
        (422, Some("BAD_USER_INPUT")),
        "{answer}"
    );
    answer["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn two_rows_with_one_key_have_two_ids_and_each_is_found_by_its_own() {
    let app = start().await;
    let (ada, engine) = (id("Person", "1"), id("Project", "1"));
    let read = data(
        &app,
        "{ people(first: 1) { nodes { id } } projects(first: 1) { nodes { id ownerId reviewerId owner { id } } } }",
        json!({}),
    )
    .await;
    assert_eq!(read["people"]["nodes"][0]["id"], ada);
    let project = json!({"id": engine, "ownerId": ada, "reviewerId": id("Person", "2"), "owner": {"id": ada}});
    assert_eq!(read["projects"]["nodes"][0], project);

    let query = "query($p: ID!, $q: ID!) { person(id: $p) { name } project(id: $q) { title } projectByOwnerAndTitle(ownerId: $p, title: \"Engine\") { id } }";
    let read = data(&app, query, json!({"p": ada, "q": engine})).await;
    assert_eq!(
        (&read["person"]["name"], &read["project"]["title"]),
        (&json!("Ada"), &json!("Engine"))
    );
    assert_eq!(read["projectByOwnerAndTitle"]["id"], engine);
}

#[tokio::test]
async fn a_node_is_a_row_of_whatever_type() {
    let app = start().await;
    let query = "query($id: ID!) { node(id: $id) { __typename id ... on Person { label: name country { code } } ...P ... on Node { id } } }
                 fragment P on Project { label: title owner { ... on Node { id } } }";
    let of = async |id: &str| data(&app, query, json!({"id": id})).await["node"].clone();
    let (ada, engine, note) = (id("Person", "1"), id("Project", "1"), id("Note", "a:\"ü"));
    assert_eq!(
        of(&ada).await,
        json!({"__typename": "Person", "id": ada, "label": "Ada", "country": {"code": "de"}})
    );
    assert_eq!(
        of(&engine).await,
        json!({"__typename": "Project", "id": engine, "label": "Engine", "owner": {"id": ada}})
    );
    assert_eq!(of(&note).await, json!({"__typename": "Note", "id": note}));
    assert_eq!(of(&id("Person", "99")).await, Value::Null);

    let ids = json!([engine, id("Note", "none"), ada, engine]);
    let read = data(
        &app,
        "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Person { name } } }",
        json!({"ids": ids}),
    )
    .await;
    assert_eq!(
        read["nodes"],
        json!([{"id": engine}, null, {"id": ada, "name": "Ada"}, {"id": engine}])
    );
    let many: Vec<String> = (0..101).map(|key| id("Person", &key.to_string())).collect();
    let message =
        refused(&app, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", json!({"ids": many}))
            .await;
    assert_eq!(message, "ids: may have at most 100 ids, found 101");
}

#[tokio::test]
async fn filters_and_inputs_take_global_ids() {
    let app = start().await;
    let (ada, bo) = (id("Person", "1"), id("Person", "2"));
    let query = "query($w: ProjectWhere) { projects(where: $w) { nodes { title } } }";
    for (filter, titles) in [
        (json!({"ownerId": {"eq": ada}}), json!([{"title": "Engine"}])),
        (json!({"ownerId": {"in": [ada, bo]}}), json!([{"title": "Engine"}, {"title": "Loom"}])),
        (json!({"id": {"neq": id("Project", "1")}}), json!([{"title": "Loom"}])),
        (json!({"owner": {"id": {"notIn": [ada]}}}), json!([{"title": "Loom"}])),
        // A country's key is unchanged.
        (json!({"owner": {"countryId": {"eq": "de"}}}), json!([{"title": "Engine"}])),
    ] {
        assert_eq!(
            data(&app, query, json!({"w": filter})).await["projects"]["nodes"],
            titles,
            "{filter}"
        );
    }
    let create = "mutation($i: ProjectInput!) { createProject(input: $i) { id owner { name } } }";
    let made =
        data(&app, create, json!({"i": {"title": "Mill", "ownerId": bo}})).await["createProject"]
            .clone();
    assert_eq!(made, json!({"id": id("Project", "3"), "owner": {"name": "Bo"}}));
    let update = "mutation($id: ID!, $p: ProjectPatch!) { updateProject(id: $id, patch: $p) { reviewerId } }";
    let patched = data(&app, update, json!({"id": made["id"], "p": {"reviewerId": ada}})).await;
    assert_eq!(patched["updateProject"]["reviewerId"], ada);
    data(&app, "mutation($id: ID!) { deleteProject(id: $id) { id } }", json!({"id": made["id"]}))
        .await;
    // A key that the client chooses is not an id yet.
    let note =
        data(&app, "mutation { createNote(input: {id: \"n\", text: \"new\"}) { id } }", json!({}))
            .await;
    assert_eq!(note["createNote"]["id"], id("Note", "n"));
}

#[tokio::test]
async fn ids_of_other_types_and_malformed_ids_are_errors() {
    let app = start().await;
    let (ada, engine) = (id("Person", "1"), id("Project", "1"));
    let person = "query($id: ID!) { person(id: $id) { name } }";
    assert_eq!(
        refused(&app, person, json!({"id": engine})).await,
        "id: expected the id of a Person, found the id of a row of Project"
    );
    let none = "expected the id of a Person, found a string that is not an id of this API";
    // Another spelling, a key in another form, an entity's own key.
    for wrong in ["1", "", &format!("{ada}="), &id("Person", "01"), &id("Person", "x")] {
        assert_eq!(
            refused(&app, person, json!({"id": wrong})).await,
            format!("id: {none}"),
            "{wrong}"
        );
    }
    let delete = "mutation($id: ID!) { deletePerson(id: $id) { name } }";
    assert_eq!(refused(&app, delete, json!({"id": "1"})).await, format!("id: {none}"));
    let filter = "query($w: ProjectWhere) { projects(where: $w) { totalCount } }";
    assert_eq!(
        refused(&app, filter, json!({"w": {"ownerId": {"in": [ada, "2"]}}})).await,
        format!("where.ownerId.in.1: {none}")
    );
    let create = "mutation { createProject(input: {title: \"x\", ownerId: 1}) { id } }";
    assert_eq!(
        refused(&app, create, json!({})).await,
        "input.ownerId: expected the id of a Person, found a number"
    );
    let node = "query($id: ID!) { node(id: $id) { id } }";
    for wrong in ["1", &id("Country", "de"), &id("Nobody", "1")] {
        assert_eq!(
            refused(&app, node, json!({"id": wrong})).await,
            "id: expected an id, found a string that is not an id of this API"
        );
    }
}

#[tokio::test]
async fn an_answer_about_nodes_depends_on_these_rows_alone() {
    let app = start().await;
    let ids = json!([id("Person", "1"), id("Note", "later")]);
    let url = format!(
        "/graphql?query={}&variables={}",
        encode(
            "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Person { name } ... on Note { text } } }"
        ),
        encode(&json!({ "ids": ids }).to_string())
    );
    let first = app.get(&url).await;
    assert_eq!(
        (first.status.as_u16(), first.header("cache-control")),
        (200, "public, max-age=0, s-maxage=60")
    );
    let is_current =
        async |etag: &str| app.get_with(&url, &[(IF_NONE_MATCH, etag)]).await.status == 304;
    data(
        &app,
        "mutation($id: ID!) { updatePerson(id: $id, patch: {name: \"Bea\"}) { id } }",
        json!({"id": id("Person", "2")}),
    )
    .await;
    data(&app, "mutation { createNote(input: {id: \"other\", text: \"x\"}) { id } }", json!({}))
        .await;
    assert!(is_current(first.etag()).await, "other rows of the same types are nothing to it");
    data(&app, "mutation { createNote(input: {id: \"later\", text: \"here\"}) { id } }", json!({}))
        .await;
    let second = app.get(&url).await;
    assert_ne!(second.etag(), first.etag(), "a row that was not there is there");
    assert_eq!(second.json()["data"]["nodes"][1]["text"], "here");
    data(
        &app,
        "mutation($id: ID!) { updatePerson(id: $id, patch: {name: \"Ann\"}) { id } }",
        json!({"id": id("Person", "1")}),
    )
    .await;
    assert!(!is_current(second.etag()).await);
}

#[tokio::test]
async fn a_conflict_shows_the_current_row_with_its_global_ids() {
    let app = start().await;
    let engine = id("Project", "1");
    let read =
        data(&app, "query($id: ID!) { project(id: $id) { etag } }", json!({"id": engine})).await;
    let update = "mutation($id: ID!, $p: ProjectPatch!, $e: String) { updateProject(id: $id, patch: $p, expectedEtag: $e) { id ownerId title } }";
    data(&app, update, json!({"id": engine, "p": {"title": "Motor"}})).await;
    let variables = json!({"id": engine, "p": {"title": "Mill"}, "e": read["project"]["etag"]});
    let (status, answer) = ask(&app, update, variables).await;
    let error = &answer["errors"][0];
    assert_eq!(
        (status, &error["message"]),
        (412, &json!(format!("Project {engine} has changed since it was read")))
    );
    assert_eq!(
        error["extensions"]["current"],
        json!({"id": engine, "ownerId": id("Person", "1"), "title": "Motor"})
    );
}

#[tokio::test]
async fn fields_of_different_types_may_share_a_key_only_in_one_shape() {
    let app = start().await;
    let wrong = [
        (
            "{ node(id: \"x\") { ... on Person { a: name } ... on Project { a: ownerId } } }",
            "conflicting types",
        ),
        (
            "{ node(id: \"x\") { ... on Person { a: country { code } } ... on Project { a: title } } }",
            "conflicting types",
        ),
        (
            "{ node(id: \"x\") { ... on Person { a: country { b: code } } ... on Project { a: reviewer { b: name } } } }",
            "conflicting types",
        ),
        (
            "{ node(id: \"x\") { ... on Person { a: name ... on Node { a: id } } } }",
            "different fields",
        ),
        ("{ node(id: \"x\") { name } }", "Unknown field"),
        ("{ node(id: \"x\") { ... on Country { name } } }", "Country"),
    ];
    for (query, why) in wrong {
        let (status, answer) = ask(&app, query, json!({})).await;
        let message = answer["errors"][0]["message"].as_str().unwrap_or_default();
        assert!(status == 422 && message.contains(why), "{query}: {answer}");
    }
}

#[tokio::test]
async fn introspection_and_the_printed_schema_have_the_interface() {
    let app = start().await;
    let query = "{ __type(name: \"Node\") { kind possibleTypes { name } fields { name } } p: __type(name: \"Person\") { interfaces { name } } }";
    let read = data(&app, query, json!({})).await;
    assert_eq!(read["__type"]["kind"], "INTERFACE");
    let mut possible: Vec<_> = read["__type"]["possibleTypes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|ty| ty["name"].as_str().unwrap())
        .collect();
    possible.sort_unstable();
    assert_eq!(
        (possible, &read["p"]["interfaces"]),
        (vec!["Note", "Person", "Project"], &json!([{"name": "Node"}]))
    );
    let model = parse("schema.graphql", MODEL).unwrap().model.with_global_ids();
    let sdl = Compiler::new(Arc::new(model)).unwrap().sdl().to_owned();
    assert_eq!(app.get("/schema.graphql").await.text(), sdl);
    for line in [
        "type Person implements Node {\n",
        "interface Node {\n",
        "type Country {\n",
        "nodes(ids: [ID!]!): [Node]!\n",
    ] {
        assert!(sdl.contains(line), "{line} is not in {sdl}");
    }
}

#[tokio::test]
async fn explain_lists_nodes_by_their_database_keys() {
    let app = start().await;
    let query =
        "query($ids: [ID!]!) { nodes(ids: $ids) { id ... on Project { title owner { name } } } }";
    let ids = json!({"ids": [id("Project", "1"), id("Note", "none")]}).to_string();
    let url = format!("/graphql?query={}&variables={}", encode(query), encode(&ids));
    let explained =
        app.get_with(&url, &[(HeaderName::from_static("freshql-explain"), "1")]).await.json();
    let report = &explained["extensions"]["explain"];
    let rows: Vec<(&str, &str, bool)> = report["dependsOn"]["rows"]
        .as_array()
        .unwrap_or_else(|| panic!("{report}"))
        .iter()
        .map(|row| {
            (row["entity"].as_str().unwrap(), row["id"].as_str().unwrap(), row["version"].is_null())
        })
        .collect();
    assert_eq!(
        rows,
        [("Project", "1", false), ("Person", "1", false), ("Note", "none", true)],
        "{report}"
    );
}

#[tokio::test]
async fn snapshots_and_test_cases_use_global_ids() {
    let directory = project();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    std::fs::create_dir_all(directory.path().join("queries")).unwrap();
    write("freshql.toml", "ids = \"global\"\n");
    write(
        "queries/Node.graphql",
        "query Node($id: ID!) { node(id: $id) { id ... on Person { name } } }\n",
    );
    write(
        "queries/Rename.graphql",
        "mutation Rename($id: ID!, $etag: String) { updatePerson(id: $id, patch: {name: \"X\"}, expectedEtag: $etag) { id name } }\n",
    );
    let (ada, nobody) = (id("Person", "1"), id("Person", "9"));
    let cases = json!({"ada": {"variables": {"id": ada}}, "nobody": {"variables": {"id": nobody}}, "a key": {"variables": {"id": "1"}, "status": 422}});
    write("queries/Node.cases.json", &cases.to_string());
    let etag = format!("[etag of Person {ada}]");
    write(
        "queries/Rename.cases.json",
        &json!({"ada": {"variables": {"id": ada, "etag": etag}}}).to_string(),
    );
    // A query that needs an id gets one from the scratch database, in the API's form.
    write("queries/Person.graphql", "query Person($id: ID!) { person(id: $id) { id name } }\n");
    let overrides =
        PartialConfig { dir: Some(directory.path().to_owned()), ..PartialConfig::default() };
    let config = app::configure(overrides).unwrap();
    let updated =
        app::test(&config, &TestOptions { update: true, ..TestOptions::default() }).await.unwrap();
    assert!(updated.1, "{}", updated.0);
    let read =
        |name: &str| std::fs::read_to_string(directory.path().join("queries").join(name)).unwrap();
    assert!(read("snapshots/Node__ada.snap").contains(&format!("\"id\": \"{ada}\"")));
    assert!(read("snapshots/Node__nobody.snap").contains("\"node\": null"));
    assert!(read("snapshots/Rename__ada.snap").contains("\"name\": \"X\""));
    assert!(read("Person.cases.json").contains(&ada));
    // Among other things: a change to the row changes the ETag, and changes to other rows do not.
    let (told, is_good) = app::test(&config, &TestOptions::default()).await.unwrap();
    assert!(is_good && told.contains("5 passed"), "{told}");
}

#[tokio::test]
async fn tables_of_another_program_have_global_ids_too() {
    let directory = tempfile::tempdir().unwrap();
    let types = ["Note", "Memo"].map(|name| {
        format!("type {name} @entity(managed: false) {{ id: ID! @id  text: String! }}")
    });
    std::fs::write(directory.path().join("schema.graphql"), types.join("\n")).unwrap();
    let model = parse("schema.graphql", &types.join("\n")).unwrap().model;
    let tables = ["notes", "memos"]
        .map(|name| format!("CREATE TABLE {name} (id TEXT PRIMARY KEY, text TEXT NOT NULL);\n"));
    let migrations = directory.path().join("migrations");
    std::fs::create_dir_all(&migrations).unwrap();
    let rows =
        "INSERT INTO notes VALUES ('1', 'a note'); INSERT INTO memos VALUES ('1', 'a memo');\n";
    std::fs::write(migrations.join("0001_existing.sql"), tables.concat() + rows).unwrap();
    let step = step(&Migrations::read(&migrations).unwrap(), &model).unwrap().unwrap();
    add(&migrations, "adopt", &step.sqlite, &step.postgres).unwrap();
    let app = TestApp::start_in(directory, Mode::Open, |config| config.ids = Ids::Global).await;
    let node = "query($id: ID!) { node(id: $id) { id ... on Note { text } ... on Memo { text } } }";
    let asked = |id: &str| {
        format!(
            "/graphql?query={}&variables={}",
            encode(node),
            encode(&json!({"id": id}).to_string())
        )
    };
    let url = asked(&id("Note", "1"));
    let first = app.get(&url).await;
    assert_eq!(
        first.json()["data"]["node"],
        json!({"id": id("Note", "1"), "text": "a note"}),
        "{}",
        first.text()
    );
    assert_eq!(app.get(&asked(&id("Memo", "1"))).await.json()["data"]["node"]["text"], "a memo");
    app.outsider().execute("UPDATE memos SET text = 'another' WHERE id = '1'");
    assert_eq!(app.get_with(&url, &[(IF_NONE_MATCH, first.etag())]).await.status, 304);
    app.outsider().execute("UPDATE notes SET text = 'another' WHERE id = '1'");
    let second = app.get_with(&url, &[(IF_NONE_MATCH, first.etag())]).await;
    assert_eq!(second.json()["data"]["node"]["text"], "another");
}

#[tokio::test]
async fn the_setting_changes_every_etag() {
    let app = start().await;
    let local = app.beside_with(|config| config.ids = Ids::Local).await;
    let url = format!("/graphql?query={}", encode("{ notes { totalCount } }"));
    assert_ne!(app.get(&url).await.etag(), local.get(&url).await.etag());
    assert_eq!(
        local.get(&format!("/graphql?query={}", encode("{ person(id: 1) { id } }"))).await.json()["data"]
            ["person"]["id"],
        "1"
    );
    local
        .get(&format!("/graphql?query={}", encode("{ node(id: 1) { id } }")))
        .await
        .assert_error(422, "GRAPHQL_VALIDATION_FAILED");
}

#[tokio::test]
async fn rules_hold_for_nodes_and_compare_database_keys() {
    const NODE: &str =
        "query Node($id: ID!) { node(id: $id) { ... on Post { title author { id } } } }";
    const NODES: &str = "query Nodes($ids: [ID!]!) { nodes(ids: $ids) { id } }";
    let room = Newsroom::with_global_ids(&[NODE, NODES]).await;
    let draft = id("Post", "p2");
    for (who, is_found) in [(Some(user("ada")), true), (Some(user("bob")), false), (None, false)] {
        let answer = room.get(NODE, &json!({"id": draft}), who.as_deref()).await;
        assert_eq!(answer.json()["data"]["node"].is_object(), is_found, "{}", answer.text());
        let answer = room.get(NODES, &json!({"ids": [draft]}), who.as_deref()).await;
        assert_eq!(answer.json()["data"]["nodes"][0].is_object(), is_found, "{}", answer.text());
        assert_eq!(answer.header("cache-control"), "private, no-cache");
    }
    let ada = room.get(NODE, &json!({"id": draft}), Some(&user("ada"))).await.json();
    assert_eq!(ada["data"]["node"]["author"]["id"], id("User", "ada"));
}
