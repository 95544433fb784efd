//! stub
use crate::etag::ResponseEtag;

/// `If-Match` of a mutation (RFC 9110 §13.1.1): strong comparison, so weak tags never match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: the row must exist.
    Any,
    /// The opaque tags, without quotes; any of them may match. Weak ones are left out, so this may be empty.
    Tags(Vec<String>),
}
