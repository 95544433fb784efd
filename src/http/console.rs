//! Serves the console, GraphiQL's page with its assets, from the binary (`console/dist`, embedded
//! at compile time).
//!
//! It knows nothing of GraphQL: the page talks to `/graphql` and `/q` like any other client. Its
//! files are representations like answers, so preconditions and codings of both are handled in
//! [`super::respond`].

pub(super) mod closed;
pub(super) mod operations;

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{ACCEPT_ENCODING, CONTENT_SECURITY_POLICY, HeaderValue};
use http::{HeaderMap, StatusCode};
use rust_embed::RustEmbed;

use super::negotiate::MediaType;
use super::problem::Problem;
use super::respond::{self, Caching, Form, Representation};
use crate::etag::ResponseEtag;

/// The routes of the console: the page at `/`, `/graphiql` and `/graphiql/`, and its assets below
/// `/graphiql/`.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
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

async fn serve(path: &str, request: &HeaderMap) -> Response {
    let Some(File { representation, form, is_compressed }) = FILES.get(path) else {
        return Problem::new(StatusCode::NOT_FOUND, "the console has no such file").into_response();
    };
    let mut request = request.clone();
    if *is_compressed {
        request.remove(ACCEPT_ENCODING);
    }
    let request = &request;
    let coding = representation.coding(request);
    if representation.is_slow(coding) {
        // If the task fails, the file is compressed inline below.
        let _ =
            tokio::task::spawn_blocking(move || drop(representation.coded(coding).clone())).await;
    }
    match respond::conditional(request, form.clone(), representation) {
        Ok(mut response) => {
            response
                .headers_mut()
                .insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(CONTENT_SECURITY));
            response
        }
        Err(failure) => failure.into_response(MediaType::Json),
    }
}

/// The browser may load nothing from elsewhere, so a mistake in the bundle (or an answer that names
/// an image) sends nothing out. Monaco needs inline styles for its themes and draws some icons from
/// `data:` URLs; its workers are files of our own. Scripts get the header too, because a worker is
/// bound by the policy that was sent with its script.
const CONTENT_SECURITY: &str = "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; \
    style-src 'self' 'unsafe-inline'; font-src 'self'; img-src 'self' data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The build committed in `console/dist`.
#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/console/dist/"]
struct Dist;

/// Files by path within `console/dist`.
static FILES: LazyLock<HashMap<String, File>> = LazyLock::new(|| {
    Dist::iter()
        .filter_map(|path| Some((path.to_string(), File::new(&path, Dist::get(&path)?))))
        .collect()
});

struct File {
    representation: Representation,
    form: Form,
    /// False for fonts, which are compressed already.
    is_compressed: bool,
}

impl File {
    fn new(path: &str, file: rust_embed::EmbeddedFile) -> Self {
        // Vite names files in assets/ by their content, so the content of such a name never
        // changes.
        let hashed_name = path.starts_with("assets/");
        let caching = Caching::fixed(if hashed_name {
            "public, max-age=31536000, immutable"
        } else {
            "no-cache"
        });
        let mime = file.metadata.mimetype();
        let content_type = if mime.starts_with("text/") {
            format!("{mime}; charset=utf-8")
        } else {
            mime.to_owned()
        };
        let etag = ResponseEtag::of_content(&file.data);
        Self {
            representation: Representation::new(&file.data, Some((etag, caching)), None),
            is_compressed: mime == "font/woff2",
            form: Form::only(
                HeaderValue::try_from(content_type).expect("media types are visible ASCII"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use axum::body::Body;
    use bytes::Bytes;
    use http::header::{
        CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH,
        X_CONTENT_TYPE_OPTIONS,
    };
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
        html.split('"')
            .filter(|text| text.starts_with("/graphiql/assets/"))
            .map(str::to_owned)
            .collect()
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
            assert!(
                header(&response, CONTENT_SECURITY_POLICY)
                    .starts_with("default-src 'none'; script-src 'self';")
            );
            pages.push(body(response).await);
        }
        assert!(pages[0].starts_with(b"<!doctype html>"));
        assert!(pages.iter().all(|page| page == &pages[0]));
    }

    #[tokio::test]
    async fn assets_of_the_page_exist_and_are_immutable() {
        let assets = assets().await;
        assert!(
            assets.iter().any(|url| url.ends_with(".js"))
                && assets.iter().any(|url| url.ends_with(".css"))
        );
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
            assert!(
                assets || ["index.html", "THIRD-PARTY-LICENSES.txt"].contains(&path.as_str()),
                "{path}"
            );
            assert!(!path.ends_with(".map"), "{path}");
            assert_ne!(file.form.content_type, "application/octet-stream", "{path}");
        }
    }

    #[tokio::test]
    async fn each_coding_has_its_own_etag_and_the_same_content() {
        let url = assets().await.into_iter().find(|url| url.ends_with(".css")).unwrap();
        let identity = fetch(&url, &[]).await;
        let brotli = fetch(&url, &[(ACCEPT_ENCODING, "gzip, deflate, br")]).await;
        let gzip = fetch(&url, &[(ACCEPT_ENCODING, "GZIP, br;q=0.0")]).await;
        assert_eq!(header(&identity, CONTENT_ENCODING), "");
        assert_eq!(header(&brotli, CONTENT_ENCODING), "br");
        assert_eq!(header(&gzip, CONTENT_ENCODING), "gzip");
        let base = header(&identity, ETAG).trim_matches('"').to_owned();
        assert_eq!(base.len(), 22);
        assert_eq!(header(&brotli, ETAG), format!("\"{base}.br\""));
        assert_eq!(header(&gzip, ETAG), format!("\"{base}.gz\""));

        let plain = body(identity).await;
        let mut unpacked = Vec::new();
        brotli::Decompressor::new(&body(brotli).await[..], 4096)
            .read_to_end(&mut unpacked)
            .unwrap();
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
            // Tags modified by proxies, too: see `conditional.rs`.
            let proxied = etag.replace(".br\"", "-gzip\"");
            for known in [
                etag.to_owned(),
                format!("W/{etag}"),
                format!("\"o,t\" , {etag}"),
                "*".to_owned(),
                proxied,
            ] {
                let response = fetch(&path, &[accept(), (IF_NONE_MATCH, &known)]).await;
                assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
                for name in [ETAG, CACHE_CONTROL, CONTENT_SECURITY_POLICY] {
                    assert_eq!(header(&response, name.clone()), header(&full, name));
                }
                assert_eq!(header(&response, http::header::CONTENT_LENGTH), "");
                assert!(body(response).await.is_empty());
            }
            let two_lines = [accept(), (IF_NONE_MATCH, "\"other\""), (IF_NONE_MATCH, etag)];
            assert_eq!(fetch(&path, &two_lines).await.status(), StatusCode::NOT_MODIFIED);
            assert_eq!(
                fetch(&path, &[accept(), (IF_NONE_MATCH, "\"other\"")]).await.status(),
                StatusCode::OK
            );
            let other = fetch(&path, &[accept(), (IF_MATCH, "\"other\"")]).await;
            assert_eq!(other.status(), StatusCode::PRECONDITION_FAILED);
        }
    }

    #[tokio::test]
    async fn a_font_is_not_compressed_again() {
        let font = FILES.keys().find(|path| path.ends_with(".woff2")).unwrap();
        let answer = fetch(&format!("/graphiql/{font}"), &[(ACCEPT_ENCODING, "br, gzip")]).await;
        assert_eq!((answer.status().as_u16(), header(&answer, CONTENT_ENCODING)), (200, ""));
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
    async fn files_outside_the_build_are_not_found() {
        for path in [
            "/graphiql/assets/none.js",
            "/graphiql/assets/..%2findex.html",
            "/graphiql/..%2f..%2fCargo.toml",
        ] {
            let response = fetch(path, &[]).await;
            assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
            assert_eq!(header(&response, CACHE_CONTROL), "no-store");
            assert_eq!(header(&response, CONTENT_TYPE), "application/problem+json");
        }
        assert_eq!(
            ask(Method::POST, "/graphiql", &[]).await.status(),
            StatusCode::METHOD_NOT_ALLOWED
        );
    }
}
