//! Which documents may run: those of the operator (files, admin API), and those that clients
//! register themselves.
//!
//! The two kinds are kept apart, so that no client can displace what the operator registered.

pub(crate) mod apq;
pub(crate) mod documents;
pub(crate) mod files;
pub mod fragments;
pub mod manifest;
mod outdated;
pub(crate) mod registered;
pub(crate) mod registry;
pub mod stored;
mod typename;

pub use apq::LearnedDocuments;
pub use documents::Documents;
pub use registered::{Registered, Retired, Sha256Hash};
pub use registry::Registry;
pub use typename::with_typename;
