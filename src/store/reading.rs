//! An operation that reads, whether its rows come one by one or are fetched ahead level by level.

use super::error::StoreError;
use super::fetched::Fetched;
use super::source::{Row, Source, State, Wanted};

/// An operation that reads. It may be run more than once.
pub trait Reading: Send + Sync + 'static {
    /// Its result.
    type Output: Send + 'static;
    /// Its error.
    type Error: From<StoreError> + Send + 'static;

    /// The rows that it needs, if they are fetched ahead.
    fn levels(&self) -> impl Levels<'_> + Send;

    /// Runs it with the rows of one state.
    ///
    /// # Errors
    /// Its own errors, or those of the source.
    fn read<S: Source>(&self, state: &State, source: &S) -> Result<Self::Output, Self::Error>;
}

/// Says which rows an answer needs, for a database that is not asked for them one by one. Level by
/// level, since the rows of one level depend on those of the level before.
pub trait Levels<'a> {
    /// What the next level needs, all of which can be requested at once. Empty if everything has
    /// been fetched, or the answer has more rows than allowed.
    fn next<R: Row>(&mut self, fetched: &Fetched<R>) -> Vec<Wanted<'a>>;

    /// Whether another level may follow the one that [`Self::next`] returned last. False is
    /// definite.
    fn may_go_on(&self) -> bool;

    /// The number of rows after which fetching may stop.
    fn most_rows(&self) -> u64;
}
