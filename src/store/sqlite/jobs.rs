//! The jobs that threads do, how many of them may wait, and what each may use up.

use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crossbeam_channel::{Sender, TrySendError};

use super::meter::Allowance;
use super::snapshot::Snapshot;
use super::transaction::Transaction;
use crate::store::error::StoreError;

/// Jobs that may wait for a connection; more are refused, so that an overload shows as such and not
/// as latency.
pub(super) const QUEUE: usize = 4096;
/// Mutations that may share one commit.
pub(super) const GROUP: usize = 128;
/// Operations that may wait for a slow reader. Each may take as long as the limits allow, so there
/// are few.
pub(super) const SLOW_QUEUE: usize = 32;
/// What an operation may use up on a reader for quick ones: some milliseconds, as a rule. One that
/// needs more begins again on a slow reader, so that however many costly ones are asked for, cheap
/// ones wait for none of them longer than this.
pub(super) const QUICK: Allowance =
    Allowance { steps: 1_000_000, time: Duration::from_millis(100) };
/// How long an operation may keep a slow reader.
pub(super) const SLOWEST: Duration = Duration::from_secs(5);
/// What the answer of a mutation may use up: all others who write wait for it.
pub(super) const WRITER: Allowance = Allowance { steps: 5_000_000, time: Duration::from_secs(1) };
/// Work, and whether anybody still waits for it: a request may have been given up.
pub(super) struct Job<F: ?Sized> {
    /// What to do.
    pub(super) run: Box<F>,
    /// Lives as long as somebody waits.
    pub(super) waiting: Weak<()>,
    /// What it may use up.
    pub(super) allowance: Allowance,
}

impl<F: ?Sized> Job<F> {
    pub(super) fn is_given_up(&self) -> bool {
        self.waiting.strong_count() == 0
    }
}

/// Work for a reader.
pub(super) type ReadJob = Job<dyn FnOnce(Result<&Snapshot<'_>, StoreError>) + Send>;

/// Work for the writer: does it and tells whether to keep it; what it returns is called when its
/// fate is known. It is done again, in a transaction of its own, where another job has spoiled the
/// commit that they shared.
pub(super) type WriteJob =
    Job<dyn FnMut(Result<&Transaction<'_>, StoreError>) -> (bool, Finish) + Send>;

/// Tells the one who waits that the commit has succeeded or failed.
pub(super) type Finish = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// Called when the clock has caught up, or could not.
pub(super) type FeedJob = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// A job for a full queue is given back as an error, not waited for.
pub(super) fn enqueue<J>(queue: &Sender<J>, job: J) -> Result<(), StoreError> {
    queue.try_send(job).map_err(|error| match error {
        TrySendError::Full(_) => StoreError::Overloaded,
        TrySendError::Disconnected(_) => StoreError::Gone,
    })
}

/// What a future gives that waits for nothing, as all of a transaction's do here.
pub(super) fn ready<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing is waited for within a transaction of SQLite's"),
    }
}
