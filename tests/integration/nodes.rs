//! Several servers on one database: after one of them has registered or removed a document, the
//! next request to any of them sees that.

use std::sync::Arc;
use std::time::Duration;

use freshql::config::{Consistency, Mode};
use freshql::document_id::DocumentId;
use freshql::persisted::Sha256Hash;
use http::Method;
use http::header::IF_NONE_MATCH;
use serde_json::json;

use crate::database::{Driver, Outsider, driver};
use crate::harness::{CREATE, MERCHANTS, TestApp, encode, url};

const DOCUMENT: &str = "query Registered { merchants(first: 1) { totalCount } }";
const WRITES: &str =
    "mutation Registered($input: MerchantInput!) { createMerchant(input: $input) { name } }";

async fn put(app: &TestApp, text: &str) -> u16 {
    app.admin(Method::PUT, &url(text), text).await.status.as_u16()
}

async fn delete(app: &TestApp, text: &str) -> u16 {
    app.admin(Method::DELETE, &url(text), "").await.status.as_u16()
}

async fn is_listed(app: &TestApp, text: &str) -> bool {
    let id = DocumentId::of(text).to_string();
    let list = app.admin(Method::GET, "/q", "").await.json();
    list["documents"].as_array().unwrap().iter().any(|document| document["id"] == *id)
}

/// All URLs of a query.
fn urls(text: &str) -> [String; 5] {
    let (id, hash) = (DocumentId::of(text), Sha256Hash::of(text));
    let apollo =
        json!({"persistedQuery": {"version": 1, "sha256Hash": hash.to_string()}}).to_string();
    [
        format!("/q/{id}"),
        format!("/q/sha256:{hash}"),
        format!("/q/{hash}"),
        format!("/graphql?documentId=x-blake3:{id}"),
        format!("/graphql?extensions={}", encode(&apollo)),
    ]
}

/// Whether every URL serves the document, or none of them does.
async fn is_served(app: &TestApp, text: &str) -> bool {
    let mut served = Vec::new();
    for url in urls(text) {
        // Apollo's clients learn of a miss in a 200.
        let answer = app.get(&url).await;
        served.push(answer.status == 200 && answer.json().get("data").is_some());
        assert!(
            served[0] || answer.status == 404 || answer.json().get("errors").is_some(),
            "{url}: {}",
            answer.text()
        );
    }
    assert!(served.iter().all(|is| *is == served[0]), "{served:?}");
    assert_eq!(is_listed(app, text).await, served[0]);
    served[0]
}

#[tokio::test]
async fn what_one_server_registers_or_removes_the_next_request_to_another_knows() {
    for mode in [Mode::Trusted, Mode::Open] {
        let a = TestApp::start(mode).await;
        // Also without a cache: registrations do not depend on it.
        let b = a.beside_with(|config| config.cache_size = "0".parse().unwrap()).await;
        let c = a.beside().await;
        for round in 0..3 {
            for app in [&a, &b, &c] {
                assert!(!is_served(app, DOCUMENT).await, "{round}");
            }
            let (by, from) = [(&a, &c), (&c, &b), (&b, &a)][round];
            assert_eq!(put(by, DOCUMENT).await, 201);
            for app in [&a, &b, &c] {
                assert!(is_served(app, DOCUMENT).await, "{round}");
            }
            assert_eq!(put(from, DOCUMENT).await, 200, "it is there already");
            // Requested until the URL alone leads to the cached answer.
            let etag = a.get(&url(DOCUMENT)).await.etag().to_owned();
            for app in [&a, &c, &a, &c] {
                assert_eq!(
                    app.get_with(&url(DOCUMENT), &[(IF_NONE_MATCH, &etag)]).await.status,
                    304
                );
            }
            assert_eq!(delete(from, DOCUMENT).await, 204);
            assert_eq!(a.get_with(&url(DOCUMENT), &[(IF_NONE_MATCH, &etag)]).await.status, 404);
            assert_eq!(c.get(&url(DOCUMENT)).await.status, 404);
            assert_eq!(delete(by, DOCUMENT).await, 404, "it is gone already");
        }
        assert_eq!(put(&a, WRITES).await, 201);
        let input = json!({"name": "By another's document", "description": "", "city": "Ghent"});
        let body = json!({"variables": {"input": input}});
        assert_eq!(c.post(&url(WRITES), &body).await.status, 200);
        assert_eq!(delete(&a, WRITES).await, 204);
        assert_eq!(c.post(&url(WRITES), &body).await.status, 404);
    }
}

#[tokio::test]
async fn an_apq_document_can_be_registered_and_removed() {
    let a = TestApp::start(Mode::Open).await;
    let b = a.beside().await;
    let ad_hoc = format!("/graphql?query={}", encode(DOCUMENT));
    let learned = b.get(&ad_hoc).await;
    assert_eq!((learned.status.as_u16(), b.get(&url(DOCUMENT)).await.status.as_u16()), (200, 404));
    assert!(!learned.headers.contains_key("content-location"));
    assert_eq!(put(&a, DOCUMENT).await, 201);
    assert_eq!(b.get(&ad_hoc).await.header("content-location"), url(DOCUMENT));
    assert_eq!(delete(&a, DOCUMENT).await, 204);
    let again = b.get(&ad_hoc).await;
    assert!(again.status == 200 && !again.headers.contains_key("content-location"));
    assert_eq!(b.get(&url(DOCUMENT)).await.status, 404);
}

/// Servers on one database, whose feeds an external writer keeps busy. Each document belongs to one
/// task, which knows its state; tasks and requests interleave in every order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_order_of_registrations_removals_and_requests_shows_a_document_that_is_not_registered() {
    let a = TestApp::start(Mode::Trusted).await;
    let b = a.beside().await;
    let database = a.config.database.clone();
    let apps = Arc::new([a, b]);
    let busy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let writing = {
        let busy = busy.clone();
        std::thread::spawn(move || {
            let writer = Outsider::of(&database);
            if let Outsider::Sqlite(connection) = &writer {
                connection.busy_timeout(Duration::from_secs(30)).unwrap();
            }
            while busy.load(std::sync::atomic::Ordering::Relaxed) {
                writer
                    .execute("UPDATE merchants SET city = city || '.' WHERE name = (SELECT min(name) FROM merchants)");
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let tasks = (0..6_u64).map(|task| {
        let apps = apps.clone();
        tokio::spawn(async move {
            let text = format!("query Task{task} {{ merchants(first: 1) {{ nodes {{ city }} }} }}");
            let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(task + 1);
            let mut any = |below: u64| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                usize::try_from((random >> 33) % below).unwrap()
            };
            let mut is_there = false;
            for _ in 0..40 {
                let by = &apps[any(2)];
                let is_put = any(2) == 0;
                let expected = match (is_put, is_there) {
                    (true, true) => 200,
                    (true, false) => 201,
                    (false, true) => 204,
                    (false, false) => 404,
                };
                let status = if is_put { put(by, &text).await } else { delete(by, &text).await };
                assert_eq!(status, expected);
                is_there = is_put;
                for _ in 0..any(4) {
                    let answer = apps[any(2)].get(&url(&text)).await;
                    assert_eq!(
                        answer.status,
                        if is_there { 200 } else { 404 },
                        "{}",
                        answer.text()
                    );
                }
            }
        })
    });
    let tasks: Vec<_> = tasks.collect();
    for task in tasks {
        task.await.unwrap();
    }
    busy.store(false, std::sync::atomic::Ordering::Relaxed);
    writing.join().unwrap();
}

#[tokio::test]
async fn a_registration_is_known_even_if_its_log_record_was_pruned() {
    let a = TestApp::start(Mode::Trusted).await;
    let b = a.beside().await;
    assert_eq!(put(&a, DOCUMENT).await, 201);
    a.create_merchant("Newest").await;
    // In the same way as the servers that prune.
    let prune = match driver() {
        Driver::Sqlite => {
            "DELETE FROM _freshql_change WHERE seq < (SELECT max(seq) FROM _freshql_change)"
        }
        Driver::Postgres => {
            "BEGIN; DELETE FROM _freshql_change WHERE xid < (SELECT max(xid) FROM _freshql_change);
             UPDATE _freshql_run SET floor = (SELECT max(xid) FROM _freshql_change); COMMIT"
        }
    };
    a.outsider().execute(prune);
    assert!(is_served(&b, DOCUMENT).await);
    assert_eq!(delete(&a, DOCUMENT).await, 204);
    a.create_merchant("Newer").await;
    a.outsider().execute(prune);
    assert!(!is_served(&b, DOCUMENT).await);
}

#[tokio::test]
async fn with_a_bound_own_registrations_are_visible_at_once_and_those_of_others_after_it() {
    let bound = Duration::from_millis(30);
    let bounded =
        |config: &mut freshql::config::Config| config.consistency = Consistency::Bounded(bound);
    let a = TestApp::start_with(Mode::Trusted, bounded).await;
    let b = a.beside().await;
    for round in 0..3 {
        assert_eq!(put(&a, DOCUMENT).await, 201, "{round}");
        assert_eq!(a.get(&url(DOCUMENT)).await.status, 200);
        tokio::time::sleep(bound).await;
        assert_eq!(b.get(&url(DOCUMENT)).await.status, 200);
        assert_eq!(delete(&a, DOCUMENT).await, 204);
        assert_eq!(a.get(&url(DOCUMENT)).await.status, 404);
        tokio::time::sleep(bound).await;
        assert_eq!(b.get(&url(DOCUMENT)).await.status, 404);
    }
}

/// A rolling deployment of new query files.
#[tokio::test]
async fn servers_with_other_query_files_serve_each_others_documents() {
    const EDITED: &str = "query Merchants { merchants(first: 2) { nodes { id name } } }";
    let file = |app: &TestApp| app.directory.path().join("queries/tests/merchants.graphql");
    let old = TestApp::start(Mode::Trusted).await;
    let etag = old.get(&url(MERCHANTS)).await.etag().to_owned();
    std::fs::write(file(&old), EDITED).unwrap();
    let new = old.beside().await;
    for app in [&old, &new] {
        assert_eq!(
            app.get(&url(EDITED)).await.status,
            200,
            "a page from the new server may ask the old one"
        );
        assert_eq!(app.get_with(&url(MERCHANTS), &[(IF_NONE_MATCH, &etag)]).await.status, 304);
        assert_eq!(app.get_with(&url(MERCHANTS), &[(IF_NONE_MATCH, &etag)]).await.status, 304);
    }
    let newest = new.beside().await;
    // A document that has left all files and expired is gone everywhere, except where a file still
    // has it.
    assert_eq!(delete(&newest, MERCHANTS).await, 204);
    assert_eq!(newest.get(&url(MERCHANTS)).await.status, 404);
    assert_eq!(new.get_with(&url(MERCHANTS), &[(IF_NONE_MATCH, &etag)]).await.status, 404);
    assert_eq!(old.get_with(&url(MERCHANTS), &[(IF_NONE_MATCH, &etag)]).await.status, 304);
    // After one of them has registered it permanently, it stays whatever happens to the files.
    assert_eq!(put(&old, MERCHANTS).await, 200);
    let new = new.restart().await;
    for app in [&old, &new, &newest] {
        assert_eq!(app.get(&url(MERCHANTS)).await.status, 200);
        assert_eq!(app.get(&url(CREATE)).await.status, 405);
    }
}

/// Documents of a newer release may not fit an older server's model, which must tolerate that.
#[tokio::test]
async fn a_document_that_does_not_fit_this_servers_model_is_reported() {
    let a = TestApp::start(Mode::Trusted).await;
    let text = "query Newer { merchants { nodes { colour } } }";
    let (id, fits_a_newer_model) = (DocumentId::of(text), a.outsider());
    assert_eq!(put(&a, text).await, 422);
    fits_a_newer_model.execute(&format!(
        "INSERT INTO _freshql_document (id, text) VALUES ('{id}', '{text}');
         INSERT INTO _freshql_change (entity, id, op, parts) VALUES ('/q', '{id}', 'U', '{{}}')"
    ));
    let answer = a.get(&url(text)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (422, "GRAPHQL_VALIDATION_FAILED")
    );
    assert!(
        answer.text().contains("the registered document is no longer valid"),
        "{}",
        answer.text()
    );
    assert_eq!(delete(&a, text).await, 204);
    assert_eq!(a.get(&url(text)).await.status, 404);
}

/// A document that is not in a restored backup is no longer registered, however the server learned
/// of it.
#[tokio::test]
async fn database_that_is_replaced_under_a_server_brings_its_own_registrations() {
    // A server's database file is not replaced while PostgreSQL runs.
    if driver() != Driver::Sqlite {
        return;
    }
    let a = TestApp::start(Mode::Trusted).await;
    assert_eq!(put(&a, WRITES).await, 201);
    let backup = a.directory.path().join("backup.db");
    let sql = format!("VACUUM INTO '{}'", backup.display());
    a.outsider().execute(&sql);
    assert_eq!((put(&a, DOCUMENT).await, delete(&a, WRITES).await), (201, 204));
    assert_eq!(a.get(&url(DOCUMENT)).await.status, 200);
    std::fs::rename(&backup, a.database()).unwrap();
    let begun = std::time::Instant::now();
    while a.get(&url(DOCUMENT)).await.status != 404 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is served for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A mutation is known again: it does not allow GET.
    assert_eq!(a.get(&url(WRITES)).await.status, 405);
}
