//! The contents of the change log in terms of the model. How a driver's triggers write them and how
//! they are read is up to the driver.

use crate::dependency::{Mark, Version};
use crate::model::{ColumnId, EntityId, Value};

/// A record: one row has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its position on the clock, in microseconds since 1970 or just above. Numbers ascend, with
    /// gaps.
    pub seq: Version,
    /// The entity of the row.
    pub entity: EntityId,
    /// Its key.
    pub id: Value,
    /// What happened.
    pub op: Op,
    /// For each column that can restrict lists, the values under which the row was or is found: one
    /// value for an insert or delete, the old and the new one for an update (twice the same if the
    /// column did not change).
    pub parts: Vec<(ColumnId, Vec<Value>)>,
    /// Columns whose values in the record cannot be read: the row may have been in any part by
    /// these columns.
    pub unread: Vec<ColumnId>,
}

/// The contents of a range of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Changes to rows of the model's entities.
    pub rows: Vec<Change>,
    /// The ids of registered documents that were added or removed, or whose reason for being kept
    /// changed.
    pub documents: Vec<String>,
}

impl Changes {
    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.documents.is_empty()
    }
}

/// What happened to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// The row was inserted.
    Insert,
    /// These columns changed.
    Update(Vec<ColumnId>),
    /// The row was deleted, or may have been: the row that an `INSERT` finds in its place is
    /// recorded before SQLite decides what happens to it.
    Delete,
}

/// A record, and when it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What happened.
    pub change: Change,
    /// In seconds since 1970.
    pub at: i64,
}

/// What a mark of a change refers to, within the entity of the change.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spot<'a> {
    /// The row itself.
    Row,
    /// The set of all rows: a row was inserted or deleted.
    Set,
    /// This column, in any row.
    ColumnInSet(ColumnId),
    /// The part of this column and value: a row entered or left it.
    Part(ColumnId, &'a Value),
    /// The last column, in a row of this part.
    ColumnInPart(ColumnId, &'a Value, ColumnId),
    /// Any part by this column.
    AnyPart(ColumnId),
    /// Everything that was read of the entity.
    Everything,
}

impl Change {
    /// Any row of this entity may have changed, because its table was emptied or rewritten.
    pub(in crate::store) fn of_everything(seq: Version, entity: EntityId) -> Self {
        Self { seq, entity, id: Value::Null, op: Op::Delete, parts: Vec::new(), unread: Vec::new() }
    }

    /// Whether it refers to no single row: everything that was read of its entity may have changed.
    pub fn is_of_everything(&self) -> bool {
        self.id == Value::Null
    }

    /// The marks of this change.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        self.spots(|_, mark| marks.push(mark));
        marks
    }

    /// The marks of this change, each with what it refers to.
    pub fn spots<'a>(&'a self, mut each: impl FnMut(Spot<'a>, Mark)) {
        let entity = self.entity;
        // If the log has no key for an inserted or updated row, it still has the row's parts.
        if self.is_of_everything() && self.op == Op::Delete && self.parts.is_empty() {
            return each(Spot::Everything, Mark::everything(entity));
        }
        let values = || {
            self.parts
                .iter()
                .flat_map(|(column, values)| values.iter().map(|value| (*column, value)))
        };
        each(Spot::Row, Mark::row(entity, &self.id));
        self.unread
            .iter()
            .for_each(|column| each(Spot::AnyPart(*column), Mark::any_part(entity, *column)));
        match &self.op {
            Op::Insert | Op::Delete => {
                each(Spot::Set, Mark::set(entity));
                values().for_each(|(column, value)| {
                    each(Spot::Part(column, value), Mark::part(entity, column, value));
                });
            }
            Op::Update(changed) => {
                for column in changed {
                    each(Spot::ColumnInSet(*column), Mark::column_in_set(entity, *column));
                }
                for (column, value) in values() {
                    if changed.contains(&column) {
                        each(Spot::Part(column, value), Mark::part(entity, column, value));
                    }
                    for watched in changed {
                        let mark = Mark::column_in_part(entity, column, value, *watched);
                        each(Spot::ColumnInPart(column, value, *watched), mark);
                    }
                }
            }
        }
    }
}

/// From which end to search the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Records after this one, oldest first.
    After(Version),
    /// Newest first, as far back as is reasonable.
    Latest,
}
