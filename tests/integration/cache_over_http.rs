//! Hot URLs: an answer given before the router equals the router's.

use std::io::Read;

use freshql::config::Mode;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH, VARY,
};
use http::{Method, StatusCode};
use serde_json::json;

use crate::harness::{Answer, MERCHANT, MERCHANTS, TOKEN, TestApp, encode, url, url_with};

const DOCUMENT: &str = "query Hot { merchants(first: 3) { nodes { id name } } }";

async fn admin(app: &TestApp, method: Method, body: &'static str) -> StatusCode {
    let request = app
        .request(method, &url(DOCUMENT))
        .header(AUTHORIZATION, format!("Bearer {TOKEN}"))
        .body(body);
    request.send().await.unwrap().status()
}

fn without_date(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    headers.remove(DATE);
    headers
}

#[tokio::test]
async fn a_removed_document_is_404_at_once_even_at_a_cached_url() {
    let app = TestApp::start(Mode::Trusted).await;
    let path = url(DOCUMENT);
    for _ in 0..3 {
        assert_eq!(admin(&app, Method::PUT, DOCUMENT).await, StatusCode::CREATED);
        let first = app.get(&path).await;
        assert_eq!(first.status, 200);
        for _ in 0..3 {
            assert_eq!(app.get(&path).await.body, first.body);
            assert_eq!(app.get_with(&path, &[(IF_NONE_MATCH, first.etag())]).await.status, 304);
        }
        assert_eq!(admin(&app, Method::DELETE, "").await, StatusCode::NO_CONTENT);
        app.get(&path).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
        app.get_with(&path, &[(IF_NONE_MATCH, first.etag())])
            .await
            .assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    }
}

/// A document that a client sends is the same as the registered one, but only the latter has a URL
/// below `/q`.
#[tokio::test]
async fn an_answer_names_its_canonical_url_if_there_is_one() {
    let app = TestApp::start(Mode::Open).await;
    let ad_hoc = format!("/graphql?query={}", encode(DOCUMENT));
    let brought = app.get(&ad_hoc).await;
    assert_eq!(brought.status, 200, "{}", brought.text());
    assert!(!brought.headers.contains_key(CONTENT_LOCATION));

    assert_eq!(admin(&app, Method::PUT, DOCUMENT).await, StatusCode::CREATED);
    for path in [&url(DOCUMENT), &ad_hoc, &ad_hoc] {
        let answer = app.get(path).await;
        assert_eq!(answer.header(CONTENT_LOCATION), url(DOCUMENT));
        assert_eq!(answer.etag(), brought.etag());
    }
    assert_eq!(admin(&app, Method::DELETE, "").await, StatusCode::NO_CONTENT);
    assert!(!app.get(&ad_hoc).await.headers.contains_key(CONTENT_LOCATION));
}

#[tokio::test]
async fn equivalent_urls_have_one_answer_and_one_canonical_url() {
    let app = TestApp::start(Mode::Trusted).await;
    let paths: Vec<String> = [
        "",
        "?variables=%7B%22first%22%3A20%7D",
        "?variables={%22first%22:20}",
        "?utm_source=mail",
    ]
    .iter()
    .map(|query| format!("{}{query}", url(MERCHANTS)))
    .collect();
    for round in 0..3 {
        let first = app.get(&paths[round]).await;
        for path in &paths {
            let answer = app.get(path).await;
            assert_eq!(
                (&answer.body, without_date(&answer.headers)),
                (&first.body, without_date(&first.headers))
            );
        }
        app.create_merchant(&format!("Makes all of them stale {round}")).await;
    }
}

pub(crate) fn decoded(answer: &Answer) -> Vec<u8> {
    let mut body = Vec::new();
    match answer.headers.get(CONTENT_ENCODING).map(|name| name.to_str().unwrap()) {
        None => body.extend_from_slice(&answer.body),
        Some("br") => {
            brotli::Decompressor::new(&answer.body[..], 4096).read_to_end(&mut body).unwrap();
        }
        Some("zstd") => body = zstd::stream::decode_all(&answer.body[..]).unwrap(),
        Some("gzip") => {
            flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut body).unwrap();
        }
        Some(other) => panic!("{other}"),
    }
    body
}

#[tokio::test]
async fn a_cached_answer_honours_every_coding_and_condition() {
    let app = TestApp::start(Mode::Trusted).await;
    let path = url_with(MERCHANTS, &json!({"first": 50}));
    for round in 0..2 {
        let plain = app.get(&path).await;
        let base = plain.etag().trim_matches('"').to_owned();
        for _ in 0..2 {
            for (accepted, suffix) in [
                ("gzip", ".gz"),
                ("br", ".br"),
                ("identity", ""),
                ("br;q=0.1, gzip", ".gz"),
                ("br, zstd", ".zst"),
            ] {
                let full = app.get_with(&path, &[(ACCEPT_ENCODING, accepted)]).await;
                assert_eq!(full.status, 200);
                assert_eq!(full.etag(), format!("\"{base}{suffix}\""), "{accepted}");
                assert_eq!(decoded(&full), plain.body, "{accepted}");
                assert_eq!(full.header(CONTENT_LENGTH), full.body.len().to_string());

                // A 304 has the headers of the 200, except those that describe the body.
                let headers = [(ACCEPT_ENCODING, accepted), (IF_NONE_MATCH, full.etag())];
                let same = app.get_with(&path, &headers).await;
                assert_eq!((same.status.as_u16(), same.body.len()), (304, 0));
                for name in [
                    ETAG,
                    CACHE_CONTROL,
                    VARY,
                    CONTENT_LOCATION,
                    "cdn-cache-control".parse().unwrap(),
                ] {
                    assert_eq!(same.header(name.clone()), full.header(name));
                }
                assert!(
                    !same.headers.contains_key(CONTENT_TYPE)
                        && !same.headers.contains_key(CONTENT_ENCODING)
                );

                let head = app.ask(Method::HEAD, &path, &[(ACCEPT_ENCODING, accepted)]).await;
                assert_eq!(without_date(&head.headers), without_date(&full.headers));
                let other = [(ACCEPT_ENCODING, accepted), (IF_MATCH, "\"other\"")];
                app.get_with(&path, &other).await.assert_error(412, "PRECONDITION_FAILED");
            }
        }
        app.create_merchant(&format!("Another list {round}")).await;
    }
}

#[tokio::test]
async fn request_headers_are_checked_even_at_a_cached_url() {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, _) = app.create_merchant("Hot").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    let first = app.get(&path).await;
    assert_eq!(app.get(&path).await.body, first.body);
    let gzip = app.get_with(&path, &[(ACCEPT_ENCODING, "gzip, identity;q=0")]).await;
    assert_eq!((gzip.header(CONTENT_ENCODING), decoded(&gzip)), ("gzip", first.body.to_vec()));
    assert_eq!(app.ask(Method::OPTIONS, &path, &[]).await.status, StatusCode::NO_CONTENT);
    assert_eq!(app.ask(Method::PATCH, &path, &[]).await.status, StatusCode::METHOD_NOT_ALLOWED);
    app.move_merchant(&id, "Bruges").await;
    let moved = app.get_with(&path, &[(IF_NONE_MATCH, first.etag())]).await;
    assert_eq!(
        (moved.status.as_u16(), &moved.json()["data"]["merchant"]["city"]),
        (200, &json!("Bruges"))
    );
}
