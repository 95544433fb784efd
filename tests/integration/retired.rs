//! Documents that have left the query files: how long open pages still get answers, and what the
//! operator sees.

use freshql::config::{Mode, Retention};
use freshql::document_id::DocumentId;
use freshql::graphql::Engine;
use freshql::persisted::{Documents, Registry, stored};
use freshql::store::Store;
use http::header::{AUTHORIZATION, IF_NONE_MATCH};
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::commands::freshql_on;
use crate::database::{Driver, driver};
use crate::harness::{Answer, CREATE, MERCHANTS, TOKEN, TestApp, url};

const EDITED: &str = "# The first page of all merchants.\nquery Merchants($first: Int = 20) { merchants(first: $first) { nodes { id name description city } totalCount } }";

/// A server that served the query file `merchants.graphql` until a comment was added to it.
async fn edited() -> (TestApp, String) {
    let app = TestApp::start(Mode::Trusted).await;
    let etag = app.get(&url(MERCHANTS)).await.etag().to_owned();
    write(&app, EDITED);
    (app.restart().await, etag)
}

fn write(app: &TestApp, text: &str) {
    std::fs::write(app.directory.path().join("queries/tests/merchants.graphql"), text).unwrap();
}

/// Runs SQL; returns the number of rows written.
fn run(app: &TestApp, sql: &str) -> i64 {
    let outsider = app.outsider();
    match driver() {
        Driver::Sqlite => {
            outsider.execute(sql);
            outsider.int("SELECT changes()")
        }
        // There, it is a timestamp.
        Driver::Postgres => {
            let sql = ["- 7 * 86400 + 60", "- 7 * 86400", "- 61"].iter().fold(
                sql.to_owned(),
                |sql, seconds| {
                    let interval = format!("+ interval '1 second' * ({seconds})");
                    sql.replace(&format!(" {seconds} WHERE"), &format!(" {interval} WHERE"))
                },
            );
            let sql = sql.replace("unixepoch()", "clock_timestamp()");
            outsider.int(&format!("WITH w AS ({sql} RETURNING 1) SELECT count(*) FROM w"))
        }
    }
}

async fn admin(app: &TestApp, method: Method, path: &str, body: &'static str) -> Answer {
    let request =
        app.request(method, path).header(AUTHORIZATION, format!("Bearer {TOKEN}")).body(body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

/// The entry of this document in `GET /q`.
async fn listed(app: &TestApp, text: &str) -> Option<Value> {
    let id = DocumentId::of(text).to_string();
    let list = admin(app, Method::GET, "/q", "").await.json();
    list["documents"].as_array().unwrap().iter().find(|document| document["id"] == *id).cloned()
}

#[tokio::test]
async fn a_page_still_open_after_its_query_file_was_edited_gets_its_304() {
    let (app, etag) = edited().await;
    let old = app.get_with(&url(MERCHANTS), &[(IF_NONE_MATCH, &etag)]).await;
    assert_eq!(old.status, StatusCode::NOT_MODIFIED);
    assert_eq!(app.get(&url(EDITED)).await.status, 200);
    // A mutation whose file is unchanged is not retired.
    assert_eq!(listed(&app, CREATE).await.unwrap()["retired"], Value::Null);

    let retired = listed(&app, MERCHANTS).await.unwrap();
    assert_eq!(
        (&retired["files"], &retired["stored"], &retired["valid"]),
        (&json!([]), &json!(false), &json!(true))
    );
    let moment =
        |name: &str| retired["retired"][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!(moment("until").duration_since(moment("since")).as_secs(), 7 * 86_400);

    let text = String::from_utf8(freshql_on(&app, &["queries"]).stdout).unwrap();
    let line: Vec<_> = text.lines().last().unwrap().split_whitespace().collect();
    let until = retired["retired"]["until"].as_str().unwrap();
    let id = DocumentId::of(MERCHANTS);
    let expected =
        format!("{id} Merchants query, public (no longer in a file; served until {until})");
    assert_eq!(line.join(" "), expected, "{text}");
    let all: Value =
        serde_json::from_slice(&freshql_on(&app, &["queries", "--json"]).stdout).unwrap();
    let by_id = |text: &str| {
        let id = DocumentId::of(text).to_string();
        all.as_array().unwrap().iter().find(|operation| operation["id"] == *id).unwrap().clone()
    };
    assert_eq!(by_id(MERCHANTS)["retired_until"], until);
    let created = by_id(CREATE);
    assert_eq!((&created["operation"], &created["kind"]), (&json!("Create"), &json!("mutation")));
    assert!(
        created["files"][0].as_str().unwrap().ends_with("queries/tests/create.graphql"),
        "{created}"
    );

    // This survives more restarts, until the file has its old text again.
    let app = app.restart().await;
    assert_eq!(listed(&app, MERCHANTS).await.unwrap()["retired"], retired["retired"]);
    write(&app, MERCHANTS);
    let app = app.restart().await;
    assert_eq!(listed(&app, MERCHANTS).await.unwrap()["retired"], Value::Null);
    assert_ne!(listed(&app, EDITED).await.unwrap()["retired"], Value::Null);
}

#[tokio::test]
async fn a_retired_document_is_forgotten_after_its_retention() {
    let (app, _) = edited().await;
    let aged = "UPDATE _freshql_document SET retired_at = unixepoch() - 7 * 86400 + 60 WHERE retired_at IS NOT NULL";
    assert_eq!(run(&app, aged), 1);
    let app = app.restart().await;
    assert_eq!(app.get(&url(MERCHANTS)).await.status, 200, "a minute is left");
    assert_eq!(
        run(
            &app,
            "UPDATE _freshql_document SET retired_at = retired_at - 61 WHERE retired_at IS NOT NULL"
        ),
        1
    );
    let app = app.restart().await;
    app.get(&url(MERCHANTS)).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(run(&app, "DELETE FROM _freshql_document WHERE retired_at IS NOT NULL"), 0);
    assert_eq!(app.get(&url(EDITED)).await.status, 200);
}

#[tokio::test]
async fn a_running_server_forgets_retired_documents_too() {
    let (app, _) = edited().await;
    let model =
        freshql::model::parse::parse("m", include_str!("../../schema.graphql")).unwrap().model;
    let model = std::sync::Arc::new(model);
    let store = Store::open(&app.config.database, 1, &model).await.unwrap();
    let compiler = freshql::graphql::Compiler::new(model).unwrap();
    let registry = std::sync::Arc::new(Registry::default());
    let Retention(week) = app.config.document_retention;
    store.subscribe(registry.clone()).unwrap();
    stored::load_compiled(&compiler, &store, &registry, week).await.unwrap();
    let documents = Documents::new(Engine::new(compiler, store.clone()), registry.clone(), week);
    let id = DocumentId::of(MERCHANTS);
    assert!(registry.get(id).unwrap().retired.is_some());
    documents.expire().await.unwrap();
    assert!(registry.get(id).is_some());

    run(
        &app,
        "UPDATE _freshql_document SET retired_at = retired_at - 7 * 86400 WHERE retired_at IS NOT NULL",
    );
    registry.doubt();
    documents.list().await.unwrap();
    let generation = registry.generation();
    documents.expire().await.unwrap();
    assert!(registry.get(id).is_none());
    assert!(registry.generation() > generation, "names must be looked up again");
    assert!(registry.get(DocumentId::of(EDITED)).is_some());
}

#[tokio::test]
async fn delete_removes_a_retired_document_and_put_keeps_it_for_good() {
    let (app, _) = edited().await;
    assert_eq!(
        admin(&app, Method::PUT, &url(MERCHANTS), MERCHANTS).await.status,
        200,
        "it was served already"
    );
    let kept = listed(&app, MERCHANTS).await.unwrap();
    assert_eq!((&kept["stored"], &kept["retired"]), (&json!(true), &Value::Null));
    let app = app.restart().await;
    assert_eq!(listed(&app, MERCHANTS).await.unwrap(), kept);
    assert_eq!(admin(&app, Method::DELETE, &url(MERCHANTS), "").await.status, 204);
    app.get(&url(MERCHANTS)).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");

    std::fs::remove_file(app.directory.path().join("queries/tests/merchants.graphql")).unwrap();
    let app = app.restart().await;
    assert_eq!(app.get(&url(EDITED)).await.status, 200);
    assert_eq!(admin(&app, Method::DELETE, &url(EDITED), "").await.status, 204);
    app.get(&url(EDITED)).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    let app = app.restart().await;
    app.get(&url(EDITED)).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn a_document_also_registered_over_http_outlives_its_file() {
    let app = TestApp::start(Mode::Trusted).await;
    assert_eq!(admin(&app, Method::PUT, &url(MERCHANTS), MERCHANTS).await.status, 200);
    write(&app, EDITED);
    let app = app.restart().await;
    let kept = listed(&app, MERCHANTS).await.unwrap();
    assert_eq!((&kept["stored"], &kept["retired"]), (&json!(true), &Value::Null));
}

#[tokio::test]
async fn retired_document_that_no_longer_fits_the_model_is_dropped_and_the_server_starts() {
    let (app, _) = edited().await;
    let gone = "{ gone { id } }";
    let id = DocumentId::of(gone);
    let sql = format!(
        "INSERT INTO _freshql_document (id, text, source, retired_at) VALUES ('{id}', '{gone}', 'file', unixepoch())"
    );
    assert_eq!(run(&app, &sql), 1);
    let app = app.restart().await;
    app.get(&url(gone)).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(listed(&app, gone).await, None);
    assert_eq!(app.get(&url(MERCHANTS)).await.status, 200);
}

#[tokio::test]
async fn retention_of_zero_ends_a_document_with_its_file() {
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.document_retention = "0".parse().unwrap()
    })
    .await;
    write(&app, EDITED);
    let app = app.restart().await;
    app.get(&url(MERCHANTS)).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(app.get(&url(EDITED)).await.status, 200);
}

#[tokio::test]
async fn a_client_of_an_unknown_version_learns_the_newest_id() {
    let (app, _) = edited().await;
    let answer = app.get(&format!("/q/{}/Merchants", DocumentId::of("never registered"))).await;
    answer.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    let told = answer.json()["errors"][0]["extensions"]["registeredId"].clone();
    assert_eq!(told, DocumentId::of(EDITED).to_string());
}

#[tokio::test]
async fn start_without_a_change_of_the_files_writes_nothing() {
    let (app, _) = edited().await;
    let outsider = app.outsider();
    outsider.execute("CREATE TABLE written (id text)");
    outsider.execute(match driver() {
        Driver::Sqlite => {
            "CREATE TRIGGER seen_insert AFTER INSERT ON _freshql_document BEGIN INSERT INTO written VALUES (NEW.id); END;
             CREATE TRIGGER seen_update AFTER UPDATE ON _freshql_document BEGIN INSERT INTO written VALUES (NEW.id); END;"
        }
        Driver::Postgres => {
            "CREATE FUNCTION seen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO written VALUES (NEW.id); RETURN NEW; END';
             CREATE TRIGGER seen AFTER INSERT OR UPDATE ON _freshql_document FOR EACH ROW EXECUTE FUNCTION seen()"
        }
    });
    let written = || outsider.int("SELECT count(*) FROM written");
    let app = app.restart().await;
    assert_eq!(written(), 0);
    write(&app, MERCHANTS);
    let _app = app.restart().await;
    assert_eq!(written(), 2, "one document came back, another left");
}
