//! Rules for writing, case by case: what a viewer learns about a row that does not exist, is
//! invisible, may be read but not written, has changed, or would end up in a state that is not
//! allowed.

use http::header::HeaderName;
use serde_json::{Value, json};

use crate::newsroom::{Newsroom, role, token, user};

const CREATE: &str =
    "mutation($input: PostInput!) { createPost(input: $input) { id etag author { id } } }";
const UPDATE: &str = "mutation($id: ID!, $patch: PostPatch!, $etag: String) {
  updatePost(id: $id, patch: $patch, expectedEtag: $etag) { id etag title } }";
const DELETE: &str =
    "mutation($id: ID!, $etag: String) { deletePost(id: $id, expectedEtag: $etag) { id } }";
const ETAG: &str = "query($id: ID!) { post(id: $id) { etag title } }";
const DROP_USER: &str = "mutation($id: ID!) { deleteUser(id: $id) { id } }";
const INVOICE: &str = "mutation($id: ID!, $patch: InvoicePatch!) { updateInvoice(id: $id, patch: $patch) { id total } }";
const NEW_INVOICE: &str = "mutation($input: InvoiceInput!) { createInvoice(input: $input) { id } }";
const DROP_INVOICE: &str = "mutation($id: ID!) { deleteInvoice(id: $id) { id } }";
const INVOICES: &str = "{ invoices { nodes { id total } } }";
const PAGE: &str = "mutation($input: PageInput!) { createPage(input: $input) { id } }";
const RENAME: &str =
    "mutation($id: ID!, $name: String!) { updateUser(id: $id, patch: {name: $name}) { id } }";
const MEMBER: &str = "mutation($input: MemberInput!) { createMember(input: $input) { id } }";

async fn room() -> Newsroom {
    let documents = [
        CREATE,
        UPDATE,
        DELETE,
        ETAG,
        INVOICE,
        NEW_INVOICE,
        DROP_INVOICE,
        INVOICES,
        PAGE,
        RENAME,
        MEMBER,
    ];
    Newsroom::open(&documents).await
}

/// The title of a post, without rules.
async fn title(room: &Newsroom, id: &str) -> Value {
    room.get(ETAG, &json!({"id": id}), Some(&role("x", "editor"))).await.json()["data"]["post"]["title"].clone()
}

#[tokio::test]
async fn a_row_that_may_not_be_read_does_not_exist_for_a_mutation() {
    let room = room().await;
    let eve = user("eve");
    let etag = room.get(ETAG, &json!({"id": "p2"}), Some(&user("ada"))).await.json();
    let stale = etag["data"]["post"]["etag"].as_str().unwrap().to_owned();
    room.sql("UPDATE posts SET slug = 'ada-2' WHERE id = 'p2'");
    let etag = room.get(ETAG, &json!({"id": "p2"}), Some(&user("ada"))).await.json();
    let etag = etag["data"]["post"]["etag"].as_str().unwrap().to_owned();
    assert_ne!(etag, stale);
    // p2 is hidden from Eve; p9 does not exist. She cannot distinguish them, whatever etag she
    // sends.
    for etag in [
        Value::Null,
        json!("*"),
        json!("rubbish"),
        json!("AAAAAAAAAAAAAAAA"),
        json!(etag),
        json!(stale),
    ] {
        let mut answers = Vec::new();
        for id in ["p2", "p9"] {
            let patch = json!({"id": id, "patch": {"title": "x"}, "etag": etag});
            let delete = json!({"id": id, "etag": etag});
            for answer in [
                room.post(UPDATE, &patch, Some(&eve)).await,
                room.post(DELETE, &delete, Some(&eve)).await,
            ] {
                answer.assert_error(404, "NOT_FOUND");
                answers.push(answer.text().replace(id, "?"));
            }
        }
        assert_eq!(answers[..2], answers[2..]);
    }
    let if_match = [(HeaderName::from_static("if-match"), "\"AAAAAAAAAAAAAAAA\"")];
    for id in ["p2", "p9"] {
        let patch = json!({"id": id, "patch": {"title": "x"}});
        room.post_with(UPDATE, &patch, Some(&eve), &if_match).await.assert_error(404, "NOT_FOUND");
    }
    assert_eq!(title(&room, "p2").await, "Draft of Ada");
}

#[tokio::test]
async fn a_row_that_may_be_read_and_not_written_is_forbidden_before_any_etag_is_compared() {
    let room = room().await;
    let eve = user("eve");
    let stale =
        room.get(ETAG, &json!({"id": "p1"}), None).await.json()["data"]["post"]["etag"].clone();
    room.sql("UPDATE posts SET slug = 'open-2' WHERE id = 'p1'");
    for etag in [Value::Null, json!("*"), json!("rubbish"), json!("AAAAAAAAAAAAAAAA"), stale] {
        let patch = json!({"id": "p1", "patch": {"title": "x"}, "etag": etag});
        room.post(UPDATE, &patch, Some(&eve)).await.assert_error(403, "FORBIDDEN");
        room.post(DELETE, &json!({"id": "p1", "etag": etag}), Some(&eve))
            .await
            .assert_error(403, "FORBIDDEN");
        // With a token, it might be allowed.
        room.post(UPDATE, &patch, None).await.assert_error(401, "UNAUTHENTICATED");
    }
    // Ada is in the team of Bob's draft: she may change it, but not delete it.
    let ada = user("ada");
    room.post(DELETE, &json!({"id": "p4"}), Some(&ada)).await.assert_error(403, "FORBIDDEN");
    let changed =
        room.post(UPDATE, &json!({"id": "p4", "patch": {"title": "Ours"}}), Some(&ada)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(title(&room, "p4").await, "Ours");
    assert_eq!(title(&room, "p1").await, "Open");
}

#[tokio::test]
async fn a_row_that_is_gone_is_a_conflict_for_who_reads_all_rows_and_no_row_for_others() {
    let room = room().await;
    let etag =
        room.get(ETAG, &json!({"id": "p1"}), None).await.json()["data"]["post"]["etag"].clone();
    room.sql("DELETE FROM posts WHERE id = 'p1'");
    let delete = |etag: &Value| json!({"id": "p1", "etag": etag});
    let patch = json!({"id": "p1", "patch": {"title": "x"}, "etag": etag});
    let (eve, editor) = (user("eve"), role("x", "editor"));
    for (document, variables) in [(DELETE, delete(&etag)), (UPDATE, patch)] {
        room.post(document, &variables, Some(&eve)).await.assert_error(404, "NOT_FOUND");
        let stale = room.post(document, &variables, Some(&editor)).await;
        stale.assert_error(412, "PRECONDITION_FAILED");
        assert_eq!(stale.json()["errors"][0]["extensions"]["current"], Value::Null);
    }
    room.post(DELETE, &delete(&Value::Null), Some(&editor)).await.assert_error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_row_that_hidden_rows_refer_to_is_not_deleted_and_nothing_else_is_revealed() {
    let room = Newsroom::open(&[DROP_USER]).await;
    room.sql("DELETE FROM members; INSERT INTO users (id, name) VALUES ('zoe', 'Zoe')");
    let admin = role("x", "admin");
    // Bob has only drafts, which an admin may not read.
    let refused = room.post(DROP_USER, &json!({"id": "bob"}), Some(&admin)).await;
    refused.assert_error(409, "CONFLICT");
    let error = &refused.json()["errors"][0];
    assert_eq!(error["message"], "User bob is still referred to by other rows");
    assert_eq!(
        (&error["extensions"]["constraint"], &error["extensions"]["fields"]),
        (&json!("foreignKey"), &json!([]))
    );
    let dropped = room.post(DROP_USER, &json!({"id": "zoe"}), Some(&admin)).await;
    assert_eq!(dropped.status, 200, "{}", dropped.text());
}

#[tokio::test]
async fn a_stale_etag_gets_the_row_as_its_viewer_may_read_it() {
    let room = room().await;
    let patch = json!({"id": "p2", "patch": {"title": "x"}, "etag": "AAAAAAAAAAAAAAAA"});
    let stale = room.post(UPDATE, &patch, Some(&user("ada"))).await;
    stale.assert_error(412, "PRECONDITION_FAILED");
    assert_eq!(stale.json()["errors"][0]["extensions"]["current"]["title"], "Draft of Ada");
    // Selected rows of other entities follow this viewer's rules: the team is not hers.
    let team = "mutation($etag: String) { updatePost(id: \"p3\", patch: {title: \"x\"}, expectedEtag: $etag) {
        id team { name } author { id members { totalCount } } } }";
    let room = Newsroom::open(&[team]).await;
    room.sql("UPDATE posts SET team_id = 't1' WHERE id = 'p3'");
    let stale = room.post(team, &json!({"etag": "AAAAAAAAAAAAAAAA"}), Some(&user("bob"))).await;
    stale.assert_error(412, "PRECONDITION_FAILED");
    let current = &stale.json()["errors"][0]["extensions"]["current"];
    assert_eq!(current["team"], Value::Null, "{current}");
    assert_eq!(current["author"]["members"]["totalCount"], 1, "{current}");
}

#[tokio::test]
async fn a_preset_takes_the_claim_and_no_row_can_be_given_away() {
    let room = room().await;
    let input = json!({"input": {"id": "n1", "title": "New"}});
    let made = room.post(CREATE, &input, Some(&user("bob"))).await;
    assert_eq!(made.json()["data"]["createPost"]["author"]["id"], "bob", "{}", made.text());
    // The author is not among the fields of the input.
    let given = json!({"input": {"id": "n2", "title": "New", "authorId": "ada"}});
    room.post(CREATE, &given, Some(&user("bob"))).await.assert_error(422, "BAD_USER_INPUT");
    room.post(CREATE, &json!({"input": {"id": "n3", "title": "New"}}), None)
        .await
        .assert_error(401, "UNAUTHENTICATED");
    let nameless = token(&json!({"roles": ["editor"]}));
    let refused =
        room.post(CREATE, &json!({"input": {"id": "n4", "title": "New"}}), Some(&nameless)).await;
    refused.assert_error(403, "FORBIDDEN");
    // A field whose rules do not allow it cannot be written, either.
    let notes = json!({"input": {"id": "n5", "title": "New", "notes": "x"}});
    room.post(CREATE, &notes, Some(&user("bob"))).await.assert_error(403, "FORBIDDEN");
    room.post(UPDATE, &json!({"id": "n1", "patch": {"notes": "x"}}), Some(&user("bob")))
        .await
        .assert_error(403, "FORBIDDEN");
    for id in ["n2", "n3", "n4", "n5"] {
        assert_eq!(title(&room, id).await, Value::Null);
    }
}

#[tokio::test]
async fn what_a_write_would_leave_must_be_allowed_by_the_rule_that_let_it_be_written() {
    let room = room().await;
    let acme = token(&json!({"sub": "ada", "org": {"id": "acme"}}));
    let update = |id: &str, patch: Value| json!({"id": id, "patch": patch});
    // `check` replaces `where` after the write: the number may grow, the tenant may not change.
    let grown = room.post(INVOICE, &update("i1", json!({"number": 5000})), Some(&acme)).await;
    assert_eq!(grown.status, 200, "{}", grown.text());
    room.post(INVOICE, &update("i1", json!({"total": 1})), Some(&acme))
        .await
        .assert_error(403, "FORBIDDEN");
    let stolen = room
        .post(INVOICE, &update("i2", json!({"tenant": "other", "total": 7})), Some(&acme))
        .await;
    stolen.assert_error(403, "FORBIDDEN");
    room.post(INVOICE, &update("i3", json!({"tenant": "acme"})), Some(&acme))
        .await
        .assert_error(404, "NOT_FOUND");
    // Refused writes have had no effect.
    let all = room.get(INVOICES, &Value::Null, Some(&acme)).await;
    let expected = json!([{"id": "i1", "total": 10}, {"id": "i2", "total": 20}]);
    assert_eq!(all.json()["data"]["invoices"]["nodes"], expected);
    let input = |tenant: &str| json!({"input": {"id": "i9", "tenant": tenant, "number": 9}});
    room.post(NEW_INVOICE, &input("other"), Some(&acme)).await.assert_error(403, "FORBIDDEN");
    let made = room.post(NEW_INVOICE, &input("acme"), Some(&acme)).await;
    assert_eq!(made.status, 200, "{}", made.text());
}

#[tokio::test]
async fn a_rule_whose_claim_is_missing_or_does_not_fit_allows_nothing() {
    let room = room().await;
    // `not: {tenant: {eq: "$frozen"}}` would be true for every row if a missing claim were null.
    let with = |claims: Value| {
        let mut all = json!({"org": {"id": "acme"}});
        all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        token(&all)
    };
    for claims in
        [json!({}), json!({"frozen": null}), json!({"frozen": ["x"]}), json!({"frozen": {"a": 1}})]
    {
        let refused =
            room.post(DROP_INVOICE, &json!({"id": "i1"}), Some(&with(claims.clone()))).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (403, "FORBIDDEN"),
            "{claims}"
        );
    }
    let frozen = with(json!({"frozen": "acme"}));
    room.post(DROP_INVOICE, &json!({"id": "i1"}), Some(&frozen))
        .await
        .assert_error(403, "FORBIDDEN");
    let thawed = with(json!({"frozen": "other"}));
    assert_eq!(room.post(DROP_INVOICE, &json!({"id": "i1"}), Some(&thawed)).await.status, 200);
    // A list works with `in`, as does a single value; values of other types do not match.
    for (invoices, expected) in [
        (json!([1, 3]), "[\"i3\"]"),
        (json!(3), "[\"i3\"]"),
        (json!([]), "[]"),
        (json!(["3"]), "[]"),
        (json!([3, "x"]), "[]"),
        (json!([3, null]), "[]"),
        (json!({"a": 3}), "[]"),
    ] {
        let viewer = token(&json!({"invoices": invoices}));
        let answer = room.get(INVOICES, &Value::Null, Some(&viewer)).await.json();
        let nodes =
            answer["data"]["invoices"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
        let ids: Vec<_> = nodes.iter().map(|node| node["id"].clone()).collect();
        assert_eq!(Value::from(ids).to_string(), expected, "{invoices}");
    }
}

#[tokio::test]
async fn a_denied_create_is_forbidden_and_a_token_that_could_help_is_asked_for() {
    let room = room().await;
    let input = json!({"input": {"id": "g9", "title": "x", "status": "PUBLISHED"}});
    room.post(PAGE, &input, None).await.assert_error(401, "UNAUTHENTICATED");
    room.post(PAGE, &input, Some(&user("ada"))).await.assert_error(403, "FORBIDDEN");
    let made = room.post(PAGE, &input, Some(&role("ada", "editor"))).await;
    assert_eq!(made.status, 200, "{}", made.text());
    // An editor may not read drafts of pages: a row that nobody may read is not written.
    let draft = json!({"input": {"id": "g8", "title": "x"}});
    room.post(PAGE, &draft, Some(&role("ada", "editor"))).await.assert_error(403, "FORBIDDEN");
    // Everybody may read users, and only admins may write them.
    room.post(RENAME, &json!({"id": "ada", "name": "x"}), Some(&user("ada")))
        .await
        .assert_error(403, "FORBIDDEN");
    room.post(RENAME, &json!({"id": "nobody", "name": "x"}), Some(&user("ada")))
        .await
        .assert_error(404, "NOT_FOUND");
}

#[tokio::test]
async fn a_conflict_names_its_fields_only_if_the_conflicting_row_may_be_read() {
    let room = room().await;
    let input = |id: &str, slug: &str| json!({"input": {"id": id, "title": "x", "slug": slug}});
    let (ada, bob) = (user("ada"), user("bob"));
    let of = async |id: &str, slug: &str, viewer: &str| {
        let answer = room.post(CREATE, &input(id, slug), Some(viewer)).await;
        answer.assert_error(409, "CONFLICT");
        answer.json()["errors"][0]["extensions"]["fields"].clone()
    };
    assert_eq!(of("n1", "ada-1", &ada).await, json!(["slug"]));
    assert_eq!(of("n1", "ada-1", &bob).await, Value::Null);
    assert_eq!(of("n1", "open", &bob).await, json!(["slug"]));
    assert_eq!(of("p1", "fresh", &bob).await, json!(["id"]));
    assert_eq!(of("p2", "fresh", &bob).await, Value::Null);
    let patch = |slug: &str| json!({"id": "p3", "patch": {"slug": slug}});
    let hidden = room.post(UPDATE, &patch("ada-1"), Some(&bob)).await;
    hidden.assert_error(409, "CONFLICT");
    assert!(
        !hidden.text().contains("slug") && !hidden.text().contains("ada-1"),
        "{}",
        hidden.text()
    );
    let shown = room.post(UPDATE, &patch("open"), Some(&bob)).await;
    assert_eq!(shown.json()["errors"][0]["extensions"]["fields"], json!(["slug"]));
}

#[tokio::test]
async fn a_foreign_key_does_not_reveal_hidden_rows() {
    let room = room().await;
    let input = |team: &str| json!({"input": {"id": "n1", "title": "x", "teamId": team}});
    let (ada, eve) = (user("ada"), user("eve"));
    // t1 exists but is hidden from Eve; t9 does not exist.
    let hidden = room.post(CREATE, &input("t1"), Some(&eve)).await;
    let absent = room.post(CREATE, &input("t9"), Some(&eve)).await;
    hidden.assert_error(409, "CONFLICT");
    assert_eq!(hidden.text(), absent.text());
    let moved = |team: &str| json!({"id": "p2", "patch": {"teamId": team}});
    let hidden = room.post(UPDATE, &moved("t2"), Some(&ada)).await;
    let absent = room.post(UPDATE, &moved("t9"), Some(&ada)).await;
    hidden.assert_error(409, "CONFLICT");
    assert_eq!(hidden.text(), absent.text());
    assert_eq!(room.post(UPDATE, &moved("t1"), Some(&ada)).await.status, 200);
}

#[tokio::test]
async fn an_idempotency_key_belongs_to_one_view() {
    let room = room().await;
    let key = [(HeaderName::from_static("idempotency-key"), "\"k1\"")];
    let input = |id: &str| json!({"input": {"id": id, "title": "x"}});
    let (ada, bob) = (user("ada"), user("bob"));
    let first = room.post_with(CREATE, &input("n1"), Some(&ada), &key).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let again = room.post_with(CREATE, &input("n1"), Some(&ada), &key).await;
    assert_eq!(again.text(), first.text());
    // Bob gets neither Ada's answer nor any information about her key.
    let other = room.post_with(CREATE, &input("n1"), Some(&bob), &key).await;
    other.assert_error(409, "CONFLICT");
    assert_eq!(other.json()["errors"][0]["extensions"]["fields"], Value::Null);
    let own = room.post_with(CREATE, &input("n2"), Some(&bob), &key).await;
    assert_eq!(own.json()["data"]["createPost"]["author"]["id"], "bob", "{}", own.text());
}
