//! `GET /q/{id}`: validators, conditional requests, headers, content codings.

use std::io::Read;

use freshql::config::Mode;
use freshql::document_id::DocumentId;
use http::Method;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_TYPE, DATE, ETAG, HeaderMap, IF_MATCH, IF_NONE_MATCH, RANGE, VARY,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{CREATE, MERCHANT, MERCHANTS, TWO, TestApp, UPDATE, encode, url, url_with};

const CDN_CACHE_CONTROL: &str = "cdn-cache-control";

/// A server with the test's own merchant, and that merchant's URL.
async fn merchant() -> (TestApp, String, String) {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, _) = app.create_merchant("Merchant of the test").await;
    let url = url_with(MERCHANT, &json!({"id": id}));
    (app, id, url)
}

#[tokio::test]
async fn an_answer_has_content_type_and_cache_control() {
    let (app, id, url) = merchant().await;
    let answer = app.get(&url).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["data"]["merchant"]["name"], "Merchant of the test");
    assert_eq!(answer.header(CONTENT_TYPE), "application/json; charset=utf-8");
    assert_eq!(answer.header(CACHE_CONTROL), "public, max-age=0, s-maxage=60");
    assert_eq!(answer.header(CDN_CACHE_CONTROL), "max-age=60");
    assert_eq!(answer.header(VARY), "Accept-Encoding");
    assert_eq!(answer.header(ACCEPT_RANGES), "none");
    assert!(answer.headers.contains_key(DATE));
    let canonical =
        format!("/q/{}?variables=%7B%22id%22%3A%22{id}%22%7D", DocumentId::of(MERCHANT));
    assert_eq!(answer.header(CONTENT_LOCATION), canonical);
    let base = answer.json()["extensions"]["etag"].as_str().unwrap().to_owned();
    assert_eq!(base.len(), 22);
    assert_eq!(answer.etag(), format!("\"{base}\""));
}

#[tokio::test]
async fn unchanged_rows_return_304_with_the_headers_of_the_200() {
    let (app, _, url) = merchant().await;
    let full = app.get(&url).await;
    let revalidated = app.get_with(&url, &[(IF_NONE_MATCH, full.etag())]).await;
    assert_eq!(revalidated.status, 304);
    assert!(revalidated.body.is_empty());
    assert!(!revalidated.headers.contains_key(CONTENT_LENGTH));
    assert!(!revalidated.headers.contains_key(CONTENT_TYPE));
    for name in [ETAG, CACHE_CONTROL, VARY, CONTENT_LOCATION] {
        assert_eq!(revalidated.header(name.clone()), full.header(name));
    }
    assert_eq!(revalidated.header(CDN_CACHE_CONTROL), full.header(CDN_CACHE_CONTROL));
    assert!(revalidated.headers.contains_key(DATE));
}

#[tokio::test]
async fn a_304_has_neither_body_nor_length_on_the_wire() {
    let (app, _, url) = merchant().await;
    let request = format!(
        "GET {url} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: *\r\nConnection: close\r\n\r\n"
    );
    let response = app.raw(&request).await.to_ascii_lowercase();
    assert!(response.starts_with("http/1.1 304 "), "{response}");
    assert!(!response.contains("content-length"), "{response}");
    assert!(!response.contains("transfer-encoding"), "{response}");
    assert!(response.ends_with("\r\n\r\n"), "{response}");
}

#[tokio::test]
async fn a_changed_row_gets_another_etag() {
    let (app, id, url) = merchant().await;
    let before = app.get(&url).await;
    app.move_merchant(&id, "Bruges").await;
    let after = app.get_with(&url, &[(IF_NONE_MATCH, before.etag())]).await;
    assert_eq!(after.status, 200);
    assert_ne!(after.etag(), before.etag());
    assert_eq!(after.json()["data"]["merchant"]["city"], "Bruges");
}

#[tokio::test]
async fn a_row_changed_by_another_program_gets_another_etag() {
    let (app, id, url) = merchant().await;
    let before = app.get(&url).await;
    app.outsider().execute(&format!("UPDATE merchants SET city = 'Mechelen' WHERE id = '{id}'"));
    let after = app.get_with(&url, &[(IF_NONE_MATCH, before.etag())]).await;
    assert_eq!(after.status, 200);
    assert_ne!(after.etag(), before.etag());
    assert_eq!(after.json()["data"]["merchant"]["city"], "Mechelen");
}

#[tokio::test]
async fn a_change_elsewhere_keeps_the_etag() {
    let (app, _, url) = merchant().await;
    let before = app.get(&url).await;
    let (other, _) = app.create_merchant("Another merchant").await;
    app.move_merchant(&other, "Bruges").await;
    assert_eq!(app.get_with(&url, &[(IF_NONE_MATCH, before.etag())]).await.status, 304);
}

#[tokio::test]
async fn if_none_match_is_compared_weakly_in_all_its_forms() {
    let (app, _, url) = merchant().await;
    let etag = app.get(&url).await.etag().to_owned();
    let base = etag.trim_matches('"').to_owned();
    let matching = [
        "*".to_owned(),
        format!("W/{etag}"),
        format!("\"other\", {etag}"),
        format!("\"a,b\",\t{etag} , "),
        format!("\"{base}.br\""),
        format!("W/\"{base}.gz\""),
        format!("\"{base}-gzip\""),
        format!("\"{base}--gzip\""),
        format!("\"{base};gzip\""),
        format!("\"{base}.gz-gzip\""),
        format!("\"{base}-br\""),
        format!("\"{base}-df\""),
    ];
    for value in &matching {
        assert_eq!(app.get_with(&url, &[(IF_NONE_MATCH, value)]).await.status, 304, "{value}");
    }
    let lines = [(IF_NONE_MATCH, "\"other\""), (IF_NONE_MATCH, etag.as_str())];
    assert_eq!(app.get_with(&url, &lines).await.status, 304);
    for value in
        ["\"other\"", "", "*, \"other\"", &base, &format!("\"{base}x\""), &format!("*, {etag}")]
    {
        assert_eq!(app.get_with(&url, &[(IF_NONE_MATCH, value)]).await.status, 200, "{value}");
    }
}

#[tokio::test]
async fn if_match_names_the_answer_that_the_client_wants() {
    let (app, _, url) = merchant().await;
    let etag = app.get(&url).await.etag().to_owned();
    assert_eq!(app.get_with(&url, &[(IF_MATCH, &etag)]).await.status, 200);
    assert_eq!(app.get_with(&url, &[(IF_MATCH, "*")]).await.status, 200);
    for value in ["\"other\"", &format!("W/{etag}")] {
        app.get_with(&url, &[(IF_MATCH, value)]).await.assert_error(412, "PRECONDITION_FAILED");
    }
    // If-Match is evaluated first.
    let both = [(IF_MATCH, "\"other\""), (IF_NONE_MATCH, etag.as_str())];
    app.get_with(&url, &both).await.assert_error(412, "PRECONDITION_FAILED");
}

#[tokio::test]
async fn head_has_the_headers_of_get() {
    let (app, _, url) = merchant().await;
    for path in [url.as_str(), "/q/unknown", &url_with(MERCHANTS, &json!({"first": 50}))] {
        let (get, head) = (app.get(path).await, app.ask(Method::HEAD, path, &[]).await);
        assert_eq!(head.status, get.status);
        assert!(head.body.is_empty());
        assert_eq!(head.header(CONTENT_LENGTH), get.body.len().to_string());
        let without_date = |headers: &HeaderMap| {
            let mut headers = headers.clone();
            headers.remove(DATE);
            headers
        };
        assert_eq!(without_date(&head.headers), without_date(&get.headers));
    }
    let etag = app.get(&url).await.etag().to_owned();
    let head = app.ask(Method::HEAD, &url, &[(IF_NONE_MATCH, &etag)]).await;
    assert_eq!(head.status, 304);
    assert!(!head.headers.contains_key(CONTENT_LENGTH));
}

#[tokio::test]
async fn each_coding_has_its_own_strong_etag_and_the_same_content() {
    let app = TestApp::start(Mode::Trusted).await;
    let url = url_with(MERCHANTS, &json!({"first": 50}));
    let plain = app.get(&url).await;
    assert!(plain.body.len() > 1000);
    let base = plain.etag().trim_matches('"').to_owned();

    let gzip = app.get_with(&url, &[(ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(
        (gzip.header(CONTENT_ENCODING), gzip.etag()),
        ("gzip", format!("\"{base}.gz\"").as_str())
    );
    let mut unpacked = Vec::new();
    flate2::read::GzDecoder::new(&gzip.body[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);

    let brotli = app.get_with(&url, &[(ACCEPT_ENCODING, "gzip, deflate, br")]).await;
    assert_eq!(
        (brotli.header(CONTENT_ENCODING), brotli.etag()),
        ("br", format!("\"{base}.br\"").as_str())
    );
    let mut unpacked = Vec::new();
    brotli::Decompressor::new(&brotli.body[..], 4096).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain.body);

    assert!(brotli.body.len() < plain.body.len() && gzip.body.len() < plain.body.len());
    for answer in [&plain, &gzip, &brotli] {
        assert_eq!(answer.header(VARY), "Accept-Encoding");
        let headers = [(ACCEPT_ENCODING, "br"), (IF_NONE_MATCH, answer.etag())];
        let revalidated = app.get_with(&url, &headers).await;
        assert_eq!(revalidated.status, 304);
        assert_eq!(revalidated.etag(), brotli.etag());
        assert!(!revalidated.headers.contains_key(CONTENT_ENCODING));
    }
}

#[tokio::test]
async fn small_answers_are_not_compressed() {
    let (app, _, url) = merchant().await;
    let answer = app.get_with(&url, &[(ACCEPT_ENCODING, "br, gzip")]).await;
    assert!(!answer.headers.contains_key(CONTENT_ENCODING));
    assert!(!answer.etag().contains('.'));
}

#[tokio::test]
async fn a_document_has_aliases_and_one_canonical_url() {
    let (app, id, canonical) = merchant().await;
    let blake3 = DocumentId::of(MERCHANT);
    let sha256 = hex::encode(Sha256::digest(MERCHANT));
    let variables = encode(&json!({ "id": id }).to_string());
    let etag = app.get(&canonical).await.etag().to_owned();
    let names = [
        format!("x-blake3:{blake3}"),
        format!("x-blake3%3A{blake3}"),
        format!("sha256:{sha256}"),
        format!("sha256%3A{sha256}"),
        format!("{blake3}/Merchant"),
    ];
    for name in &names {
        let answer = app.get(&format!("/q/{name}?variables={variables}")).await;
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert_eq!(answer.etag(), etag);
        assert_eq!(answer.header(CONTENT_LOCATION), canonical);
    }
}

#[tokio::test]
async fn variables_in_any_spelling_are_the_same_question() {
    let app = TestApp::start(Mode::Trusted).await;
    let bare = app.get(&url(MERCHANTS)).await;
    for variables in ["%7B%22first%22%3A20%7D", "{%20%22first%22%20:+20%20}", "{}", "null", ""] {
        let answer =
            app.get(&format!("{}?variables={variables}&utm_source=mail", url(MERCHANTS))).await;
        assert_eq!(answer.status, 200, "{variables}: {}", answer.text());
        assert_eq!(answer.etag(), bare.etag());
        assert_eq!(
            answer.header(CONTENT_LOCATION),
            format!("{}?variables=%7B%22first%22%3A20%7D", url(MERCHANTS))
        );
    }
    let other = app.get(&url_with(MERCHANTS, &json!({"first": 19}))).await;
    assert_ne!(other.etag(), bare.etag());
}

#[tokio::test]
async fn one_of_several_operations_is_named_in_the_path() {
    let app = TestApp::start(Mode::Trusted).await;
    let a = app.get(&format!("{}/A", url(TWO))).await;
    let b = app.get(&format!("{}/B", url(TWO))).await;
    assert_eq!((a.status.as_u16(), b.status.as_u16()), (200, 200));
    assert_ne!(a.etag(), b.etag());
    assert_eq!(a.header(CONTENT_LOCATION), format!("{}/A", url(TWO)));
    app.get(&url(TWO)).await.assert_error(422, "OPERATION_RESOLUTION_FAILURE");
    app.get(&format!("{}/C", url(TWO))).await.assert_error(422, "OPERATION_RESOLUTION_FAILURE");
}

#[tokio::test]
async fn malformed_variables_are_400_and_uncoercible_ones_422() {
    let app = TestApp::start(Mode::Trusted).await;
    let path = url(MERCHANTS);
    for query in [
        "variables={",
        "variables=[]",
        "variables=1",
        "variables=%FF",
        "extensions=1",
        "variables={}&variables={}",
    ] {
        app.get(&format!("{path}?{query}")).await.assert_error(400, "BAD_REQUEST");
    }
    for variables in [json!({"first": "x"}), json!({"first": -1}), json!({"unknown": 1})] {
        app.get(&url_with(MERCHANTS, &variables)).await.assert_error(422, "BAD_USER_INPUT");
    }
    app.get(&url(MERCHANT)).await.assert_error(422, "BAD_USER_INPUT");
}

#[tokio::test]
async fn an_unknown_document_is_404_and_not_stored() {
    let app = TestApp::start(Mode::Trusted).await;
    let unknown = DocumentId::of("unknown");
    for path in [format!("/q/{unknown}"), "/q/nonsense".to_owned(), format!("/q/sha256:{unknown}")]
    {
        app.get(&path).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
        app.get_with(&path, &[(IF_NONE_MATCH, "*")])
            .await
            .assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    }
    let named = app.get(&format!("/q/{unknown}/Merchant")).await;
    named.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(
        named.json()["errors"][0]["extensions"]["registeredId"],
        DocumentId::of(MERCHANT).to_string()
    );
}

#[tokio::test]
async fn storable_answers_have_one_media_type_and_errors_the_negotiated_one() {
    let (app, _, url) = merchant().await;
    let plain = app.get(&url).await;
    for accept in [
        "application/graphql-response+json, application/json;q=0.9",
        "text/html",
        "application/json;q=0",
    ] {
        let answer = app.get_with(&url, &[(ACCEPT, accept)]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(CONTENT_TYPE)),
            (200, "application/json; charset=utf-8")
        );
        assert_eq!((answer.etag(), answer.header(VARY)), (plain.etag(), "Accept-Encoding"));
        let same = app.get_with(&url, &[(ACCEPT, accept), (IF_NONE_MATCH, plain.etag())]).await;
        assert_eq!((same.status.as_u16(), same.header(VARY)), (304, "Accept-Encoding"));
    }
    let answer = app.get_with("/q/unknown", &[(ACCEPT, "application/graphql-response+json")]).await;
    assert_eq!(answer.header(CONTENT_TYPE), "application/graphql-response+json; charset=utf-8");
    answer.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(answer.header(VARY), "Accept-Encoding");
    let answer = app.get_with("/q/unknown", &[(ACCEPT, "text/html")]).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header(CONTENT_TYPE)),
        (404, "application/json; charset=utf-8")
    );
}

/// At `/graphql`, an answer has two media types. A cache that gets a 304 for one must not have
/// stored the other.
#[tokio::test]
async fn two_media_types_at_one_url_have_two_etags() {
    let (app, _, _) = merchant().await;
    let path = format!("/graphql?documentId={}", DocumentId::of(MERCHANTS));
    const GRAPHQL: &str = "application/graphql-response+json";
    for _ in 0..2 {
        let (json, graphql) =
            (app.get(&path).await, app.get_with(&path, &[(ACCEPT, GRAPHQL)]).await);
        assert_eq!(json.header(CONTENT_TYPE), "application/json; charset=utf-8");
        assert_eq!(graphql.header(CONTENT_TYPE), format!("{GRAPHQL}; charset=utf-8"));
        assert_eq!(json.header(VARY), "Accept, Accept-Encoding");
        assert_eq!((&json.body, json.header(VARY)), (&graphql.body, graphql.header(VARY)));
        assert_ne!(json.etag(), graphql.etag());
        for (accept, etag, status) in [
            ("application/json", json.etag(), 304),
            ("application/json", graphql.etag(), 200),
            (GRAPHQL, graphql.etag(), 304),
            (GRAPHQL, json.etag(), 200),
        ] {
            let again = app.get_with(&path, &[(ACCEPT, accept), (IF_NONE_MATCH, etag)]).await;
            assert_eq!(again.status, status, "{accept} {etag}");
        }
    }
    app.get_with(&path, &[(ACCEPT, "text/html")]).await.assert_problem(406);
}

#[tokio::test]
async fn a_long_url_does_not_make_long_headers() {
    let app = TestApp::start(Mode::Trusted).await;
    let long = json!({"input": {"name": "n", "description": "d".repeat(20_000), "city": "Ghent"}});
    let created = app.post(&url(CREATE), &json!({ "variables": long })).await;
    assert_eq!(created.status, 200);
    assert!(!created.headers.contains_key(CONTENT_LOCATION));
    let posted = app.post(&url(MERCHANTS), &json!({"variables": {"first": 1}})).await;
    assert!(posted.status == 200 && !posted.headers.contains_key(CONTENT_LOCATION));
    let id = "i".repeat(1900);
    let answer = app.get(&url_with(MERCHANT, &json!({ "id": id }))).await;
    assert!(answer.status == 200 && answer.header(CONTENT_LOCATION).len() > 1900);
    for _ in 0..2 {
        let answer = app.get(&url_with(MERCHANT, &json!({ "id": id.repeat(2) }))).await;
        assert!(answer.status == 200 && !answer.headers.contains_key(CONTENT_LOCATION));
    }
}

#[tokio::test]
async fn get_never_runs_a_mutation() {
    let (app, id, url) = merchant().await;
    let variables = json!({"id": id, "patch": {"city": "Bruges"}});
    for method in [Method::GET, Method::HEAD] {
        let answer = app.ask(method, &url_with(UPDATE, &variables), &[]).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.header(ALLOW), "POST");
        answer.assert_not_stored();
    }
    assert_eq!(app.get(&url).await.json()["data"]["merchant"]["city"], "Ghent");
}

#[tokio::test]
async fn ranges_are_not_served() {
    let (app, _, url) = merchant().await;
    let whole = app.get(&url).await;
    let part = app.get_with(&url, &[(RANGE, "bytes=0-1")]).await;
    assert_eq!(part.status, 200);
    assert_eq!(part.body, whole.body);
}
