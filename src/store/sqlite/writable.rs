//! Whether the database accepts writes. SQLite reports a full disk or a read-only file only when
//! something is written. The error is remembered here until a write succeeds again, for readiness
//! checks.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::error::StoreError;

/// How often to try a write for readiness checks.
const PROBING: Duration = Duration::from_secs(1);

/// The outcome of the last write.
#[derive(Debug, Default)]
pub(in crate::store) struct Writable(Mutex<Option<Trouble>>);

#[derive(Debug)]
struct Trouble {
    why: String,
    probed_at: Instant,
}

impl Writable {
    /// Records a failed write; errors that are not about the disk or the file are ignored.
    pub(in crate::store) fn failed(&self, error: &StoreError) {
        let StoreError::Unwritable(why) = error else { return };
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if trouble.as_ref().is_none_or(|trouble| trouble.why != *why) {
            tracing::error!("{error}");
            *trouble = Some(Trouble { why: why.clone(), probed_at: Instant::now() });
        }
    }

    /// Records a successful write.
    pub(in crate::store) fn succeeded(&self) {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the database can be written again");
        }
    }

    /// Why nothing can be written, as far as is known, and whether it is time to try again.
    pub(in crate::store) fn why_not(&self) -> Option<(StoreError, bool)> {
        let mut trouble = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = trouble.as_mut()?;
        let is_due = trouble.probed_at.elapsed() >= PROBING;
        if is_due {
            trouble.probed_at = Instant::now();
        }
        Some((StoreError::Unwritable(trouble.why.clone()), is_due))
    }
}
