//! Feeds the clock from the change log, and tells whether it has everything that is committed.
//!
//! Whether somebody, in this process or another, has committed since the log was last read is told by the header of the
//! write-ahead log's index (`-shm`, <https://sqlite.org/walformat.html#the_wal_index_header>): every commit changes it.
//! Reading its 48 bytes costs 0.3 µs, `PRAGMA data_version`, which tells the same, 0.8 µs; a cached answer has 9 µs in all.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rusqlite::Connection;

use super::change_log::{self, Change};
use super::error::StoreError;
use crate::clock::Clock;
use crate::model::Model;
use crate::touch::Version;

/// The first copy of the index's header, without the lock bytes that follow.
type Header = [u8; 48];

/// Feeds one clock from one database.
#[derive(Debug)]
pub(super) struct Feed {
    model: Arc<Model>,
    clock: Arc<Clock>,
    index: Index,
    /// The header before the log was last read; None while nothing is known.
    seen: RwLock<Option<Header>>,
    /// Up to where the log was read. Held while it is read on, so that batches are applied in order.
    applied: Mutex<Version>,
}

impl Feed {
    /// Follows the database from now on: what is in the log already is older than every answer.
    pub(super) fn start(
        path: &Path,
        connection: &Connection,
        model: Arc<Model>,
        clock: Arc<Clock>,
    ) -> Result<Self, StoreError> {
        let applied = Mutex::new(change_log::newest(connection)?);
        let index = Index::of(path)?;
        Ok(Self { model, clock, index, seen: RwLock::new(None), applied })
    }

    /// Whether the clock has every change that was committed before this call.
    pub(super) fn is_current(&self) -> bool {
        let Ok(header) = self.index.header() else { return false };
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        *seen == Some(header)
    }

    /// Reads the log on and applies it. `connection` must not be in a transaction.
    ///
    /// # Errors
    /// The log cannot be read; then [`Self::is_current`] stays false.
    pub(super) fn catch_up(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the log is read, so that a commit in between shows as a difference next time.
        let header = self.index.header()?;
        let transaction = connection.unchecked_transaction()?;
        let newest = change_log::newest(&transaction)?;
        let oldest = change_log::oldest(&transaction)?;
        let has_gap = newest < *applied || oldest.0 > applied.0 + 1;
        let changes = if has_gap { Vec::new() } else { change_log::since(&transaction, &self.model, *applied)? };
        transaction.commit()?;
        if has_gap {
            // The log was pruned past us, or the file was put back to an older state.
            tracing::warn!("the change log does not reach back to what was read last; all cached answers are dropped");
            self.clock.forget();
        } else if !changes.is_empty() {
            self.clock.apply(changes.iter().flat_map(Change::marks));
        }
        *applied = newest;
        self.has_seen(header);
        Ok(())
    }

    /// What `connection`, whose transaction holds the write lock, is about to commit: cheaper to read now than later. None
    /// if others have committed what the clock does not have yet; then [`Self::catch_up`] is to be called after the commit.
    ///
    /// # Errors
    /// The log cannot be read.
    pub(super) fn own_changes(&self, connection: &Connection) -> Result<Option<OwnChanges>, StoreError> {
        // Nobody else can commit now, so this is the state on which the transaction builds.
        let before = self.index.header()?;
        if *self.seen.read().unwrap_or_else(PoisonError::into_inner) != Some(before) {
            return Ok(None);
        }
        let from = *self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = change_log::since(connection, &self.model, from)?;
        Ok(Some(OwnChanges { before, from, newest: change_log::newest(connection)?, changes }))
    }

    /// Applies what was committed. False if [`Self::catch_up`] is to be called: somebody else has been faster.
    pub(super) fn apply(&self, own: &OwnChanges) -> bool {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        if *applied != own.from {
            return false;
        }
        if !own.changes.is_empty() {
            self.clock.apply(own.changes.iter().flat_map(Change::marks));
        }
        *applied = own.newest;
        // Each commit counts one: this is the state after ours only if there was no other since.
        if let Ok(after) = self.index.header()
            && commits(&after).wrapping_sub(commits(&own.before)) <= 1
        {
            self.has_seen(after);
        }
        true
    }

    fn has_seen(&self, header: Header) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(header);
    }
}

/// What a transaction of ours has changed.
pub(super) struct OwnChanges {
    before: Header,
    from: Version,
    newest: Version,
    changes: Vec<Change>,
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
    /// Opens the index of a database in WAL mode that is open already.
    fn of(database: &Path) -> Result<Self, StoreError> {
        let mut path = database.as_os_str().to_owned();
        path.push("-shm");
        let file = File::open(PathBuf::from(path)).map_err(StoreError::Index)?;
        // Never closed: closing any descriptor of a file gives up all POSIX locks that the process has on it, SQLite's too
        // (fcntl(2)). It is one for each time that a store is opened.
        Ok(Self { file: Box::leak(Box::new(file)) })
    }

    #[cfg(unix)]
    fn header(&self) -> Result<Header, StoreError> {
        use std::os::unix::fs::FileExt;
        let mut header = [0; 48];
        self.file.read_exact_at(&mut header, 0).map_err(StoreError::Index)?;
        Ok(header)
    }

    /// Without positional reads the clock is never known to be current, and nothing is answered from the cache.
    #[cfg(not(unix))]
    fn header(&self) -> Result<Header, StoreError> {
        let _ = self.file;
        Err(StoreError::Index(std::io::ErrorKind::Unsupported.into()))
    }
}
