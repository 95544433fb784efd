//! What an observed execution of a query records.

use std::time::Duration;

use super::decider::Deciders;
use crate::dependency::Version;
use crate::etag::Ingredient;
use crate::store::trace::Ran;

/// What an observed execution of a query records.
#[derive(Debug, Default)]
pub struct Observation {
    /// The database's epoch.
    pub epoch: [u8; 16],
    /// Until the snapshot was requested.
    pub planning: Duration,
    /// From the snapshot to the last byte.
    pub running: Duration,
    /// The statements that ran.
    pub statements: Vec<Ran>,
    /// What the ETag is derived from, in addition to the question.
    pub ingredients: Vec<Ingredient>,
    /// The newest record of the change log in the snapshot.
    pub as_of: Version,
    /// Which fields decided the cache policy.
    pub deciders: Deciders,
}
