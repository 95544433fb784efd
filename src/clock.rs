//! The node's clock: which changes it has applied, and in what order. It uses the red-green
//! algorithm of incremental compilers (salsa): an answer stores the revision at which it was
//! computed, and each mark the revision at which it last changed. Where changes come from and what
//! is stored is unknown here.

mod recent;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use dashmap::DashMap;

use self::recent::Recent;
use crate::dependency::{Mark, PassThroughHasher};

/// This node's count of applied batches of the change log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// The default number of marks to remember. They take about 30 MB.
pub const DEFAULT_CAPACITY: usize = 1_000_000;

/// When each mark last changed.
#[derive(Debug)]
pub struct Clock {
    revision: AtomicU64,
    /// The clock has forgotten which marks changed up to and including this revision, so an answer
    /// computed there counts as stale.
    floor: AtomicU64,
    /// Only changes above the floor.
    changed_at: DashMap<Mark, u64, PassThroughHasher>,
    /// The newest of these again, as a short list.
    recent: ArcSwap<Recent>,
    capacity: usize,
}

impl Clock {
    /// A clock without changes that remembers about this many marks.
    pub fn new(capacity: usize) -> Self {
        Self {
            revision: AtomicU64::new(1),
            floor: AtomicU64::new(0),
            changed_at: DashMap::default(),
            recent: ArcSwap::from_pointee(Recent::after(1)),
            capacity,
        }
    }

    /// The newest revision whose marks are all visible.
    pub fn revision(&self) -> Revision {
        Revision(self.revision.load(Ordering::Acquire))
    }

    /// Applies a batch of changes. Calls must not overlap; the single feed makes them in log order.
    pub fn apply(&self, marks: impl IntoIterator<Item = Mark>) {
        let next = self.revision.load(Ordering::Relaxed) + 1;
        let marks: Vec<Mark> = marks.into_iter().collect();
        for mark in &marks {
            self.changed_at.insert(*mark, next);
        }
        self.recent.store(Arc::new(self.recent.load().with(next, &marks)));
        // Store the revision last: a reader that sees it must find all of its marks, or a stale
        // answer would pass as valid.
        self.revision.store(next, Ordering::Release);
        if self.changed_at.len() > self.capacity {
            self.forget_older_half(next);
        }
    }

    /// Forgets all changes, so that every answer computed so far counts as stale.
    pub fn forget(&self) {
        let now = self.revision.load(Ordering::Relaxed);
        self.floor.store(now, Ordering::Release);
        self.revision.store(now + 1, Ordering::Release);
        self.changed_at.retain(|_, changed_at| *changed_at > now);
    }

    /// Whether none of these marks (which must be sorted) changed after this revision.
    pub fn is_unchanged(&self, marks: &[Mark], since: Revision) -> bool {
        if !self.remembers(since) {
            return false;
        }
        let is_unchanged = self.recent.load().is_unchanged(marks, since.0).unwrap_or_else(|| {
            let changed = |mark: &Mark| {
                self.changed_at.get(mark).is_some_and(|changed_at| *changed_at > since.0)
            };
            !marks.iter().any(changed)
        });
        // If the floor rose in the meantime, marks may have been dropped before they were looked
        // up.
        is_unchanged && self.remembers(since)
    }

    /// Whether every change after this revision is known.
    pub fn remembers(&self, revision: Revision) -> bool {
        revision.0 > self.floor.load(Ordering::Acquire)
    }

    /// Raises the floor to the median of the remembered revisions. Answers from below it are
    /// executed again on demand, which costs less than remembering every change forever.
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
    fn an_answer_is_stale_when_one_of_its_marks_changed_later() {
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
        clock.apply(
            [Mark(1), Mark(2)].into_iter().inspect(|_| assert_eq!(clock.revision(), before)),
        );
        assert!(clock.revision() > before);
    }

    #[test]
    fn evicted_dependencies_count_as_changed() {
        let clock = Clock::new(100);
        let computed_at = clock.revision();
        clock.forget();
        assert!(!clock.remembers(computed_at) && clock.remembers(clock.revision()));
        assert!(!clock.is_unchanged(&[], computed_at));
        assert!(clock.is_unchanged(&[], clock.revision()));
    }

    #[test]
    fn a_full_clock_raises_its_floor_and_keeps_the_newer_half() {
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
