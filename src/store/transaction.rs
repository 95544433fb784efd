//! Writing: what a mutation may do in its transaction, and what may prevent it.

use std::time::Duration;

use super::error::{Constraint, StoreError};
use super::reading::Levels;
use super::source::{Source, State};
use super::steps::{OnceOnly, Step};
use crate::dependency::Version;
use crate::model::{ColumnId, Entity, Value};

/// A transaction for one mutation. It sees its own writes. SQLite's methods are ready at once;
/// those of a database over a network wait for it.
///
/// A refused write undoes itself and nothing else, on every database. What the mutation wrote
/// before is still visible to the refusal, and to everything that is read to explain it. The
/// mutation as a whole fails nevertheless.
#[expect(
    async_fn_in_trait,
    reason = "each driver runs these futures itself, so nobody asks whether they are Send"
)]
pub trait Transaction {
    /// The source of the answer's rows.
    type Source: Source;

    /// Which database this is, and how far its row versions can be trusted.
    async fn state(&self) -> Result<State, StoreError>;

    /// Creates a row with these values; returns its key.
    async fn insert(&self, entity: &Entity, row: &[(ColumnId, Value)]) -> Result<Value, Refusal>;

    /// Sets these columns of a row, if it exists and has the expected version, if one is given.
    async fn update(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
        row: &[(ColumnId, Value)],
    ) -> Result<(), Refusal>;

    /// Deletes a row, if it exists and has the expected version, if one is given.
    async fn delete(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
    ) -> Result<(), Refusal>;

    /// Reads for the answer what the transaction sees now.
    async fn read<'l, T>(
        &self,
        levels: impl Levels<'l>,
        read: impl FnOnce(&Self::Source) -> T,
    ) -> Result<T, StoreError>;

    /// The version of a row, which nobody else can change until the transaction ends. None if there
    /// is no such row.
    async fn lock(&self, entity: &Entity, key: &Value) -> Result<Option<Version>, StoreError>;

    /// The answer to the mutation with this key, if it is not older than this.
    async fn kept_answer(
        &self,
        key: &str,
        retention: Duration,
    ) -> Result<Option<KeptAnswer>, StoreError>;

    /// Stores the answer to the mutation with this key, in the same transaction as its writes. Also
    /// deletes some answers that are older than this.
    async fn keep_answer(
        &self,
        key: &str,
        request: &[u8],
        answer: &[u8],
        retention: Duration,
    ) -> Result<(), StoreError>;
}

/// The answer to a mutation that must take effect once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// The hash of the request.
    pub request: Vec<u8>,
    /// The body of the answer.
    pub answer: Vec<u8>,
}

/// A mutation. It may be run more than once: previous attempts are undone.
#[expect(async_fn_in_trait, reason = "as above")]
pub trait Writing: Send + Sync + 'static {
    /// Its result.
    type Output: Send + 'static;
    /// Its error, after which everything that it did is undone.
    type Error: From<StoreError> + Send + 'static;

    /// Runs it.
    ///
    /// # Errors
    /// Its own errors, or those of the transaction.
    async fn write<T: Transaction>(&self, transaction: &T) -> Result<Self::Output, Self::Error>;

    /// What it does in this state of the database, if nothing prevents it. None if that depends on
    /// the contents of the database.
    fn steps(&self, state: &State) -> Option<Vec<Step<'_, impl Levels<'_> + Send>>>;

    /// Its result once its steps have run, from the rows that they read. `keys`: those of the
    /// steps.
    ///
    /// # Errors
    /// The answer cannot be written. If possible, nothing was committed.
    fn finish<S: Source>(
        &self,
        state: &State,
        keys: &[Value],
        source: &S,
    ) -> Result<Self::Output, Self::Error>;

    /// Whether it compares the version of a row with a given one.
    fn names_version(&self) -> bool;

    /// The maximum length of the answer, in bytes.
    fn most_bytes(&self) -> usize;

    /// Set if it must take effect once, however often it is sent.
    fn once(&self) -> Option<OnceOnly<'_>>;

    /// The part of the output that is stored for repeated requests.
    fn body(output: &Self::Output) -> &[u8];
}

/// Why nothing was written.
#[derive(Debug)]
pub enum Refusal {
    /// The row does not exist, or has another version.
    Absent,
    /// A constraint is violated.
    Constraint(Constraint),
    /// The statement ran, but something in the database undid it.
    NoEffect {
        /// What happened.
        effect: NoEffect,
        /// The triggers that may have done it.
        triggers: Vec<String>,
        /// Whether a rule of the table says that such rows are ignored.
        by_rule: bool,
    },
    /// These triggers, which the statement fires, cannot run on this server.
    BrokenTriggers {
        /// Their names.
        triggers: Vec<String>,
        /// The database's message.
        message: String,
    },
    /// A column does not take a value that the model allows.
    Value(RefusedValue),
    /// The store failed.
    Store(StoreError),
}

/// A value that the model allows and the database does not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a value is refused: {message}")]
pub struct RefusedValue {
    /// The columns that do not take their values, with their types in the database. Empty if they
    /// could not be found.
    pub columns: Vec<(String, String)>,
    /// What is wrong with the value.
    pub why: WhyRefused,
    /// The database's message, for the log.
    pub message: String,
}

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhyRefused {
    /// It has too many characters.
    TooLong,
    /// It is a number or a time that the column's type does not have.
    OutOfRange,
    /// It is not written like a value of the column's type.
    Malformed,
    /// The database computes the column.
    Computed,
    /// Something else.
    Other,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Constraint(constraint) => Self::Constraint(constraint),
            other => Self::Store(other),
        }
    }
}

/// How a statement can succeed without having its effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEffect {
    /// It left the row unchanged, or created none.
    Ignored,
    /// Its effect was undone at once.
    Undone,
    /// It had its effect, but the row's version does not reflect it.
    Unversioned,
}
