//! The parameters of a GraphQL-over-HTTP request, from a query string or a JSON body. Both are
//! parsed strictly: a parameter of the wrong type is a 400; unknown parameters are ignored.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http_body_util::LengthLimitError;
use percent_encoding::percent_decode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::json;
use super::problem::Problem;
use crate::config::Limits;
use crate::graphql::Code;

/// The parameters of a request. A document id has several names, one for each kind of client (see
/// `clients.md`).
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Parameters {
    /// The document's text.
    pub(super) query: Option<String>,
    pub(super) operation_name: Option<String>,
    /// Not coerced yet; see [`json::object`].
    #[serde(default, deserialize_with = "json::object")]
    pub(super) variables: Option<Map<String, Value>>,
    /// For instance APQ's `persistedQuery`.
    pub(super) extensions: Option<Map<String, Value>>,
    /// The document id under the persisted-documents draft's name.
    pub(super) document_id: Option<String>,
    /// The document id under Relay's name.
    #[serde(rename = "doc_id")]
    pub(super) doc_id: Option<String>,
    /// The document id under other clients' name.
    pub(super) id: Option<String>,
}

impl Parameters {
    /// Parses a URL's query string (`application/x-www-form-urlencoded`, as browsers'
    /// `URLSearchParams` writes it).
    ///
    /// # Errors
    /// `BAD_REQUEST`: a value is malformed, or a known parameter is given twice.
    pub(super) fn from_query(query: Option<&str>) -> Result<Self, Failure> {
        let mut parameters = Self::default();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name)?;
            match name.as_str() {
                "query" => set(&mut parameters.query, &name, decode(value)?)?,
                "operationName" => set(&mut parameters.operation_name, &name, decode(value)?)?,
                "variables" => {
                    set(&mut parameters.variables, &name, object(&name, &decode(value)?)?)?
                }
                "extensions" => {
                    set(&mut parameters.extensions, &name, object(&name, &decode(value)?)?)?
                }
                "documentId" => set(&mut parameters.document_id, &name, decode(value)?)?,
                "doc_id" => set(&mut parameters.doc_id, &name, decode(value)?)?,
                "id" => set(&mut parameters.id, &name, decode(value)?)?,
                _ => {}
            }
        }
        Ok(parameters)
    }

    /// Parses the body of a POST.
    ///
    /// # Errors
    /// 415, 413, or `BAD_REQUEST`.
    pub(super) async fn from_body(head: &Parts, body: Body) -> Result<Self, Failure> {
        if !is_json(head) {
            let detail = "the body of a POST must be application/json; charset=utf-8";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).into());
        }
        let body = read_body(head, body).await?;
        // serde also reads structs from arrays by position, which would accept a batch of one.
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => parse(&body)
                .map_err(|error| bad(format!("the body is not a GraphQL request: {error}"))),
            Some(b'[') => Err(bad("requests in batches are not supported; send one JSON object")),
            _ => Err(bad("the body is not a JSON object")),
        }
    }

    /// The name of the operation; an empty name counts as absent.
    pub(super) fn operation_name(&self) -> Option<&str> {
        self.operation_name.as_deref().filter(|name| !name.is_empty())
    }
}

/// The maximum length of a body, before and after decoding, and the maximum time to receive it.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    bytes: usize,
    time: Duration,
}

impl BodyLimits {
    /// The limits of the configuration. The body's time is shorter than the request's, so that a
    /// slow body is reported as such.
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            bytes: limits.max_body_bytes,
            time: limits.body_timeout.min(limits.timeout * 9 / 10),
        }
    }
}

/// The whole body, decoded.
///
/// # Errors
/// Those of [`receive`], and 415 or 400 if it cannot be decoded.
pub(super) async fn read_body(head: &Parts, body: Body) -> Result<Bytes, Problem> {
    let most = limits_of(head).bytes;
    let codings = head.headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let codings: Vec<_> =
        codings.filter(|coding| !coding.eq_ignore_ascii_case(b"identity")).collect();
    let is_gzip = match codings[..] {
        [] => false,
        [coding]
            if coding.eq_ignore_ascii_case(b"gzip") || coding.eq_ignore_ascii_case(b"x-gzip") =>
        {
            true
        }
        _ => return Err(Problem::unknown_coding()),
    };
    let body = receive(head, body).await?;
    if !is_gzip {
        return Ok(body);
    }
    let decoded = tokio::task::spawn_blocking(move || {
        let mut decoded = Vec::new();
        let mut decoder = MultiGzDecoder::new(&body[..]).take(most as u64 + 1);
        decoder.read_to_end(&mut decoded).map(|_| decoded)
    });
    match decoded.await {
        Ok(Ok(decoded)) if decoded.len() > most => Err(too_long()),
        Ok(Ok(decoded)) => Ok(decoded.into()),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the body is not gzip, though Content-Encoding says so",
        )),
    }
}

/// The whole body, as received.
///
/// # Errors
/// 413, 408, or 400 if the client disconnected.
pub(super) async fn receive(head: &Parts, body: Body) -> Result<Bytes, Problem> {
    let BodyLimits { bytes, time } = limits_of(head);
    // A body that is announced as too long need not be sent.
    if body.size_hint().lower() > bytes as u64 {
        return Err(too_long());
    }
    match tokio::time::timeout(time, axum::body::to_bytes(body, bytes)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) if is_length_limit(&error) => Err(too_long()),
        Ok(Err(_)) => Err(Problem::new(StatusCode::BAD_REQUEST, "the body could not be read")),
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", time.as_secs_f32());
            Err(Problem::new(StatusCode::REQUEST_TIMEOUT, detail))
        }
    }
}

fn limits_of(head: &Parts) -> BodyLimits {
    head.extensions.get().copied().unwrap_or_else(|| BodyLimits::new(&Limits::default()))
}

fn too_long() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "the body is too long")
}

fn is_length_limit(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.is::<LengthLimitError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// JSON is always UTF-8 (RFC 8259 §8.1), so a client that declares another charset sends something
/// else.
fn is_json(head: &Parts) -> bool {
    let Some(text) = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let mut parts = text.split(';').map(str::trim);
    let is_json =
        parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| {
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

fn decode(text: &str) -> Result<String, Failure> {
    let spaces = text.replace('+', " ");
    let decoded = percent_decode(spaces.as_bytes()).decode_utf8();
    Ok(decoded.map_err(|_| bad("the query string is not UTF-8"))?.into_owned())
}

/// A JSON object; `null` and the empty string count as an empty object.
fn object(name: &str, text: &str) -> Result<Map<String, Value>, Failure> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let object = json::object(&mut json).and_then(|object| json.end().map(|()| object));
    Ok(object
        .map_err(|error| bad(format!("`{name}` is not a JSON object: {error}")))?
        .unwrap_or_default())
}

fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, serde_json::Error> {
    serde_json::from_slice(json)
}

fn set<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Failure> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(bad(format!("`{name}` is given twice"))),
    }
}

fn bad(message: impl Into<String>) -> Failure {
    Failure::new(Code::BadRequest, message)
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;

    use super::*;

    fn message(failure: Failure) -> String {
        match failure {
            Failure::Graphql(status, errors) => {
                format!("{} {}", status.as_u16(), errors[0].message)
            }
            other => format!("{other:?}"),
        }
    }

    async fn body(content_type: &str, body: &'static str) -> Result<Parameters, Failure> {
        let request =
            Request::builder().header(CONTENT_TYPE, content_type).body(Body::from(body)).unwrap();
        let (head, body) = request.into_parts();
        Parameters::from_body(&head, body).await
    }

    #[test]
    fn a_query_string_is_decoded() {
        let text =
            "variables=%7B%22id%22%3A+%2242%22%7D&utm_source=a&utm_source=b&documentId=sha256%3Aab";
        let parameters = Parameters::from_query(Some(text)).unwrap();
        assert_eq!(parameters.variables.unwrap()["id"], "42");
        assert_eq!(parameters.document_id.unwrap(), "sha256:ab");
        assert!(parameters.query.is_none());
    }

    #[test]
    fn a_query_string_that_cannot_be_read_is_a_bad_request() {
        for text in [
            "variables=[]",
            "variables=%22a%22",
            "variables={",
            "id=%FF",
            "id=a&id=a",
            "extensions=1",
        ] {
            assert!(
                message(Parameters::from_query(Some(text)).unwrap_err()).starts_with("400 "),
                "{text}"
            );
        }
    }

    #[test]
    fn null_and_empty_variables_are_no_variables() {
        for text in ["variables=", "variables=null", ""] {
            assert!(
                Parameters::from_query(Some(text))
                    .unwrap()
                    .variables
                    .unwrap_or_default()
                    .is_empty(),
                "{text}"
            );
        }
    }

    #[tokio::test]
    async fn a_body_is_one_json_object() {
        let good = body(
            "Application/JSON; charset=\"UTF-8\"",
            r#" {"query":"{a}","operationName":null,"x":1}"#,
        )
        .await;
        assert_eq!(good.unwrap().query.unwrap(), "{a}");
        for text in [
            "",
            "[]",
            "[null]",
            "1",
            "{",
            r#"{"query":1}"#,
            r#"{"variables":"a"}"#,
            r#"{"extensions":[]}"#,
        ] {
            let failure = body("application/json", text).await.unwrap_err();
            assert!(message(failure).starts_with("400 "), "{text}");
        }
    }

    #[tokio::test]
    async fn other_media_types_are_refused() {
        for content_type in
            ["text/plain", "application/graphql", "application/json; charset=latin1"]
        {
            assert!(
                message(body(content_type, "{}").await.unwrap_err()).contains("415"),
                "{content_type}"
            );
        }
    }
}
