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
    /// What a path below `/q/` names, as the router would find it. None if the router has to look:
    /// at escapes, and at whatever else is no document's address.
    pub(super) fn plain(path: &str) -> Option<Self> {
        let names = path.strip_prefix("/q/").filter(|names| !names.contains('%'))?;
        let (id, operation_name) = match names.split_once('/') {
            Some((id, name)) => (id, Some(name)),
            None => (names, None),
        };
        let is_name = |name: &str| !name.is_empty() && !name.contains('/');
        (is_name(id) && operation_name.is_none_or(is_name))
            .then(|| Self { id: id.to_owned(), operation_name: operation_name.map(str::to_owned) })
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_address_has_one_or_two_names_without_escapes() {
        let names = |path| Address::plain(path).map(|found| (found.id, found.operation_name));
        let found = |id: &str, name: Option<&str>| Some((id.to_owned(), name.map(str::to_owned)));
        assert_eq!(names("/q/abc"), found("abc", None));
        assert_eq!(names("/q/abc/Shelf"), found("abc", Some("Shelf")));
        for path in ["/q", "/q/", "/q//", "/q/abc/", "/q//Shelf", "/q/abc/Shelf/", "/q/a/b/c"] {
            assert_eq!(names(path), None, "{path}");
        }
        assert_eq!(names("/q/a%62c"), None);
        assert_eq!(names("/graphql"), None);
    }
}
