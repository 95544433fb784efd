//! A project in which much depends on the viewer (`examples/blog`), and tokens for its viewers.

use std::time::Duration;

use freshql::config::{Config, Issuer, KeySource, Mode};
use freshql::identity::mint::mint;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{TestApp, copy, url, url_with};
use crate::installed_program::top;

pub(crate) const SECRET: &str = "a secret of the tests, 32 bytes or more";
pub(crate) const COOKIE_NAME: &str = "__Host-session";

/// A viewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Nobody,
    Ada,
    Bob,
    /// Two of them share one view.
    Editor,
    OtherEditor,
}

pub(crate) const EVERYBODY: [Who; 5] =
    [Who::Nobody, Who::Ada, Who::Bob, Who::Editor, Who::OtherEditor];

impl Who {
    pub(crate) fn claims(self) -> Option<Value> {
        match self {
            Self::Nobody => None,
            Self::Ada => Some(json!({"sub": "ada"})),
            Self::Bob => Some(json!({"sub": "bob"})),
            Self::Editor => Some(json!({"sub": "eve", "roles": ["editor"]})),
            Self::OtherEditor => Some(json!({"sub": "emil", "roles": "author editor"})),
        }
    }

    /// `Bearer …`
    pub(crate) fn bearer(self) -> Option<String> {
        Some(format!("Bearer {}", token(&self.claims()?)))
    }

    /// The titles of the posts that the viewer may read, in order.
    pub(crate) fn titles(self) -> &'static [&'static str] {
        match self {
            Self::Nobody => &["ada published", "bob published"],
            Self::Ada => &["ada draft", "ada published", "bob published"],
            Self::Bob => &["ada published", "bob draft", "bob published"],
            Self::Editor | Self::OtherEditor => {
                &["ada draft", "ada published", "bob draft", "bob published"]
            }
        }
    }
}

/// A token with these claims.
pub(crate) fn token(claims: &Value) -> String {
    mint(&issuer(), claims.as_object().unwrap().clone(), Duration::from_secs(3600)).unwrap()
}

pub(crate) fn issuer() -> Issuer {
    Issuer {
        issuer: "tests".to_owned(),
        audience: vec!["api".to_owned()],
        keys: KeySource::Secret {
            variable: "SECRET".to_owned(),
            secret: Some(SECRET.parse().unwrap()),
        },
        roles: "/roles".to_owned(),
        cookie: None,
        leeway: Issuer::LEEWAY,
    }
}

/// The project, with its own `[auth]` for tests.
pub(crate) fn project() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&top().join("examples/blog"), directory.path());
    let auth = "[auth]\nissuer = \"tests\"\naudience = \"api\"\nsecret_env = \"SECRET\"\n";
    std::fs::write(directory.path().join("freshql.toml"), auth).unwrap();
    directory
}

/// A server with rows of all authors.
pub(crate) async fn start(mode: Mode, change: impl FnOnce(&mut Config)) -> TestApp {
    let app = TestApp::start_in(project(), mode, |config| {
        config.auth = vec![issuer()];
        change(config);
    });
    app.await
}

/// The text of a document: `update_post` for `UpdatePost.graphql`.
pub(crate) fn document(name: &str) -> String {
    let words = name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]);
    let file = words.collect::<String>() + ".graphql";
    std::fs::read_to_string(top().join("examples/blog/queries").join(file)).unwrap()
}

pub(crate) fn path(name: &str) -> String {
    url(&document(name))
}

pub(crate) fn path_with(name: &str, variables: &Value) -> String {
    url_with(&document(name), variables)
}

/// The titles in an answer to `posts`.
pub(crate) fn titles(answer: &Value) -> Vec<String> {
    let nodes = answer["data"]["posts"]["nodes"].as_array().unwrap_or_else(|| panic!("{answer}"));
    nodes.iter().map(|node| node["title"].as_str().unwrap().to_owned()).collect()
}
