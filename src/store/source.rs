//! Where an answer's rows come from: on demand from a local snapshot, or from memory, where they
//! were fetched ahead. In both cases the writer of the answer never waits.

use std::sync::Arc;

use super::error::StoreError;
use super::guard::Guard;
use super::select::{Ask, Query, SlotValue};
use super::trace::Ran;
use crate::dependency::Version;
use crate::model::Value;
use crate::model::scalar::{Misfit, ValueRef};

/// A row of a result.
pub trait Row {
    /// The value of a column of the result.
    fn get(&self, index: usize) -> ValueRef<'_>;
}

/// Rows of one state of the database.
pub trait Source {
    /// The representation of a row.
    type Row<'r>: Row;

    /// Passes each row of a query, for the given parent, to `each`.
    ///
    /// # Errors
    /// Those of the database, or those of `each`, which end the query.
    fn rows<E: From<StoreError>>(
        &self,
        ask: Ask<'_>,
        each: impl FnMut(&Self::Row<'_>) -> Result<(), E>,
    ) -> Result<(), E>;

    /// The result of a query that returns one integer.
    ///
    /// # Errors
    /// The database's.
    fn integer(&self, ask: Ask<'_>) -> Result<i64, StoreError>;

    /// Consumes some of the operation's steps, for work outside the database.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`] if they are used up.
    fn take_steps(&self, steps: u32) -> Result<(), StoreError>;
}

/// The state of the database that was read.
#[derive(Debug, Clone)]
pub struct State {
    /// Identifies the database and the state of its schema; part of every validator.
    pub identity: [u8; 16],
    /// How far row versions can be trusted.
    pub guard: Arc<Guard>,
}

/// What an observed operation records.
#[derive(Debug, Default)]
pub struct Observed {
    /// The statements that ran.
    pub statements: Vec<Ran>,
    /// The newest record of the change log in the state that was read.
    pub as_of: Version,
}

/// A query to run for one parent or for many.
pub struct Wanted<'a> {
    /// Its place in the plan.
    pub place: usize,
    /// What to read.
    pub query: &'a Query,
    /// The parents to run it for.
    pub parents: Parents,
    /// The values of the slots from 1 on.
    pub values: &'a [SlotValue],
}

/// The parents to run a query for.
#[derive(Debug, Clone, PartialEq)]
pub enum Parents {
    /// A single one.
    One(Value),
    /// Each of these, without duplicates.
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

/// A value of a row that was copied.
pub type Kept = Result<Value, Misfit>;

/// Copies a value of a row.
pub fn keep(value: ValueRef<'_>) -> Kept {
    match value {
        ValueRef::Other(misfit) => Err(misfit),
        value => Ok(value.to_value()),
    }
}

/// A copy of a row.
impl Row for [Kept] {
    fn get(&self, index: usize) -> ValueRef<'_> {
        self[index].as_ref().map_or_else(|misfit| ValueRef::Other(*misfit), Value::as_ref)
    }
}
