//! Where an answer came from, as shown in mode `open`: `Cache-Status` (RFC 9211) and
//! `Server-Timing`.

use axum::response::Response;
use http::header::{HeaderName, HeaderValue};

use crate::cache::Source;
use crate::config::Mode;
use crate::graphql::explain::Timing;

/// RFC 9211.
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
/// <https://www.w3.org/TR/server-timing/>
pub(super) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Where an answer came from, and how long it took if it was executed.
pub(super) struct Provenance {
    pub(super) source: Source,
    pub(super) timing: Option<Timing>,
}

impl Provenance {
    /// The source in one word, for the log.
    pub(super) fn result(&self) -> &'static str {
        match self.source {
            Source::Hit => "hit",
            Source::Miss => "miss",
            Source::Stale => "stale",
            Source::Bypass => "bypass",
        }
    }

    /// Adds the response headers, in mode `open`.
    pub(super) fn tell(&self, mode: Mode, response: &mut Response) {
        if mode != Mode::Open {
            return;
        }
        response.headers_mut().insert(CACHE_STATUS, cache_status(self.source));
        // A request that waited for another's execution spent no time of its own.
        if let Some(timing) = &self.timing {
            response.headers_mut().insert(SERVER_TIMING, server_timing(timing));
        }
    }
}

fn cache_status(source: Source) -> HeaderValue {
    HeaderValue::from_static(match source {
        Source::Hit => "freshql; hit",
        Source::Miss => "freshql; fwd=miss",
        Source::Stale => "freshql; fwd=stale",
        Source::Bypass => "freshql; fwd=bypass",
    })
}

pub(super) fn server_timing(timing: &Timing) -> HeaderValue {
    let Timing { plan, sql, json } = timing;
    let text = format!("plan;dur={plan}, sql;dur={sql}, json;dur={json}");
    HeaderValue::try_from(text).expect("digits, points and names are visible ASCII")
}
