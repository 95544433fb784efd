//! A mutation whose steps are known ahead: what it does, field by field, if nothing prevents it. A
//! driver for which each statement costs a round trip sends all of it at once, with conditions that
//! undo the whole if anything differs from what the steps expect. In that case nothing was written,
//! and [`Writing::write`](super::Writing::write) finds out why.

use std::time::Duration;

use crate::dependency::Version;
use crate::model::{ColumnId, Entity, Value};
use crate::store::select::{SlotValue, Visible};

/// One field of a mutation.
pub struct Step<'a, L> {
    /// The entity of the row.
    pub entity: &'a Entity,
    /// The row's key; None if the database gives one to a new row.
    pub key: Option<Value>,
    /// What happens to the row.
    pub change: Change,
    /// What must hold for the rows that it is about.
    pub rules: Rules,
    /// What to read for the answer about the row with this key: after the change, or before it if
    /// the row is deleted.
    pub answer: Box<dyn Fn(&Value) -> L + Send + 'a>,
}

/// What happens to a row.
pub enum Change {
    /// It is created with these values.
    Insert(Vec<(ColumnId, Value)>),
    /// These columns are set; there is at least one.
    Update(Expects, Vec<(ColumnId, Value)>),
    /// It is deleted.
    Delete(Expects),
}

/// The version that a row is expected to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expects {
    /// It only has to exist.
    Any,
    /// This one.
    One(Version),
    /// One of these.
    OneOf(Vec<Version>),
}

/// What the model's rules require of a change.
#[derive(Debug, Default)]
pub struct Rules {
    /// All of this must hold before the change: the row may be read, and so may the rows that it
    /// will refer to.
    pub before: Vec<Condition>,
    /// The rules that may allow the change: for one of them, both must hold, the first before the
    /// change and the second after it. None always holds. If there are none, every change is
    /// allowed.
    pub either: Vec<(Option<Allowed>, Option<Allowed>)>,
}

/// The row with this key exists, and is among those that are visible.
#[derive(Debug)]
pub struct Condition {
    /// The visible rows; slot 0 is the key's.
    pub from: Visible,
    /// The row's key.
    pub key: Value,
    /// The values of the slots from 1 on.
    pub values: Vec<SlotValue>,
}

/// The changed row is among these.
#[derive(Debug)]
pub struct Allowed {
    /// The rows; slot 0 is the key's.
    pub from: Visible,
    /// The values of the slots from 1 on.
    pub values: Vec<SlotValue>,
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
