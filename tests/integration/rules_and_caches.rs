//! An answer that depends on the viewer never reaches another one: not from the response cache,
//! through a URL that was requested before, a shared execution, an ETag, a cursor or a token. And
//! an answer that does not depend on the viewer is shared by all.

use http::header::{AUTHORIZATION, CACHE_CONTROL, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use freshql::config::Mode;

use crate::harness::{Answer, encode};
use crate::newsroom::{MODEL, Newsroom, path, role, token, user};

const POSTS: &str = "{ posts { nodes { id title etag } totalCount } }";
const TEAMS: &str = "{ teams { nodes { id name posts { totalCount } } } }";
const PAGES: &str = "{ pages { nodes { id title } totalCount } }";
const USERS: &str = "{ users { nodes { id name } } }";
const CHOSEN: &str =
    "query($where: UserWhere) { users(where: $where) { nodes { id } totalCount } }";
const POST: &str = "query($id: ID!) { post(id: $id) { id title } }";
const PAGED: &str = "query($after: String) { posts(first: 1, after: $after) { edges { cursor node { id } } pageInfo { hasNextPage endCursor } } }";

fn total(answer: &Answer, list: &str) -> Value {
    answer.json()["data"][list]["totalCount"].clone()
}

fn as_private(headers: &HeaderMap) {
    assert_eq!(headers[CACHE_CONTROL], "private, no-cache");
    assert_eq!(headers["cdn-cache-control"], "no-store");
    assert_eq!(headers[VARY], "Accept-Encoding, Authorization");
    assert!(headers.get("content-location").is_none());
}

#[tokio::test]
async fn viewers_alternating_at_one_url_each_get_their_own_answer() {
    let room = Newsroom::open(&[POSTS]).await;
    let viewers = [(user("ada"), 3), (user("bob"), 3), (user("eve"), 1), (role("x", "editor"), 4)];
    let mut etags = Vec::new();
    for turn in 0..3 {
        for (token, expected) in &viewers {
            let answer = room.get(POSTS, &Value::Null, Some(token)).await;
            assert_eq!(total(&answer, "posts"), *expected, "turn {turn}: {}", answer.text());
            as_private(&answer.headers);
            etags.push(answer.etag().to_owned());
        }
        let nobody = room.get(POSTS, &Value::Null, None).await;
        assert_eq!(total(&nobody, "posts"), 1);
        as_private(&nobody.headers);
    }
    // Each view has its own ETag, the same every time.
    assert!(etags.chunks(4).all(|turn| turn == &etags[..4]));
    assert_eq!(etags[..4].iter().collect::<std::collections::HashSet<_>>().len(), 4);
}

#[tokio::test]
async fn viewers_with_equal_views_share_one_cache_entry() {
    let room = Newsroom::with(MODEL, "", Mode::Open, &[POSTS]).await;
    let status = |answer: &Answer| answer.header("cache-status").to_owned();
    let first = room
        .get(POSTS, &Value::Null, Some(&token(&json!({"sub": "a", "roles": ["editor"]}))))
        .await;
    assert_eq!(status(&first), "freshql; fwd=miss");
    let second = room
        .get(POSTS, &Value::Null, Some(&token(&json!({"sub": "b", "roles": ["x", "editor"]}))))
        .await;
    assert_eq!((status(&second).as_str(), second.etag()), ("freshql; hit", first.etag()));
    let other = room.get(POSTS, &Value::Null, Some(&user("a"))).await;
    assert_eq!(status(&other), "freshql; fwd=miss");
    assert_ne!(other.etag(), first.etag());
}

#[tokio::test]
async fn an_etag_of_another_view_gets_no_304() {
    let room = Newsroom::open(&[POSTS]).await;
    let (ada, bob) = (user("ada"), user("bob"));
    let of_ada = room.get(POSTS, &Value::Null, Some(&ada)).await;
    for _ in 0..2 {
        let by_bob =
            room.get_with(POSTS, &Value::Null, Some(&bob), &[(IF_NONE_MATCH, of_ada.etag())]).await;
        assert_eq!(by_bob.status, 200, "{:?}", by_bob.headers);
        assert_ne!(by_bob.text(), of_ada.text());
        for headers in [&[(IF_NONE_MATCH, of_ada.etag())][..], &[(IF_NONE_MATCH, "*")][..]] {
            let again = room.get_with(POSTS, &Value::Null, Some(&ada), headers).await;
            assert_eq!(again.status, 304);
            as_private(&again.headers);
        }
        let anonymous =
            room.get_with(POSTS, &Value::Null, None, &[(IF_NONE_MATCH, of_ada.etag())]).await;
        assert_eq!(anonymous.status, 200);
    }
}

#[tokio::test]
async fn an_expired_token_gets_nothing_that_was_cached_with_it() {
    let room = Newsroom::open(&[POSTS]).await;
    let ada = user("ada");
    assert_eq!(total(&room.get(POSTS, &Value::Null, Some(&ada)).await, "posts"), 3);
    let mut bad = ada.clone();
    bad.pop();
    for token in [bad.as_str(), &format!("{ada}x"), "", "e30.e30.e30"] {
        let refused = room.get(POSTS, &Value::Null, Some(token)).await;
        refused.assert_error(401, "UNAUTHENTICATED");
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
    }
    // Two tokens count as none.
    let headers = [(AUTHORIZATION, &*format!("Bearer {ada}")), (AUTHORIZATION, "Bearer x")];
    assert_eq!(room.app.ask(Method::GET, &path(POSTS, &Value::Null), &headers).await.status, 400);
}

#[tokio::test]
async fn a_revoked_membership_takes_effect_at_once_and_changes_the_etag_only_of_what_it_showed() {
    let room = Newsroom::with(MODEL, ROWS_OF_TEAMS, Mode::Open, &[TEAMS, POSTS]).await;
    let (ada, bob) = (user("ada"), user("bob"));
    let before = room.get(TEAMS, &Value::Null, Some(&ada)).await;
    let of_bob = room.get(TEAMS, &Value::Null, Some(&bob)).await;
    assert_eq!(before.json()["data"]["teams"]["nodes"][0]["name"], "News", "{}", before.text());
    room.sql("DELETE FROM members WHERE id = 'm1'");
    let after =
        room.get_with(TEAMS, &Value::Null, Some(&ada), &[(IF_NONE_MATCH, before.etag())]).await;
    assert_eq!(after.status, 200);
    assert_eq!(after.json()["data"]["teams"]["nodes"], json!([]));
    // Bob's answer depends on his memberships, not on Ada's.
    let again = room.get(TEAMS, &Value::Null, Some(&bob)).await;
    assert_eq!((again.header("cache-status"), again.etag()), ("freshql; hit", of_bob.etag()));
    // A membership that shows Bob nothing more: executed again, with the same ETag.
    room.sql("INSERT INTO teams (id, name) VALUES ('t8', 'Empty'); INSERT INTO members (id, team_id, user_id) VALUES ('m8', 't8', 'bob')");
    let posts = room.get(POSTS, &Value::Null, Some(&bob)).await;
    room.sql("DELETE FROM members WHERE id = 'm8'");
    let again = room.get(POSTS, &Value::Null, Some(&bob)).await;
    assert_eq!((again.header("cache-status"), again.etag()), ("freshql; fwd=stale", posts.etag()));
}

const ROWS_OF_TEAMS: &str = "
INSERT INTO users (id, name) VALUES ('ada', 'Ada'), ('bob', 'Bob');
INSERT INTO teams (id, name) VALUES ('t1', 'News'), ('t2', 'Sport');
INSERT INTO members (id, team_id, user_id) VALUES ('m1', 't1', 'ada'), ('m2', 't2', 'bob');
INSERT INTO posts (id, title, status, author_id, team_id) VALUES ('p4', 'Team draft', 'DRAFT', 'bob', 't1');
";

#[tokio::test]
async fn a_public_answer_is_shared_and_its_errors_are_public_too() {
    let room = Newsroom::open(&[PAGES, USERS]).await;
    let anonymous = room.get(PAGES, &Value::Null, None).await;
    for token in [user("ada"), role("x", "editor"), "rubbish".to_owned()] {
        let answer = room
            .get_with(PAGES, &Value::Null, Some(&token), &[(IF_NONE_MATCH, anonymous.etag())])
            .await;
        assert_eq!(answer.status, 304);
        assert_eq!(answer.header(CACHE_CONTROL), anonymous.header(CACHE_CONTROL));
        assert_eq!(answer.header(VARY), "Accept-Encoding");
    }
    let bad = room
        .app
        .get(&format!("{}?variables={}", path(PAGES, &Value::Null), encode(r#"{"x":1}"#)))
        .await;
    bad.assert_error(422, "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_filter_reveals_no_hidden_row_or_field() {
    let room = Newsroom::open(&[CHOSEN]).await;
    let ask = async |r#where: Value, token: &str| {
        room.get(CHOSEN, &json!({"where": r#where}), Some(token)).await
    };
    let eve = user("eve");
    // Only those related rows count that the viewer may read.
    for (guess, is_there) in [("Draft of Ada", false), ("Open", true), ("Team draft", false)] {
        let guess = json!({"posts": {"some": {"title": {"eq": guess}}}});
        assert_eq!(total(&ask(guess, &eve).await, "users"), u8::from(is_there));
    }
    let none = ask(json!({"posts": {"none": {}}}), &eve).await;
    assert_eq!(total(&none, "users"), 2, "Bob has drafts only");
    let every = ask(json!({"posts": {"every": {"status": {"eq": "PUBLISHED"}}}}), &eve).await;
    assert_eq!(total(&every, "users"), 3);
    let within = json!({"posts": {"some": {"team": {"name": {"startsWith": "N"}}}}});
    assert_eq!(total(&ask(within.clone(), &eve).await, "users"), 0);
    assert_eq!(total(&ask(within, &user("ada")).await, "users"), 1);
    // A field that the viewer may not read cannot be used in a filter.
    for by_email in [
        json!({"email": {"startsWith": "a"}}),
        json!({"not": {"or": [{"email": {"isNull": true}}]}}),
        json!({"posts": {"some": {"notes": {"eq": "n1"}}}}),
    ] {
        let refused = ask(by_email.clone(), &eve).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (403, "FORBIDDEN"),
            "{by_email}"
        );
    }
}

#[tokio::test]
async fn an_order_by_a_field_that_may_not_be_read_is_refused() {
    let ordered = "query($by: [UserOrderBy!]) { users(orderBy: $by) { nodes { id } } }";
    let constant = "{ users(orderBy: [{email: ASC}]) { nodes { id } } }";
    let unique = "{ userByEmail(email: \"ada@example.com\") { id } }";
    let room = Newsroom::open(&[ordered, constant, unique]).await;
    let eve = user("eve");
    room.get(ordered, &json!({"by": [{"email": "ASC"}]}), Some(&eve))
        .await
        .assert_error(403, "FORBIDDEN");
    room.get(constant, &Value::Null, Some(&eve)).await.assert_error(403, "FORBIDDEN");
    assert_eq!(room.get(ordered, &json!({"by": [{"name": "DESC"}]}), Some(&eve)).await.status, 200);
    room.get(unique, &Value::Null, Some(&eve)).await.assert_error(403, "FORBIDDEN");
    assert_eq!(room.get(unique, &Value::Null, Some(&role("x", "admin"))).await.status, 200);
}

#[tokio::test]
async fn another_viewers_cursor_reveals_no_hidden_row() {
    let room = Newsroom::open(&[PAGED]).await;
    let page = async |after: &Value, token: &str| {
        room.get(PAGED, &json!({"after": after}), Some(token)).await.json()
    };
    let editor = role("x", "editor");
    let first = page(&Value::Null, &editor).await;
    let cursor = first["data"]["posts"]["pageInfo"]["endCursor"].clone();
    let by_eve = page(&cursor, &user("eve")).await;
    let posts = &by_eve["data"]["posts"];
    assert_eq!(posts["edges"][0]["node"]["id"], "p1", "{by_eve}");
    assert_eq!(
        (&posts["edges"].as_array().unwrap().len(), &posts["pageInfo"]["hasNextPage"]),
        (&1, &json!(false))
    );
}

#[tokio::test]
async fn a_relation_to_a_row_that_may_not_be_read_is_null() {
    let text = "{ posts { nodes { id team { id name } author { id } } } }";
    let room = Newsroom::open(&[text]).await;
    room.sql("UPDATE posts SET team_id = 't2' WHERE id = 'p1'");
    let ada = room.get(text, &Value::Null, Some(&user("ada"))).await;
    let teams: Vec<_> = ada.json()["data"]["posts"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|post| post["team"]["id"].clone())
        .collect();
    assert_eq!(Value::from(teams), json!([null, null, "t1"]), "{}", ada.text());
    ada.etag();
    // It changes when the row becomes visible.
    room.sql("INSERT INTO members (id, team_id, user_id) VALUES ('m9', 't2', 'ada')");
    let after =
        room.get_with(text, &Value::Null, Some(&user("ada")), &[(IF_NONE_MATCH, ada.etag())]).await;
    assert_eq!(after.json()["data"]["posts"]["nodes"][1]["team"]["id"], "t2", "{}", after.text());
}

#[tokio::test]
async fn concurrent_viewers_do_not_share_a_flight() {
    let room = Newsroom::open(&[POSTS]).await;
    let viewers =
        [(Some(user("ada")), 3), (Some(user("eve")), 1), (Some(role("x", "editor")), 4), (None, 1)];
    for round in 0..20 {
        // Nothing is stored for any of them, so each could be given another's execution.
        room.sql(&format!("UPDATE posts SET title = 'Open {round}' WHERE id = 'p1'"));
        let asked = viewers.iter().cycle().take(16).map(async |(token, expected)| {
            let answer = room.get(POSTS, &Value::Null, token.as_deref()).await;
            assert_eq!(total(&answer, "posts"), *expected, "{}", answer.text());
        });
        futures_util::future::join_all(asked).await;
    }
}

#[tokio::test]
async fn a_row_found_by_its_key_depends_on_what_grants_it() {
    let room = Newsroom::open(&[POST]).await;
    let ada = user("ada");
    // Bob's draft, which Ada's team may read.
    let of_team = json!({"id": "p4"});
    for _ in 0..2 {
        let shown = room.get(POST, &of_team, Some(&ada)).await;
        assert_eq!(shown.json()["data"]["post"]["title"], "Team draft", "{}", shown.text());
        room.sql("DELETE FROM members WHERE id = 'm1'");
        let gone =
            room.get_with(POST, &of_team, Some(&ada), &[(IF_NONE_MATCH, shown.etag())]).await;
        assert_eq!((gone.status.as_u16(), &gone.json()["data"]["post"]), (200, &Value::Null));
        room.sql("INSERT INTO members (id, team_id, user_id) VALUES ('m1', 't1', 'ada')");
    }
}

#[tokio::test]
async fn persisted_automatic_and_ad_hoc_requests_have_the_same_rules() {
    let room = Newsroom::with(MODEL, ROWS_OF_TEAMS, Mode::Open, &[]).await;
    let ada = format!("Bearer {}", user("ada"));
    let eve = format!("Bearer {}", user("eve"));
    for _ in 0..2 {
        for (bearer, expected) in [(&ada, 1), (&eve, 0)] {
            let headers = [(AUTHORIZATION, bearer.as_str())];
            let by_get = format!("/graphql?query={}", encode(POSTS));
            let answer = room.app.ask(Method::GET, &by_get, &headers).await;
            assert_eq!(total(&answer, "posts"), expected, "{}", answer.text());
            assert_eq!(answer.header(CACHE_CONTROL), "private, no-cache");
            assert_eq!(answer.header(VARY), "Accept, Accept-Encoding, Authorization");
            let by_post = room.app.post_with("/graphql", &json!({"query": POSTS}), &headers).await;
            assert_eq!(
                (total(&by_post, "posts"), by_post.header(CACHE_CONTROL)),
                (json!(expected), "no-store")
            );
        }
    }
}
