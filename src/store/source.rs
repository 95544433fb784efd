//! Where an answer's rows come from: as they are asked for, out of a snapshot that is at hand, or
//! out of memory, where they were fetched ahead. Whoever writes the answer does not wait for them
//! either way.

use std::sync::Arc;

use super::error::StoreError;
use super::guard::Guard;
use super::select::{Ask, Query, SlotValue};
use super::trace::Ran;
use crate::dependency::Version;
use crate::model::Value;
use crate::model::scalar::ValueRef;

/// A row of a result.
pub trait Row {
    /// The value of a column of the result.
    fn get(&self, index: usize) -> ValueRef<'_>;
}

/// Rows of one state of the database.
pub trait Source {
    /// How a row is at hand.
    type Row<'r>: Row;

    /// Hands each row of a query to `each`, for the parent that it is asked for.
    ///
    /// # Errors
    /// The database's, or those of `each`, which end the query.
    fn rows<E: From<StoreError>>(
        &self,
        ask: Ask<'_>,
        each: impl FnMut(&Self::Row<'_>) -> Result<(), E>,
    ) -> Result<(), E>;

    /// The result of a query that has one row of one integer.
    ///
    /// # Errors
    /// The database's.
    fn integer(&self, ask: Ask<'_>) -> Result<i64, StoreError>;

    /// Takes some of the steps that the operation may take, for work that is not the database's.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`]: they are used up.
    fn take_steps(&self, steps: u32) -> Result<(), StoreError>;
}

/// The state of the database that rows are of.
#[derive(Debug, Clone)]
pub struct State {
    /// Which database this is, and which state of its schema: part of every validator.
    pub identity: [u8; 16],
    /// What the versions of rows tell.
    pub guard: Arc<Guard>,
}

/// What came to light while an operation was read under observation.
#[derive(Debug, Default)]
pub struct Observed {
    /// What ran.
    pub statements: Vec<Ran>,
    /// The newest record of the change log in the state that was read.
    pub as_of: Version,
}

/// A query that is wanted, for one parent or for many.
pub struct Wanted<'a> {
    /// Where in the plan it stands.
    pub place: usize,
    /// What is read.
    pub query: &'a Query,
    /// For whom.
    pub parents: Parents,
    /// The values of the slots from 1 on.
    pub values: &'a [SlotValue],
}

/// The parents that a query is wanted for.
#[derive(Debug, Clone, PartialEq)]
pub enum Parents {
    /// This one.
    One(Value),
    /// Each of these, once.
    Many(Vec<Value>),
}

impl Parents {
    /// All of them.
    pub fn all(&self) -> &[Value] {
        match self {
            Self::One(parent) => std::slice::from_ref(parent),
            Self::Many(parents) => parents,
        }
    }
}

/// A copy of a row; None for [`ValueRef::Other`].
impl Row for [Option<Value>] {
    fn get(&self, index: usize) -> ValueRef<'_> {
        self[index].as_ref().map_or(ValueRef::Other, Value::as_ref)
    }
}
