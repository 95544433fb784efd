//! `freshql queries`: the operations with their ids, from the query files and, if there is a
//! database, from there: documents registered over HTTP, or retired from the files and still
//! served.

use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;

use super::error::StartError;
use super::model_file::{compiler_of, load_model, with_ids, within};
use super::table::table;
use crate::config::{Config, Retention};
use crate::document_id::DocumentId;
use crate::graphql::{Compiler, OperationKind};
use crate::persisted::registered::rfc3339;
use crate::persisted::{Registry, files, stored};
use crate::store::admin;

/// One operation of a document.
#[derive(Debug, Serialize)]
struct Listed {
    id: DocumentId,
    operation: Option<String>,
    kind: &'static str,
    /// The field that makes the answer depend on the viewer, as `name (line:column)`; null if
    /// everybody gets the same answer.
    private: Option<String>,
    /// The query files with this document.
    files: Vec<String>,
    /// Whether it was registered over HTTP.
    stored: bool,
    /// Set if it has left the query files: the time until which it is served.
    retired_until: Option<String>,
}

/// The operations: a table of id, operation, kind and source, or the same as a JSON array.
///
/// # Errors
/// The mistakes of the model or of the query files.
pub async fn queries(config: &Config, json: bool) -> Result<String, StartError> {
    let compiler = compiler_of(config, Arc::new(with_ids(config, load_model(config)?)))?;
    let registry = Registry::default();
    let queries = within(&config.dir, files::DIRECTORY);
    let mistakes = files::register(&compiler, &queries, &registry).await;
    let mistakes =
        mistakes.with_context(|| format!("cannot read the queries in {}", queries.display()))?;
    if !mistakes.is_empty() {
        return Err(StartError::Mistakes(mistakes));
    }
    add_those_of_the_database(config, &compiler, &registry).await;
    let listed = listed(&compiler, &registry);
    if json {
        let json = serde_json::to_string_pretty(&listed).context("a list of operations is JSON")?;
        return Ok(json + "\n");
    }
    // Without rules, everything is public, which need not be mentioned.
    let has_rules = compiler.model().has_rules;
    let mut rows = vec![["ID", "OPERATION", "KIND", "FILE"].map(str::to_owned)];
    for operation in listed {
        let name = operation.operation.unwrap_or_else(|| "-".to_owned());
        let mut places = operation.files;
        if let Some(until) = operation.retired_until {
            places.push(format!("(no longer in a file; served until {until})"));
        } else if places.is_empty() {
            places.push("(registered over HTTP)".to_owned());
        }
        let kind = match operation.private {
            _ if !has_rules => operation.kind.to_owned(),
            None => format!("{}, public", operation.kind),
            Some(field) => format!("{}, private by {field}", operation.kind),
        };
        rows.extend(
            places
                .into_iter()
                .map(|place| [operation.id.to_string(), name.clone(), kind.clone(), place]),
        );
    }
    // By file, because readers know the files; documents without a file come last.
    rows[1..].sort_by(|a, b| {
        (a[3].starts_with('('), &a[3], &a[1]).cmp(&(b[3].starts_with('('), &b[3], &b[1]))
    });
    Ok(table(&rows))
}

/// A database that is missing or unreadable adds nothing: other commands report what is wrong with
/// it.
async fn add_those_of_the_database(config: &Config, compiler: &Compiler, registry: &Registry) {
    let found = admin::documents(&config.database);
    let Retention(retention) = config.document_retention;
    if let Ok(documents) = found {
        stored::add(compiler, registry, documents, retention).await;
    }
}

fn listed(compiler: &Compiler, registry: &Registry) -> Vec<Listed> {
    let mut all = Vec::new();
    for registered in registry.list() {
        for operation in registered.document.iter().flat_map(|document| document.operations()) {
            all.push(Listed {
                id: registered.id,
                operation: operation.name().map(str::to_owned),
                kind: match operation.kind() {
                    OperationKind::Query => "query",
                    OperationKind::Mutation => "mutation",
                },
                private: compiler.private_field(operation).map(|decider| decider.to_string()),
                files: registered.files.clone(),
                stored: registered.stored,
                retired_until: registered.retired.map(|retired| rfc3339(retired.until)),
            });
        }
    }
    all
}
