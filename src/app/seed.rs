//! Rows for scratch databases from a SQL file: `seed.sql`, or `seed.sqlite.sql` and
//! `seed.postgres.sql` where the dialects differ, as with migrations.

use std::path::{Path, PathBuf};

use super::error::StartError;
use super::model_file::within;
use crate::config::Database;
use crate::model::Diagnostic;
use crate::store::schema::migrations::{Dialect, Migration};
use crate::store::{Admin, admin};

/// Runs the file with this name below `dir` in one transaction, under the same restrictions as a
/// migration. Returns its name; None if there is none.
///
/// # Errors
/// The first statement that fails, and where it is.
pub(super) fn run(
    admin: &mut Admin,
    database: &Database,
    dir: &Path,
    name: &str,
) -> Result<Option<String>, StartError> {
    for name in [name_for(name, admin::dialect(database)), format!("{name}.sql")] {
        let path = within(dir, &name);
        let file = path.display().to_string();
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(anyhow::Error::new(error).context(file).into()),
        };
        let seed = Migration { number: 0, name: String::new(), file, text, blake3: String::new() };
        admin.load(&seed).map_err(|mistake: Diagnostic| StartError::Mistakes(vec![mistake]))?;
        return Ok(Some(name));
    }
    Ok(None)
}

/// All files that may hold the rows, whether they exist or not.
pub(super) fn paths(dir: &Path, name: &str) -> Vec<PathBuf> {
    let own = [Dialect::Sqlite, Dialect::Postgres].map(|dialect| name_for(name, dialect));
    own.into_iter().chain([format!("{name}.sql")]).map(|name| within(dir, &name)).collect()
}

fn name_for(name: &str, dialect: Dialect) -> String {
    format!("{name}.{}.sql", dialect.name())
}
