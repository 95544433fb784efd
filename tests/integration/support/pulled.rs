//! A project whose model `freshql model pull` has written, for a PostgreSQL database that others
//! made, and what that database's other programs change.

use std::path::Path;

use reqwest::header::{ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::encode;
use crate::postgres::Postgres;
use crate::program::{Program, of_project};

/// The project.
pub(crate) struct Pulled<'p> {
    postgres: &'p Postgres,
    database: &'static str,
    directory: TempDir,
    /// What `model pull` said.
    pub(crate) said: String,
    /// The model that it wrote.
    pub(crate) model: String,
}

impl<'p> Pulled<'p> {
    /// Creates the database, and pulls its model.
    pub(crate) fn new(postgres: &'p Postgres, database: &'static str, sql: &str) -> Self {
        postgres.create(database);
        postgres.run(database, sql);
        let directory = tempfile::tempdir().unwrap();
        let url = postgres.url(database);
        let said = freshql(directory.path(), &url, &["model", "pull"]);
        let model = std::fs::read_to_string(directory.path().join("schema.graphql")).unwrap();
        Self { postgres, database, directory, said, model }
    }

    /// Adopts the tables, and serves them.
    pub(crate) async fn serve(&self) -> Program {
        let (path, url) = (self.directory.path(), self.postgres.url(self.database));
        freshql(path, &url, &["migrate", "new", "adopt"]);
        freshql(path, &url, &["migrate", "up"]);
        let checked = freshql(path, &url, &["check"]);
        assert!(checked.starts_with("no mistakes"), "{checked}");
        let variables = [("FRESHQL_DATABASE", url.as_str()), ("FRESHQL_MODE", "open")];
        Program::start_with(path, &variables).await
    }

    /// Asks these queries, and again after each write of another program. The write changes the
    /// answers of exactly the queries that stand beside it. Returns the last ETags.
    pub(crate) async fn change(
        &self,
        node: &Program,
        queries: &[&str],
        writes: &[(&str, &[&str])],
    ) -> Vec<String> {
        let mut etags = Vec::new();
        for query in queries {
            let (status, etag, body) = get(node, query, None).await;
            assert!(status == 200 && body.get("errors").is_none(), "{query}: {body}");
            etags.push(etag.unwrap_or_else(|| panic!("no ETag: {query}")));
        }
        for (sql, changed) in writes {
            self.postgres.run(self.database, sql);
            for (query, known) in queries.iter().zip(&mut etags) {
                let (status, etag, body) = get(node, query, Some(known)).await;
                let expected = if changed.contains(query) { 200 } else { 304 };
                assert_eq!(status, expected, "{sql}: {query}: {body}");
                assert!(body.get("errors").is_none(), "{sql}: {query}: {body}");
                *known = etag.unwrap();
            }
        }
        etags
    }
}

fn freshql(directory: &Path, database: &str, arguments: &[&str]) -> String {
    let mut command = of_project(directory);
    let output = command.args(["--database", database]).args(arguments).output().unwrap();
    let [said, complaint] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{arguments:?}: {said}{complaint}");
    said + &complaint
}

/// The answer's status, ETag and body.
pub(crate) async fn get(
    node: &Program,
    query: &str,
    etag: Option<&str>,
) -> (u16, Option<String>, Value) {
    let url = format!("{}/graphql?query={}", node.address, encode(query));
    let mut request = reqwest::Client::new().get(url);
    if let Some(etag) = etag {
        request = request.header(IF_NONE_MATCH, etag);
    }
    let response = request.send().await.unwrap();
    let etag = response.headers().get(ETAG).map(|etag| etag.to_str().unwrap().to_owned());
    let status = response.status().as_u16();
    (status, etag, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

pub(crate) async fn post(node: &Program, query: &str) -> Value {
    let request = reqwest::Client::new().post(format!("{}/graphql", node.address));
    request.json(&json!({ "query": query })).send().await.unwrap().json().await.unwrap()
}
