//! Mutations over HTTP: status codes, preconditions, and that nothing is stored.

use std::time::{Duration, Instant};

use freshql::config::{Database, Mode};
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use serde_json::json;

use crate::database::{Driver, driver};
use crate::harness::{CREATE, DELETE, MERCHANT, TestApp, UPDATE, url, url_with};

#[tokio::test]
async fn of_two_concurrent_edits_of_a_row_the_second_is_refused() {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, etag) = app.create_merchant("Merchant of the test").await;
    let update = |city: &str, etag: &str| json!({"variables": {"id": id, "patch": {"city": city}, "expectedEtag": etag}});

    let first = app.post(&url(UPDATE), &update("Bruges", &etag)).await;
    assert_eq!(first.status, 200);
    first.assert_not_stored();
    let new = first.json()["data"]["updateMerchant"]["etag"].as_str().unwrap().to_owned();
    assert_ne!(new, etag);

    let headers = [(ACCEPT, "application/graphql-response+json")];
    let second = app.post_with(&url(UPDATE), &update("Antwerp", &etag), &headers).await;
    second.assert_error(412, "PRECONDITION_FAILED");
    assert_eq!(second.header(CONTENT_TYPE), "application/graphql-response+json; charset=utf-8");
    let extensions = &second.json()["errors"][0]["extensions"];
    assert_eq!(extensions["currentEtag"], new);
    assert_eq!(extensions["current"]["city"], "Bruges");
}

#[tokio::test]
async fn if_match_stands_in_for_expected_etag() {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, etag) = app.create_merchant("Merchant of the test").await;
    let update = |city: &str| json!({"variables": {"id": id, "patch": {"city": city}}});
    let tag = format!("\"{etag}\"");

    assert_eq!(
        app.post_with(&url(UPDATE), &update("Bruges"), &[(IF_MATCH, &tag)]).await.status,
        200
    );
    let stale = app.post_with(&url(UPDATE), &update("Antwerp"), &[(IF_MATCH, &tag)]).await;
    stale.assert_error(412, "PRECONDITION_FAILED");
    assert_eq!(
        app.post_with(&url(UPDATE), &update("Leuven"), &[(IF_MATCH, "*")]).await.status,
        200
    );
    let weak = format!("W/{tag}");
    for (value, status, code) in [
        (weak.as_str(), 412, "PRECONDITION_FAILED"),
        ("", 412, "PRECONDITION_FAILED"),
        ("x", 400, "BAD_REQUEST"),
    ] {
        app.post_with(&url(UPDATE), &update("Antwerp"), &[(IF_MATCH, value)])
            .await
            .assert_error(status, code);
    }
    let answer = app.get(&url_with(MERCHANT, &json!({"id": id}))).await;
    assert_eq!(answer.json()["data"]["merchant"]["city"], "Leuven");
}

#[tokio::test]
async fn if_match_applies_to_the_one_field_that_takes_a_token() {
    let app = TestApp::start(Mode::Open).await;
    let (one, tag_of_one) = app.create_merchant("One").await;
    let (two, _) = app.create_merchant("Two").await;
    let move_to = |alias: &str, id: &str, etag: &str| {
        format!(
            r#"{alias}: updateMerchant(id: "{id}", patch: {{city: "Bruges"}}{etag}) {{ etag }}"#
        )
    };
    let run = async |fields: [&str; 2], tag: &str| {
        let query = format!("mutation {{ {} }}", fields.concat());
        app.post_with("/graphql", &json!({ "query": query }), &[(IF_MATCH, tag)]).await
    };
    let quoted = format!("\"{tag_of_one}\"");
    let both = run([&move_to("a", &one, ""), &move_to("b", &two, "")], &quoted).await;
    both.assert_error(400, "BAD_REQUEST");
    assert!(both.text().contains("give each its expectedEtag"), "{}", both.text());
    let none =
        r#"createMerchant(input: {name: "Three", description: "of a test", city: "Ghent"}) { id }"#;
    run([none, ""], &quoted).await.assert_error(400, "BAD_REQUEST");
    // The other field brings its own token, possibly in a form that clients have stored.
    let other = move_to("b", &two, r#", expectedEtag: "*""#);
    assert_eq!(run([&move_to("a", &one, ""), &other], &quoted).await.status, 200);
    run([&move_to("a", &one, ""), &other], &format!("\"{}\"", "A".repeat(16)))
        .await
        .assert_error(412, "PRECONDITION_FAILED");
    for spelling in ["{}", "\"{}\"", "W/\"{}\""] {
        let token = app.get(&url_with(MERCHANT, &json!({"id": two}))).await.json()["data"]["merchant"]["etag"].clone();
        let expected = spelling.replace("{}", token.as_str().unwrap());
        let body = json!({"variables": {"id": two, "patch": {"city": spelling}, "expectedEtag": expected}});
        assert_eq!(app.post(&url(UPDATE), &body).await.status, 200, "{spelling}");
        app.post(
            &url(UPDATE),
            &json!({"variables": {"id": two, "patch": {"city": "x"}, "expectedEtag": expected}}),
        )
        .await
        .assert_error(412, "PRECONDITION_FAILED");
    }
}

#[tokio::test]
async fn each_failed_write_has_its_status_and_code() {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, _) = app.create_merchant("Merchant of the test").await;
    let nobody = "01900000-0000-7000-8000-000000000000";

    app.post(&url(DELETE), &json!({"variables": {"id": nobody}}))
        .await
        .assert_error(404, "NOT_FOUND");
    let input = json!({"name": "Merchant of the test", "description": "again", "city": "Ghent"});
    app.post(&url(CREATE), &json!({"variables": {"input": input}}))
        .await
        .assert_error(409, "CONFLICT");
    let patch = json!({"id": id, "patch": {"city": null}});
    app.post(&url(UPDATE), &json!({"variables": patch})).await.assert_error(422, "BAD_USER_INPUT");
    app.post(&url(UPDATE), &json!({"variables": {"id": id}}))
        .await
        .assert_error(422, "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_post_is_never_answered_with_304() {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, _) = app.create_merchant("Merchant of the test").await;
    let get = app.get(&url_with(MERCHANT, &json!({"id": id}))).await;

    let body = json!({"variables": {"id": id}});
    let post = app.post_with(&url(MERCHANT), &body, &[(IF_NONE_MATCH, get.etag())]).await;
    assert_eq!(post.status, 200);
    post.assert_not_stored();
    assert_eq!(post.body, get.body);
    assert_eq!(
        format!("\"{}\"", post.json()["extensions"]["etag"].as_str().unwrap()),
        get.headers[ETAG]
    );

    let update = json!({"variables": {"id": id, "patch": {"city": "Bruges"}}});
    assert_eq!(app.post_with(&url(UPDATE), &update, &[(IF_NONE_MATCH, "*")]).await.status, 200);
}

#[tokio::test]
async fn a_body_is_json_of_a_bounded_length() {
    let app =
        TestApp::start_with(Mode::Trusted, |config| config.limits.max_body_bytes = 2048).await;
    let post = |content_type: &'static str, body: String| {
        app.request(http::Method::POST, &url(CREATE))
            .header(CONTENT_TYPE, content_type)
            .body(body)
            .send()
    };
    assert_eq!(post("text/plain", "{}".into()).await.unwrap().status(), 415);
    assert_eq!(post("application/json; charset=latin1", "{}".into()).await.unwrap().status(), 415);
    assert_eq!(post("application/json", "{".into()).await.unwrap().status(), 400);
    assert_eq!(post("application/json", "[]".into()).await.unwrap().status(), 400);
    assert_eq!(post("application/json", "\"variables\"".into()).await.unwrap().status(), 400);
    let long =
        post("application/json", format!("{{\"x\":\"{}\"}}", "x".repeat(3000))).await.unwrap();
    assert_eq!(long.status(), 413);
    assert_eq!(long.headers()[CONTENT_TYPE], "application/problem+json");
}

#[tokio::test]
async fn a_mutation_that_timed_out_in_the_queue_is_not_applied_later() {
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.limits.timeout = Duration::from_millis(400);
        if let Database::Postgres(url) = &mut config.database {
            url.writers = Some(1);
        }
    })
    .await;
    let lock = app.outsider();
    lock.execute(match driver() {
        Driver::Sqlite => "BEGIN IMMEDIATE",
        Driver::Postgres => "BEGIN; LOCK merchants",
    });
    let input = |name: &str| json!({"variables": {"input": {"name": name, "description": "", "city": "Ghent"}}});
    if driver() == Driver::Postgres {
        // It has begun, and holds the only connection for writing.
        app.post(&url(CREATE), &input("Begun")).await.assert_error(504, "TIMEOUT");
    }
    app.post(&url(CREATE), &input("Too late")).await.assert_error(504, "TIMEOUT");
    lock.execute("ROLLBACK");

    // Writers are served in turn, so this one's answer comes after the other's outcome is known. On
    // a very slow machine, it may come too late as well, after it was applied; then the name exists
    // already the next time.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !matches!(app.post(&url(CREATE), &input("In time")).await.status.as_u16(), 200 | 409) {
        assert!(Instant::now() < deadline, "the writer is stuck");
    }
    let count =
        |name: &str| lock.int(&format!("SELECT count(*) FROM merchants WHERE name = '{name}'"));
    assert_eq!((count("Too late"), count("In time")), (0, 1));
}
