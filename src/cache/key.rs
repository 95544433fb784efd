//! By what the cache knows a question.

use crate::question::Question;

/// A question in 128 bits: nobody can make two questions with one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) u64, pub(super) u64);

impl Key {
    /// Of a question that has no URL of its own. Where it has one, see
    /// [`super::ResponseCache::key`].
    pub(super) fn of(question: &Question<'_>) -> Self {
        let mut encoded = Vec::with_capacity(64 + question.variables.len());
        question.encode(&mut encoded);
        let (mut first, mut second) = ([0; 8], [0; 8]);
        let hash = blake3::hash(&encoded);
        first.copy_from_slice(&hash.as_bytes()[..8]);
        second.copy_from_slice(&hash.as_bytes()[8..16]);
        Self(u64::from_le_bytes(first), u64::from_le_bytes(second))
    }
}
