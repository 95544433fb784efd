//! Who is asking: turns the token of a request, in `Authorization: Bearer` or in a cookie, into a
//! [`Viewer`]. It is called only if the answer depends on the viewer: a public answer is the same
//! whatever the token says.
//!
//! A browser sends cookies with every request, whichever page caused it. So a mutation whose token
//! comes in a cookie must come from one of our pages (cross-site request forgery). A client that
//! sends `Authorization` has the token itself.

use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, HeaderValue, ORIGIN, VARY};

use axum::response::Response;

use super::cors::Place;
use super::failure::Failure;
use super::state::AppState;
use crate::graphql::Code;
use crate::identity::refusal::Refusal;
use crate::identity::{Carrier, NotVerified};
use crate::viewer::Viewer;

/// <https://fetch.spec.whatwg.org/#cross-origin-resource-policy-header>
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// <https://www.w3.org/TR/fetch-metadata/>
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The viewer of a query.
///
/// # Errors
/// `UNAUTHENTICATED`: there is a token, and it is invalid. `AUTHENTICATION_UNAVAILABLE`,
/// `BAD_REQUEST`.
pub(super) async fn viewer(app: &AppState, headers: &HeaderMap) -> Result<Viewer, Failure> {
    match credential(app, headers)? {
        Some((token, carrier)) => verified(app, token, carrier).await,
        None => Ok(Viewer::Anonymous),
    }
}

/// The viewer of a mutation.
///
/// # Errors
/// Those of [`viewer`], and `FORBIDDEN` for a page of another site that makes the browser send our
/// cookie.
pub(super) async fn viewer_of_mutation(
    app: &AppState,
    headers: &HeaderMap,
) -> Result<Viewer, Failure> {
    match credential(app, headers)? {
        Some((_, Carrier::Cookie(_))) if !is_trusted_origin(app, headers) => Err(Failure::new(
            Code::Forbidden,
            "a mutation with a cookie must come from a page of this origin or of one listed in cors_origins: the request has \
             neither `Sec-Fetch-Site: same-origin` nor such an `Origin`; other clients send the token as `Authorization: Bearer`",
        )),
        Some((token, carrier)) => verified(app, token, carrier).await,
        None => Ok(Viewer::Anonymous),
    }
}

/// The token of a request if it was verified before and is still valid; empty if the request has
/// none. Never waits.
pub(super) fn known_token<'a>(app: &'a AppState, headers: &'a HeaderMap) -> Option<&'a str> {
    match credential(app, headers).ok()? {
        Some((token, carrier)) => app.authenticator.remembered(token, carrier).map(|_| token),
        None => Some(""),
    }
}

/// Adds the headers, other than `Cache-Control`, of an answer that depends on the viewer.
pub(super) fn tell_private(app: &AppState, place: Place, response: &mut Response) {
    let has_cookies = app.authenticator.cookies().next().is_some();
    let headers = response.headers_mut();
    headers.insert(VARY, app.cors.vary_by_viewer(place, has_cookies));
    if has_cookies {
        // Without it, any page could embed this answer, and the browser would send the cookie.
        headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("same-site"));
    }
}

async fn verified(app: &AppState, token: &str, carrier: Carrier<'_>) -> Result<Viewer, Failure> {
    app.authenticator.verify(token, carrier).await.map_err(|error| match error {
        NotVerified::Refused(refusal) => refusal.into(),
        NotVerified::Unavailable => {
            Failure::new(Code::AuthenticationUnavailable, error.to_string())
        }
    })
}

/// The token of a request. Schemes other than `Bearer` are ignored: they may be meant for a proxy
/// in front of the server.
fn credential<'a>(
    app: &'a AppState,
    headers: &'a HeaderMap,
) -> Result<Option<(&'a str, Carrier<'a>)>, Failure> {
    if !app.authenticator.is_on() {
        return Ok(None);
    }
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    if let Some(line) = lines.next() {
        if lines.next().is_some() {
            return Err(Failure::new(
                Code::BadRequest,
                "the request has several Authorization headers",
            ));
        }
        if let Some(token) = bearer(line) {
            let token = std::str::from_utf8(token).map_err(|_| Refusal::Malformed)?;
            return Ok(Some((token, Carrier::Authorization)));
        }
    }
    for name in app.authenticator.cookies() {
        let mut values = cookies(headers, name);
        let Some(token) = values.next() else { continue };
        if values.any(|other| other != token) {
            return Err(Failure::new(
                Code::BadRequest,
                format!("the request has several cookies {name}"),
            ));
        }
        return Ok(Some((token, Carrier::Cookie(name))));
    }
    Ok(None)
}

/// Parses a bearer token (RFC 6750 §2.1).
fn bearer(line: &HeaderValue) -> Option<&[u8]> {
    let (scheme, token) = line.as_bytes().split_at_checked(b"Bearer".len())?;
    let is_bearer =
        scheme.eq_ignore_ascii_case(b"Bearer") && token.first().is_none_or(|byte| *byte == b' ');
    is_bearer.then(|| token.trim_ascii())
}

/// The values of a cookie (RFC 6265 §5.4). HTTP/2 may spread cookies over several lines. An empty
/// value remains after a session has ended.
fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs =
        lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs
        .filter(move |(cookie, value)| *cookie == name && !value.is_empty())
        .map(|(_, value)| value)
}

/// Whether the request was caused by a page of this origin or of a listed one.
fn is_trusted_origin(app: &AppState, headers: &HeaderMap) -> bool {
    let origin = headers.get(ORIGIN);
    if origin.is_some_and(|origin| app.cors.lists(origin)) {
        return true;
    }
    match headers.get(SEC_FETCH_SITE) {
        // `none`: the user caused it, not a page.
        Some(site) => site == "same-origin" || site == "none",
        None => {
            let authority = origin
                .and_then(|origin| origin.to_str().ok()?.split_once("://"))
                .map(|(_, host)| host);
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            authority
                .zip(host)
                .is_some_and(|(authority, host)| authority.eq_ignore_ascii_case(host))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_what_follows_the_scheme() {
        for (line, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bearer  a.b.c ", Some("a.b.c")),
            ("Bearer", Some("")),
            ("Basic YTpi", None),
            ("Bearera.b.c", None),
            ("a.b.c", None),
            ("", None),
        ] {
            let line = HeaderValue::from_static(line);
            assert_eq!(
                bearer(&line).map(|token| std::str::from_utf8(token).unwrap()),
                token,
                "{line:?}"
            );
        }
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let lines = [
            "a=1; __Host-s=x.y.z",
            "__Host-s=; X__Host-s=no;__Host-s=x.y.z",
            "__host-s=no; __Host-sx=no",
        ];
        let headers = lines.iter().map(|line| (COOKIE, HeaderValue::from_static(line))).collect();
        assert_eq!(cookies(&headers, "__Host-s").collect::<Vec<_>>(), ["x.y.z"; 2]);
    }
}
