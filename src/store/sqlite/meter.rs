//! Looked at while SQLite works: whether anybody still waits for the operation, and whether it has
//! used up what it was given. That is counted in steps, because a busy machine must not refuse what
//! a quiet one answers; time is the last resort, as some steps are long (a search through a
//! megabyte of text is one).

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rusqlite::functions::FunctionFlags;

use super::dialect::FOLD_FUNCTION;
use crate::store::error::StoreError;
use crate::store::select::fold;

/// Instructions of SQLite's machine after which it looks here: some tenths of a millisecond.
const PROGRESS: i32 = 10_000;

/// What it costs to fold the case of a text, in steps, and how many bytes of it make one more.
const FOLD_STEPS: i64 = 4;
const FOLDED_PER_STEP: i64 = 16;

/// A connection's meter. It runs while an operation is on it; the connection's own statements
/// (`BEGIN`, `COMMIT`, and all that writes) are not metered.
#[derive(Debug)]
pub(super) struct Meter(Arc<Shared>);

/// What an operation may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Allowance {
    /// Of SQLite's machine, and of ours in these.
    pub(in crate::store) steps: u64,
    /// On the clock on the wall.
    pub(in crate::store) time: Duration,
}

impl Allowance {
    /// For what is not a client's.
    pub(in crate::store) const UNLIMITED: Self = Self { steps: u64::MAX, time: Duration::MAX };
}

#[derive(Debug)]
struct Shared {
    started: Instant,
    is_running: AtomicBool,
    /// Steps that the operation may still take; negative when it has taken more.
    left: AtomicI64,
    /// Milliseconds that it may take in one go.
    time: AtomicU64,
    /// When it must be done, in milliseconds since `started`.
    deadline: AtomicU64,
    /// It was not done then.
    is_late: AtomicBool,
    /// Lives as long as somebody waits.
    waiting: Mutex<Weak<()>>,
}

impl Meter {
    /// A meter of this connection: while it runs, statements end (with [`StoreError::Interrupted`])
    /// when nobody waits for them any more, or when the steps are used up.
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
            Ok(text.map(fold))
        })?;
        Ok(Self(shared))
    }

    /// An operation is about to begin: for whom, and what it may use up.
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

    /// Takes steps for work that is not SQLite's.
    #[inline]
    pub(super) fn take(&self, steps: u32) -> Result<(), StoreError> {
        let left = self.0.take(i64::from(steps));
        if left < 0 && self.0.is_running.load(Ordering::Relaxed) {
            Err(StoreError::Interrupted)
        } else {
            Ok(())
        }
    }

    /// Why the operation was ended, if it was because it had used up what it was given.
    pub(super) fn verdict(&self) -> Option<StoreError> {
        if self.0.is_late.load(Ordering::Relaxed) {
            return Some(StoreError::Late);
        }
        (self.0.left.load(Ordering::Relaxed) < 0).then_some(StoreError::Interrupted)
    }
}

impl Shared {
    /// One thread takes all steps, so nothing is lost between the two.
    fn take(&self, steps: i64) -> i64 {
        let left = self.left.load(Ordering::Relaxed).saturating_sub(steps);
        self.left.store(left, Ordering::Relaxed);
        left
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Whether SQLite is to end what it does.
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
