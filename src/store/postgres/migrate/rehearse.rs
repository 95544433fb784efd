//! Trying migrations where nothing can break.

use super::run::transaction_controls;
use super::up;
use crate::config::PostgresUrl;
use crate::store::postgres::client::{Blocking, Session};
use crate::store::schema::layout::SqlName;
use crate::store::schema::migrations::{MigrateError, Migrations};

/// Tries the files on a database of their own on the same server, which is dropped at the end. None
/// where this user may make no database.
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
    let mut main = Blocking::connect(url, Session::for_commands(url))?;
    let name = SqlName::new(format!("_freshql_rehearsal_{}", uuid::Uuid::now_v7().simple()));
    match main.script(&format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")) {
        Ok(_) => {}
        Err(error) if error.code() == "42501" => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    let scratch = PostgresUrl { database: Some(name.as_str().to_owned()), ..url.clone() };
    let result = Blocking::connect(&scratch, Session::for_commands(url))
        .map_err(MigrateError::from)
        .and_then(|mut connection| up(&mut connection, migrations));
    main.script(&format!("DROP DATABASE {name} WITH (FORCE)"))?;
    result.map(|_| Some(()))
}
