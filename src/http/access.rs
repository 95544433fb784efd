//! The access log: a line for each request at level `debug`, and nothing at all below it. It has no
//! query strings, for variables may be anybody's secrets.

use std::time::Instant;

use axum::response::Response;
use http::{Method, Uri};

use super::provenance::Provenance;

/// The log's target, for filters such as `info,freshql::access=debug`.
const TARGET: &str = "freshql::access";

/// What a handler tells the log about its answer.
#[derive(Clone)]
struct Told {
    result: &'static str,
    operation: Option<String>,
}

/// Whether anybody reads it.
pub(super) fn is_on() -> bool {
    tracing::enabled!(target: TARGET, tracing::Level::DEBUG)
}

/// Notes on an answer how it came about.
pub(super) fn note(response: &mut Response, provenance: &Provenance, operation: Option<&str>) {
    if is_on() {
        let told = Told { result: provenance.result(), operation: operation.map(str::to_owned) };
        response.extensions_mut().insert(told);
    }
}

/// A request that is to be logged.
pub(super) struct Entry {
    method: Method,
    path: String,
    begun: Instant,
}

impl Entry {
    /// None where nobody reads the log.
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
        let told = response.extensions().get::<Told>();
        let (result, operation) =
            told.map_or(("-", "-"), |told| (told.result, told.operation.as_deref().unwrap_or("-")));
        let (status, micros) = (
            response.status().as_u16(),
            u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
        );
        tracing::debug!(target: TARGET, %method, path, status, result, micros, operation, "answered");
    }
}
