//! stub
use crate::model::CacheHint;

/// What caches may do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Seconds, for private caches.
    pub max_age: u32,
    /// Seconds, for shared caches.
    pub shared_max_age: u32,
    /// Seconds.
    pub stale_while_revalidate: u32,
    /// Not for shared caches.
    pub private: bool,
}

/// Folds the hints of a selection into a [`Policy`], by Apollo's rules.
#[derive(Debug)]
pub struct Calculator {}

/// What a selection set hands down to its fields.
#[derive(Debug, Clone, Copy)]
pub struct Inherited {}

impl Calculator {
    /// Nothing was selected yet; also gives what root fields inherit.
    pub fn new() -> (Self, Inherited) {
        unimplemented!()
    }
    /// A field was selected: `field` is its own hint, `object` that of the object type it returns (None for scalars).
    /// Gives what the fields of its selection inherit.
    pub fn field(&mut self, parent: Inherited, field: CacheHint, object: Option<CacheHint>) -> Inherited {
        unimplemented!()
    }
    /// The whole.
    pub fn finish(self) -> Policy {
        unimplemented!()
    }
}
