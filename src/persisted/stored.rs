//! Documents in the database, shared by all nodes that serve it: those that the operator registered
//! over the API, and those that were in query files until recently, which pages that are still open
//! keep requesting. This file is for servers that start; see [`super::documents`] for running ones.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::registered::{Registered, Retired};
use super::registry::Registry;
use crate::document_id::DocumentId;
use crate::graphql::{Compiler, Document, GraphqlError};
use crate::store::{DocumentSource, NewDocument, Store, StoreError, StoredDocument};

/// Records the documents of the query files, so that they can be served for a while after they have
/// left. Call this before [`load`].
///
/// # Errors
/// The database failed.
pub async fn record(
    store: &Store,
    registry: &Registry,
    retention: Duration,
) -> Result<(), StoreError> {
    let listed = registry.list();
    let of_files = listed.iter().filter(|registered| !registered.files.is_empty());
    let of_files: HashMap<String, NewDocument> = of_files
        .map(|known| {
            let (id, text) = (known.id.to_string(), known.text.to_string());
            (id.clone(), NewDocument { id, text, aliases: registry.aliases(known.id) })
        })
        .collect();
    store.replace_file_documents(of_files).await?;
    let forgotten = store.delete_retired_documents(retention).await?;
    if forgotten > 0 {
        tracing::info!(
            documents = forgotten,
            "forgot documents that left the query files long ago"
        );
    }
    Ok(())
}

/// Registers all documents of the database. They are compiled when somebody requests them, or by
/// [`Documents::compile_all`](super::Documents::compile_all), so that even a server with thousands
/// of them listens at once.
///
/// # Errors
/// The database failed.
pub async fn load(
    store: &Store,
    registry: &Registry,
    retention: Duration,
) -> Result<(), StoreError> {
    // Changes by other nodes from here on are read again by the first lookup.
    let reading = registry.outdated.begin();
    for document in store.documents().await? {
        if let Some(id) = checked_id(&document.id, &document.text) {
            let retired = retired(document.source, retention);
            registry.follow(id, Some(document), retired);
        }
    }
    registry.outdated.done(&reading);
    Ok(())
}

/// Registers and compiles all documents, for commands that inspect them and serve none.
///
/// # Errors
/// The database failed.
pub async fn load_compiled(
    compiler: &Compiler,
    store: &Store,
    registry: &Registry,
    retention: Duration,
) -> Result<(), StoreError> {
    let reading = registry.outdated.begin();
    add(compiler, registry, store.documents().await?, retention).await;
    registry.outdated.done(&reading);
    Ok(())
}

/// Registers these documents, compiled.
///
/// A document that was registered over the API and no longer fits the model is kept with a warning:
/// it was valid when it was registered. One that left the query files is dropped in that case.
pub async fn add(
    compiler: &Compiler,
    registry: &Registry,
    documents: Vec<StoredDocument>,
    retention: Duration,
) {
    for StoredDocument { id, text, source, aliases } in documents {
        let text: Arc<str> = text.into();
        let Some(actual) = checked_id(&id, &text) else { continue };
        registry.set_aliases(actual, &aliases);
        let is_of_files = matches!(source, DocumentSource::File { .. });
        if is_of_files && registry.get(actual).is_some_and(|known| !known.files.is_empty()) {
            continue;
        }
        let document = compiler.compile_registered(actual, Arc::clone(&text)).await;
        if let Some(registered) = of_database(actual, text, source, document, retention) {
            registry.add_of_database(registered);
        }
    }
}

/// The id of a stored document. None if it is not the hash of its text, which means that it was
/// written by hand.
pub(super) fn checked_id(id: &str, text: &str) -> Option<DocumentId> {
    let actual = DocumentId::of(text);
    if DocumentId::parse(id) != Some(actual) {
        tracing::warn!(id, %actual, "a stored document is ignored: its id is not the hash of its text");
        return None;
    }
    Some(actual)
}

/// What to serve of a document that is in the database but in no file: see [`add`].
pub(super) fn of_database(
    id: DocumentId,
    text: Arc<str>,
    source: DocumentSource,
    document: Result<Document, Vec<GraphqlError>>,
    retention: Duration,
) -> Option<Registered> {
    if let Ok(document) = &document {
        document.rest();
    }
    if let Err(errors) = &document {
        let reasons: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        let reasons = reasons.join("; ");
        if source != DocumentSource::Http {
            tracing::warn!(
                %id,
                reasons,
                "a document that left the query files is no longer served: it no longer fits the model"
            );
            return None;
        }
        tracing::warn!(%id, reasons, "a stored document is no longer valid; delete it or change the model");
    }
    let (stored, retired) = (source == DocumentSource::Http, retired(source, retention));
    Some(Registered { id, text, document, files: Vec::new(), stored, retired })
}

/// When a document was retired, and until when it is kept.
pub(super) fn retired(source: DocumentSource, retention: Duration) -> Option<Retired> {
    let DocumentSource::File { retired_at: Some(since) } = source else { return None };
    Some(Retired { since, until: since.saturating_add(seconds(retention)) })
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
