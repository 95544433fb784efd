//! `freshql manifest`: the operations of the query files as a manifest for client tools.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;

use super::error::StartError;
use super::project::{self, Project};
use crate::config::Config;
use crate::document_id::DocumentId;
use crate::graphql::OperationKind;
use crate::persisted::manifest::{self, Format, Operation};
use crate::persisted::with_typename;

/// A manifest, with notes about it.
#[derive(Debug)]
pub struct Manifest {
    /// The file's text.
    pub text: String,
    /// Notes for the terminal.
    pub notes: Vec<String>,
}

/// The manifest of the project's query files.
///
/// # Errors
/// The mistakes of the model or of the query files.
pub async fn manifest(config: &Config, format: Format) -> Result<Manifest, StartError> {
    let Project { registry, mistakes, .. } = project::read(config).await?;
    if !mistakes.is_empty() {
        return Err(StartError::Mistakes(mistakes));
    }
    let listed = registry.list();
    let mut notes = Vec::new();
    if format != Format::Apollo {
        let prefix = if format == Format::Codegen { "x-blake3:" } else { "" };
        let texts =
            listed.iter().map(|known| (format!("{prefix}{}", known.id), known.text.clone()));
        return Ok(Manifest { text: manifest::map(&texts.collect()), notes });
    }
    let (mut operations, mut unregistered): (BTreeMap<String, Operation>, usize) =
        (BTreeMap::new(), 0);
    for known in &listed {
        let body = with_typename(&known.text);
        // With the setting, the server adds it itself, and the document keeps its id.
        let id = if config.typename { known.id } else { DocumentId::of(&body) };
        unregistered += usize::from(registry.get(id).is_none());
        for operation in known.document.iter().flat_map(|document| document.operations()) {
            let Some(name) = operation.name() else {
                notes.push(format!(
                    "an operation without a name is left out: {}",
                    known.files.join(", ")
                ));
                continue;
            };
            let kind = match operation.kind() {
                OperationKind::Query => "query",
                OperationKind::Mutation => "mutation",
            };
            let entry = Operation {
                id: id.to_string(),
                name: name.to_owned(),
                kind: kind.to_owned(),
                body: body.clone(),
            };
            if operations.insert(name.to_owned(), entry).is_some_and(|other| other.body != body) {
                return Err(anyhow::anyhow!(
                    "two documents have an operation {name}; Apollo's manifests know them by name"
                )
                .into());
            }
        }
    }
    if unregistered > 0 {
        notes.push(format!(
            "{unregistered} documents are not those of queries/, because of the `__typename` that Apollo Client needs: set \
             `typename = true` in freshql.toml, or let the server know them with `freshql push`"
        ));
    }
    let operations: Vec<Operation> = operations.into_values().collect();
    Ok(Manifest { text: manifest::apollo_manifest(&operations), notes })
}

/// Writes the manifest to a file.
///
/// # Errors
/// It cannot be written.
pub fn write(path: &Path, manifest: &Manifest) -> Result<(), StartError> {
    Ok(std::fs::write(path, &manifest.text)
        .with_context(|| format!("cannot write {}", path.display()))?)
}
