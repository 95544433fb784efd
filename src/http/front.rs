//! In front of all routes: a GET that was answered before, at this very URL, and whose answer still holds, is answered
//! here, without parsing what was parsed then. Everything else goes on to the router. Nothing is decided here that the
//! router's handlers would decide otherwise: see [`super::query`] for the whole life of a GET.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
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

/// The whole server as a service. The HTTP library clones it for each request, so it is one pointer.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

struct Parts {
    app: AppState,
    vary: HeaderValue,
    routes: Router,
}

impl Front {
    pub(super) fn new(app: AppState, vary: HeaderValue, routes: Router) -> Self {
        Self(Arc::new(Parts { app, vary, routes }))
    }

    /// The answer, if it can be given at once.
    fn at_once(&self, request: &Request) -> Option<Response> {
        let Parts { app, vary, .. } = &*self.0;
        let headers = request.headers();
        if request.method() != Method::GET || explain::is_wanted(app.mode, headers) {
            return None;
        }
        let url = request.uri().path_and_query()?.as_str();
        let stored = app.cache.by_url(url, app.registry.generation())?;
        let media_type = negotiate::media_type(headers)?;
        if stored.value.is_slow(stored.value.coding(headers)) {
            return None;
        }
        let mut response = respond::conditional(headers, media_type.header(), &stored.value).ok()?;
        response.headers_mut().insert(VARY, vary.clone());
        Provenance { source: Source::Hit, timing: None }.tell(app.mode, &mut response);
        Some(response)
    }
}

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Ready<Result<Response, Infallible>>, RouteFuture<Infallible>>;

    /// A router is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.at_once(&request) {
            Some(response) => Either::Left(ready(Ok(response))),
            None => Either::Right(self.0.routes.clone().call(request)),
        }
    }
}
