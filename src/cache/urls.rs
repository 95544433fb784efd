//! The keys of questions by their URLs, so that a URL that was asked before is not parsed again.

use std::hash::{BuildHasher, Hasher, RandomState};

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::key::Key;
use crate::dependency::PassThroughHasher;

/// Bytes that a URL takes up, however long it is: its key, what it means, its place in the table.
const WEIGHT: u64 = 80;

/// The key of a canonical URL is that of its question; other spellings lead to one. URLs are known
/// by 128 bits of a hash whose key no client can know or find out, so nobody can make two that are
/// taken for one another.
pub(super) struct Urls {
    key: (u64, u64),
    spellings: Cache<Key, Meaning, UnitWeighter, PassThroughHasher>,
}

/// A question, and the generation of documents in which the URL asks it.
#[derive(Clone, Copy)]
struct Meaning {
    key: Key,
    generation: u64,
}

impl Urls {
    /// Keeps about as many spellings as take up these bytes.
    pub(super) fn new(bytes: u64) -> Self {
        let random = RandomState::new();
        let count = bytes / WEIGHT;
        let items = usize::try_from(count).unwrap_or(usize::MAX);
        Self {
            key: (random.hash_one(0), random.hash_one(1)),
            spellings: Cache::with(
                items,
                count,
                UnitWeighter,
                PassThroughHasher::default(),
                DefaultLifecycle::default(),
            ),
        }
    }

    /// Of a URL, or of a URL together with who asks.
    pub(super) fn key_of(&self, url: &str, who: Option<&str>) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        let hash = match who {
            None => hasher.hash(url.as_bytes()),
            Some(who) => {
                hasher.write(url.as_bytes());
                // No URL has this byte.
                hasher.write(&[0xff]);
                hasher.write(who.as_bytes());
                hasher.finish128()
            }
        };
        Key(hash.h1, hash.h2)
    }

    /// The key of the question that the URL with this key asks, if it is known in this generation.
    pub(super) fn get(&self, at: Key, generation: u64) -> Option<Key> {
        let meaning = self.spellings.get(&at)?;
        (meaning.generation == generation).then_some(meaning.key)
    }

    pub(super) fn insert(&self, at: Key, key: Key, generation: u64) {
        self.spellings.insert(at, Meaning { key, generation });
    }
}
