//! An operation that reads, whichever way its rows come: one by one, or fetched ahead level by
//! level.

use super::error::StoreError;
use super::fetched::Fetched;
use super::source::{Row, Source, State, Wanted};

/// An operation that reads. It may be begun more than once.
pub trait Reading: Send + Sync + 'static {
    /// What it gives.
    type Output: Send + 'static;
    /// How it fails.
    type Error: From<StoreError> + Send + 'static;

    /// Which rows it needs, where these are fetched ahead.
    fn levels(&self) -> impl Levels<'_> + Send;

    /// Does it, with the rows of one state.
    ///
    /// # Errors
    /// Its own, or those of the source.
    fn read<S: Source>(&self, state: &State, source: &S) -> Result<Self::Output, Self::Error>;
}

/// Says which rows an answer needs, for a database that is not asked for them one by one: level by
/// level, since which rows a level has depends on those of the level before.
pub trait Levels<'a> {
    /// What the next level needs, all of which can be asked for at once. Nothing: all is there, or
    /// the answer has more rows than it may have.
    fn next<R: Row>(&mut self, fetched: &Fetched<R>) -> Vec<Wanted<'a>>;

    /// Whether a level may follow on the one that [`Self::next`] gave last. Where it may not, that
    /// is sure.
    fn may_go_on(&self) -> bool;

    /// With more rows than this it need not go on.
    fn most_rows(&self) -> u64;
}
