//! The state that handlers share.

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::admin_token::AdminToken;
use super::aside::Aside;
use super::cors::Cors;
use super::once::UnderWay;
use super::respond::{Policies, Representation};
use super::sdl::Sdl;
use crate::cache::ResponseCache;
use crate::config::{Config, Limits, Mode};
use crate::graphql::Engine;
use crate::identity::Authenticator;
use crate::persisted::{Documents, LearnedDocuments, Registry};
use crate::store::Store;

/// The state of the server. A single pointer, since the router clones it several times per request.
#[derive(Clone)]
pub(crate) struct AppState(Arc<Handles>);

/// The fields of an [`AppState`].
pub(crate) struct Handles {
    pub(super) engine: Engine,
    pub(super) store: Store,
    pub(super) documents: Documents,
    pub(super) registry: Arc<Registry>,
    pub(super) learned: LearnedDocuments,
    pub(super) cache: ResponseCache<Representation>,
    pub(super) policies: Policies,
    pub(super) sdl: Sdl,
    pub(super) mode: Mode,
    pub(super) idempotency_retention: Duration,
    pub(super) dir: PathBuf,
    pub(super) introspection: bool,
    pub(super) limits: Limits,
    pub(super) cors: Cors,
    pub(super) admin_token: AdminToken,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) aside: Aside,
    pub(super) under_way: UnderWay,
}

impl Deref for AppState {
    type Target = Handles;

    fn deref(&self) -> &Handles {
        &self.0
    }
}

impl AppState {
    /// Takes from the configuration what requests need. `authenticator` is built from the same
    /// configuration.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub(crate) fn new(
        config: &Config,
        authenticator: Arc<Authenticator>,
        engine: Engine,
        store: Store,
        registry: Arc<Registry>,
    ) -> std::io::Result<Self> {
        Ok(Self(Arc::new(Handles {
            cache: ResponseCache::new(store.clone(), config.cache_size.0, config.consistency),
            policies: Policies::default(),
            sdl: Sdl::new(engine.compiler().sdl()),
            documents: Documents::new(
                engine.clone(),
                registry.clone(),
                config.document_retention.0,
            ),
            engine,
            store,
            registry,
            learned: LearnedDocuments::default(),
            mode: config.mode,
            idempotency_retention: config.idempotency_retention.0,
            dir: config.dir.clone(),
            introspection: config.introspection,
            limits: config.limits,
            cors: Cors::new(&config.cors_origins, config.cors_credentials),
            admin_token: AdminToken::new(config.admin_token.as_ref()),
            authenticator,
            aside: Aside::start()?,
            under_way: UnderWay::default(),
        })))
    }

    pub(crate) fn documents(&self) -> &Documents {
        &self.documents
    }

    /// The trusted documents, including everything that any node registered or removed before this
    /// call (or a little earlier by others: see [`Consistency`](crate::config::Consistency)).
    pub(super) async fn current_documents(&self) -> &Documents {
        if !self.cache.catch_up().await {
            // The feed cannot report changes of documents, so they must be read from the table.
            self.registry.doubt();
        }
        &self.documents
    }
}
