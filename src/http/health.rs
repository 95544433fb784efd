//! What operators and tools ask in addition to the API: is it alive, is it ready, what is its
//! schema.

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use super::negotiate::MediaType;
use super::problem::Problem;
use super::respond::{self, Form};
use super::state::AppState;
use crate::store::StoreError;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// `GET /healthz`: the process is alive.
pub(super) async fn healthz() -> Response {
    ([(CONTENT_TYPE, TEXT)], "ok\n").into_response()
}

/// `GET /readyz`: the database answers, too, and maintains the versions of all rows. The reason for
/// a failure is shown to everybody.
pub(super) async fn readyz(State(app): State<AppState>) -> Response {
    let unready = |why: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    match app.store.ping().await {
        Ok(()) => {}
        // It is in the log already.
        Err(error @ StoreError::Lost(_)) => return unready(error.to_string()),
        Err(error) => {
            tracing::error!(%error, "the database does not answer");
            return unready(format!("the database does not answer: {error}"));
        }
    }
    if let Err(error) = app.store.catch_up().await {
        tracing::error!(%error, "the change log cannot be read");
        return unready(format!("the change log cannot be read: {error}"));
    }
    if let Err(error) = app.store.check_writable().await {
        return unready(error.to_string());
    }
    match app.store.guard() {
        Ok(guard) if guard.is_whole() => {}
        Ok(guard) => return unready(guard.reasons(app.engine.model()).join("; ")),
        Err(error) => return unready(error.to_string()),
    }
    ([(CONTENT_TYPE, TEXT)], "ready\n").into_response()
}

/// `GET /schema.graphql`: the API as SDL, if the configuration shows it.
pub(super) async fn schema(State(app): State<AppState>, request: Request) -> Response {
    if !app.introspection {
        let detail = "the schema is not shown here; the setting `introspection` opens it";
        return Problem::new(StatusCode::FORBIDDEN, detail).into_response();
    }
    let response = respond::conditional(request.headers(), Form::only(TEXT), &app.sdl.0);
    response.unwrap_or_else(|failure| failure.into_response(MediaType::Json))
}
