//! One trusted document: what the registry knows of it.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::{Document, GraphqlError};

/// sha256 of a document's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sha256Hash(pub(super) [u8; 32]);

impl Sha256Hash {
    /// The hash of this text.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text).into())
    }

    /// Parses 64 hex digits in either case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl From<Sha256Hash> for DocumentRef {
    fn from(hash: Sha256Hash) -> Self {
        Self::Sha256(hash.0)
    }
}

impl fmt::Display for Sha256Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// A trusted document, and where it came from.
pub struct Registered {
    /// Its id.
    pub id: DocumentId,
    /// The text as registered, byte for byte.
    pub text: Arc<str>,
    /// The document, or why it is no longer valid: a stored document is kept even if the model has
    /// changed.
    pub document: Result<Document, Vec<GraphqlError>>,
    /// The files that contain it; the API cannot remove a document that is in a file.
    pub files: Vec<String>,
    /// Whether it was registered over the API and is stored in the database.
    pub stored: bool,
    /// Set if it has left the query files and is still served for a while.
    pub retired: Option<Retired>,
}

/// When a document left the query files and when it will be forgotten, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retired {
    /// The start of the first server without the file.
    pub since: i64,
    /// From then on the document is unknown.
    pub until: i64,
}

/// A time in seconds since 1970, in RFC 3339: `2026-11-26T09:00:00Z`.
pub(crate) fn rfc3339(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}
