//! A separate server for each test: the demo's model and migrations in a temporary directory, the
//! tests' documents in addition to the demo's, a new database, a free port.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use freshql::app::{self, RunningServer};
use freshql::config::{Config, Issuer, KeySource, Mode, PartialConfig};
use freshql::document_id::DocumentId;
use freshql::etag::RENDERING;
use freshql::identity::mint::mint;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, VARY};
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;

use crate::database::{Driver, Outsider, TestDatabase, driver};

/// The admin token of all test servers.
pub(crate) const TOKEN: &str = "the-token-of-the-tests";

pub(crate) const MERCHANT: &str =
    "query Merchant($id: ID!) { merchant(id: $id) { __typename id etag name city } }";
pub(crate) const MERCHANTS: &str = "query Merchants($first: Int = 20) { merchants(first: $first) { nodes { id name description city } totalCount } }";
pub(crate) const TWO: &str = "query A { merchants(first: 1) { totalCount } }\nquery B { products(first: 1) { totalCount } }\n";
pub(crate) const CREATE: &str =
    "mutation Create($input: MerchantInput!) { createMerchant(input: $input) { id etag name } }";
pub(crate) const UPDATE: &str =
    "mutation Update($id: ID!, $patch: MerchantPatch!, $expectedEtag: String) {
  updateMerchant(id: $id, patch: $patch, expectedEtag: $expectedEtag) { id etag name city }
}";
pub(crate) const DELETE: &str = "mutation Delete($id: ID!) { deleteMerchant(id: $id) { id } }";

/// The secret that signs the demo's tokens in tests, and the variable that contains it.
pub(crate) const DEMO_SECRET: (&str, &str) =
    ("FRESHQL_JWT_SECRET", "a secret of the tests, thirty-two bytes or more");

const DOCUMENTS: [(&str, &str); 6] = [
    ("merchant", MERCHANT),
    ("merchants", MERCHANTS),
    ("two", TWO),
    ("create", CREATE),
    ("update", UPDATE),
    ("delete", DELETE),
];

/// A running server.
pub(crate) struct TestApp {
    pub(crate) directory: TempDir,
    pub(crate) config: Config,
    /// None: a file in `directory`, or the database of the server that this one runs next to.
    _database: Option<TestDatabase>,
    running: RunningServer,
    client: reqwest::Client,
    /// `Bearer …`, sent with every POST that has no `Authorization`: in the demo everybody may
    /// read, but only viewers whom the rules allow may write.
    posts_as: Option<String>,
}

/// A server for a project as it is, on its own database.
pub(crate) async fn serve(project: &Path, mode: Mode) -> RunningServer {
    let overrides = PartialConfig {
        dir: Some(project.to_owned()),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        mode: Some(mode),
        ..PartialConfig::default()
    };
    app::start(app::configure(overrides).unwrap()).await.unwrap()
}

/// A complete response.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl TestApp {
    pub(crate) async fn start(mode: Mode) -> Self {
        Self::start_with(mode, |_| {}).await
    }

    /// Starts a server with a changed configuration.
    pub(crate) async fn start_with(mode: Mode, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_in(project(), mode, change).await
    }

    /// Starts a server for another project.
    pub(crate) async fn start_in(
        directory: TempDir,
        mode: Mode,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let is_demo = directory.path().join("queries/tests/merchant.graphql").is_file();
        let overrides = PartialConfig {
            dir: Some(directory.path().to_owned()),
            listen: Some("127.0.0.1:0".parse().unwrap()),
            mode: Some(mode),
            migrate: Some(true),
            admin_token: Some(TOKEN.parse().unwrap()),
            readers: "2".parse().ok(),
            ..PartialConfig::default()
        };
        let mut config = app::configure(overrides).unwrap();
        let on_server = (driver() == Driver::Postgres).then(TestDatabase::new);
        if let Some(database) = &on_server {
            config.database = database.config();
        }
        if is_demo {
            config.auth = vec![demo_issuer()];
        }
        change(&mut config);
        let running = app::start(config.clone()).await.unwrap();
        let client = reqwest::Client::builder().build().unwrap();
        let posts_as = is_demo.then(editor);
        Self { directory, config, _database: on_server, running, client, posts_as }
    }

    /// Restarts the server, as far as a test can tell in a new process.
    pub(crate) async fn restart(self) -> Self {
        self.restart_after(async || {}).await
    }

    /// Restarts the server; `meanwhile` runs while it is stopped.
    pub(crate) async fn restart_after(self, meanwhile: impl AsyncFnOnce()) -> Self {
        self.running.stop().await.unwrap();
        meanwhile().await;
        let running = app::start(self.config.clone()).await.unwrap();
        Self { running, ..self }
    }

    /// Another server for the same project, on the same database.
    pub(crate) async fn beside(&self) -> Self {
        self.beside_with(|_| {}).await
    }

    /// Another server with a changed configuration.
    pub(crate) async fn beside_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        self.beside_of(RENDERING, change).await
    }

    /// Another server, of a release whose answers have this format.
    pub(crate) async fn beside_of(&self, rendering: u32, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.config.clone();
        change(&mut config);
        let running = app::start_release(rendering, config.clone()).await.unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (client, posts_as) = (self.client.clone(), self.posts_as.clone());
        Self { directory, config, _database: None, running, client, posts_as }
    }

    /// Sends a request to the operators' API.
    pub(crate) async fn admin(&self, method: Method, path: &str, body: &str) -> Answer {
        let request = self.request(method, path).bearer_auth(TOKEN).body(body.to_owned());
        answer(request).await
    }

    pub(crate) fn address(&self) -> std::net::SocketAddr {
        self.running.address
    }

    /// Its database file, in tests of SQLite's own features.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("freshql.db")
    }

    /// An external writer on its database.
    pub(crate) fn outsider(&self) -> Outsider {
        Outsider::of(&self.config.database)
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.running.address))
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    /// Header names may appear more than once.
    pub(crate) async fn get_with(&self, path: &str, headers: &[(HeaderName, &str)]) -> Answer {
        self.ask(Method::GET, path, headers).await
    }

    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
    ) -> Answer {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        answer(request).await
    }

    /// POSTs JSON.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        path: &str,
        body: &Value,
        headers: &[(HeaderName, &str)],
    ) -> Answer {
        let mut request = self.request(Method::POST, path).json(body);
        if let Some(token) =
            self.posts_as.as_ref().filter(|_| headers.iter().all(|(name, _)| name != AUTHORIZATION))
        {
            request = request.header(AUTHORIZATION, token);
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        answer(request).await
    }

    /// Sends these bytes and reads until the server closes the connection, for details that a
    /// client library hides.
    pub(crate) async fn raw(&self, request: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.running.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        response
    }

    /// Creates a merchant; returns its id and etag.
    pub(crate) async fn create_merchant(&self, name: &str) -> (String, String) {
        let input = json!({"name": name, "description": "of a test", "city": "Ghent"});
        let answer = self.post(&url(CREATE), &json!({"variables": {"input": input}})).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let row = &answer.json()["data"]["createMerchant"];
        (row["id"].as_str().unwrap().to_owned(), row["etag"].as_str().unwrap().to_owned())
    }

    /// Sets the merchant's city, whatever its version; returns its new etag.
    pub(crate) async fn move_merchant(&self, id: &str, city: &str) -> String {
        let answer = self
            .post(&url(UPDATE), &json!({"variables": {"id": id, "patch": {"city": city}}}))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["data"]["updateMerchant"]["etag"].as_str().unwrap().to_owned()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    /// The header's only line.
    #[track_caller]
    pub(crate) fn header(&self, name: impl TryInto<HeaderName>) -> &str {
        let name = name.try_into().unwrap_or_else(|_| panic!("no header has such a name"));
        let lines: Vec<_> = self.headers.get_all(&name).iter().collect();
        assert_eq!(lines.len(), 1, "{name} in {:?}", self.headers);
        lines[0].to_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn etag(&self) -> &str {
        self.header(ETAG)
    }

    /// The code of the first error.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        self.json()["errors"][0]["extensions"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{}", self.text()))
            .to_owned()
    }

    /// Errors are for one client at one moment: nobody may store them, and they have no validator.
    #[track_caller]
    pub(crate) fn assert_error(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.code(), code);
        assert!(self.json().get("data").is_none(), "{}", self.text());
        self.assert_not_stored();
    }

    #[track_caller]
    pub(crate) fn assert_problem(&self, status: u16) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header(CONTENT_TYPE), "application/problem+json");
        assert_eq!(self.json()["status"], status);
        self.assert_not_stored();
    }

    #[track_caller]
    pub(crate) fn assert_not_stored(&self) {
        assert_eq!(self.header(CACHE_CONTROL), "no-store");
        assert!(
            matches!(self.header(VARY), "Accept-Encoding" | "Accept, Accept-Encoding"),
            "{:?}",
            self.headers
        );
        assert!(!self.headers.contains_key(ETAG));
    }
}

/// Sends a signal, such as `TERM`.
pub(crate) fn signal(process: &Child, signal: &str) {
    let pid = process.id().unwrap().to_string();
    assert!(
        std::process::Command::new("kill").args(["-s", signal, &pid]).status().unwrap().success()
    );
}

/// The issuer of the demo's tokens.
pub(crate) fn demo_issuer() -> Issuer {
    let (variable, secret) = DEMO_SECRET;
    Issuer {
        issuer: "https://market.example/".to_owned(),
        audience: vec!["market".to_owned()],
        keys: KeySource::Secret {
            variable: variable.to_owned(),
            secret: Some(secret.parse().unwrap()),
        },
        roles: "/roles".to_owned(),
        cookie: None,
        leeway: Issuer::LEEWAY,
    }
}

/// `Bearer …` for a viewer of the demo with these claims.
pub(crate) fn demo_bearer(claims: &Value) -> String {
    let claims = claims.as_object().unwrap().clone();
    format!("Bearer {}", mint(&demo_issuer(), claims, Duration::from_secs(3600)).unwrap())
}

/// `Bearer …` for an editor, who may do everything.
pub(crate) fn editor() -> String {
    demo_bearer(&json!({"sub": "eve", "roles": ["editor"]}))
}

/// The URL of a document.
pub(crate) fn url(text: &str) -> String {
    format!("/q/{}", DocumentId::of(text))
}

/// The URL of a document with variables.
pub(crate) fn url_with(text: &str, variables: &Value) -> String {
    format!("{}?variables={}", url(text), encode(&variables.to_string()))
}

/// Percent-encodes all but unreserved characters.
pub(crate) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, body: response.bytes().await.unwrap() }
}

/// The demo with only `[auth]` from its configuration, and the tests' documents.
pub(crate) fn project() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(demo.join("schema.graphql"), directory.path().join("schema.graphql")).unwrap();
    let settings = std::fs::read_to_string(demo.join("freshql.toml")).unwrap();
    let (_, auth) = settings.split_once("[auth]").unwrap();
    std::fs::write(directory.path().join("freshql.toml"), format!("[auth]{auth}")).unwrap();
    for name in ["queries", "migrations"] {
        copy(&demo.join(name), &directory.path().join(name));
    }
    let queries = directory.path().join("queries/tests");
    std::fs::create_dir_all(&queries).unwrap();
    for (name, text) in DOCUMENTS {
        std::fs::write(queries.join(name).with_extension("graphql"), text).unwrap();
    }
    directory
}

/// Inserts settings before those that `project` has kept.
pub(crate) fn configure(project: &Path, settings: &str) {
    let file = project.join("freshql.toml");
    let auth = std::fs::read_to_string(&file).unwrap();
    std::fs::write(file, format!("{settings}\n{auth}")).unwrap();
}

pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
