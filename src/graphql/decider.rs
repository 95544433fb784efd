//! Which fields of an operation decided the cache policy of its answers.

use std::fmt;

/// The fields that decided a [policy](crate::cache_control::Policy); None if no field said
/// anything.
#[derive(Debug, Clone, Default)]
pub struct Deciders {
    /// Of `max_age`, `shared_max_age` and `stale_while_revalidate`.
    pub lifetimes: [Option<Decider>; 3],
    /// Of `private`.
    pub private: Option<Decider>,
}

/// A field whose hint, or lack of one, was decisive.
#[derive(Debug, Clone)]
pub struct Decider {
    /// Its name.
    pub field: String,
    /// Line and column in the document.
    pub position: (usize, usize),
}

impl fmt::Display for Decider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, position: (line, column) } = self;
        write!(f, "{field} ({line}:{column})")
    }
}
