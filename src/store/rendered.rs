//! The statements that writing has needed so far: to put one together costs as much as to run it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{ColumnId, EntityId};
use crate::store::statement::Statement;

/// So many are kept. A model has few, but clients choose which columns an update names.
const MOST: usize = 1_000;

/// What a statement is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum Purpose {
    /// Reads these columns of a row, and its version.
    State(Vec<ColumnId>),
    /// Sets these columns of a new row.
    Insert(Vec<ColumnId>),
    /// Sets these columns of a row; at one version only, or at any.
    Update(Vec<ColumnId>, bool),
    /// Deletes a row; at one version only, or at any.
    Delete(bool),
    /// The same as one of these, in a flight that is undone where it has not done what it says.
    Guarded(Guarded),
}

/// A statement of a mutation that was told ahead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum Guarded {
    /// Sets these columns of a new row.
    Insert(Vec<ColumnId>),
    /// Sets these columns of a row; at one version only, or at any.
    Update(Vec<ColumnId>, bool),
    /// Keeps others from a row that is to be deleted; at one version only, or at any.
    Lock(bool),
    /// Deletes it.
    Delete,
    /// Looks whether it is gone.
    Gone,
}

/// The writer's statements. They hold for its model, which never changes.
#[derive(Debug, Default)]
pub(in crate::store) struct Rendered(Mutex<HashMap<(EntityId, Purpose), Arc<Statement>>>);

impl Rendered {
    /// The statement for this purpose, from `render` if it is needed for the first time.
    pub(in crate::store) fn get(
        &self,
        entity: EntityId,
        purpose: Purpose,
        render: impl FnOnce() -> Statement,
    ) -> Arc<Statement> {
        let key = (entity, purpose);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&key) {
            return known.clone();
        }
        let statement = Arc::new(render());
        if all.len() >= MOST {
            all.clear();
        }
        all.insert(key, statement.clone());
        statement
    }
}
