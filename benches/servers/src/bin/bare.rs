//! What axum and the kernel cost: answers that were made before, found by path and query in a hash
//! map.
//!
//! `PUT` stores a body under its URL, `GET` gives it back, or 304 to a matching `If-None-Match`.
//! There is nothing that a cache of HTTP answers could do less, so this is the limit for one.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use dashmap::DashMap;
use freshql_bench_servers::{argument, serve};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

struct Entry {
    etag: HeaderValue,
    body: Bytes,
}

type Entries = Arc<DashMap<Box<str>, Arc<Entry>>>;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let address = argument(1, "bare ADDRESS")?;
    let routes = Router::new()
        .route("/q/{id}", get(answer).put(store))
        .layer(DefaultBodyLimit::max(1 << 20))
        .with_state(Entries::default());
    serve(&address, routes).await
}

async fn answer(State(entries): State<Entries>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(entry) = entries.get(key(&uri)).map(|entry| entry.clone()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut fields = HeaderMap::with_capacity(4);
    fields.insert(ETAG, entry.etag.clone());
    fields.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=0, must-revalidate"));
    if headers.get(IF_NONE_MATCH) == Some(&entry.etag) {
        return (StatusCode::NOT_MODIFIED, fields, Body::new(NoContent)).into_response();
    }
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (fields, entry.body.clone()).into_response()
}

async fn store(
    State(entries): State<Entries>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let Some(etag) = headers.get(ETAG).cloned() else { return StatusCode::BAD_REQUEST };
    entries.insert(key(&uri).into(), Arc::new(Entry { etag, body }));
    StatusCode::NO_CONTENT
}

fn key(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// The body of a 304, whose length is not told.
struct NoContent;

impl HttpBody for NoContent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}
