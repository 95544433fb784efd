//! Why an answer is as it is: the request header `freshql-explain`, the command `explain`, and what
//! responses report about the cache in mode `open`.

use std::collections::BTreeSet;

use freshql::app;
use freshql::config::{ByteSize, Mode};
use freshql::document_id::DocumentId;
use freshql::model::parse;
use freshql::store::schema::layout::Layout;
use freshql::store::sqlite::ddl::create_statements;
use http::Method;
use http::header::{CONTENT_LOCATION, HeaderName, IF_NONE_MATCH};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::{freshql, freshql_on};
use crate::database::{Driver, ProjectDatabase, driver};
use crate::harness::{
    Answer, CREATE, DELETE, MERCHANT, MERCHANTS, TestApp, UPDATE, configure, encode, project, url,
    url_with,
};

const EXPLAIN: HeaderName = HeaderName::from_static("freshql-explain");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

async fn explained(app: &TestApp, path: &str) -> Value {
    let answer = app.get_with(path, &[(EXPLAIN, "1")]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.assert_not_stored();
    answer.json()["extensions"]["explain"].clone()
}

#[track_caller]
fn assert_came_from(answer: &Answer, cache_status: &str) {
    assert_eq!(answer.header(CACHE_STATUS), cache_status);
    assert_eq!(
        answer.headers.contains_key(SERVER_TIMING),
        cache_status.contains("fwd"),
        "{:?}",
        answer.headers
    );
}

#[tokio::test]
async fn the_explain_header_adds_a_report_to_an_answer_that_is_not_stored() {
    let app = TestApp::start(Mode::Open).await;
    let (id, etag) = app.create_merchant("A shop").await;
    let url = url_with(MERCHANT, &json!({"id": id}));
    let answer = app.get_with(&url, &[(EXPLAIN, "1"), (IF_NONE_MATCH, "*")]).await;
    assert_eq!(answer.status, 200);
    answer.assert_not_stored();
    assert_came_from(&answer, "freshql; fwd=bypass; detail=explain");
    assert_eq!(answer.json()["data"]["merchant"]["etag"], etag);

    let plain = app.get(&url).await;
    assert_came_from(&plain, "freshql; fwd=miss");
    assert_eq!(answer.json()["data"], plain.json()["data"]);
    assert_eq!(answer.json()["extensions"]["etag"], plain.json()["extensions"]["etag"]);
    assert!(!answer.headers.contains_key(CONTENT_LOCATION), "it is of its moment");
    let report = &answer.json()["extensions"]["explain"];
    assert_eq!(report["etag"]["value"], plain.json()["extensions"]["etag"]);
    assert_eq!(report["question"]["document"], DocumentId::of(MERCHANT).to_string());
    assert_eq!(report["question"]["variables"], json!({"id": id}));
    assert_eq!(report["policy"]["cacheControl"], plain.header("cache-control"));

    let version = app.outsider().int(&format!("SELECT _version FROM merchants WHERE id = '{id}'"));
    let newest = app.outsider().int("SELECT max(seq) FROM _freshql_change");
    // On PostgreSQL, versions and record numbers differ.
    assert!(newest == version || driver() == Driver::Postgres);
    let expected = json!({
        "asOf": newest, "rows": [{"entity": "Merchant", "id": id, "version": version}], "parts": [], "sets": [],
    });
    assert_eq!(report["dependsOn"], expected);
    assert_eq!(report["latestChanges"][0]["op"], "insert");
    assert_eq!(report["latestChanges"][0]["touched"], json!(["the row"]));
    assert_eq!(report["sql"][0]["parameters"], json!([[id]]));
    assert_eq!((&report["sql"][0]["runs"], &report["sql"][0]["rows"]), (&json!(1), &json!(1)));
}

#[tokio::test]
async fn the_report_says_why_it_was_a_hit_or_a_miss_and_changes_neither() {
    let app = TestApp::start(Mode::Open).await;
    let (id, _) = app.create_merchant("A shop").await;
    let url = url_with(MERCHANT, &json!({"id": id}));
    for _ in 0..2 {
        assert_eq!(explained(&app, &url).await["cache"]["status"], "miss");
    }
    let first = app.get(&url).await;
    assert_came_from(&first, "freshql; fwd=miss");
    let report = explained(&app, &url).await;
    assert_eq!(report["cache"]["status"], "hit");
    assert_eq!(report["cache"]["storedAsOf"], report["dependsOn"]["asOf"]);
    assert_came_from(&app.get(&url).await, "freshql; hit");
    let revalidated = app.get_with(&url, &[(IF_NONE_MATCH, first.etag())]).await;
    assert_eq!(revalidated.status, 304);
    assert_came_from(&revalidated, "freshql; hit");

    // Another row: still a hit.
    app.create_merchant("Another shop").await;
    assert_eq!(explained(&app, &url).await["cache"]["status"], "hit");

    app.move_merchant(&id, "Bruges").await;
    app.move_merchant(&id, "Mons").await;
    for _ in 0..2 {
        let report = explained(&app, &url).await;
        let cache = &report["cache"];
        let changes = cache["changes"].as_array().unwrap();
        assert_eq!((&cache["status"], changes.len()), (&json!("stale"), 2), "{cache}");
        let why = format!("change {} affects what the stored answer depends on", changes[0]["seq"]);
        assert_eq!(cache["why"], why);
        for change in changes {
            assert!(change["seq"].as_i64() > cache["storedAsOf"].as_i64());
            assert_eq!(change["id"], id);
            assert_eq!((&change["op"], &change["columns"]), (&json!("update"), &json!(["city"])));
            assert_eq!(change["touched"], json!(["the row"]));
        }
        // In reverse order, and with those from before the answer was stored.
        let latest = report["latestChanges"].as_array().unwrap();
        assert_eq!(latest[..2], [changes[1].clone(), changes[0].clone()]);
        if driver() == Driver::Sqlite {
            assert_eq!(report["dependsOn"]["rows"][0]["version"], changes[1]["seq"]);
        }
    }
    assert_came_from(&app.get(&url).await, "freshql; fwd=stale");
    assert_came_from(&app.get(&url).await, "freshql; hit");
}

#[tokio::test]
async fn the_report_of_a_stale_list_names_the_change_that_invalidated_it() {
    let app = TestApp::start(Mode::Open).await;
    let list = "{ merchants(where: {city: {eq: \"Ghent\"}}) { totalCount nodes { id } } }";
    let all = "{ merchants(first: 1) { totalCount nodes { id } } }";
    let (of_city, of_all) =
        (format!("/graphql?query={}", encode(list)), format!("/graphql?query={}", encode(all)));
    app.get(&of_city).await;
    app.get(&of_all).await;
    let report = explained(&app, &of_city).await;
    let part = json!({"entity": "Merchant", "column": "city", "value": "Ghent", "watching": ["id", "name", "city"]});
    assert_eq!(report["dependsOn"]["parts"], json!([part]));
    let report = explained(&app, &of_all).await;
    assert_eq!(
        report["dependsOn"]["sets"],
        json!([{"entity": "Merchant", "watching": ["id", "name"]}])
    );

    let (id, _) = app.create_merchant("A shop").await;
    let touched =
        async |path: &str| explained(&app, path).await["cache"]["changes"][0]["touched"].clone();
    assert_eq!(touched(&of_city).await, json!(["the part Merchant.city = \"Ghent\""]));
    assert_eq!(touched(&of_all).await, json!(["the set Merchant"]));

    app.get(&of_city).await;
    app.get(&of_all).await;
    let body = json!({"variables": {"id": id, "patch": {"name": "Another name"}}});
    assert_eq!(app.post(&url(UPDATE), &body).await.status, 200);
    let expected = json!(["the row", "name in the part Merchant.city = \"Ghent\""]);
    assert_eq!(touched(&of_city).await, expected);
    // It is the first by name, so its row is in the answer.
    assert_eq!(touched(&of_all).await, json!(["the row", "name in the set Merchant"]));

    app.get(&of_city).await;
    app.post(&url(DELETE), &json!({"variables": {"id": id}})).await;
    let report = explained(&app, &of_city).await;
    assert_eq!(report["cache"]["changes"][0]["op"], "delete");
    assert_eq!(
        report["cache"]["changes"][0]["touched"],
        json!(["the row", "the part Merchant.city = \"Ghent\""])
    );
}

#[tokio::test]
async fn a_missing_row_is_a_dependency_too() {
    let app = TestApp::start(Mode::Open).await;
    let id = "00000000-0000-7000-8000-000000000000";
    let report = explained(&app, &url_with(MERCHANT, &json!({"id": id}))).await;
    let rows = json!([{"entity": "Merchant", "id": id, "version": null}]);
    assert_eq!(report["dependsOn"]["rows"], rows);
    assert_eq!(report["etag"]["derivedFrom"]["missing"], json!(["Merchant"]));
    assert_eq!(report["latestChanges"], json!([]));
}

#[tokio::test]
async fn every_kind_of_request_can_be_explained() {
    let app = TestApp::start(Mode::Open).await;
    let id = DocumentId::of(MERCHANTS).to_string();
    let explain = [(EXPLAIN, "1")];
    let answers = [
        app.get_with(&format!("/q/{id}/Merchants"), &explain).await,
        app.post_with(&format!("/q/{id}"), &json!({}), &explain).await,
        app.get_with(&format!("/graphql?documentId={id}"), &explain).await,
        app.post_with("/graphql", &json!({"documentId": id}), &explain).await,
        app.post_with("/graphql", &json!({"query": MERCHANTS}), &explain).await,
    ];
    for answer in &answers {
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.assert_not_stored();
        let report = &answer.json()["extensions"]["explain"];
        assert_eq!(report["question"]["document"], id);
        assert_eq!(report["dependsOn"]["rows"].as_array().unwrap().len(), 20);
        assert_eq!(report["etag"], answers[0].json()["extensions"]["explain"]["etag"]);
    }
    let head = app.ask(Method::HEAD, &format!("/q/{id}"), &explain).await;
    assert!(head.body.is_empty());
    head.assert_not_stored();
    // Errors are the same as without the header.
    app.get_with(&format!("{}?variables=%7B%22first%22%3A%22x%22%7D", url(MERCHANTS)), &explain)
        .await
        .assert_error(422, "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_mutation_runs_as_it_always_does() {
    let app = TestApp::start(Mode::Open).await;
    let input = json!({"name": "A shop", "description": "of a test", "city": "Ghent"});
    let answer = app
        .post_with(&url(CREATE), &json!({"variables": {"input": input}}), &[(EXPLAIN, "1")])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.json().get("extensions").is_none());
}

#[tokio::test]
async fn other_modes_ignore_the_header_and_reveal_nothing() {
    for mode in [Mode::Trusted, Mode::Apq] {
        let app = TestApp::start(mode).await;
        for _ in 0..2 {
            let answer = app.get_with(&url(MERCHANTS), &[(EXPLAIN, "1")]).await;
            assert_eq!(answer.status, 200);
            assert!(answer.json()["extensions"].get("explain").is_none());
            answer.etag();
            assert!(
                !answer.headers.contains_key(CACHE_STATUS)
                    && !answer.headers.contains_key(SERVER_TIMING)
            );
        }
    }
}

#[tokio::test]
async fn a_disabled_cache_is_reported() {
    let app = TestApp::start_with(Mode::Open, |config| config.cache_size = ByteSize(0)).await;
    assert_came_from(&app.get(&url(MERCHANTS)).await, "freshql; fwd=bypass");
    assert_eq!(explained(&app, &url(MERCHANTS)).await["cache"]["status"], "bypass");
    // Only `1` requests a report.
    assert!(
        app.get_with(&url(MERCHANTS), &[(EXPLAIN, "0")]).await.json()["extensions"]
            .get("explain")
            .is_none()
    );
}

#[tokio::test]
async fn server_timing_lists_each_phase_with_its_duration() {
    let app = TestApp::start(Mode::Open).await;
    let answer = app.get(&url(MERCHANTS)).await;
    let metrics: Vec<_> =
        answer.header(SERVER_TIMING).split(", ").map(|m| m.split_once(";dur=").unwrap()).collect();
    assert_eq!(metrics.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["plan", "sql", "json"]);
    for (name, duration) in metrics {
        assert!((0.0..10_000.0).contains(&duration.parse::<f64>().unwrap()), "{name} {duration}");
    }
}

/// A model with two entities and three rows, so that a whole report can be compared.
fn library() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let model = r#"
        type Author @entity @cacheControl(maxAge: 60) { id: ID! @id  name: String!  books: [Book!]! @derivedFrom(field: "author") }
        type Book @entity @cacheControl(maxAge: 5) { id: ID! @id @default(fn: AUTOINCREMENT)  title: String!  price: Decimal  author: Author! }
    "#;
    let rows = "INSERT INTO authors (id, name) VALUES ('ada', 'Ada');
        INSERT INTO books (title, price, author_id) VALUES ('On engines', 12500, 'ada'), ('On notes', NULL, 'ada');
        UPDATE books SET title = 'On Engines' WHERE id = 1;
        UPDATE books SET price = 13000 WHERE id = 1;";
    let layout = Layout::new(&parse("schema.graphql", model).unwrap().model);
    let migration = create_statements(&layout).concat() + rows;
    let query = "query Shelf($id: ID!, $title: String!) {
  author(id: $id) { name books(first: 1) { totalCount nodes { title price author { name } } pageInfo { hasNextPage } } }
  books(where: {title: {startsWith: $title}}) { nodes { id } }
  nobody: author(id: \"nobody\") { name }
}";
    for (file, text) in [
        ("schema.graphql", model),
        ("migrations/0001_create.sqlite.sql", &migration),
        ("queries/shelf.graphql", query),
    ] {
        let path = directory.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    directory
}

/// The report without what differs between runs.
fn redacted(report: &str) -> String {
    let redact = |line: &str| match line {
        _ if line.starts_with("ETag ") => "ETag  …".to_owned(),
        _ if line.starts_with("ms ") => "ms  …".to_owned(),
        _ if line.starts_with("  epoch") => "  epoch      …".to_owned(),
        _ if line.ends_with(" ms") => format!("{} …", line.rsplit_once(" in ").unwrap().0),
        _ => line
            .split(' ')
            .map(|word| if is_time(word) { "[time]" } else { word })
            .collect::<Vec<_>>()
            .join(" "),
    };
    counted(&report.lines().map(redact).collect::<Vec<_>>().join("\n"))
}

/// Replaces versions, which are times, by their rank: 1 for the first.
fn counted(report: &str) -> String {
    let is_version =
        |word: &&str| word.len() == 16 && word.bytes().all(|byte| byte.is_ascii_digit());
    let versions: BTreeSet<&str> = report.split([' ', ':', '\n']).filter(is_version).collect();
    let numbered = (1..).zip(&versions);
    numbered.fold(report.to_owned(), |report, (number, version)| {
        report.replace(version, &number.to_string())
    })
}

fn is_time(word: &str) -> bool {
    word.len() == 20 && word.ends_with('Z') && word.as_bytes()[10] == b'T'
}

#[test]
fn the_command_prints_a_report() {
    let project = library();
    let migrated = freshql(project.path(), &["migrate", "up"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let file = project.path().join("queries/shelf.graphql");
    let variables = json!({"id": "ada", "title": "On"}).to_string();
    let output =
        freshql(project.path(), &["explain", "--variables", &variables, file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    insta::assert_snapshot!(redacted(&String::from_utf8(output.stdout).unwrap()), @r##"
    operation  Shelf
    document   f394d0d40e6c1d4caa1a4c10ab9c5d566719d354e901f93c616c0959ad6c97db
    variables  {"id":"ada","title":"On"}

    ETag  …
      derived from document, operation and variables, and
      epoch      …
      model      8ae26156193cf79c8d0dd457206adc109410ae8c6de4c8902f7e895ae32914b3
      rendering  1
      rows       5, each with its id and version
      not there  Author
      lists      of 1+, 2
      totals     2

    Cache-Control      public, max-age=5, s-maxage=5
    CDN-Cache-Control  max-age=5
      max-age was decided by books (2:26)
      s-maxage was decided by books (2:26)
      stale-while-revalidate was decided by author (2:3)
      for hit or miss ask a server in mode open, with the request header freshql-explain: 1

    depends on, as of change 5:
      row   Author "ada" at version 1
      row   Book "1" at version 5
      row   Book "2" at version 3
      row   Author "nobody", which is not there
      part  Book.authorId = "ada", watching id
      set   Book, watching id, title

    latest changes of these:
      5  [time]  update of Book "1" (price)
          touched the row
      4  [time]  update of Book "1" (title)
          touched the row
          touched title in the set Book
      3  [time]  insert of Book "2"
          touched the row
          touched the set Book
          touched the part Book.authorId = "ada"
      2  [time]  insert of Book "1"
          touched the row
          touched the set Book
          touched the part Book.authorId = "ada"
      1  [time]  insert of Author "ada"
          touched the row

    SQL:
      1 × SELECT "t"."id", "t"."_version", "t"."name" FROM "authors" AS "t" WHERE "t"."id" = ?1
          with "ada"
          gave 1 row …
      1 × SELECT COUNT(*) FROM "books" AS "t" WHERE "t"."author_id" = ?1
          with "ada"
          gave 1 row …
      1 × SELECT "t"."id", "t"."_version", "t"."title", "t"."price", "t"."author_id" FROM "books" AS "t" WHERE "t"."author_id" = ?1 ORDER BY "t"."id" ASC LIMIT ?2
          with "ada", 2
          gave 2 rows …
      1 × SELECT "t"."id", "t"."_version", "t"."name" FROM "authors" AS "t" WHERE "t"."id" = ?1
          with "ada"
          gave 1 row …
      1 × SELECT "t"."id", "t"."_version" FROM "books" AS "t" WHERE "t"."title" >= ?1 AND "t"."title" < ?2 ORDER BY "t"."id" ASC LIMIT ?3
          with "On", "Oo", 20
          gave 2 rows …
      1 × SELECT "t"."id", "t"."_version", "t"."name" FROM "authors" AS "t" WHERE "t"."id" = ?1
          with "nobody"
          gave 0 rows …

    ms  …
    "##);
}

#[tokio::test]
async fn the_command_and_the_server_agree() {
    let app = TestApp::start(Mode::Open).await;
    let served = explained(&app, &url_with(MERCHANTS, &json!({"first": 3}))).await;
    let id = DocumentId::of(MERCHANTS).to_string();
    let arguments =
        ["explain", "--json", "--operation", "Merchants", "--variables", r#"{"first": 3}"#, &id];
    let output = freshql_on(&app, &arguments);
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    for part in ["question", "etag", "policy", "dependsOn", "latestChanges"] {
        assert_eq!(printed[part], served[part], "{part}");
    }
    assert!(printed.get("cache").is_none(), "the command has no cache");
}

#[test]
fn the_command_writes_nothing() {
    let project = project();
    // Settings of the server do not matter.
    configure(project.path(), "migrate = true\n");
    let output = freshql(project.path(), &["explain", &DocumentId::of(MERCHANTS).to_string()]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no database yet"));
    assert!(!project.path().join("freshql.db").exists());

    assert!(freshql(project.path(), &["migrate", "up"]).status.success());
    let before = std::fs::read(project.path().join("freshql.db")).unwrap();
    for document in [MERCHANTS, CREATE] {
        freshql(project.path(), &["explain", &DocumentId::of(document).to_string()]);
    }
    assert!(before == std::fs::read(project.path().join("freshql.db")).unwrap());
}

#[test]
fn the_command_reports_what_it_cannot_explain() {
    let project = project();
    let _database = ProjectDatabase::new(project.path());
    assert!(freshql(project.path(), &["migrate", "up"]).status.success());
    let complaint = |arguments: &[&str]| {
        let output = freshql(project.path(), &[&["explain"], arguments].concat());
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let (mutation, query) =
        (DocumentId::of(CREATE).to_string(), DocumentId::of(MERCHANT).to_string());
    assert!(complaint(&[&mutation]).contains("a mutation cannot be explained"));
    assert!(complaint(&[&query]).contains("variable $id is required"));
    assert!(complaint(&[&query, "--variables", "[]"]).contains("not a JSON object"));
    assert!(complaint(&[&query, "--operation", "X"]).contains("there is Merchant"));
    let said = complaint(&["nothing"]);
    assert!(
        said.contains("nothing is neither the id of a registered document, nor a file, nor the name of an operation"),
        "{said}"
    );
    std::fs::write(project.path().join("queries/again.graphql"), format!("# Again.\n{MERCHANTS}"))
        .unwrap();
    let said = complaint(&["Merchants"]);
    assert!(
        said.contains("several documents have an operation Merchants; name one by its id: "),
        "{said}"
    );
    assert!(said.contains(&DocumentId::of(MERCHANTS).to_string()), "{said}");
    std::fs::remove_file(project.path().join("queries/again.graphql")).unwrap();
    for name in ["Merchants", "B"] {
        let output = freshql(project.path(), &["explain", name]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.starts_with(&format!("operation  {name}\n")), "{text}");
    }
    let file = project.path().join("mistake.graphql");
    std::fs::write(&file, "query A {\n  nonsense\n}\n").unwrap();
    assert!(complaint(&[file.to_str().unwrap()]).contains("mistake.graphql:2:3"));
}

#[tokio::test]
async fn documents_that_were_registered_over_http_are_explained_by_id() {
    let app = TestApp::start(Mode::Trusted).await;
    let text = "{ merchants(first: 1) { nodes { name } } }";
    let put = app
        .request(Method::PUT, &url(text))
        .bearer_auth(crate::harness::TOKEN)
        .body(text)
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 201);
    let wanted = app::ExplainRequest {
        document: DocumentId::of(text).to_string(),
        variables: None,
        operation: None,
        json: true,
        claims: None,
    };
    let printed: Value =
        serde_json::from_str(&app::explain(&app.config, &wanted).await.unwrap()).unwrap();
    assert_eq!(printed["etag"]["value"], app.get(&url(text)).await.json()["extensions"]["etag"]);
}
