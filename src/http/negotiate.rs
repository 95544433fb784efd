//! Content negotiation: the media type by `Accept`, the content coding by `Accept-Encoding` (RFC
//! 9110 §12.5).
//!
//! It looks at headers only; which bodies are worth compressing is decided in [`super::respond`].

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName, HeaderValue};
use http::request::Parts;

use super::problem::Problem;
use crate::etag::Coding;

/// The two media types of GraphQL over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`.
    GraphqlResponse,
    /// `application/json`.
    Json,
}

impl MediaType {
    /// The value of `Content-Type`.
    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for MediaType {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        media_type(&parts.headers).ok_or_else(Problem::not_acceptable)
    }
}

/// A weight in thousandths, since it has at most three decimals (RFC 9110 §12.4.2).
type Quality = u16;

/// How good a match is: exact names beat `application/*`, which beats `*/*` (RFC 9110 §12.5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Specificity {
    Nothing,
    Everything,
    Application,
    Exact,
}

/// The better of the two media types that the client accepts, or None for a 406.
///
/// A client that names `application/graphql-response+json` gets it, unless it has a lower weight
/// than `application/json`. Wildcards and a missing header get the older type, which every client
/// reads.
pub(super) fn media_type(headers: &HeaderMap) -> Option<MediaType> {
    let mut graphql = (Specificity::Nothing, 0);
    let mut json = (Specificity::Nothing, 0);
    let mut asked = false;
    for item in items(headers, ACCEPT) {
        asked = true;
        let (range, quality) = weighted(item);
        let specificity = match range.to_ascii_lowercase().as_str() {
            "application/graphql-response+json" => {
                graphql = graphql.max((Specificity::Exact, quality));
                continue;
            }
            "application/json" => {
                json = json.max((Specificity::Exact, quality));
                continue;
            }
            "application/*" => Specificity::Application,
            "*/*" => Specificity::Everything,
            _ => continue,
        };
        graphql = graphql.max((specificity, quality));
        json = json.max((specificity, quality));
    }
    if !asked {
        return Some(MediaType::Json);
    }
    match (graphql, json) {
        ((_, 0), (_, 0)) => None,
        ((Specificity::Exact, g), (_, j)) if g >= j => Some(MediaType::GraphqlResponse),
        ((_, g), (_, j)) if g > j => Some(MediaType::GraphqlResponse),
        _ => Some(MediaType::Json),
    }
}

/// Whether the client accepts a body without coding: always, unless it says otherwise (RFC 9110
/// §12.5.3).
pub(super) fn takes_identity(headers: &HeaderMap) -> bool {
    let mut rest = None;
    for item in items(headers, ACCEPT_ENCODING).filter(|item| item.contains(';')) {
        match weighted(item) {
            (name, quality) if name.eq_ignore_ascii_case("identity") => return quality > 0,
            ("*", quality) => rest = Some(quality),
            _ => {}
        }
    }
    // `*` covers identity only if identity has no weight of its own.
    rest != Some(0)
        || items(headers, ACCEPT_ENCODING).any(|item| item.eq_ignore_ascii_case("identity"))
}

/// The media type of an answer that is sent whatever the client accepts.
pub(super) fn media_type_or_json(headers: &HeaderMap) -> MediaType {
    media_type(headers).unwrap_or(MediaType::Json)
}

/// The client's preferred coding. With equal weights the cheapest wins, since its result is hardly
/// longer: zstd, then br, then gzip. Identity is for clients that accept nothing else or say that
/// they prefer it.
pub(super) fn coding(headers: &HeaderMap) -> Coding {
    let (mut zstd, mut brotli, mut gzip, mut identity, mut rest) = (None, None, None, None, None);
    for item in items(headers, ACCEPT_ENCODING) {
        let (name, quality) = weighted(item);
        let slot = match name.to_ascii_lowercase().as_str() {
            "zstd" => &mut zstd,
            "br" => &mut brotli,
            "gzip" | "x-gzip" => &mut gzip,
            "identity" => &mut identity,
            "*" => &mut rest,
            _ => continue,
        };
        *slot = Some(slot.map_or(quality, |q: Quality| q.max(quality)));
    }
    let wildcard = rest.unwrap_or(0);
    let best = [
        (zstd.unwrap_or(wildcard), Coding::Zstd),
        (brotli.unwrap_or(wildcard), Coding::Brotli),
        (gzip.unwrap_or(wildcard), Coding::Gzip),
        (identity.unwrap_or(0), Coding::Identity),
    ]
    .into_iter()
    // `max_by_key` returns the last of equal elements, so the order of preference above is
    // reversed.
    .rev()
    .max_by_key(|(quality, _)| *quality);
    match best {
        // If nothing is acceptable, an answer without coding is still better than none (RFC 9110
        // §12.5.3).
        Some((0, _)) | None => Coding::Identity,
        Some((_, coding)) => coding,
    }
}

/// The elements of a list header, over all its lines. Commas inside quoted strings do not separate.
fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| {
            let mut quoted = false;
            line.split(move |c| {
                quoted ^= c == '"';
                c == ',' && !quoted
            })
        })
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

/// Splits `name;parameter=…;q=0.5`. A malformed weight counts as absent, that is, as 1.
fn weighted(item: &str) -> (&str, Quality) {
    let mut parts = item.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let quality = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        if key.trim().eq_ignore_ascii_case("q") { value.trim().parse::<f32>().ok() } else { None }
    });
    let quality = quality.filter(|q| (0.0..=1.0).contains(q)).unwrap_or(1.0);
    (name, (quality * 1000.0).round() as Quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    fn accept(lines: &[&str]) -> Option<MediaType> {
        media_type(&headers(ACCEPT, lines))
    }

    fn encode(lines: &[&str]) -> Coding {
        coding(&headers(ACCEPT_ENCODING, lines))
    }

    #[test]
    fn the_graphql_media_type_is_used_if_accepted() {
        let graphql = Some(MediaType::GraphqlResponse);
        assert_eq!(accept(&["application/graphql-response+json"]), graphql);
        assert_eq!(accept(&["application/json, application/graphql-response+json"]), graphql);
        assert_eq!(
            accept(&["application/json;q=0.9", "Application/GraphQL-Response+JSON; charset=utf-8"]),
            graphql
        );
        assert_eq!(accept(&["application/graphql-response+json, */*"]), graphql);
        assert_eq!(accept(&["application/json;q=0.2, */*;q=0.8"]), graphql);
    }

    #[test]
    fn wildcards_and_a_missing_accept_get_plain_json() {
        let json = Some(MediaType::Json);
        assert_eq!(accept(&[]), json);
        assert_eq!(accept(&[""]), json);
        assert_eq!(accept(&["*/*"]), json);
        assert_eq!(accept(&["application/*"]), json);
        assert_eq!(
            accept(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"]),
            json
        );
        assert_eq!(accept(&["application/json, */*"]), json);
        assert_eq!(accept(&["application/graphql-response+json;q=0.5, application/json"]), json);
        assert_eq!(accept(&["application/graphql-response+json;q=0, */*"]), json);
    }

    #[test]
    fn a_client_that_accepts_neither_gets_406() {
        assert_eq!(accept(&["text/html"]), None);
        assert_eq!(accept(&["application/json;q=0"]), None);
        assert_eq!(accept(&["image/*;x=\"application/json,application/json\""]), None);
    }

    #[test]
    fn the_coding_is_chosen_by_weight_then_by_cost() {
        assert_eq!(encode(&["gzip, deflate, br, zstd"]), Coding::Zstd);
        assert_eq!(encode(&["gzip, deflate, br"]), Coding::Brotli);
        assert_eq!(encode(&["gzip", "br"]), Coding::Brotli);
        assert_eq!(encode(&["gzip, deflate"]), Coding::Gzip);
        assert_eq!(encode(&["X-GZIP"]), Coding::Gzip);
        assert_eq!(encode(&["br;q=0.5, gzip;q=0.8"]), Coding::Gzip);
        assert_eq!(encode(&["zstd;q=0.9, br"]), Coding::Brotli);
        assert_eq!(encode(&["*"]), Coding::Zstd);
        assert_eq!(encode(&["br;q=0, zstd;q=0, *"]), Coding::Gzip);
    }

    #[test]
    fn identity_is_refused_only_if_explicitly_excluded() {
        let takes = |text| takes_identity(&headers(ACCEPT_ENCODING, &[text]));
        for text in [
            "",
            "gzip",
            "gzip;q=1.0",
            "identity",
            "identity;q=0.1, *;q=0",
            "*;q=0, identity",
            "*;q=0.5",
        ] {
            assert!(takes(text), "{text}");
        }
        for text in ["identity;q=0", "gzip, Identity; q=0.000", "gzip, *;q=0"] {
            assert!(!takes(text), "{text}");
        }
    }

    #[test]
    fn identity_is_the_default_coding() {
        assert_eq!(encode(&[]), Coding::Identity);
        assert_eq!(encode(&["deflate"]), Coding::Identity);
        assert_eq!(encode(&["gzip;q=0"]), Coding::Identity);
        assert_eq!(encode(&["identity, gzip;q=0.5"]), Coding::Identity);
        assert_eq!(encode(&["identity;q=0, *;q=0"]), Coding::Identity);
        assert_eq!(encode(&["identity;q=0.5, gzip;q=0.5"]), Coding::Gzip);
    }
}
