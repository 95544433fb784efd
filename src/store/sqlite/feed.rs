//! SQLite's feed: reads the change log on, and tells whether it has everything that is committed.
//! What it promises to its subscribers is in [`crate::store::feed`].
//!
//! Whether somebody, in this process or another, has committed since the log was last read is told
//! by the header of the write-ahead log's index (`-shm`,
//! <https://sqlite.org/walformat.html#the_wal_index_header>): every commit changes it. Reading its
//! 48 bytes costs 0.3 µs, `PRAGMA data_version`, which tells the same, 0.8 µs; a cached answer has
//! 9 µs in all.

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

/// Records that are read on at once, ours or others'. Each takes some two kilobytes while it is
/// read, and whoever asks waits for all of them: forgetting everything costs less than reading
/// more.
const MOST_AT_ONCE: usize = 20_000;

/// Reads one database file for all subscribers.
#[derive(Debug)]
pub(in crate::store) struct Feed {
    model: Arc<Model>,
    subscribers: Arc<Subscribers>,
    index: Index,
    /// What had been applied when this began.
    history: Vec<AppliedMigration>,
    /// What versions tell, in the state of the schema up to which the log was read.
    guard: ArcSwap<Guard>,
    /// The header before the log was last read; None while nothing is known.
    seen: RwLock<Option<Header>>,
    /// Up to where the log was read. Held while it is read on, so that batches are applied in
    /// order.
    applied: Mutex<Applied>,
    /// Readings of the log so far.
    begun: AtomicU64,
    /// The last of them that has ended well.
    ended: AtomicU64,
    /// Whether the last of them has failed.
    failed: AtomicBool,
}

/// Where the log was read up to, and what tells whether it is still the same log.
#[derive(Debug, PartialEq, Eq)]
struct Applied {
    newest: Version,
    /// The newest record itself. A file that was put back to an older state has, before long,
    /// another one in its place.
    record: Option<String>,
    /// What makes or drops tables writes no log.
    schema: i64,
}

impl Applied {
    fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let newest = change_log::newest(connection)?;
        let schema = guard::schema_version(connection)?;
        Ok(Self { newest, record: change_log::record(connection, newest)?, schema })
    }

    /// Whether all that has happened since stands in the log behind what was read. The log is
    /// pruned from its beginning: if the last record that was read is still there, so are those
    /// behind it. While none was read, nothing tells whether there was one.
    fn leads_to(&self, now: &Self, connection: &Connection) -> rusqlite::Result<bool> {
        let is_there = match &self.record {
            Some(record) => change_log::record(connection, self.newest)?.as_ref() == Some(record),
            None => now.record.is_none(),
        };
        Ok(is_there && self.schema == now.schema)
    }
}

/// A moment: of the readings of the log, some had begun.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct Moment(u64);

impl Feed {
    /// Follows the database from now on: what is in the log already is older than every answer.
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

    /// Tells this subscriber of all that comes behind the position that this returns.
    pub(in crate::store) fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Position {
        // While this is held, nobody is told anything.
        let applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        self.subscribers.add(subscriber);
        Position::at(applied.newest)
    }

    /// The model of which the database is.
    pub(super) fn model(&self) -> &Model {
        &self.model
    }

    /// Whether the clock has every change that was committed before this call.
    pub(in crate::store) fn is_current(&self) -> bool {
        let Ok(header) = self.index.header() else { return false };
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        *seen == Some(header)
    }

    /// Whether the last reading of the log has failed, so that even writes of our own may be
    /// missing.
    pub(in crate::store) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// This moment, for [`Self::has_read_since`].
    pub(in crate::store) fn moment(&self) -> Moment {
        Moment(self.begun.load(Ordering::SeqCst))
    }

    /// Whether a reading has begun after that moment, and has ended well: then the clock has all
    /// that was committed before it. While others write all the time, this comes true and
    /// [`Self::is_current`] may not.
    pub(in crate::store) fn has_read_since(&self, moment: Moment) -> bool {
        self.ended.load(Ordering::SeqCst) > moment.0
    }

    /// Reads the log on and applies it. `connection` must not be in a transaction that began
    /// earlier.
    ///
    /// # Errors
    /// The log cannot be read; then [`Self::is_current`] stays false.
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
        // Before the log is read, so that a commit in between shows as a difference next time.
        let header = self.index.header()?;
        let transaction = connection.unchecked_transaction()?;
        let now = Applied::of(&transaction)?;
        let changes = match applied.leads_to(&now, &transaction)? {
            true => change_log::since(&transaction, &self.model, applied.newest, MOST_AT_ONCE)?,
            false => {
                // Known before anything is answered by what the clock then knows.
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
                // The log was pruned past us, the file was put back to an older state, the schema
                // has changed, or somebody has rewritten a large table. In a database in which
                // nothing was written yet that is no news.
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

    /// What had been applied when this began.
    pub(in crate::store) fn history(&self) -> &[AppliedMigration] {
        &self.history
    }

    /// What versions tell, as far as is known.
    pub(in crate::store) fn guard(&self) -> Arc<Guard> {
        self.guard.load_full()
    }

    /// What versions tell in the snapshot that this connection has open.
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
        // The schema has just moved; the next reading of the log will notice, too.
        Ok(Arc::new(guard::look(connection, &self.model, &self.history)?))
    }

    /// What `connection`, whose transaction holds the write lock, is about to commit: cheaper to
    /// read now than later. None if others have committed what the clock does not have yet; then
    /// [`Self::catch_up`] is to be called after the commit.
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

    /// Applies what was committed. False if [`Self::catch_up`] is to be called: somebody else has
    /// been faster.
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

    /// To be called with `applied` held, before the header counts as seen.
    fn publish(&self, batch: Batch) {
        if !batch.changes.is_empty() {
            self.subscribers.tell(&FeedEvent::Batch(batch));
        }
    }

    fn has_seen(&self, header: Header) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(header);
    }
}

/// Whether each of them names what has changed.
fn is_of_rows(changes: &Changes) -> bool {
    !changes.rows.iter().any(Change::is_of_everything)
}

/// Warns of what is not guarded.
fn tell(guard: &Guard, model: &Model) {
    for reason in guard.reasons(model) {
        tracing::error!("answers have no ETag and are not cached: {reason}");
    }
}

/// What a transaction of ours has changed.
pub(in crate::store) struct OwnChanges {
    before: Header,
    from: Version,
    now: Applied,
    changes: Changes,
}

/// Whether `after` is the state that our commit has left, and nobody's later one. Each commit that
/// writes a page counts one; ours surely did if it wrote to the log. A transaction that writes
/// nothing (a refused mutation, an empty patch) counts none, and the one that was counted then is
/// somebody else's. Where a page was written but no record, nobody is harmed: the log is read on
/// once more.
fn is_ours_alone(wrote_to_log: bool, before: &Header, after: &Header) -> bool {
    wrote_to_log && commits(after).wrapping_sub(commits(before)) == 1
}

/// The header's count of commits (`iChange`), in the byte order of the machine.
fn commits(header: &Header) -> u32 {
    u32::from_ne_bytes([header[8], header[9], header[10], header[11]])
}

/// The file that SQLite shares the index in.
#[derive(Debug)]
struct Index {
    file: &'static File,
}

impl Index {
    /// Opens the index of the database that this connection has open, in WAL mode. SQLite follows
    /// symbolic links and puts the index beside the file that it finds, so it is asked for the
    /// name.
    fn of(connection: &Connection) -> Result<Self, StoreError> {
        let path = connection
            .path()
            .ok_or_else(|| StoreError::Corrupt("the database is no file".to_owned()))?;
        let file = File::open(PathBuf::from(format!("{path}-shm"))).map_err(StoreError::Index)?;
        // Never closed: closing any descriptor of a file gives up all POSIX locks that the process
        // has on it, SQLite's too (fcntl(2)). It is one for each time that a store is opened.
        Ok(Self { file: Box::leak(Box::new(file)) })
    }

    #[cfg(unix)]
    fn header(&self) -> Result<Header, StoreError> {
        use std::os::unix::fs::FileExt;
        let mut header = [0; 48];
        self.file.read_exact_at(&mut header, 0).map_err(StoreError::Index)?;
        Ok(header)
    }

    /// Without positional reads the clock is never known to be current, and nothing is answered
    /// from the cache.
    #[cfg(not(unix))]
    fn header(&self) -> Result<Header, StoreError> {
        let _ = self.file;
        Err(StoreError::Index(std::io::ErrorKind::Unsupported.into()))
    }
}

#[cfg(test)]
mod tests;
