//! What an operation means: documents are validated against the generated schema, compiled into plans, and run against
//! the store. This file is the face that the floors above see.

pub mod error;

use std::sync::Arc;

use bytes::Bytes;

use crate::cache_control::Policy;
use crate::conditional::IfMatch;
use crate::document_id::DocumentId;
use crate::etag::ResponseEtag;
use crate::model::Model;
use crate::store::Store;
use crate::touch::Touched;

pub use error::{Code, GraphqlError, PathSegment};

/// Compiles and runs documents. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<()>,
}

/// A validated document, compiled.
pub struct Document {}

/// One operation of a document, compiled.
pub struct Operation {}

/// What kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Reads.
    Query,
    /// Writes.
    Mutation,
}

/// The variables of one request, coerced.
pub struct Variables {}

/// A query's or mutation's successful answer.
pub struct Answer {
    /// The whole response body: `{"data":…,"extensions":{"etag":…}}` (or with `errors` too, see `field_errors`).
    pub body: Bytes,
    /// None for mutations and for answers with field errors: those carry no validator and are never stored.
    pub etag: Option<ResponseEtag>,
    /// Some fields are null because of an error in the data; the body has `errors` beside `data`.
    pub field_errors: bool,
    /// What it depended on.
    pub touched: Touched,
}

impl Engine {
    /// Builds the schema of the model's API and gets ready to compile documents.
    pub fn new(model: Arc<Model>, store: Store) -> Self {
        unimplemented!()
    }

    /// The API as SDL; deterministic.
    pub fn sdl(&self) -> &str {
        unimplemented!()
    }

    /// Parses, validates and compiles a document.
    ///
    /// # Errors
    /// All mistakes found, each with its place in the document: `GRAPHQL_PARSE_FAILED` or `GRAPHQL_VALIDATION_FAILED`.
    pub async fn compile(&self, id: DocumentId, text: Arc<str>) -> Result<Document, Vec<GraphqlError>> {
        unimplemented!()
    }

    /// Runs a query in one read snapshot.
    ///
    /// # Errors
    /// Nothing was read that the client may see; each error says why.
    pub async fn query(&self, operation: &Operation, variables: &Variables) -> Result<Answer, Vec<GraphqlError>> {
        unimplemented!()
    }

    /// Runs a mutation as one transaction; `if_match` stands in for the one `expectedEtag` that was not given.
    ///
    /// # Errors
    /// Nothing was written.
    pub async fn mutate(
        &self,
        operation: &Operation,
        variables: &Variables,
        if_match: Option<IfMatch>,
    ) -> Result<Answer, Vec<GraphqlError>> {
        unimplemented!()
    }
}

impl Document {
    /// blake3 of the text.
    pub fn id(&self) -> DocumentId {
        unimplemented!()
    }

    /// As it was registered, byte for byte.
    pub fn text(&self) -> &Arc<str> {
        unimplemented!()
    }

    /// In the order of the text.
    pub fn operations(&self) -> &[Arc<Operation>] {
        unimplemented!()
    }

    /// The operation with this name, or the only one.
    ///
    /// # Errors
    /// `OPERATION_RESOLUTION_FAILURE`, with the names that there are.
    pub fn operation(&self, name: Option<&str>) -> Result<&Arc<Operation>, GraphqlError> {
        unimplemented!()
    }
}

impl Operation {
    /// None for an anonymous one.
    pub fn name(&self) -> Option<&str> {
        unimplemented!()
    }

    /// Query or mutation.
    pub fn kind(&self) -> Kind {
        unimplemented!()
    }

    /// What caches may do with its answers.
    pub fn cache_policy(&self) -> Policy {
        unimplemented!()
    }

    /// Coerces a request's variables strictly: unknown names are refused, defaults filled in.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`, one for each variable that does not coerce.
    pub fn coerce_variables(
        &self,
        raw: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Variables, Vec<GraphqlError>> {
        unimplemented!()
    }
}

impl Variables {
    /// Canonical JSON: sorted keys, no white space, declared defaults filled in. `{}` when there are none.
    pub fn canonical(&self) -> &str {
        unimplemented!()
    }
}
