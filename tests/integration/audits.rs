//! Audits of our answers by other projects' tools: HTTP and GraphQL-over-HTTP auditors, and the
//! rules of caches as oracles. They run in Node.js and Python, see `tests/audits/`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use freshql::config::Mode;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::{CREATE, MERCHANT, MERCHANTS, TestApp, UPDATE, editor, url, url_with};
use crate::installed_program::{Demo, node, node_program, packages, program, text, there, top};
use crate::lifetimes::{Origin, path_of, path_without_variables};

const DIRECTORY: &str = "tests/audits";

/// The environment that scripts/setup creates.
fn python() -> PathBuf {
    top().join("target/tools/python/bin/python")
}

fn python_packages() -> (&'static str, bool) {
    ("the Python packages of tests/audits", python().is_file())
}

/// Runs a script, which reports failure by its exit code; returns its output.
fn run(command: Command, input: &[u8]) -> String {
    run_in(command, &top().join(DIRECTORY), input)
}

fn run_in(mut command: Command, directory: &Path, input: &[u8]) -> String {
    command
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input).unwrap();
    let output = process.wait_with_output().unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

#[test]
fn graphql_http_finds_no_error() {
    if there("graphql_http_finds_no_error", &[program("node"), packages(DIRECTORY)]) {
        node(&Demo::start(), DIRECTORY, "graphql_http.test.mjs", &[]);
    }
}

/// Runs a script with a server of the project `lifetimes` and its URLs.
async fn oracle(program: PathBuf, arguments: &[&str]) -> String {
    let origin = Origin::start().await;
    let mut paths: serde_json::Map<String, Value> =
        ["page", "photo", "news", "notice", "draft", "letter"]
            .iter()
            .map(|entity| ((*entity).to_owned(), json!(path_of(entity))))
            .collect();
    paths.insert("edit_page".to_owned(), json!(path_without_variables("edit_page")));
    let mut command = Command::new(program);
    command.args(arguments).env("FRESHQL_URL", format!("http://{}", origin.address));
    command.env("FRESHQL_PATHS", Value::Object(paths).to_string());
    tokio::task::spawn_blocking(move || run(command, b"")).await.unwrap()
}

#[tokio::test]
async fn http_cache_semantics_keeps_answers_for_as_long_as_the_model_says() {
    let parts = [program("node"), packages(DIRECTORY)];
    if there("http_cache_semantics_keeps_answers_for_as_long_as_the_model_says", &parts) {
        let said = oracle(node_program(), &["--test", "semantics.test.mjs"]).await;
        assert!(said.contains("# pass 16\n") && said.contains("# skipped 0\n"), "{said}");
    }
}

#[tokio::test]
async fn hishel_keeps_answers_for_as_long_as_the_model_says() {
    if there("hishel_keeps_answers_for_as_long_as_the_model_says", &[python_packages()]) {
        let said = oracle(python(), &["hishel_client.py"]).await;
        assert_eq!(said.matches("ok ").count(), 4, "{said}");
    }
}

#[derive(Serialize)]
struct Asked {
    name: &'static str,
    method: String,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    #[serde(skip)]
    status: u16,
}

#[derive(Deserialize)]
struct Told {
    status: Option<u16>,
    notes: Vec<(String, String, String)>,
}

fn asked(name: &'static str, status: u16, method: Method, path: impl Into<String>) -> Asked {
    Asked {
        name,
        status,
        method: method.to_string(),
        path: path.into(),
        headers: Vec::new(),
        body: String::new(),
    }
}

impl Asked {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(mut self, body: &Value) -> Self {
        self.body = body.to_string();
        self.with("content-type", "application/json")
    }
}

/// REDbot's notes that we accept, with the reasons.
const EXPLAINED: [(&str, &str); 6] = [
    (
        "STORE_PUBLIC_UNNECESSARY",
        "`s-maxage` would do; `public` says it to caches that do not know that, and to people",
    ),
    ("CSP_UNSAFE_INLINE", "styles only: the console's editor makes its themes so"),
    ("STATUS_412_WITHOUT_PRECONDITION", "the precondition is `expectedEtag`, in the body"),
    ("STATUS_BAD_REQUEST", "it is what the request tries"),
    ("URI_TOO_LONG", "it is what the request tries"),
    ("STATUS_URI_TOO_LONG", "it is what the request tries"),
];

#[tokio::test]
async fn redbot_finds_no_fault_in_any_kind_of_response() {
    if !there("redbot_finds_no_fault_in_any_kind_of_response", &[python_packages()]) {
        return;
    }
    let app = TestApp::start_with(Mode::Open, |config| {
        config.cors_origins = "https://a.example,https://b.example".parse().unwrap();
    })
    .await;
    let (id, _) = app.create_merchant("Audited").await;
    let merchant = url_with(MERCHANT, &json!({"id": id}));
    let list = url_with(MERCHANTS, &json!({"first": 50}));
    let known = app.get(&merchant).await.etag().to_owned();
    let typename = "/graphql?query=%7B__typename%7D";
    let script =
        app.get("/").await.text().split('"').find(|text| text.ends_with(".js")).unwrap().to_owned();
    let patch = json!({"variables": {"id": id, "patch": {"city": "Ghent"}, "expectedEtag": "old"}});
    let graphql = "application/graphql-response+json";
    let none = "/q/0000000000000000000000000000000000000000000000000000000000000000";
    let requests = [
        asked("200", 200, Method::GET, &merchant),
        asked("200, long", 200, Method::GET, &list),
        asked("200, gzip", 200, Method::GET, &list).with("accept-encoding", "gzip"),
        asked("200, br", 200, Method::GET, &list).with("accept-encoding", "br"),
        asked("200, zstd", 200, Method::GET, &list).with("accept-encoding", "zstd"),
        asked("200, CORS", 200, Method::GET, &merchant).with("origin", "https://a.example"),
        asked("304", 304, Method::GET, &merchant).with("if-none-match", &known),
        asked("304, gzip", 304, Method::GET, &list)
            .with("if-none-match", "*")
            .with("accept-encoding", "gzip"),
        asked("412 to GET", 412, Method::GET, &merchant).with("if-match", "\"other\""),
        asked("HEAD", 200, Method::HEAD, &list).with("accept-encoding", "gzip"),
        asked("OPTIONS", 204, Method::OPTIONS, &merchant),
        asked("preflight", 204, Method::OPTIONS, "/graphql")
            .with("origin", "https://a.example")
            .with("access-control-request-method", "POST")
            .with("access-control-request-headers", "content-type"),
        asked("404, no document", 404, Method::GET, none),
        asked("404, no URL", 404, Method::GET, "/nothing"),
        asked("400", 400, Method::GET, format!("{}?variables=%7B", url(MERCHANT))),
        asked("422", 422, Method::GET, url(MERCHANT)),
        asked("405, a mutation", 405, Method::GET, url(UPDATE)),
        asked("405, a method", 405, Method::PATCH, &merchant),
        asked("414", 414, Method::GET, format!("{}?x={}", url(MERCHANT), "y".repeat(17_000))),
        asked("415", 415, Method::POST, url(MERCHANT)).with("content-type", "text/plain"),
        asked("401", 401, Method::GET, "/q"),
        asked("POST, a query", 200, Method::POST, url(MERCHANTS)).body(&json!({})),
        asked("POST, 412", 412, Method::POST, url(UPDATE))
            .with("authorization", editor())
            .body(&patch),
        asked("graphql, GET", 200, Method::GET, typename),
        asked("graphql, GET, its media type", 200, Method::GET, typename).with("accept", graphql),
        asked("graphql, 406", 406, Method::GET, typename).with("accept", "text/html"),
        asked("graphql, POST", 200, Method::POST, "/graphql")
            .body(&json!({"query": "{__typename}"})),
        asked("graphql, POST, its media type", 400, Method::POST, "/graphql")
            .with("accept", graphql)
            .body(&json!({"query": "{"})),
        asked("schema", 200, Method::GET, "/schema.graphql"),
        asked("console", 200, Method::GET, "/"),
        asked("console, a script", 200, Method::GET, script),
        asked("healthz", 200, Method::GET, "/healthz"),
        asked("readyz", 200, Method::GET, "/readyz"),
    ];
    let told = audit(&app.address().to_string(), &requests).await;
    let mut found = String::new();
    for request in &requests {
        found += &judge(request, &told[request.name]);
    }

    // Answers of a server in trouble.
    let app = TestApp::start_with(Mode::Trusted, |config| {
        config.limits.timeout = Duration::from_millis(400)
    })
    .await;
    let lock = rusqlite::Connection::open(app.database()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let input = json!({"name": "Late", "description": "", "city": "Ghent"});
    let create = asked("504", 504, Method::POST, url(CREATE)).with("authorization", editor());
    let requests = [create.body(&json!({"variables": {"input": input}}))];
    let told = audit(&app.address().to_string(), &requests).await;
    found += &judge(&requests[0], &told["504"]);
    lock.execute_batch("ROLLBACK").unwrap();
    let app = TestApp::start(Mode::Trusted).await;
    rusqlite::Connection::open(app.database()).unwrap().execute_batch(DROP).unwrap();
    let requests = [asked("readyz, 503", 503, Method::GET, "/readyz")];
    let told = audit(&app.address().to_string(), &requests).await;
    found += &judge(&requests[0], &told["readyz, 503"]);
    assert_eq!(found, "");
}

/// An external mistake: merchants no longer get versions.
const DROP: &str = "DROP TRIGGER _freshql_merchants_inserted";

async fn audit(address: &str, requests: &[Asked]) -> std::collections::HashMap<String, Told> {
    let input = json!({"base": format!("http://{address}"), "requests": requests}).to_string();
    let mut command = Command::new(python());
    command.arg("redbot_notes.py");
    let output = tokio::task::spawn_blocking(move || run(command, input.as_bytes())).await.unwrap();
    serde_json::from_str(&output).unwrap_or_else(|error| panic!("{error}: {output}"))
}

/// What is wrong, one per line.
fn judge(request: &Asked, told: &Told) -> String {
    let mut found = String::new();
    if told.status != Some(request.status) {
        found += &format!("{}: status {:?}\n", request.name, told.status);
    }
    for (level, note, summary) in &told.notes {
        let name = note.trim_start_matches("active: ");
        if !EXPLAINED.iter().any(|(explained, _)| *explained == name) {
            found += &format!("{}: {level} {note}: {summary}\n", request.name);
        }
    }
    found
}

#[tokio::test]
async fn an_http2_client_that_exceeds_the_limits_is_disconnected_and_others_are_served() {
    if !there(
        "an_http2_client_that_exceeds_the_limits_is_disconnected_and_others_are_served",
        &[python_packages()],
    ) {
        return;
    }
    let app = TestApp::start(Mode::Trusted).await;
    let mut command = Command::new(python());
    command.arg("http2_limits.py").env("FRESHQL_ADDRESS", app.address().to_string());
    command.env("FRESHQL_PATH", url(MERCHANTS));
    let said = tokio::task::spawn_blocking(move || run(command, b"")).await.unwrap();
    assert_eq!(said.matches("ok ").count(), 5, "{said}");
}

/// Requests generated from `docs/openapi.yaml`, valid and invalid: no answer is a server error, or
/// missing from the file.
#[tokio::test]
async fn schemathesis_confirms_the_openapi_description() {
    if !there("schemathesis_confirms_the_openapi_description", &[python_packages()]) {
        return;
    }
    let app = TestApp::start(Mode::Open).await;
    let directory = tempfile::tempdir().unwrap();
    let description = std::fs::read_to_string(top().join("docs/openapi.yaml")).unwrap();
    // Existing ids, in addition to generated ones.
    let any = "schema: { type: string, minLength: 1 }";
    assert_eq!(description.matches(any).count(), 1);
    let ids: Vec<_> =
        [MERCHANT, MERCHANTS, UPDATE].map(|text| url(text).replacen("/q/", "", 1)).into();
    let some = format!(
        "schema: {{ anyOf: [{{ enum: [{}] }}, {{ type: string, minLength: 1 }}] }}",
        ids.join(", ")
    );
    let file = directory.path().join("openapi.yaml");
    std::fs::write(&file, description.replace(any, &some)).unwrap();
    let mut command = Command::new(python().with_file_name("schemathesis"));
    command.arg("run").arg(&file).args(["--url", &format!("http://{}", app.address())]);
    command.args([
        "--phases",
        "coverage,fuzzing",
        "--max-examples",
        "10",
        "--generation-deterministic",
        "--no-color",
    ]);
    // The file cannot express which documents and variables are valid.
    command.args([
        "--exclude-checks",
        "positive_data_acceptance",
        "--suppress-health-check",
        "all",
    ]);
    command.env("HOME", directory.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let said =
        tokio::task::spawn_blocking(move || run_in(command, directory.path(), b"")).await.unwrap();
    assert!(said.contains("Operations:       13 selected / 13 total"), "{said}");
}
