//! Internal errors: at every endpoint, the client gets an incident id or our own message, and only
//! the log contains the database's message, under that id.

use freshql::config::Database;
use http::Method;
use serde_json::{Value, json};

use crate::database::Outsider;
use crate::harness::{CREATE, MERCHANTS, TOKEN, configure, editor, project, signal, url, url_with};
use crate::program::Program;

/// A request to one of the server's endpoints.
struct Edge {
    name: &'static str,
    method: Method,
    path: String,
    body: Value,
    headers: Vec<(&'static str, String)>,
}

fn edge(name: &'static str, method: Method, path: impl Into<String>) -> Edge {
    Edge { name, method, path: path.into(), body: Value::Null, headers: Vec::new() }
}

impl Edge {
    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn body(self, body: Value) -> Self {
        Self { body, ..self }.with("content-type", "application/json")
    }

    async fn ask(&self, address: &str) -> (u16, String) {
        let url = format!("{address}{}", self.path);
        let mut request = reqwest::Client::new().request(self.method.clone(), url);
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        if !self.body.is_null() {
            request = request.body(self.body.to_string());
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }
}

fn admin(name: &'static str, method: Method, path: impl Into<String>) -> Edge {
    edge(name, method, path).with("authorization", format!("Bearer {TOKEN}"))
}

/// Everything that reads or writes rows, versions or documents.
fn edges() -> Vec<Edge> {
    let unknown = url("query Nobody { merchants { totalCount } }");
    let query = format!("{{\"query\":{}}}", json!(MERCHANTS));
    let input = json!({"name": "a", "description": "b", "city": "c"});
    let create = json!({"variables": {"input": input}});
    vec![
        edge("a GET whose answer is kept", Method::GET, url(MERCHANTS)),
        edge("a GET of something new", Method::GET, url_with(MERCHANTS, &json!({"first": 3}))),
        edge("a GET of an unknown document", Method::GET, &unknown),
        edge("a report", Method::GET, url(MERCHANTS)).with("freshql-explain", "1"),
        edge("a POST of a document", Method::POST, url(MERCHANTS)).body(json!({})),
        edge("a POST of a text", Method::POST, "/graphql").body(query.parse().unwrap()),
        edge("a mutation", Method::POST, url(CREATE))
            .body(create.clone())
            .with("authorization", editor()),
        edge("a mutation that is to take effect once", Method::POST, url(CREATE))
            .body(create)
            .with("authorization", editor())
            .with("idempotency-key", "\"one\""),
        admin("the list of documents", Method::GET, "/q"),
        admin("a new document", Method::PUT, &unknown)
            .body(json!("query Nobody { merchants { totalCount } }")),
        admin("a document that goes", Method::DELETE, &unknown),
        admin("a manifest", Method::POST, "/q")
            .body(json!({"a": "query Nobody { merchants { totalCount } }"})),
        edge("readiness", Method::GET, "/readyz"),
    ]
}

#[cfg(unix)]
#[tokio::test]
async fn database_errors_reach_the_log_and_no_client() {
    let broken: [&[&str]; 4] = [
        &["ALTER TABLE _freshql_idempotency RENAME TO elsewhere"],
        &[
            "ALTER TABLE _freshql_document RENAME TO elsewhere",
            "ALTER TABLE _freshql_alias RENAME TO elsewhere_too",
        ],
        &["ALTER TABLE merchants RENAME COLUMN city TO town"],
        &["DROP TABLE _freshql_change"],
    ];
    let mut incidents = 0;
    for statements in broken {
        let project = project();
        configure(project.path(), "mode = \"open\"\nlog_format = \"json\"");
        let variables = [("FRESHQL_ADMIN_TOKEN", TOKEN)];
        let mut program = Program::start_with(project.path(), &variables).await;
        let address = program.address.split('"').next().unwrap().to_owned();
        assert_eq!(edge("", Method::GET, url(MERCHANTS)).ask(&address).await.0, 200);
        let other = match &program.database {
            Some(database) => database.outsider(),
            None => Outsider::of(&Database::Sqlite(project.path().join("freshql.db"))),
        };
        statements.iter().for_each(|statement| other.execute(statement));

        let mut ids = Vec::new();
        let mut failed = 0;
        for edge in edges() {
            let (status, body) = edge.ask(&address).await;
            if status < 500 {
                continue;
            }
            failed += 1;
            let told = format!("{} after {statements:?}: {status} {body}", edge.name);
            for word in ["no such", "does not exist", "SELECT", "INSERT", "UPDATE", "elsewhere"] {
                assert!(!body.contains(word), "{told}");
            }
            // Readiness names what the operator has to repair, in our own message.
            let names_table = body.contains("_freshql") || body.contains("city");
            assert!(!names_table || edge.path == "/readyz", "{told}");
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let id = body["errors"][0]["extensions"]["incident"]
                .as_str()
                .or_else(|| body["detail"].as_str()?.split_once("this id: ").map(|(_, id)| id));
            assert!(status != 500 || id.is_some(), "{told}");
            ids.extend(id.map(str::to_owned));
        }
        assert!(failed > 0, "nothing has failed after {statements:?}");

        signal(&program.process, "TERM");
        let mut log = Vec::new();
        while let Some(line) = program.log.next_line().await.unwrap() {
            log.push(serde_json::from_str::<Value>(&line).unwrap_or_else(|_| json!(line)));
        }
        for id in &ids {
            let lines: Vec<_> = log.iter().filter(|line| line["incident"] == **id).collect();
            assert_eq!(lines.len(), 1, "{id} in {log:#?}");
            assert!(lines[0]["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{lines:?}");
        }
        incidents += ids.len();
    }
    assert!(incidents >= 5, "only {incidents} edges have made an incident");
}
