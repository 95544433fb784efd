//! Scratch databases: those that `freshql dev` and `freshql test` make beside the configured one, of
//! the same kind, and that may be thrown away. SQLite's are files in a folder, PostgreSQL's are
//! databases on the same server, whose names say what they are. Everything here blocks.

use std::path::Path;

use super::error::AdminError;
use super::schema::difference::{self, DifferenceError};
use super::schema::migrations::Migrations;
use super::{postgres, sqlite};
use crate::config::Database;
use crate::model::Model;

/// Scratch databases, each with a name.
pub enum ScratchDatabases {
    /// Files.
    Sqlite(sqlite::ScratchFiles),
    /// On a server.
    Postgres(Box<postgres::ScratchDatabases>),
}

/// The driver's own answer.
macro_rules! ask {
    ($of:expr, $scratch:ident => $answer:expr) => {
        match $of {
            ScratchDatabases::Sqlite($scratch) => $answer,
            ScratchDatabases::Postgres($scratch) => $answer,
        }
    };
}

impl ScratchDatabases {
    /// Those of a project, which stay from one run to the next. The folder is the project's own: it
    /// holds the files, or what tells the project's databases from others on the server.
    ///
    /// # Errors
    /// The folder cannot be written, or the server does not answer.
    pub fn of_project(database: &Database, folder: &Path) -> Result<Self, AdminError> {
        Ok(match database {
            Database::Sqlite(_) => Self::Sqlite(sqlite::ScratchFiles::of_project(folder)?),
            Database::Postgres(url) => {
                Self::Postgres(Box::new(postgres::ScratchDatabases::of_project(url, folder)?))
            }
        })
    }

    /// Those of one run. They go with this; what a run that was killed has left on a server goes
    /// when the next one begins.
    ///
    /// # Errors
    /// There can be none; says why.
    pub fn of_run(database: &Database) -> Result<Self, AdminError> {
        Ok(match database {
            Database::Sqlite(_) => Self::Sqlite(sqlite::ScratchFiles::of_run()?),
            Database::Postgres(url) => {
                Self::Postgres(Box::new(postgres::ScratchDatabases::of_run(url)?))
            }
        })
    }

    /// The file in the project's folder that keeps the name of the one which was served last.
    pub fn last(&self) -> &'static str {
        ask!(self, scratch => scratch.last())
    }

    /// The one of this name, if it is there.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn find(&mut self, name: &str) -> Result<Option<Database>, AdminError> {
        ask!(self, scratch => scratch.find(name))
    }

    /// A name that none has, with these letters and digits in it.
    ///
    /// # Errors
    /// The server does not answer.
    pub fn new_name(&mut self, shape: &str) -> Result<String, AdminError> {
        ask!(self, scratch => scratch.new_name(shape))
    }

    /// Makes an empty one.
    ///
    /// # Errors
    /// The server refuses; says why, and what can be done.
    pub fn make(&mut self, name: &str) -> Result<Database, AdminError> {
        ask!(self, scratch => scratch.make(name))
    }

    /// Makes one with all that another has, its rows at the same versions.
    ///
    /// # Errors
    /// The other cannot be read, or the new one not be written.
    pub fn copy(&mut self, from: &str, name: &str) -> Result<Database, AdminError> {
        ask!(self, scratch => scratch.copy(from, name))
    }

    /// Removes one, whoever uses it. One that cannot be removed is in nobody's way.
    pub fn remove(&mut self, name: &str) {
        ask!(self, scratch => scratch.remove(name));
    }

    /// Removes all but this one, as far as nobody uses them.
    pub fn remove_others(&mut self, kept: &str) {
        ask!(self, scratch => scratch.remove_others(kept));
    }
}

/// What tells the tables of this model from those of other models: twelve hexadecimal digits.
///
/// # Errors
/// The model's tables cannot be worked out.
pub fn shape(database: &Database, model: &Model) -> Result<String, DifferenceError> {
    let tables = difference::step(&Migrations::default(), model)?.unwrap_or_default();
    let text = match database {
        Database::Sqlite(_) => tables.sqlite,
        Database::Postgres(_) => tables.postgres,
    };
    Ok(blake3::hash(text.as_bytes()).to_hex()[..12].to_owned())
}
