//! The words for what an answer read and what a write changed: versions, dependencies, changes.

use crate::model::{ColumnId, EntityId, Value};

/// A row's last change on the database's one never-reset clock: the `seq` of its last record in the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version(pub i64);

/// What an answer depended on.
#[derive(Debug, Clone, PartialEq)]
pub enum Dependency {
    /// A row that was read, or looked up by key and not found. Changed by any change of that row.
    Row(EntityId, Value),
    /// The rows of an entity whose column has this value. Changed by inserts, deletes, and updates of a row whose old or
    /// new value it is.
    Part(EntityId, ColumnId, Value),
    /// All rows of an entity.
    Set(EntityId),
}

/// What an answer depended on, without repetition, in the order of first use.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    /// The dependencies.
    pub dependencies: Vec<Dependency>,
}
