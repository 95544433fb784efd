//! What a feed's subscribers know: up to which snapshot, and in which state of the schema.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use super::snapshot::Snapshot;
use super::tables::TableState;
use crate::dependency::Version;
use crate::model::{EntityId, Model};
use crate::store::feed::{Position, Subscribers};
use crate::store::guard::Guard;
use crate::store::postgres::guarded::{Guarded, GuardedStatement, TableWatch};
use crate::store::rendered::Rendered;

/// The subscribers, and what they know.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) model: Arc<Model>,
    pub(super) subscribers: Arc<Subscribers>,
    /// What they know. Locked while they are notified, so that events come in order.
    pub(super) applied: Mutex<Applied>,
    /// The state up to which they know everything: [`Self::applied`] for readers, after they have
    /// been notified.
    pub(super) covered: ArcSwap<Applied>,
    /// A number that changes when connections must be opened anew: the server is another one, or
    /// plans were made while the role was allowed more or less.
    pub(super) era: AtomicI64,
    pub(super) schema: ArcSwap<Schema>,
}

impl Known {
    pub(super) fn new(
        model: Arc<Model>,
        subscribers: Arc<Subscribers>,
        applied: Applied,
        schema: Schema,
        era: i64,
    ) -> Self {
        Self {
            model,
            subscribers,
            covered: ArcSwap::from_pointee(applied.clone()),
            era: AtomicI64::new(era),
            applied: Mutex::new(applied),
            schema: ArcSwap::from_pointee(schema),
        }
    }
}

/// The known state of the schema.
#[derive(Debug, Clone)]
pub(in crate::store) struct Schema {
    /// Identifies the database and the state of its schema: part of every validator.
    pub(in crate::store) identity: [u8; 16],
    /// What it is computed from, as stored in `_freshql_meta`.
    pub(in crate::store) epoch: String,
    pub(in crate::store) history: String,
    /// How far versions can be trusted in that state.
    pub(in crate::store) guard: Arc<Guard>,
    /// The states of the tables, by entity.
    pub(in crate::store) tables: Arc<[TableState]>,
    /// The statements that mutations have needed in that state.
    pub(in crate::store) statements: Arc<Rendered<Guarded, Option<GuardedStatement>>>,
}

impl Schema {
    /// How a statement notices that the table of this entity was altered; None: it cannot.
    pub(in crate::store) fn watch(&self, entity: EntityId) -> Option<&TableWatch> {
        self.tables.get(usize::from(entity.0))?.watch.as_ref()
    }

    /// Whether an UPDATE can return the final row of this entity.
    pub(in crate::store) fn is_plain(&self, entity: EntityId) -> bool {
        self.tables.get(usize::from(entity.0)).is_some_and(|table| table.is_plain)
    }
}

/// The state of the database that the subscribers know.
#[derive(Debug, Clone)]
pub(super) struct Applied {
    pub(super) snapshot: Snapshot,
    pub(super) life: [u8; 16],
    /// When the server was started: after a restart, it could be an older copy of itself.
    pub(super) server: i64,
}

impl Applied {
    /// Whether the log has everything that has happened since. `floor`: the records of transactions
    /// below it were pruned.
    pub(super) fn leads_to(&self, now: &Self, floor: u64) -> bool {
        self.life == now.life
            && self.server == now.server
            && self.snapshot.xmax <= now.snapshot.xmax
            && self.snapshot.xmin >= floor
    }

    /// The position in the order of commits.
    pub(super) fn position(&self) -> Position {
        Position::at(Version(i64::try_from(self.snapshot.xmax).unwrap_or(i64::MAX)))
    }
}
