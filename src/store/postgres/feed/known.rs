//! What the subscribers of a feed know: up to which snapshot, and in which state of the schema.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::snapshot::Snapshot;
use crate::dependency::Version;
use crate::model::Model;
use crate::store::feed::{Position, Subscribers};
use crate::store::guard::Guard;

/// What they know, and who they are.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) model: Arc<Model>,
    pub(super) subscribers: Arc<Subscribers>,
    /// What the subscribers know. Held while they are told, so that events come in order.
    pub(super) applied: Mutex<Applied>,
    /// The snapshot up to which they know everything.
    pub(super) covered: ArcSwap<Snapshot>,
    pub(super) schema: ArcSwap<Schema>,
}

impl Known {
    pub(super) fn new(
        model: Arc<Model>,
        subscribers: Arc<Subscribers>,
        applied: Applied,
        schema: Schema,
    ) -> Self {
        Self {
            model,
            subscribers,
            covered: ArcSwap::from_pointee(applied.snapshot.clone()),
            applied: Mutex::new(applied),
            schema: ArcSwap::from_pointee(schema),
        }
    }
}

/// What is known of the schema.
#[derive(Debug, Clone)]
pub(in crate::store) struct Schema {
    /// Which database this is, and which state of its schema: part of every validator.
    pub(in crate::store) identity: [u8; 16],
    /// What that is made of, as `_freshql_meta` has it.
    pub(in crate::store) epoch: String,
    pub(in crate::store) history: String,
    /// What versions tell in that state.
    pub(in crate::store) guard: Arc<Guard>,
}

/// The state of the database that the subscribers know.
#[derive(Debug, Clone)]
pub(super) struct Applied {
    pub(super) snapshot: Snapshot,
    pub(super) life: [u8; 16],
    /// When the server was started: afterwards it could be an older copy of itself.
    pub(super) server: String,
}

impl Applied {
    /// Whether all that has happened since stands in the log. `floor`: the records of transactions
    /// below were pruned.
    pub(super) fn leads_to(&self, now: &Self, floor: u64) -> bool {
        self.life == now.life
            && self.server == now.server
            && self.snapshot.xmax <= now.snapshot.xmax
            && self.snapshot.xmin >= floor
    }

    /// Where in the order of commits that is.
    pub(super) fn position(&self) -> Position {
        Position::at(Version(i64::try_from(self.snapshot.xmax).unwrap_or(i64::MAX)))
    }
}
