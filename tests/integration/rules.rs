//! Rules for reading: rows that a viewer may not read do not exist in lists, counts, relations,
//! filters and lookups; fields that a viewer may not read make the operation refused.

use http::header::{CACHE_CONTROL, VARY};
use serde_json::{Value, json};

use crate::newsroom::{Newsroom, role, token, user};

const POSTS: &str = "{ posts { nodes { id } totalCount } }";
const POST: &str = "query Post($id: ID!) { post(id: $id) { id title } }";
const BY_SLUG: &str = "query($slug: String!) { postBySlug(slug: $slug) { id } }";
const NOTES: &str = "{ posts { nodes { id notes } } }";
const PAGES: &str = "{ pages { nodes { id } totalCount } }";
const AUTHORS: &str = "{ users { nodes { id posts { nodes { id } totalCount } } } }";

fn ids(answer: &Value, list: &str) -> String {
    let nodes = answer["data"][list]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    nodes.iter().map(|node| node["id"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn rows_that_may_not_be_read_are_in_no_list_and_in_no_count() {
    let room = Newsroom::open(&[POSTS, AUTHORS]).await;
    for (token, expected) in [
        (None, "p1"),
        (Some(user("ada")), "p2 p1 p4"),
        (Some(user("bob")), "p3 p1 p4"),
        (Some(user("eve")), "p1"),
        (Some(role("eve", "editor")), "p2 p3 p1 p4"),
        (Some(token(&json!({"roles": "writer editor"}))), "p2 p3 p1 p4"),
        (Some(token(&json!({"roles": ["editors"]}))), "p1"),
    ] {
        let answer = room.get(POSTS, &Value::Null, token.as_deref()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(ids(&answer.json(), "posts"), expected);
        assert_eq!(answer.json()["data"]["posts"]["totalCount"], expected.split(' ').count());
    }
    let bob = room.get(AUTHORS, &Value::Null, Some(&user("bob"))).await.json();
    let ada = &bob["data"]["users"]["nodes"][0];
    assert_eq!((&ada["id"], &ada["posts"]["totalCount"]), (&json!("ada"), &json!(1)), "{bob}");
}

#[tokio::test]
async fn a_row_that_may_not_be_read_is_found_by_no_key() {
    let room = Newsroom::open(&[POST, BY_SLUG]).await;
    let (ada, bob) = (user("ada"), user("bob"));
    for (token, is_found) in [(&ada, true), (&bob, false)] {
        let by_id = room.get(POST, &json!({"id": "p2"}), Some(token)).await;
        assert_eq!(by_id.json()["data"]["post"].is_object(), is_found, "{}", by_id.text());
        let by_slug = room.get(BY_SLUG, &json!({"slug": "ada-1"}), Some(token)).await;
        assert_eq!(
            by_slug.json()["data"]["postBySlug"].is_object(),
            is_found,
            "{}",
            by_slug.text()
        );
        // A missing row has an ETag, too.
        by_id.etag();
        by_slug.etag();
    }
    // It becomes visible when it changes.
    let before = room.get(BY_SLUG, &json!({"slug": "ada-1"}), Some(&bob)).await;
    room.sql("UPDATE posts SET status = 'PUBLISHED' WHERE id = 'p2'");
    let after = room.get(BY_SLUG, &json!({"slug": "ada-1"}), Some(&bob)).await;
    assert!(
        after.json()["data"]["postBySlug"].is_object() && after.etag() != before.etag(),
        "{}",
        after.text()
    );
    assert!(
        room.get(POST, &json!({"id": "p2"}), Some(&bob)).await.json()["data"]["post"].is_object()
    );
}

#[tokio::test]
async fn a_condition_without_claims_leaves_an_answer_public() {
    let room = Newsroom::open(&[PAGES]).await;
    let anybody = room.get(PAGES, &Value::Null, None).await;
    assert_eq!(ids(&anybody.json(), "pages"), "g1");
    assert!(anybody.header(CACHE_CONTROL).starts_with("public"), "{:?}", anybody.headers);
    assert_eq!(anybody.header(VARY), "Accept-Encoding");
    // The token is ignored, even if it is not one.
    let with_rubbish = room.get(PAGES, &Value::Null, Some("rubbish")).await;
    assert_eq!((with_rubbish.etag(), with_rubbish.text()), (anybody.etag(), anybody.text()));
}

#[tokio::test]
async fn an_answer_that_depends_on_who_asks_is_private() {
    let room = Newsroom::open(&[POSTS]).await;
    for _ in 0..2 {
        let answer = room.get(POSTS, &Value::Null, Some(&user("ada"))).await;
        assert_eq!(answer.header(CACHE_CONTROL), "private, no-cache");
        assert_eq!(answer.header("cdn-cache-control"), "no-store");
        assert_eq!(answer.header(VARY), "Accept-Encoding, Authorization");
    }
    let bad = room.get(POSTS, &Value::Null, Some("rubbish")).await;
    bad.assert_error(401, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_field_that_may_not_be_read_refuses_the_operation() {
    let room = Newsroom::open(&[NOTES]).await;
    let refused = room.get(NOTES, &Value::Null, Some(&user("ada"))).await;
    refused.assert_error(403, "FORBIDDEN");
    assert_eq!(refused.json()["errors"][0]["path"], json!(["posts", "nodes", "notes"]));
    room.get(NOTES, &Value::Null, None).await.assert_error(401, "UNAUTHENTICATED");
    let allowed = room.get(NOTES, &Value::Null, Some(&role("eve", "editor"))).await;
    assert_eq!(allowed.json()["data"]["posts"]["nodes"][0]["notes"], "n2", "{}", allowed.text());
}

#[tokio::test]
async fn malformed_claims_reveal_no_more_than_none() {
    let room = Newsroom::open(&[POSTS, NOTES]).await;
    let long = "ada".repeat(1000);
    for claims in [
        json!({"sub": ["ada"]}),
        json!({"sub": {"eq": "ada"}}),
        json!({"sub": {"neq": "x"}}),
        json!({"sub": 7}),
        json!({"sub": 1e300}),
        json!({"sub": true}),
        json!({"sub": null}),
        json!({"sub": ""}),
        json!({"sub": "ADA"}),
        json!({"sub": "ada "}),
        json!({"sub": "ada\u{0}"}),
        // It starts with a Cyrillic letter.
        json!({"sub": "\u{430}da"}),
        json!({"sub": "a%"}),
        json!({"sub": "$sub"}),
        json!({"sub": "ada' OR '1' = '1"}),
        json!({"sub": long}),
        json!({"SUB": "ada", "sub ": "ada"}),
        json!({"roles": {"editor": true}}),
        json!({"roles": [["editor"]]}),
        json!({"roles": ["Editor", "editor ", ""]}),
        json!({"roles": "Editor,editor"}),
        json!({"roles": true, "role": "editor"}),
        json!({"realm": {"roles": ["editor"]}}),
    ] {
        let token = token(&claims);
        let answer = room.get(POSTS, &Value::Null, Some(&token)).await;
        assert_eq!(answer.status, 200, "{claims}: {}", answer.text());
        assert_eq!(ids(&answer.json(), "posts"), "p1", "{claims}");
        room.get(NOTES, &Value::Null, Some(&token)).await.assert_error(403, "FORBIDDEN");
    }
}
