//! What comes to light when a query runs under observation.

use std::time::Duration;

use super::decider::Deciders;
use crate::dependency::Version;
use crate::etag::Ingredient;
use crate::store::trace::Ran;

/// What comes to light when a query runs under observation.
#[derive(Debug, Default)]
pub struct Observation {
    /// Which database was read, in which state of its schema.
    pub epoch: [u8; 16],
    /// Until the snapshot was asked for.
    pub planning: Duration,
    /// From the snapshot to the last byte.
    pub running: Duration,
    /// What ran in it.
    pub statements: Vec<Ran>,
    /// What the ETag is derived from, beside the question.
    pub ingredients: Vec<Ingredient>,
    /// The newest record of the change log that the snapshot holds.
    pub as_of: Version,
    /// Which fields made the cache policy.
    pub deciders: Deciders,
}
