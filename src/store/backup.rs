//! Backups of a database to a file, and restoring it from one, where the driver's databases are
//! files. Servers have their own tools. Everything here blocks.

use std::path::{Path, PathBuf};

use super::error::AdminError;
use super::schema::migrations::{Migrations, Status};
use super::sqlite::{backup, migrate};
use crate::config::Database;

pub(crate) use super::sqlite::backup::BackupError;

/// Writes a copy of a database to a file; an existing file is replaced only with `replace`. The
/// database may be in use; the copy shows one moment.
///
/// # Errors
/// There is no copy; an existing file is unchanged.
pub(crate) fn backup(database: &Database, file: &Path, replace: bool) -> Result<(), BackupError> {
    backup::backup(path(database)?, file, replace)
}

/// A database that nobody else has open, and that nobody can open while this lives.
pub(crate) struct Held(backup::Held);

/// A copy of a backup, ready to take the database's place.
pub(crate) struct Copy(backup::Copy);

impl Held {
    /// Acquires exclusive access to a database, if there is one.
    ///
    /// # Errors
    /// Somebody has it open.
    pub(crate) fn take(database: &Database) -> Result<Self, BackupError> {
        Ok(Self(backup::Held::take(path(database)?)?))
    }

    /// A checked copy of a backup.
    ///
    /// # Errors
    /// It is not an intact freshql database.
    pub(crate) fn copy_of(&self, file: &Path) -> Result<Copy, BackupError> {
        Ok(Copy(self.0.copy_of(file)?))
    }

    /// Replaces the database with the copy. Returns where the previous database is kept, if there
    /// was one.
    ///
    /// # Errors
    /// The database is unchanged.
    pub(crate) fn replace_by(self, copy: Copy) -> Result<Option<PathBuf>, BackupError> {
        self.0.replace_by(copy.0)
    }
}

impl Copy {
    /// How the migrations compare with this copy.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn status(&self, migrations: &Migrations) -> Result<Status, AdminError> {
        Ok(migrate::status(&self.0.open()?, migrations)?)
    }
}

fn path(database: &Database) -> Result<&Path, BackupError> {
    match database {
        Database::Sqlite(path) => Ok(path),
        Database::Postgres(_) => Err(BackupError::OnServer(database.to_string())),
    }
}
