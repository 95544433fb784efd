//! Long requests take milliseconds of CPU time before they reach the database: to parse, to
//! validate, to coerce. They are handled [aside](super::aside).

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

use super::dispatch::dispatch;
use super::negotiate::{self, MediaType};
use super::parameters::receive;
use super::state::AppState;

/// Longer bodies and URLs, in bytes, are parsed and answered aside. Shorter ones take less time
/// than switching threads under load.
const LONG: usize = 4 << 10;

/// Answers a request; long ones aside.
pub(super) async fn route(app: &AppState, request: Request, routes: Router) -> Response {
    let media_type = negotiate::media_type(request.headers()).unwrap_or(MediaType::Json);
    let url =
        request.uri().path_and_query().map_or(0, |path_and_query| path_and_query.as_str().len());
    let request = if matches!(*request.method(), Method::POST | Method::PUT) && !is_short(&request)
    {
        // Await the body here, so that slow senders do not take up slots there.
        let (head, body) = request.into_parts();
        match receive(&head, body).await {
            // The decoded length of an encoded body is not known yet.
            Ok(body) if body.len() <= LONG && !head.headers.contains_key(CONTENT_ENCODING) => {
                return dispatch(app.clone(), Request::from_parts(head, Body::from(body)), routes)
                    .await;
            }
            Ok(body) => Request::from_parts(head, Body::from(body)),
            Err(problem) => return problem.into_response(),
        }
    } else if url > LONG {
        request
    } else {
        return dispatch(app.clone(), request, routes).await;
    };
    let answered = app.aside.run(dispatch(app.clone(), request, routes)).await;
    answered.unwrap_or_else(|failure| failure.into_response(media_type))
}

/// Whether the head announces a short body.
fn is_short(request: &Request) -> bool {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    !request.headers().contains_key(CONTENT_ENCODING)
        && length.is_some_and(|length: usize| length <= LONG)
}
