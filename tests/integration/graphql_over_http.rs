//! `/graphql`: which documents run, by which of their ids, in which mode.

use freshql::config::Mode;
use freshql::document_id::DocumentId;
use http::header::{ALLOW, CONTENT_LOCATION, IF_NONE_MATCH};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::harness::{MERCHANTS, TWO, TestApp, encode, url_with};

const AD_HOC: &str = "{ merchants(first: 1) { nodes { name } } }";

fn sha256(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}

fn persisted(hash: &str) -> serde_json::Value {
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

#[tokio::test]
async fn ad_hoc_documents_run_in_mode_open_only() {
    let app = TestApp::start(Mode::Open).await;
    let posted = app.post("/graphql", &json!({ "query": AD_HOC })).await;
    assert_eq!(posted.status, 200, "{}", posted.text());
    posted.assert_not_stored();

    let path = format!("/graphql?query={}", encode(AD_HOC));
    let got = app.get(&path).await;
    assert_eq!(got.body, posted.body);
    assert!(!got.headers.contains_key(CONTENT_LOCATION));
    assert_eq!(app.get_with(&path, &[(IF_NONE_MATCH, got.etag())]).await.status, 304);

    for mode in [Mode::Trusted, Mode::Apq] {
        let app = TestApp::start(mode).await;
        app.post("/graphql", &json!({ "query": AD_HOC }))
            .await
            .assert_error(403, "PERSISTED_QUERY_REQUIRED");
        app.get(&path).await.assert_error(403, "PERSISTED_QUERY_REQUIRED");
    }
}

#[tokio::test]
async fn syntax_validation_and_coercion_errors_are_distinguished() {
    let app = TestApp::start(Mode::Open).await;
    app.post("/graphql", &json!({"query": "{"})).await.assert_error(400, "GRAPHQL_PARSE_FAILED");
    app.post("/graphql", &json!({"query": "{ nonsense }"}))
        .await
        .assert_error(422, "GRAPHQL_VALIDATION_FAILED");
    let body = json!({"query": TWO});
    app.post("/graphql", &body).await.assert_error(422, "OPERATION_RESOLUTION_FAILURE");
    let body = json!({"query": TWO, "operationName": "B"});
    assert_eq!(app.post("/graphql", &body).await.status, 200);
}

#[tokio::test]
async fn a_malformed_request_is_400() {
    let app = TestApp::start(Mode::Open).await;
    let bodies = [
        json!([{ "query": AD_HOC }]),
        json!({}),
        json!({"query": 1}),
        json!({"query": AD_HOC, "operationName": {}}),
        json!({"query": AD_HOC, "variables": "{}"}),
        json!({"query": AD_HOC, "variables": [1]}),
        json!({"query": AD_HOC, "extensions": "x"}),
        json!({"query": AD_HOC, "extensions": {"persistedQuery": {"version": 1}}}),
        json!({"query": AD_HOC, "extensions": {"persistedQuery": {"version": 2, "sha256Hash": sha256(AD_HOC)}}}),
    ];
    for body in &bodies {
        app.post("/graphql", body).await.assert_error(400, "BAD_REQUEST");
    }
    let nulls =
        json!({"query": AD_HOC, "operationName": null, "variables": null, "extensions": null});
    assert_eq!(app.post("/graphql", &nulls).await.status, 200);
}

#[tokio::test]
async fn get_never_runs_a_mutation() {
    let app = TestApp::start(Mode::Open).await;
    let text = r#"mutation { deleteMerchant(id: "01900000-0000-7000-8000-000000000000") { id } }"#;
    let answer = app.get(&format!("/graphql?query={}", encode(text))).await;
    answer.assert_problem(405);
    assert_eq!(answer.header(ALLOW), "POST");
}

#[tokio::test]
async fn a_registered_document_runs_by_any_of_its_names() {
    for mode in Mode::ALL {
        let app = TestApp::start(mode).await;
        let id = DocumentId::of(MERCHANTS).to_string();
        let hash = sha256(MERCHANTS);
        let expected = app.get(&url_with(MERCHANTS, &json!({"first": 2}))).await;
        let names = [
            json!({ "documentId": id }),
            json!({"documentId": format!("x-blake3:{id}")}),
            json!({"documentId": format!("sha256:{hash}")}),
            json!({ "doc_id": id }),
            json!({ "id": id }),
            json!({"extensions": persisted(&hash)}),
            json!({"query": MERCHANTS, "extensions": persisted(&hash)}),
            // The first id counts.
            json!({"documentId": id, "doc_id": "other", "id": "other", "query": "{"}),
            json!({"doc_id": id, "id": "other"}),
        ];
        for mut body in names {
            body["variables"] = json!({"first": 2});
            let answer = app.post("/graphql", &body).await;
            assert_eq!(answer.status, 200, "{body}: {}", answer.text());
            assert_eq!(answer.body, expected.body);
        }
        let variables = encode(&json!({"first": 2}).to_string());
        let got = app.get(&format!("/graphql?documentId={id}&variables={variables}")).await;
        assert_eq!(got.etag(), expected.etag());
        assert_eq!(got.header(CONTENT_LOCATION), expected.header(CONTENT_LOCATION));
        let unknown = json!({"documentId": DocumentId::of("unknown").to_string(), "operationName": "Merchants"});
        let answer = app.post("/graphql", &unknown).await;
        answer.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
        assert_eq!(answer.json()["errors"][0]["extensions"]["registeredId"], id);
    }
}

#[tokio::test]
async fn clients_register_documents_by_apq() {
    for mode in [Mode::Apq, Mode::Open] {
        let app = TestApp::start(mode).await;
        let extensions = persisted(&sha256(AD_HOC));
        let path = format!("/graphql?extensions={}", encode(&extensions.to_string()));

        let miss = app.get(&path).await;
        miss.assert_error(200, "PERSISTED_QUERY_NOT_FOUND");
        assert_eq!(miss.json()["errors"][0]["message"], "PersistedQueryNotFound");

        let learned =
            app.post("/graphql", &json!({"query": AD_HOC, "extensions": extensions})).await;
        assert_eq!(learned.status, 200, "{}", learned.text());
        let hit = app.get(&path).await;
        assert_eq!(hit.body, learned.body);
        assert_eq!(app.get_with(&path, &[(IF_NONE_MATCH, hit.etag())]).await.status, 304);

        let other = json!({"query": "{ __typename }", "extensions": extensions});
        app.post("/graphql", &other).await.assert_error(400, "PERSISTED_QUERY_HASH_MISMATCH");
        // A document that a client registers is not trusted: it has no URL.
        app.get(&format!("/q/sha256:{}", sha256(AD_HOC)))
            .await
            .assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    }
}

#[tokio::test]
async fn trusted_mode_reports_that_apq_is_not_supported() {
    let app = TestApp::start(Mode::Trusted).await;
    let extensions = persisted(&sha256(AD_HOC));
    let miss = app.post("/graphql", &json!({ "extensions": extensions })).await;
    miss.assert_error(200, "PERSISTED_QUERY_NOT_SUPPORTED");
    assert_eq!(miss.json()["errors"][0]["message"], "PersistedQueryNotSupported");
    let body = json!({"query": AD_HOC, "extensions": extensions});
    app.post("/graphql", &body).await.assert_error(403, "PERSISTED_QUERY_REQUIRED");
}

#[tokio::test]
async fn introspection_is_allowed_in_mode_open_only() {
    let text = "{ __schema { queryType { name } } }";
    let app = TestApp::start(Mode::Open).await;
    let answer = app.post("/graphql", &json!({ "query": text })).await;
    assert_eq!(answer.json()["data"]["__schema"]["queryType"]["name"], "Query");

    let app = TestApp::start(Mode::Apq).await;
    let body = json!({"query": text, "extensions": persisted(&sha256(text))});
    for body in [&body, &json!({"extensions": persisted(&sha256(text))})] {
        app.post("/graphql", body).await.assert_error(403, "FORBIDDEN");
    }
}
