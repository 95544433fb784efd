//! Tracks which documents in the database may differ from the registry: the feed reports them, and
//! the next lookup reads them. The feed does not compile them itself, because that takes
//! milliseconds, and requests wait for the feed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The number of documents that are tracked individually. A server without requests must not
/// accumulate them without bound.
const MOST: usize = 10_000;

/// What was reported and not yet read.
#[derive(Debug, Default)]
pub(super) struct Outdated {
    /// The number of reports so far.
    reported: AtomicU64,
    /// That number at the start of the last successful read.
    read: AtomicU64,
    which: Mutex<Which>,
}

#[derive(Debug, Default)]
struct Which {
    /// The number of the last report that any document may have changed; 0 if there was none.
    all: u64,
    /// For each of these documents, the number of its last report.
    ids: HashMap<String, u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// None: all documents.
    pub(super) ids: Option<Vec<String>>,
    reported: u64,
}

impl Outdated {
    /// Whether anything must be read. It becomes false only after everything reported has been read
    /// and applied, so a caller that sees false may rely on the registry.
    pub(super) fn is_any(&self) -> bool {
        self.read.load(Ordering::Acquire) != self.reported.load(Ordering::Acquire)
    }

    /// Reports that these documents may have changed.
    pub(super) fn mark(&self, ids: &[String]) {
        self.note(|which, number| {
            which.ids.extend(ids.iter().map(|id| (id.clone(), number)));
            if which.ids.len() > MOST {
                *which = Which { all: number, ids: HashMap::new() };
            }
        });
    }

    /// Reports that any document may have changed.
    pub(super) fn mark_all(&self) {
        self.note(|which, number| *which = Which { all: number, ids: HashMap::new() });
    }

    fn note(&self, note: impl FnOnce(&mut Which, u64)) {
        let mut which = self.which.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.reported.load(Ordering::Relaxed) + 1;
        note(&mut which, number);
        self.reported.store(number, Ordering::Release);
    }

    /// What must be read now. Call this before reading the database; the reports remain until
    /// [`Self::done`].
    pub(super) fn begin(&self) -> Reading {
        let which = self.which.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = (which.all == 0).then(|| which.ids.keys().cloned().collect());
        Reading { ids, reported: self.reported.load(Ordering::Relaxed) }
    }

    /// The registry now matches what was read. Later reports remain.
    pub(super) fn done(&self, reading: &Reading) {
        let mut which = self.which.lock().unwrap_or_else(PoisonError::into_inner);
        which.ids.retain(|_, number| *number > reading.reported);
        if which.all <= reading.reported {
            which.all = 0;
        }
        self.read.store(reading.reported, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn changes_reported_during_a_reading_are_read_again() {
        let outdated = Outdated::default();
        assert!(!outdated.is_any());
        outdated.mark(&ids(&["a"]));
        let reading = outdated.begin();
        assert_eq!(reading.ids, Some(ids(&["a"])));
        outdated.mark(&ids(&["b"]));
        outdated.done(&reading);
        assert!(outdated.is_any());
        // An abandoned read changes nothing.
        drop(outdated.begin());
        let reading = outdated.begin();
        assert_eq!(reading.ids, Some(ids(&["b"])));
        outdated.mark_all();
        outdated.done(&reading);
        let reading = outdated.begin();
        assert_eq!(reading.ids, None);
        outdated.done(&reading);
        assert!(!outdated.is_any());
        assert_eq!(outdated.begin().ids, Some(Vec::new()));
    }

    #[test]
    fn too_many_changes_count_as_all() {
        let outdated = Outdated::default();
        for number in 0..=MOST {
            outdated.mark(&[number.to_string()]);
        }
        assert_eq!(outdated.begin().ids, None);
    }
}
