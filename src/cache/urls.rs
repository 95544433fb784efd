//! Which question a URL asked last time, so that nothing is parsed twice.

use std::hash::{BuildHasher, RandomState};

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use siphasher::sip128::SipHasher13;

use super::Question;
use crate::touch::AsItIs;

/// Bytes that a URL takes up, however long it is: its hash, what it means, its place in the table.
const WEIGHT: u64 = 80;

/// URLs as clients spell them. They are known by 128 bits of a hash whose key no client can know or find out, so nobody
/// can make two URLs that are taken for one another.
pub(super) struct Urls {
    key: (u64, u64),
    known: Cache<UrlHash, Meaning, UnitWeighter, AsItIs>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct UrlHash(u64, u64);

/// A question, and the generation of documents in which the URL asks it.
#[derive(Clone, Copy)]
struct Meaning {
    question: Question,
    generation: u64,
}

impl Urls {
    /// Keeps about as many as take up these bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let random = RandomState::new();
        let count = bytes / WEIGHT;
        let items = usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            key: (random.hash_one(0), random.hash_one(1)),
            known: Cache::with(items, count, UnitWeighter, AsItIs::default(), DefaultLifecycle::default()),
        }
    }

    pub(super) fn get(&self, url: &str, generation: u64) -> Option<Question> {
        let meaning = self.known.get(&self.hash(url))?;
        (meaning.generation == generation).then_some(meaning.question)
    }

    pub(super) fn insert(&self, url: &str, question: Question, generation: u64) {
        self.known.insert(self.hash(url), Meaning { question, generation });
    }

    fn hash(&self, url: &str) -> UrlHash {
        let hash = SipHasher13::new_with_keys(self.key.0, self.key.1).hash(url.as_bytes());
        UrlHash(hash.h1, hash.h2)
    }
}
