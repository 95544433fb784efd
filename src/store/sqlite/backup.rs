//! Copies of a database file: taken while it is in use, and restored while it is not. SQLite's
//! backup API copies page by page, so keys and versions stay the same. A copy gets its name only
//! when it is complete and on disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::identity::number;
use super::{guard, migrate};

/// How long to wait for another program's lock.
const BUSY: Duration = Duration::from_secs(10);
/// How long a program may take to close the database before it counts as using it.
const CLOSING: Duration = Duration::from_secs(1);

/// Why there is no copy, or why it was not restored. In all cases nothing was changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BackupError {
    /// The file exists and must not be replaced.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The database cannot be its own backup.
    #[error("{} is the database itself", .0.display())]
    Same(PathBuf),
    /// A log that belongs to another file would be applied to the copy.
    #[error("there is a write-ahead log next to {}: a program uses that database, or has not closed it", .0.display())]
    Log(PathBuf),
    /// Two backups to one file at once.
    #[error("another backup is being written to {} at this moment", .0.display())]
    Busy(PathBuf),
    /// A server or another program has the database open.
    #[error("{} is in use by another program, such as a server that runs on it", .0.display())]
    InUse(PathBuf),
    /// It is damaged, or not a SQLite database.
    #[error("{} is not an intact database: {why}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// SQLite's message.
        why: String,
    },
    /// It has no epoch.
    #[error("{} is not a freshql database", .0.display())]
    Foreign(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        source: io::Error,
    },
    /// The database is no file.
    #[error("freshql copies files, and {0} is on a server: use pg_dump and pg_restore")]
    OnServer(String),
    /// SQLite cannot read or write.
    #[error("{}: {source}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// SQLite's message.
        source: rusqlite::Error,
    },
}

/// Writes a copy of a database to a file. The database may be in use; the copy shows one moment.
///
/// # Errors
/// There is no copy; an existing file is unchanged.
pub(crate) fn backup(database: &Path, file: &Path, replace: bool) -> Result<(), BackupError> {
    if number(file).is_some() && number(file) == number(database) {
        return Err(BackupError::Same(file.to_owned()));
    }
    if !replace && file.exists() {
        return Err(BackupError::Exists(file.to_owned()));
    }
    if with(file, "-wal").exists() {
        return Err(BackupError::Log(file.to_owned()));
    }
    Copy::of(database, file, Check::Quick, database)?.name(file)
}

/// How thoroughly a copy is checked.
#[derive(Debug, Clone, Copy)]
enum Check {
    /// Pages and rows.
    Quick,
    /// Indexes, too.
    Whole,
}

/// A copy that does not have its final name yet. Deleted when this is dropped.
pub(crate) struct Copy {
    path: PathBuf,
    /// Locked, so that nobody else writes to it.
    file: File,
}

impl Copy {
    /// Copies a database to a file next to `target`, checks it, and syncs it to disk. From its
    /// first byte on, the copy has the permissions of `like`.
    fn of(database: &Path, target: &Path, check: Check, like: &Path) -> Result<Self, BackupError> {
        let path = with(target, ".tmp");
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(target.to_owned())),
            Err(TryLockError::Error(source)) => return Err(BackupError::File { path, source }),
        }
        // Left behind by an interrupted backup.
        file.set_len(0).map_err(at(&path))?;
        fs::set_permissions(&path, permissions(like)?).map_err(at(&path))?;
        let copy = Self { path, file };
        let damaged = |why: String| BackupError::Damaged { path: database.to_owned(), why };
        let connection = copy.fill(database).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                damaged(error.to_string())
            }
            _ => BackupError::Sqlite { path: database.to_owned(), source: error },
        })?;
        let pragma = match check {
            Check::Quick => "quick_check(1)",
            Check::Whole => "integrity_check(1)",
        };
        let verdict =
            connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, String>(0));
        match verdict {
            Ok(verdict) if verdict == "ok" => {}
            Ok(verdict) => return Err(damaged(verdict)),
            Err(error) => return Err(damaged(error.to_string())),
        }
        if !matches!(migrate::epoch(&connection), Ok(Some(_))) {
            return Err(BackupError::Foreign(database.to_owned()));
        }
        connection
            .close()
            .map_err(|(_, source)| BackupError::Sqlite { path: copy.path.clone(), source })?;
        copy.file.sync_all().map_err(at(&copy.path))?;
        Ok(copy)
    }

    fn fill(&self, database: &Path) -> rusqlite::Result<Connection> {
        let source = open(database)?;
        let mut target = Connection::open(&self.path)?;
        // Nobody reads it before it is complete.
        target.pragma_update(None, "journal_mode", "OFF")?;
        target.pragma_update(None, "synchronous", "OFF")?;
        let backup = Backup::new(&source, &mut target)?;
        // In a single step, so that it shows one moment, however much is written meanwhile.
        match backup.step(-1)? {
            StepResult::Done => {}
            _ => {
                return Err(rusqlite::Error::SqliteFailure(
                    rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY),
                    None,
                ));
            }
        }
        drop(backup);
        // The schema version is part of every validator, and this API starts it over. As with row
        // versions, the current time gives a number that no previous state of this database had,
        // whatever happened to its triggers in that state.
        let schema = guard::schema_version(&source)?.saturating_add(1);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|now| i32::try_from(now.as_secs()).ok());
        target.pragma_update(None, "schema_version", schema.max(now.unwrap_or_default().into()))?;
        // A single file, which can also be opened from a read-only directory.
        target.pragma_update(None, "journal_mode", "DELETE")?;
        Ok(target)
    }

    /// Opens the copy to inspect it.
    ///
    /// # Errors
    /// Those of SQLite.
    pub(crate) fn open(&self) -> rusqlite::Result<Connection> {
        Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )
    }

    /// Gives it its final name, which may replace an existing file.
    fn name(self, target: &Path) -> Result<(), BackupError> {
        fs::rename(&self.path, target).map_err(at(target))?;
        sync_directory_of(target)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // If it has its final name, there is nothing left to delete.
        let _ = fs::remove_file(&self.path);
    }
}

/// A database that nobody else has open, and that nobody can open while this lives.
pub(crate) struct Held {
    path: PathBuf,
    /// None if there is no database, or none that SQLite can read: no server can run on it.
    connection: Option<Connection>,
}

impl Held {
    /// Acquires exclusive access to the database at this path, if there is one. The contents of a
    /// write-ahead log are written into it.
    ///
    /// # Errors
    /// Somebody has it open.
    pub(crate) fn take(path: &Path) -> Result<Self, BackupError> {
        let held = |connection| Self { path: path.to_owned(), connection };
        if !path.exists() {
            return Ok(held(None));
        }
        match lock(path) {
            Ok(connection) => Ok(held(Some(connection))),
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                    Err(BackupError::InUse(path.to_owned()))
                }
                Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Ok(held(None)),
                _ => Err(BackupError::Sqlite { path: path.to_owned(), source: error }),
            },
        }
    }

    /// A checked copy of a backup, ready to take the database's place.
    ///
    /// # Errors
    /// It is not an intact freshql database.
    pub(crate) fn copy_of(&self, file: &Path) -> Result<Copy, BackupError> {
        if number(file).is_some() && number(file) == number(&self.path) {
            return Err(BackupError::Same(file.to_owned()));
        }
        let like = if self.path.exists() { &self.path } else { file };
        Copy::of(file, &self.path, Check::Whole, like)
    }

    /// Replaces the database with the copy. Returns where the previous database is kept, if there
    /// was one. At every moment there is a complete file at the path.
    ///
    /// # Errors
    /// The database is unchanged.
    pub(crate) fn replace_by(self, copy: Copy) -> Result<Option<PathBuf>, BackupError> {
        let path = &self.path;
        let kept = match path.exists() {
            true => {
                give_to_owner_of(path, &copy.path)?;
                Some(self.keep()?)
            }
            false => None,
        };
        // They belong to the previous database.
        for rest in
            [with(path, "-wal"), with(path, "-shm")].into_iter().filter(|rest| rest.exists())
        {
            match &kept {
                Some(kept) if rest == with(path, "-wal") => fs::rename(&rest, with(kept, "-wal")),
                _ => fs::remove_file(&rest),
            }
            .map_err(at(&rest))?;
        }
        copy.name(path)?;
        drop(self.connection);
        Ok(kept)
    }

    /// Gives the database an additional name next to its own.
    fn keep(&self) -> Result<PathBuf, BackupError> {
        let numbered = (2..).map(|number| with(&self.path, &format!(".before-restore-{number}")));
        let mut names = std::iter::once(with(&self.path, ".before-restore")).chain(numbered);
        let kept = names.find(|name| !name.exists()).expect("there are numbers without end");
        // Some file systems do not support hard links.
        let linked = fs::hard_link(&self.path, &kept).or_else(|_| fs::rename(&self.path, &kept));
        linked.map_err(at(&kept))?;
        Ok(kept)
    }
}

/// Acquires all locks and writes the log into the database.
fn lock(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(CLOSING)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    connection.pragma_update(None, "journal_mode", "DELETE")?;
    connection.execute_batch("BEGIN EXCLUSIVE")?;
    // In a mode without a log, the lock is all that is needed.
    Ok(connection)
}

/// Opens a database to copy it. One with a log in a read-only directory is read as it is.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let read = |connection: Connection| {
        connection.busy_timeout(BUSY)?;
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    match Connection::open_with_flags(path, flags).and_then(read) {
        Err(error)
            if error.sqlite_error_code() == Some(ErrorCode::CannotOpen)
                && path.exists()
                && !with(path, "-wal").exists() =>
        {
            let name = utf8_percent_encode(&path.to_string_lossy(), NON_ALPHANUMERIC).to_string();
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY
                | OpenFlags::SQLITE_OPEN_URI
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            Connection::open_with_flags(format!("file:{name}?immutable=1"), flags).and_then(read)
        }
        opened => opened,
    }
}

/// The path with this suffix appended to its name.
fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> BackupError {
    move |source| BackupError::File { path: path.to_owned(), source }
}

fn permissions(path: &Path) -> Result<fs::Permissions, BackupError> {
    Ok(fs::metadata(path).map_err(at(path))?.permissions())
}

/// Gives the new file the owner of the old one.
fn give_to_owner_of(path: &Path, copy: &Path) -> Result<(), BackupError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        let owner = fs::metadata(path).map_err(at(path))?;
        let own = fs::metadata(copy).map_err(at(copy))?;
        if (owner.uid(), owner.gid()) != (own.uid(), own.gid()) {
            chown(copy, Some(owner.uid()), Some(owner.gid())).map_err(at(copy))?;
        }
    }
    Ok(())
}

/// A new name is on disk only after its directory has been synced.
fn sync_directory_of(path: &Path) -> Result<(), BackupError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    if cfg!(unix) {
        File::open(directory).and_then(|directory| directory.sync_all()).map_err(at(directory))?;
    }
    Ok(())
}
