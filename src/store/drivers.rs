//! The two drivers as one: the floors above use this.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::change_log::{Record, Search};
use super::documents::{FileChanges, NameTaken, NewDocument, StoredDocument};
use super::error::StoreError;
use super::feed::{Position, Subscriber};
use super::guard::Guard;
use super::reading::Reading;
use super::source::Observed;
use super::transaction::Writing;
use super::{postgres, sqlite};
use crate::clock::{self, Clock};
use crate::config::{ChangeLogLimits, Database};
use crate::dependency::Mark;
use crate::model::Model;

/// Delegates to the driver.
macro_rules! driver {
    ($of:expr, $store:ident => $answer:expr) => {
        match $of {
            Store::Sqlite($store) => $answer,
            Store::Postgres($store) => $answer,
        }
    };
}

/// The database. Cheap to clone.
#[derive(Clone)]
pub enum Store {
    /// A database file.
    Sqlite(sqlite::Store),
    /// A database server; see [`postgres`].
    Postgres(postgres::Store),
}

impl Store {
    /// Opens a migrated database of this model, with this many reading connections.
    ///
    /// # Errors
    /// It cannot be opened, or it was never migrated.
    pub async fn open(
        database: &Database,
        readers: usize,
        model: &Arc<Model>,
    ) -> Result<Self, StoreError> {
        Self::open_with_clock(database, readers, model, Clock::new(clock::DEFAULT_CAPACITY)).await
    }

    /// Like [`Self::open`], with a clock that has not received any changes.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub async fn open_with_clock(
        database: &Database,
        readers: usize,
        model: &Arc<Model>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        match database {
            Database::Sqlite(path) => {
                Ok(Self::Sqlite(sqlite::Store::open(path, readers, model, clock).await?))
            }
            Database::Postgres(url) => {
                Ok(Self::Postgres(postgres::Store::open(url, readers, model, clock).await?))
            }
        }
    }

    /// The same database, but rows of answers are fetched ahead, level by level, as for a database
    /// over a network. The answers are the same.
    #[must_use]
    pub fn fetching_ahead(self) -> Self {
        match self {
            Self::Sqlite(store) => Self::Sqlite(store.fetching_ahead()),
            Self::Postgres(store) => Self::Postgres(store.fetching_ahead()),
        }
    }

    /// The clock: which changes are known, and since when.
    pub fn clock(&self) -> &Clock {
        driver!(self, store => store.clock())
    }

    /// Whether the clock has every change, by any writer, that was committed before this call.
    /// Answered without asking the database server.
    pub fn is_current(&self) -> bool {
        driver!(self, store => store.is_current())
    }

    /// Whether the last attempt to read the change log failed: the clock may then lack even this
    /// server's own writes.
    pub fn has_lost_track(&self) -> bool {
        driver!(self, store => store.has_lost_track())
    }

    /// Whether reading itself ensures that an answer is not returned before the clock has
    /// everything that was read, as long as the change log can be read at all. This is the case for
    /// a database over a network; otherwise call [`Self::catch_up`].
    pub fn covers_answers(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// From now on, answers will be given by the clock without calling [`Self::catch_up`] for each,
    /// so no write may be acknowledged before the clock knows of it. SQLite always works that way.
    pub fn keep_covered(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(store) => store.keep_covered(),
        }
    }

    /// Waits until the clock has every change that was committed before this call.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        driver!(self, store => store.catch_up().await)
    }

    /// [`Self::catch_up`], limited in time, and cheaper than with a timer of the caller's.
    ///
    /// # Errors
    /// [`StoreError::Late`], and those of [`Self::catch_up`].
    pub async fn catch_up_within(&self, limit: Duration) -> Result<(), StoreError> {
        driver!(self, store => store.catch_up_within(limit).await)
    }

    /// Reports every change from here on to this subscriber, and returns the position from where.
    /// It learns of a change before [`Self::catch_up`] returns to any caller who called after the
    /// commit.
    ///
    /// # Errors
    /// There is no database.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<Position, StoreError> {
        driver!(self, store => store.subscribe(subscriber))
    }

    /// Deletes records of the change log that are too old or too many, a few thousand at a time, so
    /// that no writer waits for long. Returns the number of deleted records.
    ///
    /// # Errors
    /// The database's.
    pub async fn prune(&self, limits: ChangeLogLimits) -> Result<usize, StoreError> {
        driver!(self, store => store.prune(limits).await)
    }

    /// What is known about how far row versions can be trusted. For a single state of the database,
    /// see [`State::guard`](super::source::State::guard).
    ///
    /// # Errors
    /// There is no database.
    pub fn guard(&self) -> Result<Arc<Guard>, StoreError> {
        driver!(self, store => store.guard())
    }

    /// Whether the database accepts writes.
    ///
    /// # Errors
    /// Why not, or that the database does not answer.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        driver!(self, store => store.check_writable().await)
    }

    /// Whether the database answers. No other operation delays this.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        driver!(self, store => store.ping().await)
    }

    /// Closes the database for good, and returns when that is done. Operations in progress may
    /// finish; later ones fail.
    pub async fn close(&self) {
        driver!(self, store => store.close().await);
    }

    /// Runs an operation that reads one state of the database, limited to this many steps,
    /// optionally under observation. If the caller stops waiting, the database stops, too.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`] if the steps do not suffice, [`StoreError::Overloaded`] if too
    /// many operations wait, and the errors of the operation itself.
    pub async fn read<R: Reading>(
        &self,
        steps: u64,
        reading: R,
        observed: bool,
    ) -> Result<(R::Output, Option<Observed>), R::Error> {
        driver!(self, store => store.answer(steps, reading, observed).await)
    }

    /// Runs a mutation in an isolated transaction, and returns when it is durable. If the caller
    /// stops waiting before it has begun, it does not run.
    ///
    /// # Errors
    /// Those of the mutation, which is rolled back, or of the database.
    pub async fn write<W: Writing>(&self, writing: W) -> Result<W::Output, W::Error> {
        driver!(self, store => store.mutate(writing).await)
    }

    /// The records of the change log that have one of these marks (sorted), up to `limit`. For
    /// diagnosis: it may take a while.
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

    /// All documents, by id.
    ///
    /// # Errors
    /// The database's.
    pub async fn documents(&self) -> Result<Vec<StoredDocument>, StoreError> {
        driver!(self, store => store.documents().await)
    }

    /// The documents with these ids, as far as the database has them.
    ///
    /// # Errors
    /// The database's.
    pub async fn documents_among(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        driver!(self, store => store.documents_among(ids).await)
    }

    /// Stores a document until it is removed; false if the database had it already. If two
    /// documents claim the same name at the same time, on whichever nodes, one is refused and
    /// nothing of it is stored.
    ///
    /// # Errors
    /// The database's.
    pub async fn insert_document(
        &self,
        document: NewDocument,
    ) -> Result<Result<bool, NameTaken>, StoreError> {
        driver!(self, store => store.insert_document(document).await)
    }

    /// Deletes a document; false if it did not exist.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete_document(&self, id: &str) -> Result<bool, StoreError> {
        driver!(self, store => store.delete_document(id).await)
    }

    /// Makes these, by id, the documents of the query files: documents that left the files are
    /// retired from now on, those that came back are not retired any more. Writes nothing if
    /// nothing has changed.
    ///
    /// # Errors
    /// The database's.
    pub async fn replace_file_documents(
        &self,
        current: HashMap<String, NewDocument>,
    ) -> Result<(), StoreError> {
        let changes = FileChanges::between(&self.documents().await?, current);
        if changes.is_empty() {
            return Ok(());
        }
        driver!(self, store => store.change_file_documents(changes).await)
    }

    /// Deletes documents that left the query files longer ago than this.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete_retired_documents(&self, retention: Duration) -> Result<usize, StoreError> {
        driver!(self, store => store.delete_retired_documents(retention).await)
    }
}
