//! The jobs of the threads, how many of them may wait, and what each may consume.

use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use super::meter::Allowance;
use super::snapshot::Snapshot;
use super::transaction::Transaction;
use crate::store::error::StoreError;

/// The number of jobs that may wait for a connection. More are refused, so that overload shows as
/// such and not as latency.
pub(super) const QUEUE: usize = 4096;
/// The maximum number of mutations that share one commit.
pub(super) const GROUP: usize = 128;
/// The number of operations that may wait for a slow reader. Each may take as long as the limits
/// allow, so this is small.
pub(super) const SLOW_QUEUE: usize = 32;
/// What an operation may consume on a quick reader: a few milliseconds, as a rule. One that needs
/// more starts over on a slow reader, so that cheap operations never wait longer than this for
/// costly ones, however many of these there are.
pub(super) const QUICK: Allowance =
    Allowance { steps: 1_000_000, time: Duration::from_millis(100) };
/// How long an operation may occupy a slow reader.
pub(super) const SLOWEST: Duration = Duration::from_secs(5);
/// What the answer of a mutation may consume, because all other writers wait for it.
pub(super) const WRITER: Allowance = Allowance { steps: 5_000_000, time: Duration::from_secs(1) };
/// Work, and whether its caller still waits for it.
pub(super) struct Job<F: ?Sized> {
    pub(super) run: Box<F>,
    /// Alive as long as the caller waits.
    pub(super) waiting: Weak<()>,
    /// What it may consume.
    pub(super) allowance: Allowance,
}

impl<F: ?Sized> Job<F> {
    pub(super) fn is_given_up(&self) -> bool {
        self.waiting.strong_count() == 0
    }
}

/// Work for a reader.
pub(super) type ReadJob = Job<dyn FnOnce(Result<&Snapshot<'_>, StoreError>) + Send>;

/// Work for the writer. It returns whether to commit, and a callback that receives the outcome of
/// the commit. If another job has spoiled a shared commit, it runs again in a transaction of its
/// own.
pub(super) type WriteJob =
    Job<dyn FnMut(Result<&Transaction<'_>, StoreError>) -> (bool, Finish) + Send>;

/// Reports to the caller whether the commit succeeded.
pub(super) type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Called when the clock has caught up, or failed to.
pub(super) type FeedJob = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Enqueues a job; if the queue is full, fails instead of waiting.
pub(super) fn enqueue<J>(queue: &Sender<J>, job: J) -> Result<(), StoreError> {
    queue.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => StoreError::Overloaded,
        TrySendError::Disconnected(_) => StoreError::Gone,
    })
}

/// Runs a future that never waits, as all of a transaction's futures do here.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing is waited for within a transaction of SQLite's"),
    }
}
