//! What the change log says, in the model's words. How a driver's triggers write it down, and how
//! it is read, the driver knows; who wants to know is not known here.

use crate::dependency::{Mark, Version};
use crate::model::{ColumnId, EntityId, Value};

/// A record: one row has changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Its place on the clock, in microseconds since 1970, or just above. Numbers ascend, with
    /// gaps.
    pub seq: Version,
    /// Whose row.
    pub entity: EntityId,
    /// Its key.
    pub id: Value,
    /// What happened.
    pub op: Op,
    /// For each column by which lists are cut, the values under which the row was, or is, to be
    /// found: one where it came or went, the old and the new one of an update (the same twice where
    /// this column stayed).
    pub parts: Vec<(ColumnId, Vec<Value>)>,
    /// The columns whose values in the record cannot be read: the row may be, or have been, in any
    /// part by these.
    pub unread: Vec<ColumnId>,
}

/// What a stretch of the log says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Changes {
    /// Of rows of the model's entities.
    pub rows: Vec<Change>,
    /// The ids of registered documents that came, went, or are kept for another reason.
    pub documents: Vec<String>,
}

impl Changes {
    /// Nobody has to be told.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.documents.is_empty()
    }
}

/// What happened to a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// It came.
    Insert,
    /// The named columns changed.
    Update(Vec<ColumnId>),
    /// It went; or it may have: the row that an `INSERT` found in its place is recorded before
    /// SQLite decides what becomes of it.
    Delete,
}

/// A record, and when it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What happened.
    pub change: Change,
    /// Seconds since 1970.
    pub at: i64,
}

/// Where a change leaves a mark; all in the entity that the change is of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Spot<'a> {
    /// The row itself.
    Row,
    /// The set of all rows: one came or went.
    Set,
    /// This column, in any row.
    ColumnInSet(ColumnId),
    /// The part that is cut by this column and value: a row came into it or left it.
    Part(ColumnId, &'a Value),
    /// The last column, in a row of this part.
    ColumnInPart(ColumnId, &'a Value, ColumnId),
    /// Some part by this column.
    AnyPart(ColumnId),
    /// Whatever was read of the entity.
    Everything,
}

impl Change {
    /// Any row of this entity may have changed: its table was emptied, or written anew.
    pub(in crate::store) fn of_everything(seq: Version, entity: EntityId) -> Self {
        Self { seq, entity, id: Value::Null, op: Op::Delete, parts: Vec::new(), unread: Vec::new() }
    }

    /// It is of no row, but stands for all rows of its entity: whatever was read of that may have
    /// changed.
    pub fn is_of_everything(&self) -> bool {
        self.id == Value::Null
    }

    /// The marks that it leaves.
    pub fn marks(&self) -> Vec<Mark> {
        let mut marks = Vec::new();
        self.spots(|_, mark| marks.push(mark));
        marks
    }

    /// The places where it leaves its marks.
    pub fn spots<'a>(&'a self, mut each: impl FnMut(Spot<'a>, Mark)) {
        let entity = self.entity;
        // Where the log has no key for a row that came or changed, it has its parts.
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

/// Which end of the log is wanted first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// What was written after this, the oldest first.
    After(Version),
    /// The newest first, as far back as is reasonable.
    Latest,
}
