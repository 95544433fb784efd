//! Writing: what a mutation may do in its transaction, and what may keep it from it.

use std::time::Duration;

use super::error::{Constraint, StoreError};
use super::reading::Levels;
use super::source::{Source, State};
use super::steps::{OnceOnly, Step};
use crate::dependency::Version;
use crate::model::{ColumnId, Entity, Value};

/// A transaction that was begun for one mutation. It sees its own writes. SQLite's methods are
/// ready at once; those of a database behind a socket wait for it.
///
/// A write that is refused has undone itself and nothing else, on every database: what the mutation
/// wrote before still stands, and is what the refusal, and whoever reads on to explain it, sees.
/// The mutation fails as a whole all the same.
#[expect(
    async_fn_in_trait,
    reason = "each driver runs these futures itself, so nobody asks whether they are Send"
)]
pub trait Transaction {
    /// Where the answer's rows come from.
    type Source: Source;

    /// Which database this is, and what the versions of its rows tell.
    async fn state(&self) -> Result<State, StoreError>;

    /// Creates a row with these values; gives its key.
    async fn insert(&self, entity: &Entity, row: &[(ColumnId, Value)]) -> Result<Value, Refusal>;

    /// Sets these columns of a row, if it is there, and at the expected version where there is one.
    async fn update(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
        row: &[(ColumnId, Value)],
    ) -> Result<(), Refusal>;

    /// Deletes a row, if it is there, and at the expected version where there is one.
    async fn delete(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
    ) -> Result<(), Refusal>;

    /// Reads for the answer, out of what the transaction sees now.
    async fn read<'l, T>(
        &self,
        levels: impl Levels<'l>,
        read: impl FnOnce(&Self::Source) -> T,
    ) -> Result<T, StoreError>;

    /// The version of a row, which nobody else changes from now on until the transaction ends.
    /// None: there is no such row.
    async fn lock(&self, entity: &Entity, key: &Value) -> Result<Option<Version>, StoreError>;

    /// What was answered to the mutation with this key, if that is not longer ago than this.
    async fn kept_answer(
        &self,
        key: &str,
        retention: Duration,
    ) -> Result<Option<KeptAnswer>, StoreError>;

    /// Keeps the answer to the mutation with this key: there is one exactly where something was
    /// written. Some answers that were kept longer than this are forgotten.
    async fn keep_answer(
        &self,
        key: &str,
        request: &[u8],
        answer: &[u8],
        retention: Duration,
    ) -> Result<(), StoreError>;
}

/// The answer to a mutation that is to take effect once, however often it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// What the request was: its hash.
    pub request: Vec<u8>,
    /// The body.
    pub answer: Vec<u8>,
}

/// A mutation. It may be begun more than once: what it did before was undone.
#[expect(async_fn_in_trait, reason = "as above")]
pub trait Writing: Send + Sync + 'static {
    /// What it gives.
    type Output: Send + 'static;
    /// How it fails, after which all that it did is undone.
    type Error: From<StoreError> + Send + 'static;

    /// Does it.
    ///
    /// # Errors
    /// Its own, or those of the transaction.
    async fn write<T: Transaction>(&self, transaction: &T) -> Result<Self::Output, Self::Error>;

    /// What it does in this state of the database, if nothing stands in its way. None: that depends
    /// on what the database has.
    fn steps(&self, state: &State) -> Option<Vec<Step<'_, impl Levels<'_> + Send>>>;

    /// What it gives when its steps have been done, out of the rows that they wanted to read.
    /// `keys`: those of the steps.
    ///
    /// # Errors
    /// The answer cannot be written. Where that was possible, nothing was committed.
    fn finish<S: Source>(
        &self,
        state: &State,
        keys: &[Value],
        source: &S,
    ) -> Result<Self::Output, Self::Error>;

    /// Whether it compares the version of a row with one that it was given.
    fn names_version(&self) -> bool;

    /// More bytes than this the answer may not have.
    fn most_bytes(&self) -> usize;

    /// Whether it takes effect once, however often it is sent.
    fn once(&self) -> Option<OnceOnly<'_>>;

    /// What is kept of the output where it does.
    fn body(output: &Self::Output) -> &[u8];
}

/// Why nothing was written.
#[derive(Debug)]
pub enum Refusal {
    /// There is no such row, or it is at another version.
    Absent,
    /// A constraint does not hold.
    Constraint(Constraint),
    /// The statement ran, and something in the database undid it.
    NoEffect {
        /// What became of it.
        effect: NoEffect,
        /// The triggers that may have done it.
        triggers: Vec<String>,
        /// A rule of the table says that such rows are passed over.
        by_rule: bool,
    },
    /// These triggers, which the statement fires, cannot run on this server.
    BrokenTriggers {
        /// Their names.
        triggers: Vec<String>,
        /// The database's words.
        message: String,
    },
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Constraint(constraint) => Self::Constraint(constraint),
            other => Self::Store(other),
        }
    }
}

/// A statement that has run without an error, and still has not done what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEffect {
    /// It has found the row and left it as it was, or has made none.
    Ignored,
    /// What it has done was undone at once.
    Undone,
    /// It has done it, but the row's version does not tell.
    Unversioned,
}
