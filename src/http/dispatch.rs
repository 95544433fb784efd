//! Finds the handler of a request.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::Method;
use tower::Service;

use super::address::Address;
use super::negotiate;
use super::problem::Problem;
use super::query;
use super::state::AppState;

/// Answers by the handler of the request's route.
///
/// A registered document that is run by its plain address, which is what most requests do, needs no
/// router: the one of the framework would box half a dozen futures first.
pub(super) async fn dispatch(app: AppState, request: Request, mut routes: Router) -> Response {
    let method = request.method();
    if (method == Method::GET || method == Method::POST)
        && let Some(address) = Address::plain(request.uri().path())
    {
        if method == Method::GET {
            return query::get(State(app), address, request).await;
        }
        return match negotiate::media_type(request.headers()) {
            Some(media_type) => query::post(State(app), media_type, address, request).await,
            None => Problem::not_acceptable().into_response(),
        };
    }
    routes.call(request).await.unwrap_or_else(|never| match never {})
}
