//! Turns answers into responses: the outcome of the preconditions, the headers, the body in the
//! best coding.
//!
//! [`crate::conditional`] decides the outcome, [`crate::cache_control`] what caches may do. Headers
//! common to all answers, such as `Vary`, are set in [`super::surround`].

use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use dashmap::DashMap;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LOCATION, CONTENT_TYPE, ETAG,
    HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};

use super::failure::Failure;
use super::negotiate::{self, MediaType};
use super::piece::in_one_piece;
use crate::cache_control::{NO_STORE, Policy};
use crate::conditional::{self, Outcome};
use crate::etag::{Coding, ResponseEtag, Variant};
use crate::graphql::Code;

/// Shorter bodies, in bytes, are not compressed: with their headers they fit into one packet either
/// way.
const SMALLEST_COMPRESSED: usize = 860;

/// Longer bodies, in bytes, are compressed on another thread than those that serve requests.
const LARGEST_COMPRESSED_INLINE: usize = 16 << 10;

/// Brotli's quality, 0 to 11. From 5 on the cost rises much faster than the gain.
const BROTLI_QUALITY: u32 = 5;

/// Brotli's window size, as the base-2 logarithm of bytes.
const BROTLI_WINDOW: u32 = 20;

/// Zstandard's level. At 140 KB it takes a fifteenth of brotli's time for about as many bytes;
/// higher levels gain one or two percent for twice the time.
const ZSTD_LEVEL: i32 = 3;

/// Longer URLs, in bytes, are left out of `Content-Location`: proxies and clients refuse response
/// heads of more than 4 to 16 KB.
const LONGEST_LOCATION: usize = 2048;

/// Tells browsers not to guess another type than the declared one.
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");

/// RFC 9213: CDNs that support it obey this header instead of `Cache-Control`.
const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Policies as header values. There are few of them, so answers share them.
#[derive(Default)]
pub(super) struct Policies(DashMap<Policy, Arc<Caching>>);

/// The headers of a [`Policy`].
pub(super) struct Caching {
    cache_control: HeaderValue,
    cdn_cache_control: Option<HeaderValue>,
}

impl Policies {
    pub(super) fn of(&self, policy: Policy) -> Arc<Caching> {
        if let Some(known) = self.0.get(&policy) {
            return known.clone();
        }
        let cdn_cache_control = policy.cdn_cache_control().map(header);
        let caching =
            Arc::new(Caching { cache_control: header(policy.cache_control()), cdn_cache_control });
        self.0.insert(policy, caching.clone());
        caching
    }

    /// The headers of an answer without a validator: it must not be stored.
    pub(super) fn none() -> Arc<Caching> {
        Caching::fixed(NO_STORE)
    }
}

impl Caching {
    /// The headers of something that has no model policy.
    pub(super) fn fixed(cache_control: &'static str) -> Arc<Self> {
        Arc::new(Self {
            cache_control: HeaderValue::from_static(cache_control),
            cdn_cache_control: None,
        })
    }
}

/// The media type of an answer, and the ETag variant that goes with it.
#[derive(Clone)]
pub(super) struct Form {
    pub(super) content_type: HeaderValue,
    pub(super) variant: Variant,
}

impl Form {
    /// The only media type at its URL.
    pub(super) const fn only(content_type: HeaderValue) -> Self {
        Self { content_type, variant: Variant::Plain }
    }
}

impl From<MediaType> for Form {
    fn from(media_type: MediaType) -> Self {
        let variant = match media_type {
            MediaType::Json => Variant::Plain,
            MediaType::GraphqlResponse => Variant::GraphqlResponse,
        };
        Self { content_type: media_type.header(), variant }
    }
}

/// The current state of a resource, as a 200 to GET shows it. Everything that can be precomputed
/// is: codings when the first client asks for them. The cache holds many of these, so their size is
/// counted in bytes.
pub(super) struct Representation {
    /// Without coding.
    body: Bytes,
    /// None if the answer has field errors.
    validator: Option<Validator>,
    caching: Arc<Caching>,
    /// The canonical URL.
    content_location: Option<HeaderValue>,
    coded: OnceLock<Box<Coded>>,
    /// Whether other viewers may get another answer.
    is_private: bool,
}

struct Validator {
    etag: ResponseEtag,
    /// The header value of the body without coding.
    tag: HeaderValue,
}

/// The body in other codings.
#[derive(Default)]
struct Coded {
    brotli: OnceLock<Bytes>,
    zstd: OnceLock<Bytes>,
    gzip: OnceLock<Bytes>,
    tags: [OnceLock<HeaderValue>; 3],
}

impl Coded {
    /// None for identity, which is the body itself.
    fn body(&self, coding: Coding) -> Option<&OnceLock<Bytes>> {
        match coding {
            Coding::Identity => None,
            Coding::Brotli => Some(&self.brotli),
            Coding::Zstd => Some(&self.zstd),
            Coding::Gzip => Some(&self.gzip),
        }
    }
}

impl Representation {
    /// From a body, its validator with what caches may do, and its canonical URL if it has one.
    pub(super) fn new(
        body: &[u8],
        etag: Option<(ResponseEtag, Arc<Caching>)>,
        content_location: Option<&str>,
    ) -> Self {
        // One allocation, because per-allocation overhead is a good part of what an answer costs
        // beyond its bytes.
        let tag = etag
            .as_ref()
            .map(|(etag, _)| etag.header(Variant::Plain, Coding::Identity))
            .unwrap_or_default();
        let content_location =
            content_location.filter(|location| location.len() <= LONGEST_LOCATION);
        let mut rest =
            in_one_piece(&[body, tag.as_bytes(), content_location.unwrap_or_default().as_bytes()]);
        let body = rest.split_to(body.len());
        let tag = rest.split_to(tag.len());
        let (validator, caching) = match etag {
            Some((etag, caching)) => (Some(Validator { etag, tag: shared(tag) }), caching),
            None => (None, Policies::none()),
        };
        let content_location = content_location.map(|_| shared(rest));
        Self {
            body,
            validator,
            caching,
            content_location,
            coded: OnceLock::new(),
            is_private: false,
        }
    }

    /// Marks the answer as valid for some viewers only.
    pub(super) fn for_viewers(self, is_private: bool) -> Self {
        Self { is_private, ..self }
    }

    /// Whether the answer depends on the viewer.
    pub(super) fn is_private(&self) -> bool {
        self.is_private
    }

    /// An upper bound of its size in bytes once it has been requested in all codings.
    pub(super) fn weight(&self) -> usize {
        let location = self.content_location.as_ref().map_or(0, HeaderValue::len);
        let codings = if self.body.len() < SMALLEST_COMPRESSED {
            0
        } else {
            self.body.len() * 3 / 4 + size_of::<Coded>() + 128
        };
        self.body.len() + location + codings + 128
    }

    /// The best coding for this client. Small bodies are not compressed, unless the client refuses
    /// identity. The decision depends on the length alone, so a 304 names the ETag of the 200
    /// without compressing anything.
    pub(super) fn coding(&self, request: &HeaderMap) -> Coding {
        if self.body.len() < SMALLEST_COMPRESSED && negotiate::takes_identity(request) {
            Coding::Identity
        } else {
            negotiate::coding(request)
        }
    }

    /// Whether this coding takes a while, because the body must be compressed first.
    pub(super) fn is_slow(&self, coding: Coding) -> bool {
        if self.body.len() <= LARGEST_COMPRESSED_INLINE {
            return false;
        }
        let made = self.coded.get().and_then(|coded| coded.body(coding)?.get());
        coding != Coding::Identity && made.is_none()
    }

    /// The body in this coding, compressed now if this is the first request for it.
    pub(super) fn coded(&self, coding: Coding) -> &Bytes {
        let make = match coding {
            Coding::Identity => return &self.body,
            Coding::Brotli => brotli,
            Coding::Zstd => zstd,
            Coding::Gzip => gzip,
        };
        let slot = self.codings().body(coding);
        slot.map_or(&self.body, |slot| slot.get_or_init(|| in_one_piece(&[&make(&self.body)])))
    }

    fn codings(&self) -> &Coded {
        self.coded.get_or_init(Box::default)
    }

    fn tag(&self, variant: Variant, coding: Coding) -> Option<HeaderValue> {
        let Validator { etag, tag } = self.validator.as_ref()?;
        if variant != Variant::Plain {
            return Some(header(etag.header(variant, coding)));
        }
        let coded = |at: usize| {
            self.codings().tags[at].get_or_init(|| header(etag.header(variant, coding)))
        };
        let tag = match coding {
            Coding::Identity => tag,
            Coding::Brotli => coded(0),
            Coding::Zstd => coded(1),
            Coding::Gzip => coded(2),
        };
        Some(tag.clone())
    }
}

/// A header value made of directives, digits, base64url and quotes.
fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("it is visible ASCII")
}

/// A header value that shares an allocation with other values.
fn shared(text: Bytes) -> HeaderValue {
    HeaderValue::from_maybe_shared(text).expect("it is visible ASCII")
}

/// Answers a GET or HEAD: 200, 304 or 412.
///
/// # Errors
/// `PRECONDITION_FAILED`.
pub(super) fn conditional(
    request: &HeaderMap,
    form: impl Into<Form>,
    representation: &Representation,
) -> Result<Response, Failure> {
    let Form { content_type, variant } = form.into();
    let lines = |name| request.get_all(name).iter().map(HeaderValue::as_bytes);
    let etag = representation.validator.as_ref().map(|validator| (&validator.etag, variant));
    let outcome = conditional::evaluate(lines(IF_MATCH), lines(IF_NONE_MATCH), etag);
    if outcome == Outcome::PreconditionFailed {
        return Err(Failure::new(
            Code::PreconditionFailed,
            "the answer is no longer the one that If-Match names",
        ));
    }

    let coding = representation.coding(request);
    let mut headers = HeaderMap::with_capacity(12);
    if let Some(tag) = representation.tag(variant, coding) {
        headers.insert(ETAG, tag);
    }
    let Caching { cache_control, cdn_cache_control } = &*representation.caching;
    headers.insert(CACHE_CONTROL, cache_control.clone());
    if let Some(value) = cdn_cache_control {
        headers.insert(CDN_CACHE_CONTROL, value.clone());
    }
    if let Some(location) = &representation.content_location {
        headers.insert(CONTENT_LOCATION, location.clone());
    }
    let (status, body) = if outcome == Outcome::NotModified {
        (StatusCode::NOT_MODIFIED, Body::new(NoContent))
    } else {
        headers.insert(CONTENT_TYPE, content_type);
        headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
        if let Some(name) = content_encoding(coding) {
            headers.insert(CONTENT_ENCODING, name);
        }
        (StatusCode::OK, Body::from(representation.coded(coding).clone()))
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Answers a POST: 200 with `no-store`. It has no `Content-Location`: clients usually POST because
/// the URL would be too long.
pub(super) fn unconditional(
    request: &HeaderMap,
    media_type: MediaType,
    representation: &Representation,
) -> Response {
    let coding = representation.coding(request);
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, media_type.header());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    if let Some(name) = content_encoding(coding) {
        headers.insert(CONTENT_ENCODING, name);
    }
    (headers, Body::from(representation.coded(coding).clone())).into_response()
}

fn content_encoding(coding: Coding) -> Option<HeaderValue> {
    match coding {
        Coding::Identity => None,
        Coding::Brotli => Some(HeaderValue::from_static("br")),
        Coding::Zstd => Some(HeaderValue::from_static("zstd")),
        Coding::Gzip => Some(HeaderValue::from_static("gzip")),
    }
}

fn brotli(body: &[u8]) -> Vec<u8> {
    let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, BROTLI_WINDOW);
    writer.write_all(body).expect("writing to memory does not fail");
    writer.into_inner()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(body, ZSTD_LEVEL).expect("writing to memory does not fail")
}

fn gzip(body: &[u8]) -> Vec<u8> {
    // The encoder writes neither time nor name into its header, so equal bodies give equal bytes.
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .expect("writing to memory does not fail")
}

/// The body of a 304: empty, of unknown length, because `Content-Length: 0` would say that the body
/// of the 200 is empty (RFC 9110 §8.6).
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
    fn codings_are_deterministic_and_decode_to_the_body() {
        use std::io::Read;
        let body: Vec<u8> = (0..5000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        assert_eq!(gzip(&body), gzip(&body));
        assert_eq!(brotli(&body), brotli(&body));
        assert_eq!(zstd(&body), zstd(&body));
        let (mut from_gzip, mut from_brotli) = (Vec::new(), Vec::new());
        flate2::read::GzDecoder::new(&gzip(&body)[..]).read_to_end(&mut from_gzip).unwrap();
        brotli::Decompressor::new(&brotli(&body)[..], 4096).read_to_end(&mut from_brotli).unwrap();
        assert!(from_gzip == body && from_brotli == body);
        assert!(zstd::bulk::decompress(&zstd(&body), body.len()).unwrap() == body);
    }

    #[test]
    fn small_bodies_are_not_compressed() {
        let coding = |length: usize, accepted: &'static str| {
            let request = [(http::header::ACCEPT_ENCODING, HeaderValue::from_static(accepted))]
                .into_iter()
                .collect();
            Representation::new(&vec![b' '; length], None, None).coding(&request)
        };
        assert_eq!(coding(SMALLEST_COMPRESSED - 1, "br"), Coding::Identity);
        assert_eq!(coding(SMALLEST_COMPRESSED, "br"), Coding::Brotli);
        assert_eq!(coding(10, "gzip, identity;q=0"), Coding::Gzip);
        assert_eq!(coding(10, "br, *;q=0"), Coding::Brotli);
        assert_eq!(coding(10, "br;q=1.0, gzip;q=0.5"), Coding::Identity);
    }
}
