//! SQLite, in process: threads that own a connection each. Readers run a whole operation in one snapshot, and are handed
//! it as one job, so a request changes threads once and not once per row. One writer serialises the mutations and lets
//! all that wait share one commit.

mod admin;
mod ahead;
mod alter;
pub mod backup;
mod blame;
pub(in crate::store) mod catalogue;
pub mod change_log;
pub mod ddl;
pub mod dialect;
pub(in crate::store) mod difference;
pub(in crate::store) mod documents;
mod error;
pub(in crate::store) mod expression;
mod feed;
mod guard;
mod idempotency;
mod identity;
mod meter;
pub mod migrate;
mod opened;
mod pull;
mod row;
pub(in crate::store) mod rows;
pub(in crate::store) mod scratch;
mod snapshot;
mod store;
mod threads;
mod transaction;
pub mod triggers;
pub(in crate::store) mod words;
mod writable;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};

use crate::store::error::StoreError;
use crate::store::select::fold;

pub use admin::Admin;
use dialect::FOLD_FUNCTION;
use feed::Feed;
use identity::Identity;
pub(super) use meter::Allowance;
use meter::Meter;
pub(super) use opened::{Opened, Settings};
pub use pull::pull;
pub use snapshot::Snapshot;
pub use store::Store;
use threads::Threads;
pub use transaction::Transaction;
use writer::Writer;

/// Jobs that may wait for a connection; more are refused, so that an overload shows as such and not as latency.
const QUEUE: usize = 4096;
/// Mutations that may share one commit.
const GROUP: usize = 128;
/// Statements that a connection keeps prepared.
const STATEMENTS: usize = 512;
/// Operations that may wait for a slow reader. Each may take as long as the limits allow, so there are few.
const SLOW_QUEUE: usize = 32;
/// What an operation may use up on a reader for quick ones: some milliseconds, as a rule. One that needs more begins again
/// on a slow reader, so that however many costly ones are asked for, cheap ones wait for none of them longer than this.
pub(super) const QUICK: Allowance = Allowance { steps: 1_000_000, time: Duration::from_millis(100) };
/// How long an operation may keep a slow reader.
pub(super) const SLOWEST: Duration = Duration::from_secs(5);
/// What the answer of a mutation may use up: all others who write wait for it.
const WRITER: Allowance = Allowance { steps: 5_000_000, time: Duration::from_secs(1) };
/// How long a writer waits for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(10);

/// Work, and whether anybody still waits for it: a request may have been given up.
pub(super) struct Job<F: ?Sized> {
    /// What to do.
    pub(super) run: Box<F>,
    /// Lives as long as somebody waits.
    pub(super) waiting: Weak<()>,
    /// What it may use up.
    pub(super) allowance: Allowance,
}

impl<F: ?Sized> Job<F> {
    fn is_given_up(&self) -> bool {
        self.waiting.strong_count() == 0
    }
}

/// Work for a reader.
pub(super) type ReadJob = Job<dyn FnOnce(Result<&Snapshot<'_>, StoreError>) + Send>;

/// Work for the writer: does it and tells whether to keep it; what it returns is called when its fate is known. It is done
/// again, in a transaction of its own, where another job has spoiled the commit that they shared.
pub(super) type WriteJob = Job<dyn FnMut(Result<&Transaction<'_>, StoreError>) -> (bool, Finish) + Send>;

/// Tells the one who waits that the commit has succeeded or failed.
pub(super) type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Called when the clock has caught up, or could not.
pub(super) type FeedJob = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A job for a full queue is given back as an error, not waited for.
pub(super) fn enqueue<J>(queue: &Sender<J>, job: J) -> Result<(), StoreError> {
    queue.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => StoreError::Overloaded,
        TrySendError::Disconnected(_) => StoreError::Gone,
    })
}

/// Opens a connection as all of ours are: WAL, durable commits, foreign keys on. Triggers do not fire themselves, as is
/// SQLite's default: that is how the authors of a table mean theirs (`AFTER UPDATE ON t … UPDATE t SET updated_at = …`).
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    open_with(path, OpenFlags::SQLITE_OPEN_CREATE)
}

/// The same for a file that is there: nothing is served from one that was made for want of it.
fn open_existing(path: &Path) -> Result<Connection, StoreError> {
    open_with(path, OpenFlags::empty())
}

fn open_with(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "recursive_triggers", false)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Every 16 MB of log. A commit that comes to it waits for it.
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    // Else a bound LIMIT is looked at when a statement is planned, and the statement is planned again for each request.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(FOLD_FUNCTION, 1, flags, |context| {
        // What is no text (a stranger wrote it) matches nothing; it must not make the whole list fail.
        Ok(context.get_raw(0).as_str().ok().map(fold))
    })?;
    Ok(connection)
}

/// Opens a file that others may have made, to look: not even the journal's mode is changed.
pub(super) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_existing(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn read_loop(connection: &Connection, meter: &Meter, (feed, identity): (&Feed, &Identity), jobs: &Receiver<ReadJob>) {
    for job in jobs.iter().filter(|job| !job.is_given_up()) {
        if let Err(error) = identity.ensure() {
            (job.run)(Err(error));
            continue;
        }
        // A panic in a job drops its reply and leaves the thread to the next one.
        let outcome = catch_unwind(AssertUnwindSafe(|| match run(connection, "BEGIN") {
            Ok(()) => {
                meter.set(job.waiting, job.allowance);
                meter.run(true);
                (job.run)(Ok(&Snapshot::new(connection, meter, feed)));
                meter.run(false);
                run(connection, "COMMIT")
            }
            Err(error) => {
                (job.run)(Err(error.into()));
                Ok(())
            }
        }));
        if !matches!(outcome, Ok(Ok(()))) && !connection.is_autocommit() {
            meter.run(false);
            let _ = run(connection, "ROLLBACK");
        }
    }
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// What a future gives that waits for nothing, as all of a transaction's do here.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing is waited for within a transaction of SQLite's"),
    }
}

#[cfg(test)]
mod tests;
