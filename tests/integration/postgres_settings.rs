//! An administrator's settings for all sessions of a database: whatever they are, freshql's own
//! sessions work as usual.

use std::time::Duration;

use freshql::config::{Database, Mode, PostgresUrl};
use freshql::store::Admin;
use freshql::store::postgres::client::{Blocking, Role, Session};
use http::header::IF_NONE_MATCH;
use serde_json::json;

use crate::harness::{MERCHANT, TestApp, url_with};
use crate::postgres::{Pooler, Postgres};

const SETTINGS: &[&str] = &[
    "quote_all_identifiers = on",
    "standard_conforming_strings = off",
    "escape_string_warning = off",
    "backslash_quote = on",
    "transform_null_equals = on",
    "array_nulls = off",
    "bytea_output = escape",
    "extra_float_digits = -15",
    "DateStyle = 'SQL, DMY'",
    "IntervalStyle = postgres_verbose",
    "TimeZone = 'Asia/Kolkata'",
    "client_encoding = LATIN1",
    "default_transaction_isolation = serializable",
    "idle_session_timeout = '300ms'",
];

#[tokio::test(flavor = "multi_thread")]
async fn session_defaults_of_a_database_change_no_answer_and_no_command() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("odd");
    for setting in SETTINGS {
        postgres.run("postgres", &format!("ALTER DATABASE odd SET {setting}"));
    }
    // This migrates, and checks that the tables are what the model needs.
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.database = postgres.url("odd").parse().unwrap();
    })
    .await;
    let name = r"C:\new 'Zürich' {NULL}";
    let (id, _) = app.create_merchant(name).await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    let read = app.get(&path).await;
    assert_eq!(read.json()["data"]["merchant"]["name"], name);
    let condition = read.etag().to_owned();
    // Longer than an idle session may last.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(app.get_with(&path, &[(IF_NONE_MATCH, &condition)]).await.status, 304);
    app.move_merchant(&id, "Bergen").await;
    postgres.run("odd", &format!("UPDATE merchants SET country = 'Norway' WHERE id = '{id}'"));
    let again = app.get_with(&path, &[(IF_NONE_MATCH, &condition)]).await;
    assert_eq!(again.json()["data"]["merchant"]["city"], "Bergen");

    let Some(pooler) = Pooler::start(&postgres, "odd") else { return };
    let pooled = TestApp::start_with(Mode::Trusted, |config| {
        config.database = pooler.url.parse().unwrap();
    })
    .await;
    let read = pooled.get(&path).await;
    assert_eq!(read.body, again.body);
    assert_eq!(pooled.get_with(&path, &[(IF_NONE_MATCH, again.etag())]).await.status, 304);
    pooled.move_merchant(&id, "Oslo").await;
    for app in [&app, &pooled] {
        let again = app.get_with(&path, &[(IF_NONE_MATCH, read.etag())]).await;
        assert_eq!(again.json()["data"]["merchant"]["city"], "Oslo");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_path_that_changes_leads_a_running_server_to_no_other_tables() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("paths");
    its_tables_stay_the_same(&postgres, "paths", &postgres.url("paths")).await;
    postgres.create("pooled_paths");
    let Some(pooler) = Pooler::start(&postgres, "pooled_paths") else { return };
    its_tables_stay_the_same(&postgres, "pooled_paths", &pooler.url).await;
}

async fn its_tables_stay_the_same(postgres: &Postgres, database: &str, url: &str) {
    let app =
        TestApp::start_with(Mode::Trusted, |config| config.database = url.parse().unwrap()).await;
    let (id, _) = app.create_merchant("of the schema public").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    let condition = app.get(&path).await.etag().to_owned();
    // Nothing tells the server: its tables stay as they are, and its sessions as they began.
    postgres.run(
        database,
        &format!(
            "CREATE SCHEMA other; CREATE TABLE other.merchants AS SELECT * FROM merchants;
             UPDATE other.merchants SET name = 'of the schema other';
             CREATE TABLE other._freshql_change (LIKE _freshql_change INCLUDING ALL);
             ALTER DATABASE {database} SET search_path = other, public"
        ),
    );
    postgres.run(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '{database}'"
        ),
    );
    let mut names = Vec::new();
    for city in ["Bergen", "Oslo", "Bergen", "Oslo"] {
        let moved = format!("UPDATE public.merchants SET city = '{city}' WHERE id = '{id}'");
        postgres.run(database, &moved);
        let mut again = app.get_with(&path, &[(IF_NONE_MATCH, &condition)]).await;
        for _ in 0..100 {
            if again.status != 503 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
            again = app.get_with(&path, &[(IF_NONE_MATCH, &condition)]).await;
        }
        let merchant = again.json()["data"]["merchant"].clone();
        assert_eq!(merchant["city"], city, "{}", again.text());
        names.push(merchant["name"].clone());
    }
    assert_eq!(names, vec!["of the schema public"; 4]);
    app.move_merchant(&id, "Bodø").await;
    let moved = format!("SELECT city FROM public.merchants WHERE id = '{id}'");
    assert_eq!(postgres.run(database, &moved), ["Bodø"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_other_programs_leave_in_a_poolers_sessions_changes_no_answer() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("shared");
    let Some(pooler) = Pooler::start(&postgres, "shared") else { return };
    let url: PostgresUrl = pooler.url.parse().unwrap();
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.database = Database::Postgres(Box::new(url.clone()));
    })
    .await;
    let (id, _) = app.create_merchant("of the table").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    // Each of these transactions stays open until all sessions of the pool have one.
    let mut others: Vec<Blocking> =
        (0..5).map(|_| Blocking::connect(&url, Session::for_commands(&url)).unwrap()).collect();
    for other in &mut others {
        other.script("BEGIN").unwrap();
    }
    for other in &mut others {
        other
            .script(
                "CREATE TEMP TABLE merchants AS SELECT * FROM public.merchants;
                 UPDATE merchants SET name = 'of a temporary table'; CREATE SCHEMA IF NOT EXISTS elsewhere;
                 SET search_path = elsewhere; SET jit = on; SET default_transaction_read_only = on; COMMIT",
            )
            .unwrap();
    }
    for city in ["Bergen", "Oslo"] {
        app.move_merchant(&id, city).await;
        let merchant = app.get(&path).await.json()["data"]["merchant"].clone();
        assert_eq!((&merchant["name"], &merchant["city"]), (&json!("of the table"), &json!(city)));
    }
}

#[test]
fn a_pooler_that_the_url_does_not_mention_is_recognised() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("pooled");
    let Some(pooler) = Pooler::start(&postgres, "pooled") else { return };
    let (url, _) = pooler.url.split_once('?').unwrap();
    let error = Admin::open(&url.parse().unwrap()).err().unwrap().to_string();
    assert!(error.contains("add `pooler=transaction` to it"), "{error}");
    Admin::open(&pooler.url.parse().unwrap()).unwrap();
}

#[test]
fn a_database_of_another_encoding_is_refused_and_left_unchanged() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.run(
        "postgres",
        "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0",
    );
    let Err(error) = Admin::open(&postgres.url("latin").parse().unwrap()) else {
        panic!("it was opened")
    };
    let error = error.to_string();
    assert!(error.contains("is LATIN1, and freshql needs UTF8"), "{error}");
    assert!(error.contains("CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commands_statements_ignore_the_databases_statement_timeout() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("hasty");
    postgres.run("postgres", "ALTER DATABASE hasty SET statement_timeout = '100ms'");
    let Database::Postgres(url) = postgres.url("hasty").parse().unwrap() else { unreachable!() };
    tokio::task::spawn_blocking(move || {
        let mut admin = Blocking::connect(&url, Session::new(Role::Admin)).unwrap();
        admin.script("SELECT pg_sleep(0.3)").unwrap();
    })
    .await
    .unwrap();
}
