//! Documents in the database, shared by all nodes that start on it: those that the operator registers over the API, and
//! those that were in query files until not long ago, which pages that are still open go on asking for.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::registry::{Kept, Registry, Retired};
use crate::document_id::DocumentId;
use crate::graphql::{Compiler, GraphqlError};
use crate::store::{Source, Store, StoreError, StoredDocument};

/// Why a document was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It is invalid.
    #[error("the document is invalid")]
    Invalid(Vec<GraphqlError>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a document was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It is unknown, or in a file.
    #[error("the document is kept")]
    Kept(Kept),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes down the documents of the query files, so that they can be served for a while after they have left. To be done
/// before [`load`].
///
/// # Errors
/// The database failed.
pub async fn record(store: &Store, registry: &Registry, retention: Duration) -> Result<(), StoreError> {
    let listed = registry.list();
    let of_files = listed.iter().filter(|registered| !registered.files.is_empty());
    store.replace_file_documents(of_files.map(|r| (r.id.to_string(), r.text.to_string())).collect()).await?;
    let forgotten = store.delete_retired_documents(retention).await?;
    if forgotten > 0 {
        tracing::info!(documents = forgotten, "forgot documents that left the query files long ago");
    }
    Ok(())
}

/// Registers all documents of the database.
///
/// One that was registered over the API and that the model no longer allows is kept and warned of: it was valid when it
/// was registered, and a server that does not start helps nobody. One that left the query files is dropped then.
///
/// # Errors
/// The database failed.
pub async fn load(
    compiler: &Compiler,
    store: &Store,
    registry: &Registry,
    retention: Duration,
) -> Result<(), StoreError> {
    add(compiler, registry, store.documents().await?, retention).await;
    Ok(())
}

/// Registers these documents, as [`load`] does.
pub async fn add(compiler: &Compiler, registry: &Registry, documents: Vec<StoredDocument>, retention: Duration) {
    for StoredDocument { id, text, source } in documents {
        let text: Arc<str> = text.into();
        let actual = DocumentId::of(&text);
        if DocumentId::parse(&id) != Some(actual) {
            tracing::warn!(id, %actual, "a stored document is left out: its text does not hash to its id");
            continue;
        }
        let is_of_files = matches!(source, Source::File { .. });
        if is_of_files && registry.get(actual).is_some_and(|known| !known.files.is_empty()) {
            continue;
        }
        let document = compiler.compile(actual, Arc::clone(&text)).await;
        let reasons = document.as_ref().err().map(|errors| {
            let reasons: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
            reasons.join("; ")
        });
        match (source, document) {
            (Source::Http, document) => {
                if let Some(reasons) = reasons {
                    tracing::warn!(id, reasons, "a stored document is no longer valid; delete it or change the model");
                }
                registry.add_stored(actual, text, document);
            }
            (Source::File { retired_at }, Ok(document)) => {
                let retired =
                    retired_at.map(|since| Retired { since, until: since.saturating_add(seconds(retention)) });
                registry.add_of_files(actual, text, document, retired);
            }
            (Source::File { .. }, Err(_)) => {
                tracing::warn!(
                    id,
                    reasons,
                    "a document that left the query files is no longer served: it does not fit the model any more"
                );
            }
        }
    }
}

/// Forgets the documents that left the query files longer ago than the configuration lets them stay.
///
/// # Errors
/// The database failed.
pub async fn expire(store: &Store, registry: &Registry, retention: Duration) -> Result<(), StoreError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, seconds);
    let expired = registry.expired(now);
    if expired.is_empty() {
        return Ok(());
    }
    store.delete_retired_documents(retention).await?;
    for id in expired {
        tracing::info!(%id, "a document that left the query files is no longer served: its time is over");
        // An error means that it is gone, or in a file.
        let _ = registry.remove(id);
    }
    Ok(())
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Registers a document, first in the database, then here. True if it was not registered before.
///
/// # Errors
/// Nothing was registered.
pub async fn register(
    compiler: &Compiler,
    store: &Store,
    registry: &Registry,
    id: DocumentId,
    text: Arc<str>,
) -> Result<bool, RegisterError> {
    let known = registry.get(id);
    if let Some(known) = &known {
        match &known.document {
            Ok(_) if known.stored => return Ok(false),
            // From here on it stays, whatever becomes of the query files.
            Ok(_) => {}
            Err(errors) => return Err(RegisterError::Invalid(errors.clone())),
        }
    }
    let document = compiler.compile(id, Arc::clone(&text)).await.map_err(RegisterError::Invalid)?;
    let new = store.insert_document(id.to_string(), text.to_string()).await?;
    registry.add_stored(id, text, Ok(document));
    Ok(new && known.is_none())
}

/// Removes a document, first from the database, then here.
///
/// # Errors
/// It is unknown or in a file, or the database failed.
pub async fn remove(store: &Store, registry: &Registry, id: DocumentId) -> Result<(), RemoveError> {
    let registered = registry.get(id).ok_or(RemoveError::Kept(Kept::Unknown))?;
    if registered.files.is_empty() {
        store.delete_document(&id.to_string()).await?;
    }
    registry.remove(id).map_err(RemoveError::Kept)
}
