//! What surrounds every handler, and the URLs beside the API.

use freshql::config::{CorsOrigins, Mode};
use http::Method;
use http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONTENT_TYPE,
    HeaderName, IF_NONE_MATCH, ORIGIN, VARY,
};

use crate::harness::{MERCHANTS, TestApp, url};

#[tokio::test]
async fn every_response_says_who_may_store_it() {
    let app = TestApp::start(Mode::Open).await;
    let paths = ["/", "/graphiql", "/healthz", "/readyz", "/schema.graphql", "/q", "/q/x", "/graphql", "/nothing"];
    for path in paths {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::OPTIONS] {
            let answer = app.ask(method.clone(), path, &[]).await;
            assert!(answer.headers.contains_key(CACHE_CONTROL), "{method} {path}");
            assert_eq!(answer.headers.get_all(VARY).iter().count(), 1, "{method} {path}");
            if answer.status.is_client_error() {
                assert_eq!(answer.header(CACHE_CONTROL), "no-store", "{method} {path}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let app = TestApp::start(Mode::Trusted).await;
    for path in ["/nothing", "/", "/graphiql", "/q/", "/q/a/b/c"] {
        app.get(path).await.assert_problem(404);
    }
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let app = TestApp::start(Mode::Trusted).await;
    for (path, allowed) in [
        (url(MERCHANTS), "GET,HEAD,POST,PUT,DELETE"),
        (format!("{}/Merchants", url(MERCHANTS)), "GET,HEAD,POST"),
        ("/q".to_owned(), "GET,HEAD"),
        ("/graphql".to_owned(), "GET,HEAD,POST"),
        ("/healthz".to_owned(), "GET,HEAD"),
    ] {
        let answer = app.ask(Method::PATCH, &path, &[]).await;
        answer.assert_problem(405);
        let mut allow: Vec<_> = answer.header(ALLOW).split(',').map(str::trim).collect();
        let mut allowed: Vec<_> = allowed.split(',').collect();
        allow.sort_unstable();
        allowed.sort_unstable();
        assert_eq!(allow, allowed, "{path}");
    }
}

#[tokio::test]
async fn a_url_has_a_length() {
    let app = TestApp::start_with(Mode::Trusted, |config| config.limits.max_url_bytes = 1000).await;
    assert_eq!(app.get(&format!("{}?x={}", url(MERCHANTS), "x".repeat(900))).await.status, 200);
    app.get(&format!("{}?x={}", url(MERCHANTS), "x".repeat(1000))).await.assert_problem(414);
}

#[tokio::test]
async fn the_server_is_alive_and_ready() {
    let app = TestApp::start(Mode::Trusted).await;
    for path in ["/healthz", "/readyz"] {
        let answer = app.get(path).await;
        assert_eq!(answer.status, 200);
        answer.assert_not_stored();
    }
}

#[tokio::test]
async fn the_schema_is_a_resource_with_an_etag() {
    let app = TestApp::start(Mode::Trusted).await;
    let answer = app.get("/schema.graphql").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("type Query {"));
    assert_eq!(answer.header(CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(app.get_with("/schema.graphql", &[(IF_NONE_MATCH, answer.etag())]).await.status, 304);
    let brotli = app.get_with("/schema.graphql", &[(ACCEPT_ENCODING, "br")]).await;
    assert_ne!(brotli.etag(), answer.etag());
    let etag = answer.etag().to_owned();
    assert_eq!(app.restart().await.get("/schema.graphql").await.etag(), etag);
}

#[tokio::test]
async fn the_console_is_there_in_mode_open_only() {
    let app = TestApp::start(Mode::Open).await;
    for path in ["/", "/graphiql"] {
        assert!(app.get(path).await.header(CONTENT_TYPE).starts_with("text/html"));
    }
    let app = TestApp::start(Mode::Apq).await;
    app.get("/graphiql").await.assert_problem(404);
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_answers_and_their_validators() {
    const SHOP: &str = "https://shop.example";
    let origins: CorsOrigins = format!("{SHOP},https://admin.example").parse().unwrap();
    let app = TestApp::start_with(Mode::Trusted, |config| config.cors_origins = origins).await;
    for origin in [Some(SHOP), Some("https://evil.example"), None] {
        let headers: Vec<(HeaderName, &str)> = origin.map(|origin| (ORIGIN, origin)).into_iter().collect();
        let answer = app.get_with(&url(MERCHANTS), &headers).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header(VARY), "Accept, Accept-Encoding, Origin");
        let allowed = answer.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap());
        assert_eq!(allowed, origin.filter(|origin| *origin == SHOP));
        let exposed = answer.header(ACCESS_CONTROL_EXPOSE_HEADERS).to_ascii_lowercase();
        assert!(exposed.contains("etag") && exposed.contains("content-location"));
    }
    let preflight = [
        (ORIGIN, SHOP),
        (HeaderName::from_static("access-control-request-method"), "POST"),
        (HeaderName::from_static("access-control-request-headers"), "content-type, if-match"),
    ];
    let answer = app.ask(Method::OPTIONS, "/graphql", &preflight).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), SHOP);
    assert!(answer.header("access-control-allow-headers").contains("if-match"));

    let app = TestApp::start(Mode::Trusted).await;
    let answer = app.get_with(&url(MERCHANTS), &[(ORIGIN, SHOP)]).await;
    assert!(!answer.headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
}
