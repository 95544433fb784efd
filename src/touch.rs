//! The words for what an answer read and what a write changed: versions, dependencies, changes.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

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

impl Touched {
    /// Keeps the first of each.
    pub fn of(mut dependencies: Vec<Dependency>) -> Self {
        let mut seen = HashSet::with_capacity(dependencies.len());
        dependencies.retain(|dependency| seen.insert(dependency.key()));
        Self { dependencies }
    }
}

impl Dependency {
    /// Equal for equal dependencies (and, by bad luck of one in 2⁶⁴, for others, which does no harm: too much is
    /// executed again, never too little).
    pub fn key(&self) -> u64 {
        let mut hasher = std::hash::DefaultHasher::new();
        match self {
            Self::Row(entity, id) => {
                (0_u8, entity).hash(&mut hasher);
                hash_value(id, &mut hasher);
            }
            Self::Part(entity, column, value) => {
                (1_u8, entity, column).hash(&mut hasher);
                hash_value(value, &mut hasher);
            }
            Self::Set(entity) => (2_u8, entity).hash(&mut hasher),
        }
        hasher.finish()
    }
}

fn hash_value(value: &Value, hasher: &mut impl Hasher) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Int(value) => (1_u8, value).hash(hasher),
        Value::Real(value) => (2_u8, value.to_bits()).hash(hasher),
        Value::Text(text) => (3_u8, text).hash(hasher),
    }
}
