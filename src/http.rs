//! The front door: speaks HTTP and decides nothing about data. This file lists all routes;
//! [`surround`] is what all handlers have in common, and statuses are decided in [`failure`] and
//! [`respond`].
//!
//! A GET can take two paths to the same answer. If this exact URL was answered before, [`front`]
//! finds that answer by the URL and sends it, or its 304, as soon as the store confirms that it is
//! still valid. Every other GET is led by [`dispatch`] to [`query`], which resolves the URL. Both
//! paths end in [`respond::conditional`], where a 304 is decided.

mod access;
mod address;
mod admin;
mod admin_token;
mod aside;
pub(crate) mod console;
mod cors;
mod dispatch;
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
mod surround;
mod target;
mod viewer;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{HeaderValue, VARY, X_CONTENT_TYPE_OPTIONS};
use http::{Method, StatusCode};

pub(crate) use self::front::Front;
pub(crate) use self::state::AppState;

use self::problem::Problem;
use self::respond::NOSNIFF;
use crate::config::Mode;

/// The whole server: all routes, what surrounds their handlers, and the fast path in front of them.
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

/// The headers of answers that are sent before the resource is known.
fn finished(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
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
