//! What every driver's feed promises: the changes of the database, in the order of their commits,
//! to whoever subscribed.
//!
//! A feed calls its subscribers one after the other, and reads no further before all of them have
//! returned. So whoever waits until the feed has caught up
//! ([`Store::catch_up`](super::Store::catch_up)) finds that each of them knows of every change that
//! was committed before. A subscriber must therefore be quick and must not wait for the store: it
//! notes what it was told, and leaves the work to its own tasks.

use std::sync::{Arc, Mutex, PoisonError};

use super::change_log::{Change, Changes};
use crate::clock::Clock;
use crate::dependency::Version;

/// A point in the order of commits. What it is made of is the driver's own affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(Version);

impl Position {
    /// The state of the database whose newest record is this.
    pub(super) fn at(newest: Version) -> Self {
        Self(newest)
    }
}

/// Changes that were committed, all of them together or one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Behind the last of them.
    pub position: Position,
    /// In the order of the log.
    pub changes: Changes,
    /// This server has committed them, and nobody else any of them.
    pub own: bool,
}

/// What a feed has to tell.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedEvent {
    /// This has changed since the last event.
    Batch(Batch),
    /// Anything may have changed: the log does not reach back to the last event, or the database is
    /// in another state than the one that it described.
    Forgotten,
}

/// Somebody who wants to know of every change.
pub trait Subscriber: Send + Sync {
    /// Takes note of an event. Calls never overlap, and come in the order of commits.
    fn receive(&self, event: &FeedEvent);
}

impl Subscriber for Clock {
    fn receive(&self, event: &FeedEvent) {
        match event {
            // What concerns no row makes no answer stale.
            FeedEvent::Batch(batch) if batch.changes.rows.is_empty() => {}
            FeedEvent::Batch(batch) => {
                self.apply(batch.changes.rows.iter().flat_map(Change::marks))
            }
            FeedEvent::Forgotten => self.forget(),
        }
    }
}

/// The subscribers of a database, whichever feed reads it: a driver may begin with another one
/// where the database is put back to another state, and then tells them to forget. The lock keeps
/// what two feeds have to tell apart.
pub(super) struct Subscribers(Mutex<Vec<Arc<dyn Subscriber>>>);

impl Subscribers {
    /// The clock is told first: what the others do on an event may rest on it.
    pub(super) fn new(clock: Arc<Clock>) -> Self {
        Self(Mutex::new(vec![clock]))
    }

    /// Adds one behind the others. The driver calls this where no event can be under way.
    pub(super) fn add(&self, subscriber: Arc<dyn Subscriber>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(subscriber);
    }

    /// Tells all of them.
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
