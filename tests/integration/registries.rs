//! Documents in the formats of clients' tools: manifests in `queries/` and through `POST /q`,
//! shared fragments, names of any kind, and the manifests that `freshql manifest` writes.

use freshql::app::{self, StartError};
use freshql::config::Mode;
use freshql::document_id::DocumentId;
use freshql::persisted::manifest::Format;
use freshql::persisted::{Sha256Hash, with_typename};
use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::commands::freshql;
use crate::harness::{Answer, MERCHANT, TOKEN, TestApp, configure, encode, project, url};
use crate::program::of_project;

const A: &str = "query A { merchants(first: 1) { totalCount } }";
const B: &str = "query B { products(first: 1) { totalCount } }";
const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

async fn post(app: &TestApp, media_type: &str, body: String) -> Answer {
    let request = app
        .request(Method::POST, "/q")
        .bearer_auth(TOKEN)
        .header(CONTENT_TYPE, media_type)
        .body(body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

async fn push(app: &TestApp, manifest: &Value) -> (u16, Value) {
    let answer = post(app, "application/json", manifest.to_string()).await;
    (answer.status.as_u16(), answer.json())
}

/// Every way in which a request can name a document.
fn ways(name: &str) -> [String; 5] {
    let apollo = json!({"persistedQuery": {"version": 1, "sha256Hash": name}}).to_string();
    [
        format!("/q/{}", encode(name)),
        format!("/graphql?documentId={}", encode(name)),
        format!("/graphql?doc_id={}", encode(name)),
        format!("/graphql?id={}", encode(name)),
        format!("/graphql?extensions={}", encode(&apollo)),
    ]
}

async fn is_served(app: &TestApp, name: &str) -> bool {
    let mut served = Vec::new();
    for way in ways(name) {
        served.push(app.get(&way).await.json().get("data").is_some());
    }
    assert!(served.iter().all(|is| *is == served[0]), "{name}: {served:?}");
    served[0]
}

#[tokio::test]
async fn manifests_are_registered_and_their_names_resolve_at_every_endpoint() {
    for mode in [Mode::Trusted, Mode::Apq] {
        let app = TestApp::start(mode).await;
        let sha256 = Sha256Hash::of(B).to_string();
        let apollo = json!({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [
            {"id": "custom:A", "name": "A", "type": "query", "body": A},
            {"id": sha256, "name": "B", "type": "query", "body": B},
        ]});
        assert_eq!(push(&app, &apollo).await, (200, json!({"new": 2, "known": 0, "refused": []})));
        let maps = json!({MD5: A, format!("sha256:{sha256}"): B, "sha1:0a4d55a8d778e5022fab701977c5d840bbc486d0": A});
        assert_eq!(push(&app, &maps).await, (200, json!({"new": 0, "known": 3, "refused": []})));
        let names = [
            "custom:A",
            MD5,
            "sha1:0a4d55a8d778e5022fab701977c5d840bbc486d0",
            &DocumentId::of(A).to_string(),
            &sha256,
            &DocumentId::of(B).to_string(),
        ];
        for name in names {
            assert!(is_served(&app, name).await, "{name}");
        }
        assert!(!is_served(&app, "custom:B").await);
        // One document, one canonical URL, one ETag.
        let (by_name, by_id) = (app.get(&format!("/q/{MD5}")).await, app.get(&url(A)).await);
        assert_eq!(by_name.etag(), by_id.etag());
        assert_eq!(by_name.header("content-location"), url(A));

        let app = app.restart().await;
        assert!(is_served(&app, "custom:A").await && is_served(&app, MD5).await);
        assert_eq!(app.admin(Method::DELETE, &url(A), "").await.status, 204);
        for name in &names[..4] {
            assert!(!is_served(&app, name).await, "{name}");
        }
        assert!(is_served(&app, &sha256).await);
    }
}

#[tokio::test]
async fn names_travel_to_the_other_servers() {
    let a = TestApp::start(Mode::Trusted).await;
    let b = a.beside().await;
    assert!(!is_served(&b, MD5).await);
    assert_eq!(push(&a, &json!({"first": A})).await.0, 200);
    assert!(is_served(&b, "first").await && !is_served(&b, MD5).await);
    // A document that the other server has compiled gets another name.
    assert_eq!(push(&a, &json!({MD5: A})).await.0, 200);
    assert!(is_served(&b, MD5).await);
    assert_eq!(b.admin(Method::DELETE, &url(A), "").await.status, 204);
    assert!(!is_served(&a, MD5).await && !is_served(&a, "first").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_documents_given_one_name_concurrently_one_is_refused() {
    let a = TestApp::start(Mode::Trusted).await;
    let b = a.beside().await;
    for round in 0..24 {
        let name = format!("custom:{round}");
        let text =
            |of: &str| format!("query Of{of}{round} {{ merchants(first: 1) {{ totalCount }} }}");
        // On two nodes, and on one.
        let other = if round % 3 == 0 { &a } else { &b };
        let texts = [text("A"), text("B")];
        let manifests = texts.each_ref().map(|text| json!({ name.as_str(): text }));
        let (first, second) = tokio::join!(push(&a, &manifests[0]), push(other, &manifests[1]));
        let won = usize::from(first.0 != 200);
        let (kept, refused) = if won == 0 { (first, second) } else { (second, first) };
        assert_eq!(kept, (200, json!({"new": 1, "known": 0, "refused": []})), "{round}");
        let reason =
            format!("`{name}` already names another document: {}", DocumentId::of(&texts[won]));
        assert_eq!(
            (refused.0, &refused.1["refused"][0]["reason"]),
            (422, &json!(reason)),
            "{round}: {}",
            refused.1
        );
        // The refused one was not registered at all, on any node.
        for app in [&a, &b] {
            assert!(is_served(app, &name).await);
            assert_eq!(app.get(&url(&texts[won])).await.status, 200);
            assert_eq!(app.get(&url(&texts[1 - won])).await.status, 404, "{round}");
        }
        // Repeating it, and on both nodes at once, changes nothing.
        let again = &manifests[won];
        for (status, told) in <[_; 2]>::from(tokio::join!(push(&a, again), push(&b, again))) {
            assert_eq!(
                (status, told),
                (200, json!({"new": 0, "known": 1, "refused": []})),
                "{round}"
            );
        }
    }
    // One document with a new name, from both at once: it is registered once, and neither is
    // refused.
    for round in 0..8 {
        let manifest = json!({ format!("same:{round}"): format!("query Same{round} {{ merchants {{ totalCount }} }}") });
        let both = <[_; 2]>::from(tokio::join!(push(&a, &manifest), push(&b, &manifest)));
        assert_eq!(both.each_ref().map(|(status, _)| *status), [200, 200], "{both:?}");
        assert_eq!(
            both.iter().map(|(_, told)| told["new"].as_u64().unwrap()).sum::<u64>(),
            1,
            "{both:?}"
        );
    }
}

#[tokio::test]
async fn refused_documents_are_reported_with_the_reason_and_the_rest_are_registered() {
    let app = TestApp::start(Mode::Trusted).await;
    assert_eq!(push(&app, &json!({"first": A})).await.0, 200);
    let (status, told) =
        push(&app, &json!({"first": B, "second": "query C { nothing }", "third": B})).await;
    assert_eq!((status, &told["new"], &told["known"]), (422, &json!(1), &json!(0)));
    assert_eq!(told["refused"][0]["name"], "first");
    let reason = format!("`first` already names another document: {}", DocumentId::of(A));
    assert_eq!(told["refused"][0]["reason"], reason);
    assert_eq!(told["refused"][1]["errors"][0]["locations"], json!([{"line": 1, "column": 11}]));
    assert!(is_served(&app, "third").await && !is_served(&app, "second").await);
    for (media_type, body, status) in [
        ("application/json", "[]", 400),
        ("text/plain", "", 415),
        ("application/x-www-form-urlencoded", "a=b", 400),
    ] {
        post(&app, media_type, body.to_owned()).await.assert_problem(status);
    }
    let open = app.request(Method::POST, "/q").json(&json!({})).send().await.unwrap();
    assert_eq!(open.status(), 401);
}

#[tokio::test]
async fn relay_compilers_form_is_answered_with_the_id() {
    let app = TestApp::start(Mode::Trusted).await;
    let form = format!("text={}", encode(A).replace("%20", "+"));
    let registered = post(&app, "application/x-www-form-urlencoded", form.clone()).await;
    assert_eq!(
        (registered.status.as_u16(), registered.json()),
        (201, json!({"id": DocumentId::of(A)}))
    );
    assert_eq!(post(&app, "application/x-www-form-urlencoded", form).await.status, 200);
    let asked =
        app.post("/graphql", &json!({"doc_id": registered.json()["id"], "variables": {}})).await;
    assert!(asked.json()["data"]["merchants"]["totalCount"].is_number(), "{}", asked.text());
}

#[tokio::test]
async fn a_miss_names_the_id_of_the_operation_with_that_name() {
    let app = TestApp::start(Mode::Trusted).await;
    let unknown = DocumentId::of("nothing").to_string();
    for way in ways(&unknown) {
        let way = match way.starts_with("/q/") {
            true => format!("{way}?operationName=Merchant"),
            false => format!("{way}&operationName=Merchant"),
        };
        let error = &app.get(&way).await.json()["errors"][0];
        assert_eq!(
            error["extensions"]["registeredId"],
            *DocumentId::of(MERCHANT).to_string(),
            "{way}: {error}"
        );
    }
    let posted = app.post(&format!("/q/{unknown}"), &json!({"operationName": "Merchant"})).await;
    assert_eq!(
        posted.json()["errors"][0]["extensions"]["registeredId"],
        *DocumentId::of(MERCHANT).to_string()
    );
    let named = app.get(&format!("/q/{unknown}/Merchant")).await;
    assert_eq!(
        named.json()["errors"][0]["extensions"]["registeredId"],
        *DocumentId::of(MERCHANT).to_string()
    );
}

#[tokio::test]
async fn a_manifest_among_the_query_files_is_registered_and_its_names_outlive_it() {
    let directory = project();
    let manifest = directory.path().join("queries/client.json");
    std::fs::write(&manifest, json!({MD5: A, "second": B}).to_string()).unwrap();
    let app = TestApp::start_in(directory, Mode::Trusted, |_| {}).await;
    assert!(is_served(&app, MD5).await && is_served(&app, "second").await);
    // Open pages still use the old name.
    std::fs::write(&manifest, json!({"second": B}).to_string()).unwrap();
    let app = app.restart().await;
    assert!(is_served(&app, MD5).await && is_served(&app, "second").await);
    let listed = app.admin(Method::GET, "/q", "").await.json();
    let of = |text: &str| {
        let id = DocumentId::of(text).to_string();
        listed["documents"]
            .as_array()
            .unwrap()
            .iter()
            .find(|document| document["id"] == *id)
            .unwrap()
            .clone()
    };
    assert_eq!(of(A)["aliases"], json!([MD5]));
    assert!(of(A)["retired"].is_object() && of(B)["retired"].is_null());
    std::fs::write(&manifest, json!({"second": "query B { nothing }"}).to_string()).unwrap();
    let Err(StartError::Mistakes(mistakes)) = app::start(app.config.clone()).await else {
        panic!("it starts")
    };
    assert!(mistakes[0].file.ends_with("queries/client.json"));
    assert!(mistakes[0].message.contains("(line 1, column 11 of `second`)"), "{mistakes:?}");
}

#[tokio::test]
async fn fragments_are_shared_between_query_files_and_mistakes_in_them_have_their_own_place() {
    let directory = project();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.path().join("queries").join(name), text).unwrap()
    };
    write("Shared.graphql", "# for cards\nfragment Card on Merchant { name ...City }\n");
    write("lib.gql", "fragment City on Merchant { city }\n");
    let own = "query Cards { merchants(first: 1) { nodes { ...Card } } }\n";
    write("Cards.graphql", own);
    let document = format!(
        "{own}\nfragment Card on Merchant {{ name ...City }}\n\nfragment City on Merchant {{ city }}\n"
    );
    let config = app::configure(freshql::config::PartialConfig {
        dir: Some(directory.path().to_owned()),
        ..Default::default()
    });
    let listed = app::queries(&config.unwrap(), true).await.unwrap();
    assert!(listed.contains(&DocumentId::of(&document).to_string()), "{listed}");
    let hash = freshql(
        directory.path(),
        &["hash", &directory.path().join("queries/Cards.graphql").display().to_string()],
    );
    assert!(
        String::from_utf8(hash.stderr).unwrap().contains("needs fragments of other files (Card)")
    );

    let app = TestApp::start_in(directory, Mode::Trusted, |_| {}).await;
    let answer = app.get(&url(&document)).await.json();
    assert!(answer["data"]["merchants"]["nodes"][0]["city"].is_string(), "{answer}");
    std::fs::write(
        app.directory.path().join("queries/lib.gql"),
        "fragment City on Merchant { town }\n",
    )
    .unwrap();
    let Err(StartError::Mistakes(mistakes)) = app::start(app.config.clone()).await else {
        panic!("it starts")
    };
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].file.ends_with("lib.gql") && mistakes[0].span == (28..32), "{mistakes:?}");
}

#[tokio::test]
async fn typename_is_added_to_registered_documents_and_is_part_of_their_etags() {
    let app = TestApp::start(Mode::Open).await;
    let question =
        format!("{}?variables={}", url(crate::harness::MERCHANTS), encode(r#"{"first":1}"#));
    let plain = app.get(&question).await;
    assert!(!plain.text().contains("__typename"));
    let directory = app.directory.path().to_owned();
    configure(&directory, "typename = true\nmode = \"open\"\n");
    let config = app::configure(freshql::config::PartialConfig {
        dir: Some(directory.clone()),
        database: Some(app.config.database.clone()),
        ..Default::default()
    });
    let mut app = app;
    app.config.typename = config.as_ref().unwrap().typename;
    let app = app.restart().await;
    let answer = app.get(&question).await;
    assert_eq!(answer.json()["data"]["merchants"]["__typename"], "MerchantConnection");
    assert_eq!(answer.json()["data"]["merchants"]["nodes"][0]["__typename"], "Merchant");
    assert_ne!(answer.etag(), plain.etag());
    // A document that the client sends stays unchanged.
    let adhoc =
        app.post("/graphql", &json!({"query": "{ merchants(first: 1) { totalCount } }"})).await;
    assert!(!adhoc.text().contains("__typename"), "{}", adhoc.text());

    // The same text as Apollo Client would have sent.
    let asked = with_typename(crate::harness::MERCHANTS);
    let same = app.post("/graphql", &json!({"query": asked, "variables": {"first": 1}})).await;
    assert_eq!(same.json()["data"], answer.json()["data"]);

    let manifest = app::manifest(&config.unwrap(), Format::Apollo).await.unwrap();
    assert!(manifest.notes.is_empty(), "{:?}", manifest.notes);
    let manifest: Value = serde_json::from_str(&manifest.text).unwrap();
    let operation = manifest["operations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|o| o["name"] == "Merchants")
        .unwrap();
    assert_eq!(operation["id"], *DocumentId::of(crate::harness::MERCHANTS).to_string());
    assert_eq!(operation["body"], *asked);
}

#[tokio::test]
async fn manifests_are_written_for_every_tool_and_can_be_pushed() {
    let app = TestApp::start(Mode::Trusted).await;
    for format in [Format::Apollo, Format::Relay, Format::Codegen] {
        let manifest = app::manifest(&app.config, format).await.unwrap();
        let (status, told) = push(&app, &serde_json::from_str(&manifest.text).unwrap()).await;
        assert_eq!((status, &told["refused"]), (200, &json!([])), "{format:?}");
        // Only Apollo's have another text, because of `__typename`.
        assert_eq!(told["new"].as_u64() > Some(0), format == Format::Apollo, "{format:?}: {told}");
        assert_eq!(manifest.notes.is_empty(), format != Format::Apollo, "{:?}", manifest.notes);
    }
}

/// The program, with the test servers' admin token.
fn told(directory: &std::path::Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = of_project(directory);
    let output = command.env("FRESHQL_ADMIN_TOKEN", TOKEN).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn push_registers_a_manifest_and_check_reports_what_a_new_model_breaks() {
    let app = TestApp::start(Mode::Trusted).await;
    let directory = app.directory.path();
    let to = format!("http://{}", app.address());
    let manifest = directory.join("manifest.json");
    let mut documents = serde_json::Map::new();
    for number in 0..120 {
        documents.insert(
            format!("name{number}"),
            json!(format!("query Q{number} {{ merchants(first: 1) {{ nodes {{ website }} }} }}")),
        );
    }
    std::fs::write(&manifest, Value::Object(documents.clone()).to_string()).unwrap();
    let file = manifest.to_str().unwrap();
    assert_eq!(
        told(directory, &["push", file, "--to", &to]),
        (Some(0), "120 new, 0 known, 0 refused\n".to_owned())
    );
    assert_eq!(
        told(directory, &["push", file, "--to", &to]),
        (Some(0), "0 new, 120 known, 0 refused\n".to_owned())
    );
    documents.insert("bad".to_owned(), json!("{ nothing }"));
    std::fs::write(&manifest, Value::Object(documents).to_string()).unwrap();
    let (status, text) = told(directory, &["push", file, "--to", &to]);
    assert_eq!(status, Some(1));
    assert!(text.starts_with("0 new, 120 known, 1 refused\nrefused: bad: 1:3: "), "{text}");
    let (status, text) = told(directory, &["push", file, "--to", "ftp://example.org"]);
    assert!(status == Some(1) && text.contains("is not the URL of a server"), "{text}");

    let (status, text) = told(directory, &["check", "--against", &to]);
    assert!(status == Some(0) && text.contains("the model fits all of "), "{text}");
    // The next version of the model has no `website`.
    let next = project();
    let model = std::fs::read_to_string(next.path().join("schema.graphql")).unwrap();
    let model: String = model
        .lines()
        .filter(|line| !line.trim_start().starts_with("website:"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(next.path().join("schema.graphql"), model).unwrap();
    let (status, text) = told(next.path(), &["check", "--against", &to]);
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("(Q7):1:42: "), "{text}");
    assert!(text.starts_with("120 mistakes in "), "{text}");
    let (status, text) = told(next.path(), &["check", "--against", file]);
    assert!(
        status == Some(1) && text.contains("name7:1:42: ") && text.contains("bad:1:3: "),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_push_and_check_are_one_line() {
    let (app, other) = (TestApp::start(Mode::Trusted).await, project());
    let directory = app.directory.path();
    let to = format!("http://{}", app.address());
    let file = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).unwrap();
        directory.join(name).display().to_string()
    };
    let (good, broken) = (
        file("good.json", &json!({"a": A}).to_string()),
        file("broken.json", r#"{"a":"{ nothing }"}"#),
    );
    let half = file("half.json", "{");
    // Not a freshql server: it answers everything with HTML, here with many lines.
    let elsewhere = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let page = format!("http://{}", elsewhere.local_addr().unwrap());
    tokio::spawn(async move {
        let html = "<!doctype html>\n<p>not here</p>\n".repeat(40);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{html}",
            html.len()
        );
        loop {
            let (mut stream, _) = elsewhere.accept().await.unwrap();
            let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4096]).await;
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
        }
    });
    let closed = TestApp::start_with(Mode::Trusted, |config| config.admin_token = None).await;
    let closed = format!("http://{}", closed.address());
    for (arguments, why) in [
        (vec!["push", &half, "--to", &to], "half.json is not a manifest: EOF while parsing"),
        (vec!["push", "none.json", "--to", &to], "cannot read none.json"),
        (
            vec!["push", &good, "--to", &closed],
            "answers 403: the admin API is closed: this server was started without",
        ),
        (
            vec!["push", &good, "--to", &page],
            "does not answer as freshql does: <!doctype html> <p>not here</p>",
        ),
        (vec!["check", "--against", &page], "does not answer as freshql does: <!doctype html>"),
        (vec!["check", "--against", "none.json"], "cannot read none.json"),
        (
            vec!["check", "--against", &broken],
            "1 mistake in 1 document\na:1:3: Unknown field \"nothing\" on type \"Query\".",
        ),
    ] {
        let (status, text) = told(directory, &arguments);
        assert!(
            status == Some(1) && text.contains(why) && text.len() < 400,
            "{arguments:?}: {text}"
        );
    }
    // Without the token, and with mistakes in the model itself.
    let push = freshql(directory, &["push", &good, "--to", &to]);
    let text = String::from_utf8(push.stderr).unwrap();
    assert!(
        push.status.code() == Some(1)
            && text.contains("requires its admin token: set FRESHQL_ADMIN_TOKEN"),
        "{text}"
    );
    std::fs::write(other.path().join("schema.graphql"), "type A @entity { id: Nothing! @id }\n")
        .unwrap();
    let (status, text) = told(other.path(), &["check", "--against", &good]);
    assert!(status == Some(1) && text.contains("schema.graphql:1:"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_tls_is_asked_if_its_certificate_is_trusted() {
    let app = TestApp::start(Mode::Trusted).await;
    let directory = app.directory.path();
    let to = format!("https://localhost:{}", crate::tls::in_front_of(app.address()).await.port());
    let manifest = directory.join("manifest.json");
    std::fs::write(
        &manifest,
        json!({"a": "query A { merchants(first: 1) { totalCount } }"}).to_string(),
    )
    .unwrap();
    let (file, authority) = (manifest.to_str().unwrap(), crate::tls::file("ca.pem"));
    let trusting = ["--ca-file", authority.to_str().unwrap()];
    let (status, text) = told(directory, &["push", file, "--to", &to]);
    assert!(status == Some(1) && text.contains("invalid peer certificate"), "{text}");
    let pushed = (Some(0), "1 new, 0 known, 0 refused\n".to_owned());
    assert_eq!(told(directory, &[&["push", file, "--to", &to][..], &trusting].concat()), pushed);
    let (status, text) = told(directory, &[&["check", "--against", &to][..], &trusting].concat());
    assert!(status == Some(0) && text.contains("the model fits all of "), "{text}");
    // The certificate is for another host.
    let elsewhere = to.replace("localhost", "127.0.0.2");
    let (status, text) =
        told(directory, &[&["push", file, "--to", &elsewhere][..], &trusting].concat());
    assert!(status == Some(1), "{text}");
    let (status, text) = told(directory, &["push", file, "--to", &to, "--ca-file", file]);
    assert!(status == Some(1) && text.contains("cannot read certificates from"), "{text}");
}
