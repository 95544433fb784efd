//! A server whose model has rules of every kind, and viewers with tokens.

use std::time::Duration;

use freshql::config::{Config, Ids, Issuer, KeySource, Mode};
use freshql::document_id::DocumentId;
use freshql::identity::mint::mint;
use freshql::model::parse;
use freshql::store::schema::difference::step;
use freshql::store::schema::migrations::Migrations;
use http::Method;
use http::header::{AUTHORIZATION, HeaderName};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{Answer, TestApp, encode, url};

pub(crate) const MODEL: &str = r#"
enum Status { DRAFT PUBLISHED }

type User @entity @allow(to: [READ]) @allow(role: "admin") {
  id: ID! @id
  name: String!
  email: String @unique @allow(to: [READ, CREATE, UPDATE], role: "admin")
  posts: [Post!]! @derivedFrom(field: "author")
  members: [Member!]! @derivedFrom(field: "user")
}

"A team is known to its members only."
type Team @entity
  @allow(to: [READ], where: {members: {some: {user: {id: {eq: "$sub"}}}}})
  @allow(role: "admin") {
  id: ID! @id
  name: String! @unique
  members: [Member!]! @derivedFrom(field: "team")
  posts: [Post!]! @derivedFrom(field: "team")
}

type Member @entity @unique(fields: ["team", "user"])
  @allow(to: [READ], where: {userId: {eq: "$sub"}})
  @allow(role: "admin") {
  id: ID! @id
  team: Team! @relation(onDelete: CASCADE)
  user: User! @relation(onDelete: CASCADE)
}

type Post @entity(orderBy: [{title: ASC}])
  @allow(to: [READ], where: {status: {eq: PUBLISHED}})
  @allow(where: {author: {id: {eq: "$sub"}}})
  @allow(to: [READ, UPDATE], where: {team: {members: {some: {user: {id: {eq: "$sub"}}}}}})
  @allow(role: "editor") {
  id: ID! @id
  title: String!
  slug: String @unique
  status: Status! @default(value: DRAFT)
  notes: String @allow(role: "editor")
  author: User! @relation @default(claim: "sub") @readonly
  team: Team @relation(onDelete: SET_NULL)
}

"What everybody may read, and only editors write."
type Page @entity
  @allow(to: [READ], where: {status: {eq: PUBLISHED}})
  @allow(to: [CREATE, UPDATE, DELETE], role: "editor") {
  id: ID! @id
  title: String!
  status: Status! @default(value: DRAFT)
}

"An invoice is its tenant's: a rule for each kind of claim."
type Invoice @entity
  @allow(to: [READ], where: {tenant: {eq: "$org.id"}})
  @allow(to: [READ], where: {number: {in: "$invoices"}})
  @allow(to: [CREATE, UPDATE], where: {tenant: {eq: "$org.id"}, number: {lt: 1000}}, check: {tenant: {eq: "$org.id"}})
  @allow(to: [DELETE], where: {not: {tenant: {eq: "$frozen"}}}) {
  id: ID! @id
  tenant: String! @index
  number: Int!
  total: Int! @default(value: 0)
}
"#;

const ROWS: &str = "
INSERT INTO users (id, name, email) VALUES
  ('ada', 'Ada', 'ada@example.com'), ('bob', 'Bob', 'bob@example.com'), ('eve', 'Eve', NULL);
INSERT INTO teams (id, name) VALUES ('t1', 'News'), ('t2', 'Sport');
INSERT INTO members (id, team_id, user_id) VALUES ('m1', 't1', 'ada'), ('m2', 't2', 'bob');
INSERT INTO posts (id, title, slug, status, notes, author_id, team_id) VALUES
  ('p1', 'Open', 'open', 'PUBLISHED', 'n1', 'ada', NULL), ('p2', 'Draft of Ada', 'ada-1', 'DRAFT', 'n2', 'ada', NULL),
  ('p3', 'Draft of Bob', 'bob-1', 'DRAFT', 'n3', 'bob', NULL), ('p4', 'Team draft', 'team-1', 'DRAFT', 'n4', 'bob', 't1');
INSERT INTO pages (id, title, status) VALUES ('g1', 'Imprint', 'PUBLISHED'), ('g2', 'Secret plan', 'DRAFT');
INSERT INTO invoices (id, tenant, number, total) VALUES
  ('i1', 'acme', 1, 10), ('i2', 'acme', 2, 20), ('i3', 'other', 3, 30), ('i4', 'other', 1004, 40);
";

const ISSUER: &str = "https://login.example.com/";

/// The server, with a test's own documents.
pub(crate) struct Newsroom {
    pub(crate) app: TestApp,
}

/// A token with these claims.
pub(crate) fn token(claims: &Value) -> String {
    let Value::Object(claims) = claims.clone() else { panic!("{claims} is no object") };
    mint(&issuer(), claims, Duration::from_secs(600)).unwrap()
}

/// A token for a viewer without roles.
pub(crate) fn user(sub: &str) -> String {
    token(&json!({"sub": sub}))
}

/// A token for a viewer with one role.
pub(crate) fn role(sub: &str, role: &str) -> String {
    token(&json!({"sub": sub, "roles": [role]}))
}

pub(crate) fn issuer() -> Issuer {
    Issuer {
        issuer: ISSUER.to_owned(),
        audience: vec!["api".to_owned()],
        keys: KeySource::Secret {
            variable: "SECRET".to_owned(),
            secret: Some("a secret of the tests, thirty-two bytes or more".parse().unwrap()),
        },
        roles: "/roles".to_owned(),
        cookie: None,
        leeway: Issuer::LEEWAY,
    }
}

/// The project, with these documents.
pub(crate) fn project(model: &str, rows: &str, documents: &[&str]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("schema.graphql"), model).unwrap();
    for name in ["queries", "migrations"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    let parsed =
        parse("schema.graphql", model).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).model;
    let tables = step(&Migrations::default(), &parsed).unwrap().expect("a model has tables");
    for (name, text) in [
        ("0001_tables.sqlite.sql", &*tables.sqlite),
        ("0001_tables.postgres.sql", &tables.postgres),
        ("0002_rows.sql", rows),
    ] {
        std::fs::write(directory.path().join("migrations").join(name), text).unwrap();
    }
    for (number, document) in documents.iter().enumerate() {
        std::fs::write(directory.path().join(format!("queries/q{number}.graphql")), document)
            .unwrap();
    }
    directory
}

impl Newsroom {
    pub(crate) async fn open(documents: &[&str]) -> Self {
        Self::with(MODEL, ROWS, Mode::Trusted, documents).await
    }

    /// The server with ids that are unique among all types.
    pub(crate) async fn with_global_ids(documents: &[&str]) -> Self {
        let directory = project(MODEL, ROWS, documents);
        let change =
            |config: &mut Config| (config.auth, config.ids) = (vec![issuer()], Ids::Global);
        Self { app: TestApp::start_in(directory, Mode::Trusted, change).await }
    }

    pub(crate) async fn with(model: &str, rows: &str, mode: Mode, documents: &[&str]) -> Self {
        let directory = project(model, rows, documents);
        let app = TestApp::start_in(directory, mode, |config| config.auth = vec![issuer()]).await;
        Self { app }
    }

    /// GETs a document's answer with a token; None: without one.
    pub(crate) async fn get(&self, text: &str, variables: &Value, token: Option<&str>) -> Answer {
        self.get_with(text, variables, token, &[]).await
    }

    pub(crate) async fn get_with(
        &self,
        text: &str,
        variables: &Value,
        token: Option<&str>,
        headers: &[(HeaderName, &str)],
    ) -> Answer {
        let path = path(text, variables);
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut all = headers.to_vec();
        all.extend(bearer.as_deref().map(|bearer| (AUTHORIZATION, bearer)));
        self.app.ask(Method::GET, &path, &all).await
    }

    /// POSTs to a document.
    pub(crate) async fn post(&self, text: &str, variables: &Value, token: Option<&str>) -> Answer {
        self.post_with(text, variables, token, &[]).await
    }

    pub(crate) async fn post_with(
        &self,
        text: &str,
        variables: &Value,
        token: Option<&str>,
        headers: &[(HeaderName, &str)],
    ) -> Answer {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let mut all = headers.to_vec();
        all.extend(bearer.as_deref().map(|bearer| (AUTHORIZATION, bearer)));
        self.app.post_with(&url(text), &json!({"variables": variables}), &all).await
    }

    /// Writes to the database without the server.
    pub(crate) fn sql(&self, sql: &str) {
        self.app.outsider().execute(sql);
    }
}

/// The path of a document with variables.
pub(crate) fn path(text: &str, variables: &Value) -> String {
    let id = DocumentId::of(text);
    match variables {
        Value::Null => format!("/q/{id}"),
        variables => format!("/q/{id}?variables={}", encode(&variables.to_string())),
    }
}
