//! What other programs can do to a database while a cache follows it, and what a bound on freshness
//! does and does not allow: the cache may become slow, but never wrong.

use std::os::unix::fs::FileExt;
use std::time::Duration;

use freshql::cache::Source;
use freshql::clock::DEFAULT_CAPACITY;
use freshql::config::{ChangeLogLimits, Consistency, Mode};
use serde_json::{Value as Json, json};

use crate::database::{Driver, Outsider, TestDatabase, driver};
use crate::harness::TestApp;
use crate::library::{Library, Pragmas, Question, mutate};
use crate::node::{Node, ROOMY};

const AN_HOUR: Consistency = Consistency::Bounded(Duration::from_secs(3600));

/// A node with a question about one row, whose answer it has cached.
struct Scene {
    database: Library,
    node: Node,
    outsider: Outsider,
    book: Question,
}

impl Scene {
    async fn new(consistency: Consistency) -> Self {
        let library = Library::new();
        let node = Node::with(&library, ROOMY, consistency, DEFAULT_CAPACITY).await;
        let outsider = library.outsider(Pragmas { foreign_keys: false, recursive_triggers: false });
        let book = Question::new(&node.engine, "{ book(id: \"5\") { title } }", &json!({})).await;
        node.ask(&book).await;
        Self { database: library, node, outsider, book }
    }

    fn run(&self, sql: &str) {
        self.outsider.execute(sql);
    }

    fn retitle(&self, title: &str) {
        self.outsider.execute(&format!("UPDATE books SET title = '{title}' WHERE id = 5"));
    }

    /// The title that the node shows, and the source of that answer.
    async fn shown(&self) -> (String, Source) {
        let given = self.node.ask(&self.book).await;
        let answer: Json = serde_json::from_slice(&given.body).unwrap();
        (answer["data"]["book"]["title"].as_str().unwrap().to_owned(), given.source)
    }

    async fn assert_shows(&self, title: &str, source: Source) {
        assert_eq!(self.shown().await, (title.to_owned(), source));
    }

    async fn write(&self, title: &str) {
        let text =
            "mutation($title: String!) { updateBook(id: \"5\", patch: {title: $title}) { id } }";
        mutate(&self.node.engine, text, &json!({"title": title})).await.unwrap();
    }
}

#[tokio::test]
async fn within_its_bound_a_node_may_lag_but_never_goes_backwards() {
    let scene = Scene::new(AN_HOUR).await;
    scene.assert_shows("mid", Source::Hit).await;
    scene.retitle("by another program");
    scene.assert_shows("mid", Source::Hit).await;
    // Another answer shows the change, so from now on every answer does.
    let list = Question::new(&scene.node.engine, "{ books { nodes { title } } }", &json!({})).await;
    assert!(scene.node.ask(&list).await.text().contains("by another program"));
    scene.assert_shows("by another program", Source::Stale).await;

    scene.retitle("by another program again");
    scene.assert_shows("by another program", Source::Hit).await;
    let word = "mutation { updateWord(id: \"w1\", patch: {word: \"other\"}) { id } }";
    mutate(&scene.node.engine, word, &json!({})).await.unwrap();
    scene.assert_shows("by another program again", Source::Stale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn own_writes_are_visible_at_once_whatever_the_bound() {
    for consistency in [AN_HOUR, Consistency::Strict] {
        let scene = Scene::new(consistency).await;
        for number in 0..150 {
            let title = number.to_string();
            scene.write(&title).await;
            scene.assert_shows(&title, Source::Stale).await;
        }
    }
}

#[tokio::test]
async fn writes_of_others_are_visible_after_the_bound() {
    let bound = Duration::from_millis(20);
    let scene = Scene::new(Consistency::Bounded(bound)).await;
    for number in 0..10 {
        let title = number.to_string();
        scene.retitle(&title);
        tokio::time::sleep(bound + Duration::from_millis(2)).await;
        assert_eq!(scene.shown().await.0, title);
    }
}

#[tokio::test]
async fn while_the_change_log_cannot_be_read_the_cache_is_off() {
    // On PostgreSQL, triggers do not follow the renamed table: without it, nobody can write.
    if driver() != Driver::Sqlite {
        return;
    }
    for consistency in [Consistency::Strict, AN_HOUR] {
        let scene = Scene::new(consistency).await;
        scene.run("ALTER TABLE _freshql_change RENAME TO hidden");
        for number in 0..3 {
            // SQLite has renamed the table in the triggers, too, so changes are logged where nobody
            // reads them.
            let title = format!("unseen {number}");
            scene.write(&title).await;
            scene.assert_shows(&title, Source::Bypass).await;
        }
        scene.run("ALTER TABLE hidden RENAME TO _freshql_change");
        scene.retitle("seen");
        let (title, source) = scene.shown().await;
        assert_eq!(title, "seen");
        assert!(matches!(source, Source::Miss | Source::Stale), "{source:?}");
        scene.assert_shows("seen", Source::Hit).await;
    }
}

#[tokio::test]
async fn a_replaced_change_log_is_detected_whatever_its_length() {
    // For PostgreSQL: `postgres_feed::a_node_forgets_everything_when_it_cannot_know_what_changed`.
    if driver() != Driver::Sqlite {
        return;
    }
    let scene = Scene::new(Consistency::Strict).await;
    scene.run("BEGIN; DELETE FROM _freshql_change; DELETE FROM sqlite_sequence WHERE name = '_freshql_change'");
    scene.retitle("before the new log is as long as the old one");
    for number in 0..60 {
        scene.run(&format!("UPDATE words SET word = 'word {number}' WHERE id = 'w1'"));
    }
    scene.run("COMMIT");
    scene.assert_shows("before the new log is as long as the old one", Source::Stale).await;

    scene.run("DELETE FROM _freshql_change");
    scene.retitle("after all records had gone");
    scene.assert_shows("after all records had gone", Source::Stale).await;
    scene.assert_shows("after all records had gone", Source::Hit).await;
}

#[tokio::test]
async fn a_recreated_table_is_detected_although_that_logs_nothing() {
    // For PostgreSQL: `postgres_ddl`.
    if driver() != Driver::Sqlite {
        return;
    }
    let scene = Scene::new(Consistency::Strict).await;
    let words = Question::new(&scene.node.engine, "{ words { nodes { word } } }", &json!({})).await;
    scene.node.ask(&words).await;
    scene.run(
        "BEGIN;
         CREATE TABLE words2 (id TEXT PRIMARY KEY NOT NULL, word TEXT NOT NULL, _version INTEGER NOT NULL DEFAULT 0) STRICT;
         INSERT INTO words2 (id, word, _version) SELECT id, upper(word), _version FROM words;
         DROP TABLE words;
         ALTER TABLE words2 RENAME TO words;
         COMMIT",
    );
    let given = scene.node.ask(&words).await;
    assert!(given.text().contains("ONE"), "{given:?}");
}

#[tokio::test]
async fn checkpoints_and_vacuum_by_another_program_hide_no_change() {
    // Specific to SQLite's file.
    if driver() != Driver::Sqlite {
        return;
    }
    let scene = Scene::new(Consistency::Strict).await;
    for round in 0..3 {
        for sql in [
            "PRAGMA wal_checkpoint(PASSIVE)",
            "PRAGMA wal_checkpoint(FULL)",
            "PRAGMA wal_checkpoint(RESTART)",
            "PRAGMA wal_checkpoint(TRUNCATE)",
            "VACUUM",
        ] {
            let title = format!("{round} before {sql}");
            scene.retitle(&title);
            scene.run(sql);
            scene.assert_shows(&title, Source::Stale).await;
            scene.run(sql);
            let title = format!("{round} after {sql}");
            scene.retitle(&title);
            scene.assert_shows(&title, Source::Stale).await;
            scene.assert_shows(&title, Source::Hit).await;
        }
    }
}

#[tokio::test]
async fn recovery_after_a_crash_of_another_program_hides_no_change() {
    // Specific to SQLite's file; for PostgreSQL:
    // `postgres_feed::after_a_restart_nodes_forget_and_after_a_crash_a_new_life_begins`.
    if driver() != Driver::Sqlite {
        return;
    }
    let scene = Scene::new(Consistency::Strict).await;
    let TestDatabase::Sqlite { path, .. } = &scene.database.database else { unreachable!() };
    let index =
        std::fs::File::options().write(true).open(format!("{}-shm", path.display())).unwrap();
    for number in 0..5 {
        // The two copies of the index's header differ: the next reader must rebuild the index.
        index.write_all_at(&[0xAA; 48], 48).unwrap();
        let title = format!("recovered {number}");
        scene.retitle(&title);
        scene.assert_shows(&title, Source::Stale).await;
        scene.assert_shows(&title, Source::Hit).await;
    }
    // Closing it would release SQLite's locks.
    std::mem::forget(index);
}

#[tokio::test]
async fn a_database_behind_a_symbolic_link_is_followed() {
    // Specific to SQLite's file.
    if driver() != Driver::Sqlite {
        return;
    }
    let mut library = Library::new();
    let outsider = library.outsider(Pragmas { foreign_keys: false, recursive_triggers: false });
    let elsewhere = tempfile::tempdir().unwrap();
    let link = elsewhere.path().join("link.db");
    let TestDatabase::Sqlite { path, .. } = &mut library.database else { unreachable!() };
    std::os::unix::fs::symlink(&*path, &link).unwrap();
    *path = link;
    let node = Node::new(&library).await;
    let book = Question::new(&node.engine, "{ book(id: \"5\") { title } }", &json!({})).await;
    node.ask(&book).await;
    assert_eq!(node.ask(&book).await.source, Source::Hit);
    outsider.execute("UPDATE books SET title = 'seen' WHERE id = 5");
    assert!(node.ask(&book).await.text().contains("seen"));
}

#[tokio::test]
async fn a_node_that_slept_through_pruning_drops_its_whole_cache_and_others_drop_nothing() {
    let scene = Scene::new(Consistency::Strict).await;
    let sleeper = Node::new(&scene.database).await;
    let shelf = Question::new(&sleeper.engine, "{ shelf(id: \"s1\") { label } }", &json!({})).await;
    for node in [&scene.node, &sleeper] {
        node.ask(&shelf).await;
        node.ask(&scene.book).await;
    }
    scene.retitle("pruned");
    for number in 0..30 {
        scene.run(&format!("UPDATE words SET word = 'word {number}' WHERE id = 'w1'"));
    }
    let limits = ChangeLogLimits { max_records: 3, ..ChangeLogLimits::default() };
    // Records stay as long as transactions of other databases on the server may be older.
    let mut pruned = 0;
    for _ in 0..100 {
        pruned += scene.node.engine.store().prune(limits).await.unwrap();
        if pruned > 30 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(pruned > 30, "{pruned}");
    assert_eq!(scene.node.engine.store().prune(limits).await.unwrap(), 0);

    scene.assert_shows("pruned", Source::Stale).await;
    assert_eq!(scene.node.ask(&shelf).await.source, Source::Hit, "who prunes has read before");
    let given = sleeper.ask(&scene.book).await;
    assert!(given.source == Source::Stale && given.text().contains("pruned"), "{given:?}");
    assert_eq!(
        sleeper.ask(&shelf).await.source,
        Source::Stale,
        "nothing is known of what was pruned"
    );
    assert_eq!(sleeper.ask(&shelf).await.source, Source::Hit);
}

#[tokio::test]
async fn a_server_prunes_its_log_and_shuts_down() {
    // On PostgreSQL, other tests' transactions may delay it:
    // `postgres_feed::pruning_keeps_what_a_node_may_not_have_read`.
    if driver() != Driver::Sqlite {
        return;
    }
    let app = TestApp::start_with(Mode::Trusted, |config| config.change_log.max_records = 2).await;
    let database = app.outsider();
    let records = || database.int("SELECT count(*) FROM _freshql_change");
    let pruned = async || {
        for _ in 0..1000 {
            if records() == 2 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{} records", records());
    };
    pruned().await;
    let (id, _) = app.create_merchant("Written after the log was pruned").await;
    app.move_merchant(&id, "Bruges").await;
    assert!(records() > 2);
    let _app = app.restart().await;
    pruned().await;
}
