//! A PostgreSQL server that fails, and its nodes' answers: late, or with 503, but never an outdated
//! state.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use freshql::clock::Clock;
use freshql::config::{Database, Mode};
use freshql::graphql::{Compiler, Engine};
use freshql::model::{Model, parse};
use freshql::store::postgres::client::{Blocking, Role, Session};
use freshql::store::{Admin, Store};
use http::header::IF_NONE_MATCH;
use serde_json::json;

use crate::harness::{MERCHANT, TestApp, url_with};
use crate::library::{Question, data};
use crate::postgres::Postgres;

const SDL: &str = "type Good @entity { id: ID! @id note: String }";

async fn engine(database: &Database, model: &Arc<Model>) -> Engine {
    let store = Store::open_with_clock(database, 1, model, Clock::new(1000)).await.unwrap();
    Engine::new(Compiler::new(model.clone()).unwrap(), store)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_without_the_last_commits_gives_no_validator_to_other_content() {
    let Some(primary) = Postgres::start() else { return };
    primary.create("lost");
    let model = Arc::new(parse("schema.graphql", SDL).unwrap().model);
    let there: Database = primary.url("lost").parse().unwrap();
    Admin::open(&there).unwrap().create(&model).unwrap();
    primary.run("lost", "INSERT INTO goods (id, note) VALUES ('a', 'first')");
    let standby = primary.standby();
    let wait = Instant::now();
    while standby.try_run("lost", "SELECT note FROM goods").is_ok_and(|rows| rows.is_empty()) {
        assert!(wait.elapsed() < Duration::from_secs(60));
    }
    // From here on, it receives nothing.
    standby.run("postgres", "ALTER SYSTEM SET primary_conninfo = ''; ");
    standby.run("postgres", "SELECT pg_reload_conf()");
    while standby.run("postgres", "SELECT count(*) FROM pg_stat_wal_receiver") != ["0"] {
        assert!(wait.elapsed() < Duration::from_secs(60));
    }

    let text = "{ good(id: \"a\") { id etag note } }";
    let mut etags = std::collections::HashMap::new();
    let old = engine(&there, &model).await;
    let question = Question::new(&old, text, &json!({})).await;
    for note in ["acknowledged", "and lost"] {
        primary.run("lost", &format!("UPDATE goods SET note = '{note}'"));
        let answer = question.ask(&old).await;
        etags.insert(answer.etag.unwrap().to_string(), data(&answer).to_owned());
    }
    drop(primary);

    standby.promote();
    let new = engine(&standby.url("lost").parse().unwrap(), &model).await;
    let question = Question::new(&new, text, &json!({})).await;
    let first = question.ask(&new).await;
    assert!(data(&first).contains("first"), "{}", data(&first));
    assert!(!etags.contains_key(&first.etag.unwrap().to_string()));
    // More changes than were lost.
    for note in ["other", "content", "than", "before"] {
        standby.run("lost", &format!("UPDATE goods SET note = '{note}'"));
        let answer = question.ask(&new).await;
        assert!(data(&answer).contains(note));
        assert!(!etags.contains_key(&answer.etag.unwrap().to_string()), "{note}");
        assert!(!etags.values().any(|shown| shown == data(&answer)), "a row's token comes back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_more_connections_is_a_503_until_it_does() {
    let Some(postgres) = Postgres::start_with(|_| "-c max_connections=20".to_owned()) else {
        return;
    };
    postgres.create("crowded");
    let database: Database = postgres.url("crowded").parse().unwrap();
    let app = TestApp::start_with(Mode::Trusted, |config| config.database = database.clone()).await;
    let (id, _) = app.create_merchant("A shop").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    assert_eq!(app.get(&path).await.status, 200);

    // Other sessions take the free connections and those of the node.
    let Database::Postgres(url) = &database else { unreachable!() };
    let connect = || Blocking::connect(url, Session::new(Role::Admin));
    let mut others = vec![connect().unwrap()];
    let mut refused = None;
    let begun = Instant::now();
    while refused.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody is refused");
        let pids = others.iter_mut().map(|other| {
            other.script("SELECT pg_backend_pid()").unwrap()[0].first().unwrap().string(0)
        });
        let pids = pids.collect::<Vec<_>>().join(",");
        let of_the_node = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'crowded' AND pid <> ALL (ARRAY[{pids}])"
        );
        others[0].script(&of_the_node).unwrap();
        while let Ok(other) = connect() {
            others.push(other);
        }
        let answer = app.get(&path).await;
        refused = (answer.status == 503).then_some(answer);
    }
    let refused = refused.unwrap();
    assert!(!refused.header("retry-after").is_empty());
    refused.assert_not_stored();

    drop(others);
    let begun = Instant::now();
    while app.get(&path).await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_server_causes_no_stale_answer() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("still");
    let database: Database = postgres.url("still").parse().unwrap();
    let app = TestApp::start_with(Mode::Trusted, |config| config.database = database).await;
    let (id, _) = app.create_merchant("A shop").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    let etag = app.get(&path).await.etag().to_owned();
    assert_eq!(app.get_with(&path, &[(IF_NONE_MATCH, &etag)]).await.status, 304);
    let sessions = Sessions::of(&postgres, "still");
    sessions.signal("-STOP");
    // A new session is not blocked.
    postgres.run("still", &format!("UPDATE merchants SET city = 'Bruges' WHERE id = '{id}'"));
    let headers = [(IF_NONE_MATCH, etag.as_str())];
    let asked = app.get_with(&path, &headers);
    tokio::pin!(asked);
    let early = tokio::time::timeout(Duration::from_millis(700), &mut asked).await;
    sessions.signal("-CONT");
    assert!(early.is_err(), "{}", early.unwrap().status);
    let answer = asked.await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["data"]["merchant"]["city"]),
        (200, &json!("Bruges"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_stored_answer_gives_up_in_time_if_the_server_stalls() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("stuck");
    let database: Database = postgres.url("stuck").parse().unwrap();
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.database = database;
        config.limits.timeout = Duration::from_millis(400);
    })
    .await;
    let (id, _) = app.create_merchant("A shop").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    let etag = app.get(&path).await.etag().to_owned();
    let headers = [(IF_NONE_MATCH, etag.as_str())];
    assert_eq!(app.get_with(&path, &headers).await.status, 304);

    let sessions = Sessions::of(&postgres, "stuck");
    sessions.signal("-STOP");
    // A check itself may take 20 seconds.
    let limit = Duration::from_secs(10);
    let refused = tokio::time::timeout(limit, app.get_with(&path, &headers)).await;
    sessions.signal("-CONT");
    let refused = refused.expect("it is still waiting");
    assert!(matches!(refused.status.as_u16(), 503 | 504), "{}", refused.status);
    refused.assert_not_stored();

    let begun = Instant::now();
    while app.get_with(&path, &headers).await.status != 304 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_that_reach_another_server_than_the_checks_are_refused() {
    let Some(primary) = Postgres::start() else { return };
    primary.create("balanced");
    // Where new connections lead.
    let directory = tempfile::tempdir().unwrap();
    let link = directory.path().join(".s.PGSQL.5432");
    let lead_to = |server: &Postgres| {
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(server.socket(), &link).unwrap();
    };
    lead_to(&primary);
    let url = format!(
        "postgres://freshql@{}/balanced",
        directory.path().to_str().unwrap().replace('/', "%2F")
    );
    let direct =
        TestApp::start_with(Mode::Trusted, |config| config.database = url.parse().unwrap()).await;
    // Flights are as those through a pooler, which does not tell which server it reaches.
    let url = format!("{url}?pooler=transaction");
    let pooled =
        TestApp::start_with(Mode::Trusted, |config| config.database = url.parse().unwrap()).await;
    let (id, _) = direct.create_merchant("A shop").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    let standby = primary.standby();
    let shown = format!("SELECT city FROM merchants WHERE id = '{id}'");
    let begun = Instant::now();
    while standby.try_run("balanced", &shown).is_ok_and(|rows| rows.is_empty()) {
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    standby.run("postgres", "SELECT pg_wal_replay_pause()");

    for app in [&direct, &pooled] {
        let etag = app.get(&path).await.etag().to_owned();
        lead_to(&standby);
        primary.run(
            "balanced",
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE application_name = 'freshql' AND query NOT LIKE '%\\_freshql\\_change%'",
        );
        primary.run("balanced", "UPDATE merchants SET city = city || '!'");
        for _ in 0..3 {
            let refused = app.get_with(&path, &[(IF_NONE_MATCH, &etag)]).await;
            assert_eq!(refused.status, 503, "{}", refused.text());
        }
        lead_to(&primary);
        let begun = Instant::now();
        let mut answer = app.get(&path).await;
        while answer.status == 503 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
            answer = app.get(&path).await;
        }
        let city = answer.json()["data"]["merchant"]["city"].clone();
        assert_eq!(primary.run("balanced", &shown), [city.as_str().unwrap()]);
    }
}

/// The sessions on a database, except for those that begin later.
struct Sessions(Vec<String>);

impl Sessions {
    fn of(postgres: &Postgres, database: &str) -> Self {
        Self(postgres.run(
            database,
            "SELECT pid FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        ))
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").arg(signal).args(&self.0).status().unwrap().success());
    }
}
