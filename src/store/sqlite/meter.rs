//! Interrupts SQLite if nobody waits for the operation any more, or if it has used up its
//! allowance. The allowance is counted in steps, because a busy machine must not refuse what a
//! quiet one answers. Time is the last resort, since some steps are long (such as a search through
//! a megabyte of text).

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::dialect::FOLD_FUNCTION;
use crate::store::error::StoreError;
use crate::store::select::fold_case;

/// The number of SQLite's virtual machine instructions between two checks: some tenths of a
/// millisecond.
const PROGRESS: i32 = 10_000;

/// The cost of folding the case of a string, in steps, and the number of bytes that cost one more
/// step.
const FOLD_STEPS: i64 = 4;
const FOLDED_PER_STEP: i64 = 16;

/// A connection's meter. It runs while an operation is in progress; the connection's own statements
/// (`BEGIN`, `COMMIT`, and all writes) are not metered.
#[derive(Debug)]
pub(super) struct Meter(Arc<Shared>);

/// What an operation may consume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Allowance {
    /// Of SQLite's virtual machine, and of our own work in the same unit.
    pub(in crate::store) steps: u64,
    /// Wall-clock time.
    pub(in crate::store) time: Duration,
}

impl Allowance {
    /// For work that is not a client's.
    pub(in crate::store) const UNLIMITED: Self = Self { steps: u64::MAX, time: Duration::MAX };
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    is_running: AtomicBool,
    /// The steps that remain; negative if the operation has exceeded them.
    left: AtomicI64,
    /// The milliseconds that it may take without a break.
    time: AtomicU64,
    /// When it must end, in milliseconds since `started`.
    deadline: AtomicU64,
    /// Whether it missed the deadline.
    is_late: AtomicBool,
    /// Alive as long as the caller waits.
    waiting: Mutex<Weak<()>>,
}

impl Meter {
    /// The meter of this connection. While it runs, statements are interrupted (with
    /// [`StoreError::Interrupted`]) when nobody waits for them any more, or when the steps are used
    /// up.
    pub(super) fn of(connection: &mut Connection) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            started: Instant::now(),
            is_running: AtomicBool::new(false),
            left: AtomicI64::new(i64::MAX),
            time: AtomicU64::new(u64::MAX),
            deadline: AtomicU64::new(u64::MAX),
            is_late: AtomicBool::new(false),
            waiting: Mutex::default(),
        });
        let seen = shared.clone();
        connection.progress_handler(PROGRESS, Some(move || seen.ends()))?;
        let seen = shared.clone();
        let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
        connection.create_scalar_function(FOLD_FUNCTION, 1, flags, move |context| {
            let text = context.get_raw(0).as_str().ok();
            seen.take(FOLD_STEPS + text.map_or(0, str::len) as i64 / FOLDED_PER_STEP);
            Ok(text.map(fold_case))
        })?;
        Ok(Self(shared))
    }

    /// Prepares for an operation: who waits for it, and what it may consume.
    pub(super) fn set(&self, waiting: Weak<()>, allowance: Allowance) {
        if let Ok(mut seen) = self.0.waiting.lock() {
            *seen = waiting;
        }
        let time = u64::try_from(allowance.time.as_millis()).unwrap_or(u64::MAX);
        self.0.left.store(i64::try_from(allowance.steps).unwrap_or(i64::MAX), Ordering::Relaxed);
        self.0.time.store(time, Ordering::Relaxed);
        self.0.is_late.store(false, Ordering::Relaxed);
    }

    /// Starts or stops it.
    pub(super) fn run(&self, is_running: bool) {
        if is_running {
            let deadline = self.0.now().saturating_add(self.0.time.load(Ordering::Relaxed));
            self.0.deadline.store(deadline, Ordering::Relaxed);
        }
        self.0.is_running.store(is_running, Ordering::Relaxed);
    }

    /// Consumes steps for work outside SQLite.
    #[inline]
    pub(super) fn take(&self, steps: u32) -> Result<(), StoreError> {
        let left = self.0.take(i64::from(steps));
        if left < 0 && self.0.is_running.load(Ordering::Relaxed) {
            Err(StoreError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Why the operation was interrupted, if it had used up its allowance.
    pub(super) fn verdict(&self) -> Option<StoreError> {
        if self.0.is_late.load(Ordering::Relaxed) {
            return Some(StoreError::Late);
        }
        (self.0.left.load(Ordering::Relaxed) < 0).then_some(StoreError::Interrupted)
    }
}

impl Shared {
    /// Only one thread takes steps, so no update is lost between load and store.
    fn take(&self, steps: i64) -> i64 {
        let left = self.left.load(Ordering::Relaxed).saturating_sub(steps);
        self.left.store(left, Ordering::Relaxed);
        left
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether SQLite must interrupt its work.
    fn ends(&self) -> bool {
        if !self.is_running.load(Ordering::Relaxed) {
            return false;
        }
        let left = self.take(i64::from(PROGRESS));
        let is_late = self.now() >= self.deadline.load(Ordering::Relaxed);
        if is_late {
            self.is_late.store(true, Ordering::Relaxed);
        }
        left < 0
            || is_late
            || self
                .waiting
                .lock()
                .is_ok_and(|waiting: MutexGuard<'_, Weak<()>>| waiting.strong_count() == 0)
    }
}
