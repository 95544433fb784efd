//! Long requests take milliseconds of a processor before anything is asked of the database: to parse, to validate, to
//! coerce. They are handled by threads of their own, few of them, so that what the threads that serve connections answer
//! in microseconds never waits behind them.

use std::num::NonZero;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::AppState;
use super::failure::Failure;
use super::negotiate::{self, MediaType};
use super::parameters::receive;
use crate::graphql::Code;

/// Longer bodies and URLs, in bytes, are parsed and answered aside. What is shorter takes less time than a change of
/// threads under load.
const LONG: usize = 4 << 10;

/// Requests that may be here at the same time; each holds its body, and what is made of it.
const ROOM: usize = 32;

/// Middleware: takes long requests aside.
pub(super) async fn take(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let media_type = negotiate::media_type(request.headers()).unwrap_or(MediaType::Json);
    let url = request.uri().path_and_query().map_or(0, |path_and_query| path_and_query.as_str().len());
    let request = if matches!(*request.method(), Method::POST | Method::PUT) && !is_short(&request) {
        // The body is awaited here, so that clients who send slowly take no room from others.
        let (parts, body) = request.into_parts();
        match receive(Request::from_parts(parts.clone(), body)).await {
            // How long it is once it is decoded, nobody knows yet.
            Ok(body) if body.len() <= LONG && !parts.headers.contains_key(CONTENT_ENCODING) => {
                return next.run(Request::from_parts(parts, Body::from(body))).await;
            }
            Ok(body) => Request::from_parts(parts, Body::from(body)),
            Err(problem) => return problem.into_response(),
        }
    } else if url > LONG {
        request
    } else {
        return next.run(request).await;
    };
    let answered = app.aside.run(next.run(request)).await;
    answered.unwrap_or_else(|failure| failure.into_response(media_type))
}

/// Whether the body is short, as its head says.
fn is_short(request: &Request) -> bool {
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    !request.headers().contains_key(CONTENT_ENCODING) && length.is_some_and(|length: usize| length <= LONG)
}

/// The threads, and who may still come.
pub(super) struct Aside {
    /// None only while this is dropped.
    runtime: Option<Runtime>,
    room: Arc<Semaphore>,
}

impl Aside {
    /// One thread for every two cores.
    ///
    /// # Errors
    /// They cannot be started.
    pub(super) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut builder = Builder::new_multi_thread();
        // What runs here may have to connect to the database: a request is here to its end.
        let runtime = builder.worker_threads((cores / 2).max(1)).thread_name("aside").enable_all().build()?;
        Ok(Self { runtime: Some(runtime), room: Arc::new(Semaphore::new(ROOM)) })
    }

    /// Does this work aside, for as long as somebody waits for it.
    ///
    /// # Errors
    /// `OVERLOADED`: too many are there already.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure>
    where
        T: Send + 'static,
    {
        let Ok(_room) = self.room.try_acquire() else {
            return Err(Failure::new(Code::Overloaded, "too many long requests wait; try again"));
        };
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        // A set of one, for dropping it ends what is in it.
        let mut tasks = JoinSet::new();
        tasks.spawn_on(work, runtime.handle());
        match tasks.join_next().await.expect("one task was spawned") {
            Ok(done) => Ok(done),
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // The last handle may be dropped by a task, and a task must not wait for threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
