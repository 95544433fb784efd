//! `freshql check`: everything that can be wrong before a server starts, in one run.

use std::path::Path;

use super::database;
use super::error::StartError;
use super::project::{self, Project};
use super::table::counted;
use crate::config::{Config, PartialConfig};
use crate::graphql::reach;
use crate::model::rules::WITHOUT_AUTH;
use crate::model::{Diagnostic, Model, Severity};
use crate::persisted::{Registry, files};

/// A project without mistakes.
#[derive(Debug)]
pub struct CheckReport {
    /// One line that says what was checked.
    pub summary: String,
    /// What deserves a second look: first in the model, then in the queries.
    pub warnings: Vec<Diagnostic>,
}

/// Checks everything that can be wrong before a server starts: model, queries, migrations, and the
/// database if there is one.
///
/// # Errors
/// All mistakes, and the warnings.
pub async fn check(config: &Config) -> Result<CheckReport, StartError> {
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
    warnings.extend(database.warnings);
    if !database.is_there && database::has_no_migrations(config) {
        let message = "there are no migrations, so nothing creates the tables of the model";
        warnings.push(
            Diagnostic::warning("migrations", 0..0, message)
                .with_help("`freshql migrate new NAME` writes the first one"),
        );
    }
    let reached = reached(&model, &registry);
    let most = config.limits.answer.max_rows;
    warnings.extend(reached.iter().filter(|reached| reached.rows > most).map(|reached| {
        let Reached { rows, operation, file } = reached;
        let message = format!("the operation {operation} may read {rows} rows, but no answer may read more than {most}");
        Diagnostic::warning(file, 0..0, message)
            .with_help("clients that ask for the longest pages get QUERY_TOO_COMPLEX; ask for shorter ones with `first`, or raise `limits.max_rows`")
    }));
    let (wrong, doubtful): (Vec<_>, Vec<_>) = files::lint(&model, &registry)
        .into_iter()
        .partition(|finding| finding.severity == Severity::Error);
    mistakes.extend(wrong);
    warnings.extend(doubtful);
    if !mistakes.is_empty() {
        mistakes.append(&mut warnings);
        return Err(StartError::Mistakes(mistakes));
    }
    let database = if database.is_there { "its database fits" } else { "there is no database yet" };
    let mut summary = format!(
        "no mistakes in the model and {}; {database}\n",
        counted(registry.list().len(), "document")
    );
    if let Some(Reached { rows, operation, file }) = reached.first() {
        summary += &format!(
            "{operation} ({file}) may read the most rows for one answer: {rows}, of {most} that are allowed\n"
        );
    }
    Ok(CheckReport { summary, warnings })
}

/// How many rows an operation may read.
struct Reached {
    rows: u64,
    operation: String,
    file: String,
}

/// All operations of the files, the one that may read the most rows first.
fn reached(model: &Model, registry: &Registry) -> Vec<Reached> {
    let mut all = Vec::new();
    for registered in registry.list() {
        let (Ok(document), Some(file)) = (&registered.document, registered.files.first()) else {
            continue;
        };
        all.extend(document.operations().iter().map(|operation| Reached {
            rows: reach::rows(model, operation),
            operation: operation.name().unwrap_or("without a name").to_owned(),
            file: file.clone(),
        }));
    }
    all.sort_by(|a, b| (b.rows, &a.file, &a.operation).cmp(&(a.rows, &b.file, &b.operation)));
    all
}

/// Why a command failed, together with all mistakes in the project's other files. For a
/// configuration with mistakes, in which case it is unknown which database is meant.
pub async fn with_the_rest(error: StartError, dir: &Path) -> StartError {
    let config = Config::resolve(
        PartialConfig { dir: Some(dir.to_owned()), ..PartialConfig::default() },
        None,
    );
    let mut mistakes = match error {
        StartError::Mistakes(mistakes) => mistakes,
        other @ (StartError::Reported | StartError::Other(_)) => return other,
    };
    match project::read(&config).await {
        Ok(project) => mistakes.extend(project.mistakes),
        Err(error) => mistakes.extend(error.mistakes().unwrap_or_default()),
    }
    mistakes.extend(database::mistakes_of_files(&config).unwrap_or_default());
    // It is unknown whether the configuration names issuers of tokens.
    mistakes.retain(|mistake| mistake.message != WITHOUT_AUTH);
    StartError::Mistakes(mistakes)
}
