//! The model's file: how it is found and read, and how the configuration affects the model.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::error::StartError;
use crate::config::{Config, Ids};
use crate::graphql::Compiler;
use crate::model::parse::parse;
use crate::model::{Diagnostic, Model, Parsed, advice};

/// The model's file in the project directory.
pub(super) const MODEL_FILE: &str = "schema.graphql";

/// The model; warnings are logged.
pub(super) fn load_model(config: &Config) -> Result<Model, StartError> {
    let parsed = read_model(config)?;
    log_warnings(&config.dir, &parsed.warnings);
    Ok(parsed.model)
}

pub(super) fn log_warnings(dir: &Path, warnings: &[Diagnostic]) {
    if warnings.is_empty() {
        return;
    }
    // If the file has gone in the meantime, only the positions are lost.
    let text = std::fs::read_to_string(within(dir, MODEL_FILE)).unwrap_or_default();
    for warning in warnings {
        let (line, column) = warning.line_and_column(&text);
        tracing::warn!("{}:{line}:{column}: {}", warning.file, warning.message);
    }
}

/// The model with its warnings, checked against the configuration.
pub(super) fn read_model(config: &Config) -> Result<Parsed, StartError> {
    let dir = &*config.dir;
    let path = within(dir, MODEL_FILE);
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let shown = if dir == Path::new(".") {
                "this directory".to_owned()
            } else {
                dir.display().to_string()
            };
            return Err(anyhow::anyhow!(
                "there is no model in {shown}: {file} is missing. `freshql init {}` writes a small project to start from, \
                 `freshql model pull` a model for tables that are there already, and `--dir DIR` names another directory",
                dir.display()
            )
            .into());
        }
        Err(error) => {
            return Err(anyhow::Error::new(error)
                .context(format!("cannot read the model {file}"))
                .into());
        }
    };
    let mut parsed = parse(&file, &text).map_err(StartError::Mistakes)?;
    parsed.warnings.extend(advice::advice(&parsed.model, &file));
    let mistakes = parsed.model.rule_mistakes(&file, !config.auth.is_empty());
    if mistakes.is_empty() { Ok(parsed) } else { Err(StartError::Mistakes(mistakes)) }
}

/// The model with the configured form of ids.
pub(super) fn with_ids(config: &Config, model: Model) -> Model {
    match config.ids {
        Ids::Local => model,
        Ids::Global => model.with_global_ids(),
    }
}

pub(super) fn compiler(model: Arc<Model>) -> Result<Compiler, StartError> {
    Ok(Compiler::new(model).context("the model has no API")?)
}

/// Like [`compiler`], with the configuration of registered documents.
pub(super) fn compiler_of(config: &Config, model: Arc<Model>) -> Result<Compiler, StartError> {
    let compiler = compiler(model)?;
    Ok(if config.typename { compiler.with_typename() } else { compiler })
}

/// The generated API as SDL.
///
/// # Errors
/// The model's mistakes.
pub fn schema(config: &Config) -> Result<String, StartError> {
    Ok(compiler(Arc::new(with_ids(config, load_model(config)?)))?.sdl().to_owned())
}

/// A path of the project, as the user would write it: without `./`.
pub(super) fn within(dir: &Path, name: &str) -> PathBuf {
    if dir == Path::new(".") { name.into() } else { dir.join(name) }
}
