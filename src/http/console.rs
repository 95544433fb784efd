//! Serves the console, GraphiQL's page with its assets, from the binary (`console/dist`, embedded at compile time).
//!
//! Knows nothing of GraphQL: the page talks to `/graphql` like any other client. Representations are static, so each has
//! a strong ETag derived from its content (RFC 9110 §8.8.3), one per content coding.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::Frame;
use rust_embed::RustEmbed;
use tokio::sync::OnceCell;

/// The routes of the console: the page at `/`, `/graphiql` and `/graphiql/`, and what it loads below `/graphiql/`.
pub fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/", get(page))
        .route("/graphiql", get(page))
        .route("/graphiql/", get(page))
        .route("/graphiql/{*path}", get(file))
}

async fn page(headers: HeaderMap) -> Response {
    serve("index.html", &headers).await
}

async fn file(Path(path): Path<String>, headers: HeaderMap) -> Response {
    serve(&path, &headers).await
}

/// Finds the file, chooses the coding, then decides between 304 and 200.
async fn serve(path: &str, request: &HeaderMap) -> Response {
    let Some(file) = FILES.get(path) else {
        return not_found();
    };
    let (coding, bytes) = file.represent(accepted_coding(request)).await;
    let etag = file.etag(coding);
    let headers = [
        (ETAG, etag.as_str()),
        (CACHE_CONTROL, file.cache_control),
        (VARY, "accept-encoding"),
        (CONTENT_SECURITY_POLICY, CONTENT_SECURITY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if none_match_fails(request, &etag) {
        return (StatusCode::NOT_MODIFIED, headers, Body::new(Nothing)).into_response();
    }
    let mut response = (headers, [(CONTENT_TYPE, file.content_type.as_str())], bytes).into_response();
    if let Some(name) = coding.name() {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// The browser is told to fetch nothing from elsewhere, so that a mistake in the bundle (or an answer that names an image)
/// sends nothing out. Monaco needs inline styles for its themes and draws some icons from `data:` URLs; its workers are
/// files of our own. Sent with scripts too, because a worker is bound by the policy that came with its script.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The build that is committed in `console/dist`.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/console/dist/"]
struct Dist;

/// By path within `console/dist`.
static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    Dist::iter().filter_map(|path| Some((path.to_string(), File::new(&path, Dist::get(&path)?)))).collect()
});

/// One embedded file and the codings in which it was asked for so far.
struct File {
    identity: Bytes,
    brotli: OnceCell<Bytes>,
    gzip: OnceCell<Bytes>,
    content_type: String,
    cache_control: &'static str,
    /// The ETag without quotes and coding suffix: the first 128 bits of the content's SHA-256, in hex.
    etag_base: String,
}

/// Smaller files gain nothing: they fit in one packet with their headers.
const WORTH_COMPRESSING: usize = 1024;

impl File {
    fn new(path: &str, file: rust_embed::EmbeddedFile) -> Self {
        // Vite names what it puts in assets/ after its content, so such a name never gets another content.
        let hashed_name = path.starts_with("assets/");
        let mime = file.metadata.mimetype();
        let text = mime.starts_with("text/");
        Self {
            identity: file.data.into_owned().into(),
            brotli: OnceCell::new(),
            gzip: OnceCell::new(),
            content_type: if text { format!("{mime}; charset=utf-8") } else { mime.to_owned() },
            cache_control: if hashed_name { "public, max-age=31536000, immutable" } else { "no-cache" },
            etag_base: hex::encode(&file.metadata.sha256_hash()[..16]),
        }
    }

    /// The bytes in the wanted coding, and the coding that they are in: identity where compression would be in vain.
    /// Compresses at first use, off the async threads, once however many ask at the same time.
    async fn represent(&'static self, wanted: Coding) -> (Coding, Bytes) {
        // woff2 is compressed already.
        if self.identity.len() < WORTH_COMPRESSING || self.content_type == "font/woff2" {
            return (Coding::Identity, self.identity.clone());
        }
        let cell = match wanted {
            Coding::Identity => return (Coding::Identity, self.identity.clone()),
            Coding::Brotli => &self.brotli,
            Coding::Gzip => &self.gzip,
        };
        let compress = || async { tokio::task::spawn_blocking(move || wanted.encode(&self.identity)).await };
        match cell.get_or_try_init(compress).await {
            Ok(bytes) => (wanted, bytes.clone()),
            // Only while the runtime shuts down.
            Err(_) => (Coding::Identity, self.identity.clone()),
        }
    }

    fn etag(&self, coding: Coding) -> String {
        format!("\"{}{}\"", self.etag_base, coding.etag_suffix())
    }
}

/// A content coding (RFC 9110 §8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Brotli,
    Gzip,
}

impl Coding {
    /// As `Content-Encoding` has it; identity is not named there.
    fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Brotli => Some("br"),
            Self::Gzip => Some("gzip"),
        }
    }

    fn etag_suffix(self) -> &'static str {
        match self {
            Self::Identity => "",
            Self::Brotli => ".br",
            Self::Gzip => ".gz",
        }
    }

    /// Quality 5 and 6: somebody waits for the first answer.
    fn encode(self, bytes: &Bytes) -> Bytes {
        const WRITES_TO_MEMORY: &str = "writing to memory does not fail";
        match self {
            Self::Identity => bytes.clone(),
            Self::Brotli => {
                let mut writer = brotli::CompressorWriter::new(Vec::new(), 64 * 1024, 5, 22);
                writer.write_all(bytes).expect(WRITES_TO_MEMORY);
                writer.into_inner().into()
            }
            Self::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                writer.write_all(bytes).expect(WRITES_TO_MEMORY);
                writer.finish().expect(WRITES_TO_MEMORY).into()
            }
        }
    }
}

/// The best coding that `Accept-Encoding` names with a weight above zero (RFC 9110 §12.5.3). Every browser says `br` or
/// `gzip` outright, so finer weights and `*` are not looked at: identity is never wrong.
fn accepted_coding(request: &HeaderMap) -> Coding {
    let accepts = |coding: &str| {
        elements(request, ACCEPT_ENCODING).any(|element| {
            let (name, weight) = element.split_once(';').unwrap_or((element, ""));
            let refused = weight.trim().strip_prefix("q=").is_some_and(|q| q.trim().parse() == Ok(0.0));
            name.trim().eq_ignore_ascii_case(coding) && !refused
        })
    };
    if accepts("br") {
        Coding::Brotli
    } else if accepts("gzip") {
        Coding::Gzip
    } else {
        Coding::Identity
    }
}

/// Whether If-None-Match names the current ETag (weak comparison, RFC 9110 §13.1.2) or is `*`. Our tags hold no commas.
fn none_match_fails(request: &HeaderMap, etag: &str) -> bool {
    elements(request, IF_NONE_MATCH).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// The elements of a list header, over all its lines.
fn elements(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    headers.get_all(name).iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(',').map(str::trim))
}

fn not_found() -> Response {
    let headers = [(CONTENT_TYPE, "application/problem+json"), (CACHE_CONTROL, "no-store"), (VARY, "accept-encoding")];
    let body = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"the console has no such file"}"#;
    (StatusCode::NOT_FOUND, headers, body).into_response()
}

/// The body of a 304. It is empty but does not say so in advance: axum would turn a known length of zero into
/// `Content-Length: 0`, which some caches take for the length of what they stored.
struct Nothing;

impl http_body::Body for Nothing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use http::{Method, Request};
    use tower::ServiceExt;

    use super::*;

    async fn ask(method: Method, path: &str, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        router::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn fetch(path: &str, headers: &[(HeaderName, &str)]) -> Response {
        ask(Method::GET, path, headers).await
    }

    async fn body(response: Response) -> Bytes {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap()
    }

    fn header(response: &Response, name: HeaderName) -> &str {
        response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// The URLs in the page.
    async fn assets() -> Vec<String> {
        let html = String::from_utf8(body(fetch("/graphiql", &[]).await).await.to_vec()).unwrap();
        html.split('"').filter(|text| text.starts_with("/graphiql/assets/")).map(str::to_owned).collect()
    }

    #[tokio::test]
    async fn the_page_is_the_same_at_its_three_addresses() {
        let mut pages = Vec::new();
        for path in ["/", "/graphiql", "/graphiql/"] {
            let response = fetch(path, &[]).await;
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(header(&response, CONTENT_TYPE), "text/html; charset=utf-8");
            assert_eq!(header(&response, CACHE_CONTROL), "no-cache");
            assert_eq!(header(&response, X_CONTENT_TYPE_OPTIONS), "nosniff");
            assert!(header(&response, CONTENT_SECURITY_POLICY).starts_with("default-src 'none'; script-src 'self';"));
            pages.push(body(response).await);
        }
        assert!(pages[0].starts_with(b"<!doctype html>"));
        assert!(pages.iter().all(|page| page == &pages[0]));
    }

    #[tokio::test]
    async fn what_the_page_loads_is_there_and_never_changes() {
        let assets = assets().await;
        assert!(assets.iter().any(|url| url.ends_with(".js")) && assets.iter().any(|url| url.ends_with(".css")));
        for url in assets {
            let response = fetch(&url, &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{url}");
            assert_eq!(header(&response, CACHE_CONTROL), "public, max-age=31536000, immutable");
            assert_eq!(header(&response, X_CONTENT_TYPE_OPTIONS), "nosniff");
            let expected = match url.rsplit('.').next() {
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                _ => "image/svg+xml",
            };
            assert_eq!(header(&response, CONTENT_TYPE), expected, "{url}");
        }
    }

    #[test]
    fn the_build_names_no_other_kind_of_file_and_has_no_source_maps() {
        for (path, file) in FILES.iter() {
            let assets = path.starts_with("assets/");
            assert!(assets || ["index.html", "THIRD-PARTY-LICENSES.txt"].contains(&path.as_str()), "{path}");
            assert!(!path.ends_with(".map"), "{path}");
            assert_ne!(file.content_type, "application/octet-stream", "{path}");
        }
    }

    #[tokio::test]
    async fn each_coding_has_its_own_etag_and_the_same_content() {
        let url = assets().await.into_iter().find(|url| url.ends_with(".css")).unwrap();
        let identity = fetch(&url, &[]).await;
        let brotli = fetch(&url, &[(ACCEPT_ENCODING, "gzip, deflate, br, zstd")]).await;
        let gzip = fetch(&url, &[(ACCEPT_ENCODING, "GZIP, br;q=0.0")]).await;
        assert_eq!(header(&identity, CONTENT_ENCODING), "");
        assert_eq!(header(&brotli, CONTENT_ENCODING), "br");
        assert_eq!(header(&gzip, CONTENT_ENCODING), "gzip");
        for response in [&identity, &brotli, &gzip] {
            assert_eq!(header(response, VARY), "accept-encoding");
        }
        let base = header(&identity, ETAG).trim_matches('"').to_owned();
        assert_eq!(base.len(), 32);
        assert_eq!(header(&brotli, ETAG), format!("\"{base}.br\""));
        assert_eq!(header(&gzip, ETAG), format!("\"{base}.gz\""));

        let plain = body(identity).await;
        let mut unpacked = Vec::new();
        brotli::Decompressor::new(&body(brotli).await[..], 4096).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
        unpacked.clear();
        flate2::read::GzDecoder::new(&body(gzip).await[..]).read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked, plain);
    }

    #[tokio::test]
    async fn a_known_etag_returns_304_with_the_headers_of_the_200() {
        let accept = || (ACCEPT_ENCODING, "br");
        for path in ["/graphiql".to_owned(), assets().await.remove(0)] {
            let full = fetch(&path, &[accept()]).await;
            let etag = header(&full, ETAG);
            for known in [etag.to_owned(), format!("W/{etag}"), format!("\"other\" , {etag}"), "*".to_owned()] {
                let response = fetch(&path, &[accept(), (IF_NONE_MATCH, &known)]).await;
                assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
                for name in [ETAG, CACHE_CONTROL, VARY, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS] {
                    assert_eq!(header(&response, name.clone()), header(&full, name));
                }
                assert_eq!(header(&response, http::header::CONTENT_LENGTH), "");
                assert!(body(response).await.is_empty());
            }
            let two_lines = [accept(), (IF_NONE_MATCH, "\"other\""), (IF_NONE_MATCH, etag)];
            assert_eq!(fetch(&path, &two_lines).await.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(fetch(&path, &[accept(), (IF_NONE_MATCH, "\"other\"")]).await.status(), StatusCode::OK);
        }
    }

    #[tokio::test]
    async fn head_has_the_headers_of_get_and_no_body() {
        let get = fetch("/graphiql", &[]).await;
        let head = ask(Method::HEAD, "/graphiql", &[]).await;
        assert_eq!(head.headers(), get.headers());
        assert_ne!(header(&head, http::header::CONTENT_LENGTH), "");
        assert!(body(head).await.is_empty());
    }

    #[tokio::test]
    async fn what_is_not_in_the_build_is_not_found() {
        for path in ["/graphiql/assets/none.js", "/graphiql/assets/..%2findex.html", "/graphiql/..%2f..%2fCargo.toml"] {
            let response = fetch(path, &[]).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(header(&response, CACHE_CONTROL), "no-store");
            assert_eq!(header(&response, CONTENT_TYPE), "application/problem+json");
        }
        assert_eq!(ask(Method::POST, "/graphiql", &[]).await.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
}
