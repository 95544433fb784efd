//! Looked at while SQLite works: whether anybody still waits for the operation, and whether it has used up the steps that
//! it was given. Steps, not time, because a busy machine must not refuse what a quiet one answers.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use rusqlite::Connection;

use crate::store::error::StoreError;

/// Instructions of SQLite's machine after which it looks here: some tenths of a millisecond.
const PROGRESS: i32 = 10_000;

/// A connection's meter. It runs while an operation is on it; the connection's own statements (`BEGIN`, `COMMIT`, and all
/// that writes) are not metered.
#[derive(Debug, Default)]
pub(super) struct Meter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    is_running: AtomicBool,
    /// Steps that the operation may still take; negative when it has taken more.
    left: AtomicI64,
    /// Lives as long as somebody waits.
    waiting: Mutex<Weak<()>>,
}

impl Meter {
    /// A meter of this connection: while it runs, statements end (with [`StoreError::Interrupted`]) when nobody waits for
    /// them any more, or when the steps are used up.
    pub(super) fn of(connection: &mut Connection) -> Result<Self, StoreError> {
        let shared = Arc::<Shared>::default();
        let seen = shared.clone();
        connection.progress_handler(PROGRESS, Some(move || seen.ends()))?;
        Ok(Self(shared))
    }

    /// An operation is about to begin: for whom, and with how many steps.
    pub(super) fn set(&self, waiting: Weak<()>, steps: u64) {
        if let Ok(mut seen) = self.0.waiting.lock() {
            *seen = waiting;
        }
        self.0.left.store(i64::try_from(steps).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    /// Starts or stops it.
    pub(super) fn run(&self, is_running: bool) {
        self.0.is_running.store(is_running, Ordering::Relaxed);
    }

    /// Takes steps for work that is not SQLite's.
    pub(super) fn take(&self, steps: u32) -> Result<(), StoreError> {
        // One thread takes all steps, so nothing is lost between the two.
        let left = self.0.left.load(Ordering::Relaxed) - i64::from(steps);
        self.0.left.store(left, Ordering::Relaxed);
        if left < 0 && self.0.is_running.load(Ordering::Relaxed) { Err(StoreError::Interrupted) } else { Ok(()) }
    }

    /// Whether the operation has used up its steps.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.left.load(Ordering::Relaxed) < 0
    }
}

impl Shared {
    /// Whether SQLite is to end what it does.
    fn ends(&self) -> bool {
        if !self.is_running.load(Ordering::Relaxed) {
            return false;
        }
        let left = self.left.load(Ordering::Relaxed) - i64::from(PROGRESS);
        self.left.store(left, Ordering::Relaxed);
        left < 0 || self.waiting.lock().is_ok_and(|waiting: MutexGuard<'_, Weak<()>>| waiting.strong_count() == 0)
    }
}
