//! What all handlers have in common, and the URLs outside the API.

use freshql::config::{CorsOrigins, Mode};
use freshql::document_id::DocumentId;
use http::Method;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW,
    CACHE_CONTROL, CONTENT_TYPE, DATE, HeaderName, IF_NONE_MATCH, ORIGIN, VARY,
};

use serde_json::json;

use crate::harness::{Answer, CREATE, MERCHANTS, TestApp, url};

#[tokio::test]
async fn every_response_says_who_may_store_it() {
    let app = TestApp::start(Mode::Open).await;
    let paths = [
        "/",
        "/graphiql",
        "/healthz",
        "/readyz",
        "/schema.graphql",
        "/q",
        "/q/x",
        "/graphql",
        "/nothing",
    ];
    for path in paths {
        for method in
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::OPTIONS]
        {
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
async fn an_unknown_path_is_answered_with_problem_details() {
    let app = TestApp::start(Mode::Trusted).await;
    for path in ["/nothing", "/graphiql", "/q/", "/q/a/b/c"] {
        app.get(path).await.assert_problem(404);
    }
}

#[tokio::test]
async fn other_methods_are_405_with_allow() {
    let app = TestApp::start(Mode::Trusted).await;
    for (path, allowed) in [
        (url(MERCHANTS), "GET,HEAD,POST,PUT,DELETE"),
        (format!("{}/Merchants", url(MERCHANTS)), "GET,HEAD,POST"),
        ("/q".to_owned(), "GET,HEAD,POST"),
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

/// A plain address is found without the router, which finds one with escapes.
#[tokio::test]
async fn a_document_is_answered_alike_by_its_plain_and_its_escaped_address() {
    let app = TestApp::start(Mode::Trusted).await;
    let id = url(MERCHANTS).split_off("/q/".len());
    let escaped = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    let parts = |mut answer: Answer| {
        answer.headers.remove(DATE);
        (answer.status, answer.headers.clone(), answer.text().to_owned())
    };
    for end in ["", "/Merchants", "/Others", "x", "x/Merchants"] {
        let [plain, escaped] = [&id, &escaped].map(|id| format!("/q/{id}{end}"));
        for accept in ["*/*", "application/graphql-response+json", "text/html"] {
            let headers = [(ACCEPT, accept)];
            for method in [Method::GET, Method::HEAD, Method::POST, Method::PATCH, Method::OPTIONS]
            {
                let [one, other] = [
                    app.ask(method.clone(), &plain, &headers).await,
                    app.ask(method.clone(), &escaped, &headers).await,
                ];
                assert_eq!(parts(one), parts(other), "{method} {plain} {accept}");
            }
            let [one, other] = [
                app.post_with(&plain, &json!({}), &headers).await,
                app.post_with(&escaped, &json!({}), &headers).await,
            ];
            assert_eq!(parts(one), parts(other), "POST {plain} {accept}");
        }
    }
}

#[tokio::test]
async fn a_url_beyond_the_limit_is_414() {
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
async fn the_schema_is_a_resource_with_an_etag_where_it_is_open() {
    for mode in [Mode::Trusted, Mode::Apq] {
        TestApp::start(mode).await.get("/schema.graphql").await.assert_problem(403);
    }
    let app = TestApp::start_with(Mode::Trusted, |config| config.introspection = true).await;
    let answer = app.get("/schema.graphql").await;
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("type Query {"));
    assert_eq!(answer.header(CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_eq!(
        app.get_with("/schema.graphql", &[(IF_NONE_MATCH, answer.etag())]).await.status,
        304
    );
    let brotli = app.get_with("/schema.graphql", &[(ACCEPT_ENCODING, "br")]).await;
    assert_ne!(brotli.etag(), answer.etag());
    let etag = answer.etag().to_owned();
    assert_eq!(app.restart().await.get("/schema.graphql").await.etag(), etag);
}

#[tokio::test]
async fn every_response_forbids_content_sniffing() {
    let app = TestApp::start(Mode::Open).await;
    let hot = url(MERCHANTS);
    for path in [
        &hot,
        &hot,
        "/q/x",
        "/nothing",
        "/",
        "/schema.graphql",
        "/healthz",
        "/graphql?query=%7B__typename%7D",
    ] {
        assert_eq!(app.get(path).await.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn the_console_is_there_in_mode_open_only() {
    let app = TestApp::start(Mode::Open).await;
    for path in ["/", "/graphiql"] {
        assert!(app.get(path).await.header(CONTENT_TYPE).starts_with("text/html"));
    }
    let app = TestApp::start(Mode::Apq).await;
    app.get("/graphiql").await.assert_problem(404);
    app.get("/graphiql/operations").await.assert_problem(404);
}

#[tokio::test]
async fn without_the_console_the_front_page_points_to_the_api() {
    for mode in [Mode::Trusted, Mode::Apq] {
        let app = TestApp::start(mode).await;
        let browser =
            app.get_with("/", &[(ACCEPT, "text/html,application/xhtml+xml,*/*;q=0.8")]).await;
        assert_eq!(
            (browser.status.as_u16(), browser.header(CONTENT_TYPE)),
            (200, "text/html; charset=utf-8")
        );
        assert!(browser.header("content-security-policy").starts_with("default-src 'none'"));
        let curl = app.get_with("/", &[(ACCEPT, "*/*")]).await;
        assert_eq!(
            (curl.status.as_u16(), curl.header(CONTENT_TYPE)),
            (200, "text/plain; charset=utf-8")
        );
        for text in [browser.text(), curl.text()] {
            for place in ["/q/{id}", "/graphql", "/schema.graphql", "/healthz"] {
                assert!(text.contains(place), "{place} is not in {text}");
            }
        }
    }
}

#[tokio::test]
async fn the_console_lists_the_registered_operations() {
    let app = TestApp::start(Mode::Open).await;
    let listed = app.get("/graphiql/operations").await.json();
    let documents = listed["documents"].as_array().unwrap();
    let document =
        documents.iter().find(|document| document["operations"][0]["name"] == "Merchants").unwrap();
    assert_eq!(document["text"], MERCHANTS);
    assert_eq!(document["id"], DocumentId::of(MERCHANTS).to_string());
}

const SHOP: &str = "https://shop.example";
const EVIL: &str = "https://evil.example";

async fn with_origins(origins: &str, credentials: bool) -> TestApp {
    let origins: CorsOrigins = origins.parse().unwrap();
    TestApp::start_with(Mode::Trusted, |config| {
        config.cors_origins = origins;
        config.cors_credentials = credentials;
    })
    .await
}

fn allowed_origin(answer: &Answer) -> Option<&str> {
    answer.headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap())
}

#[tokio::test]
async fn with_cors_public_answers_are_readable_by_every_origin() {
    for origins in [SHOP, "https://shop.example,https://admin.example", "*"] {
        let app = with_origins(origins, false).await;
        for path in [url(MERCHANTS), url(MERCHANTS), "/q/unknown".to_owned()] {
            for origin in [Some(SHOP), Some(EVIL), None] {
                let headers: Vec<(HeaderName, &str)> =
                    origin.map(|origin| (ORIGIN, origin)).into_iter().collect();
                let answer = app.get_with(&path, &headers).await;
                assert_eq!(
                    (allowed_origin(&answer), answer.header(VARY)),
                    (Some("*"), "Accept-Encoding")
                );
                let exposed = answer.header(ACCESS_CONTROL_EXPOSE_HEADERS).to_ascii_lowercase();
                assert!(exposed.contains("etag") && exposed.contains("content-location"));
                assert!(!answer.headers.contains_key("access-control-allow-credentials"));
            }
        }
    }
    let app = TestApp::start(Mode::Trusted).await;
    assert_eq!(allowed_origin(&app.get_with(&url(MERCHANTS), &[(ORIGIN, SHOP)]).await), None);
}

#[tokio::test]
async fn the_list_of_origins_governs_everything_else() {
    let app = with_origins("https://shop.example,https://admin.example", false).await;
    for (origin, allowed) in [(SHOP, Some(SHOP)), (EVIL, None)] {
        for path in ["/graphql", &url(CREATE)] {
            let answer = app.post_with(path, &json!({}), &[(ORIGIN, origin)]).await;
            assert_eq!(allowed_origin(&answer), allowed, "{path}");
        }
        let answer = app.get_with("/graphql", &[(ORIGIN, origin)]).await;
        assert_eq!(
            (allowed_origin(&answer), answer.header(VARY)),
            (allowed, "Accept, Accept-Encoding, Origin")
        );
        let answer = app.get_with("/q", &[(ORIGIN, origin)]).await;
        assert_eq!(allowed_origin(&answer), allowed, "the list of documents is not public");
    }
}

#[tokio::test]
async fn credentials_are_never_allowed_for_origin_star() {
    let app = with_origins("https://shop.example,https://admin.example", true).await;
    for _ in 0..2 {
        let answer = app.get_with(&url(MERCHANTS), &[(ORIGIN, SHOP)]).await;
        assert_eq!(
            (allowed_origin(&answer), answer.header(VARY)),
            (Some(SHOP), "Accept-Encoding, Origin")
        );
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert_eq!(allowed_origin(&app.get_with(&url(MERCHANTS), &[(ORIGIN, EVIL)]).await), None);
    }
    let app = with_origins("*", true).await;
    let answer = app.get_with(&url(MERCHANTS), &[(ORIGIN, SHOP)]).await;
    assert_eq!(allowed_origin(&answer), Some("*"));
    assert!(!answer.headers.contains_key("access-control-allow-credentials"));
}

#[tokio::test]
async fn a_preflight_allows_what_a_listed_origin_asks_for() {
    let app = with_origins("https://shop.example,https://admin.example", false).await;
    let headers = "apollographql-client-name, content-type, if-match, traceparent";
    let preflight = async |path: &str, origin: &str, method: &str| {
        let headers = [
            (ORIGIN, origin),
            (HeaderName::from_static("access-control-request-method"), method),
            (HeaderName::from_static("access-control-request-headers"), headers),
        ];
        app.ask(Method::OPTIONS, path, &headers).await
    };
    let answer = preflight("/graphql", SHOP, "POST").await;
    assert_eq!((answer.status.as_u16(), allowed_origin(&answer)), (204, Some(SHOP)));
    assert_eq!(
        answer.header(VARY),
        "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
    );
    assert_eq!(answer.header("access-control-allow-headers"), headers);
    assert!(answer.header("access-control-allow-methods").contains("POST"));
    let answer = preflight(&url(CREATE), EVIL, "POST").await;
    assert_eq!((answer.status.as_u16(), allowed_origin(&answer)), (204, None));
    assert!(answer.header(VARY).starts_with("Origin, "));
    assert!(!answer.headers.contains_key("access-control-allow-headers"));
    let answer = preflight(&url(MERCHANTS), EVIL, "GET").await;
    assert_eq!(
        (allowed_origin(&answer), answer.header("access-control-allow-headers")),
        (Some("*"), headers)
    );
    // For unknown paths, nothing is allowed.
    for path in ["/there/is/nothing", "/schema.graphq"] {
        let answer = preflight(path, SHOP, "POST").await;
        assert_eq!(answer.status, 404);
        assert!(!answer.headers.contains_key("access-control-allow-methods"));
    }
}
