//! No validator is ever reused: not with a schema that comes back, not with a backup. Whatever
//! happens to a database, two answers with one ETag have the same bytes, and a row's token stands
//! for one content only.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use freshql::config::Database;
use freshql::graphql::{Compiler, Engine};
use freshql::model::parse;
use freshql::store::Store;
use freshql::store::schema::difference;
use freshql::store::schema::migrations;
use freshql::store::sqlite::migrate::{self, Migrations};
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::installed_program::{program, there};
use crate::library::{Question, data, mutate, shell};

const QUERY: &str = "{ things(first: 9) { nodes { id etag n } } }";
const UPDATE: &str = "mutation($id: ID!, $etag: String) { updateThing(id: $id, patch: {}, expectedEtag: $etag) { n } }";

/// A project over time.
struct History {
    directory: TempDir,
    migrations: Migrations,
    /// All answers, by their ETags.
    answers: HashMap<String, String>,
    /// All rows that were shown, by their tokens.
    rows: HashMap<String, Value>,
}

impl History {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self {
            directory,
            migrations: Migrations::default(),
            answers: HashMap::new(),
            rows: HashMap::new(),
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("freshql.db")
    }

    fn connection(&self) -> Connection {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF").unwrap();
        connection
    }

    /// Changes the model to this one, with the migration that freshql writes, after editing it.
    fn migrate(&mut self, sdl: &str, edit: impl FnOnce(String) -> String) {
        let step = difference::step(&self.migrations, &parse("schema.graphql", sdl).unwrap().model)
            .unwrap()
            .unwrap();
        let folder = self.directory.path().join("migrations");
        std::fs::create_dir_all(&folder).unwrap();
        migrations::add(&folder, "step", &edit(step.sqlite), &step.postgres).unwrap();
        self.migrations = Migrations::read(&folder).unwrap();
        migrate::up(&mut self.connection(), &self.migrations).unwrap();
    }

    async fn engine(&self, sdl: &str) -> Engine {
        let model = Arc::new(parse("schema.graphql", sdl).unwrap().model);
        let store = Store::open(&Database::Sqlite(self.path()), 1, &model).await.unwrap();
        Engine::new(Compiler::new(model).unwrap(), store)
    }

    /// Asks and checks that the answer contradicts no earlier one. Returns the first row's token.
    async fn ask(&mut self, engine: &Engine) -> String {
        let answer = Question::new(engine, QUERY, &json!({})).await.ask(engine).await;
        let shown = data(&answer).to_owned();
        // A server that was running before a migration gives no ETag any more.
        if let Some(etag) = answer.etag {
            let first =
                self.answers.entry(etag.as_str().to_owned()).or_insert_with(|| shown.clone());
            assert_eq!(*first, shown, "two answers with one ETag");
        }
        let json: Value = serde_json::from_slice(&answer.body).unwrap();
        let mut token = String::new();
        for row in json["data"]["things"]["nodes"].as_array().unwrap() {
            let etag = row["etag"].as_str().unwrap().to_owned();
            token = if token.is_empty() { etag.clone() } else { token };
            let first = self.rows.entry(etag).or_insert_with(|| row.clone());
            assert_eq!(first, row, "two contents with one token");
        }
        token
    }

    async fn is_accepted(&self, engine: &Engine, id: &str, token: &str) -> bool {
        mutate(engine, UPDATE, &json!({"id": id, "etag": token})).await.is_ok()
    }
}

const NULLABLE: &str = "type Thing @entity { id: ID! @id n: Int }";
const FILLED: &str = "type Thing @entity { id: ID! @id n: Int! @default(value: 7) }";
const WITHOUT: &str = "type Thing @entity { id: ID! @id }";

#[tokio::test]
async fn a_schema_that_is_restored_makes_no_old_etag_valid() {
    let as_it_is = |sql: String| sql;
    let dropped = |sql: String| sql.replace("-- ALTER TABLE", "ALTER TABLE");
    // At the end, model and versions are the same as at the beginning, but in between, NULLs were
    // filled; the column was dropped and comes back empty; or it was changed while nothing watched
    // it.
    type Edit = fn(String) -> String;
    let ways: [(&str, Edit, &str); 3] = [
        (FILLED, as_it_is, ""),
        (WITHOUT, dropped, ""),
        (WITHOUT, as_it_is, "UPDATE things SET n = 3"),
    ];
    for (between, edit, meanwhile) in ways {
        let mut history = History::new();
        history.migrate(NULLABLE, as_it_is);
        history
            .connection()
            .execute_batch("INSERT INTO things (id, n) VALUES ('a', NULL), ('b', 1)")
            .unwrap();
        let before = history.engine(NULLABLE).await;
        let token = history.ask(&before).await;
        assert!(history.is_accepted(&before, "a", &token).await);
        history.migrate(between, edit);
        history.connection().execute_batch(meanwhile).unwrap();
        history.migrate(NULLABLE, as_it_is);
        // A server that was running all the time, and one that was started afterwards.
        for engine in [before, history.engine(NULLABLE).await] {
            history.ask(&engine).await;
            assert!(!history.is_accepted(&engine, "a", &token).await, "{between}");
        }
    }
}

#[tokio::test]
async fn a_migration_that_runs_again_after_a_restore_may_fill_in_other_values() {
    let mut history = History::new();
    history.migrate(WITHOUT, |sql| sql);
    history.connection().execute_batch("INSERT INTO things (id) VALUES ('a')").unwrap();
    let backup = history.directory.path().join("backup.db");
    history.connection().execute("VACUUM INTO ?", [backup.to_str().unwrap()]).unwrap();
    history.migrate("type Thing @entity { id: ID! @id n: UUID! @default(fn: UUID_V7) }", |sql| sql);
    for _ in 0..2 {
        let engine = history
            .engine("type Thing @entity { id: ID! @id n: UUID! @default(fn: UUID_V7) }")
            .await;
        history.ask(&engine).await;
        drop(engine);
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(history.directory.path().join(format!("freshql.db{end}")));
        }
        std::fs::copy(&backup, history.path()).unwrap();
        migrate::up(&mut history.connection(), &history.migrations).unwrap();
    }
}

/// Backups are taken and restored at any time, under a running server or before it starts, and
/// writes continue from them.
#[tokio::test]
async fn no_etag_of_what_a_restore_undid_is_given_again() {
    let mut history = History::new();
    history.migrate(NULLABLE, |sql| sql);
    let mut engine = history.engine(NULLABLE).await;
    let mut random = 20_261_126_u64;
    let mut any = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let backup = |number: u64| format!("backup-{number}.db");
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut backups = 0;
    for _ in 0..120 {
        let id = ["a", "b", "c"][usize::try_from(any(3)).unwrap()];
        let n = any(3);
        match any(8) {
            // By the server, and by external writers.
            0 => {
                let text =
                    "mutation($id: ID!, $n: Int) { updateThing(id: $id, patch: { n: $n }) { n } }";
                let _ = mutate(&engine, text, &json!({"id": id, "n": n})).await;
            }
            1 => history
                .connection()
                .execute_batch(&format!("REPLACE INTO things (id, n) VALUES ('{id}', {n})"))
                .unwrap(),
            2 => history
                .connection()
                .execute_batch(&format!("UPDATE things SET n = {n} WHERE id = '{id}'"))
                .unwrap(),
            3 => history
                .connection()
                .execute_batch(&format!("DELETE FROM things WHERE id = '{id}'"))
                .unwrap(),
            4 | 5 => {
                history.connection().execute("VACUUM INTO ?", [file(&backup(backups))]).unwrap();
                backups += 1;
            }
            _ if backups == 0 => {}
            6 => {
                let from = file(&backup(any(backups)));
                // Skipped on a machine without the program, but not in CI.
                if !there("no_etag_of_what_a_restore_undid_is_given_again", &[program("sqlite3")]) {
                    continue;
                }
                assert!(
                    shell(&history.path(), &format!(".restore '{from}'")),
                    "the sqlite3 program is too old"
                );
            }
            _ => {
                drop(engine);
                // Its threads close their connections one by one, and the last of them removes the
                // log.
                while history.directory.path().join("freshql.db-wal").exists() {
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
                let from = file(&backup(any(backups)));
                let new = history.directory.path().join("new.db");
                std::fs::copy(from, &new).unwrap();
                std::fs::rename(&new, history.path()).unwrap();
                for end in ["-wal", "-shm"] {
                    let _ = std::fs::remove_file(
                        history.directory.path().join(format!("freshql.db{end}")),
                    );
                }
                engine = history.engine(NULLABLE).await;
            }
        }
        history.ask(&engine).await;
    }
    assert!(
        backups > 10 && history.answers.len() > 15,
        "{backups} backups, {} answers",
        history.answers.len()
    );
}
