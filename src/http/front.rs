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
use http::header::VARY;
use tower::Service;

use super::cors::Place;
use super::explain::{self, Provenance};
use super::negotiate::MediaType;
use super::{AppState, access, negotiate, respond};
use crate::cache::Source;

/// The whole server as a service. The HTTP library clones it for each request, so it is one pointer.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

struct Parts {
    app: AppState,
    routes: Router,
}

impl Front {
    pub(super) fn new(app: AppState, routes: Router) -> Self {
        Self(Arc::new(Parts { app, routes }))
    }

    /// The answer, if it can be given at once.
    fn at_once(&self, request: &Request) -> Option<Response> {
        let app = &self.0.app;
        let headers = request.headers();
        if request.method() != Method::GET || explain::is_wanted(app.mode, headers) || access::is_on() {
            // The log names the operation, which only the handlers know.
            return None;
        }
        let url = request.uri().path_and_query()?.as_str();
        let stored = app.cache.by_url(url, || app.registry.generation())?;
        let place = Place::of(request.method(), request.uri().path());
        let media_type = match place {
            Place::Graphql => negotiate::media_type(headers)?,
            _ => MediaType::Json,
        };
        if stored.value.is_slow(stored.value.coding(headers)) {
            return None;
        }
        let mut response = respond::conditional(headers, media_type, &stored.value).ok()?;
        response.headers_mut().insert(VARY, app.cors.vary(place));
        app.cors.tell(place, headers, response.headers_mut());
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
