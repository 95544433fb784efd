//! Documents that the operator registers over the API. They are kept in the database, so they survive a restart and are
//! shared by all nodes that start on it.

use std::sync::Arc;

use super::registry::{Kept, Registry};
use crate::document_id::DocumentId;
use crate::graphql::{Compiler, GraphqlError};
use crate::store::{Store, StoreError};

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

/// Registers all documents of the database. One that the model no longer allows is kept and warned of: it was valid when
/// it was registered, and a server that does not start helps nobody.
///
/// # Errors
/// The database failed.
pub async fn load(compiler: &Compiler, store: &Store, registry: &Registry) -> Result<(), StoreError> {
    for (id, text) in store.documents().await? {
        let text: Arc<str> = text.into();
        let actual = DocumentId::of(&text);
        if DocumentId::parse(&id) != Some(actual) {
            tracing::warn!(id, %actual, "a stored document is left out: its text does not hash to its id");
            continue;
        }
        let document = compiler.compile(actual, Arc::clone(&text)).await;
        if let Err(errors) = &document {
            let reasons: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
            tracing::warn!(
                id,
                reasons = reasons.join("; "),
                "a stored document is no longer valid; delete it or mend the model"
            );
        }
        registry.add_stored(actual, text, document);
    }
    Ok(())
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
    if let Some(known) = registry.get(id) {
        return match &known.document {
            Ok(_) => Ok(false),
            Err(errors) => Err(RegisterError::Invalid(errors.clone())),
        };
    }
    let document = compiler.compile(id, Arc::clone(&text)).await.map_err(RegisterError::Invalid)?;
    let new = store.insert_document(id.to_string(), text.to_string()).await?;
    registry.add_stored(id, text, Ok(document));
    Ok(new)
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
