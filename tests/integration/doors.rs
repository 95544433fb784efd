//! Viewers at every endpoint of the server: `GET` and `POST` of `/q`, `/graphql` by id, by hash and
//! by text. Each viewer gets what they may see, however it is cached; public answers are the same
//! whatever the token says.

use freshql::config::Mode;
use freshql::document_id::DocumentId;
use futures_util::future::join_all;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CACHE_CONTROL, CONTENT_LOCATION, COOKIE, ETAG, HeaderName,
    IF_NONE_MATCH, ORIGIN, VARY, WWW_AUTHENTICATE,
};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::blog::{
    self, COOKIE_NAME, EVERYBODY, Who, document, issuer, path, path_with, titles, token,
};
use crate::harness::{Answer, TOKEN, TestApp, encode};

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A way to send a request for a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    GetQ,
    GetQByName,
    PostQ,
    GetGraphqlById,
    PostGraphqlById,
    GetGraphqlByHash,
    PostGraphqlByHash,
    GetGraphqlByText,
    PostGraphqlByText,
}

const DOORS: [Door; 9] = [
    Door::GetQ,
    Door::GetQByName,
    Door::PostQ,
    Door::GetGraphqlById,
    Door::PostGraphqlById,
    Door::GetGraphqlByHash,
    Door::PostGraphqlByHash,
    Door::GetGraphqlByText,
    Door::PostGraphqlByText,
];

impl Door {
    fn is_get(self) -> bool {
        matches!(
            self,
            Self::GetQ
                | Self::GetQByName
                | Self::GetGraphqlById
                | Self::GetGraphqlByHash
                | Self::GetGraphqlByText
        )
    }

    fn is_graphql(self) -> bool {
        !matches!(self, Self::GetQ | Self::GetQByName | Self::PostQ)
    }

    async fn ask(
        self,
        app: &TestApp,
        name: &str,
        variables: &Value,
        headers: &[(HeaderName, &str)],
    ) -> Answer {
        let text = document(name);
        let id = DocumentId::of(&text).to_string();
        let hash = hex::encode(Sha256::digest(&text));
        let persisted = json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
        let encoded = encode(&variables.to_string());
        let operation = text.split([' ', '(']).nth(1).unwrap();
        let by_get = |start: String| format!("{start}variables={encoded}");
        match self {
            Self::GetQ => app.get_with(&by_get(format!("/q/{id}?")), headers).await,
            Self::GetQByName => {
                app.get_with(&by_get(format!("/q/{id}/{operation}?")), headers).await
            }
            Self::GetGraphqlById => {
                app.get_with(&by_get(format!("/graphql?documentId={id}&")), headers).await
            }
            Self::GetGraphqlByHash => {
                let extensions = encode(&persisted.to_string());
                app.get_with(&by_get(format!("/graphql?extensions={extensions}&")), headers).await
            }
            Self::GetGraphqlByText => {
                app.get_with(&by_get(format!("/graphql?query={}&", encode(&text))), headers).await
            }
            Self::PostQ => {
                app.post_with(&format!("/q/{id}"), &json!({"variables": variables}), headers).await
            }
            Self::PostGraphqlById => {
                app.post_with(
                    "/graphql",
                    &json!({"documentId": id, "variables": variables}),
                    headers,
                )
                .await
            }
            Self::PostGraphqlByHash => {
                let body = json!({"query": text, "extensions": persisted, "variables": variables});
                app.post_with("/graphql", &body, headers).await
            }
            Self::PostGraphqlByText => {
                app.post_with("/graphql", &json!({"query": text, "variables": variables}), headers)
                    .await
            }
        }
    }
}

/// Asks as a viewer.
async fn ask(
    app: &TestApp,
    door: Door,
    who: Who,
    name: &str,
    variables: &Value,
    more: &[(HeaderName, &str)],
) -> Answer {
    let bearer = who.bearer();
    let mut headers: Vec<_> =
        bearer.iter().map(|bearer| (AUTHORIZATION, bearer.as_str())).collect();
    headers.extend_from_slice(more);
    door.ask(app, name, variables, &headers).await
}

/// Checks the headers of a private answer, at every endpoint.
#[track_caller]
fn assert_private(door: Door, answer: &Answer, cookies: bool) {
    let headers = &answer.headers;
    if door.is_get() {
        assert_eq!(answer.header(CACHE_CONTROL), "private, no-cache", "{door:?}");
        assert_eq!(answer.header(CDN_CACHE_CONTROL), "no-store", "{door:?}");
        let varies: Vec<_> = answer.header(VARY).split(", ").collect();
        let expected: Vec<_> = ["Accept", "Accept-Encoding", "Authorization", "Cookie"]
            .into_iter()
            .filter(|name| match *name {
                "Accept" => door.is_graphql(),
                "Cookie" => cookies,
                _ => true,
            })
            .collect();
        assert_eq!(varies, expected, "{door:?}");
        let policy =
            headers.get("cross-origin-resource-policy").map(|value| value.to_str().unwrap());
        assert_eq!(policy, cookies.then_some("same-site"), "{door:?}");
    } else {
        assert_eq!(answer.header(CACHE_CONTROL), "no-store", "{door:?}");
        assert!(!headers.contains_key(ETAG));
    }
    assert!(
        !headers.contains_key(CONTENT_LOCATION),
        "{door:?}: the URL alone does not name the answer"
    );
    assert_nothing_of_rows(headers);
}

/// No header reveals which rows exist.
#[track_caller]
fn assert_nothing_of_rows(headers: &HeaderMap) {
    for name in [
        "surrogate-key",
        "cache-tag",
        "xkey",
        "edge-cache-tag",
        "cache-groups",
        "surrogate-control",
    ] {
        assert!(!headers.contains_key(name), "{name} in {headers:?}");
    }
}

#[tokio::test]
async fn every_endpoint_answers_each_viewer_with_its_own_rows() {
    let app = blog::start(Mode::Open, |_| {}).await;
    // The second round is answered from what the first one has cached, in whatever order.
    for round in 0..2 {
        for door in DOORS {
            for who in EVERYBODY {
                let answer = ask(&app, door, who, "posts", &json!({}), &[]).await;
                assert_eq!(answer.status, 200, "{door:?} {who:?} {}", answer.text());
                assert_eq!(
                    titles(&answer.json()),
                    who.titles(),
                    "{door:?} {who:?} in round {round}"
                );
                assert_eq!(answer.json()["data"]["posts"]["totalCount"], who.titles().len());
                assert_private(door, &answer, false);
            }
        }
    }
}

#[tokio::test]
async fn no_flight_is_shared_by_viewers_who_may_see_different_things() {
    for cache in ["16MiB", "0"] {
        let app =
            blog::start(Mode::Open, |config| config.cache_size = cache.parse().unwrap()).await;
        for round in 0..8 {
            // A new question, from all viewers at once.
            let variables = json!({"first": 50 + round});
            let asking = (0..8).flat_map(|_| EVERYBODY).enumerate().map(|(n, who)| {
                let (app, variables) = (&app, &variables);
                async move {
                    (who, ask(app, DOORS[n % DOORS.len()], who, "posts", variables, &[]).await)
                }
            });
            for (who, answer) in join_all(asking).await {
                assert_eq!(
                    titles(&answer.json()),
                    who.titles(),
                    "{who:?} in round {round}, cache {cache}"
                );
            }
        }
    }
}

#[tokio::test]
async fn what_everybody_may_read_is_answered_whatever_the_token_says() {
    let app = blog::start(Mode::Open, |_| {}).await;
    let expired = format!("Bearer {}", token(&json!({"sub": "ada", "exp": 1})));
    let ada = Who::Ada.bearer().unwrap();
    for door in DOORS {
        let plain = door.ask(&app, "page", &json!({"id": "1"}), &[]).await;
        assert_eq!(plain.status, 200, "{door:?} {}", plain.text());
        for line in
            [&ada, &expired, "Bearer nonsense", "Bearer", "Basic YTpi", "Bearer x, Bearer y"]
        {
            let with_token =
                door.ask(&app, "page", &json!({"id": "1"}), &[(AUTHORIZATION, line)]).await;
            assert_eq!(
                (with_token.status, &with_token.body),
                (plain.status, &plain.body),
                "{door:?} {line}"
            );
            let without_times = |answer: &Answer| {
                let mut headers = answer.headers.clone();
                for name in ["date", "server-timing", "cache-status"] {
                    headers.remove(name);
                }
                headers
            };
            assert_eq!(without_times(&with_token), without_times(&plain), "{door:?} {line}");
        }
        if door.is_get() {
            assert_eq!(plain.header(CACHE_CONTROL), "public, max-age=0, s-maxage=60", "{door:?}");
            assert!(!plain.header(VARY).contains("Authorization"));
        }
    }
}

#[tokio::test]
async fn every_endpoint_refuses_an_invalid_token() {
    let app = blog::start(Mode::Open, |_| {}).await;
    let bearer = |claims: Value| format!("Bearer {}", token(&claims));
    for door in DOORS {
        // What is cached for viewers with access does not answer those with an invalid token.
        ask(&app, door, Who::Editor, "posts", &json!({}), &[]).await;
        ask(&app, door, Who::Nobody, "posts", &json!({}), &[]).await;
        for (line, why) in [
            (bearer(json!({"sub": "ada", "exp": 1})), "the token has expired"),
            (
                bearer(json!({"sub": "ada", "nbf": 9_000_000_000_u64})),
                "the token is not valid yet (nbf)",
            ),
            (
                bearer(json!({"aud": "other"})),
                "the claim aud is missing, or does not name this server",
            ),
            (
                bearer(json!({"iss": "other"})),
                "the claim iss is missing, or does not name a trusted issuer",
            ),
            (format!("{}x", Who::Ada.bearer().unwrap()), "the signature of the token is wrong"),
            (format!("Bearer {TOKEN}"), "the token is not a signed JSON Web Token in three parts"),
            ("Bearer".to_owned(), "the token is not a signed JSON Web Token in three parts"),
            (format!("Bearer {}", "x".repeat(8193)), "the token is longer than 8192 bytes"),
        ] {
            let answer = door.ask(&app, "posts", &json!({}), &[(AUTHORIZATION, &line)]).await;
            answer.assert_error(401, "UNAUTHENTICATED");
            let expected = format!(
                "Bearer realm=\"freshql\", error=\"invalid_token\", error_description=\"{why}\""
            );
            assert_eq!(answer.header(WWW_AUTHENTICATE), expected, "{door:?}");
            assert_nothing_of_rows(&answer.headers);
        }
        let ada = Who::Ada.bearer().unwrap();
        let twice = [(AUTHORIZATION, ada.as_str()), (AUTHORIZATION, ada.as_str())];
        door.ask(&app, "posts", &json!({}), &twice).await.assert_error(400, "BAD_REQUEST");
    }
}

#[tokio::test]
async fn a_missing_token_is_401_and_a_denied_one_403() {
    let app = blog::start(Mode::Open, |_| {}).await;
    for door in DOORS {
        let nobody = ask(&app, door, Who::Nobody, "messages", &json!({}), &[]).await;
        nobody.assert_error(401, "UNAUTHENTICATED");
        assert_eq!(nobody.header(WWW_AUTHENTICATE), "Bearer realm=\"freshql\"", "{door:?}");
        let ada = ask(&app, door, Who::Ada, "messages", &json!({}), &[]).await;
        assert_eq!(
            ada.json()["data"]["messages"]["nodes"],
            json!([{"id": "1", "text": "to ada"}]),
            "{door:?}"
        );

        // A field that only editors may read makes the whole operation private, and others are
        // refused.
        let nobody = ask(&app, door, Who::Nobody, "notes", &json!({"id": "1"}), &[]).await;
        nobody.assert_error(401, "UNAUTHENTICATED");
        let ada = ask(&app, door, Who::Ada, "notes", &json!({"id": "1"}), &[]).await;
        ada.assert_error(403, "FORBIDDEN");
        assert_eq!(ada.json()["errors"][0]["path"], json!(["page", "notes"]), "{door:?}");
        let editor = ask(&app, door, Who::Editor, "notes", &json!({"id": "1"}), &[]).await;
        assert_eq!(
            editor.json()["data"]["page"]["notes"],
            "for editors",
            "{door:?} {}",
            editor.text()
        );
        assert_private(door, &editor, false);
    }
}

#[tokio::test]
async fn a_private_answer_has_an_etag_and_304s_for_those_who_see_the_same() {
    let app = blog::start(Mode::Open, |_| {}).await;
    for door in DOORS.into_iter().filter(|door| door.is_get()) {
        let mut tags = Vec::new();
        for who in EVERYBODY {
            let answer = ask(&app, door, who, "posts", &json!({}), &[]).await;
            let again =
                ask(&app, door, who, "posts", &json!({}), &[(IF_NONE_MATCH, answer.etag())]).await;
            assert_eq!(again.status, 304, "{door:?} {who:?}");
            assert!(again.body.is_empty() && !again.headers.contains_key("content-length"));
            assert_private(door, &again, false);
            assert_eq!(again.etag(), answer.etag());
            tags.push((who, answer.etag().to_owned(), answer.body));
        }
        for (asker, own, bytes) in &tags {
            for (owner, tag, theirs) in &tags {
                let answer =
                    ask(&app, door, *asker, "posts", &json!({}), &[(IF_NONE_MATCH, tag)]).await;
                let expected = if theirs == bytes { 304 } else { 200 };
                assert_eq!(
                    answer.status.as_u16(),
                    expected,
                    "{door:?} {asker:?} with the tag of {owner:?}"
                );
                assert_eq!(answer.etag(), own);
                assert_eq!(theirs == bytes, asker.titles() == owner.titles());
            }
        }
        // All editors share one answer.
        assert_eq!(tags[3].1, tags[4].1);
    }
    let head = ask_head(&app, Who::Ada).await;
    assert_eq!(head.status, 200);
    assert_private(Door::GetQ, &head, false);
}

async fn ask_head(app: &TestApp, who: Who) -> Answer {
    app.ask(
        Method::HEAD,
        &path_with("posts", &json!({})),
        &[(AUTHORIZATION, &who.bearer().unwrap())],
    )
    .await
}

#[tokio::test]
async fn privacy_does_not_depend_on_what_is_in_the_cache() {
    for cache in ["0", "64kB", "16MiB"] {
        let app =
            blog::start(Mode::Trusted, |config| config.cache_size = cache.parse().unwrap()).await;
        for round in 0..3 {
            for who in [Who::Editor, Who::Nobody, Who::Ada] {
                let answer = ask(&app, Door::GetQ, who, "posts", &json!({}), &[]).await;
                assert_eq!(titles(&answer.json()), who.titles(), "{who:?}, {cache}");
                assert_private(Door::GetQ, &answer, false);
            }
            // Other answers displace these.
            for first in 0..60 {
                ask(
                    &app,
                    Door::GetQ,
                    Who::Editor,
                    "posts",
                    &json!({"first": 1 + (first + round) % 90}),
                    &[],
                )
                .await;
            }
        }
    }
}

#[tokio::test]
async fn a_refused_write_reveals_nothing_about_hidden_rows() {
    let app = blog::start(Mode::Trusted, |_| {}).await;
    let update = |who: Who, id: &'static str, patch: Value, etag: Option<String>| {
        let app = &app;
        async move {
            let variables = json!({"id": id, "patch": patch, "expectedEtag": etag});
            ask(app, Door::PostQ, who, "update_post", &variables, &[]).await
        }
    };
    let etag_of = async |who: Who, id: &str| {
        let answer = ask(&app, Door::GetQ, who, "post", &json!({"id": id}), &[]).await;
        answer.json()["data"]["post"]["etag"].as_str().map(str::to_owned)
    };
    let (draft, published) = (etag_of(Who::Bob, "3").await, etag_of(Who::Bob, "4").await);
    assert!(draft.is_some() && etag_of(Who::Ada, "3").await.is_none());
    let title = || json!({"title": "x"});
    for etag in [None, draft.clone(), published.clone()] {
        // A missing row and an invisible one get the same message.
        for (who, id) in
            [(Who::Ada, "3"), (Who::Ada, "none"), (Who::Nobody, "3"), (Who::Nobody, "none")]
        {
            let answer = update(who, id, title(), etag.clone()).await;
            assert!(matches!(answer.status.as_u16(), 401 | 404), "{who:?} {id} {}", answer.text());
            answer.assert_not_stored();
            assert!(!answer.text().contains("bob draft"));
        }
        // Visible, but not changeable: whatever the etag is.
        update(Who::Ada, "4", title(), etag).await.assert_error(403, "FORBIDDEN");
    }
    assert_eq!(
        update(Who::Ada, "3", title(), None).await.text(),
        update(Who::Ada, "3", title(), draft.clone()).await.text()
    );
    let stale = update(Who::Bob, "3", title(), published).await;
    stale.assert_error(412, "PRECONDITION_FAILED");
    let good = update(Who::Bob, "3", title(), draft).await;
    assert_eq!(good.json()["data"]["updatePost"]["title"], "x", "{}", good.text());
    good.assert_not_stored();
    // A title that an invisible row already has: the error does not name its fields.
    let taken = update(Who::Ada, "1", title(), None).await;
    taken.assert_error(409, "CONFLICT");
    assert!(taken.json()["errors"][0]["extensions"].get("fields").is_none(), "{}", taken.text());
    let seen = update(Who::Ada, "1", json!({"title": "bob published"}), None).await;
    assert_eq!(
        seen.json()["errors"][0]["extensions"]["fields"],
        json!(["title"]),
        "{}",
        seen.text()
    );
}

#[tokio::test]
async fn a_row_belongs_to_whoever_created_it() {
    let app = blog::start(Mode::Trusted, |_| {}).await;
    let create = async |who: Who, id: &str| {
        let variables = json!({"id": id, "title": format!("post {id}")});
        ask(
            &app,
            Door::PostQ,
            who,
            "create_post",
            &variables,
            &[(IDEMPOTENCY_KEY, "\"the same for all\"")],
        )
        .await
    };
    create(Who::Nobody, "10").await.assert_error(401, "UNAUTHENTICATED");
    let ada = create(Who::Ada, "10").await;
    assert_eq!(ada.json()["data"]["createPost"]["author"]["id"], "ada", "{}", ada.text());
    // The same key and request from another viewer: never Ada's answer.
    let bob = create(Who::Bob, "10").await;
    assert!(bob.status.is_client_error() && !bob.text().contains("\"ada\""), "{}", bob.text());
    assert_eq!(create(Who::Ada, "10").await.body, ada.body);
    // Two editors share a view, but each is the author of their own rows.
    let editor = create(Who::Editor, "11").await;
    assert_eq!(editor.json()["data"]["createPost"]["author"]["id"], "eve", "{}", editor.text());
    let other = create(Who::OtherEditor, "11").await;
    assert!(
        other.status.is_client_error() && !other.text().contains("\"eve\""),
        "{}",
        other.text()
    );
}

#[tokio::test]
async fn explain_shows_a_viewer_nothing_of_others() {
    let app = blog::start(Mode::Open, |_| {}).await;
    let wanted = HeaderName::from_static("freshql-explain");
    for door in DOORS {
        for who in [Who::Nobody, Who::Ada] {
            let answer = ask(&app, door, who, "posts", &json!({}), &[(wanted.clone(), "1")]).await;
            assert_eq!(titles(&answer.json()), who.titles());
            assert!(
                answer.json()["extensions"]["explain"].is_object()
                    && !answer.text().contains("bob draft")
            );
            assert_eq!(answer.header(CACHE_CONTROL), "no-store");
        }
        let bad = [(AUTHORIZATION, "Bearer x"), (wanted.clone(), "1")];
        door.ask(&app, "posts", &json!({}), &bad).await.assert_error(401, "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn the_admin_token_and_viewer_tokens_are_not_interchangeable() {
    let app = blog::start(Mode::Trusted, |_| {}).await;
    for who in [Who::Ada, Who::Editor] {
        let bearer = who.bearer().unwrap();
        let listed = app.get_with("/q", &[(AUTHORIZATION, &bearer)]).await;
        listed.assert_problem(401);
        let put = app.ask(Method::PUT, &path("page"), &[(AUTHORIZATION, &bearer)]).await;
        put.assert_problem(401);
    }
    assert_eq!(app.admin(Method::GET, "/q", "").await.status, 200);
    let as_admin =
        app.get_with(&path("messages"), &[(AUTHORIZATION, &format!("Bearer {TOKEN}"))]).await;
    as_admin.assert_error(401, "UNAUTHENTICATED");
}

/// A server that accepts cookies.
async fn with_cookies(cors: &str, credentials: bool) -> TestApp {
    blog::start(Mode::Open, |config| {
        config.auth[0].cookie = Some(COOKIE_NAME.to_owned());
        config.cors_origins = cors.parse().unwrap();
        config.cors_credentials = credentials;
    })
    .await
}

fn cookie(who: Who) -> String {
    format!("theme=dark; {COOKIE_NAME}={}; x=y", token(&who.claims().unwrap()))
}

#[tokio::test]
async fn a_cookie_identifies_the_viewer_like_a_header() {
    let app = with_cookies("", false).await;
    for door in DOORS {
        for who in [Who::Ada, Who::Bob, Who::Editor] {
            let answer = door.ask(&app, "posts", &json!({}), &[(COOKIE, &cookie(who))]).await;
            assert_eq!(titles(&answer.json()), who.titles(), "{door:?} {who:?}");
            assert_private(door, &answer, true);
            if door.is_get() {
                let again = [(COOKIE, cookie(who)), (IF_NONE_MATCH, answer.etag().to_owned())];
                let again: Vec<_> =
                    again.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
                let again = door.ask(&app, "posts", &json!({}), &again).await;
                assert_eq!(again.status, 304);
                assert_private(door, &again, true);
            }
        }
        // The header takes precedence over the cookie.
        let both = [(COOKIE, cookie(Who::Ada)), (AUTHORIZATION, Who::Bob.bearer().unwrap())];
        let both: Vec<_> =
            both.iter().map(|(name, value)| (name.clone(), value.as_str())).collect();
        assert_eq!(
            titles(&door.ask(&app, "posts", &json!({}), &both).await.json()),
            Who::Bob.titles()
        );
        let ended = format!("{COOKIE_NAME}=");
        let answer = door.ask(&app, "posts", &json!({}), &[(COOKIE, &ended)]).await;
        assert_eq!(titles(&answer.json()), Who::Nobody.titles(), "{door:?}");
        let broken = format!("{COOKIE_NAME}=x.y.z");
        door.ask(&app, "posts", &json!({}), &[(COOKIE, &broken)])
            .await
            .assert_error(401, "UNAUTHENTICATED");
        let two = format!("{}; {COOKIE_NAME}=x", cookie(Who::Ada));
        door.ask(&app, "posts", &json!({}), &[(COOKIE, &two)])
            .await
            .assert_error(400, "BAD_REQUEST");
    }
    // A server without cookies ignores it.
    let app = blog::start(Mode::Open, |_| {}).await;
    let answer = Door::GetQ.ask(&app, "posts", &json!({}), &[(COOKIE, &cookie(Who::Ada))]).await;
    assert_eq!(titles(&answer.json()), Who::Nobody.titles());
    assert_private(Door::GetQ, &answer, false);
}

#[tokio::test]
async fn a_mutation_with_a_cookie_is_accepted_from_listed_origins_only() {
    let app = with_cookies("https://app.example", true).await;
    let own = format!("http://{}", app.address());
    let (cookie, bearer) = (cookie(Who::Ada), Who::Ada.bearer().unwrap());
    let variables = json!({"id": "1", "patch": {"title": "ada again"}});
    for (door, (headers, is_taken)) in
        DOORS.into_iter().filter(|door| !door.is_get()).flat_map(|door| {
            let cases: [(Vec<(HeaderName, &str)>, bool); 12] = [
                (vec![], false),
                (vec![(SEC_FETCH_SITE, "same-origin")], true),
                (vec![(SEC_FETCH_SITE, "none")], true),
                (vec![(SEC_FETCH_SITE, "same-site")], false),
                (vec![(SEC_FETCH_SITE, "cross-site")], false),
                (vec![(SEC_FETCH_SITE, "cross-site"), (ORIGIN, &own)], false),
                (vec![(SEC_FETCH_SITE, "same-site"), (ORIGIN, "https://app.example")], true),
                (vec![(SEC_FETCH_SITE, "cross-site"), (ORIGIN, "https://evil.example")], false),
                (vec![(ORIGIN, "null")], false),
                (vec![(ORIGIN, "https://app.example.evil.example")], false),
                (vec![(ORIGIN, "https://app.example")], true),
                (vec![(ORIGIN, &own)], true),
            ];
            cases.into_iter().map(move |case| (door, case))
        })
    {
        let with_cookie = [&[(COOKIE, cookie.as_str())], &headers[..]].concat();
        let answer = door.ask(&app, "update_post", &variables, &with_cookie).await;
        if is_taken {
            assert_eq!(answer.status, 200, "{door:?} {headers:?} {}", answer.text());
        } else {
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (403, "FORBIDDEN"),
                "{door:?} {headers:?}"
            );
        }
        // Whoever has the token itself may send any request.
        let with_bearer =
            [&[(AUTHORIZATION, bearer.as_str()), (COOKIE, cookie.as_str())], &headers[..]].concat();
        assert_eq!(
            door.ask(&app, "update_post", &variables, &with_bearer).await.status,
            200,
            "{door:?} {headers:?}"
        );
    }
    // A form on a foreign page cannot send JSON.
    for content_type in
        ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x"]
    {
        let form = app
            .request(Method::POST, &path("update_post"))
            .header(COOKIE, &cookie)
            .header(ORIGIN, &own);
        let sent = form.header("content-type", content_type).body("{}").send().await.unwrap();
        assert_eq!(sent.status(), 415, "{content_type}");
    }
    // Reading changes nothing; CORS decides who may read the answer.
    let read = Door::PostQ
        .ask(&app, "posts", &json!({}), &[(COOKIE, &cookie), (ORIGIN, "https://evil.example")])
        .await;
    assert_eq!(read.status, 200);
    assert!(
        !read.headers.contains_key("access-control-allow-credentials")
            || read.header("access-control-allow-origin") != "https://evil.example"
    );
    // `*` trusts nobody.
    let app = with_cookies("*", true).await;
    let answer = Door::PostQ
        .ask(&app, "update_post", &variables, &[(COOKIE, &cookie), (ORIGIN, "https://a.example")])
        .await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "FORBIDDEN"));
}

#[tokio::test]
async fn credentials_are_for_listed_origins_and_tokens_for_all_who_may_ask() {
    let allowed = |answer: &Answer, name: &str| {
        answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    let preflight = async |app: &TestApp, origin: &str, method: &str, path: &str| {
        let headers = [
            (ORIGIN, origin),
            (HeaderName::from_static("access-control-request-method"), method),
            (
                HeaderName::from_static("access-control-request-headers"),
                "authorization,content-type",
            ),
        ];
        app.ask(Method::OPTIONS, path, &headers).await
    };
    let (read, write) = (path_with("posts", &json!({})), path("update_post"));
    for (cors, credentials) in [
        ("*", true),
        ("*", false),
        ("https://a.example", true),
        ("https://a.example,https://b.example", true),
    ] {
        let app = with_cookies(cors, credentials).await;
        let is_listed = cors != "*";
        for origin in ["https://a.example", "https://evil.example"] {
            let is_ours = is_listed && origin == "https://a.example";
            for (method, path) in [("GET", &read), ("POST", &write)] {
                let asked = preflight(&app, origin, method, path).await;
                let may = allowed(&asked, "access-control-allow-origin");
                let is_for_all = cors == "*";
                assert_eq!(
                    may.as_deref() == Some("*"),
                    is_for_all,
                    "{cors} {origin} {method} {may:?}"
                );
                if is_ours || is_for_all {
                    assert_eq!(
                        allowed(&asked, "access-control-allow-headers").as_deref(),
                        Some("authorization,content-type")
                    );
                }
                let is_credentialed = allowed(&asked, "access-control-allow-credentials").is_some();
                assert!(
                    !is_credentialed || is_listed && may.as_deref() != Some("*"),
                    "{cors} {origin} {may:?}"
                );
                assert_ne!((may.as_deref(), is_credentialed), (Some("https://evil.example"), true));
            }
            let who = cookie(Who::Ada);
            let answer = app.get_with(&read, &[(ORIGIN, origin), (COOKIE, &who)]).await;
            let may = allowed(&answer, "access-control-allow-origin");
            assert_ne!(may.as_deref(), Some("https://evil.example"));
            assert!(
                may.as_deref() != Some("*")
                    || allowed(&answer, "access-control-allow-credentials").is_none()
            );
            assert!(
                answer.header(VARY).ends_with("Authorization, Cookie"),
                "{}",
                answer.header(VARY)
            );
        }
    }
}

#[tokio::test]
async fn every_coding_of_a_private_answer_is_private() {
    let app = blog::start(Mode::Trusted, |_| {}).await;
    let title = "a very long title ".repeat(200);
    app.outsider().execute(&format!("UPDATE posts SET title = '{title}' WHERE id = '1'"));
    let mut tags = std::collections::BTreeSet::new();
    for coding in ["identity", "gzip", "br", "zstd"] {
        let answer =
            ask(&app, Door::GetQ, Who::Ada, "posts", &json!({}), &[(ACCEPT_ENCODING, coding)])
                .await;
        assert_private(Door::GetQ, &answer, false);
        assert!(tags.insert(answer.etag().to_owned()));
        let again = [(ACCEPT_ENCODING, coding), (IF_NONE_MATCH, answer.etag())];
        assert_eq!(ask(&app, Door::GetQ, Who::Ada, "posts", &json!({}), &again).await.status, 304);
        assert_eq!(ask(&app, Door::GetQ, Who::Bob, "posts", &json!({}), &again).await.status, 200);
    }
}

#[tokio::test]
async fn preflight_requests_need_no_token() {
    let app = blog::start(Mode::Trusted, |config| config.auth[0] = issuer()).await;
    for path in [path("messages"), "/graphql".to_owned()] {
        assert_eq!(
            app.ask(Method::OPTIONS, &path, &[(AUTHORIZATION, "Bearer x")]).await.status,
            204
        );
    }
}
