//! In front of all routes: a GET that was answered before, at this very URL, and whose answer still holds, is answered
//! here, without parsing what was parsed then. Everything else goes on to the router. Nothing is decided here that the
//! router's handlers would decide otherwise: see [`super::query`] for the whole life of a GET.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::future::RouteFuture;
use futures_util::future::Either;
use http::Method;
use http::header::{HeaderValue, VARY};
use tower::Service;

use super::explain::{self, Provenance};
use super::{AppState, negotiate, respond};
use crate::cache::Source;

/// The whole server as a service.
#[derive(Clone)]
pub struct Front {
    app: AppState,
    vary: HeaderValue,
    routes: Router,
}

impl Front {
    pub(super) fn new(app: AppState, vary: HeaderValue, routes: Router) -> Self {
        Self { app, vary, routes }
    }

    /// The answer, if it can be given at once.
    fn at_once(&self, request: &Request) -> Option<Response> {
        let headers = request.headers();
        if request.method() != Method::GET || explain::is_wanted(self.app.mode, headers) {
            return None;
        }
        let url = request.uri().path_and_query()?.as_str();
        let stored = self.app.cache.by_url(url, self.app.registry.generation())?;
        let media_type = negotiate::media_type(headers)?;
        if stored.value.is_slow(stored.value.coding(headers)) {
            return None;
        }
        let mut response = respond::conditional(headers, media_type.header(), &stored.value).ok()?;
        response.headers_mut().insert(VARY, self.vary.clone());
        Provenance { source: Source::Hit, timing: None }.tell(self.app.mode, &mut response);
        Some(response)
    }
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Router as Service<Request>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.at_once(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.routes.call(request)),
        }
    }
}
