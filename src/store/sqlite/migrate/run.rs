//! Runs the statements of a migration so that each mistake has a position; and tries files where
//! they can do no harm.

use rusqlite::Connection;

use super::confine::{confine, set_free, trespass};
use super::{Migration, split};
use crate::model::Diagnostic;
use crate::store::schema::migrations::{self, FILL_IN, in_file, with_line_feeds};

/// Runs a file statement by statement in the open transaction, so that a mistake has a position.
///
/// # Errors
/// The first statement that does not run.
pub(super) fn run_file(connection: &Connection, migration: &Migration) -> Result<(), Diagnostic> {
    for statement in split::statements(&migration.text) {
        transaction_control(migration, &statement)?;
        let sql = with_line_feeds(statement.text);
        run(connection, &sql).map_err(|error| mistake(migration, &statement, error))?;
        // `INSERT OR ROLLBACK` ends the transaction without an error.
        if connection.is_autocommit() {
            let place = first_line(&statement);
            return Err(Diagnostic::error(
                &migration.file,
                place,
                "this statement has ended the transaction",
            ));
        }
    }
    Ok(())
}

/// Runs a file that is not a migration, such as `dev`'s seed, with the same restrictions.
///
/// # Errors
/// The first statement that does not run.
pub fn run_alone(connection: &mut Connection, file: &Migration) -> Result<(), Diagnostic> {
    let failed = |error: rusqlite::Error| Diagnostic::error(&file.file, 0..0, error.to_string());
    confine(connection).map_err(failed)?;
    let result = run_file(connection, file);
    set_free(connection).map_err(failed)?;
    result
}

/// Mistakes in any database: statements that are not valid SQL, and those that control the
/// transaction.
pub(super) fn syntax_mistakes(files: &[Migration]) -> rusqlite::Result<Vec<Diagnostic>> {
    // This database is empty and knows no table, so only complaints about the text count. Some
    // pragmas take effect immediately.
    let mut nothing = Connection::open_in_memory()?;
    confine(&mut nothing)?;
    let mut mistakes = Vec::new();
    for migration in files {
        for statement in split::statements(&migration.text) {
            if let Err(control) = transaction_control(migration, &statement) {
                mistakes.push(control);
                continue;
            }
            match nothing.prepare(&with_line_feeds(statement.text)) {
                Err(error @ rusqlite::Error::SqlInputError { .. }) if is_of_the_text(&error) => {
                    mistakes.push(mistake(migration, &statement, error));
                }
                Err(error) => mistakes.extend(trespass(&migration.file, &statement, &error)),
                Ok(_) => {}
            }
        }
    }
    Ok(mistakes)
}

/// SQLite has no error code for this, only these messages.
fn is_of_the_text(error: &rusqlite::Error) -> bool {
    let rusqlite::Error::SqlInputError { msg, .. } = error else { return false };
    msg.ends_with(": syntax error")
        || msg == "incomplete input"
        || msg.starts_with("unrecognized token")
}

fn transaction_control(
    migration: &Migration,
    statement: &split::Statement<'_>,
) -> Result<(), Diagnostic> {
    let Some(word) = statement.transaction_control() else { return Ok(()) };
    Err(migrations::transaction_control(migration, statement.start, word))
}

/// SQLite's message about a statement, with its position in the file.
fn mistake(
    migration: &Migration,
    statement: &split::Statement<'_>,
    error: rusqlite::Error,
) -> Diagnostic {
    if let Some(trespass) = trespass(&migration.file, statement, &error) {
        return trespass;
    }
    match error {
        rusqlite::Error::SqlInputError { msg, offset, .. } => {
            let start =
                statement.start + in_file(statement.text, usize::try_from(offset).unwrap_or(0));
            let word =
                migration.text[start..].split(|c: char| !(c.is_alphanumeric() || c == '_')).next();
            let length = word.map_or(0, str::len).max(1);
            Diagnostic::error(&migration.file, start..start + length, msg)
        }
        rusqlite::Error::SqliteFailure(_, Some(message)) => {
            let mistake = Diagnostic::error(&migration.file, first_line(statement), message);
            match statement.text.contains(FILL_IN) {
                true => {
                    mistake.with_help(format!("write a value where the statement says {FILL_IN}"))
                }
                false => mistake,
            }
        }
        other => Diagnostic::error(&migration.file, first_line(statement), other.to_string()),
    }
}

fn first_line(statement: &split::Statement<'_>) -> std::ops::Range<usize> {
    statement.start..statement.start + statement.text.lines().next().unwrap_or_default().len()
}

fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}
