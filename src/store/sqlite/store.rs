//! The store on a SQLite file: passes requests to the threads that own the connections.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::change_log;
use super::jobs::{FeedJob, Finish, QUICK, ReadJob, SLOWEST, WriteJob, enqueue, ready};
use super::meter::Allowance;
use super::opened::Opened;
use super::snapshot::Snapshot;
use super::threads::Settings;
use super::transaction::Transaction;
use super::transaction::probe;
use crate::clock::Clock;
use crate::config::ChangeLogLimits;
use crate::dependency::Mark;
use crate::model::Model;
use crate::store::change_log::{Record, Search};
use crate::store::error::StoreError;
use crate::store::feed::{Position, Subscriber, Subscribers};
use crate::store::guard::Guard;
use crate::store::reading::Reading;
use crate::store::source::Observed;
use crate::store::transaction::Writing;

/// How long a trial write may take that checks whether writes succeed.
const PROBE: Duration = Duration::from_secs(2);

#[derive(Clone, Copy)]
enum Readers {
    Quick,
    Slow,
}

/// A database file. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    opened: Arc<Opened>,
    /// Locked while the log is read for waiting callers, so that they share one read.
    catching_up: Arc<tokio::sync::Mutex<()>>,
    clock: Arc<Clock>,
    fetches_ahead: bool,
}

impl Store {
    /// Opens a migrated file of this model with this many reading connections, and a clock that has
    /// not received any changes.
    ///
    /// # Errors
    /// The file cannot be opened, or it was never migrated.
    pub async fn open(
        path: &Path,
        readers: usize,
        model: &Arc<Model>,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let clock = Arc::new(clock);
        let (path, model, runtime) = (path.to_owned(), model.clone(), Handle::current());
        let subscribers = Arc::new(Subscribers::new(clock.clone()));
        let settings = Settings { path, readers, model, subscribers, runtime };
        let store = Self {
            opened: Opened::new(settings)?,
            catching_up: Arc::default(),
            clock,
            fetches_ahead: false,
        };
        store.read(|snapshot| snapshot.epoch()).await??;
        Ok(store)
    }

    /// The same database, but rows of answers are fetched ahead, level by level, as for a database
    /// over a network. The answers are the same.
    #[must_use]
    pub fn fetching_ahead(self) -> Self {
        Self { fetches_ahead: true, ..self }
    }

    /// The clock: which changes are known, and since when.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether the clock has every change, by any writer, that was committed before this call.
    /// Costs a read of 48 bytes.
    pub fn is_current(&self) -> bool {
        self.opened.is_current()
    }

    /// Whether the last attempt to read the change log failed: the clock may then lack even this
    /// server's own writes.
    pub fn has_lost_track(&self) -> bool {
        self.opened.has_lost_track()
    }

    /// Waits until the clock has every change that was committed before this call.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        let feed = self.opened.with(|threads| Ok(threads.feed.clone()))?;
        let called = feed.moment();
        if self.is_current() {
            return Ok(());
        }
        // One read serves all callers that wait for this lock, because it began after their calls.
        let _turn = self.catching_up.lock().await;
        if feed.has_read_since(called) || self.is_current() {
            return Ok(());
        }
        self.read_on().await
    }

    /// [`Self::catch_up`], limited in time.
    ///
    /// # Errors
    /// [`StoreError::Late`], and those of [`Self::catch_up`].
    pub async fn catch_up_within(&self, limit: Duration) -> Result<(), StoreError> {
        tokio::time::timeout(limit, self.catch_up()).await.unwrap_or(Err(StoreError::Late))
    }

    /// Reports every change from here on to this subscriber, and returns the position from where.
    /// It learns of a change before [`Self::catch_up`] returns to any caller who called after the
    /// commit.
    ///
    /// # Errors
    /// There is no database at its path.
    pub fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Result<Position, StoreError> {
        self.opened.with(|threads| Ok(threads.feed.subscribe(subscriber)))
    }

    /// Reads the log, whether or not it has new records.
    async fn read_on(&self) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: FeedJob = Box::new(move |result| drop(reply.send(result)));
        self.opened.with(|threads| enqueue(&threads.follower, job))?;
        answer.await.map_err(|_| StoreError::Gone)?
    }

    /// Deletes records of the change log that are too old or too many, a few thousand at a time, so
    /// that no writer waits for long. Returns the number of deleted records.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn prune(&self, limits: ChangeLogLimits) -> Result<usize, StoreError> {
        let mut deleted = 0;
        // The clock must know what is deleted, or it would have to forget everything.
        self.catch_up().await?;
        // Check with a reader first: there is usually nothing to delete, and writers must not wait
        // for that.
        while self
            .read(move |snapshot| change_log::surplus(snapshot.connection(), limits))
            .await??
            .is_some()
        {
            let prune = move |transaction: &Transaction<'_>| {
                Ok(change_log::prune(transaction.connection(), limits)?)
            };
            match self.write::<_, StoreError, _>(prune).await? {
                // Another node was faster.
                0 => break,
                more => deleted += more,
            }
        }
        Ok(deleted)
    }

    /// How far versions can be trusted, as far as is known; for a single state of the database see
    /// [`Snapshot::guard`].
    ///
    /// # Errors
    /// There is no database at its path.
    pub fn guard(&self) -> Result<Arc<Guard>, StoreError> {
        self.opened.with(|threads| Ok(threads.feed.guard()))
    }

    /// Whether the database accepts writes. If the last write failed because of the disk or the
    /// file, this occasionally tries a write that leaves no trace.
    ///
    /// # Errors
    /// Why not, or that the database does not answer.
    pub async fn check_writable(&self) -> Result<(), StoreError> {
        let Some((why, is_due)) = self.opened.with(|threads| Ok(threads.writable.why_not()))?
        else {
            return Ok(());
        };
        if !is_due {
            return Err(why);
        }
        tokio::time::timeout(PROBE, self.write(probe)).await.unwrap_or(Err(why))
    }

    /// Closes the database for good, and returns when that is done. Operations in progress may
    /// finish; later ones fail. Leaves no write-ahead log, unless another program has the database
    /// open.
    pub async fn close(&self) {
        let opened = self.opened.clone();
        if tokio::task::spawn_blocking(move || opened.close()).await.is_err() {
            tracing::error!("closing the database panicked");
        }
    }

    /// Runs `read` in one snapshot, on a thread that may block. If the caller stops waiting, its
    /// statement is interrupted.
    ///
    /// # Errors
    /// No snapshot could be opened. The result of `read` is returned as it is.
    pub async fn read<T, F>(&self, read: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> T + Send + 'static,
    {
        self.read_at(Readers::Quick, Allowance::UNLIMITED, read).await
    }

    async fn read_at<T, F>(
        &self,
        readers: Readers,
        allowance: Allowance,
        read: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Snapshot<'_>) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let here = Arc::new(());
        let job = ReadJob {
            waiting: Arc::downgrade(&here),
            allowance,
            run: Box::new(move |snapshot| {
                // If the request was dropped, nobody waits for the reply.
                let _ = reply.send(snapshot.map(read));
            }),
        };
        self.opened.with(|threads| match readers {
            Readers::Quick => enqueue(&threads.readers, job),
            Readers::Slow => enqueue(&threads.slow_readers, job),
        })?;
        answer.await.map_err(|_| StoreError::Gone)?
    }

    /// Runs `read` as [`Self::read`] does, limited to this many steps. It first runs on a quick
    /// reader; if that takes too long, it starts over in another snapshot on a slow reader, where
    /// it may take as long as it needs. Slow work never delays the quick readers.
    ///
    /// # Errors
    /// [`StoreError::Interrupted`] if the steps do not suffice, [`StoreError::Overloaded`] if too
    /// many operations wait, and the errors of `read` itself.
    pub async fn read_within<T, E, F>(&self, steps: u64, read: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&Snapshot<'_>) -> Result<T, E> + Send + Sync + 'static,
    {
        let read = Arc::new(read);
        let quickly = read.clone();
        let run = move |snapshot: &Snapshot<'_>| {
            let result = quickly(snapshot);
            snapshot.verdict().is_none().then_some(result)
        };
        let quick = Allowance { steps: steps.min(QUICK.steps), ..QUICK };
        if let Some(result) = self.read_at(Readers::Quick, quick, run).await? {
            return result;
        }
        let run = move |snapshot: &Snapshot<'_>| {
            let result = read(snapshot);
            snapshot.verdict().map_or(result, |verdict| Err(verdict.into()))
        };
        self.read_at(Readers::Slow, Allowance { steps, time: SLOWEST }, run).await?
    }

    /// Runs an operation that reads, limited to this many steps, optionally under observation.
    ///
    /// # Errors
    /// Those of [`Self::read_within`].
    pub async fn answer<R: Reading>(
        &self,
        steps: u64,
        reading: R,
        observed: bool,
    ) -> Result<(R::Output, Option<Observed>), R::Error> {
        let fetches_ahead = self.fetches_ahead;
        let run = move |snapshot: &Snapshot<'_>| {
            let state = snapshot.state()?;
            if fetches_ahead {
                return Ok((
                    reading.read(&state, &snapshot.fetch(reading.levels())?)?,
                    observed.then(Observed::default),
                ));
            }
            if !observed {
                return Ok((reading.read(&state, snapshot)?, None));
            }
            let traced = snapshot.traced();
            let output = reading.read(&state, &traced)?;
            let observed = Observed {
                statements: traced.trace().into_ran(),
                as_of: snapshot.newest_change()?,
            };
            Ok((output, Some(observed)))
        };
        self.read_within(steps, run).await
    }

    /// Runs a mutation in an isolated transaction, see [`Self::write`].
    ///
    /// # Errors
    /// Those of [`Self::write`].
    pub async fn mutate<W: Writing>(&self, writing: W) -> Result<W::Output, W::Error> {
        self.write(move |transaction| ready(writing.write(transaction))).await
    }

    /// The records of the change log that have one of these marks (sorted), up to `limit`. For
    /// diagnosis: it may take a while.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn touching(
        &self,
        model: &Arc<Model>,
        marks: Arc<[Mark]>,
        search: Search,
        limit: usize,
    ) -> Result<Vec<Record>, StoreError> {
        let model = model.clone();
        let search = move |snapshot: &Snapshot<'_>| {
            Ok(change_log::touching(snapshot.connection(), &model, &marks, search, limit)?)
        };
        self.read_at(Readers::Slow, Allowance::UNLIMITED, search).await?
    }

    /// Runs `write` in an isolated transaction, and returns when it is durable. An error of `write`
    /// rolls all of it back. `write` may run again after its effects were rolled back. If the
    /// caller stops waiting before it has begun, it does not run.
    ///
    /// # Errors
    /// Those of `write`, or of the database.
    pub async fn write<T, E, F>(&self, write: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: Fn(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let reply = Arc::new(Mutex::new(Some(reply)));
        let here = Arc::new(());
        let run = move |transaction: Result<&Transaction<'_>, StoreError>| {
            let result = transaction.map_err(E::from).and_then(&write);
            let keep = result.is_ok();
            let reply = reply.clone();
            let finish: Finish = Box::new(move |committed| {
                let result = match committed {
                    // It saw what others wrote in the same commit, which has been rolled back: its
                    // own error (another version, no such row) may be as wrong as its result.
                    Err(
                        error @ (StoreError::Commit(_)
                        | StoreError::Lost(_)
                        | StoreError::Unwritable(_)),
                    ) => Err(E::from(error)),
                    // A job that failed by itself keeps its own error.
                    Err(error) if result.is_ok() => Err(E::from(error)),
                    _ => result,
                };
                if let Some(reply) = reply.lock().unwrap_or_else(PoisonError::into_inner).take() {
                    let _ = reply.send(result);
                }
            });
            (keep, finish)
        };
        let job = WriteJob {
            waiting: Arc::downgrade(&here),
            allowance: Allowance::UNLIMITED,
            run: Box::new(run),
        };
        self.opened.with(|threads| enqueue(&threads.writer, job))?;
        answer.await.map_err(|_| E::from(StoreError::Gone))?
    }

    /// Whether the database answers. No other operation delays this: it asks the thread that only
    /// reads the log.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.read_on().await
    }
}
