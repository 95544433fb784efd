//! What all runs of operations share, and what each of them gives.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

use crate::cache_control::Policy;
use crate::config::AnswerLimits;
use crate::dependency::Dependencies;
use crate::etag::{EntityEtagKey, ResponseEtag};
use crate::graphql::bound::BoundPlan;
use crate::graphql::compile::Roots;
use crate::graphql::compiler::Compiler;
use crate::graphql::read::{Context, Reader};
use crate::graphql::unreadable::Mentioned;
use crate::model::Model;
use crate::store::{Guard, StoreError};

/// A query's or mutation's successful answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The whole response body: `{"data":…,"extensions":{"etag":…}}` (with `errors`, if there are
    /// `field_errors`).
    pub body: Bytes,
    /// None for mutations, for answers with field errors, and if versions do not cover every change
    /// to the rows that were read: such answers have no validator and are never stored.
    pub etag: Option<ResponseEtag>,
    /// Whether fields are null because of an error in the data; the body then has `errors` next to
    /// `data`.
    pub field_errors: bool,
    /// How caches may use it.
    pub policy: Policy,
    /// Its dependencies.
    pub dependencies: Dependencies,
}

impl Answer {
    /// The answer to a mutation, which no cache keeps.
    pub(super) fn to_mutation(mut reader: Reader<'_>, policy: Policy) -> Self {
        let dependencies = reader.dependencies();
        Self { body: reader.out.into(), etag: None, field_errors: false, policy, dependencies }
    }
}

pub(super) struct Parts {
    pub(super) compiler: Compiler,
    pub(super) roots: Roots,
    /// For the epoch of the last operation.
    pub(super) etag_keys: ArcSwap<EtagKeys>,
    pub(super) limits: AnswerLimits,
    pub(super) mentioned: Mentioned,
}

/// The keys that row ETags are computed with.
pub(super) struct EtagKeys {
    pub(super) epoch: [u8; 16],
    pub(super) by_entity: Vec<EntityEtagKey>,
}

impl EtagKeys {
    fn new(epoch: [u8; 16], model: &Model) -> Self {
        let by_entity =
            model.entities.iter().map(|entity| EntityEtagKey::new(&epoch, &entity.name)).collect();
        Self { epoch, by_entity }
    }
}

impl Parts {
    pub(super) fn new(compiler: Compiler, limits: AnswerLimits) -> Self {
        let model = compiler.model();
        let etag_keys = ArcSwap::from_pointee(EtagKeys::new([0; 16], model));
        let roots = Roots::of(model);
        Self { compiler, roots, etag_keys, limits, mentioned: Mentioned::default() }
    }

    pub(super) fn context<'a>(&'a self, bound: &'a BoundPlan, keys: &'a EtagKeys) -> Context<'a> {
        Context {
            model: self.compiler.model(),
            etag_keys: &keys.by_entity,
            bound,
            limits: self.limits,
        }
    }

    /// Computed again only if the database was migrated or replaced.
    pub(super) fn etag_keys(&self, epoch: [u8; 16]) -> Arc<EtagKeys> {
        let last = self.etag_keys.load_full();
        if last.epoch == epoch {
            return last;
        }
        let keys = Arc::new(EtagKeys::new(epoch, self.compiler.model()));
        self.etag_keys.store(keys.clone());
        keys
    }
}

/// If a table has lost its version column, all our statements on it fail.
pub(super) fn unversioned(error: StoreError, guard: &Guard) -> StoreError {
    match error {
        StoreError::Database(error) if !guard.is_whole() => {
            StoreError::Unguarded(error.to_string())
        }
        error => error,
    }
}
