//! Two releases side by side that write different bytes for the same rows: behind one address, no
//! ETag ever stands for two bodies, and none is confirmed by the other release.

use std::collections::HashMap;

use bytes::Bytes;
use freshql::config::Mode;
use freshql::etag::RENDERING;
use http::header::{ACCEPT_ENCODING, ETAG, IF_NONE_MATCH};
use serde_json::json;

use crate::harness::{Answer, MERCHANT, MERCHANTS, TestApp, UPDATE, url, url_with};

fn etag(answer: &Answer) -> String {
    answer.headers[ETAG].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn releases_with_different_formats_share_no_etag_and_every_token() {
    let older = TestApp::start(Mode::Trusted).await;
    let newer = older.beside_of(RENDERING + 1, |_| {}).await;
    let (id, mut token) = older.create_merchant("The shop").await;
    let paths = [
        url_with(MERCHANT, &json!({"id": id})),
        url_with(MERCHANT, &json!({"id": "0190d0a1-7f3c-7000-8000-000000000001"})),
        url(MERCHANTS),
        url_with(MERCHANTS, &json!({"first": 1})),
    ];
    // What a cache in front of both stores: the body contains the ETag, so two releases' differ.
    let mut stored: HashMap<String, Bytes> = HashMap::new();
    for round in 0..3 {
        for path in &paths {
            for coding in ["identity", "gzip", "br"] {
                let mut given = Vec::new();
                for node in [&older, &newer] {
                    let answer = node.get_with(path, &[(ACCEPT_ENCODING, coding)]).await;
                    assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
                    let tag = etag(&answer);
                    let body = stored.entry(tag.clone()).or_insert_with(|| answer.body.clone());
                    assert_eq!(*body, answer.body, "two bodies under {tag}");
                    given.push(tag);
                }
                assert_ne!(given[0], given[1], "{path}");
                for (node, own, other) in
                    [(&older, &given[0], &given[1]), (&newer, &given[1], &given[0])]
                {
                    let both = format!("{other}, {own}");
                    for (asked, status) in [
                        (own.clone(), 304),
                        (other.clone(), 200),
                        (format!("W/{other}"), 200),
                        (both, 304),
                    ] {
                        let headers = [(ACCEPT_ENCODING, coding), (IF_NONE_MATCH, &asked)];
                        let answer = node.get_with(path, &headers).await;
                        assert_eq!(answer.status, status, "{path}: {asked}");
                        // A cache takes the stored body that a 304 names.
                        assert_eq!(etag(&answer), *own, "{path}: {asked}");
                    }
                }
            }
        }
        // Tokens are of rows, whose versions both know.
        let node = if round % 2 == 0 { &newer } else { &older };
        let variables =
            json!({"id": id, "patch": {"city": format!("{round}")}, "expectedEtag": token});
        let answer = node.post(&url(UPDATE), &json!({"variables": variables})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        token = answer.json()["data"]["updateMerchant"]["etag"].as_str().unwrap().to_owned();
    }
}
