//! Documents in the database, shared by all nodes that serve it: those that the operator registers
//! over the API, and those that were in query files until not long ago, which pages that are still
//! open go on asking for. Here is what a server does with them when it starts; what it does while
//! it runs is in [`super::documents`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::registry::{Registered, Registry, Retired};
use crate::document_id::DocumentId;
use crate::graphql::{Compiler, Document, GraphqlError};
use crate::store::{DocumentSource, NewDocument, Store, StoreError, StoredDocument};

/// Writes down the documents of the query files, so that they can be served for a while after they
/// have left. To be done before [`load`].
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

/// Registers all documents of the database. They are compiled when somebody asks for them, or by
/// [`Documents::compile_all`](super::Documents::compile_all): a server with thousands of them is to
/// listen at once.
///
/// # Errors
/// The database failed.
pub async fn load(
    store: &Store,
    registry: &Registry,
    retention: Duration,
) -> Result<(), StoreError> {
    // What other nodes change from here on is read again by the first look-up.
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

/// The same, and compiles them, for who wants to know all of them and serves none.
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
/// One that was registered over the API and that the model no longer allows is kept and warned of:
/// it was valid when it was registered. One that left the query files is dropped then.
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

/// The id of a stored document. None where its text does not hash to it: somebody has written it by
/// hand.
pub(super) fn checked_id(id: &str, text: &str) -> Option<DocumentId> {
    let actual = DocumentId::of(text);
    if DocumentId::parse(id) != Some(actual) {
        tracing::warn!(id, %actual, "a stored document is left out: its text does not hash to its id");
        return None;
    }
    Some(actual)
}

/// What is served of a document that the database has and no file: see [`add`].
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
                "a document that left the query files is no longer served: it does not fit the model any more"
            );
            return None;
        }
        tracing::warn!(%id, reasons, "a stored document is no longer valid; delete it or change the model");
    }
    let (stored, retired) = (source == DocumentSource::Http, retired(source, retention));
    Some(Registered { id, text, document, files: Vec::new(), stored, retired })
}

/// Since when a document is retired, and until when it stays.
pub(super) fn retired(source: DocumentSource, retention: Duration) -> Option<Retired> {
    let DocumentSource::File { retired_at: Some(since) } = source else { return None };
    Some(Retired { since, until: since.saturating_add(seconds(retention)) })
}

pub(super) fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}
