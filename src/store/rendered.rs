//! The statements that writes have needed so far: rendering one costs as much as running it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{ColumnId, EntityId};
use crate::store::statement::Statement;

/// The maximum number to keep. A model has few, but clients choose which columns an update names.
const MOST: usize = 1_000;

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
}

/// The writer's statements, by purpose. They are valid for its model, which never changes.
#[derive(Debug)]
pub(in crate::store) struct Rendered<P = Purpose, S = Statement>(
    Mutex<HashMap<(EntityId, P), Arc<S>>>,
);

impl<P, S> Default for Rendered<P, S> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<P: Eq + Hash, S> Rendered<P, S> {
    /// The statement for this purpose; rendered on first use.
    pub(in crate::store) fn get(
        &self,
        entity: EntityId,
        purpose: P,
        render: impl FnOnce() -> S,
    ) -> Arc<S> {
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
