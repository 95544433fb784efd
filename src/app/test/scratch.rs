//! The database for `freshql test`: built once from the migrations and `tests/seed.sql`, and copied
//! for each case, so that no case sees what another has written.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use crate::app::database::{open, read};
use crate::app::error::StartError;
use crate::app::model_file::within;
use crate::app::seed;
use crate::config::{Config, Database};
use crate::model::{Diagnostic, Model};
use crate::store::ScratchDatabases;
use crate::store::schema::migrations::Problem;

/// Rows for the tests, in addition to those that the migrations insert.
const SEED: &str = "tests/seed";

/// The databases of this run. They are removed when this and all copies are dropped.
pub(super) struct Scratch {
    databases: Arc<Mutex<ScratchDatabases>>,
    original: String,
}

/// One of them. Removed when this is dropped.
pub(super) struct Copy {
    pub(super) database: Database,
    name: String,
    databases: Arc<Mutex<ScratchDatabases>>,
}

impl Scratch {
    /// Blocks.
    ///
    /// # Errors
    /// A migration or the seed fails, or they do not build what the model needs.
    pub(super) fn make(config: &Config, model: &Model) -> Result<Self, StartError> {
        let mut databases =
            ScratchDatabases::of_run(&config.database).context("cannot make a scratch database")?;
        let original = databases.new_name("original").context("cannot make a scratch database")?;
        let database = databases.make(&original).context("cannot make a scratch database")?;
        fill(&database, config, model)?;
        Ok(Self { databases: Arc::new(Mutex::new(databases)), original })
    }

    /// Another database with the same rows, at the same versions. Blocks.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn copy(&self) -> anyhow::Result<Copy> {
        let mut databases = self.databases.lock().unwrap_or_else(PoisonError::into_inner);
        let name = databases.new_name("case")?;
        let database =
            databases.copy(&self.original, &name).context("cannot copy the scratch database")?;
        Ok(Copy { database, name, databases: self.databases.clone() })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        self.databases.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.name);
    }
}

fn fill(database: &Database, config: &Config, model: &Model) -> Result<(), StartError> {
    let mut admin = open(database)?;
    admin.migrate(&read(config)?)?;
    seed::run(&mut admin, database, &config.dir, SEED)?;
    // After the seed, which may create unmanaged tables.
    admin.watch(model).context("cannot make the triggers")?;
    let lacks = admin.check(model).context("cannot read the scratch database")?;
    if lacks.is_empty() {
        return Ok(());
    }
    let migrations = within(&config.dir, "migrations").display().to_string();
    let mistake = |lack: Problem| {
        let message = format!("the tests' database is not what the model needs: {lack}");
        Diagnostic::error(&migrations, 0..0, message).with_help(format!(
            "`freshql migrate new NAME` writes the migration that is missing; what no migration makes, {SEED}.sql \
             can make"
        ))
    };
    Err(StartError::Mistakes(lacks.into_iter().map(mistake).collect()))
}
