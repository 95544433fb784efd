//! `freshql backup` and `freshql restore`: copies the database while it is in use, and restores it
//! from a copy.

use std::path::Path;

use anyhow::Context;

use super::database::{self, command};
use super::error::StartError;
use crate::config::{Config, Database};
use crate::store::backup::{self, BackupError, Held};

/// Copies the database to a file. An existing file is replaced only with `force`.
///
/// # Errors
/// There is no database, or it could not be copied.
pub fn backup(config: &Config, file: &Path, force: bool) -> Result<String, StartError> {
    if matches!(&config.database, Database::Sqlite(path) if !path.exists()) {
        return Err(StartError::Mistakes(vec![database::no_database(config)]));
    }
    backup::backup(&config.database, file, force).map_err(|error| match error {
        BackupError::Exists(_) => anyhow::anyhow!("{error}; --force replaces it"),
        BackupError::OnServer(_) => anyhow::anyhow!("{error}"),
        error => anyhow::Error::new(error).context(format!("cannot back up {}", config.database)),
    })?;
    let size = std::fs::metadata(file).map_or(0, |file| file.len());
    Ok(format!("backed up {} to {} ({size} bytes)\n", config.database, file.display()))
}

/// Restores the database from this copy. The previous database is kept next to it.
///
/// # Errors
/// The copy is not a database of this project, or a program has the database open. Nothing was
/// changed.
pub fn restore(config: &Config, file: &Path) -> Result<String, StartError> {
    let context = || format!("cannot restore {}; it is unchanged", config.database);
    if !file.is_file() {
        return Err(anyhow::anyhow!("there is no file {}", file.display()).into());
    }
    let migrations = database::read(config)?;
    let held = Held::take(&config.database).map_err(|error| match error {
        BackupError::OnServer(_) => anyhow::anyhow!("{error}"),
        BackupError::InUse(_) => anyhow::anyhow!("{error}; stop it, and restore then"),
        error => anyhow::Error::new(error).context(context()),
    })?;
    let copy = held.copy_of(file).with_context(context)?;
    let status = copy.status(&migrations).with_context(context)?;
    let mistakes = status.mistakes();
    if !mistakes.is_empty() {
        return Err(StartError::Mistakes(mistakes));
    }
    let kept = held.replace_by(copy).with_context(context)?;
    let mut text = format!("restored {} from {}\n", config.database, file.display());
    if let Some(kept) = kept {
        text.push_str(&format!("the previous database is kept as {}\n", kept.display()));
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
