//! Feeds the clock from the change log, and tells whether it has everything that is committed.
//!
//! Whether somebody, in this process or another, has committed since the log was last read is told by the header of the
//! write-ahead log's index (`-shm`, <https://sqlite.org/walformat.html#the_wal_index_header>): every commit changes it.
//! Reading its 48 bytes costs 0.3 µs, `PRAGMA data_version`, which tells the same, 0.8 µs; a cached answer has 9 µs in all.

use std::fs::File;
use std::io;
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

    /// Reads the log on and applies it. `connection` must not be in a transaction that began earlier.
    ///
    /// # Errors
    /// The log cannot be read; then [`Self::is_current`] stays false.
    pub(super) fn catch_up(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut applied = self.applied.lock().unwrap_or_else(PoisonError::into_inner);
        // Before the log is read, so that a commit in between shows as a difference next time.
        let header =
            self.index.header().map_err(|error| StoreError::Corrupt(format!("cannot read the -shm file: {error}")))?;
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
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = Some(header);
        Ok(())
    }
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
        let file = File::open(PathBuf::from(path))
            .map_err(|error| StoreError::Corrupt(format!("cannot open the -shm file: {error}")))?;
        // Never closed: closing any descriptor of a file gives up all POSIX locks that the process has on it, SQLite's too
        // (fcntl(2)). It is one for each time that a store is opened.
        Ok(Self { file: Box::leak(Box::new(file)) })
    }

    #[cfg(unix)]
    fn header(&self) -> io::Result<Header> {
        use std::os::unix::fs::FileExt;
        let mut header = [0; 48];
        self.file.read_exact_at(&mut header, 0)?;
        Ok(header)
    }

    /// Without positional reads the clock is never known to be current, and nothing is answered from the cache.
    #[cfg(not(unix))]
    fn header(&self) -> io::Result<Header> {
        let _ = self.file;
        Err(io::ErrorKind::Unsupported.into())
    }
}
