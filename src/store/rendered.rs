//! The statements that writes have needed so far: rendering one costs as much as running it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{ColumnId, EntityId};
use crate::store::statement::Statement;

/// The maximum number to keep. A model has few, but clients choose which columns an update names.
const MOST: usize = 1_000;

/// The purpose of a statement.
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
    /// One of these as part of a flight, which is undone if the statement has not had its effect.
    Guarded(Guarded),
}

/// A statement of a mutation whose steps are known ahead.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum Guarded {
    /// Sets these columns of a new row.
    Insert(Vec<ColumnId>),
    /// Sets these columns of a row; at one version only, or at any.
    Update(Vec<ColumnId>, bool),
    /// Locks a row that is to be deleted; at one version only, or at any.
    Lock(bool),
    /// Deletes it.
    Delete,
    /// Checks that it is gone.
    Gone,
}

/// The writer's statements. They are valid for its model, which never changes.
#[derive(Debug, Default)]
pub(in crate::store) struct Rendered(Mutex<HashMap<(EntityId, Purpose), Arc<Statement>>>);

impl Rendered {
    /// The statement for this purpose; rendered on first use.
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
