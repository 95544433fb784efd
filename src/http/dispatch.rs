//! Finds the handler of a request.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use http::Method;
use tower::Service;

use super::address::Address;
use super::query;
use super::state::AppState;

/// Answers by the handler of the request's route.
///
/// A registered document that is read by its plain address, which is what most requests do, needs
/// no router: the one of the framework would box half a dozen futures first.
pub(super) async fn dispatch(app: AppState, request: Request, mut routes: Router) -> Response {
    if *request.method() == Method::GET
        && let Some(address) = Address::plain(request.uri().path())
    {
        return query::get(State(app), address, request).await;
    }
    routes.call(request).await.unwrap_or_else(|never| match never {})
}
