//! The database that `freshql test` asks: made once from the migrations and `tests/seed.sql`, and
//! copied for each case, so that no case sees what another has written.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::Context;

use crate::app::error::StartError;
use crate::app::model_file::within;
use crate::app::seed;
use crate::config::Database;
use crate::model::{Diagnostic, Model};
use crate::store::Admin;
use crate::store::schema::migrations::{MigrateError, Migrations, Problem};

/// Rows for the tests, beside those that the migrations bring.
pub(super) const SEED_FILE: &str = "tests/seed.sql";

/// A directory of its own, which goes with this.
pub(super) struct Scratch {
    folder: PathBuf,
    copies: AtomicU32,
}

impl Scratch {
    /// Blocks.
    ///
    /// # Errors
    /// A migration or the seed does not run, or they do not make what the model needs.
    pub(super) fn make(dir: &Path, model: &Model) -> Result<Self, StartError> {
        let migrations =
            Migrations::read(&within(dir, "migrations")).map_err(StartError::Mistakes)?;
        let folder =
            std::env::temp_dir().join(format!("freshql-test-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let scratch = Self { folder, copies: AtomicU32::new(0) };
        scratch.fill(dir, &migrations, model)?;
        Ok(scratch)
    }

    fn fill(&self, dir: &Path, migrations: &Migrations, model: &Model) -> Result<(), StartError> {
        let path = self.original();
        let mut admin = Admin::open(&Database::Sqlite(path.clone()))
            .with_context(|| format!("cannot open {}", path.display()))?;
        admin.migrate(migrations).map_err(|error| match error {
            MigrateError::Files(mistakes) => StartError::Mistakes(mistakes),
            error @ MigrateError::Database(_) => StartError::Other(error.into()),
        })?;
        seed::run(&mut admin, &within(dir, SEED_FILE))?;
        // After the seed: tables that are somebody else's may come with it.
        admin.watch(model).context("cannot make the triggers")?;
        let lacks = admin.check(model).context("cannot read the scratch database")?;
        if !lacks.is_empty() {
            let migrations = within(dir, "migrations").display().to_string();
            let mistake = |lack: Problem| {
                Diagnostic::error(&migrations, 0..0, format!("the tests' database is not what the model needs: {lack}"))
                    .with_help(format!(
                        "`freshql migrate new NAME` writes the migration that is missing; what no migration makes, {SEED_FILE} can make"
                    ))
            };
            return Err(StartError::Mistakes(lacks.into_iter().map(mistake).collect()));
        }
        // All of it in one file, for that is what is copied.
        admin.settle().context("cannot write the scratch database")?;
        Ok(())
    }

    /// Another database with the same rows, at the same versions.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn copy(&self) -> anyhow::Result<PathBuf> {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!("{number}.db"));
        std::fs::copy(self.original(), &path)
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    fn original(&self) -> PathBuf {
        self.folder.join("original.db")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
