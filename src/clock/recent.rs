//! The latest changes as one short list. Under constant writes every answer is constantly verified
//! again, and searching its marks for a few changes costs much less than looking up each of its
//! marks.

use crate::dependency::Mark;

/// The maximum length of the list. Searching for this many marks costs about as much as looking up
/// the marks of an answer with some thirty rows.
const MOST: usize = 256;

/// All marks that changed after a revision.
#[derive(Debug)]
pub(super) struct Recent {
    after: u64,
    /// Each mark with the revision at which it changed, in ascending order.
    changes: Box<[(u64, Mark)]>,
}

impl Recent {
    /// An empty list.
    pub(super) fn after(revision: u64) -> Self {
        Self { after: revision, changes: Box::default() }
    }

    /// Adds a newer batch, and drops the oldest ones if the list gets too long.
    pub(super) fn with(&self, revision: u64, batch: &[Mark]) -> Self {
        let Some(room) = MOST.checked_sub(batch.len()) else { return Self::after(revision) };
        let (mut after, mut kept) = (self.after, &*self.changes);
        if let Some(last_gone) = kept.len().checked_sub(room + 1) {
            after = kept[last_gone].0;
            kept = &kept[kept.partition_point(|(revision, _)| *revision <= after)..];
        }
        let newer = batch.iter().map(|mark| (revision, *mark));
        Self { after, changes: kept.iter().copied().chain(newer).collect() }
    }

    /// Whether none of these marks (sorted) changed after this revision; None if the list does not
    /// reach back that far.
    pub(super) fn is_unchanged(&self, marks: &[Mark], since: u64) -> Option<bool> {
        let mut newer = self.changes.iter().rev().take_while(|(revision, _)| *revision > since);
        (since >= self.after).then(|| !newer.any(|(_, mark)| marks.binary_search(mark).is_ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_list_forgets_whole_batches() {
        let mut recent = Recent::after(1);
        for revision in 2..=200 {
            recent = recent
                .with(revision, &[Mark(revision), Mark(1000 + revision), Mark(2000 + revision)]);
        }
        assert!(recent.changes.len() <= MOST && recent.changes.len() > MOST - 3);
        assert_eq!(recent.after, recent.changes[0].0 - 1);
        assert_eq!(recent.is_unchanged(&[Mark(200)], recent.after - 1), None);
        assert_eq!(recent.is_unchanged(&[Mark(recent.after)], recent.after), Some(true));
        assert_eq!(recent.is_unchanged(&[Mark(1), Mark(2200)], 199), Some(false));
        assert_eq!(recent.is_unchanged(&[Mark(1), Mark(2200)], 200), Some(true));
        assert_eq!(recent.is_unchanged(&[Mark(1), Mark(1199)], 199), Some(true));
    }

    #[test]
    fn a_batch_that_is_too_long_is_not_kept() {
        let long: Vec<Mark> = (0..300).map(Mark).collect();
        let recent = Recent::after(1).with(2, &[Mark(7)]).with(3, &long);
        assert_eq!(recent.is_unchanged(&[Mark(1000)], 2), None);
        assert_eq!(recent.is_unchanged(&[Mark(1)], 3), Some(true));
        let all: Vec<Mark> = (0..256).map(Mark).collect();
        assert_eq!(recent.with(4, &all).is_unchanged(&[Mark(255)], 3), Some(false));
    }
}
