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

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// `GET /healthz`: the process is alive.
pub(super) async fn healthz() -> Response {
    ([(CONTENT_TYPE, TEXT)], "ok\n").into_response()
}

/// `GET /readyz`: the database answers, too, and maintains the versions of all rows. The reason for
/// a failure is shown to everybody.
pub(super) async fn readyz(State(app): State<AppState>) -> Response {
    match unready(&app).await {
        None => ([(CONTENT_TYPE, TEXT)], "ready\n").into_response(),
        Some(problem) => problem.into_response(),
    }
}

async fn unready(app: &AppState) -> Option<Problem> {
    let failed =
        |what: &str, error| Problem::of_store(what, &error, StatusCode::SERVICE_UNAVAILABLE);
    if let Err(error) = app.store.ping().await {
        return Some(failed("the database does not answer", error));
    }
    if let Err(error) = app.store.catch_up().await {
        return Some(failed("the change log cannot be read", error));
    }
    if let Err(error) = app.store.check_writable().await {
        return Some(failed("the database cannot be written", error));
    }
    match app.store.guard() {
        Ok(guard) if guard.is_whole() => None,
        Ok(guard) => {
            let reasons = guard.reasons(app.engine.model()).join("; ");
            Some(Problem::new(StatusCode::SERVICE_UNAVAILABLE, reasons))
        }
        Err(error) => Some(failed("the state of the versions is unknown", error)),
    }
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
