//! An entity in progress.

use super::gathered::Values;
use super::names::{EntityName, Fields};
use super::source::{Column, Table};
use crate::model::{OnDelete, Scalar};

/// A table that is becoming an entity.
pub(super) struct Draft<'a> {
    pub(super) table: &'a Table,
    pub(super) names: EntityName,
    pub(super) key: Key,
    pub(super) fields: Vec<DraftField<'a>>,
    /// Inverse relations: name, type, the relation on the other side.
    pub(super) lists: Vec<(String, String, String)>,
    pub(super) taken: Fields,
    /// Fields that are unique together, but whose lookup would have the name of another root field.
    pub(super) nameless: Vec<Vec<String>>,
    /// What its reader should know, besides the fields.
    pub(super) notes: Vec<String>,
}

/// Who generates the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// SQLite, as the rowid.
    RowNumber,
    /// Nobody here; they are integers.
    Number,
    /// freshql.
    Uuid,
    /// Clients.
    Text,
}

/// A column that is becoming a field.
pub(super) struct DraftField<'a> {
    pub(super) column: &'a Column,
    pub(super) values: Values,
    pub(super) name: String,
    /// The name of its type; None if the field is left out.
    pub(super) ty: Option<String>,
    pub(super) scalar: Option<Scalar>,
    pub(super) is_key: bool,
    pub(super) relation: Option<Relation>,
    pub(super) note: Option<String>,
}

impl DraftField<'_> {
    pub(super) fn holds_texts(&self) -> bool {
        self.relation.is_none() && self.scalar == Some(Scalar::String)
    }
}

/// A foreign key that the model can express.
pub(super) struct Relation {
    pub(super) on_delete: OnDelete,
}
