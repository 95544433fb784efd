//! Tries migrations where they can do no harm.

use rusqlite::Connection;

use super::run::syntax_mistakes;
use super::{MigrateError, Migrations, apply};
use crate::model::Diagnostic;

/// Runs the files on an empty in-memory database, and returns it. Whatever they contain, nothing
/// else is affected.
///
/// # Errors
/// The first statement that does not run, and everything that is not valid SQL. Other failures
/// after the first may only be its consequence.
pub fn rehearse(migrations: &Migrations) -> Result<Connection, MigrateError> {
    let mut scratch = Connection::open_in_memory()?;
    scratch.pragma_update(None, "temp_store", "MEMORY")?;
    let Err(error) = apply(&mut scratch, migrations) else { return Ok(scratch) };
    let MigrateError::Files(mut mistakes) = error else { return Err(error) };
    let others = syntax_mistakes(&migrations.files)?;
    let is_known =
        |other: &Diagnostic| mistakes.iter().any(|m| m.file == other.file && m.span == other.span);
    let more: Vec<Diagnostic> = others.into_iter().filter(|other| !is_known(other)).collect();
    mistakes.extend(more);
    mistakes.sort_by(|a, b| (&a.file, a.span.start).cmp(&(&b.file, b.span.start)));
    Err(MigrateError::Files(mistakes))
}
