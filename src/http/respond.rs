//! Makes responses of answers: the preconditions' outcome, the headers, the body in the best coding.
//!
//! What the outcome is, [`crate::conditional`] decides; what caches may do, [`crate::cache_control`] does. `Vary` is the
//! same on everything and stands in [`super::router`].

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_MATCH, IF_NONE_MATCH,
};
use http::{HeaderMap, StatusCode};

use super::failure::Failure;
use super::negotiate;
use crate::cache_control::{NO_STORE, Policy};
use crate::conditional::{self, Outcome};
use crate::etag::{Coding, ResponseEtag};
use crate::graphql::Code;

/// Bodies below this many bytes are sent as they are: with headers they fit into one packet either way.
const SMALLEST_COMPRESSED: usize = 860;

/// Brotli's quality, 0 to 11. From 5 on the cost rises much faster than the gain.
const BROTLI_QUALITY: u32 = 5;

/// Brotli's window, as a power of two bytes.
const BROTLI_WINDOW: u32 = 20;

/// RFC 9213: what CDNs go by that know it.
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// The current state of a resource, as a 200 to GET shows it.
pub(super) struct Representation {
    /// Before any coding.
    pub(super) body: Bytes,
    /// With its parameters.
    pub(super) content_type: HeaderValue,
    /// None where the answer has field errors: then it has no validator, and nobody may store it.
    pub(super) etag: Option<ResponseEtag>,
    /// What caches may do with it.
    pub(super) policy: Policy,
    /// The canonical URL.
    pub(super) content_location: Option<HeaderValue>,
}

/// Answers a GET or HEAD: 200, 304 or 412.
///
/// # Errors
/// `PRECONDITION_FAILED`.
pub(super) fn conditional(request: &HeaderMap, representation: Representation) -> Result<Response, Failure> {
    let Representation { body, content_type, etag, policy, content_location } = representation;
    let lines = |name| request.get_all(name).iter().map(HeaderValue::as_bytes);
    let outcome = conditional::evaluate(lines(IF_MATCH), lines(IF_NONE_MATCH), etag.as_ref());
    if outcome == Outcome::PreconditionFailed {
        return Err(Failure::new(Code::PreconditionFailed, "the answer is no longer the one that If-Match names"));
    }

    let coding = coding(request, &body);
    let mut headers = HeaderMap::with_capacity(10);
    match &etag {
        Some(etag) => {
            let tag = HeaderValue::try_from(etag.header(coding)).expect("base64url and quotes may stand in a header");
            headers.insert(ETAG, tag);
            let text = policy.cache_control();
            headers.insert(CACHE_CONTROL, HeaderValue::try_from(text).expect("directives and digits are ASCII"));
            if let Some(text) = policy.cdn_cache_control() {
                headers
                    .insert(CDN_CACHE_CONTROL, HeaderValue::try_from(text).expect("directives and digits are ASCII"));
            }
        }
        None => drop(headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE))),
    }
    if let Some(location) = content_location {
        headers.insert(CONTENT_LOCATION, location);
    }
    if outcome == Outcome::NotModified {
        return Ok((StatusCode::NOT_MODIFIED, headers, Body::new(NoContent)).into_response());
    }
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    Ok(encoded(headers, coding, body))
}

/// Answers a POST: 200, never to be stored.
pub(super) fn unconditional(
    request: &HeaderMap,
    body: Bytes,
    content_type: HeaderValue,
    content_location: Option<HeaderValue>,
) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    if let Some(location) = content_location {
        headers.insert(CONTENT_LOCATION, location);
    }
    encoded(headers, coding(request, &body), body)
}

/// Small bodies stay as they are, whatever the client likes best. The coding follows from the length alone, so that a
/// 304 names the ETag of the 200 without compressing anything.
fn coding(request: &HeaderMap, body: &Bytes) -> Coding {
    if body.len() < SMALLEST_COMPRESSED { Coding::Identity } else { negotiate::coding(request) }
}

fn encoded(mut headers: HeaderMap, coding: Coding, body: Bytes) -> Response {
    let (name, body) = match coding {
        Coding::Identity => return (headers, body).into_response(),
        Coding::Brotli => ("br", brotli(&body)),
        Coding::Gzip => ("gzip", gzip(&body)),
    };
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    (headers, body).into_response()
}

fn brotli(body: &[u8]) -> Vec<u8> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, BROTLI_WINDOW);
    writer.write_all(body).expect("writing to memory does not fail");
    writer.into_inner()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    // The encoder writes no time and no name into its header, so equal bodies give equal bytes.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to memory does not fail")
}

/// The body of a 304: nothing, of a length that is not told, for `Content-Length: 0` would say that the 200's body is
/// empty (RFC 9110 §8.6).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codings_are_deterministic_and_can_be_undone() {
        use std::io::Read;
        let body: Vec<u8> = (0..5000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        assert_eq!(gzip(&body), gzip(&body));
        assert_eq!(brotli(&body), brotli(&body));
        let (mut from_gzip, mut from_brotli) = (Vec::new(), Vec::new());
        flate2::read::GzDecoder::new(&gzip(&body)[..]).read_to_end(&mut from_gzip).unwrap();
        brotli::Decompressor::new(&brotli(&body)[..], 4096).read_to_end(&mut from_brotli).unwrap();
        assert!(from_gzip == body && from_brotli == body);
    }

    #[test]
    fn small_bodies_are_not_compressed() {
        let request: HeaderMap =
            [(http::header::ACCEPT_ENCODING, HeaderValue::from_static("br"))].into_iter().collect();
        assert_eq!(coding(&request, &Bytes::from(vec![b' '; SMALLEST_COMPRESSED - 1])), Coding::Identity);
        assert_eq!(coding(&request, &Bytes::from(vec![b' '; SMALLEST_COMPRESSED])), Coding::Brotli);
    }
}
