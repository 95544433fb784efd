//! What the commands do with a database beside serving it: migrate, check, repair, read what others
//! made. Everything here blocks.

use std::path::Path;

use super::documents::StoredDocument;
use super::error::AdminError;
use super::schema::migrations::{
    Applied, Dialect, MigrateError, Migration, Migrations, Problem, Repaired, Status,
};
use super::schema::pull::Pulled;
use super::{postgres, sqlite};
use crate::config::Database;
use crate::model::{ColumnId, Diagnostic, Entity, Model, Value};

/// A connection to a database whose tables are to be looked at, or changed.
pub enum Admin {
    /// To a file.
    Sqlite(sqlite::Admin),
    /// To a server.
    Postgres(Box<postgres::Admin>),
}

/// The driver's own answer.
macro_rules! ask {
    ($of:expr, $admin:ident => $answer:expr) => {
        match $of {
            Admin::Sqlite($admin) => $answer,
            Admin::Postgres($admin) => $answer,
        }
    };
}

impl Admin {
    /// Connects; makes an empty database where there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn open(database: &Database) -> Result<Self, AdminError> {
        Ok(match database {
            Database::Sqlite(path) => Self::Sqlite(sqlite::Admin::open(path)?),
            Database::Postgres(url) => Self::Postgres(Box::new(postgres::Admin::open(url)?)),
        })
    }

    /// Connects, if there is such a database: looking at one does not create it.
    ///
    /// # Errors
    /// The database's; there is no such database on the server.
    pub fn open_existing(database: &Database) -> Result<Option<Self>, AdminError> {
        match database {
            Database::Sqlite(path) if !path.exists() => Ok(None),
            database => Self::open(database).map(Some),
        }
    }

    /// How the files and this database stand to each other.
    ///
    /// # Errors
    /// The database's.
    pub fn status(&self, migrations: &Migrations) -> Result<Status, AdminError> {
        ask!(self, admin => Ok(admin.status(migrations)?))
    }

    /// Applies what is pending, in order. Any number of programs may do this at once.
    ///
    /// # Errors
    /// The mistakes of a file, which leaves no trace then; those before it stay applied.
    pub fn migrate(&mut self, migrations: &Migrations) -> Result<Vec<Applied>, MigrateError> {
        ask!(self, admin => admin.migrate(migrations))
    }

    /// What the database lacks for this model.
    ///
    /// # Errors
    /// The database's.
    pub fn check(&self, model: &Model) -> Result<Vec<Problem>, AdminError> {
        ask!(self, admin => Ok(admin.check(model)?))
    }

    /// What its owner should know of what others have made in it, one sentence each.
    ///
    /// # Errors
    /// The database's.
    pub fn advice(&self, model: &Model) -> Result<Vec<String>, AdminError> {
        ask!(self, admin => Ok(admin.advice(model)?))
    }

    /// Whether it has an epoch, which is part of every validator.
    ///
    /// # Errors
    /// The database's.
    pub fn has_epoch(&self) -> Result<bool, AdminError> {
        ask!(self, admin => Ok(admin.has_epoch()?))
    }

    /// The names of its tables, without the database's and freshql's own.
    ///
    /// # Errors
    /// The database's.
    pub fn tables(&self) -> Result<Vec<String>, AdminError> {
        ask!(self, admin => Ok(admin.tables()?))
    }

    /// Puts back what others have taken from it, as these migrations build it.
    ///
    /// # Errors
    /// The mistakes of the migrations, or the database's; then nothing was changed.
    pub fn repair(
        &mut self,
        model: &Model,
        migrations: &Migrations,
    ) -> Result<Repaired, MigrateError> {
        ask!(self, admin => admin.repair(model, migrations))
    }

    /// Where somebody has written numbers into the change log that no clock gives: deletes such
    /// records, and gives the rows new versions. Gives the numbers of both.
    ///
    /// # Errors
    /// The database's.
    pub fn heal(&mut self, model: &Model) -> Result<(usize, usize), AdminError> {
        ask!(self, admin => Ok(admin.heal(model)?))
    }

    /// Makes the triggers of tables that are somebody else's; gives their names.
    ///
    /// # Errors
    /// The database's.
    pub fn watch(&mut self, model: &Model) -> Result<Vec<String>, AdminError> {
        ask!(self, admin => Ok(admin.watch(model)?))
    }

    /// Makes all that this model needs, in an empty database.
    ///
    /// # Errors
    /// The database's.
    pub fn create(&mut self, model: &Model) -> Result<(), AdminError> {
        ask!(self, admin => Ok(admin.create(model)?))
    }

    /// Runs a file of statements that no migration is, as a whole.
    ///
    /// # Errors
    /// The file's mistake; nothing was written then.
    pub fn load(&mut self, file: &Migration) -> Result<(), Diagnostic> {
        ask!(self, admin => admin.load(file))
    }

    /// Puts all of the database into its file, so that a copy of that is whole.
    ///
    /// # Errors
    /// The database's.
    pub fn settle(&self) -> Result<(), AdminError> {
        ask!(self, admin => Ok(admin.settle()?))
    }

    /// The keys of some rows of an entity.
    ///
    /// # Errors
    /// The database's.
    pub fn keys(&self, entity: &Entity, most: usize) -> Result<Vec<Value>, AdminError> {
        ask!(self, admin => Ok(admin.keys(entity, most)?))
    }

    /// Gives a column of a row another value, as another program would; gives the number of records
    /// that this has left in the change log. None if there is no such value, or the database does
    /// not let it be changed.
    ///
    /// # Errors
    /// The database's.
    pub fn alter_row(
        &mut self,
        entity: &Entity,
        key: &Value,
        column: ColumnId,
    ) -> Result<Option<u64>, AdminError> {
        ask!(self, admin => Ok(admin.alter_row(entity, key, column)?))
    }

    /// Replaces the rows of all tables that both databases have by those of the other, as far as
    /// they fit. Says what became of them.
    ///
    /// # Errors
    /// The database's.
    pub fn take_rows(&mut self, from: &Path) -> Result<String, AdminError> {
        ask!(self, admin => Ok(admin.take_rows(from)?))
    }
}

/// Which files are for this database.
pub fn dialect(database: &Database) -> Dialect {
    match database {
        Database::Sqlite(_) => Dialect::Sqlite,
        Database::Postgres(_) => Dialect::Postgres,
    }
}

/// Tries migrations on an empty database of their own. False where there can be none: this user may
/// make no database on the server.
///
/// # Errors
/// Their mistakes.
pub fn rehearse(database: &Database, migrations: &Migrations) -> Result<bool, MigrateError> {
    match database {
        Database::Sqlite(_) => sqlite::migrate::rehearse(migrations).map(|_| true),
        Database::Postgres(url) => Ok(postgres::migrate::rehearse(url, migrations)?.is_some()),
    }
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
    match database {
        Database::Sqlite(path) => Ok(sqlite::documents::documents(&sqlite::open_read_only(path)?)?),
        Database::Postgres(url) => Ok(postgres::documents::of(url)?),
    }
}

/// The first model of a database that others made. Looks, and changes nothing.
///
/// # Errors
/// There is no such database, or it cannot be read.
pub fn pull(database: &Database) -> Result<Pulled, AdminError> {
    match database {
        Database::Sqlite(path) if !path.exists() => Err(AdminError("there is no such file".into())),
        Database::Sqlite(path) => sqlite::pull(&sqlite::open_read_only(path)?),
        Database::Postgres(url) => postgres::pull(url),
    }
}
