//! Real Varnish and nginx with the files of `deploy/` in front of the program: what they cache, for
//! whom and for how long. The program's access log shows a cache's requests.

use std::ops::Deref;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL,
    CONTENT_ENCODING, CONTENT_TYPE, COOKIE, ETAG, HeaderName, IF_NONE_MATCH, ORIGIN, VARY,
};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;

use crate::blog::token;
use crate::installed_program::{program_in, there};
use crate::lifetimes::{ORIGINS, Origin, path_of, path_without_variables};
use crate::proxy::{Proxy, deployed, varnish, varnish_of_nodes};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Varnish,
    /// Without the option that `deploy/varnish.vcl` recommends.
    VarnishAsItIs,
    /// As in the compose file.
    VarnishOfNodes,
    Nginx,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Varnish | Self::VarnishAsItIs | Self::VarnishOfNodes => "varnishd",
            Self::Nginx => "nginx",
        }
    }

    /// After this time, a second of `s-maxage` has passed; nginx counts whole seconds.
    fn over(self) -> Duration {
        Duration::from_millis(if self == Self::Varnish { 1050 } else { 2050 })
    }
}

/// A cache in front of its own server.
struct Cache {
    proxy: Proxy,
    origin: Origin,
}

impl Deref for Cache {
    type Target = Proxy;

    fn deref(&self) -> &Proxy {
        &self.proxy
    }
}

impl Cache {
    async fn start(kind: Kind) -> Self {
        let origin = Origin::start().await;
        let to = origin.address.as_str();
        let proxy = Proxy::start(|port, directory| match kind {
            Kind::Varnish => {
                let mut command = varnish(to, port, directory);
                command.args(["-p", "http_gzip_support=off"]);
                command
            }
            Kind::VarnishAsItIs => varnish(to, port, directory),
            Kind::VarnishOfNodes => varnish_of_nodes([to, to], port, directory),
            Kind::Nginx => nginx(to, port, directory),
        })
        .await;
        let mut cache = Self { proxy, origin };
        cache.origin.asked().await;
        cache
    }
}

fn nginx(origin: &str, port: u16, directory: &Path) -> Command {
    let at = |name: &str| directory.join(name).display().to_string();
    let changes = [
        ("127.0.0.1:8080", origin),
        ("listen 80;", &format!("listen 127.0.0.1:{port};")),
        ("/var/cache/nginx/freshql", &at("cache")),
    ];
    std::fs::write(directory.join("freshql.conf"), deployed("nginx.conf", &changes)).unwrap();
    let folders: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|name| format!("{name}_temp_path {};\n", at(name)))
        .collect();
    // If the tests run as root, the workers must be root, too, or they cannot see the directory.
    let main = format!(
        "user root root;\ndaemon off;\nworker_processes 1;\npid {};\nevents {{ worker_connections 256; }}\n\
         http {{\naccess_log off;\n{folders}include {};\n}}\n",
        at("pid"),
        at("freshql.conf")
    );
    std::fs::write(directory.join("main.conf"), main).unwrap();
    let mut command = Command::new(program_in("/usr/sbin", "nginx"));
    command.args(["-e", "stderr", "-p"]).arg(directory).arg("-c").arg(directory.join("main.conf"));
    command
}

/// Runs a test with each cache that is installed, in parallel.
async fn with_each(test: &str, run: impl AsyncFn(Kind, Cache)) {
    let is_there = |kind: &Kind| {
        there(test, &[(kind.program(), program_in("/usr/sbin", kind.program()).is_file())])
    };
    let installed = [Kind::Varnish, Kind::Nginx].into_iter().filter(is_there);
    join_all(installed.map(async |kind| run(kind, Cache::start(kind).await).await)).await;
}

/// How clients ask for codings, and which one they get.
const SPELLINGS: [(Option<&str>, Option<&str>); 12] = [
    (None, None),
    (Some("identity"), None),
    (Some("gzip;q=0"), None),
    (Some("gzip"), Some("gzip")),
    (Some("gzip, deflate"), Some("gzip")),
    (Some("deflate, gzip;q=1.0, *;q=0"), Some("gzip")),
    (Some("gzip, br"), Some("br")),
    (Some("gzip, deflate, br"), Some("br")),
    (Some("gzip, br;q=1.0, zstd;q=0"), Some("br")),
    (Some("gzip, deflate, br, zstd"), Some("zstd")),
    (Some("zstd"), Some("zstd")),
    (Some("ZSTD , gzip"), Some("zstd")),
];

#[tokio::test]
async fn caches_keep_one_copy_per_coding_whatever_clients_send() {
    with_each("caches_keep_one_copy_per_coding_whatever_clients_send", async |kind, mut cache| {
        let path = path_of("page");
        let plain = cache.get(&path, &[]).await;
        for (spelling, coding) in SPELLINGS {
            for accept in [
                "*/*",
                "application/json",
                "application/graphql-response+json, application/json",
                "text/html",
            ] {
                for origin in ORIGINS {
                    let headers = [
                        (ACCEPT, accept),
                        (ORIGIN, origin),
                        (ACCEPT_ENCODING, spelling.unwrap_or_default()),
                    ];
                    let sent = if spelling.is_some() { &headers[..] } else { &headers[..2] };
                    let answer = cache.get(&path, sent).await;
                    let given =
                        answer.headers.get(CONTENT_ENCODING).map(|name| name.to_str().unwrap());
                    assert_eq!((answer.status.as_u16(), given), (200, coding), "{kind:?} {sent:?}");
                    assert_eq!(answer.header(VARY), "Accept-Encoding");
                    assert_eq!(answer.header(CONTENT_TYPE), "application/json; charset=utf-8");
                    assert_eq!(answer.header(ACCESS_CONTROL_ALLOW_ORIGIN), "*");
                    assert_eq!(answer.header(CACHE_CONTROL), plain.header(CACHE_CONTROL));
                    let suffix = match coding {
                        None => "",
                        Some("br") => ".br",
                        Some("zstd") => ".zst",
                        _ => ".gz",
                    };
                    assert_eq!(
                        answer.etag(),
                        format!("\"{}{suffix}\"", plain.etag().trim_matches('"'))
                    );
                    // The client revalidates.
                    let mut again = sent.to_vec();
                    let tag = answer.etag().to_owned();
                    again.push((IF_NONE_MATCH, &tag));
                    assert_eq!(cache.get(&path, &again).await.status, 304, "{kind:?} {again:?}");
                }
            }
        }
        assert_eq!(cache.origin.asked().await, ["GET 200"; 4], "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn varnish_keeps_one_copy_of_what_graphql_answers_for_each_media_type() {
    let test = "varnish_keeps_one_copy_of_what_graphql_answers_for_each_media_type";
    if !there(test, &[("varnishd", program_in("/usr/sbin", "varnishd").is_file())]) {
        return;
    }
    let cache = Cache::start(Kind::Varnish).await;
    let path = path_of("page").replacen("/q/", "/graphql?documentId=", 1).replacen(
        "?variables",
        "&variables",
        1,
    );
    let plain = "application/json; charset=utf-8";
    let newer = "application/graphql-response+json; charset=utf-8";
    let mut misses = 0;
    for (accept, media_type) in [
        ("*/*", plain),
        ("application/json", plain),
        ("text/html, application/json;q=0.5", plain),
        ("application/graphql-response+json, application/json", newer),
        (
            "application/graphql-response+json;charset=utf-8, application/json;charset=utf-8, text/event-stream, multipart/mixed",
            newer,
        ),
        ("application/json, application/graphql-response+json;q=0", plain),
    ] {
        let answer = cache.get(&path, &[(ACCEPT, accept)]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header(CONTENT_TYPE)),
            (200, media_type),
            "{accept}"
        );
        // A hit also names the request that fetched the copy.
        misses += usize::from(!answer.header("x-varnish").contains(' '));
    }
    assert_eq!(misses, 2);
}

#[tokio::test]
async fn varnish_spreads_what_it_does_not_have_over_the_nodes_of_the_compose_file() {
    let test = "varnish_spreads_what_it_does_not_have_over_the_nodes_of_the_compose_file";
    if !there(test, &[("varnishd", program_in("/usr/sbin", "varnishd").is_file())]) {
        return;
    }
    let cache = Cache::start(Kind::VarnishOfNodes).await;
    let path = path_of("page");
    let mut first = cache.get(&path, &[]).await;
    let begun = Instant::now();
    // Until it has asked them whether they are ready.
    while first.status == 503 && begun.elapsed() < Duration::from_secs(30) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        first = cache.get(&path, &[]).await;
    }
    assert!(first.status == 200 && first.text().contains("word1"), "{}", first.text());
    let second = cache.get(&path, &[]).await;
    assert_eq!(second.etag(), first.etag());
    // For a hit, Varnish also names the request that fetched the copy.
    assert!(second.header("x-varnish").contains(' '), "{:?}", second.headers);
}

#[tokio::test]
async fn varnish_by_default_keeps_one_copy_and_decompresses_it() {
    let test = "varnish_by_default_keeps_one_copy_and_decompresses_it";
    if !there(test, &[("varnishd", program_in("/usr/sbin", "varnishd").is_file())]) {
        return;
    }
    let mut cache = Cache::start(Kind::VarnishAsItIs).await;
    let path = path_of("page");
    cache.get(&path, &[(ACCEPT_ENCODING, "gzip")]).await;
    let plain = cache.get(&path, &[]).await;
    assert!(!plain.headers.contains_key(CONTENT_ENCODING) && plain.text().contains("word1"));
    for (spelling, coding) in SPELLINGS {
        let headers: Vec<_> =
            spelling.iter().map(|spelling| (ACCEPT_ENCODING, *spelling)).collect();
        let answer = cache.get(&path, &headers).await;
        let is_gzip = answer.headers.get(CONTENT_ENCODING).is_some_and(|coding| coding == "gzip");
        assert!(is_gzip || answer.body == plain.body, "{spelling:?} {coding:?}");
        let tag = answer.etag().to_owned();
        assert_eq!(
            cache.get(&path, &[headers, vec![(IF_NONE_MATCH, &tag)]].concat()).await.status,
            304,
            "{spelling:?}"
        );
        // freshql itself knows the tag, too, in case the copy is gone.
        let origin = format!("http://{}{path}", cache.origin.address);
        let asked = cache.client.get(origin).header(IF_NONE_MATCH, &tag).send().await.unwrap();
        assert_eq!(asked.status(), 304, "{tag}");
    }
    let by_varnish: Vec<_> =
        cache.origin.asked().await.into_iter().filter(|asked| asked == "GET 200").collect();
    assert_eq!(by_varnish, ["GET 200"]);
}

#[tokio::test]
async fn a_copy_older_than_s_maxage_is_revalidated_by_a_304() {
    with_each("a_copy_older_than_s_maxage_is_revalidated_by_a_304", async |kind, mut cache| {
        let path = path_of("news");
        let first = cache.get(&path, &[]).await;
        assert_eq!(first.status, 200);
        assert_eq!(cache.origin.asked().await, ["GET 200"], "{kind:?}");
        tokio::time::sleep(kind.over()).await;
        let again = cache.get(&path, &[]).await;
        assert_eq!(
            (again.status, &again.body, again.etag()),
            (first.status, &first.body, first.etag())
        );
        assert_eq!(cache.origin.asked().await, ["GET 304"], "{kind:?}");
        // An external write is visible when the second has passed, and nothing older after
        // that.
        cache.origin.edit("news", "changed");
        tokio::time::sleep(kind.over()).await;
        let changed = cache.get(&path, &[(IF_NONE_MATCH, first.etag())]).await;
        assert_eq!(changed.status, 200, "{kind:?}");
        assert!(changed.text().contains("changed") && changed.etag() != first.etag());
        assert_eq!(cache.origin.asked().await, ["GET 200"], "{kind:?}");
        // Not even if the server is down.
        crate::harness::signal(&cache.origin.program.process, "KILL");
        cache.origin.program.process.wait().await.unwrap();
        tokio::time::sleep(kind.over()).await;
        assert!(cache.get(&path, &[]).await.status.is_server_error(), "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn stale_while_revalidate_is_what_varnish_may_serve_longer() {
    let varnish = ("varnishd", program_in("/usr/sbin", "varnishd").is_file());
    if !there("stale_while_revalidate_is_what_varnish_may_serve_longer", &[varnish]) {
        return;
    }
    let mut cache = Cache::start(Kind::Varnish).await;
    let path = path_of("notice");
    cache.get(&path, &[]).await;
    cache.origin.edit("notice", "changed");
    tokio::time::sleep(Kind::Varnish.over()).await;
    assert!(
        !cache.get(&path, &[]).await.text().contains("changed"),
        "the old one, while the new one is fetched"
    );
    let begun = Instant::now();
    while !cache.get(&path, &[]).await.text().contains("changed") {
        assert!(begun.elapsed() < Duration::from_secs(30), "the new one does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(cache.origin.asked().await[..2], ["GET 200"; 2]);
}

#[tokio::test]
async fn if_none_match_lists_and_stars_work_through_a_proxy() {
    with_each("if_none_match_lists_and_stars_work_through_a_proxy", async |kind, mut cache| {
        for (entity, asked) in [("page", false), ("draft", true)] {
            let path = path_of(entity);
            let full = cache.get(&path, &[]).await;
            cache.origin.asked().await;
            let (tag, weak) = (full.etag().to_owned(), format!("W/{}", full.etag()));
            let other = "\"AAAAAAAAAAAAAAAAAAAAAA\"";
            let list = format!("{other}, \"a,b\" ,{tag}");
            let two_lines = [other, tag.as_str()];
            let mut expected = Vec::new();
            for (lines, status) in [
                (&[tag.as_str()][..], 304),
                (&[weak.as_str()], 304),
                (&[list.as_str()], 304),
                // nginx refuses a second line.
                (&two_lines[usize::from(kind == Kind::Nginx)..], 304),
                (&["*"], 304),
                (&[other], 200),
                (&["\"\""], 200),
                (&[&tag[1..]], 200),
            ] {
                let headers: Vec<(HeaderName, &str)> =
                    lines.iter().map(|line| (IF_NONE_MATCH, *line)).collect();
                let answer = cache.get(&path, &headers).await;
                assert_eq!(answer.status.as_u16(), status, "{kind:?} {entity} {lines:?}");
                assert_eq!(answer.etag(), tag);
                assert_eq!(answer.body.is_empty(), status == 304);
                expected.push(format!("GET {status}"));
            }
            // Answers that must be validated each time are, with the client's own conditional
            // request.
            let asked = if asked { expected } else { Vec::new() };
            assert_eq!(cache.origin.asked().await, asked, "{kind:?} {entity}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_public_copy_serves_every_viewer() {
    with_each("a_public_copy_serves_every_viewer", async |kind, mut cache| {
        let path = path_of("page");
        let first = cache.get(&path, &[(AUTHORIZATION, "Bearer x"), (COOKIE, "session=1")]).await;
        assert_eq!(cache.origin.asked().await, ["GET 200"], "{kind:?}");
        for headers in [&[][..], &[(AUTHORIZATION, "Bearer y")], &[(COOKIE, "session=2")]] {
            let answer = cache.get(&path, headers).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.body),
                (200, &first.body),
                "{kind:?} {headers:?}"
            );
            let conditional = [headers, &[(IF_NONE_MATCH, first.etag())]].concat();
            assert_eq!(cache.get(&path, &conditional).await.status, 304, "{kind:?} {headers:?}");
        }
        // HEAD is answered from the copy that GET fetched.
        let head = cache.ask(Method::HEAD, &path, &[]).await;
        assert_eq!((head.status.as_u16(), head.etag()), (200, first.etag()));
        assert_eq!(cache.origin.asked().await, [""; 0], "{kind:?}");
    })
    .await;
}

#[tokio::test]
async fn private_answers_are_stored_by_no_shared_cache() {
    with_each("private_answers_are_stored_by_no_shared_cache", async |kind, mut cache| {
        let path = path_without_variables("secrets");
        let [ada, bob] = ["ada", "bob"].map(|sub| token(&json!({ "sub": sub })));
        let bearer = |token: &str| format!("Bearer {token}");
        let session = |token: &str| format!("__Host-session={token}");
        let viewers = [
            ("of ada", AUTHORIZATION, bearer(&ada)),
            ("of bob", AUTHORIZATION, bearer(&bob)),
            ("of ada", COOKIE, session(&ada)),
            ("of bob", COOKIE, session(&bob)),
        ];
        let mut tags = Vec::new();
        for round in 0..3 {
            // An anonymous viewer or an invalid token gets no cached answer, either.
            assert_eq!(cache.get(&path, &[]).await.status, 401, "{kind:?}");
            assert_eq!(
                cache.get(&path, &[(AUTHORIZATION, "Bearer x")]).await.status,
                401,
                "{kind:?}"
            );
            for (text, name, value) in &viewers {
                let answer = cache.get(&path, &[(name.clone(), value)]).await;
                assert_eq!(answer.status, 200, "{kind:?} {}", answer.text());
                assert!(
                    answer.text().contains(text) && answer.text().matches("\"id\"").count() == 1,
                    "{kind:?} {text}"
                );
                assert_eq!(answer.header(CACHE_CONTROL), "private, no-cache");
                assert_eq!(answer.header(VARY), "Accept-Encoding, Authorization, Cookie");
                let again = [(name.clone(), value.as_str()), (IF_NONE_MATCH, answer.etag())];
                let again = cache.get(&path, &again).await;
                assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{kind:?} {text}");
                tags.push((*text, answer.etag().to_owned()));
            }
            for (text, name, value) in &viewers {
                for (owner, tag) in &tags {
                    let answer =
                        cache.get(&path, &[(name.clone(), value), (IF_NONE_MATCH, tag)]).await;
                    assert_eq!(
                        answer.status == StatusCode::NOT_MODIFIED,
                        owner == text,
                        "{kind:?} {text} {owner}"
                    );
                    assert!(answer.body.is_empty() || answer.text().contains(text));
                }
            }
            let asked = cache.origin.asked().await;
            assert_eq!(
                asked.len(),
                2 + viewers.len() * (2 + tags.len()),
                "{kind:?} in round {round}: {asked:?}"
            );
        }
        // All at once, when caches tend to combine requests.
        let asking = (0..80).map(|n| {
            let (text, name, value) = &viewers[n % viewers.len()];
            let (cache, path) = (&cache, &path);
            async move { (text, cache.get(path, &[(name.clone(), value)]).await) }
        });
        for (text, answer) in join_all(asking).await {
            assert!(
                answer.status == StatusCode::OK && answer.text().contains(text),
                "{kind:?} {text} {}",
                answer.text()
            );
        }
    })
    .await;
}

#[tokio::test]
async fn errors_posts_and_private_answers_are_never_stored() {
    with_each("errors_posts_and_private_answers_are_never_stored", async |kind, mut cache| {
        let unknown = format!("/q/{}", "0".repeat(64));
        let incomplete = path_without_variables("page");
        let malformed = format!("{incomplete}?variables=%7B");
        for _ in 0..2 {
            for (path, status) in [(&unknown, 404), (&incomplete, 422), (&malformed, 400)] {
                let answer = cache.get(path, &[]).await;
                assert_eq!(
                    (answer.status.as_u16(), answer.header(CACHE_CONTROL)),
                    (status, "no-store"),
                    "{kind:?}"
                );
                assert!(!answer.headers.contains_key(ETAG));
            }
        }
        let asked = ["GET 404", "GET 422", "GET 400"];
        assert_eq!(cache.origin.asked().await, [asked, asked].concat(), "{kind:?}");

        for _ in 0..2 {
            assert_eq!(cache.post(&path_without_variables("page"), &json!({"id": "1"})).await, 200);
        }
        let edit = json!({"id": "1", "text": "new"});
        assert_eq!(cache.post(&path_without_variables("edit_page"), &edit).await, 200);
        assert_eq!(cache.origin.asked().await, ["POST 200"; 3], "{kind:?}");
        assert!(cache.get(&path_of("page"), &[]).await.text().contains("\"new\""));
        assert_eq!(cache.origin.asked().await, ["GET 200"], "{kind:?}");

        for entity in ["letter", "draft"] {
            let known = cache.get(&path_of(entity), &[]).await;
            assert_eq!(cache.get(&path_of(entity), &[]).await.body, known.body);
            assert_eq!(
                cache.get(&path_of(entity), &[(IF_NONE_MATCH, known.etag())]).await.status,
                304
            );
            cache.origin.edit(entity, "new");
            let fresh: HeaderMap =
                cache.get(&path_of(entity), &[(IF_NONE_MATCH, known.etag())]).await.headers;
            assert_ne!(fresh[ETAG], known.headers[ETAG], "{kind:?} {entity}");
            let asked = ["GET 200", "GET 200", "GET 304", "GET 200"];
            assert_eq!(cache.origin.asked().await, asked, "{kind:?} {entity}");
        }
    })
    .await;
}
