//! Rows that come from a file of SQL: for databases that may be thrown away.

use std::path::Path;

use super::error::StartError;
use crate::model::Diagnostic;
use crate::store::Admin;
use crate::store::schema::migrations::Migration;

/// Runs the file in one transaction, confined as a migration is; false if it is not there.
///
/// # Errors
/// The first statement that does not run, with its place.
pub(super) fn run(admin: &mut Admin, path: &Path) -> Result<bool, StartError> {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(anyhow::Error::new(error).context(file).into()),
    };
    let seed = Migration { number: 0, name: String::new(), file, text, blake3: String::new() };
    admin.load(&seed).map_err(|mistake: Diagnostic| StartError::Mistakes(vec![mistake]))?;
    Ok(true)
}
