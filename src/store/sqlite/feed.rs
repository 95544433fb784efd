//! SQLite's feed: reads the new records of the change log, and knows whether it has everything that
//! is committed. [`crate::store::feed`] is its contract.
//!
//! The header of the write-ahead log's index (`-shm`,
//! <https://sqlite.org/walformat.html#the_wal_index_header>) shows whether anybody, in this process
//! or another, has committed since the log was last read: every commit changes it. Reading its 48
//! bytes costs 0.3 µs; `PRAGMA data_version`, which gives the same information, costs 0.8 µs. A
//! cached answer costs 9 µs in all.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use arc_swap::ArcSwap;
use rusqlite::Connection;

use super::guard;
use super::migrate::{self, Applied as AppliedMigration};
use crate::dependency::Version;
use crate::model::Model;
use crate::store::change_log::{Change, Changes};
use crate::store::error::StoreError;
use crate::store::feed::{Batch, FeedEvent, Position, Subscriber, Subscribers};
use crate::store::guard::Guard;
use crate::store::sqlite::change_log;

/// The first copy of the index's header, without the lock bytes that follow.
type Header = [u8; 48];

/// The maximum number of records to read at once. Each takes about two kilobytes while it is read,
/// and callers wait for all of them: beyond this number, forgetting everything is cheaper.
const MOST_AT_ONCE: usize = 20_000;

/// Reads one database file for all subscribers.
#[derive(Debug)]
pub(in crate::store) struct Feed {
    model: Arc<Model>,
    subscribers: Arc<Subscribers>,
    index: Index,
    /// The migrations that had been applied when this began.
    history: Vec<AppliedMigration>,
    /// How far versions can be trusted, in the state of the schema up to which the log was read.
    guard: ArcSwap<Guard>,
    /// The header from before the log was last read; None while nothing is known.
    seen: RwLock<Option<Header>>,
    /// The position up to which the log was read. Locked while reading, so that batches are applied
    /// in order.
    applied: Mutex<Applied>,
    /// The number of reads of the log that have begun.
    begun: AtomicU64,
    /// The number of the last successful one.
    ended: AtomicU64,
    /// Whether the last one failed.
    failed: AtomicBool,
}

/// The position up to which the log was read, and what shows whether it is still the same log.
#[derive(Debug, PartialEq, Eq)]
struct Applied {
    newest: Version,
    /// The newest record itself. If the file was put back to an older state, this position will
    /// soon have a different record.
    record: Option<String>,
    /// Statements that create or drop tables write no log.
    schema: i64,
}

impl Applied {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = change_log::newest(connection)?;
        let schema = guard::schema_version(connection)?;
        Ok(Self { newest, record: change_log::record(connection, newest)?, schema })
    }

    /// Whether the log after this position contains everything that has happened since. The log is
    /// pruned from its beginning: if the last record that was read still exists, so do those after
    /// it. If none was read, it is unknown whether there was one.
    fn leads_to(&self, now: &Self, connection: &Connection) -> rusqlite::Result<bool> {
        let is_there = match &self.record {
            Some(record) => change_log::record(connection, self.newest)?.as_ref() == Some(record),
            None => now.record.is_none(),
        };
        Ok(is_there && self.schema == now.schema)
    }
}

/// A point in time, as the number of reads of the log that had begun.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Moment(u64);

impl Feed {
    /// Follows the database from now on. Existing records are older than every answer.
    pub(in crate::store) fn start(
        connection: &Connection,
        model: Arc<Model>,
        subscribers: Arc<Subscribers>,
    ) -> Result<Self, StoreError> {
        let transaction = connection.unchecked_transaction()?;
        let applied = Mutex::new(Applied::of(&transaction)?);
        let history = migrate::applied(&transaction)?;
        let guard = guard::look(&transaction, &model, &history)?;
        transaction.commit()?;
        tell(&guard, &model);
        let guard = ArcSwap::from_pointee(guard);
        let index = Index::of(connection)?;
        let (begun, ended, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
        Ok(Self {
            model,
            subscribers,
            index,
            history,
            guard,
            seen: RwLock::new(None),
            applied,
            begun,
            ended,
            failed,
        })
    }

    /// Reports to this subscriber everything after the position that this returns.
    pub(in crate::store) fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Position {
        // While this lock is held, no event is reported.
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        self.subscribers.add(subscriber);
        Position::at(applied.newest)
    }

    /// The database's model.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Whether the clock has every change that was committed before this call.
    pub(in crate::store) fn is_current(&self) -> bool {
        let Ok(header) = self.index.header() else { return false };
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        *seen == Some(header)
    }

    /// Whether the last read of the log failed, so that even our own writes may be missing.
    pub(in crate::store) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// The current moment, for [`Self::has_read_since`].
    pub(in crate::store) fn moment(&self) -> Moment {
        Moment(self.begun.load(Ordering::SeqCst))
    }

    /// Whether a read has begun after that moment and succeeded: then the clock has everything that
    /// was committed before the moment. Under constant writes by others this becomes true, but
    /// [`Self::is_current`] may not.
    pub(in crate::store) fn has_read_since(&self, moment: Moment) -> bool {
        self.ended.load(Ordering::SeqCst) > moment.0
    }

    /// Reads and applies the new records. `connection` must not be in a transaction that began
    /// earlier.
    ///
    /// # Errors
    /// The log cannot be read; [`Self::is_current`] then stays false.
    pub(in crate::store) fn catch_up(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = self.read_on(connection, &mut applied);
        self.failed.store(result.is_err(), Ordering::SeqCst);
        if result.is_ok() {
            self.ended.store(number, Ordering::SeqCst);
        }
        result
    }

    fn read_on(&self, connection: &Connection, applied: &mut Applied) -> Result<(), StoreError> {
        // Read the header before the log, so that a commit in between shows as a difference next
        // time.
        let header = self.index.header()?;
        let transaction = connection.unchecked_transaction()?;
        let now = Applied::of(&transaction)?;
        let changes = match applied.leads_to(&now, &transaction)? {
            true => change_log::since(&transaction, &self.model, applied.newest, MOST_AT_ONCE)?,
            false => {
                // Update this before any answer is given according to the clock's new state.
                let guard = guard::look(&transaction, &self.model, &self.history)?;
                tell(&guard, &self.model);
                self.guard.store(Arc::new(guard));
                None
            }
        };
        transaction.commit()?;
        match changes.filter(is_of_rows) {
            Some(changes) => {
                self.publish(Batch { position: Position::at(now.newest), changes, own: false })
            }
            None => {
                // The log was pruned past our position, the file was put back to an older state,
                // the schema has changed, or somebody has rewritten a large table. In a database
                // without any writes so far, this is not worth a warning.
                if applied.record.is_some() {
                    tracing::warn!(
                        "the change log has a gap, or more new records than are read at once; all cached answers are dropped"
                    );
                }
                self.subscribers.tell(&FeedEvent::Forgotten);
            }
        }
        *applied = now;
        self.has_seen(header);
        Ok(())
    }

    /// The migrations that had been applied when this began.
    pub(in crate::store) fn history(&self) -> &[AppliedMigration] {
        &self.history
    }

    /// How far versions can be trusted, as far as is known.
    pub(in crate::store) fn guard(&self) -> Arc<Guard> {
        self.guard.load_full()
    }

    /// How far versions can be trusted in the snapshot that this connection has open.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(in crate::store) fn guard_of(
        &self,
        connection: &Connection,
    ) -> Result<Arc<Guard>, StoreError> {
        let guard = self.guard();
        if guard.schema() == guard::schema_version(connection)? {
            return Ok(guard);
        }
        // The schema has just changed; the next read of the log will notice, too.
        Ok(Arc::new(guard::look(connection, &self.model, &self.history)?))
    }

    /// The changes that `connection`, whose transaction holds the write lock, is about to commit:
    /// reading them now is cheaper than later. None if others have committed what the clock does
    /// not have yet; then call [`Self::catch_up`] after the commit.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(in crate::store) fn own_changes(
        &self,
        connection: &Connection,
    ) -> Result<Option<OwnChanges>, StoreError> {
        // Nobody else can commit now, so this is the state on which the transaction builds.
        let before = self.index.header()?;
        if *self.seen.read().unwrap_or_else(PoisonError::into_inner) != Some(before) {
            return Ok(None);
        }
        let from = self.applied.lock().unwrap_or_else(PoisonError::into_inner).newest;
        let Some(changes) = change_log::since(connection, &self.model, from, MOST_AT_ONCE)? else {
            return Ok(None);
        };
        if !is_of_rows(&changes) {
            return Ok(None);
        }
        Ok(Some(OwnChanges { before, from, now: Applied::of(connection)?, changes }))
    }

    /// Applies what was committed. False if somebody else was faster, in which case
    /// [`Self::catch_up`] must be called.
    pub(in crate::store) fn apply(&self, own: OwnChanges) -> bool {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if applied.newest != own.from {
            return false;
        }
        self.publish(Batch {
            position: Position::at(own.now.newest),
            changes: own.changes,
            own: true,
        });
        let wrote = own.now.newest > own.from;
        *applied = own.now;
        if let Ok(after) = self.index.header()
            && is_ours_alone(wrote, &own.before, &after)
        {
            self.has_seen(after);
        }
        true
    }

    /// Call this with `applied` locked, before the header counts as seen.
    fn publish(&self, batch: Batch) {
        if !batch.changes.is_empty() {
            self.subscribers.tell(&FeedEvent::Batch(batch));
        }
    }

    fn has_seen(&self, header: Header) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(header);
    }
}

/// Whether every change names its row.
fn is_of_rows(changes: &Changes) -> bool {
    !changes.rows.iter().any(Change::is_of_everything)
}

/// Warns about unreliable versions.
fn tell(guard: &Guard, model: &Model) {
    for reason in guard.reasons(model) {
        tracing::error!("answers have no ETag and are not cached: {reason}");
    }
}

/// The changes of one of our transactions.
pub(in crate::store) struct OwnChanges {
    before: Header,
    from: Version,
    now: Applied,
    changes: Changes,
}

/// Whether `after` is the state left by our commit and not by a later one. Each commit that writes
/// a page increments the count by one; ours certainly did if it wrote to the log. A transaction
/// that writes nothing (a refused mutation, an empty patch) does not increment it, so an increment
/// seen then is somebody else's. If a page was written but no record, the only cost is another read
/// of the log.
fn is_ours_alone(wrote_to_log: bool, before: &Header, after: &Header) -> bool {
    wrote_to_log && commits(after).wrapping_sub(commits(before)) == 1
}

/// The header's count of commits (`iChange`), in the byte order of the machine.
fn commits(header: &Header) -> u32 {
    u32::from_ne_bytes([header[8], header[9], header[10], header[11]])
}

/// The file through which SQLite shares the index.
#[derive(Debug)]
struct Index {
    file: &'static File,
}

impl Index {
    /// Opens the index of the database that this connection has open in WAL mode. SQLite follows
    /// symbolic links and puts the index next to the file that it finds, so ask SQLite for the
    /// path.
    fn of(connection: &Connection) -> Result<Self, StoreError> {
        let path = connection
            .path()
            .ok_or_else(|| StoreError::Corrupt("the database is not a file".to_owned()))?;
        let file = File::open(PathBuf::from(format!("{path}-shm"))).map_err(StoreError::Index)?;
        // Never closed, because closing any descriptor of a file releases all POSIX locks that the
        // process holds on it, including SQLite's (fcntl(2)). This leaks one descriptor each time a
        // store is opened.
        Ok(Self { file: Box::leak(Box::new(file)) })
    }

    #[cfg(unix)]
    fn header(&self) -> Result<Header, StoreError> {
        use std::os::unix::fs::FileExt;
        let mut header = [0; 48];
        self.file.read_exact_at(&mut header, 0).map_err(StoreError::Index)?;
        Ok(header)
    }

    /// Without positional reads, the clock is never known to be current, so nothing is answered
    /// from the cache.
    #[cfg(not(unix))]
    fn header(&self) -> Result<Header, StoreError> {
        let _ = self.file;
        Err(StoreError::Index(std::io::ErrorKind::Unsupported.into()))
    }
}

#[cfg(test)]
mod tests;
