//! What surrounds every handler: limits, panics, and the headers of every answer. [`super::front`]
//! does the same for what it answers itself.
//!
//! This is no middleware of the framework, which would box a future, and copy the route, once more
//! for each layer.

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, HeaderValue, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method, StatusCode, Uri};

use super::cors::Place;
use super::failure::Failure;
use super::incident::Incident;
use super::parameters::BodyLimits;
use super::problem::Problem;
use super::respond::NOSNIFF;
use super::state::AppState;
use super::{long_requests, negotiate};
use crate::cache_control::NO_STORE;
use crate::graphql::Code;

/// Answers a request by the routes: limits its time, catches panics, and sets the headers of every
/// answer.
pub(super) async fn surround(app: &AppState, request: Request, routes: Router) -> Response {
    let place = Place::of(request.method(), request.uri().path());
    let (is_options, uri) = (request.method() == Method::OPTIONS, request.uri().clone());
    // For CORS, which says nothing to requests without an origin.
    let asked = match is_options || request.headers().contains_key(ORIGIN) {
        true => request.headers().clone(),
        false => HeaderMap::new(),
    };
    let answered = AssertUnwindSafe(limit(app, request, routes)).catch_unwind().await;
    let mut response = answered.unwrap_or_else(|panic| panicked(&*panic, uri.path()));
    let status = response.status();
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static(NO_STORE));
    headers.entry(VARY).or_insert_with(|| app.cors.vary(place));
    if status != StatusCode::NOT_MODIFIED {
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    }
    if is_options && status.is_success() {
        app.cors.preflight(uri.path(), &asked, headers);
    } else {
        app.cors.tell(place, &asked, headers);
    }
    response
}

/// Limits the length of the URL and the time of the request.
async fn limit(app: &AppState, mut request: Request, routes: Router) -> Response {
    let limits = &app.limits;
    if url_length(request.uri()) > limits.max_url_bytes {
        let detail = "the URL is too long; send the variables in the body of a POST";
        return Problem::new(StatusCode::URI_TOO_LONG, detail).into_response();
    }
    let media_type = negotiate::media_type_or_json(request.headers());
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        request.extensions_mut().insert(BodyLimits::new(limits));
    }
    match tokio::time::timeout(limits.timeout, long_requests::route(app, request, routes)).await {
        Ok(response) => response,
        Err(_) => {
            Failure::new(Code::Timeout, "the request took too long").into_response(media_type)
        }
    }
}

fn url_length(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |path_and_query| path_and_query.as_str().len())
}

/// A panic is a bug in the server. The log gets the message; the client gets only an incident id.
fn panicked(panic: &(dyn Any + Send), path: &str) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied());
    let cause = message.unwrap_or("unknown");
    let incident = Incident::report("a request's handler panicked", Some(path), cause);
    Problem::internal(&incident).into_response()
}
