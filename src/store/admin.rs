//! What commands do with a database, other than serving it: migrate, check, repair, read a foreign
//! schema. Everything here blocks.

use super::documents::StoredDocument;
use super::error::AdminError;
use super::schema::layout::Layout;
use super::schema::migrations::{
    Applied, Dialect, MigrateError, Migration, Migrations, Problem, Repaired, Status,
};
use super::schema::pull::Pulled;
use super::{postgres, sqlite};
use crate::config::Database;
use crate::model::{ColumnId, Diagnostic, Entity, Model, Value};

/// A connection to a database whose tables are inspected or changed.
pub enum Admin {
    /// A database file.
    Sqlite(sqlite::Admin),
    /// A database server.
    Postgres(Box<postgres::Admin>),
}

/// The number of the change log's records about rows, and the newest of them. What is not about rows
/// has no name of an entity.
const WRITTEN: &str = "SELECT CAST(count(*) AS text) || '-' || CAST(coalesce(max(seq), 0) AS text)
  FROM _freshql_change WHERE entity NOT LIKE '/%'";

/// Delegates to the driver.
macro_rules! ask {
    ($of:expr, $admin:ident => $answer:expr) => {
        match $of {
            Admin::Sqlite($admin) => $answer,
            Admin::Postgres($admin) => $answer,
        }
    };
}

impl Admin {
    /// Connects; creates an empty database if there is none.
    ///
    /// # Errors
    /// The database's.
    pub fn open(database: &Database) -> Result<Self, AdminError> {
        Ok(match database {
            Database::Sqlite(path) => Self::Sqlite(sqlite::Admin::open(path)?),
            Database::Postgres(url) => Self::Postgres(Box::new(postgres::Admin::open(url)?)),
        })
    }

    /// Connects to an existing database; None if there is none, because inspecting must not create
    /// it.
    ///
    /// # Errors
    /// Those of the database.
    pub fn open_existing(database: &Database) -> Result<Option<Self>, AdminError> {
        match database {
            Database::Sqlite(path) if !path.exists() => Ok(None),
            Database::Sqlite(_) => Self::open(database).map(Some),
            Database::Postgres(url) => {
                Ok(postgres::Admin::open_existing(url)?
                    .map(|admin| Self::Postgres(Box::new(admin))))
            }
        }
    }

    /// Whether migrations can be tried on an empty database of their own, see [`rehearse`].
    ///
    /// # Errors
    /// The database's.
    pub fn can_rehearse(&self) -> Result<bool, AdminError> {
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Postgres(admin) => Ok(admin.can_rehearse()?),
        }
    }

    /// Compares the migration files with this database.
    ///
    /// # Errors
    /// The database's.
    pub fn status(&self, migrations: &Migrations) -> Result<Status, AdminError> {
        ask!(self, admin => Ok(admin.status(migrations)?))
    }

    /// Applies pending migrations, in order. Safe to run concurrently from several programs.
    ///
    /// # Errors
    /// The mistakes of a file, which is rolled back; those before it stay applied.
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

    /// What the owner should know about foreign objects in it, one sentence each.
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

    /// The names of its tables, except system tables and freshql's own.
    ///
    /// # Errors
    /// The database's.
    pub fn tables(&self) -> Result<Vec<String>, AdminError> {
        ask!(self, admin => Ok(admin.tables()?))
    }

    /// Restores what others have removed, as these migrations build it.
    ///
    /// # Errors
    /// The mistakes of the migrations, or those of the database; nothing was changed.
    pub fn repair(
        &mut self,
        model: &Model,
        migrations: &Migrations,
    ) -> Result<Repaired, MigrateError> {
        ask!(self, admin => admin.repair(model, migrations))
    }

    /// Repairs a change log into which somebody has written numbers that no clock produces: deletes
    /// such records and gives the rows new versions. Returns the number of both.
    ///
    /// # Errors
    /// The database's.
    pub fn heal(&mut self, model: &Model) -> Result<(usize, usize), AdminError> {
        ask!(self, admin => Ok(admin.heal(model)?))
    }

    /// Creates the triggers on tables that freshql does not manage; returns the tables' names.
    ///
    /// # Errors
    /// The database's.
    pub fn watch(&mut self, model: &Model) -> Result<Vec<String>, AdminError> {
        ask!(self, admin => Ok(admin.watch(model)?))
    }

    /// Creates everything that this model needs, in an empty database.
    ///
    /// # Errors
    /// The database's.
    pub fn create(&mut self, model: &Model) -> Result<(), AdminError> {
        ask!(self, admin => Ok(admin.create(model)?))
    }

    /// Runs a file of statements that is not a migration, atomically.
    ///
    /// # Errors
    /// The file's mistake; nothing was written.
    pub fn load(&mut self, file: &Migration) -> Result<(), Diagnostic> {
        ask!(self, admin => admin.load(file))
    }

    /// The keys of some rows of an entity.
    ///
    /// # Errors
    /// The database's.
    pub fn keys(&self, entity: &Entity, most: usize) -> Result<Vec<Value>, AdminError> {
        ask!(self, admin => Ok(admin.keys(entity, most)?))
    }

    /// Changes the value of a column in one row, as another program would. Returns the number of
    /// records that this added to the change log; None if there is no other valid value, or the
    /// database refuses the change.
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

    /// Stands for what has been written to the rows of a database: as long as it is the same,
    /// nothing more has been.
    ///
    /// # Errors
    /// The database's.
    pub fn written(&self) -> Result<String, AdminError> {
        ask!(self, admin => Ok(admin.written(WRITTEN)?))
    }

    /// Replaces the rows of all tables that both databases have with those of the other database,
    /// as far as they fit. Describes what happened to them. `model`: that of this database, which
    /// says which fields were renamed.
    ///
    /// # Errors
    /// The database's.
    pub fn take_rows(&mut self, from: &Database, model: &Model) -> Result<String, AdminError> {
        let layout = Layout::new(model);
        match (self, from) {
            (Self::Sqlite(admin), Database::Sqlite(path)) => Ok(admin.take_rows(path, &layout)?),
            (Self::Postgres(admin), Database::Postgres(url)) => Ok(admin.take_rows(url, &layout)?),
            _ => Err(AdminError("the rows are those of another kind of database".into())),
        }
    }
}

/// The dialect of migration files for this database.
pub fn dialect(database: &Database) -> Dialect {
    match database {
        Database::Sqlite(_) => Dialect::Sqlite,
        Database::Postgres(_) => Dialect::Postgres,
    }
}

/// Tries migrations on an empty database of their own. False if none can be created: the user may
/// lack the permission on the server.
///
/// # Errors
/// Their mistakes.
pub fn rehearse(database: &Database, migrations: &Migrations) -> Result<bool, MigrateError> {
    match database {
        Database::Sqlite(_) => sqlite::migrate::rehearse(migrations).map(|_| true),
        Database::Postgres(url) => Ok(postgres::migrate::rehearse(url, migrations)?.is_some()),
    }
}

/// All documents of a database, by id. Changes nothing.
///
/// # Errors
/// There is no such database, or it cannot be read.
pub fn documents(database: &Database) -> Result<Vec<StoredDocument>, AdminError> {
    match database {
        Database::Sqlite(path) => Ok(sqlite::documents::documents(&sqlite::open_read_only(path)?)?),
        Database::Postgres(url) => Ok(postgres::documents::of(url)?),
    }
}

/// A first model for an existing database. Changes nothing.
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
