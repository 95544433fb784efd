//! A read of the log must not miss anything.

use std::sync::atomic::AtomicUsize;

use tempfile::TempDir;

use super::*;
use crate::clock::Clock;
use crate::store::schema::layout::{Layout, test_models};
use crate::store::sqlite::ddl::create_statements;
use crate::store::sqlite::open;

struct Scene {
    connection: Connection,
    clock: Arc<Clock>,
    feed: Feed,
    directory: TempDir,
}

impl Scene {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let connection = open(&directory.path().join("freshql.db")).unwrap();
        let model = Arc::new(test_models::every_kind());
        for statement in create_statements(&Layout::new(&model)) {
            connection.execute_batch(&statement).unwrap();
        }
        let clock = Arc::new(Clock::new(100));
        let subscribers = Arc::new(Subscribers::new(clock.clone()));
        let feed = Feed::start(&connection, model, subscribers).unwrap();
        feed.catch_up(&connection).unwrap();
        Self { connection, clock, feed, directory }
    }
}

#[test]
fn a_commit_during_a_reading_is_read_or_known_to_be_unread() {
    let Scene { mut connection, clock, feed, directory } = Scene::new();
    for moment in 0.. {
        let before = clock.revision();
        let outsider = open(&directory.path().join("freshql.db")).unwrap();
        let moments = Arc::new(AtomicUsize::new(0));
        let passing = moments.clone();
        let commit = move || {
            if passing.fetch_add(1, Ordering::SeqCst) == moment {
                outsider
                    .execute_batch("INSERT INTO folders (title) VALUES ('in between')")
                    .unwrap();
            }
            false
        };
        // Called again and again while statements run.
        connection.progress_handler(1, Some(commit)).unwrap();
        feed.catch_up(&connection).unwrap();
        connection.progress_handler(0, None::<fn() -> bool>).unwrap();
        if moments.load(Ordering::SeqCst) <= moment {
            assert!(moment > 5, "only {moment} moments were tried");
            break;
        }
        assert!(clock.revision() > before || !feed.is_current(), "missed at moment {moment}");
        feed.catch_up(&connection).unwrap();
        assert!(clock.revision() > before && feed.is_current(), "missed at moment {moment}");
    }
}

#[test]
fn a_commit_of_others_is_never_taken_for_ours() {
    let Scene { connection, clock, feed, directory } = Scene::new();
    let outsider = open(&directory.path().join("freshql.db")).unwrap();
    connection
        .execute_batch("INSERT INTO folders (id, title) VALUES (1, 'same'), (2, 'same')")
        .unwrap();
    feed.catch_up(&connection).unwrap();
    // What our transaction does, and how many others commit between our commit and our look at the
    // index.
    let refused = "UPDATE folders SET title = 'other' WHERE id = 99";
    let empty = "SELECT 1";
    let same = "UPDATE folders SET title = 'same' WHERE id = 1";
    let unlogged = "INSERT INTO _freshql_meta (key, value) VALUES (hex(randomblob(8)), '')";
    let written = "UPDATE folders SET title = title || '.' WHERE id = 2";
    for ours in [refused, empty, same, unlogged, written] {
        for others in 0..3 {
            connection.execute_batch("BEGIN IMMEDIATE").unwrap();
            connection.execute_batch(ours).unwrap();
            let own = feed.own_changes(&connection).unwrap().expect("the clock has all");
            connection.execute_batch("COMMIT").unwrap();
            for _ in 0..others {
                outsider
                    .execute_batch("INSERT INTO folders (title) VALUES ('in between')")
                    .unwrap();
            }
            assert!(feed.apply(own));
            assert!(
                others == 0 || !feed.is_current(),
                "{others} commits after {ours:?} are swallowed"
            );
            assert!(
                others > 0 || ours == unlogged || feed.is_current(),
                "{ours:?} is not known to be all"
            );
            let before = clock.revision();
            feed.catch_up(&connection).unwrap();
            assert!(
                feed.is_current() && (others == 0 || clock.revision() > before),
                "{others} after {ours:?}"
            );
        }
    }
}

#[test]
fn a_reading_serves_requests_made_before_it_began() {
    let Scene { connection, feed, .. } = Scene::new();
    let before = feed.moment();
    assert!(!feed.has_read_since(before));
    feed.catch_up(&connection).unwrap();
    assert!(feed.has_read_since(before));
    assert!(!feed.has_read_since(feed.moment()));

    connection.execute_batch("ALTER TABLE _freshql_change RENAME TO hidden").unwrap();
    let before = feed.moment();
    assert!(feed.catch_up(&connection).is_err());
    assert!(feed.has_failed() && !feed.has_read_since(before) && !feed.is_current());
    connection.execute_batch("ALTER TABLE hidden RENAME TO _freshql_change").unwrap();
    feed.catch_up(&connection).unwrap();
    assert!(!feed.has_failed() && feed.has_read_since(before) && feed.is_current());
}

#[test]
fn too_many_records_at_once_are_not_read_but_forgotten() {
    let Scene { connection, clock, feed, .. } = Scene::new();
    connection.execute_batch("INSERT INTO folders (title) VALUES ('the first')").unwrap();
    feed.catch_up(&connection).unwrap();
    for (records, is_remembered) in [(50, true), (MOST_AT_ONCE, true), (MOST_AT_ONCE + 1, false)] {
        let before = clock.revision();
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
            INSERT INTO _freshql_change (entity, id, op, parts) SELECT 'Gone', i, 'U', '{}' FROM n";
        connection.execute(sql, [i64::try_from(records).unwrap()]).unwrap();
        feed.catch_up(&connection).unwrap();
        assert_eq!(clock.is_unchanged(&[], before), is_remembered, "{records}");
        assert!(feed.is_current());
    }
}

/// Numbers have gaps, so they do not show what was pruned.
#[test]
fn records_that_were_pruned_before_they_were_read_are_missed_and_known_to_be() {
    for is_known in [false, true] {
        let Scene { connection, clock, feed, .. } = Scene::new();
        if is_known {
            connection.execute_batch("INSERT INTO folders (title) VALUES ('known')").unwrap();
            feed.catch_up(&connection).unwrap();
        }
        let before = clock.revision();
        connection.execute_batch("INSERT INTO folders (title) VALUES ('a'), ('b'), ('c')").unwrap();
        let sql = "DELETE FROM _freshql_change WHERE seq < (SELECT max(seq) FROM _freshql_change)";
        connection.execute_batch(sql).unwrap();
        feed.catch_up(&connection).unwrap();
        assert!(!clock.remembers(before), "with a record that is known: {is_known}");
        let before = clock.revision();
        connection.execute_batch("INSERT INTO folders (title) VALUES ('d')").unwrap();
        feed.catch_up(&connection).unwrap();
        assert!(clock.remembers(before) && clock.revision() > before);
    }
}
