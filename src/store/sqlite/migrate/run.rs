//! Running the statements of a migration, so that each mistake has a place; and trying files where
//! nothing can break.

use rusqlite::Connection;

use super::confine::{confine, set_free, trespass};
use super::{Migration, split};
use crate::model::Diagnostic;
use crate::store::schema::migrations::{FILL_IN, in_file, with_line_feeds};

/// Runs a file statement by statement, in the transaction that is open, so that a mistake has a
/// place.
///
/// # Errors
/// The first statement that does not run.
pub(super) fn run_file(connection: &Connection, migration: &Migration) -> Result<(), Diagnostic> {
    for statement in split::statements(&migration.text) {
        transaction_control(migration, &statement)?;
        let sql = with_line_feeds(statement.text);
        run(connection, &sql).map_err(|error| mistake(migration, &statement, error))?;
        // `INSERT OR ROLLBACK` ends the transaction without a word.
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

/// The same for a file that is no migration, such as `dev`'s seed: it may reach as little as one.
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

/// What no database could run: statements that are not SQL, and those that meddle with the
/// transaction.
pub(super) fn syntax_mistakes(files: &[Migration]) -> rusqlite::Result<Vec<Diagnostic>> {
    // Nothing is in it, so it knows of no table: only what it says of the text counts. Some pragmas
    // act at once.
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

/// SQLite has no code for it, only these words.
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
    let place = statement.start..statement.start + word.len();
    let message = format!(
        "`{}` in a migration: each file runs in a transaction of its own",
        word.to_uppercase()
    );
    Err(Diagnostic::error(&migration.file, place, message).with_help("leave it out"))
}

/// What SQLite says of a statement, with its place in the file.
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
