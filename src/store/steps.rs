//! A mutation whose steps are known ahead: what it does, field by field, if nothing prevents it. A
//! driver for which each statement costs a round trip sends all of it at once, with conditions that
//! undo the whole if anything differs from what the steps expect. In that case nothing was written,
//! and [`Writing::write`](super::Writing::write) finds out why.

use std::time::Duration;

use crate::dependency::Version;
use crate::model::{ColumnId, Entity, Value};

/// One field of a mutation.
pub struct Step<'a, L> {
    /// The entity of the row.
    pub entity: &'a Entity,
    /// The row's key; a new row has already been given one.
    pub key: Value,
    /// What happens to the row.
    pub change: Change,
    /// What to read for the answer: after the change, or before it if the row is deleted.
    pub answer: L,
}

/// What happens to a row. The version is the one that the row is expected to have; without one it
/// only has to exist.
pub enum Change {
    /// It is created with these values, one of which is the key.
    Insert(Vec<(ColumnId, Value)>),
    /// These columns are set; there is at least one.
    Update(Option<Version>, Vec<(ColumnId, Value)>),
    /// It is deleted.
    Delete(Option<Version>),
}

/// Makes a mutation take effect once, however often it is sent.
#[derive(Debug, Clone, Copy)]
pub struct OnceOnly<'a> {
    /// The client's key for it.
    pub key: &'a str,
    /// A hash of everything that it asks for.
    pub request: &'a [u8],
    /// How long its answer is kept.
    pub retention: Duration,
}
