//! Maps URLs to the keys of their questions, so that a known URL need not be parsed again.

use std::hash::{BuildHasher, Hasher, RandomState};

use quick_cache::UnitWeighter;
use quick_cache::sync::{Cache, DefaultLifecycle};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::key::Key;
use crate::dependency::PassThroughHasher;

/// Bytes per URL, whatever its length: its key, its meaning, its table slot.
const WEIGHT: u64 = 80;

/// A canonical URL has the same key as its question; other spellings are mapped to one. A URL is
/// identified by a 128-bit hash whose key no client can know or find out, so nobody can construct
/// two that collide.
pub(super) struct Urls {
    key: (u64, u64),
    spellings: Cache<Key, Meaning, UnitWeighter, PassThroughHasher>,
}

/// A question, and the generation of documents in which the URL means it.
#[derive(Clone, Copy)]
struct Meaning {
    key: Key,
    generation: u64,
}

impl Urls {
    /// As many spellings as fit into about this many bytes.
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

    /// The key of a URL, or of a URL combined with a token.
    pub(super) fn key_of(&self, url: &str, token: Option<&str>) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        let hash = match token {
            None => hasher.hash(url.as_bytes()),
            Some(token) => {
                hasher.write(url.as_bytes());
                // A separator: no URL contains this byte.
                hasher.write(&[0xff]);
                hasher.write(token.as_bytes());
                hasher.finish128()
            }
        };
        Key(hash.h1, hash.h2)
    }

    /// The question of the URL with this key, if it is known in this generation.
    pub(super) fn get(&self, at: Key, generation: u64) -> Option<Key> {
        let meaning = self.spellings.get(&at)?;
        (meaning.generation == generation).then_some(meaning.key)
    }

    pub(super) fn insert(&self, at: Key, key: Key, generation: u64) {
        self.spellings.insert(at, Meaning { key, generation });
    }
}
