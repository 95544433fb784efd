//! Compares what the pages in `docs/caches` say about freshql's answers with real answers:
//! Cloudflare, Fastly and CloudFront cannot run here, but what they are configured to look for must
//! be there.

use std::collections::{BTreeMap, BTreeSet};

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, VARY};
use serde_json::json;

use crate::blog::token;
use crate::installed_program::top;
use crate::lifetimes::{Origin, path_of, path_without_variables};

const PAGES: [&str; 6] =
    ["README.md", "cloudflare.md", "cloudfront.md", "fastly.md", "nginx.md", "varnish.md"];

fn page(name: &str) -> String {
    std::fs::read_to_string(top().join("docs/caches").join(name)).unwrap()
}

/// The cells of a table, without its header.
fn rows(text: &str, head: &str) -> Vec<Vec<String>> {
    let table = text.split_once(head).unwrap_or_else(|| panic!("no table begins with {head}")).1;
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    lines
        .map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The text between backticks.
fn marked(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The headers of answers of every kind, by name.
async fn heads(origin: &Origin) -> BTreeMap<&'static str, HeaderMap> {
    let client = reqwest::Client::new();
    let url = |path: &str| format!("http://{}{path}", origin.address);
    let bearer = format!("Bearer {}", token(&json!({"sub": "ada"})));
    let secrets = path_without_variables("secrets");
    let mut heads = BTreeMap::new();
    for entity in ["page", "photo", "notice", "draft", "letter"] {
        heads.insert(
            entity,
            client.get(url(&path_of(entity))).send().await.unwrap().headers().clone(),
        );
    }
    let etag = heads["page"]["etag"].to_str().unwrap().to_owned();
    let asked = [
        ("secret", client.get(url(&secrets)).header(AUTHORIZATION, &bearer), 200),
        ("denied", client.get(url(&secrets)), 401),
        ("unchanged", client.get(url(&path_of("page"))).header("if-none-match", etag), 304),
        ("unknown", client.get(url(&format!("/q/{}", "0".repeat(64)))), 404),
        ("nowhere", client.get(url("/nowhere")), 404),
        (
            "post",
            client
                .post(url(&path_without_variables("page")))
                .json(&json!({"variables": {"id": "1"}})),
            200,
        ),
        (
            "mutation",
            client
                .post(url(&path_without_variables("edit_page")))
                .json(&json!({"variables": {"id": "1", "text": "new"}})),
            200,
        ),
    ];
    for (name, request, status) in asked {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{name}");
        heads.insert(name, answer.headers().clone());
    }
    heads
}

fn line<'h>(head: &'h HeaderMap, name: &str) -> &'h str {
    head.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn answers_are_kept_for_as_long_as_the_pages_say() {
    let heads = heads(&Origin::start().await).await;
    let table = rows(&page("README.md"), "| the model says | freshql sends |");
    assert!(table.len() >= 5);
    for row in table {
        let kinds: &[&str] = match row[0].as_str() {
            "nothing" => &["draft"],
            "`maxAge: 0, sharedMaxAge: 60`" => &["page", "unchanged"],
            "`maxAge: 10, sharedMaxAge: 100`" => &["photo"],
            "`scope: PRIVATE`, or rules that depend on the viewer" => &["letter", "secret"],
            "errors, mutations, POST" => &["denied", "unknown", "nowhere", "post", "mutation"],
            other => panic!("no test compares the row of {other}"),
        };
        for kind in kinds {
            assert_eq!(line(&heads[kind], "cache-control"), row[1].trim_matches('`'), "{kind}");
        }
    }
    // CDNs that read their own header are told the same, and how long they may serve older answers.
    assert_eq!(line(&heads["page"], "cdn-cache-control"), "max-age=60");
    assert_eq!(line(&heads["notice"], "cdn-cache-control"), "max-age=1, stale-while-revalidate=60");
    assert!(!line(&heads["notice"], "cache-control").contains("stale"));
    for kind in ["letter", "secret"] {
        assert_eq!(line(&heads[kind], "cdn-cache-control"), "no-store", "{kind}");
    }
    // For cacheable answers, a CDN's key includes the coding, and nothing else.
    for kind in ["page", "photo", "notice", "draft", "unchanged"] {
        assert_eq!(heads[kind][VARY], "Accept-Encoding", "{kind}");
    }
    assert!(line(&heads["secret"], "vary").contains("Authorization"));
    assert_eq!(heads["page"][CONTENT_TYPE], "application/json; charset=utf-8");
    assert!(heads.values().all(|head| head.contains_key(CACHE_CONTROL)));
}

#[tokio::test]
async fn the_pages_name_only_headers_and_directives_that_exist() {
    let heads = heads(&Origin::start().await).await;
    let sent: BTreeSet<String> =
        heads.values().flat_map(HeaderMap::keys).map(|name| name.as_str().to_owned()).collect();
    let directives: BTreeSet<&str> = heads
        .values()
        .flat_map(|head| ["cache-control", "cdn-cache-control"].map(|name| line(head, name)))
        .flat_map(|line| line.split(", "))
        .map(|directive| directive.split('=').next().unwrap())
        .collect();
    // Headers that clients send, and that caches add themselves.
    let others = [
        "Accept",
        "Accept-Encoding",
        "Origin",
        "Authorization",
        "Cookie",
        "If-None-Match",
        "Age",
        "X-Cache",
        "X-Cache-Status",
        "cf-cache-status",
    ];
    // Headers that the pages say freshql does not send.
    let never = ["Surrogate-Control", "Set-Cookie"];
    let is_header = |text: &str| {
        let parts: Vec<&str> = text.split('-').collect();
        let is_part =
            |part: &&str| part.chars().all(|c| c.is_ascii_alphabetic()) && !part.is_empty();
        parts.iter().all(is_part) && text.chars().next().is_some_and(char::is_uppercase)
    };
    let known_words = [
        "HIT",
        "MISS",
        "STALE",
        "EXPIRED",
        "REVALIDATED",
        "UPDATING",
        "BYPASS",
        "DYNAMIC",
        "Hit",
        "RefreshHit",
        "Miss",
        "Error",
        "AllViewerExceptHostHeader",
        "Host",
    ];
    let mut named = 0;
    for name in PAGES {
        let text = page(name);
        for (marked, tail) in marked(&text)
            .map(|text| text.split_once(':').map_or((text, ""), |(name, tail)| (name, tail.trim())))
        {
            if is_header(marked) && !known_words.contains(&marked) {
                named += 1;
                let is_sent = sent.contains(&marked.to_ascii_lowercase());
                if never.contains(&marked) {
                    assert!(!is_sent, "{name} says that {marked} is not sent");
                } else {
                    assert!(is_sent || others.contains(&marked), "{name}: nothing sends {marked}");
                }
                let values = || heads.values().map(|head| line(head, marked));
                assert!(
                    tail.is_empty() || values().any(|value| value.contains(tail)),
                    "{name}: no {marked}: {tail}"
                );
            }
            if [
                "public",
                "private",
                "no-store",
                "no-cache",
                "must-revalidate",
                "s-maxage",
                "max-age",
                "stale-while-revalidate",
            ]
            .contains(&marked)
            {
                assert!(directives.contains(marked), "{name}: no answer says {marked}");
            }
        }
    }
    assert!(named > 20, "{named}");
}

#[test]
fn the_cloudfront_page_covers_each_error_that_it_would_cache() {
    // The errors that it caches for a while whatever the origin says, according to its
    // documentation.
    let keeps = [400, 403, 404, 405, 414, 416, 500, 501, 502, 503, 504];
    let readme = std::fs::read_to_string(top().join("README.md")).unwrap();
    let statuses: BTreeSet<u16> = rows(&readme, "| status | when | `extensions.code` |")
        .iter()
        .flat_map(|row| {
            row[0].split(", ").map(|status| status.parse().unwrap()).collect::<Vec<u16>>()
        })
        .collect();
    assert!(statuses.len() > 12, "{statuses:?}");
    let page = page("cloudfront.md");
    let line = page.lines().find(|line| line.contains("error caching minimum TTL")).unwrap();
    let told: BTreeSet<u16> = line
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    for status in keeps.into_iter().filter(|status| statuses.contains(status)) {
        assert!(told.contains(&status), "{status}");
    }
}
