//! Runs the statements of a migration one by one, so that each mistake has a location.

use super::split::{self, Statement};
use crate::model::Diagnostic;
use crate::store::postgres::client::{Blocking, ClientError, TransactionStatus};
use crate::store::schema::migrations::{
    self, FILL_IN, MigrateError, Migration, in_file, with_line_feeds,
};

/// Runs a file statement by statement in the open transaction.
///
/// # Errors
/// The first statement that fails, or the database does not answer.
pub(in crate::store) fn run_file(
    connection: &mut Blocking,
    migration: &Migration,
) -> Result<(), MigrateError> {
    let files = |mistake| MigrateError::Files(vec![mistake]);
    for statement in split::statements(&migration.text) {
        transaction_control(migration, &statement).map_err(files)?;
        let sql = with_line_feeds(statement.text);
        match connection.script(&sql) {
            Ok(_) => {}
            Err(ClientError::Server(error)) if !error.is_fatal => {
                return Err(files(mistake(
                    migration,
                    &statement,
                    &sql,
                    &error.message,
                    error.position,
                    &error.hint,
                )));
            }
            Err(error) => return Err(error.into()),
        }
        // A procedure can do this.
        if connection.connection().status() != TransactionStatus::Open {
            let place = first_line(&statement);
            return Err(files(Diagnostic::error(
                &migration.file,
                place,
                "this statement has ended the transaction",
            )));
        }
    }
    Ok(())
}

/// Runs a file that is not a migration, in a transaction of its own.
///
/// # Errors
/// The first statement that fails; then nothing was done.
pub(in crate::store) fn run_alone(
    connection: &mut Blocking,
    file: &Migration,
) -> Result<(), Diagnostic> {
    let failed =
        |error: ClientError| Diagnostic::error(&file.file, 0..0, format!("breaks a rule: {error}"));
    connection.script("BEGIN").map_err(failed)?;
    match run_file(connection, file) {
        Ok(()) => connection.script("COMMIT").map(drop).map_err(failed),
        Err(error) => {
            let _ = connection.script("ROLLBACK");
            Err(match error {
                MigrateError::Files(mut mistakes) if !mistakes.is_empty() => mistakes.remove(0),
                error => Diagnostic::error(&file.file, 0..0, error.to_string()),
            })
        }
    }
}

/// The statements that would begin or end a transaction.
pub(super) fn transaction_controls(files: &[Migration]) -> Vec<Diagnostic> {
    let statements = files
        .iter()
        .flat_map(|file| split::statements(&file.text).into_iter().map(move |one| (file, one)));
    statements.filter_map(|(file, statement)| transaction_control(file, &statement).err()).collect()
}

fn transaction_control(migration: &Migration, statement: &Statement<'_>) -> Result<(), Diagnostic> {
    let Some(word) = statement.transaction_control() else { return Ok(()) };
    Err(migrations::transaction_control(migration, statement.start, word))
}

/// The server's error for a statement, with its location in the file.
fn mistake(
    migration: &Migration,
    statement: &Statement<'_>,
    sent: &str,
    message: &str,
    position: Option<usize>,
    hint: &Option<String>,
) -> Diagnostic {
    let place = match position {
        // Counted in characters from 1 on.
        Some(position) => {
            let offset = sent
                .char_indices()
                .nth(position.saturating_sub(1))
                .map_or(sent.len(), |(at, _)| at);
            let start =
                (statement.start + in_file(statement.text, offset)).min(migration.text.len());
            let word =
                migration.text[start..].split(|c: char| !(c.is_alphanumeric() || c == '_')).next();
            start..start + word.map_or(0, str::len).max(1)
        }
        None => first_line(statement),
    };
    let mistake = Diagnostic::error(&migration.file, place, message);
    match hint {
        _ if statement.text.contains(FILL_IN) => {
            mistake.with_help(format!("write a value where the statement says {FILL_IN}"))
        }
        Some(hint) => mistake.with_help(hint.clone()),
        None => mistake,
    }
}

fn first_line(statement: &Statement<'_>) -> std::ops::Range<usize> {
    statement.start..statement.start + statement.text.lines().next().unwrap_or_default().len()
}
