//! Why a GraphQL request got no data, and the status derived from the error code.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::incident::Incident;
use super::negotiate::MediaType;
use super::problem::{CHALLENGE, Problem};
use crate::cache_control::NO_STORE;
use crate::graphql::error::shorten;
use crate::graphql::{Code, GraphqlError, Operation};
use crate::identity::refusal::Refusal;

/// Why a request failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// An error that a GraphQL response can express.
    Graphql(StatusCode, Vec<GraphqlError>),
    /// A GraphQL error about an invalid token, which also needs a challenge.
    Token(Refusal),
    /// An error that a GraphQL response cannot express.
    Problem(Problem),
}

impl Failure {
    /// A single error that does not come from the engine.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Self {
        GraphqlError::new(code, message).into()
    }

    /// The errors of an operation. Internal errors are logged here, where the operation is known.
    pub(super) fn of(operation: &Operation, mut errors: Vec<GraphqlError>) -> Self {
        Incident::report_causes(&mut errors, Some(operation));
        errors.into()
    }

    /// The same failure with another status: APQ misses are 200, as Apollo's clients expect.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        match self {
            Self::Graphql(_, errors) => Self::Graphql(status, errors),
            other @ (Self::Token(_) | Self::Problem(_)) => other,
        }
    }

    /// The response, with `no-store`. It has no `data`, because nothing was read or written.
    pub(super) fn into_response(self, media_type: MediaType) -> Response {
        let (status, mut errors, challenge) = match self {
            Self::Graphql(status, errors) => (status, errors, CHALLENGE),
            Self::Token(refusal) => {
                let error = GraphqlError::new(Code::Unauthenticated, refusal.to_string());
                (StatusCode::UNAUTHORIZED, vec![error], challenge(refusal))
            }
            Self::Problem(problem) => return problem.into_response(),
        };
        Incident::report_causes(&mut errors, None);
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, media_type.header());
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
        match status {
            StatusCode::UNAUTHORIZED => drop(headers.insert(WWW_AUTHENTICATE, challenge)),
            StatusCode::SERVICE_UNAVAILABLE => {
                drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => {}
        }
        (status, headers, body(&errors)).into_response()
    }
}

/// The challenge that says why the token is invalid (RFC 6750 §3).
fn challenge(refusal: Refusal) -> HeaderValue {
    let text = format!(
        "Bearer realm=\"freshql\", error=\"invalid_token\", error_description=\"{refusal}\""
    );
    HeaderValue::try_from(text).unwrap_or(CHALLENGE)
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Token(refusal)
    }
}

impl From<GraphqlError> for Failure {
    fn from(error: GraphqlError) -> Self {
        vec![error].into()
    }
}

impl From<Vec<GraphqlError>> for Failure {
    /// The first of several errors decides the status.
    fn from(mut errors: Vec<GraphqlError>) -> Self {
        shorten(&mut errors);
        Self::Graphql(
            errors.first().map_or(StatusCode::INTERNAL_SERVER_ERROR, |error| status(error.code)),
            errors,
        )
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The status that describes what happened, whatever the media type.
pub(super) fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest
        | Code::GraphqlParseFailed
        | Code::PersistedQueryNotSupported
        | Code::PersistedQueryHashMismatch => StatusCode::BAD_REQUEST,
        Code::GraphqlValidationFailed
        | Code::OperationResolutionFailure
        | Code::BadUserInput
        | Code::IdempotencyKeyReused
        | Code::QueryTooComplex => StatusCode::UNPROCESSABLE_ENTITY,
        Code::PersistedQueryNotFound | Code::NotFound => StatusCode::NOT_FOUND,
        Code::PersistedQueryRequired | Code::Forbidden => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Conflict | Code::IdempotencyKeyInUse => StatusCode::CONFLICT,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::PreconditionRequired => StatusCode::PRECONDITION_REQUIRED,
        Code::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Code::Overloaded | Code::DatabaseUnavailable | Code::AuthenticationUnavailable => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Code::InternalServerError => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// `{"errors":[…]}`.
fn body(errors: &[GraphqlError]) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<'a> {
        errors: &'a [GraphqlError],
    }
    serde_json::to_vec(&Body { errors }).expect("errors are strings, numbers and raw JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_follows_from_the_code() {
        let cases = [
            (Code::BadRequest, 400),
            (Code::GraphqlParseFailed, 400),
            (Code::PersistedQueryHashMismatch, 400),
            (Code::GraphqlValidationFailed, 422),
            (Code::OperationResolutionFailure, 422),
            (Code::BadUserInput, 422),
            (Code::QueryTooComplex, 422),
            (Code::PersistedQueryNotFound, 404),
            (Code::PersistedQueryRequired, 403),
            (Code::Unauthenticated, 401),
            (Code::Forbidden, 403),
            (Code::NotFound, 404),
            (Code::Conflict, 409),
            (Code::PreconditionFailed, 412),
            (Code::PreconditionRequired, 428),
            (Code::IdempotencyKeyReused, 422),
            (Code::IdempotencyKeyInUse, 409),
            (Code::Timeout, 504),
            (Code::Overloaded, 503),
            (Code::AuthenticationUnavailable, 503),
            (Code::InternalServerError, 500),
        ];
        for (code, expected) in cases {
            assert_eq!(status(code).as_u16(), expected, "{}", code.as_str());
        }
    }

    #[test]
    fn a_refused_token_gets_a_challenge_with_the_reason() {
        let response = Failure::from(Refusal::Expired).into_response(MediaType::Json);
        assert_eq!(
            (response.status().as_u16(), &response.headers()[CACHE_CONTROL]),
            (401, &HeaderValue::from_static(NO_STORE))
        );
        assert_eq!(
            response.headers()[WWW_AUTHENTICATE],
            "Bearer realm=\"freshql\", error=\"invalid_token\", error_description=\"the token has expired\""
        );
    }

    #[test]
    fn the_first_of_several_errors_decides_the_status() {
        let errors =
            vec![GraphqlError::new(Code::NotFound, "a"), GraphqlError::new(Code::Conflict, "b")];
        assert!(matches!(Failure::from(errors), Failure::Graphql(StatusCode::NOT_FOUND, _)));
    }

    #[test]
    fn errors_are_not_stored_and_have_no_data() {
        let response =
            Failure::new(Code::Overloaded, "busy").into_response(MediaType::GraphqlResponse);
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert!(response.headers().get("etag").is_none());
        assert_eq!(
            String::from_utf8_lossy(&body(&[GraphqlError::new(Code::Overloaded, "busy")])),
            r#"{"errors":[{"message":"busy","extensions":{"code":"OVERLOADED"}}]}"#
        );
    }
}
