//! PostgreSQL's feed: finds out which transactions have committed since the log was last read, by
//! comparing two snapshots. Its promises to subscribers are in [`crate::store::feed`].
//!
//! Records are not numbered in the order of commits, and no number below the snapshot separates old
//! from new: a record appears when its transaction ends, possibly long after records with higher
//! numbers. What is visible now and was not at the previous snapshot belongs to a transaction that
//! had not begun then (`xid >= xmax`), or was running (`xip`). A committing transaction leaves the
//! set of running ones before its client hears of the commit, so a snapshot that is taken after an
//! acknowledgement includes it.
//!
//! One task has its own connection and runs one **check** at a time; requests that arrive meanwhile
//! share the next one.

mod check;
pub(super) mod definition;
mod known;
mod life;
mod look;
mod snapshot;
mod tables;

use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

pub(super) use check::STANDBY;
pub(in crate::store) use known::Schema;
pub(in crate::store) use snapshot::Snapshot;

use self::check::Follower;
use self::known::{Applied, Known};
use super::client::Session;
use crate::config::PostgresUrl;
use crate::model::Model;
use crate::store::error::StoreError;
use crate::store::feed::{Position, Subscriber, Subscribers};
use crate::store::guard::Guard;

/// The interval, in milliseconds, in which writes are read that nobody waits for, at most once.
const NUDGE: u64 = 100;

/// How often those who wait for a check may give up while it lasts.
const TICK: Duration = Duration::from_millis(100);

/// How often requests are let in between two checks, at least and at most.
const ROUNDS: (u32, u32) = (2, 8);

/// Follows one database for all subscribers.
#[derive(Debug)]
pub(in crate::store) struct Feed {
    known: Known,
    /// The number of checks so far.
    begun: AtomicU64,
    /// The last check that succeeded.
    ended: AtomicU64,
    /// Whether the last check has failed.
    failed: AtomicBool,
    /// The last check that failed, and why.
    failure: Mutex<Option<(u64, String)>>,
    /// When a check that nobody waits for was last requested, in milliseconds since `started`.
    nudged: AtomicU64,
    started: Instant,
    /// Whether answers are given from what the subscribers know, without a check before each: see
    /// [`Self::keep_covered`].
    is_relied_on: AtomicBool,
    /// Wakes those who wait for a check, when it has ended, and from time to time so that they can
    /// give up: a timer for each of them would cost more than their part of the check.
    waiting: Notify,
    task: Arc<Task>,
}

/// Signals to the task.
#[derive(Debug, Default)]
struct Task {
    wake: Notify,
    /// How many requests have begun or ceased to wait for a check so far.
    moves: AtomicU64,
    is_closed: AtomicBool,
}

impl Feed {
    /// Follows the database from now on: what is in the log already is older than every answer.
    ///
    /// # Errors
    /// The database cannot be reached, was never migrated, or is a standby.
    pub(in crate::store) async fn start(
        url: &PostgresUrl,
        session: Session,
        model: Arc<Model>,
        subscribers: Arc<Subscribers>,
    ) -> Result<Arc<Self>, StoreError> {
        let mut follower = Follower::new(url.clone(), session);
        let (applied, schema) = follower.begin(&model).await?;
        for reason in schema.guard.reasons(&model) {
            tracing::error!("answers have no ETag and are not cached: {reason}");
        }
        let era = follower.era(&applied);
        let feed = Arc::new(Self {
            known: Known::new(model, subscribers, applied, schema, era),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            nudged: AtomicU64::new(0),
            started: Instant::now(),
            is_relied_on: AtomicBool::new(false),
            failure: Mutex::default(),
            waiting: Notify::new(),
            task: Arc::default(),
        });
        tokio::spawn(follow(Arc::downgrade(&feed), feed.task.clone(), follower));
        Ok(feed)
    }

    /// Returns when the subscribers know of every change that was committed before this call.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub(in crate::store) async fn catch_up(&self) -> Result<(), StoreError> {
        self.catch_up_by(None).await
    }

    /// [`Self::catch_up`], limited in time; [`TICK`] is its resolution.
    ///
    /// # Errors
    /// [`StoreError::Late`], and those of [`Self::catch_up`].
    pub(in crate::store) async fn catch_up_within(
        &self,
        limit: Duration,
    ) -> Result<(), StoreError> {
        self.catch_up_by(Some(Instant::now() + limit)).await
    }

    async fn catch_up_by(&self, deadline: Option<Instant>) -> Result<(), StoreError> {
        let called = self.begun.load(Ordering::SeqCst);
        self.task.moves.fetch_add(1, Ordering::Relaxed);
        self.task.wake.notify_one();
        let outcome = self.outcome_by(called, deadline).await;
        self.task.moves.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn outcome_by(&self, called: u64, deadline: Option<Instant>) -> Result<(), StoreError> {
        loop {
            // Before the outcome is looked at, so that no end of a check is missed.
            let woken = self.waiting.notified();
            if let Some(outcome) = self.outcome(called) {
                return outcome;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(StoreError::Late);
            }
            woken.await;
        }
    }

    /// The outcome of a check that began after this many others; None if none has ended yet.
    fn outcome(&self, checks: u64) -> Option<Result<(), StoreError>> {
        if self.has_checked_since(checks) {
            return Some(Ok(()));
        }
        if self.has_lost_track() {
            let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, why)) = failure.as_ref().filter(|(number, _)| *number > checks) {
                return Some(Err(StoreError::Lost(why.clone())));
            }
        }
        self.task.is_closed.load(Ordering::SeqCst).then_some(Err(StoreError::Gone))
    }

    /// From now on, answers are given without a check before them, so the subscribers must learn of
    /// every write here before its client is told ([`Self::wrote`]).
    ///
    /// If every answer from the cache follows a check that begins after its request, writes need
    /// not wait. Consider a client that has been told of a write, here or by another server, and
    /// then sends a request: the check's snapshot is later than the commit, so it includes the
    /// change, and no older stored answer is valid any more. An answer that was executed in the
    /// meantime is stored with the revision that was known before its snapshot was taken: the
    /// change counts as later, and at worst the answer is executed once more.
    /// `tests/integration/cluster.rs` tries to find an exception.
    pub(in crate::store) fn keep_covered(&self) {
        self.is_relied_on.store(true, Ordering::SeqCst);
    }

    /// How many checks have begun so far.
    pub(in crate::store) fn checks(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether a check has succeeded that began after this many others.
    pub(in crate::store) fn has_checked_since(&self, checks: u64) -> bool {
        self.ended.load(Ordering::SeqCst) > checks
    }

    /// Something was committed here: returns when the subscribers know of it, if answers rely on
    /// that; otherwise ensures that they soon will.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub(in crate::store) async fn wrote(&self) -> Result<(), StoreError> {
        if self.is_relied_on.load(Ordering::SeqCst) {
            return self.catch_up().await;
        }
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.nudged.load(Ordering::Relaxed);
        if now >= last + NUDGE
            && self.nudged.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.task.wake.notify_one();
        }
        Ok(())
    }

    /// When the server was started that the last check has reached.
    pub(in crate::store) fn server(&self) -> i64 {
        self.known.covered.load().server
    }

    /// A number that changes when connections must be opened anew.
    pub(in crate::store) fn era(&self) -> i64 {
        self.known.era.load(Ordering::SeqCst)
    }

    /// Returns when the subscribers know of everything that a reader with this snapshot has seen.
    /// Usually they already do. This is always awaited: alterations by hand are in the snapshot,
    /// too, and only a check detects that versions do not reflect them. `server`: when the reader's
    /// server was started; snapshots of another one cannot be compared.
    ///
    /// # Errors
    /// The change log cannot be read.
    pub(in crate::store) async fn cover(
        &self,
        seen: &Snapshot,
        server: i64,
    ) -> Result<(), StoreError> {
        let covers = |known: &Applied| known.server == server && known.snapshot.covers(seen);
        if !self.has_lost_track() && covers(&self.known.covered.load()) {
            return Ok(());
        }
        self.catch_up().await
    }

    /// The subscribers know the records of all transactions below this one.
    pub(in crate::store) fn read_below(&self) -> u64 {
        self.known.covered.load().snapshot.xmin
    }

    /// Whether the last check has failed, so that even our own writes may be missing.
    pub(in crate::store) fn has_lost_track(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Notifies this subscriber of everything after the returned position.
    pub(in crate::store) fn subscribe(&self, subscriber: Arc<dyn Subscriber>) -> Position {
        // Nobody is notified while this is locked.
        let applied = self.known.applied.lock().unwrap_or_else(PoisonError::into_inner);
        self.known.subscribers.add(subscriber);
        applied.position()
    }

    /// The schema, as far as it is known.
    pub(in crate::store) fn schema(&self) -> Arc<Schema> {
        self.known.schema.load_full()
    }

    /// How far versions can be trusted, as far as that is known.
    pub(in crate::store) fn guard(&self) -> Arc<Guard> {
        self.known.schema.load().guard.clone()
    }

    /// The outcome of a check, during which those who wait for it are woken from time to time.
    async fn while_ticking<T>(&self, check: impl Future<Output = T>) -> T {
        let mut check = pin!(check);
        loop {
            match tokio::time::timeout(TICK, &mut check).await {
                Ok(outcome) => return outcome,
                Err(_) => self.waiting.notify_waiters(),
            }
        }
    }

    fn note_failure(&self, check: u64, error: &StoreError) {
        let failure = Some((check, error.to_string()));
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }

    /// Ends its task, which closes its connection.
    pub(in crate::store) async fn close(&self) {
        self.end();
        // A check in progress holds a strong reference to it.
        tokio::task::yield_now().await;
    }

    fn end(&self) {
        self.task.is_closed.store(true, Ordering::SeqCst);
        self.task.wake.notify_one();
        self.waiting.notify_waiters();
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs one check after another, as they are requested, until nobody uses the feed any more.
async fn follow(feed: Weak<Feed>, task: Arc<Task>, mut follower: Follower) {
    loop {
        task.wake.notified().await;
        let Some(feed) = feed.upgrade().filter(|_| !task.is_closed.load(Ordering::SeqCst)) else {
            follower.close().await;
            return;
        };
        let number = feed.begun.fetch_add(1, Ordering::SeqCst) + 1;
        let result = feed.while_ticking(follower.check(&feed.known)).await;
        feed.failed.store(result.is_err(), Ordering::SeqCst);
        match result {
            Ok(()) => feed.ended.store(number, Ordering::SeqCst),
            Err(error) => feed.note_failure(number, &error),
        }
        feed.waiting.notify_waiters();
        drop(feed);
        gather(&task).await;
    }
}

/// Lets the awakened requests be answered and new ones arrive, so that the next check is shared by
/// all of them, and not only by the few that came during this one. A task that yields continues
/// after the sockets have been polled once; after the second time, what they had received has been
/// processed. A busy runtime polls its sockets every few dozen tasks, so as long as requests come
/// or go, it is worth waiting for more of them.
async fn gather(task: &Task) {
    let mut before = task.moves.load(Ordering::Relaxed);
    for round in 1..=ROUNDS.1 {
        tokio::task::yield_now().await;
        let now = task.moves.load(Ordering::Relaxed);
        if round >= ROUNDS.0 && now == before {
            break;
        }
        before = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_check_waits_for_a_few_requests_but_not_for_as_long_as_they_keep_arriving() {
        let task = Arc::new(Task::default());
        let busy = task.clone();
        let arriving = tokio::spawn(async move {
            loop {
                busy.moves.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        gather(&task).await;
        let arrived = task.moves.load(Ordering::Relaxed);
        assert!((u64::from(ROUNDS.0)..=u64::from(ROUNDS.1)).contains(&arrived), "{arrived}");
        arriving.abort();
        let _ = arriving.await;

        // If nobody comes, it does not wait for anybody.
        let before = task.moves.load(Ordering::Relaxed);
        gather(&task).await;
        assert_eq!(task.moves.load(Ordering::Relaxed), before);
    }
}
