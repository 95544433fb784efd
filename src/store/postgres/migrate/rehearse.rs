//! Trying migrations where nothing can break.

use super::run::transaction_controls;
use super::up;
use crate::config::PostgresUrl;
use crate::store::postgres::client::{Blocking, Session};
use crate::store::postgres::scratch::ScratchDatabases;
use crate::store::schema::migrations::{MigrateError, Migrations};

/// Tries the files on a database of their own on the same server, which is dropped at the end. None
/// where this user may make no database, or where a pooler stands in between.
///
/// # Errors
/// The first statement that does not run, or the server's.
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
