//! A mutation told ahead: what it does, field by field, if nothing stands in its way. A driver for
//! which each question costs a round trip sends all of it at once, with conditions that undo the
//! whole where anything is not as the steps expect it; then nothing was written, and
//! [`Writing::write`](super::Writing::write) finds out what is in the way.

use std::time::Duration;

use crate::dependency::Version;
use crate::model::{ColumnId, Entity, Value};

/// One field of a mutation.
pub struct Step<'a, L> {
    /// Whose row.
    pub entity: &'a Entity,
    /// The row's key, which a new row has been given.
    pub key: Value,
    /// What happens to the row.
    pub change: Change,
    /// What is read for the answer: behind the change, or in front of it where the row goes.
    pub answer: L,
}

/// What happens to a row. A version is the one at which the row is expected; without one it only
/// has to be there.
pub enum Change {
    /// It is created with these values, of which one is the key.
    Insert(Vec<(ColumnId, Value)>),
    /// These columns are set; there is at least one.
    Update(Option<Version>, Vec<(ColumnId, Value)>),
    /// It is deleted.
    Delete(Option<Version>),
}

/// That a mutation takes effect once, however often it is sent.
#[derive(Debug, Clone, Copy)]
pub struct OnceOnly<'a> {
    /// What the client calls it.
    pub key: &'a str,
    /// A hash of all that it asks for.
    pub request: &'a [u8],
    /// For how long its answer is kept.
    pub retention: Duration,
}
