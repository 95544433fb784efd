//! The command line: what it prints, what it refuses, and how it stops.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use freshql::app::{self, StartError};
use freshql::config::{Config, Mode, Overrides};
use freshql::document_id::DocumentId;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::harness::{MERCHANT, TestApp, project};

fn config(directory: &Path) -> Config {
    app::configure(Overrides {
        dir: Some(directory.to_owned()),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        ..Overrides::default()
    })
    .unwrap()
}

pub(crate) fn freshql(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freshql"));
    command.env_clear().arg("--dir").arg(directory).args(arguments).output().unwrap()
}

/// `file: message (help)`, without the directory.
async fn refusal(directory: &Path) -> Vec<String> {
    let mistakes = match app::start(config(directory)).await {
        Err(StartError::Mistakes(mistakes)) => mistakes,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it started"),
    };
    let prefix = format!("{}/", directory.display());
    let text = |m: &freshql::model::Diagnostic| {
        format!("{}: {} ({})", m.file, m.message, m.help.as_deref().unwrap_or("")).replace(&prefix, "")
    };
    mistakes.iter().map(text).collect()
}

#[tokio::test]
async fn the_server_refuses_to_start_without_migrations_and_says_what_mends_it() {
    let project = project();
    let reasons = refusal(project.path()).await;
    assert_eq!(reasons.len(), 1);
    assert!(reasons[0].contains("there is no database yet (run `freshql --dir "), "{reasons:?}");
    assert!(!project.path().join("freshql.db").exists());

    app::migrate_up(&config(project.path())).unwrap();
    let late = project.path().join("migrations/9999_later.sqlite.sql");
    std::fs::write(&late, "CREATE TABLE later (id INTEGER PRIMARY KEY);\n").unwrap();
    let reasons = refusal(project.path()).await;
    assert!(reasons[0].contains("pending migrations: 9999_later (run `freshql --dir "), "{reasons:?}");

    assert_eq!(app::migrate_up(&config(project.path())).unwrap(), "applied 9999_later\n");
    assert_eq!(app::migrate_up(&config(project.path())).unwrap(), "nothing to apply\n");
    app::start(config(project.path())).await.unwrap().stop().await.unwrap();

    std::fs::write(&late, "-- edited\n").unwrap();
    let reasons = refusal(project.path()).await;
    assert!(reasons[0].starts_with("migrations/9999_later.sqlite.sql: this migration was edited"), "{reasons:?}");
    assert!(app::migrate_status(&config(project.path())).unwrap().contains("edited since it was applied"));
}

#[tokio::test]
async fn the_server_refuses_to_start_without_the_triggers_that_keep_versions() {
    let project = project();
    app::migrate_up(&config(project.path())).unwrap();
    let database = rusqlite::Connection::open(project.path().join("freshql.db")).unwrap();
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'merchants' LIMIT 1";
    let trigger: String = database.query_row(sql, [], |row| row.get(0)).unwrap();
    database.execute_batch(&format!("DROP TRIGGER {trigger}")).unwrap();
    let reasons = refusal(project.path()).await;
    assert!(reasons[0].contains(&trigger), "{reasons:?}");
    assert!(reasons[0].contains("(add a migration that says\nCREATE TRIGGER"), "{reasons:?}");
}

#[tokio::test]
async fn the_server_refuses_to_start_on_invalid_queries_and_names_all_of_them() {
    let project = project();
    app::migrate_up(&config(project.path())).unwrap();
    std::fs::write(project.path().join("queries/a.graphql"), "{ nonsense }").unwrap();
    std::fs::write(project.path().join("queries/b.graphql"), b"query \xff").unwrap();
    std::fs::write(project.path().join("queries/c.graphql"), "{").unwrap();
    let reasons = refusal(project.path()).await;
    let files: Vec<_> = reasons.iter().filter_map(|reason| reason.split(':').next()).collect();
    assert_eq!(files, ["queries/a.graphql", "queries/b.graphql", "queries/c.graphql"], "{reasons:?}");
}

#[test]
fn check_reports_mistakes_with_their_places_and_fails() {
    let project = project();
    let good = freshql(project.path(), &["check"]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(String::from_utf8_lossy(&good.stdout).contains("there is no database yet"));

    std::fs::write(project.path().join("queries/a.graphql"), "query A {\n  nonsense\n}\n").unwrap();
    let bad = freshql(project.path(), &["check"]);
    let text = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text.contains("queries/a.graphql:2:3"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours are for terminals");

    std::fs::write(project.path().join("schema.graphql"), "type A @entity { name: Strng! }\n").unwrap();
    let bad = freshql(project.path(), &["check"]);
    let text = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text.contains("schema.graphql:1:"), "{text}");
}

#[test]
fn queries_and_hash_agree_on_ids() {
    let project = project();
    let file = project.path().join("queries/tests/merchant.graphql");
    let id = DocumentId::of(MERCHANT);
    let hash = freshql(project.path(), &["hash", file.to_str().unwrap()]);
    assert_eq!(String::from_utf8(hash.stdout).unwrap(), format!("{id}  {}\n", file.display()));

    let queries = String::from_utf8(freshql(project.path(), &["queries"]).stdout).unwrap();
    let line = queries.lines().find(|line| line.starts_with(&id.to_string())).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells[1..], ["Merchant", "query", file.to_str().unwrap()]);
    assert_eq!(queries.lines().filter(|line| line.ends_with("two.graphql")).count(), 2);
}

#[tokio::test]
async fn the_printed_schema_is_the_served_one() {
    let app = TestApp::start(Mode::Trusted).await;
    let printed = freshql(app.directory.path(), &["schema"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), app.get("/schema.graphql").await.text());
}

#[tokio::test]
async fn the_process_says_where_it_listens_and_stops_when_told() {
    for signal in ["TERM", "INT"] {
        let project = project();
        let mut server = tokio::process::Command::new(env!("CARGO_BIN_EXE_freshql"))
            .env_clear()
            .env("FRESHQL_DIR", project.path())
            .env("FRESHQL_LISTEN", "127.0.0.1:0")
            .env("FRESHQL_MIGRATE", "true")
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("the server ended before it listened");
            if let Some((_, address)) = line.split_once("listening on ") {
                break address.to_owned();
            }
        };
        let answer = reqwest::get(format!("{address}/readyz")).await.unwrap();
        assert_eq!(answer.status(), 200);
        drop(answer);

        let pid = server.id().unwrap().to_string();
        assert!(Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success());
        let status = tokio::time::timeout(std::time::Duration::from_secs(20), server.wait()).await.unwrap().unwrap();
        assert!(status.success(), "{status}");
        let mut rest = String::new();
        lines.into_inner().read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("stopping"), "{rest}");
    }
}
