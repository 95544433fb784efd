//! The cache key of a question.

use crate::question::Question;

/// A question, hashed to 128 bits. Collisions are infeasible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(pub(super) u64, pub(super) u64);

impl Key {
    /// For a question without a canonical URL; otherwise see [`super::ResponseCache::key`].
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
