//! SQLite, in process: threads that own a connection each. Readers run a whole operation in one snapshot, and are handed
//! it as one job, so a request changes threads once and not once per row. One writer serialises the mutations and lets
//! all that wait share one commit.

pub mod backup;
mod blame;
pub(in crate::store) mod catalogue;
pub mod ddl;
pub(in crate::store) mod difference;
mod feed;
mod guard;
mod identity;
mod meter;
pub mod migrate;
mod opened;
mod row;
mod threads;
mod transaction;
pub mod triggers;
pub(in crate::store) mod words;
mod writable;
mod writer;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{CachedStatement, Connection, OpenFlags};

use crate::model::scalar::ValueRef;
use crate::store::change_log;
use crate::store::error::StoreError;
use crate::store::select::{FOLD_FUNCTION, Slot, Statement, fold};
use crate::store::trace::Trace;
use crate::touch::Version;

use feed::Feed;
pub use guard::Guard;
use identity::Identity;
pub(super) use meter::Allowance;
use meter::Meter;
pub use migrate::REMEDY;
pub(super) use opened::{Opened, Settings};
pub use row::Row;
use row::bind;
use threads::Threads;
pub use transaction::Transaction;
pub(super) use writable::probe;
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
/// What a statement costs beside SQLite's own steps, in these.
const STATEMENT_STEPS: u32 = 100;
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

/// One consistent state of the database, for reading.
pub struct Snapshot<'c> {
    connection: &'c Connection,
    meter: &'c Meter,
    feed: &'c Feed,
    /// Statements in use by this operation, by place in its plan: a relation's statement runs once per parent, and is
    /// looked up by its text only the first time.
    held: RefCell<Vec<Option<CachedStatement<'c>>>>,
    /// What ran, where somebody wants to know.
    trace: Option<RefCell<Trace>>,
}

impl<'c> Snapshot<'c> {
    fn new(connection: &'c Connection, meter: &'c Meter, feed: &'c Feed) -> Self {
        Self { connection, meter, feed, held: RefCell::new(Vec::new()), trace: None }
    }

    /// The same state, from here on with a record of what runs: for a diagnosis, since it takes the time of each step.
    pub fn traced(&self) -> Self {
        Self { trace: Some(RefCell::default()), ..Self::new(self.connection, self.meter, self.feed) }
    }

    /// Takes some of the steps that the operation may take, for work that is not SQLite's.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`]: they are used up.
    pub fn take_steps(&self, steps: u32) -> Result<(), StoreError> {
        self.meter.take(steps)
    }

    /// Why the operation was ended, if it was because it had used up what it was given.
    pub(super) fn verdict(&self) -> Option<StoreError> {
        self.meter.verdict()
    }

    /// What has run since [`Self::traced`].
    pub fn trace(self) -> Trace {
        self.trace.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Which database this is, and which state of its schema: part of every validator.
    ///
    /// # Errors
    /// The database's; it was never migrated.
    pub fn epoch(&self) -> Result<[u8; 16], StoreError> {
        let epoch = migrate::epoch(self.connection)?;
        let epoch =
            epoch.ok_or_else(|| StoreError::Corrupt("the database has no epoch: it was never migrated".to_owned()))?;
        Ok(guard::identity(&epoch, guard::schema_version(self.connection)?))
    }

    /// What the versions of rows tell in this state.
    ///
    /// # Errors
    /// The database's.
    pub fn guard(&self) -> Result<Arc<Guard>, StoreError> {
        self.feed.guard_of(self.connection)
    }

    /// The newest record of the change log in this state.
    ///
    /// # Errors
    /// The database's.
    pub fn newest_change(&self) -> Result<Version, StoreError> {
        Ok(change_log::newest(self.connection)?)
    }

    /// Runs a statement and hands each row to `each`. `place` is the statement's place in the plan that runs: at one
    /// place the text is always the same.
    ///
    /// # Errors
    /// The database's, or those of `each`, which end the statement.
    pub fn rows<'p, E: From<StoreError>>(
        &self,
        place: usize,
        statement: &Statement,
        value: impl Fn(Slot) -> ValueRef<'p>,
        mut each: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take_steps(STATEMENT_STEPS)?;
        let begun = self.trace.as_ref().map(|_| Instant::now());
        let mut prepared = self.take(place, statement)?;
        bind(&mut prepared, statement, &value)?;
        let mut rows = prepared.raw_query();
        match &self.trace {
            None => {
                while let Some(row) = rows.next().map_err(StoreError::from)? {
                    each(&Row::Stepped(row))?;
                }
            }
            Some(trace) => {
                let mut begun = begun.unwrap_or_else(Instant::now);
                let ran = trace.borrow_mut().run(place, statement, value);
                while let Some(row) = rows.next().map_err(StoreError::from)? {
                    trace.borrow_mut().row(ran, begun.elapsed());
                    each(&Row::Stepped(row))?;
                    // What others do with the row, statements of relations included, is not this one's time.
                    begun = Instant::now();
                }
                trace.borrow_mut().end(ran, begun.elapsed());
            }
        }
        drop(rows);
        self.held.borrow_mut()[place] = Some(prepared);
        Ok(())
    }

    /// Runs a statement that has one row of one integer.
    ///
    /// # Errors
    /// The database's.
    pub fn integer<'p>(
        &self,
        place: usize,
        statement: &Statement,
        value: impl Fn(Slot) -> ValueRef<'p>,
    ) -> Result<i64, StoreError> {
        let mut result = 0;
        self.rows(place, statement, value, |row| {
            if let ValueRef::Int(integer) = row.get(0) {
                result = integer;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(result)
    }

    /// Runs a statement that has no place in a plan.
    ///
    /// # Errors
    /// The database's.
    pub fn once<'p>(
        &self,
        statement: &Statement,
        value: impl Fn(Slot) -> ValueRef<'p>,
        mut each: impl FnMut(&Row<'_>),
    ) -> Result<(), StoreError> {
        let mut prepared = self.connection.prepare_cached(&statement.sql)?;
        bind(&mut prepared, statement, value)?;
        let mut rows = prepared.raw_query();
        while let Some(row) = rows.next()? {
            each(&Row::Stepped(row));
        }
        Ok(())
    }

    fn take(&self, place: usize, statement: &Statement) -> Result<CachedStatement<'c>, StoreError> {
        let mut held = self.held.borrow_mut();
        if held.len() <= place {
            held.resize_with(place + 1, || None);
        }
        match held[place].take() {
            Some(prepared) => Ok(prepared),
            None => Ok(self.connection.prepare_cached(&statement.sql)?),
        }
    }

    /// The connection, for the store's own statements.
    pub(super) fn connection(&self) -> &Connection {
        self.connection
    }
}

#[cfg(test)]
mod tests;
