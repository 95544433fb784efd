//! What the path of a request names: `/q/{id}` and `/q/{id}/{operationName}`.

use axum::extract::{FromRequestParts, Path};
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;

use super::failure::Failure;
use super::parameters::Parameters;
use super::problem::Problem;
use crate::document_id::DocumentRef;
use crate::graphql::Code;

/// What the path names.
#[derive(Debug, Deserialize)]
pub(super) struct Address {
    id: String,
    pub(super) operation_name: Option<String>,
}

impl Address {
    /// The document's name; None if no document can have this name.
    pub(super) fn document(&self) -> Option<DocumentRef> {
        DocumentRef::parse(&self.id)
    }

    /// The operation's name: from the path, otherwise from the parameter `operationName`.
    pub(super) fn operation<'a>(
        &'a self,
        parameters: &'a Parameters,
    ) -> Result<Option<&'a str>, Failure> {
        match (self.operation_name.as_deref(), parameters.operation_name()) {
            (Some(path), Some(parameter)) if path != parameter => {
                let message =
                    "the path and `operationName` name different operations; the path is enough";
                Err(Failure::new(Code::BadRequest, message))
            }
            (path, parameter) => Ok(path.or(parameter)),
        }
    }

    /// Whether the path names no operation.
    pub(super) fn names_document_only(&self) -> bool {
        self.operation_name.is_none()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(|Path(address)| address)
            .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the path is not UTF-8"))
    }
}
