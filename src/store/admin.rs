//! What the commands do with a database beside serving it: migrate, check, repair, read what others made. Everything here
//! blocks.

use std::path::Path;

use super::documents::StoredDocument;
use super::schema::migrations::{Applied, MigrateError, Migration, Migrations, Problem, Repaired, Status};
use super::schema::pull::Pulled;
use super::sqlite;
use crate::config::Database;
use crate::model::{ColumnId, Diagnostic, Entity, Model, Value};

/// The database could not be read or written, in its words.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AdminError(pub(in crate::store) Box<dyn std::error::Error + Send + Sync>);

/// A connection to a database whose tables are to be looked at, or changed.
pub enum Admin {
    /// To a file.
    Sqlite(sqlite::Admin),
}

impl Admin {
    /// Connects; makes an empty database where there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn open(database: &Database) -> Result<Self, AdminError> {
        let path = file(database)?;
        Ok(Self::Sqlite(sqlite::Admin::open(path)?))
    }

    /// Connects, if there is such a database: looking at one does not create it.
    ///
    /// # Errors
    /// The database's.
    pub fn open_existing(database: &Database) -> Result<Option<Self>, AdminError> {
        let path = file(database)?;
        if path.exists() { Self::open(database).map(Some) } else { Ok(None) }
    }

    /// How the files and this database stand to each other.
    ///
    /// # Errors
    /// The database's.
    pub fn status(&self, migrations: &Migrations) -> Result<Status, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.status(migrations)?)
    }

    /// Applies what is pending, in order. Any number of programs may do this at once.
    ///
    /// # Errors
    /// The mistakes of a file, which leaves no trace then; those before it stay applied.
    pub fn migrate(&mut self, migrations: &Migrations) -> Result<Vec<Applied>, MigrateError> {
        let Self::Sqlite(admin) = self;
        admin.migrate(migrations)
    }

    /// What the database lacks for this model.
    ///
    /// # Errors
    /// The database's.
    pub fn check(&self, model: &Model) -> Result<Vec<Problem>, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.check(model)?)
    }

    /// What its owner should know of what others have made in it, one sentence each.
    ///
    /// # Errors
    /// The database's.
    pub fn advice(&self, model: &Model) -> Result<Vec<String>, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.advice(model)?)
    }

    /// Whether it has an epoch, which is part of every validator.
    ///
    /// # Errors
    /// The database's.
    pub fn has_epoch(&self) -> Result<bool, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.has_epoch()?)
    }

    /// The names of its tables, without the database's and freshql's own.
    ///
    /// # Errors
    /// The database's.
    pub fn tables(&self) -> Result<Vec<String>, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.tables()?)
    }

    /// Puts back what others have taken from it, as these migrations build it.
    ///
    /// # Errors
    /// The mistakes of the migrations, or the database's; then nothing was changed.
    pub fn repair(&mut self, model: &Model, migrations: &Migrations) -> Result<Repaired, MigrateError> {
        let Self::Sqlite(admin) = self;
        admin.repair(model, migrations)
    }

    /// Where somebody has written numbers into the change log that no clock gives: deletes such records, and gives the rows new
    /// versions. Gives the numbers of both.
    ///
    /// # Errors
    /// The database's.
    pub fn heal(&mut self, model: &Model) -> Result<(usize, usize), AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.heal(model)?)
    }

    /// Makes the triggers of tables that are somebody else's; gives their names.
    ///
    /// # Errors
    /// The database's.
    pub fn watch(&mut self, model: &Model) -> Result<Vec<String>, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.watch(model)?)
    }

    /// Makes all that this model needs, in an empty database.
    ///
    /// # Errors
    /// The database's.
    pub fn create(&mut self, model: &Model) -> Result<(), AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.create(model)?)
    }

    /// Runs a file of statements that no migration is, as a whole.
    ///
    /// # Errors
    /// The file's mistake; nothing was written then.
    pub fn load(&mut self, file: &Migration) -> Result<(), Diagnostic> {
        let Self::Sqlite(admin) = self;
        admin.load(file)
    }

    /// Puts all of the database into its file, so that a copy of that is whole.
    ///
    /// # Errors
    /// The database's.
    pub fn settle(&self) -> Result<(), AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.settle()?)
    }

    /// The keys of some rows of an entity.
    ///
    /// # Errors
    /// The database's.
    pub fn keys(&self, entity: &Entity, most: usize) -> Result<Vec<Value>, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.keys(entity, most)?)
    }

    /// Gives a column of a row another value, as another program would; gives the number of records that this has left in the
    /// change log. None if there is no such value, or the database does not let it be changed.
    ///
    /// # Errors
    /// The database's.
    pub fn alter_row(&mut self, entity: &Entity, key: &Value, column: ColumnId) -> Result<Option<u64>, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.alter_row(entity, key, column)?)
    }

    /// Replaces the rows of all tables that both databases have by those of the other, as far as they fit. Says what became of
    /// them.
    ///
    /// # Errors
    /// The database's.
    pub fn take_rows(&mut self, from: &Path) -> Result<String, AdminError> {
        let Self::Sqlite(admin) = self;
        Ok(admin.take_rows(from)?)
    }
}

/// Tries migrations on an empty database of their own.
///
/// # Errors
/// Their mistakes.
pub fn rehearse(migrations: &Migrations) -> Result<(), MigrateError> {
    sqlite::migrate::rehearse(migrations).map(drop)
}

/// Copies a whole file. False if it cannot be read.
///
/// # Errors
/// The copy cannot be written.
pub fn copy(from: &Path, to: &Path) -> Result<bool, AdminError> {
    Ok(sqlite::rows::copy(from, to)?)
}

/// All documents of a database, by id. Looks, and changes nothing.
///
/// # Errors
/// There is no such database, or it cannot be read.
pub fn documents(database: &Database) -> Result<Vec<StoredDocument>, AdminError> {
    let path = file(database)?;
    Ok(sqlite::documents::documents(&sqlite::open_read_only(path)?)?)
}

/// The first model of a database that others made. Looks, and changes nothing.
///
/// # Errors
/// There is no such database, or it cannot be read.
pub fn pull(database: &Database) -> Result<Pulled, AdminError> {
    let path = file(database)?;
    if !path.exists() {
        return Err(AdminError("there is no such file".into()));
    }
    sqlite::pull(&sqlite::open_read_only(path)?)
}

fn file(database: &Database) -> Result<&Path, AdminError> {
    match database {
        Database::Sqlite(path) => Ok(path),
        Database::Postgres(_) => Err(AdminError("this command does not work with PostgreSQL yet".into())),
    }
}
