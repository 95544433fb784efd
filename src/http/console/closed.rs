//! What `/` shows when the console is closed: where the API is, for people who open the server's
//! address in a browser or with curl.

use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};

const PAGE: &str = include_str!("closed.html");

const TEXT: &str = "\
This is a freshql server.

  GET /q/{id}?variables={...}   runs a registered query; POST for mutations
  POST /graphql                 the same by documentId, or as Apollo, Relay and urql send it
  GET /schema.graphql           the API's schema, where introspection is on
  GET /healthz, /readyz         whether the server lives, and whether it is ready

The console is closed in this mode. `freshql dev`, or mode = \"open\", opens it: for development only.
";

/// The page loads nothing.
const CONTENT_SECURITY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// `GET /` in the modes `trusted` and `apq`.
pub(in crate::http) async fn closed(headers: HeaderMap) -> Response {
    let accepts = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    if accepts.into_iter().any(|accept| accept.to_ascii_lowercase().contains("text/html")) {
        let content_type = HeaderValue::from_static("text/html; charset=utf-8");
        ([(CONTENT_TYPE, content_type), (CONTENT_SECURITY_POLICY, CONTENT_SECURITY)], PAGE)
            .into_response()
    } else {
        ([(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"))], TEXT)
            .into_response()
    }
}
