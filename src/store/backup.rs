//! Copies of a database as a file, and the database from one: what a driver of files can do. Servers
//! have their own tools. Everything here blocks.

use std::path::{Path, PathBuf};

use super::error::AdminError;
use super::schema::migrations::{Migrations, Status};
use super::sqlite::{backup, migrate};
use crate::config::Database;

pub use super::sqlite::backup::BackupError;

/// Writes a copy of a database to a file; one that is there is only replaced if `replace` says so.
/// The database may be in use; the copy is of one moment.
///
/// # Errors
/// There is no copy; a file that was there is as it was.
pub fn backup(database: &Database, file: &Path, replace: bool) -> Result<(), BackupError> {
    backup::backup(path(database)?, file, replace)
}

/// A database that nobody else has open, and nobody can open as long as this lives.
pub struct Held(backup::Held);

/// A copy of a backup, to be put into the place of the database.
pub struct Copy(backup::Copy);

impl Held {
    /// Takes hold of a database, if there is one.
    ///
    /// # Errors
    /// Somebody has it open.
    pub fn take(database: &Database) -> Result<Self, BackupError> {
        Ok(Self(backup::Held::take(path(database)?)?))
    }

    /// A whole copy of a backup.
    ///
    /// # Errors
    /// It is no intact database of freshql.
    pub fn copy_of(&self, file: &Path) -> Result<Copy, BackupError> {
        Ok(Copy(self.0.copy_of(file)?))
    }

    /// Puts the copy into the place of the database. Returns where that is kept, if there was one.
    ///
    /// # Errors
    /// The database is as it was.
    pub fn replace_by(self, copy: Copy) -> Result<Option<PathBuf>, BackupError> {
        self.0.replace_by(copy.0)
    }
}

impl Copy {
    /// How the files and this copy stand to each other.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn status(&self, migrations: &Migrations) -> Result<Status, AdminError> {
        Ok(migrate::status(&self.0.open()?, migrations)?)
    }
}

fn path(database: &Database) -> Result<&Path, BackupError> {
    match database {
        Database::Sqlite(path) => Ok(path),
        Database::Postgres(_) => Err(BackupError::OnServer(database.to_string())),
    }
}
