//! The two drivers as one: what the floors above hold of a database.

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

/// The driver's own answer.
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
    pub async fn open(
        database: &Database,
        readers: usize,
        model: &Arc<Model>,
    ) -> Result<Self, StoreError> {
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
            Database::Sqlite(path) => {
                Ok(Self::Sqlite(sqlite::Store::open(path, readers, model, clock).await?))
            }
            Database::Postgres(url) => {
                Ok(Self::Postgres(postgres::Store::open(url, readers, model, clock).await?))
            }
        }
    }

    /// The same database, where the rows of answers are fetched ahead, level by level, as it has to
    /// be with a database behind a socket. The answers are the same.
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

    /// Whether the clock has every change, by whomever, that was committed before this call. It
    /// asks nobody.
    pub fn is_current(&self) -> bool {
        driver!(self, store => store.is_current())
    }

    /// Whether the change log could not be read when that was last tried: the clock may lack even
    /// what was written here.
    pub fn has_lost_track(&self) -> bool {
        driver!(self, store => store.has_lost_track())
    }

    /// Whether an answer that was read here leaves only when the clock has all that was read, as
    /// far as the change log can be read at all; otherwise [`Self::catch_up`] sees to that. So it
    /// is with a database that is asked over a network.
    pub fn covers_answers(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Answers will be given by the clock without [`Self::catch_up`] in front of each, so from now
    /// on nobody is told to have written what the clock has not. With SQLite it is always so.
    pub fn keep_covered(&self) {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(store) => store.keep_covered(),
        }
    }

    /// Returns when the clock has every change that was committed before this call.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        driver!(self, store => store.catch_up().await)
    }

    /// Tells this subscriber of every change from here on, and says from where. What it is told, it
    /// knows before [`Self::catch_up`] returns to anybody who called after the commit.
    ///
    /// # Errors
    /// There is no database.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<Position, StoreError> {
        driver!(self, store => store.subscribe(subscriber))
    }

    /// Deletes records of the change log that are too old or too many, a few thousand at a time, so
    /// that nobody who writes waits for long. Tells how many it has deleted.
    ///
    /// # Errors
    /// The database's.
    pub async fn prune(&self, limits: ChangeLogLimits) -> Result<usize, StoreError> {
        driver!(self, store => store.prune(limits).await)
    }

    /// What the versions of rows tell, as far as is known. For one state of the database see
    /// [`State::guard`](super::source::State::guard).
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

    /// Closes the database, for good, and returns when that is done. What is under way may end;
    /// what is asked for later fails.
    pub async fn close(&self) {
        driver!(self, store => store.close().await);
    }

    /// Runs an operation that reads one state of the database, with this many steps, perhaps under
    /// observation. If the caller stops waiting, so does the database.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`] where the steps do not suffice, [`StoreError::Overloaded`] where
    /// too many wait, and what the operation itself returns.
    pub async fn read<R: Reading>(
        &self,
        steps: u64,
        reading: R,
        observed: bool,
    ) -> Result<(R::Output, Option<Observed>), R::Error> {
        driver!(self, store => store.answer(steps, reading, observed).await)
    }

    /// Runs a mutation in a transaction of its own (as far as anybody can tell), and returns when
    /// it is durable. If the caller stops waiting before it has begun, it is not run.
    ///
    /// # Errors
    /// The mutation's, after which all of it is undone, or the database's.
    pub async fn write<W: Writing>(&self, writing: W) -> Result<W::Output, W::Error> {
        driver!(self, store => store.mutate(writing).await)
    }

    /// The records of the change log that left one of these marks (sorted), up to `limit`. For
    /// people: it may take a while.
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

    /// Those of these documents that the database has.
    ///
    /// # Errors
    /// The database's.
    pub async fn documents_among(
        &self,
        ids: Vec<String>,
    ) -> Result<Vec<StoredDocument>, StoreError> {
        driver!(self, store => store.documents_among(ids).await)
    }

    /// Keeps a document until it is removed; false if the database had it already. Of two documents
    /// that are to have one name at the same time, wherever they were sent, one is refused, and
    /// nothing of it is kept.
    ///
    /// # Errors
    /// The database's.
    pub async fn insert_document(
        &self,
        document: NewDocument,
    ) -> Result<Result<bool, NameTaken>, StoreError> {
        driver!(self, store => store.insert_document(document).await)
    }

    /// Forgets a document; false if it was not there.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete_document(&self, id: &str) -> Result<bool, StoreError> {
        driver!(self, store => store.delete_document(id).await)
    }

    /// Makes these, by id, the documents of the query files: those that left the files are retired
    /// from now on, and those that came back are not. Where nothing has changed nothing is written.
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

    /// Forgets the documents that left the query files longer ago than this.
    ///
    /// # Errors
    /// The database's.
    pub async fn delete_retired_documents(&self, retention: Duration) -> Result<usize, StoreError> {
        driver!(self, store => store.delete_retired_documents(retention).await)
    }
}
