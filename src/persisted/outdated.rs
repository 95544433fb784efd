//! Which documents the database may have otherwise than the registry: the feed tells, and the next
//! look-up reads them. Compiling a document takes milliseconds, which nobody who waits for the feed
//! is to wait for.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Documents that are remembered one by one; a server that nobody asks for anything must not
/// remember ever more.
const MOST: usize = 10_000;

/// What was told and not yet read.
#[derive(Debug, Default)]
pub(super) struct Outdated {
    /// Counts the times that something was told.
    told: AtomicU64,
    /// That count at the beginning of the last reading that has ended well.
    read: AtomicU64,
    which: Mutex<Which>,
}

#[derive(Debug, Default)]
struct Which {
    /// When it was last told that any document may have changed; 0 if it was not.
    all: u64,
    /// When each of these was last told.
    ids: HashMap<String, u64>,
}

/// What is to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// None: all documents.
    pub(super) ids: Option<Vec<String>>,
    told: u64,
}

impl Outdated {
    /// Whether something is to be read. It is false again only when what was told has been read and
    /// put to use: who finds it false may rest on the registry.
    pub(super) fn is_any(&self) -> bool {
        self.read.load(Ordering::Acquire) != self.told.load(Ordering::Acquire)
    }

    /// These documents may have changed.
    pub(super) fn mark(&self, ids: &[String]) {
        self.note(|which, number| {
            which.ids.extend(ids.iter().map(|id| (id.clone(), number)));
            if which.ids.len() > MOST {
                *which = Which { all: number, ids: HashMap::new() };
            }
        });
    }

    /// Any document may have changed.
    pub(super) fn mark_all(&self) {
        self.note(|which, number| *which = Which { all: number, ids: HashMap::new() });
    }

    fn note(&self, note: impl FnOnce(&mut Which, u64)) {
        let mut which = self.which.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.told.load(Ordering::Relaxed) + 1;
        note(&mut which, number);
        self.told.store(number, Ordering::Release);
    }

    /// What is to be read now. To be called before the database is; it stays noted until
    /// [`Self::done`].
    pub(super) fn begin(&self) -> Reading {
        let which = self.which.lock().unwrap_or_else(PoisonError::into_inner);
        let ids = (which.all == 0).then(|| which.ids.keys().cloned().collect());
        Reading { ids, told: self.told.load(Ordering::Relaxed) }
    }

    /// It has been read, and the registry is as the database was. What was told since then stays
    /// noted.
    pub(super) fn done(&self, reading: &Reading) {
        let mut which = self.which.lock().unwrap_or_else(PoisonError::into_inner);
        which.ids.retain(|_, number| *number > reading.told);
        if which.all <= reading.told {
            which.all = 0;
        }
        self.read.store(reading.told, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_is_told_while_it_is_read_is_read_again() {
        let outdated = Outdated::default();
        assert!(!outdated.is_any());
        outdated.mark(&ids(&["a"]));
        let reading = outdated.begin();
        assert_eq!(reading.ids, Some(ids(&["a"])));
        outdated.mark(&ids(&["b"]));
        outdated.done(&reading);
        assert!(outdated.is_any());
        // A reading that is given up leaves all as it is.
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
    fn very_many_are_all() {
        let outdated = Outdated::default();
        for number in 0..=MOST {
            outdated.mark(&[number.to_string()]);
        }
        assert_eq!(outdated.begin().ids, None);
    }
}
