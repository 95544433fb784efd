//! The node's clock: which changes it has learned of, and in what order. The algorithm is the red-green one of incremental
//! compilers (salsa): an answer remembers the revision it was computed at, a mark the revision it was last left at.
//! Nothing here knows where changes come from or what is stored.

mod recent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use self::recent::Recent;
use crate::touch::{AsItIs, Mark};

/// A node's own count of applied batches of the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// Marks that are remembered one by one, by default: some 30 MB.
pub const DEFAULT_CAPACITY: usize = 1_000_000;

/// When each mark was last left.
#[derive(Debug)]
pub struct Clock {
    revision: AtomicU64,
    /// At and below this revision, all marks are unknown, and an answer from there is stale.
    floor: AtomicU64,
    /// Only those above the floor.
    changed_at: DashMap<Mark, u64, AsItIs>,
    /// The last of these once more.
    recent: ArcSwap<Recent>,
    capacity: usize,
}

impl Clock {
    /// A clock that has seen nothing, and remembers about this many marks.
    pub fn new(capacity: usize) -> Self {
        Self {
            revision: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            changed_at: DashMap::default(),
            recent: ArcSwap::from_pointee(Recent::after(1)),
            capacity,
        }
    }

    /// The last revision whose marks are all to be seen.
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Learns of a batch of changes. Calls must not overlap: one feed applies them in the order of the log.
    pub fn apply(&self, marks: impl IntoIterator<Item = Mark>) {
        let next = self.revision.load(Ordering::Relaxed) + 1;
        let marks: Vec<Mark> = marks.into_iter().collect();
        for mark in &marks {
            self.changed_at.insert(*mark, next);
        }
        self.recent.store(Arc::new(self.recent.load().with(next, &marks)));
        // The marks are there before anybody can see the revision that they belong to.
        self.revision.store(next, Ordering::Release);
        if self.changed_at.len() > self.capacity {
            self.forget_older_half(next);
        }
    }

    /// Nothing is known about the past any more: every answer so far is stale.
    pub fn forget(&self) {
        let now = self.revision.load(Ordering::Relaxed);
        self.floor.store(now, Ordering::Release);
        self.revision.store(now + 1, Ordering::Release);
        self.changed_at.retain(|_, changed_at| *changed_at > now);
    }

    /// Whether none of these marks (sorted) was left after this revision.
    pub fn is_unchanged(&self, marks: &[Mark], since: Revision) -> bool {
        if !self.remembers(since) {
            return false;
        }
        let is_unchanged = self.recent.load().is_unchanged(marks, since.0).unwrap_or_else(|| {
            let changed = |mark: &Mark| self.changed_at.get(mark).is_some_and(|changed_at| *changed_at > since.0);
            !marks.iter().any(changed)
        });
        // If the floor has risen meanwhile, marks may have been dropped before they were looked up.
        is_unchanged && self.remembers(since)
    }

    /// Whether what changed after this revision is known.
    pub fn remembers(&self, revision: Revision) -> bool {
        revision.0 > self.floor.load(Ordering::Acquire)
    }

    /// Raises the floor to the middle of what is remembered. Answers from below are executed again when they are asked
    /// for; that costs less than remembering every change for ever.
    fn forget_older_half(&self, now: u64) {
        let mut revisions: Vec<u64> = self.changed_at.iter().map(|entry| *entry.value()).collect();
        let middle = revisions.len() / 2;
        let (_, median, _) = revisions.select_nth_unstable(middle);
        let floor = (*median).min(now - 1);
        self.floor.store(floor, Ordering::Release);
        self.changed_at.retain(|_, changed_at| *changed_at > floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_stale_when_one_of_its_marks_was_left_later() {
        let clock = Clock::new(100);
        let computed_at = clock.revision();
        clock.apply([Mark(7)]);
        assert!(clock.is_unchanged(&[Mark(1), Mark(2)], computed_at));
        assert!(!clock.is_unchanged(&[Mark(1), Mark(7)], computed_at));
        assert!(clock.is_unchanged(&[Mark(1), Mark(7)], clock.revision()));
    }

    #[test]
    fn nobody_sees_a_revision_before_its_marks() {
        let clock = Clock::new(100);
        let before = clock.revision();
        clock.apply([Mark(1), Mark(2)].into_iter().inspect(|_| assert_eq!(clock.revision(), before)));
        assert!(clock.revision() > before);
    }

    #[test]
    fn what_was_forgotten_counts_as_changed() {
        let clock = Clock::new(100);
        let computed_at = clock.revision();
        clock.forget();
        assert!(!clock.remembers(computed_at) && clock.remembers(clock.revision()));
        assert!(!clock.is_unchanged(&[], computed_at));
        assert!(clock.is_unchanged(&[], clock.revision()));
    }

    #[test]
    fn a_full_clock_raises_its_floor_and_keeps_the_younger_half() {
        let clock = Clock::new(100);
        let old = clock.revision();
        for number in 0..100 {
            clock.apply([Mark(number)]);
        }
        let young = clock.revision();
        clock.apply([Mark(1000)]);
        assert!(!clock.is_unchanged(&[Mark(5000)], old), "below the floor nothing is known");
        assert!(clock.is_unchanged(&[Mark(5000)], young));
        assert!(!clock.is_unchanged(&[Mark(1000)], young));
        assert!(clock.changed_at.len() <= 60);
    }
}
