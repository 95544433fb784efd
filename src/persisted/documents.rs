//! The trusted documents of a running server, in step with its database: the next lookup finds what
//! another node has registered, and no longer finds what it has removed. How far the feed must have
//! come before a lookup is up to the caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::registered::{Registered, Sha256Hash};
use super::registry::{Registry, RemovalRefused, is_hash_of};
use super::stored::{checked_id, of_database, retired, seconds};
use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::{Document, Engine, GraphqlError};
use crate::store::{NewDocument, Store, StoreError, StoredDocument};

/// Why a document was not registered.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It is invalid.
    #[error("the document is invalid")]
    Invalid(Vec<GraphqlError>),
    /// The requested name, and the document that has it.
    #[error("`{0}` already names another document: {1}")]
    Taken(String, String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a document was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It is unknown, or it is in a file.
    #[error("the document is kept")]
    Refused(RemovalRefused),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A server's registry, and what keeps it in step with the database. Cheap to clone.
#[derive(Clone)]
pub struct Documents(Arc<Parts>);

struct Parts {
    registry: Arc<Registry>,
    engine: Engine,
    /// How long a document is served after it has left the query files.
    retention: Duration,
    /// Held while reading the database and compiling what was found there.
    turn: tokio::sync::Mutex<()>,
}

impl Documents {
    /// `registry` must already be subscribed to the engine's store, and loaded after that.
    pub fn new(engine: Engine, registry: Arc<Registry>, retention: Duration) -> Self {
        Self(Arc::new(Parts { registry, engine, retention, turn: tokio::sync::Mutex::default() }))
    }

    /// The documents as last known.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.registry
    }

    /// The document that a client names, as of when the feed last caught up.
    ///
    /// # Errors
    /// The database cannot be read, and the document is in no query file.
    pub async fn find(&self, name: &DocumentRef) -> Result<Option<Arc<Registered>>, StoreError> {
        let registry = &self.0.registry;
        match self.refresh().await {
            Ok(()) => match registry.resolve(name) {
                Some(id) => Ok(self.settled(id).await),
                None => Ok(None),
            },
            // A document from a file is served even without the database.
            Err(error) => {
                registry.find(name).filter(|found| !found.files.is_empty()).map(Some).ok_or(error)
            }
        }
    }

    /// The document whose text has this hash.
    ///
    /// # Errors
    /// See [`Self::find`].
    pub async fn by_hash(&self, hash: Sha256Hash) -> Result<Option<Arc<Registered>>, StoreError> {
        self.find(&hash.into()).await
    }

    /// All documents, ordered by id.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn list(&self) -> Result<Vec<Arc<Registered>>, StoreError> {
        self.refresh().await?;
        self.compile_all().await;
        Ok(self.0.registry.list())
    }

    /// Compiles, one after another, the documents that nobody has requested yet. Logs those that
    /// the model no longer allows.
    pub async fn compile_all(&self) {
        for id in self.0.registry.all_uncompiled() {
            self.settled(id).await;
            tokio::task::yield_now().await;
        }
    }

    /// Registers a document for all nodes, and also under this name. True if it was not registered
    /// before.
    ///
    /// # Errors
    /// Nothing was registered.
    pub async fn register(
        &self,
        id: DocumentId,
        text: Arc<str>,
        alias: Option<&str>,
    ) -> Result<bool, RegisterError> {
        self.refresh().await?;
        let alias = alias.filter(|alias| !is_hash_of(alias, id) && !is_sha256_of(alias, &text));
        let named = alias.map(|alias| (alias, self.0.registry.by_alias(alias)));
        if let Some((alias, Some(other))) =
            named.filter(|(_, named)| named.is_some_and(|named| named != id))
        {
            return Err(RegisterError::Taken(alias.to_owned(), other.to_string()));
        }
        let has_name = named.is_none_or(|(_, named)| named.is_some());
        let known = self.settled(id).await;
        if let Some(known) = &known {
            match &known.document {
                Ok(_) if known.stored && has_name => return Ok(false),
                // From here on it stays, even if it leaves the query files.
                Ok(_) => {}
                Err(errors) => return Err(RegisterError::Invalid(errors.clone())),
            }
        }
        let is_known = known.is_some();
        let document = match known.and_then(|known| known.document.as_ref().ok().cloned()) {
            Some(document) => document,
            None => self
                .0
                .engine
                .compiler()
                .compile_registered(id, text.clone())
                .await
                .map_err(RegisterError::Invalid)?,
        };
        let aliases = alias.map(str::to_owned).into_iter().collect();
        let new = NewDocument { id: id.to_string(), text: text.to_string(), aliases };
        let new = self
            .store()
            .insert_document(new)
            .await?
            .map_err(|taken| RegisterError::Taken(taken.alias, taken.id))?;
        // Read it back instead of inserting it directly: another node may have removed it since.
        self.refresh().await?;
        self.settle(id, Some(document)).await;
        Ok(new && !is_known)
    }

    /// Removes a document from all nodes.
    ///
    /// # Errors
    /// It is unknown or in a file, or the database failed.
    pub async fn remove(&self, id: DocumentId) -> Result<(), RemoveError> {
        self.refresh().await?;
        let registry = &self.0.registry;
        let files = registry.get(id).map(|registered| registered.files.clone()).unwrap_or_default();
        if !files.is_empty() {
            return Err(RemoveError::Refused(RemovalRefused::InFiles(files)));
        }
        if registry.resolve(&DocumentRef::Id(id)).is_none() {
            return Err(RemoveError::Refused(RemovalRefused::Unknown));
        }
        let name = id.to_string();
        if !self.store().delete_document(&name).await? {
            // Another writer has removed it, perhaps by hand, which the feed does not report.
            registry.outdated.mark(&[name]);
        }
        Ok(self.refresh().await?)
    }

    /// Removes the documents that left the query files longer ago than the retention.
    ///
    /// # Errors
    /// The database failed.
    pub async fn expire(&self) -> Result<(), StoreError> {
        let registry = &self.0.registry;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, seconds);
        let mut expired = registry.expired(now);
        let is_over = |id: &DocumentId| {
            let stored = registry.uncompiled(*id);
            stored
                .and_then(|stored| retired(stored.source, self.0.retention))
                .is_some_and(|it| it.until <= now)
        };
        expired.extend(registry.all_uncompiled().into_iter().filter(is_over));
        if expired.is_empty() {
            return Ok(());
        }
        self.store().delete_retired_documents(self.0.retention).await?;
        // Another node may have been faster, or somebody may have registered one of them.
        registry.outdated.mark(&expired.iter().map(DocumentId::to_string).collect::<Vec<_>>());
        self.refresh().await?;
        for id in expired.into_iter().filter(|id| registry.resolve(&DocumentRef::Id(*id)).is_none())
        {
            tracing::info!(%id, "a document that left the query files is no longer served: its time is over");
        }
        Ok(())
    }

    fn store(&self) -> &Store {
        self.0.engine.store()
    }

    /// Reads what the feed has reported as outdated, once for all waiting callers.
    async fn refresh(&self) -> Result<(), StoreError> {
        let outdated = &self.0.registry.outdated;
        if !outdated.is_any() {
            return Ok(());
        }
        let _turn = self.0.turn.lock().await;
        if !outdated.is_any() {
            return Ok(());
        }
        let reading = outdated.begin();
        let found = match &reading.ids {
            Some(ids) => self.store().documents_among(ids.clone()).await?,
            None => self.store().documents().await?,
        };
        self.follow(reading.ids.as_deref(), found);
        outdated.done(&reading);
        Ok(())
    }

    /// Brings the registry in step with the database. `ids`: the documents that were read; None:
    /// all.
    fn follow(&self, ids: Option<&[String]>, found: Vec<StoredDocument>) {
        let registry = &self.0.registry;
        let mut stored: HashMap<DocumentId, Option<StoredDocument>> = match ids {
            Some(ids) => ids.iter().filter_map(|id| Some((DocumentId::parse(id)?, None))).collect(),
            None => registry.ids().into_iter().map(|id| (id, None)).collect(),
        };
        for document in found {
            if let Some(id) = checked_id(&document.id, &document.text) {
                stored.insert(id, Some(document));
            }
        }
        for (id, stored) in stored {
            let retired =
                stored.as_ref().and_then(|stored| retired(stored.source, self.0.retention));
            registry.follow(id, stored, retired);
        }
    }

    /// The document with this id, compiled now if another node has registered it.
    async fn settled(&self, id: DocumentId) -> Option<Arc<Registered>> {
        let known = self.0.registry.get(id);
        if known.is_none() {
            self.settle(id, None).await;
            return self.0.registry.get(id);
        }
        known
    }

    async fn settle(&self, id: DocumentId, compiled: Option<Document>) {
        let registry = &self.0.registry;
        if registry.uncompiled(id).is_none() {
            return;
        }
        let _turn = self.0.turn.lock().await;
        let Some(StoredDocument { text, source, .. }) = registry.uncompiled(id) else { return };
        let text: Arc<str> = text.into();
        let document = match compiled {
            Some(document) => Ok(document),
            None => self.0.engine.compiler().compile_registered(id, text.clone()).await,
        };
        registry.settle(id, of_database(id, text, source, document, self.0.retention));
    }
}

/// Whether a name is the sha256 of the text, under which every document is known anyway.
fn is_sha256_of(alias: &str, text: &str) -> bool {
    alias.strip_prefix("sha256:").unwrap_or(alias) == Sha256Hash::of(text).to_string()
}
