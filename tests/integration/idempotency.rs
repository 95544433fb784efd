//! `Idempotency-Key`: a repeated mutation takes effect once.

use std::time::Duration;

use freshql::config::{Config, Mode};
use http::HeaderName;
use http::header::IF_MATCH;
use serde_json::{Value, json};

use crate::database::{Driver, driver};
use crate::harness::{Answer, CREATE, DELETE, TestApp, UPDATE, url};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

async fn create(app: &TestApp, key: &str, name: &str) -> Answer {
    let input = json!({"name": name, "description": "of a test", "city": "Ghent"});
    app.post_with(&url(CREATE), &json!({"variables": {"input": input}}), &[(KEY, key)]).await
}

fn count(app: &TestApp, sql: &str) -> i64 {
    app.outsider().int(sql)
}

#[tokio::test]
async fn a_retry_gets_the_same_answer_and_writes_nothing() {
    let app = TestApp::start(Mode::Trusted).await;
    let first = create(&app, "\"one\"", "Kept").await;
    assert_eq!(first.status, 200, "{}", first.text());
    let again = create(&app, "one", "Kept").await;
    assert_eq!((again.status, again.text()), (first.status, first.text()));
    assert_eq!(again.header("cache-control"), "no-store");
    // Also on another server, and after a restart.
    assert_eq!(create(&app.beside().await, "\"one\"", "Kept").await.text(), first.text());
    let app = app.restart().await;
    assert_eq!(create(&app, "\"one\"", "Kept").await.text(), first.text());
    assert_eq!(count(&app, "SELECT count(*) FROM merchants WHERE name = 'Kept'"), 1);
    // With another key it is another mutation, and a second merchant with that name is impossible.
    create(&app, "\"two\"", "Kept").await.assert_error(409, "CONFLICT");
}

#[tokio::test]
async fn the_key_of_another_request_is_refused() {
    let app = TestApp::start(Mode::Trusted).await;
    create(&app, "\"one\"", "First").await;
    create(&app, "\"one\"", "Second").await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(count(&app, "SELECT count(*) FROM merchants WHERE name = 'Second'"), 0);
    for key in ["\"", "", "a b", &"a".repeat(256)] {
        create(&app, key, "Third").await.assert_error(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn the_stored_answer_comes_before_preconditions_and_a_refusal_consumes_no_key() {
    let app = TestApp::start(Mode::Trusted).await;
    let (id, etag) = app.create_merchant("Moved").await;
    let body = json!({"variables": {"id": id, "patch": {"city": "Porto"}, "expectedEtag": etag}});
    let moved = app.post_with(&url(UPDATE), &body, &[(KEY, "\"move\"")]).await;
    assert_eq!(moved.status, 200, "{}", moved.text());
    // The answer was lost. The row has a new version now, from this mutation itself.
    let again = app.post_with(&url(UPDATE), &body, &[(KEY, "\"move\"")]).await;
    assert_eq!((again.status, again.text()), (moved.status, moved.text()));
    app.post_with(&url(UPDATE), &body, &[(KEY, "\"late\"")])
        .await
        .assert_error(412, "PRECONDITION_FAILED");

    let body = json!({"variables": {"id": id, "patch": {"city": "Lyon"}}});
    let tag = format!("\"{etag}\"");
    let refused = app.post_with(&url(UPDATE), &body, &[(KEY, "\"lyon\""), (IF_MATCH, &tag)]).await;
    refused.assert_error(412, "PRECONDITION_FAILED");
    let current = moved.json()["data"]["updateMerchant"]["etag"].as_str().unwrap().to_owned();
    let tag = format!("\"{current}\"");
    let done = app.post_with(&url(UPDATE), &body, &[(KEY, "\"lyon\""), (IF_MATCH, &tag)]).await;
    assert_eq!(done.status, 200, "{}", done.text());

    // A deleted row stays deleted.
    let delete = json!({"variables": {"id": id}});
    let gone = app.post_with(&url(DELETE), &delete, &[(KEY, "\"gone\"")]).await;
    let again = app.post_with(&url(DELETE), &delete, &[(KEY, "\"gone\"")]).await;
    assert_eq!((gone.status.as_u16(), again.text()), (200, gone.text()));
    app.post(&url(DELETE), &delete).await.assert_error(404, "NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_concurrent_retries_one_takes_effect_and_the_others_get_its_answer() {
    let app = TestApp::start(Mode::Trusted).await;
    let other = app.beside().await;
    let asked = (0..16).map(|i| create(if i % 2 == 0 { &app } else { &other }, "\"same\"", "Once"));
    let answers: Vec<Answer> = futures_util::future::join_all(asked).await;
    let done: Vec<Value> =
        answers.iter().filter(|answer| answer.status == 200).map(Answer::json).collect();
    assert!(!done.is_empty() && done.iter().all(|answer| *answer == done[0]));
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.assert_error(409, "IDEMPOTENCY_KEY_IN_USE");
    }
    assert_eq!(create(&app, "\"same\"", "Once").await.json(), done[0]);
    assert_eq!(count(&app, "SELECT count(*) FROM merchants WHERE name = 'Once'"), 1);
}

/// Makes all stored answers this much older.
fn age(app: &TestApp, seconds: u32) {
    let by = match driver() {
        Driver::Sqlite => seconds.to_string(),
        Driver::Postgres => format!("interval '{seconds} seconds'"),
    };
    app.outsider().execute(&format!("UPDATE _freshql_idempotency SET at = at - {by}"));
}

#[tokio::test]
async fn keys_are_forgotten_after_a_day() {
    let app = TestApp::start(Mode::Trusted).await;
    let old = create(&app, "\"old\"", "Old").await;
    age(&app, 86_300);
    assert_eq!(create(&app, "\"old\"", "Old").await.text(), old.text());
    age(&app, 100);
    assert_eq!(create(&app, "\"old\"", "New").await.status, 200);
    assert_eq!(count(&app, "SELECT count(*) FROM _freshql_idempotency"), 1);
    assert_eq!(count(&app, "SELECT count(*) FROM merchants WHERE name = 'New'"), 1);
}

#[tokio::test]
async fn how_long_keys_are_kept_is_a_setting() {
    let retention = |config: &mut Config| config.idempotency_retention = "10m".parse().unwrap();
    let app = TestApp::start_with(Mode::Trusted, retention).await;
    let old = create(&app, "\"old\"", "Old").await;
    age(&app, 500);
    assert_eq!(create(&app, "\"old\"", "Old").await.text(), old.text());
    create(&app, "\"old\"", "New").await.assert_error(422, "IDEMPOTENCY_KEY_REUSED");
    age(&app, 100);
    // It is an ordinary mutation now, and this merchant exists already.
    create(&app, "\"old\"", "Old").await.assert_error(409, "CONFLICT");
    assert_eq!(create(&app, "\"old\"", "New").await.status, 200);
    assert_eq!(count(&app, "SELECT count(*) FROM _freshql_idempotency"), 1);

    // With real time and the shortest possible retention.
    let second = |config: &mut Config| config.idempotency_retention = "1s".parse().unwrap();
    let app = app.beside_with(second).await;
    assert_eq!(create(&app, "\"short\"", "First").await.status, 200);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(create(&app, "\"short\"", "Second").await.status, 200);
}
