//! Answers to requests that a GraphQL response cannot answer: problem details (RFC 9457).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::incident::Incident;
use crate::cache_control::NO_STORE;
use crate::graphql::GraphqlError;
use crate::store::StoreError;

/// What is wrong with a request. Its `type` is `about:blank`: the status says all that programs
/// need.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Option<Box<RawValue>>,
    /// The methods that the resource supports.
    allow: Option<&'static str>,
    /// The content codings that a request body may have.
    accept_encoding: Option<&'static str>,
}

impl Problem {
    /// A problem with this status; `detail` is for people and helps them to fix the request.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: None, allow: None, accept_encoding: None }
    }

    /// 405, with the methods that the resource supports (RFC 9110 §15.5.6).
    pub(super) fn method_not_allowed(allow: &'static str, detail: impl Into<String>) -> Self {
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, detail) }
    }

    /// 406: the client accepts neither media type of GraphQL over HTTP.
    pub(super) fn not_acceptable() -> Self {
        Self::new(
            StatusCode::NOT_ACCEPTABLE,
            "answers are application/graphql-response+json or application/json; the Accept header allows neither",
        )
    }

    /// 415: the body has an unsupported content coding (RFC 9110 §12.5.3).
    pub(super) fn unknown_coding() -> Self {
        let detail = "the only supported content coding of a request body is gzip";
        Self {
            accept_encoding: Some("gzip"),
            ..Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
        }
    }

    /// 500, with the id under which the log has the cause.
    pub(super) fn internal(incident: &Incident) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("internal server error; quote this id: {}", incident.id()),
        )
    }

    /// A failure of the store, as an operator sees it: 503 with the reason if that is in our own
    /// words, else an incident with this status.
    pub(super) fn of_store(what: &str, error: &StoreError, status: StatusCode) -> Self {
        match error {
            StoreError::Lost(_) | StoreError::Unwritable(_) | StoreError::Overloaded => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
            }
            _ => {
                let incident = Incident::report(what, None, error);
                Self { status, ..Self::internal(&incident) }
            }
        }
    }

    /// Adds the errors of a document as the member `errors`.
    pub(super) fn with_errors(mut self, errors: &[GraphqlError]) -> Self {
        self.errors = serde_json::value::to_raw_value(errors).ok();
        self
    }
}

/// How to authenticate; a 401 always says so (RFC 9110 §15.5.2, RFC 6750 §3).
pub(super) const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer realm=\"freshql\"");

/// The members of the JSON object, in the order of RFC 9457 §3.1.
#[derive(Serialize)]
struct Members<'a> {
    r#type: &'static str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: &'a Option<Box<RawValue>>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let members = Members {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let body =
            serde_json::to_vec(&members).expect("strings, numbers and raw JSON always serialise");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if let Some(codings) = self.accept_encoding {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(codings));
        }
        if matches!(self.status, StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE) {
            // The rest of the request is not awaited.
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
        response
    }
}
