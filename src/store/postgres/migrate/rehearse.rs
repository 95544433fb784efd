//! Tries migrations where they cannot break anything.

use super::run::transaction_controls;
use super::up;
use crate::config::PostgresUrl;
use crate::store::postgres::client::{Blocking, Session};
use crate::store::postgres::scratch::ScratchDatabases;
use crate::store::schema::migrations::{MigrateError, Migrations};

/// Tries the files on a separate database on the same server, which is dropped afterwards. None if
/// this user may not create databases, or if there is a pooler.
///
/// # Errors
/// The first statement that fails, or an error of the server.
pub(in crate::store) fn rehearse(
    url: &PostgresUrl,
    migrations: &Migrations,
) -> Result<Option<()>, MigrateError> {
    let mistakes = transaction_controls(&migrations.files);
    if !mistakes.is_empty() {
        return Err(MigrateError::Files(mistakes));
    }
    let Some(mut databases) = ScratchDatabases::to_rehearse(url)? else { return Ok(None) };
    let scratch = databases.make_for_rehearsal()?;
    let mut connection = Blocking::connect(&scratch, Session::for_commands(&scratch))?;
    up(&mut connection, migrations).map(|_| Some(()))
}
