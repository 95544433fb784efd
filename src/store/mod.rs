//! The store: rows in, rows out, what changed. This is the contract that the floors above hold, and it knows no database: what
//! does lies in a driver's folder, [`sqlite`] or [`postgres`]; [`schema`] is about tables and migrations.
//!
//! - Reading: a [`Query`] says what is read, a driver's dialect ([`dialect`], [`render`]) makes a statement of it, a
//!   [`Source`] hands out its rows, one by one or fetched ahead by [`Levels`].
//! - Writing: a [`Transaction`] does it, and says as a [`Refusal`] why it has not.
//! - What changed: [`feed`] tells subscribers of every commit; [`Guard`] says whether versions can be trusted.

/// The driver's own answer.
macro_rules! driver {
    ($of:expr, $store:ident => $answer:expr) => {
        match $of {
            Store::Sqlite($store) => $answer,
            Store::Postgres($store) => $answer,
        }
    };
}

pub mod admin;
pub mod change_log;
mod dialect;
mod documents;
pub mod error;
pub mod feed;
pub mod fetched;
mod guard;
pub mod postgres;
mod render;
mod rendered;
pub mod schema;
pub mod select;
pub mod source;
pub mod sqlite;
pub mod statement;
pub mod trace;
pub mod transaction;

use std::sync::Arc;

use crate::clock::{self, Clock};
use crate::config::{ChangeLogLimits, Database};
use crate::dependency::Mark;
use crate::model::Model;

pub use admin::Admin;
pub use change_log::{Record, Search};
pub use documents::{DocumentSource, NameTaken, NewDocument, StoredDocument};
pub use error::{Constraint, StoreError};
pub use feed::{Batch, FeedEvent, Position, Subscriber};
pub use fetched::Fetched;
pub use guard::{Guard, REMEDY};
pub use select::{Ask, ListQueries, Query, Shape, Slot, SlotValue};
pub use source::{Levels, Observed, Parents, Reading, Row, Source, State, Wanted};
pub use statement::Statement;
pub use transaction::{KeptAnswer, NoEffect, Refusal, Transaction, Writing};

/// The database. Cheap to clone.
#[derive(Clone)]
pub enum Store {
    /// A file.
    Sqlite(sqlite::Store),
    /// A server; see [`postgres`].
    Postgres(postgres::Store),
}

impl Store {
    /// Opens a migrated database of this model, with this many connections that read.
    ///
    /// # Errors
    /// It cannot be opened, or it was never migrated.
    pub async fn open(database: &Database, readers: usize, model: &Arc<Model>) -> Result<Self, StoreError> {
        Self::open_with_clock(database, readers, model, Clock::new(clock::DEFAULT_CAPACITY)).await
    }

    /// Like [`Self::open`], with a clock that nobody has fed yet.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with_clock(
        database: &Database,
        readers: usize,
        model: &Arc<Model>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        match database {
            Database::Sqlite(path) => Ok(Self::Sqlite(sqlite::Store::open(path, readers, model, clock).await?)),
            Database::Postgres(url) => Ok(Self::Postgres(postgres::Store::open(url, readers, model, clock).await?)),
        }
    }

    /// The same database, where the rows of answers are fetched ahead, level by level, as it has to be with a database behind
    /// a socket. The answers are the same.
    #[must_use]
    pub fn fetching_ahead(self) -> Self {
        match self {
            Self::Sqlite(store) => Self::Sqlite(store.fetching_ahead()),
            Self::Postgres(store) => Self::Postgres(store.fetching_ahead()),
        }
    }

    /// Which changes are known, and since when.
    pub fn clock(&self) -> &Clock {
        driver!(self, store => store.clock())
    }

    /// Whether the clock has every change, by whomever, that was committed before this call. It asks nobody.
    pub fn is_current(&self) -> bool {
        driver!(self, store => store.is_current())
    }

    /// Whether the change log could not be read when that was last tried: the clock may lack even what was written here.
    pub fn has_lost_track(&self) -> bool {
        driver!(self, store => store.has_lost_track())
    }

    /// Whether an answer that was read here leaves only when the clock has all that was read, as far as the change log can be
    /// read at all; otherwise [`Self::catch_up`] sees to that. So it is with a database that is asked over a network.
    pub fn covers_answers(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Returns when the clock has every change that was committed before this call.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        driver!(self, store => store.catch_up().await)
    }

    /// Tells this subscriber of every change from here on, and says from where. What it is told, it knows before
    /// [`Self::catch_up`] returns to anybody who called after the commit.
    ///
    /// # Errors
    /// There is no database.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<Position, StoreError> {
        driver!(self, store => store.subscribe(subscriber))
    }

    /// Deletes records of the change log that are too old or too many, a few thousand at a time, so that nobody who writes
    /// waits for long. Tells how many it has deleted.
    ///
    /// # Errors
    /// The database's.
    pub async fn prune(&self, limits: ChangeLogLimits) -> Result<usize, StoreError> {
        driver!(self, store => store.prune(limits).await)
    }

    /// What the versions of rows tell, as far as is known. For one state of the database see [`State::guard`].
    ///
    /// # Errors
    /// There is no database.
    pub fn guard(&self) -> Result<Arc<Guard>, StoreError> {
        driver!(self, store => store.guard())
    }

    /// Whether the database takes what is written.
    ///
    /// # Errors
    /// Why not, or that the database does not answer.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        driver!(self, store => store.check_writable().await)
    }

    /// Whether the database answers. No operation holds this up.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        driver!(self, store => store.ping().await)
    }

    /// Closes the database, for good, and returns when that is done. What is under way may end; what is asked for later
    /// fails.
    pub async fn close(&self) {
        driver!(self, store => store.close().await);
    }

    /// Runs an operation that reads one state of the database, with this many steps, perhaps under observation. If the caller
    /// stops waiting, so does the database.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`] where the steps do not suffice, [`StoreError::Overloaded`] where too many wait, and what
    /// the operation itself returns.
    pub async fn read<R: Reading>(
        &self,
        steps: u64,
        reading: R,
        observed: bool,
    ) -> Result<(R::Output, Option<Observed>), R::Error> {
        driver!(self, store => store.answer(steps, reading, observed).await)
    }

    /// Runs a mutation in a transaction of its own (as far as anybody can tell), and returns when it is durable. If the caller
    /// stops waiting before it has begun, it is not run.
    ///
    /// # Errors
    /// The mutation's, after which all of it is undone, or the database's.
    pub async fn write<W: Writing>(&self, writing: W) -> Result<W::Output, W::Error> {
        driver!(self, store => store.mutate(writing).await)
    }

    /// The records of the change log that left one of these marks (sorted), up to `limit`. For people: it may take a while.
    ///
    /// # Errors
    /// The database's.
    pub async fn touching(
        &self,
        model: &Arc<Model>,
        marks: Arc<[Mark]>,
        search: Search,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        driver!(self, store => store.touching(model, marks, search, limit).await)
    }
}
