//! Mutations that share a commit must not see each other, whatever happens to one of them.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tempfile::TempDir;

use super::jobs::SLOW_QUEUE;
use super::*;
use crate::clock::{Clock, DEFAULT_CAPACITY};
use crate::store::error::StoreError;
use crate::store::error::{Columns, Constraint};
use crate::store::schema::layout::{Layout, test_models};
use crate::store::source::Source as _;
use crate::store::sqlite::ddl::create_statements;

async fn store() -> (TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("freshql.db");
    let connection = open(&path).unwrap();
    let model = Arc::new(test_models::every_kind());
    for statement in create_statements(&Layout::new(&model)) {
        connection.execute_batch(&statement).unwrap();
    }
    let store = Store::open(&path, 1, &model, Clock::new(DEFAULT_CAPACITY)).await.unwrap();
    (directory, store)
}

/// Counts for minutes, unless it is interrupted.
fn count_for_long(snapshot: &Snapshot<'_>) -> rusqlite::Result<i64> {
    let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT 1000000000) SELECT count(*) FROM n";
    snapshot.connection().query_row(sql, [], |row| row.get(0))
}

#[tokio::test]
async fn an_abandoned_read_ends() {
    let (_directory, store) = store().await;
    let (tell, told) = mpsc::channel();
    let read = store.read(move |snapshot| tell.send(count_for_long(snapshot)));
    assert!(tokio::time::timeout(Duration::from_millis(50), read).await.is_err());
    let result = tokio::task::spawn_blocking(move || told.recv_timeout(Duration::from_secs(60)))
        .await
        .unwrap();
    let error = result.expect("the one reader is not given back").unwrap_err();
    assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
    // The reader serves other requests, which are waiting.
    store.ping().await.unwrap();
}

/// A read that looks quick, but continues until it is told to end.
fn slow(store: &Store) -> (impl Future<Output = Result<(), StoreError>> + use<>, mpsc::Sender<()>) {
    let (end, ended) = mpsc::channel();
    let (store, ended) = (store.clone(), std::sync::Mutex::new(ended));
    let read = move |snapshot: &Snapshot<'_>| {
        snapshot.take_steps(2_000_000)?;
        ended.lock().unwrap().recv().map_err(|_| StoreError::Gone)
    };
    (async move { store.read_within(10_000_000, read).await }, end)
}

#[tokio::test]
async fn slow_reads_do_not_delay_quick_ones() {
    let (_directory, store) = store().await;
    let (first, end_first) = slow(&store);
    let (second, end_second) = slow(&store);
    let (first, second) = (tokio::spawn(first), tokio::spawn(second));
    // There is one reader of each kind; the slow one is busy until the end.
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        store.read_within(10_000_000, |_| Ok::<_, StoreError>(())).await.unwrap();
        store.read(|_| ()).await.unwrap();
    }
    assert!(!first.is_finished() && !second.is_finished());
    end_first.send(()).unwrap();
    end_second.send(()).unwrap();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
}

#[tokio::test]
async fn readiness_is_answered_while_all_readers_and_the_writer_are_busy() {
    let (_directory, store) = store().await;
    let (gate, write) = gate(&store).await;
    let (end, ended) = mpsc::channel::<()>();
    let busy = store.clone();
    let read = tokio::spawn(async move { busy.read(move |_| ended.recv()).await });
    let (slow, end_slow) = slow(&store);
    let slow = tokio::spawn(slow);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(5)).await;
        store.ping().await.unwrap();
    }
    assert!(!read.is_finished() && !slow.is_finished());
    end.send(()).unwrap();
    end_slow.send(()).unwrap();
    gate.send(()).unwrap();
    read.await.unwrap().unwrap().unwrap();
    slow.await.unwrap().unwrap();
    write.await.unwrap().unwrap();
}

/// A search in a long string is a single step.
#[tokio::test]
async fn a_read_that_exceeds_its_time_is_interrupted() {
    let (_directory, store) = store().await;
    let read = |snapshot: &Snapshot<'_>| {
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n)
            SELECT sum(instr(printf('%.*c', 100000, 'a'), 'b' || n)) FROM n";
        Ok::<i64, StoreError>(snapshot.connection().query_row(sql, [], |row| row.get(0))?)
    };
    let result = store.read_within(u64::MAX, read).await;
    assert!(matches!(result, Err(StoreError::Late)), "{result:?}");
}

#[tokio::test]
async fn a_read_that_exceeds_its_steps_is_interrupted() {
    let (_directory, store) = store().await;
    for steps in [100_000, 3_000_000] {
        let counted = store
            .read_within(steps, |snapshot| count_for_long(snapshot).map_err(StoreError::from))
            .await;
        assert!(matches!(counted, Err(StoreError::Interrupted)), "{counted:?}");
    }
    // Work that is not a client's is not metered, and neither is the next operation's snapshot.
    store.read_within(100_000, |_| Ok::<_, StoreError>(())).await.unwrap();
}

#[tokio::test]
async fn slow_reads_beyond_the_limit_are_refused_at_once() {
    let (_directory, store) = store().await;
    let (reads, ends): (Vec<_>, Vec<_>) = (0..=SLOW_QUEUE + 1).map(|_| slow(&store)).unzip();
    let reads: Vec<_> = reads.into_iter().map(tokio::spawn).collect();
    while !reads.iter().any(tokio::task::JoinHandle::is_finished) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    drop(ends);
    let mut refused = 0;
    for read in reads {
        refused += usize::from(matches!(read.await.unwrap(), Err(StoreError::Overloaded)));
    }
    // Either one is running and this many wait, or all of them are still waiting.
    assert!((1..=2).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_write_abandoned_before_it_began_is_not_executed() {
    let (_directory, store) = store().await;
    let (gate, first) = gate(&store).await;
    let given_up = queue(&store, |transaction| put(transaction, "given up", "")).await;
    let wanted = queue(&store, |transaction| put(transaction, "wanted", "")).await;
    given_up.abort();
    assert!(given_up.await.unwrap_err().is_cancelled());
    gate.send(()).unwrap();
    first.await.unwrap().unwrap();
    wanted.await.unwrap().unwrap();
    assert_eq!(ids(&store).await, ["wanted"]);
}

type Reply = tokio::task::JoinHandle<Result<isize, StoreError>>;

/// Writes from a separate task; returns when the job has been queued.
async fn queue(
    store: &Store,
    write: impl Fn(&Transaction<'_>) -> Result<isize, StoreError> + Send + 'static,
) -> Reply {
    let store = store.clone();
    let reply = tokio::spawn(async move { store.write(write).await });
    tokio::task::yield_now().await;
    reply
}

/// Everything that is queued until the gate opens shares one commit.
async fn gate(store: &Store) -> (mpsc::Sender<()>, Reply) {
    let (open, opened) = mpsc::channel();
    // It may run again.
    let once = std::sync::Once::new();
    let reply = queue(store, move |_| {
        once.call_once(|| opened.recv().unwrap());
        Ok(0)
    });
    let reply = reply.await;
    (open, reply)
}

fn put(transaction: &Transaction<'_>, id: &str, text: &str) -> Result<isize, StoreError> {
    let sql = "INSERT INTO _freshql_document (id, text) VALUES (?, ?)";
    transaction.connection().execute(sql, [id, text])?;
    Ok(1)
}

fn count(transaction: &Transaction<'_>) -> Result<isize, StoreError> {
    let sql = "SELECT count(*) FROM _freshql_document";
    Ok(transaction.connection().query_row(sql, [], |row| row.get(0))?)
}

async fn ids(store: &Store) -> Vec<String> {
    store.documents().await.unwrap().into_iter().map(|document| document.id).collect()
}

#[tokio::test]
async fn failed_job_leaves_nothing_in_the_commit_that_it_shares() {
    let (_directory, store) = store().await;
    let (open, gate) = gate(&store).await;
    let first = queue(&store, |transaction| put(transaction, "a", "")).await;
    let failed = queue(&store, |transaction| {
        put(transaction, "b", "")?;
        put(transaction, "a", "")
    })
    .await;
    let panicked = queue(&store, |transaction| {
        put(transaction, "c", "")?;
        panic!("a mistake of ours")
    })
    .await;
    let last = queue(&store, |transaction| {
        put(transaction, "d", "")?;
        count(transaction)
    })
    .await;
    open.send(()).unwrap();
    gate.await.unwrap().unwrap();
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert!(matches!(failed.await.unwrap(), Err(StoreError::Constraint(_))));
    assert!(matches!(panicked.await.unwrap(), Err(StoreError::Gone)));
    assert_eq!(last.await.unwrap().unwrap(), 2);
    assert_eq!(ids(&store).await, ["a", "d"]);
}

#[tokio::test]
async fn a_full_disk_fails_the_job_that_filled_it_and_not_the_others() {
    let (_directory, store) = store().await;
    let (open, gate) = gate(&store).await;
    let first = queue(&store, |transaction| put(transaction, "a", "")).await;
    let refused = queue(&store, |transaction| match count(transaction)? {
        0 => Ok(0),
        _ => Err(StoreError::Corrupt("there is a document".to_owned())),
    })
    .await;
    let full = queue(&store, |transaction| {
        let connection = transaction.connection();
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
        put(transaction, "b", &"x".repeat(1 << 20))
    })
    .await;
    let later = queue(&store, |transaction| put(transaction, "c", "")).await;
    open.send(()).unwrap();

    assert_eq!(gate.await.unwrap().unwrap(), 0);
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert!(matches!(refused.await.unwrap(), Err(StoreError::Corrupt(_))));
    let error = full.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("full"), "{error}");
    assert_eq!(later.await.unwrap().unwrap(), 1, "it was not in that commit");
    assert_eq!(ids(&store).await, ["a", "c"]);
}

/// Constraints that undo more than one statement.
const RULES: &str = "
    CREATE TABLE parent (id INTEGER PRIMARY KEY);
    CREATE TABLE child (
      id INTEGER PRIMARY KEY ON CONFLICT ROLLBACK,
      parent_id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED
    );
    CREATE TRIGGER no_five BEFORE INSERT ON child WHEN NEW.id = 5 BEGIN SELECT RAISE(ROLLBACK, 'not five'); END;
    INSERT INTO child VALUES (1, NULL);";

#[tokio::test]
async fn a_constraint_that_rolls_back_fails_only_the_job_that_violated_it() {
    let (_directory, store) = store().await;
    let rules = queue(&store, |transaction| {
        Ok(transaction.connection().execute_batch(RULES).map(|()| 0)?)
    })
    .await;
    rules.await.unwrap().unwrap();
    let insert = |values: &'static str| {
        queue(&store, move |transaction| {
            transaction.connection().execute(&format!("INSERT INTO child VALUES {values}"), [])?;
            Ok(0)
        })
    };
    for (broken, constraint) in [
        (
            "(1, NULL)",
            Constraint::Unique(Columns { table: "child".to_owned(), names: vec!["id".to_owned()] }),
        ),
        ("(5, NULL)", Constraint::Check(String::new())),
        ("(6, 77)", Constraint::ForeignKey(Vec::new())),
    ] {
        let (open, gate) = gate(&store).await;
        let (mut sound, mut number) = (Vec::new(), 0);
        for text in ["a", "b"] {
            sound.push(
                queue(&store, move |transaction| put(transaction, &format!("{text} {broken}"), ""))
                    .await,
            );
        }
        let guilty = insert(broken).await;
        while number < 3 {
            sound.push(
                queue(&store, move |transaction| {
                    put(transaction, &format!("{number} {broken}"), "")
                })
                .await,
            );
            number += 1;
        }
        open.send(()).unwrap();
        gate.await.unwrap().unwrap();
        for reply in sound {
            assert_eq!(reply.await.unwrap().unwrap(), 1, "{broken}");
        }
        let error = guilty.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, StoreError::Constraint(is) if *is == constraint),
            "{broken}: {error}"
        );
    }
    assert_eq!(ids(&store).await.len(), 15);
    let children = queue(&store, |transaction| {
        Ok(transaction
            .connection()
            .query_row("SELECT count(*) FROM child", [], |row| row.get(0))?)
    });
    assert_eq!(children.await.await.unwrap().unwrap(), 1);
}

#[tokio::test]
async fn all_jobs_of_a_batch_wait_for_a_lock_together() {
    let (directory, store) = store().await;
    let wait = Duration::from_millis(300);
    let set = queue(&store, move |transaction| {
        transaction.connection().busy_timeout(wait)?;
        Ok(0)
    })
    .await;
    set.await.unwrap().unwrap();
    let external = Connection::open(directory.path().join("freshql.db")).unwrap();
    external.execute_batch("BEGIN IMMEDIATE").unwrap();
    let start = Instant::now();
    let mut waiting = Vec::new();
    for number in 0..20 {
        waiting.push(
            queue(&store, move |transaction| put(transaction, &number.to_string(), "")).await,
        );
    }
    for reply in waiting {
        assert!(matches!(reply.await.unwrap(), Err(StoreError::Overloaded)));
    }
    assert!(start.elapsed() < 5 * wait, "{:?}", start.elapsed());
    external.execute_batch("ROLLBACK").unwrap();
    let reply = queue(&store, |transaction| put(transaction, "a", "")).await;
    assert_eq!(reply.await.unwrap().unwrap(), 1);
    assert_eq!(ids(&store).await, ["a"]);
}
