//! The API as SDL, ready to be sent.

use std::sync::Arc;

use super::respond::{Policies, Representation};
use crate::cache_control::Policy;
use crate::etag::ResponseEtag;

/// The API's SDL, with its validator.
#[derive(Clone)]
pub(super) struct Sdl(pub(super) Arc<Representation>);

impl Sdl {
    /// The validator is derived from the text alone, so that all nodes with the same model agree.
    pub(super) fn new(sdl: &str) -> Self {
        let etag = ResponseEtag::of_content(sdl.as_bytes());
        let policy =
            Policy { max_age: 0, shared_max_age: 0, stale_while_revalidate: 0, private: false };
        let caching = Policies::default().of(policy);
        Self(Arc::new(Representation::new(sdl.as_bytes(), Some((etag, caching)), None)))
    }
}
