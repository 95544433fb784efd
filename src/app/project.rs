//! Reads a project's files: the model, and the documents in `queries/`. All mistakes are found in
//! one run.

use std::sync::Arc;

use anyhow::Context;

use super::error::StartError;
use super::model_file::{compiler_of, read_model, with_ids, within};
use crate::config::Config;
use crate::graphql::Compiler;
use crate::model::{Diagnostic, Model, Parsed};
use crate::persisted::{Registry, files};

/// A model without mistakes, and the documents.
pub(super) struct Project {
    pub(super) model: Arc<Model>,
    pub(super) compiler: Compiler,
    /// The documents of the query files without mistakes.
    pub(super) registry: Registry,
    /// The mistakes in the others.
    pub(super) mistakes: Vec<Diagnostic>,
    /// Those of the model.
    pub(super) warnings: Vec<Diagnostic>,
}

/// Reads the model and registers the query files.
///
/// # Errors
/// The model's mistakes, and those of the queries that do not depend on the model.
pub(super) async fn read(config: &Config) -> Result<Project, StartError> {
    let queries = within(&config.dir, files::DIRECTORY);
    let unread = || format!("cannot read the queries in {}", queries.display());
    let Parsed { model, warnings } = match read_model(config) {
        Ok(parsed) => parsed,
        Err(StartError::Mistakes(mut mistakes)) => {
            mistakes.extend(files::syntax_mistakes(&queries).with_context(unread)?);
            return Err(StartError::Mistakes(mistakes));
        }
        Err(error) => return Err(error),
    };
    let model = Arc::new(with_ids(config, model));
    let compiler = compiler_of(config, model.clone())?;
    let registry = Registry::default();
    let mistakes = files::register(&compiler, &queries, &registry).await.with_context(unread)?;
    Ok(Project { model, compiler, registry, mistakes, warnings })
}
