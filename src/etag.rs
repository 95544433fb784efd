//! stub
use crate::document_id::DocumentId;
use crate::model::{EntityId, Value};
use crate::touch::Version;

/// The base of a response's ETag: 128 bits, base64url, 22 characters, without quotes or coding suffix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ResponseEtag([u8; 22]);

impl ResponseEtag {
    /// The 22 characters.
    pub fn as_str(&self) -> &str {
        unimplemented!()
    }
}

/// Gathers, in response order, what an answer's ETag is derived from.
pub struct ResponseHasher {
    buffer: Vec<u8>,
}

impl ResponseHasher {
    /// Starts with what names the question.
    pub fn new(
        epoch: &[u8; 16],
        fingerprint: &[u8; 32],
        document: DocumentId,
        operation: Option<&str>,
        canonical_variables: &str,
        viewer: Option<&str>,
    ) -> Self {
        unimplemented!()
    }
    /// A row was read.
    pub fn row(&mut self, entity: EntityId, id: &Value, version: Version) {
        unimplemented!()
    }
    /// A row was looked up and is not there.
    pub fn missing(&mut self, entity: EntityId) {
        unimplemented!()
    }
    /// A list ended.
    pub fn list(&mut self, length: usize, has_next_page: Option<bool>, has_previous_page: Option<bool>) {
        unimplemented!()
    }
    /// A `totalCount`.
    pub fn total(&mut self, count: i64) {
        unimplemented!()
    }
    /// A value that no row's version covers.
    pub fn value(&mut self, bytes: &[u8]) {
        unimplemented!()
    }
    /// The ETag.
    pub fn finish(self) -> ResponseEtag {
        unimplemented!()
    }
}

/// The opaque token of one row at one version: 96 bits, base64url, 16 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntityEtag([u8; 16]);

impl EntityEtag {
    /// The token of this row at this version.
    pub fn new(epoch: &[u8; 16], entity_name: &str, id: &Value, version: Version) -> Self {
        unimplemented!()
    }
    /// The 16 characters.
    pub fn as_str(&self) -> &str {
        unimplemented!()
    }
    /// The version that `token` names, if it is a token of this row.
    pub fn read(token: &str, epoch: &[u8; 16], entity_name: &str, id: &Value) -> Result<Version, TokenError> {
        unimplemented!()
    }
}

/// Why a token names no version of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenError {
    /// It is no token at all.
    Malformed,
    /// It is (or looks like) the token of another row, or of this row before the database's epoch was renewed.
    OtherRow,
}
