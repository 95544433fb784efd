//! Which pages of other origins may read what (CORS in the Fetch standard), and the `Vary` header
//! that follows from it.
//!
//! Public answers (GETs below `/q/`) are readable by every page as soon as CORS is on: a list would
//! protect nothing there, and `Vary: Origin` would make caches keep one copy per origin. The list
//! governs everything else.

use std::sync::Once;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HOST, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Method};

use crate::config::CorsOrigins;

/// Headers that scripts may read in addition to the safelisted ones.
const EXPOSED: &str =
    "ETag, Content-Location, Location, Retry-After, Allow, Cache-Status, Server-Timing";

/// All methods of any resource. Which of them a resource supports is up to its answer.
const METHODS: &str = "GET, HEAD, POST, PUT, DELETE";

/// How long a browser may cache a preflight, in seconds. Browsers reduce it to their own limit.
const MAX_AGE: &str = "86400";

/// The policy, ready to be written into headers.
pub(super) struct Cors {
    origins: Origins,
    credentials: bool,
    /// Whether the log has already mentioned a page that may not read an answer. Browsers give no
    /// reason.
    logged: Once,
}

enum Origins {
    Off,
    Any,
    One(HeaderValue),
    Several(Vec<HeaderValue>),
}

/// The kind of resource, as far as the headers around its answer depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A GET or HEAD below `/q/`: an answer that anybody may read.
    Public,
    /// Anything else at `/q` or below.
    Registered,
    /// `/graphql`, whose answers come in two media types.
    Graphql,
    /// Everything else.
    Other,
}

impl Place {
    /// Classifies a request by method and path.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        match path.strip_prefix("/q") {
            Some(rest)
                if rest.starts_with('/') && matches!(*method, Method::GET | Method::HEAD) =>
            {
                Self::Public
            }
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Registered,
            _ if path == "/graphql" => Self::Graphql,
            _ => Self::Other,
        }
    }
}

impl Cors {
    /// `credentials` allows pages to send what the browser stores for this server, such as cookies
    /// for a proxy in front of it.
    pub(super) fn new(origins: &CorsOrigins, credentials: bool) -> Self {
        let origins = match origins {
            CorsOrigins::Any => Origins::Any,
            CorsOrigins::Listed(listed) => {
                let mut values: Vec<_> = listed
                    .iter()
                    .filter_map(|origin| HeaderValue::try_from(origin.as_str()).ok())
                    .collect();
                match values.len() {
                    0 => Origins::Off,
                    1 => Origins::One(values.swap_remove(0)),
                    _ => Origins::Several(values),
                }
            }
        };
        Self { origins, credentials, logged: Once::new() }
    }

    /// One header line, the same for every answer of a resource, because caches use it to select
    /// among stored answers. nginx reads the last line only.
    pub(super) fn vary(&self, place: Place) -> HeaderValue {
        // The origin is echoed only if there are several to choose from.
        let by_origin = matches!(self.origins, Origins::Several(_));
        HeaderValue::from_static(match (place, by_origin) {
            (Place::Graphql, true) => "Accept, Accept-Encoding, Origin",
            (Place::Graphql, false) => "Accept, Accept-Encoding",
            (Place::Public | Place::Registered, true) if self.credentials => {
                "Accept-Encoding, Origin"
            }
            (Place::Other, true) => "Accept-Encoding, Origin",
            (Place::Public | Place::Registered | Place::Other, _) => "Accept-Encoding",
        })
    }

    /// The `Vary` of an answer that depends on the viewer.
    pub(super) fn vary_by_viewer(&self, place: Place, has_cookies: bool) -> HeaderValue {
        let by_origin = self.vary(place).as_bytes().ends_with(b"Origin");
        HeaderValue::from_static(match (place == Place::Graphql, by_origin, has_cookies) {
            (true, true, true) => "Accept, Accept-Encoding, Origin, Authorization, Cookie",
            (true, true, false) => "Accept, Accept-Encoding, Origin, Authorization",
            (true, false, true) => "Accept, Accept-Encoding, Authorization, Cookie",
            (true, false, false) => "Accept, Accept-Encoding, Authorization",
            (false, true, true) => "Accept-Encoding, Origin, Authorization, Cookie",
            (false, true, false) => "Accept-Encoding, Origin, Authorization",
            (false, false, true) => "Accept-Encoding, Authorization, Cookie",
            (false, false, false) => "Accept-Encoding, Authorization",
        })
    }

    /// Adds the headers that tell the browser which pages may read this answer.
    pub(super) fn tell(&self, place: Place, request: &HeaderMap, answer: &mut HeaderMap) {
        if self.allow(place, request, answer) {
            answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
        }
    }

    /// Turns the answer to OPTIONS on an existing resource into the answer to a preflight, if it is
    /// one. An allowed origin may send any headers: those that clients add are too many to list,
    /// and none of them grants anything here.
    pub(super) fn preflight(&self, path: &str, request: &HeaderMap, answer: &mut HeaderMap) {
        let Some(method) = request.get(ACCESS_CONTROL_REQUEST_METHOD) else { return };
        if !request.contains_key(ORIGIN) || matches!(self.origins, Origins::Off) {
            return self.note_refused(request);
        }
        answer.insert(
            VARY,
            HeaderValue::from_static(
                "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
            ),
        );
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        if !self.allow(Place::of(&method, path), request, answer) {
            return;
        }
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        if let Some(headers) = request.get(ACCESS_CONTROL_REQUEST_HEADERS) {
            answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    }

    /// Whether this origin is on the list. `*` lists no origin: it says that anybody may read, not
    /// that anybody is trusted.
    pub(super) fn lists(&self, origin: &HeaderValue) -> bool {
        match &self.origins {
            Origins::Off | Origins::Any => false,
            Origins::One(only) => only == origin,
            Origins::Several(listed) => listed.contains(origin),
        }
    }

    /// Logs, once, that a page of an unlisted origin was refused. It may be the developer's own
    /// page, and the browser gives no reason.
    fn note_refused(&self, request: &HeaderMap) {
        if self.logged.is_completed() {
            return;
        }
        let Some(origin) = request.get(ORIGIN).and_then(|origin| origin.to_str().ok()) else {
            return;
        };
        let host = request.get(HOST).and_then(|host| host.to_str().ok());
        if host.is_none() || origin.split_once("://").map(|(_, of)| of) == host {
            return;
        }
        self.logged.call_once(|| {
            tracing::info!(
                origin,
                "a page of another origin may not read what it requested: `cors_origins` does not list its origin"
            );
        });
    }

    /// Returns whether the headers name an origin.
    fn allow(&self, place: Place, request: &HeaderMap, answer: &mut HeaderMap) -> bool {
        let any = || HeaderValue::from_static("*");
        let origin = match &self.origins {
            Origins::Off => None,
            Origins::Any => Some(any()),
            // Browsers do not accept `*` together with credentials.
            Origins::One(_) | Origins::Several(_)
                if place == Place::Public && !self.credentials =>
            {
                Some(any())
            }
            Origins::One(only) => Some(only.clone()),
            Origins::Several(listed) => {
                request.get(ORIGIN).filter(|origin| listed.contains(origin)).cloned()
            }
        };
        let Some(origin) = origin else {
            self.note_refused(request);
            return false;
        };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials && !matches!(self.origins, Origins::Any) {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_public_only_where_documents_are_read() {
        let place = |method: Method, path| Place::of(&method, path);
        assert_eq!(place(Method::GET, "/q/abc"), Place::Public);
        assert_eq!(place(Method::HEAD, "/q/abc/Name"), Place::Public);
        assert_eq!(place(Method::POST, "/q/abc"), Place::Registered);
        assert_eq!(place(Method::GET, "/q"), Place::Registered);
        assert_eq!(place(Method::GET, "/graphql"), Place::Graphql);
        for path in ["/", "/queries", "/graphql/x", "/graphiql"] {
            assert_eq!(place(Method::GET, path), Place::Other, "{path}");
        }
    }
}
