//! Scratch databases: `freshql dev` and `freshql test` make disposable databases of the same kind
//! as the configured one. For SQLite they are files in a directory, for PostgreSQL databases on the
//! same server that are recognized by their names. Everything here blocks.

use std::path::Path;

use super::error::AdminError;
use super::schema::difference::{self, DifferenceError};
use super::schema::migrations::Migrations;
use super::{postgres, sqlite};
use crate::config::Database;
use crate::model::Model;

/// Scratch databases, identified by name.
pub enum ScratchDatabases {
    /// Files.
    Sqlite(sqlite::ScratchFiles),
    /// Databases on a server.
    Postgres(Box<postgres::ScratchDatabases>),
}

/// Calls the driver.
macro_rules! ask {
    ($of:expr, $scratch:ident => $answer:expr) => {
        match $of {
            ScratchDatabases::Sqlite($scratch) => $answer,
            ScratchDatabases::Postgres($scratch) => $answer,
        }
    };
}

impl ScratchDatabases {
    /// A project's scratch databases, which stay from one run to the next. The directory belongs to
    /// the project: it holds the files, or the id that distinguishes the project's databases from
    /// others on the server.
    ///
    /// # Errors
    /// The directory cannot be written, or the server does not answer.
    pub fn of_project(database: &Database, folder: &Path) -> Result<Self, AdminError> {
        Ok(match database {
            Database::Sqlite(_) => Self::Sqlite(sqlite::ScratchFiles::of_project(folder)?),
            Database::Postgres(url) => {
                Self::Postgres(Box::new(postgres::ScratchDatabases::of_project(url, folder)?))
            }
        })
    }

    /// A run's scratch databases. They are removed when this is dropped; what a killed run has left
    /// on a server is removed when the next one begins.
    ///
    /// # Errors
    /// No such databases can be made; the error says why.
    pub fn of_run(database: &Database) -> Result<Self, AdminError> {
        Ok(match database {
            Database::Sqlite(_) => Self::Sqlite(sqlite::ScratchFiles::of_run()?),
            Database::Postgres(url) => {
                Self::Postgres(Box::new(postgres::ScratchDatabases::of_run(url)?))
            }
        })
    }

    /// The file in the project's directory that keeps the name of the database that was served
    /// last.
    pub fn last(&self) -> &'static str {
        ask!(self, scratch => scratch.last())
    }

    /// The database with this name, if it exists.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn find(&mut self, name: &str) -> Result<Option<Database>, AdminError> {
        ask!(self, scratch => scratch.find(name))
    }

    /// A name that is not in use and contains these letters and digits.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn new_name(&mut self, shape: &str) -> Result<String, AdminError> {
        ask!(self, scratch => scratch.new_name(shape))
    }

    /// Makes an empty database.
    ///
    /// # Errors
    /// The server refuses; the error says why, and what to do.
    pub fn make(&mut self, name: &str) -> Result<Database, AdminError> {
        ask!(self, scratch => scratch.make(name))
    }

    /// Makes a copy of another database, with its rows at the same versions.
    ///
    /// # Errors
    /// The other database cannot be read, or the new one cannot be written.
    pub fn copy(&mut self, from: &str, name: &str) -> Result<Database, AdminError> {
        ask!(self, scratch => scratch.copy(from, name))
    }

    /// Removes a database, even if it is in use. One that cannot be removed does no harm.
    pub fn remove(&mut self, name: &str) {
        ask!(self, scratch => scratch.remove(name));
    }

    /// Removes all except these, unless they are in use.
    pub fn remove_others(&mut self, kept: &[&str]) {
        ask!(self, scratch => scratch.remove_others(kept));
    }
}

/// Distinguishes the tables of this model from those of other models: twelve hexadecimal digits.
///
/// # Errors
/// The model's tables cannot be derived.
pub fn shape(database: &Database, model: &Model) -> Result<String, DifferenceError> {
    let tables = difference::step(&Migrations::default(), model)?.unwrap_or_default();
    let text = match database {
        Database::Sqlite(_) => tables.sqlite,
        Database::Postgres(_) => tables.postgres,
    };
    Ok(blake3::hash(text.as_bytes()).to_hex()[..12].to_owned())
}
