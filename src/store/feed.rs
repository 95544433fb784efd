//! The contract of every driver's feed: it reports the changes of the database to its subscribers,
//! in commit order.
//!
//! A feed calls its subscribers one after the other, and reads no further until all of them have
//! returned. So a caller who waits until the feed has caught up
//! ([`Store::catch_up`](super::Store::catch_up)) can rely on each of them knowing every change that
//! was committed before. A subscriber must therefore be quick and must not wait for the store: it
//! records what it is told, and leaves the work to its own tasks.

use std::sync::{Arc, Mutex, PoisonError};

use super::change_log::{Change, Changes};
use crate::clock::Clock;
use crate::dependency::Version;

/// A point in the order of commits. Its contents are private to the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(Version);

impl Position {
    /// The state of the database whose newest record is this one.
    pub(super) fn at(newest: Version) -> Self {
        Self(newest)
    }
}

/// Committed changes, from one or several consecutive transactions.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The position after the last change.
    pub position: Position,
    /// In log order.
    pub changes: Changes,
    /// Whether this server has committed all of them.
    pub own: bool,
}

/// What a feed reports.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedEvent {
    /// These changes since the last event.
    Batch(Batch),
    /// Anything may have changed: the log does not reach back to the last event, or the database is
    /// not in the state that the event described.
    Forgotten,
}

/// Receives every change.
pub trait Subscriber: Send + Sync {
    /// Receives an event. Calls never overlap, and come in commit order.
    fn receive(&self, event: &FeedEvent);
}

impl Subscriber for Clock {
    fn receive(&self, event: &FeedEvent) {
        match event {
            // A change that concerns no row makes no answer stale.
            FeedEvent::Batch(batch) if batch.changes.rows.is_empty() => {}
            FeedEvent::Batch(batch) => {
                self.apply(batch.changes.rows.iter().flat_map(Change::marks))
            }
            FeedEvent::Forgotten => self.forget(),
        }
    }
}

/// The subscribers of a database, whichever feed reads it. A driver may start another feed if the
/// database was set back to another state, and then reports `Forgotten`. The lock keeps the events
/// of two feeds apart.
pub(super) struct Subscribers(Mutex<Vec<Arc<dyn Subscriber>>>);

impl Subscribers {
    /// The clock comes first: other subscribers may rely on it when they receive an event.
    pub(super) fn new(clock: Arc<Clock>) -> Self {
        Self(Mutex::new(vec![clock]))
    }

    /// Adds a subscriber after the others. The driver calls this when no event can be in progress.
    pub(super) fn add(&self, subscriber: Arc<dyn Subscriber>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    /// Reports an event to all of them.
    pub(super) fn tell(&self, event: &FeedEvent) {
        let subscribers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        subscribers.iter().for_each(|subscriber| subscriber.receive(event));
    }
}

impl std::fmt::Debug for Subscribers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Subscribers").finish_non_exhaustive()
    }
}
