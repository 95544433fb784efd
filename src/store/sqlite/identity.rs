//! Which files the connections have open, and whether these are still the files at their paths. A
//! file that is moved, replaced or deleted stays open; whatever is written to it then is in no file
//! that anybody can find.
//!
//! The paths are only inspected with stat, never opened: closing any descriptor of a file releases
//! all POSIX locks that the process holds on it, including SQLite's (fcntl(2)).

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::store::error::StoreError;

/// How long a check of the paths remains valid for reads. A check takes three stats, about 2 µs in
/// all; a 304 takes 9 µs.
const HOLDS: Duration = Duration::from_millis(1);
/// How long the last checkpoint waits for readers of other programs.
const LAST_CHECKPOINT: Duration = Duration::from_secs(1);

/// The files of a database, as they were when it was opened.
#[derive(Debug)]
pub(in crate::store) struct Identity {
    database: Known,
    wal: Known,
    shm: Known,
    opened: Instant,
    /// When the paths were last found unchanged, in microseconds since `opened`.
    looked_at: AtomicU64,
    /// Set when they have changed. It stays set even if the files come back: somebody may have
    /// opened them in the meantime.
    is_lost: AtomicBool,
}

/// What happened to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Moved {
    /// There is nothing at the database's path.
    Deleted,
    /// There is another file at the database's path.
    Replaced,
    /// The database is there, but its write-ahead log or the log's index is not.
    Robbed,
}

impl fmt::Display for Moved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deleted => "the database file has been deleted or moved away",
            Self::Replaced => "the database file has been replaced by another one",
            Self::Robbed => "the database's -wal or -shm file has been deleted or replaced",
        })
    }
}

impl Identity {
    /// The files that this connection has open; it must have read something already. `path` is the
    /// configured path; SQLite decides where the other two are.
    ///
    /// # Errors
    /// They do not all exist.
    pub(in crate::store) fn of(path: &Path, connection: &Connection) -> Result<Self, StoreError> {
        let real = connection
            .path()
            .ok_or_else(|| StoreError::Corrupt("the database is not a file".to_owned()))?;
        let known = |path: PathBuf| {
            let file = number(&path);
            file.map(|file| Known { path, file })
                .ok_or_else(|| StoreError::Lost(Moved::Robbed.to_string()))
        };
        Ok(Self {
            database: known(path.to_owned())?,
            wal: known(PathBuf::from(format!("{real}-wal")))?,
            shm: known(PathBuf::from(format!("{real}-shm")))?,
            opened: Instant::now(),
            looked_at: AtomicU64::new(0),
            is_lost: AtomicBool::new(false),
        })
    }

    /// Checks that what is written now is in the file at the path.
    ///
    /// # Errors
    /// It is not, or was not at some time.
    pub(in crate::store) fn check(&self) -> Result<(), Moved> {
        let looked_at = self.now();
        let found = match (self.database.is_there(), self.wal.is_there(), self.shm.is_there()) {
            (Some(true), Some(true), Some(true)) => Ok(()),
            (None, ..) => Err(Moved::Deleted),
            (Some(false), ..) => Err(Moved::Replaced),
            _ => Err(Moved::Robbed),
        };
        match found {
            Ok(()) => self.looked_at.store(looked_at, Ordering::Relaxed),
            Err(_) => self.is_lost.store(true, Ordering::Relaxed),
        }
        found
    }

    /// Whether the files are in place, or were a millisecond ago.
    pub(in crate::store) fn holds(&self) -> bool {
        if self.is_lost.load(Ordering::Relaxed) {
            return false;
        }
        let holds_until = self.looked_at.load(Ordering::Relaxed).saturating_add(micros(HOLDS));
        self.now() < holds_until || self.check().is_ok()
    }

    /// [`Self::holds`], as an error.
    ///
    /// # Errors
    /// The files are not in place.
    pub(in crate::store) fn ensure(&self) -> Result<(), StoreError> {
        if self.holds() {
            return Ok(());
        }
        let why = self
            .check()
            .err()
            .map_or_else(|| "the database's files have moved".to_owned(), |why| why.to_string());
        Err(StoreError::Lost(why))
    }

    fn now(&self) -> u64 {
        micros(self.opened.elapsed())
    }

    /// Call this for the last connection before it is closed. SQLite then writes the log into the
    /// database and deletes it; if the files have moved, this must not affect files of somebody
    /// else.
    ///
    /// # Errors
    /// The log could not be written into the database.
    pub(in crate::store) fn leave(&self, connection: &Connection) -> Result<(), StoreError> {
        connection.busy_timeout(LAST_CHECKPOINT)?;
        match self.check() {
            // Leave everything in the database file itself, even if another program keeps the log
            // open.
            Ok(()) => checkpoint(connection, "TRUNCATE"),
            Err(Moved::Robbed) => {
                let is_ours_alone =
                    self.wal.is_there().is_none() && self.shm.is_there() != Some(false);
                if is_ours_alone {
                    // Otherwise acknowledged writes would be lost with the log.
                    return checkpoint(connection, "TRUNCATE");
                }
                // Another program has started its own log, or continues with this one: it must find
                // the database unchanged.
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
                Ok(())
            }
            Err(Moved::Deleted | Moved::Replaced) => {
                // The log belongs to the file that was moved away. Next to another file, it would
                // be applied to that file.
                let written = checkpoint(connection, "TRUNCATE");
                for file in
                    [&self.wal, &self.shm].into_iter().filter(|file| file.is_there() == Some(true))
                {
                    std::fs::remove_file(&file.path).map_err(StoreError::Index)?;
                }
                written
            }
        }
    }
}

fn checkpoint(connection: &Connection, mode: &str) -> Result<(), StoreError> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    match connection.query_row(&sql, [], |row| row.get::<_, bool>(0))? {
        false => Ok(()),
        true => Err(StoreError::Overloaded),
    }
}

/// A path, and the file that was there: its device and inode.
#[derive(Debug)]
struct Known {
    path: PathBuf,
    file: (u64, u64),
}

impl Known {
    /// None if nothing is there; otherwise whether it is the same file.
    fn is_there(&self) -> Option<bool> {
        number(&self.path).map(|now| self.file == now)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Identifies a file as long as it is open; None if there is none.
#[cfg(unix)]
pub(in crate::store) fn number(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// On other systems an open file can be neither moved nor deleted.
#[cfg(not(unix))]
pub(in crate::store) fn number(path: &Path) -> Option<(u64, u64)> {
    path.exists().then_some((0, 0))
}
