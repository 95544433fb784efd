//! `freshql backup` and `freshql restore`: a copy of the database while it is in use, and the
//! database from a copy.

use std::path::Path;

use anyhow::Context;

use super::database::{self, command};
use super::error::StartError;
use crate::config::{Config, Database};
use crate::store::sqlite::backup::{self, BackupError, Held};
use crate::store::sqlite::migrate;

/// Copies the database to a file. One that is there is only replaced if `force` says so.
///
/// # Errors
/// There is no database, or it could not be copied; says why.
pub fn backup(config: &Config, file: &Path, force: bool) -> Result<String, StartError> {
    let path = database_file(config)?;
    if !path.exists() {
        return Err(StartError::Mistakes(vec![database::no_database(config)]));
    }
    backup::backup(path, file, force).map_err(|error| match error {
        BackupError::Exists(_) => anyhow::anyhow!("{error}; --force replaces it"),
        error => anyhow::Error::new(error).context(format!("cannot back up {}", config.database)),
    })?;
    let size = std::fs::metadata(file).map_or(0, |file| file.len());
    Ok(format!("backed up {} to {} ({size} bytes)\n", config.database, file.display()))
}

/// Makes the database what it was when this copy was taken. What it is now is kept beside it.
///
/// # Errors
/// The copy is no database that belongs to this project, or a program has the database open; says
/// why. Nothing was altered then.
pub fn restore(config: &Config, file: &Path) -> Result<String, StartError> {
    let path = database_file(config)?;
    let context = || format!("cannot restore {}; it is as it was", config.database);
    if !file.is_file() {
        return Err(anyhow::anyhow!("there is no file {}", file.display()).into());
    }
    let migrations = database::read(config)?;
    let held = Held::take(path).map_err(|error| match error {
        BackupError::InUse(_) => anyhow::anyhow!("{error}; stop it, and restore then"),
        error => anyhow::Error::new(error).context(context()),
    })?;
    let copy = held.copy_of(file).with_context(context)?;
    let status =
        copy.open().and_then(|copy| migrate::status(&copy, &migrations)).with_context(context)?;
    let mistakes = status.mistakes();
    if !mistakes.is_empty() {
        return Err(StartError::Mistakes(mistakes));
    }
    let kept = held.replace_by(copy).with_context(context)?;
    let mut text = format!("restored {} from {}\n", config.database, file.display());
    if let Some(kept) = kept {
        text.push_str(&format!("the database as it was is kept as {}\n", kept.display()));
    }
    if !status.pending.is_empty() {
        let count = status.pending.len();
        let what = if count == 1 {
            "one migration is".to_owned()
        } else {
            format!("{count} migrations are")
        };
        text.push_str(&format!(
            "{what} newer than the backup: run `{} migrate up`\n",
            command(config)
        ));
    }
    Ok(text)
}

/// The database's file.
fn database_file(config: &Config) -> Result<&Path, StartError> {
    match &config.database {
        Database::Sqlite(path) => Ok(path),
        Database::Postgres(_) => Err(anyhow::anyhow!(
            "freshql copies files, and {} is on a server: use pg_dump and pg_restore",
            config.database
        )
        .into()),
    }
}
