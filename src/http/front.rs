//! The fast path in front of all routes. A GET whose exact URL was answered before, with an answer
//! that is still valid, is answered here without parsing anything again. Everything else goes on to
//! the router. This file decides nothing that the router's handlers would decide differently:
//! [`super::query`] handles the whole life of a GET and resolves its URL; this file only looks up
//! the result.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either};
use http::Method;
use http::header::VARY;
use tower::Service;

use super::cors::Place;
use super::explain;
use super::negotiate::MediaType;
use super::provenance::Provenance;
use super::query::Checked;
use super::respond::Representation;
use super::state::AppState;
use super::surround::surround;
use super::{access, negotiate, respond, viewer};
use crate::cache::{Lookup, Source, Unchecked};

/// The whole server as a service. The HTTP library clones it for each request, so it is a single
/// pointer.
#[derive(Clone)]
pub(crate) struct Front(Arc<Parts>);

struct Parts {
    app: AppState,
    routes: Router,
}

impl Front {
    pub(super) fn new(app: AppState, routes: Router) -> Self {
        Self(Arc::new(Parts { app, routes }))
    }
}

/// What can be said about a request without parsing it.
enum Outcome {
    Answered(Response),
    /// An answer is stored, but whether it is valid is known only after reading others' changes.
    Check(Unchecked<Representation>),
    /// The router has to handle it.
    Unknown,
}

impl Parts {
    fn try_cached(&self, request: &Request) -> Outcome {
        let (app, headers) = (&self.app, request.headers());
        if request.method() != Method::GET
            || explain::is_wanted(app.mode, headers)
            || access::is_on()
        {
            // The access log names the operation, which only the handlers know.
            return Outcome::Unknown;
        }
        let Some(url) = request.uri().path_and_query() else { return Outcome::Unknown };
        let look_up = |who| app.cache.by_url(url.as_str(), who, || app.registry.generation());
        let found = match look_up(None) {
            // Answers that depend on the viewer are stored under the URL together with the token.
            Lookup::Miss if app.engine.model().has_rules => match viewer::known_token(app, headers)
            {
                Some(token) => look_up(Some(token)),
                None => Lookup::Miss,
            },
            found => found,
        };
        match found {
            Lookup::Hit(stored) => {
                self.answer(request, &stored.value).map_or(Outcome::Unknown, Outcome::Answered)
            }
            Lookup::Check(found) => Outcome::Check(found),
            Lookup::Miss => Outcome::Unknown,
        }
    }

    fn answer(&self, request: &Request, representation: &Representation) -> Option<Response> {
        let (app, headers) = (&self.app, request.headers());
        let place = Place::of(request.method(), request.uri().path());
        let media_type = match place {
            Place::Graphql => negotiate::media_type(headers)?,
            _ => MediaType::Json,
        };
        if representation.is_slow(representation.coding(headers)) {
            return None;
        }
        let mut response = respond::conditional(headers, media_type, representation).ok()?;
        if representation.is_private() {
            viewer::tell_private(app, place, &mut response);
        } else {
            response.headers_mut().insert(VARY, app.cors.vary(place));
        }
        app.cors.tell(place, headers, response.headers_mut());
        Provenance { source: Source::Hit, timing: None }.tell(app.mode, &mut response);
        Some(response)
    }

    async fn answer_when_checked(
        self: Arc<Self>,
        mut request: Request,
        found: Unchecked<Representation>,
    ) -> Result<Response, Infallible> {
        let app = &self.app;
        // If the change log cannot be read in time, the handlers find that out again and answer
        // accordingly.
        if app.cache.catch_up_within(app.limits.timeout).await {
            if let Some(stored) = app.cache.holds(found, app.registry.generation())
                && let Some(response) = self.answer(&request, &stored.value)
            {
                return Ok(response);
            }
            request.extensions_mut().insert(Checked);
        }
        // Boxed, since it is rarely needed, and large.
        Box::pin(self.route(request)).await
    }

    async fn route(self: Arc<Self>, request: Request) -> Result<Response, Infallible> {
        Ok(surround(&self.app, request, self.routes.clone()).await)
    }
}

/// The future of a response; most are ready at once.
type Answering =
    Either<Ready<Result<Response, Infallible>>, BoxFuture<'static, Result<Response, Infallible>>>;

impl Service<Request> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    /// A router is always ready.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        match self.0.try_cached(&request) {
            Outcome::Answered(response) => Either::Left(ready(Ok(response))),
            Outcome::Check(found) => {
                Either::Right(self.0.clone().answer_when_checked(request, found).boxed())
            }
            Outcome::Unknown => Either::Right(self.0.clone().route(request).boxed()),
        }
    }
}
