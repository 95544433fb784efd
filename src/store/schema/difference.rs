//! `freshql migrate new`: the difference between the committed migrations and the model, as the
//! next migration, for both dialects. The migrations are replayed on a scratch SQLite database, and
//! the result is compared with the model's [`Layout`]. Both files follow from that comparison:
//! PostgreSQL's migrations are assumed to build the same.
//!
//! Properties of the files:
//! - From an empty folder they create the system tables, the tables with indexes and CHECKs, and
//!   the triggers.
//! - Rows keep their versions, and the change log gets no records: a migration changes what rows
//!   look like, and the model, which has changed too, is part of every ETag.
//! - Nothing that holds data is dropped. A field or an entity that the model no longer has leaves
//!   its column or table behind, without rules that would get in the way (NOT NULL without a
//!   default, foreign keys, unique indexes). The statement that would drop it is included as a
//!   comment.
//! - A field that says `@renamedFrom` keeps its values: its column is renamed.
//! - In a new column, existing rows get its default, NULL, or a random UUID. If none of these
//!   applies, the place is marked `FILL IN` and contains NULL, which a table with rows refuses.
//!   Values of another type are converted without loss, or stop the migration.
//! - Whatever authors have added by hand (columns, CHECKs, indexes, triggers, views) stays. A CHECK
//!   or an index with the form and name that freshql gives its own counts as freshql's.
//!
//! Before it is returned, the step is applied to an empty database with the old schema. The result
//! must be what the model needs, and a second comparison must find nothing.

pub(in crate::store) mod changes;
pub(in crate::store) mod convert;
pub(in crate::store) mod notes;
pub(in crate::store) mod renames;
pub(in crate::store) mod system;

use self::changes::changes;
use self::renames::renames;
use super::layout::{Layout, Table};
use crate::model::{Diagnostic, Model};
use crate::store::error::AdminError;
use crate::store::schema::migrations::{MigrateError, Migration, Migrations};
use crate::store::sqlite::scratch::Scratch;
use crate::store::{postgres, sqlite};

/// The next migration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// The text for SQLite.
    pub sqlite: String,
    /// The text for PostgreSQL.
    pub postgres: String,
    /// What its author should check before it is applied. Sentences without a full stop.
    pub advice: Vec<String>,
}

/// Why there is no step.
#[derive(Debug, thiserror::Error)]
pub enum DifferenceError {
    /// A committed migration does not run.
    #[error("{} mistakes in the migrations", .0.len())]
    Migrations(Vec<Diagnostic>),
    /// The scratch database failed.
    #[error("the migrations cannot be replayed: {0}")]
    Database(#[from] AdminError),
    /// The step does not lead to the model, which is a bug in freshql.
    #[error(
        "no statements were found that lead from the migrations to the model: {0}; write this migration by hand, and report it"
    )]
    Astray(String),
}

/// The step from what these migrations build to this model; None if there is nothing to do.
///
/// # Errors
/// A migration does not run, or no step could be found.
pub fn step(migrations: &Migrations, model: &Model) -> Result<Option<Step>, DifferenceError> {
    let scratch = Scratch::of(migrations).map_err(|error| match error {
        MigrateError::Files(mistakes) => DifferenceError::Migrations(mistakes),
        MigrateError::Database(cause) => DifferenceError::Database(AdminError(cause)),
    })?;
    let found = scratch.catalogue()?;
    let layout = Layout::new(model);
    let renames = renames(&found, &layout);
    let in_sqlite = renames::in_sqlite(&renames);
    let catalogue = match &in_sqlite {
        Some(section) => {
            let renamed = scratch.emptied()?;
            renamed.run(&section.statements.join("\n"))?;
            renamed.catalogue()?
        }
        None => scratch.catalogue()?,
    };
    let mut changes = changes(&catalogue, &layout);
    if migrations.is_postgres_outdated {
        let is_there =
            |table: &&Table| table.managed && catalogue.table(table.name.as_str()).is_some();
        changes.outdated_on_postgres = layout.tables.iter().filter(is_there).collect();
    }
    if changes.is_empty() && renames.is_empty() {
        return Ok(None);
    }
    let step = Step {
        sqlite: sqlite::difference::text(in_sqlite, &changes, &catalogue),
        postgres: postgres::difference::text(&renames, &changes, &catalogue),
        advice: notes::advice(&changes),
    };
    verify(&scratch, &step, model, &layout)?;
    Ok(Some(step))
}

/// Applies the step to an empty database with the same schema.
fn verify(
    scratch: &Scratch,
    step: &Step,
    model: &Model,
    layout: &Layout,
) -> Result<(), DifferenceError> {
    let astray = |why: String| DifferenceError::Astray(why);
    let mut empty = scratch.emptied()?;
    let file = Migration::new(1, "step", "the generated migration".to_owned(), step.sqlite.clone());
    empty
        .migrate(&Migrations { files: vec![file], ..Migrations::default() })
        .map_err(|error| astray(error.to_string()))?;
    if let Some(problem) = empty.problems(model)?.first() {
        return Err(astray(problem.to_string()));
    }
    let catalogue = empty.catalogue()?;
    let rest = changes(&catalogue, layout);
    if !rest.is_empty() {
        return Err(astray(format!(
            "after it there would still be\n{}",
            sqlite::difference::text(None, &rest, &catalogue)
        )));
    }
    Ok(())
}
