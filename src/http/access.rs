//! The access log: one line per request at level `debug`, and nothing below that level. It contains
//! no query strings, because variables may hold secrets.

use std::time::Instant;

use axum::response::Response;
use http::{Method, Uri};

use super::provenance::Provenance;

/// The log's target, for filters such as `info,freshql::access=debug`.
const TARGET: &str = "freshql::access";

/// What a handler reports to the log about its answer.
#[derive(Clone)]
struct Logged {
    result: &'static str,
    operation: Option<String>,
}

/// Whether the access log is enabled.
pub(super) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// Attaches to an answer where it came from.
pub(super) fn note(response: &mut Response, provenance: &Provenance, operation: Option<&str>) {
    if is_on() {
        let logged =
            Logged { result: provenance.result(), operation: operation.map(str::to_owned) };
        response.extensions_mut().insert(logged);
    }
}

/// A request to be logged.
pub(super) struct Entry {
    method: Method,
    path: String,
    begun: Instant,
}

impl Entry {
    /// None if the log is off.
    pub(super) fn begin(method: &Method, uri: &Uri) -> Option<Self> {
        is_on().then(|| Self {
            method: method.clone(),
            path: uri.path().to_owned(),
            begun: Instant::now(),
        })
    }

    /// Writes the line.
    pub(super) fn end(self, response: &Response) {
        let Self { method, path, begun } = self;
        let logged = response.extensions().get::<Logged>();
        let (result, operation) = logged.map_or(("-", "-"), |logged| {
            (logged.result, logged.operation.as_deref().unwrap_or("-"))
        });
        let (status, micros) = (
            response.status().as_u16(),
            u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        );
        tracing::debug!(target: TARGET, %method, path, status, result, micros, operation, "answered");
    }
}
