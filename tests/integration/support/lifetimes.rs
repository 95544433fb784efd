//! A project whose answers may be cached for different times (`tests/lifetimes`), served by the
//! program itself, whose access log shows which requests it received. Its migrations are those that
//! `migrate new` writes.

use std::time::Duration;

use http::header::HeaderName;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::blog::SECRET;
use crate::commands::freshql;
use crate::harness::{copy, url, url_with};
use crate::installed_program::top;
use crate::program::Program;

/// Tokens are the same as those of `blog`.
const AUTH: &str = "[auth]\nissuer = \"tests\"\naudience = \"api\"\nsecret_env = \"SECRET\"\ncookie = \"__Host-session\"\n";

const ENTITIES: [&str; 6] = ["page", "photo", "news", "notice", "draft", "letter"];

/// Pages from these origins may read everything.
pub(crate) const ORIGINS: [&str; 3] =
    ["https://a.example", "https://b.example", "https://c.example"];

/// The server behind a cache.
pub(crate) struct Origin {
    pub(crate) program: Program,
    /// `127.0.0.1:12345`.
    pub(crate) address: String,
    directory: TempDir,
}

impl Origin {
    /// Each entity has one row, `1`, with a text that is worth compressing.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        copy(&top().join("tests/lifetimes"), directory.path());
        std::fs::write(directory.path().join("freshql.toml"), AUTH).unwrap();
        let new = freshql(directory.path(), &["migrate", "new", "init"]);
        assert!(new.status.success(), "{}", String::from_utf8_lossy(&new.stderr));
        let settings = json!({
            "log": "warn,freshql::access=debug,freshql::app=info", "log_format": "json", "mode": "apq",
            "cors_origins": ORIGINS, "document_retention": "0"
        });
        let settings: String = settings
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        std::fs::write(directory.path().join("freshql.toml"), settings + AUTH).unwrap();
        let program = Program::start_with(directory.path(), &[("SECRET", SECRET)]).await;
        let address =
            program.address.split('"').next().unwrap().trim_start_matches("http://").to_owned();
        let origin = Self { program, address, directory };
        for entity in ENTITIES {
            let words: String = (0..400).map(|n| format!("word{} ", n % 37)).collect();
            origin
                .sql(&format!("INSERT INTO {} (id, text) VALUES ('1', '{words}')", table(entity)));
        }
        origin.sql("INSERT INTO secrets (id, owner, text) VALUES ('1', 'ada', 'of ada'), ('2', 'bob', 'of bob')");
        origin
    }

    /// An external write.
    pub(crate) fn sql(&self, sql: &str) {
        let database =
            rusqlite::Connection::open(self.directory.path().join("freshql.db")).unwrap();
        database.execute(sql, []).unwrap();
    }

    /// Changes the text of the entity's row.
    pub(crate) fn edit(&self, entity: &str, text: &str) {
        self.sql(&format!("UPDATE {} SET text = '{text}'", table(entity)));
    }

    /// The requests it has received since the last call: method and status of each request below
    /// `/q/`, in order.
    pub(crate) async fn asked(&mut self) -> Vec<String> {
        assert_eq!(
            reqwest::get(format!("http://{}/until-here", self.address)).await.unwrap().status(),
            404
        );
        let mut asked = Vec::new();
        loop {
            let line = timeout(Duration::from_secs(30), self.program.log.next_line())
                .await
                .unwrap()
                .unwrap()
                .unwrap();
            let line: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let Some(path) = line["path"].as_str() else { continue };
            if path == "/until-here" {
                return asked;
            }
            if path.starts_with("/q/") {
                asked.push(format!("{} {}", line["method"].as_str().unwrap(), line["status"]));
            }
        }
    }
}

fn table(entity: &str) -> String {
    if entity == "news" { entity.to_owned() } else { format!("{entity}s") }
}

pub(crate) fn document(name: &str) -> String {
    std::fs::read_to_string(
        top().join("tests/lifetimes/queries").join(name).with_extension("graphql"),
    )
    .unwrap()
}

/// The URL of the entity's only row.
pub(crate) fn path_of(entity: &str) -> String {
    url_with(&document(entity), &json!({"id": "1"}))
}

/// The URL of a document.
pub(crate) fn path_without_variables(name: &str) -> String {
    url(&document(name))
}

/// Header lines.
pub(crate) type Lines<'a> = &'a [(HeaderName, &'a str)];
