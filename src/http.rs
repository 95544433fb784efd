//! The front door: speaks HTTP and decides nothing about data. This file lists all routes and what
//! wraps every handler; statuses are decided in [`failure`] and [`respond`].
//!
//! A GET can take two paths to the same answer. If this exact URL was answered before, [`front`]
//! finds that answer by the URL and sends it, or its 304, as soon as the store confirms that it is
//! still valid. Every other GET goes through the router to [`query`], which resolves the URL. Both
//! paths end in [`respond::conditional`], where a 304 is decided.

mod access;
mod address;
mod admin;
mod admin_token;
mod aside;
pub(crate) mod console;
mod cors;
mod explain;
mod failure;
mod front;
mod graphql;
mod health;
mod host;
mod incident;
mod json;
mod long_requests;
mod negotiate;
mod once;
mod parameters;
mod piece;
mod problem;
mod provenance;
mod query;
mod registry;
mod respond;
mod sdl;
pub(crate) mod server;
mod state;
mod target;
mod viewer;

use std::any::Any;
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, HeaderValue, ORIGIN, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, Method, StatusCode, Uri};

pub(crate) use self::front::Front;
pub(crate) use self::state::AppState;

use self::cors::Place;
use self::failure::Failure;
use self::incident::Incident;
use self::parameters::BodyLimits;
use self::problem::Problem;
use self::respond::NOSNIFF;
use crate::cache_control::NO_STORE;
use crate::config::Mode;
use crate::graphql::Code;

/// The whole server: all routes, what surrounds them, and the fast path in front of them.
pub(crate) fn service(app: AppState) -> Front {
    Front::new(app.clone(), router(app))
}

/// All routes.
fn router(app: AppState) -> Router {
    let routes = Router::new()
        .route("/q", get(admin::list).post(registry::post))
        .route("/q/{id}", get(query::get).post(query::post).put(admin::put).delete(admin::delete))
        .route("/q/{id}/{operation_name}", get(query::get).post(query::post))
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/schema.graphql", get(health::schema))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    let routes = match app.mode {
        Mode::Open => routes
            .merge(console::router())
            .route("/graphiql/operations", get(console::operations::operations)),
        Mode::Apq | Mode::Trusted => routes.route("/", get(console::closed::closed)),
    };
    routes.method_not_allowed_fallback(other_method).fallback(not_found).with_state(app)
}

/// Answers a request by the routes: limits its time, catches panics, and sets the headers of every
/// answer. [`Front`] does the same for what it answers itself.
///
/// The framework's middleware would box a future, and copy the route, once more for each layer.
async fn surround(app: &AppState, request: Request, routes: Router) -> Response {
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

/// The headers of answers that are sent before the resource is known.
fn finished(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
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

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this URL")
}

/// The router adds `Allow`, which is all that OPTIONS asks for (RFC 9110 §9.3.7).
async fn other_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let detail = "the resource at this URL does not support this method";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).into_response()
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
