//! `freshql check`: all that can be wrong before a server starts, in one go.

use std::path::Path;

use super::project::{self, Project};
use super::{StartError, database};
use crate::config::{Config, Overrides};
use crate::model::{Diagnostic, Severity};
use crate::persisted::files;

/// A project without mistakes.
#[derive(Debug)]
pub struct Checked {
    /// One line that says what was looked at.
    pub summary: String,
    /// What is worth a second look: the model's, then the queries'.
    pub warnings: Vec<Diagnostic>,
}

/// Everything that can be wrong before a server starts: model, queries, migrations, and the database if there is one.
///
/// # Errors
/// All mistakes, and the warnings.
pub async fn check(config: &Config) -> Result<Checked, StartError> {
    let project = match project::read(config).await {
        Ok(project) => project,
        Err(error) => {
            let mut mistakes = error.mistakes()?;
            mistakes.extend(database::mistakes_of_files(config)?);
            return Err(StartError::Mistakes(mistakes));
        }
    };
    let Project { model, registry, mut mistakes, mut warnings, .. } = project;
    let database = database::mistakes(config, &model)?;
    mistakes.extend(database.mistakes);
    let (wrong, doubtful): (Vec<_>, Vec<_>) =
        files::lint(&model, &registry).into_iter().partition(|finding| finding.severity == Severity::Error);
    mistakes.extend(wrong);
    warnings.extend(doubtful);
    if !mistakes.is_empty() {
        mistakes.append(&mut warnings);
        return Err(StartError::Mistakes(mistakes));
    }
    let database = if database.is_there { "its database fits" } else { "there is no database yet" };
    let summary = format!("no mistakes in the model and {} documents; {database}\n", registry.list().len());
    Ok(Checked { summary, warnings })
}

/// Why a command failed, together with all that is wrong with the project's other files: for where the configuration has
/// mistakes, so that nobody knows which database is meant.
pub async fn with_the_rest(error: StartError, dir: &Path) -> StartError {
    let config = Config::resolve(Overrides { dir: Some(dir.to_owned()), ..Overrides::default() }, None);
    let mut mistakes = match error {
        StartError::Mistakes(mistakes) => mistakes,
        other @ StartError::Other(_) => return other,
    };
    match project::read(&config).await {
        Ok(project) => mistakes.extend(project.mistakes),
        Err(error) => mistakes.extend(error.mistakes().unwrap_or_default()),
    }
    mistakes.extend(database::mistakes_of_files(&config).unwrap_or_default());
    StartError::Mistakes(mistakes)
}
