//! The operators' API: who may use it, and what it stores.

use freshql::config::Mode;
use freshql::document_id::DocumentId;
use http::header::{AUTHORIZATION, LOCATION, WWW_AUTHENTICATE};
use http::{Method, StatusCode};

use crate::harness::{Answer, MERCHANT, TOKEN, TestApp, url};

const DOCUMENT: &str = "query Registered { merchants(first: 1) { totalCount } }";

async fn admin(app: &TestApp, method: Method, path: &str, body: &'static [u8]) -> Answer {
    let request =
        app.request(method, path).header(AUTHORIZATION, format!("Bearer {TOKEN}")).body(body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

#[tokio::test]
async fn a_registered_document_survives_a_restart_until_it_is_removed() {
    let app = TestApp::start(Mode::Trusted).await;
    let path = url(DOCUMENT);
    app.get(&path).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");

    let created = admin(&app, Method::PUT, &path, DOCUMENT.as_bytes()).await;
    assert_eq!(created.status, 201, "{}", created.text());
    assert_eq!(created.header(LOCATION), path);
    created.assert_not_stored();
    assert_eq!(created.json()["operations"][0]["name"], "Registered");
    assert_eq!(admin(&app, Method::PUT, &path, DOCUMENT.as_bytes()).await.status, 200);
    let answer = app.get(&path).await;
    assert_eq!(answer.status, 200);

    let app = app.restart().await;
    assert_eq!(app.get(&path).await.etag(), answer.etag());
    assert_eq!(admin(&app, Method::PUT, &path, DOCUMENT.as_bytes()).await.status, 200);

    assert_eq!(admin(&app, Method::DELETE, &path, b"").await.status, 204);
    app.get(&path).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
    admin(&app, Method::DELETE, &path, b"").await.assert_problem(404);
    let app = app.restart().await;
    app.get(&path).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test]
async fn a_document_is_registered_only_if_it_is_valid_and_hashes_to_its_id() {
    let app = TestApp::start(Mode::Trusted).await;
    admin(&app, Method::PUT, &url(DOCUMENT), b"query Other { __typename }")
        .await
        .assert_problem(422);
    let invalid = "query Registered { nonsense { id } }";
    let refused = admin(&app, Method::PUT, &url(invalid), invalid.as_bytes()).await;
    refused.assert_problem(422);
    assert_eq!(refused.json()["errors"][0]["extensions"]["code"], "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(refused.json()["errors"][0]["locations"][0]["line"], 1);
    admin(&app, Method::PUT, &url(DOCUMENT), b"\xff").await.assert_problem(400);
    admin(&app, Method::PUT, "/q/nonsense", b"{ __typename }").await.assert_problem(400);
}

#[tokio::test]
async fn documents_are_listed_with_their_origin() {
    let app = TestApp::start(Mode::Trusted).await;
    admin(&app, Method::PUT, &url(DOCUMENT), DOCUMENT.as_bytes()).await;
    let list = admin(&app, Method::GET, "/q", b"").await;
    assert_eq!(list.status, 200);
    list.assert_not_stored();
    let list = list.json();
    let find = |text: &str| {
        let id = DocumentId::of(text).to_string();
        list["documents"]
            .as_array()
            .unwrap()
            .iter()
            .find(|document| document["id"] == *id)
            .unwrap()
            .clone()
    };
    assert_eq!(find(DOCUMENT)["stored"], true);
    let merchant = find(MERCHANT);
    assert_eq!(merchant["stored"], false);
    assert!(merchant["files"][0].as_str().unwrap().ends_with("queries/tests/merchant.graphql"));
    assert_eq!(merchant["operations"][0]["kind"], "query");
}

#[tokio::test]
async fn the_api_does_not_remove_a_document_that_a_file_holds() {
    let app = TestApp::start(Mode::Trusted).await;
    let refused = admin(&app, Method::DELETE, &url(MERCHANT), b"").await;
    refused.assert_problem(409);
    assert!(refused.json()["detail"].as_str().unwrap().contains("merchant.graphql"));
}

#[tokio::test]
async fn the_admin_api_needs_the_admin_token() {
    let app = TestApp::start(Mode::Open).await;
    let path = url(DOCUMENT);
    for (method, path) in
        [(Method::PUT, path.as_str()), (Method::DELETE, &path), (Method::GET, "/q")]
    {
        for value in ["", "Bearer wrong", "Basic dGVzdA=="] {
            let answer = app.ask(method.clone(), path, &[(AUTHORIZATION, value)]).await;
            answer.assert_problem(401);
            assert!(answer.header(WWW_AUTHENTICATE).starts_with("Bearer"));
        }
    }
    let app = TestApp::start_with(Mode::Open, |config| config.admin_token = None).await;
    for (method, path) in
        [(Method::PUT, path.as_str()), (Method::DELETE, &path), (Method::GET, "/q")]
    {
        let answer = admin(&app, method, path, b"").await;
        answer.assert_problem(StatusCode::FORBIDDEN.as_u16());
    }
}

#[tokio::test]
async fn a_document_that_no_longer_fits_the_model_is_kept_and_reported() {
    const OVERTAKEN: &str = "{ gone { id } }";
    let app = TestApp::start(Mode::Trusted).await;
    let id = DocumentId::of(OVERTAKEN).to_string();
    app.outsider().execute(&format!(
        "INSERT INTO _freshql_document (id, text) VALUES ('{id}', '{OVERTAKEN}')"
    ));

    let app = app.restart().await;
    let answer = app.get(&url(OVERTAKEN)).await;
    answer.assert_error(422, "GRAPHQL_VALIDATION_FAILED");
    let message = answer.json()["errors"][0]["message"].as_str().unwrap().to_owned();
    assert!(message.starts_with("the registered document is no longer valid: "), "{message}");
    let list = admin(&app, Method::GET, "/q", b"").await.json();
    let listed = list["documents"]
        .as_array()
        .unwrap()
        .iter()
        .find(|document| document["id"] == *id)
        .unwrap()
        .clone();
    assert_eq!(listed["valid"], false);
    assert_eq!(admin(&app, Method::DELETE, &url(OVERTAKEN), b"").await.status, 204);
}
