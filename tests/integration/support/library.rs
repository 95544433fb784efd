//! The server's library on its own database, without HTTP: a model designed to test what can go
//! wrong with freshness (three kinds of keys, nullable and compound uniques, defaults in a unique,
//! a relation to itself, every kind of `onDelete`), engines on it, and external writers.

use std::path::Path;
use std::sync::Arc;

use freshql::cache::{Key, ResponseCache};
use freshql::config::Database;
use freshql::dependency::{Dependency, Mark};
use freshql::document_id::DocumentId;
use freshql::graphql::{Answer, Compiler, Document, Engine, GraphqlError};
use freshql::model::{Model, Value, parse};
use freshql::question::View;
use freshql::store::Store;
use freshql::store::change_log::Change;
use serde_json::Value as Json;
use tokio::sync::OnceCell;

use crate::database::{Driver, Outsider, TestDatabase, driver};
use crate::shop::Heard;

pub(crate) const MODEL: &str = r#"
enum Kind { PLAIN FANCY }
type Shelf @entity(plural: "shelves", orderBy: [{ label: ASC }]) @unique(fields: ["room", "kind"]) {
  id: ID! @id
  label: String! @unique
  room: String @index
  kind: Kind! @default(value: PLAIN)
  books: [Book!]! @derivedFrom(field: "shelf")
  guests: [Book!]! @derivedFrom(field: "home")
}
type Book @entity(orderBy: [{ title: ASC }]) @unique(fields: ["shelf", "slot"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  title: String!
  slot: Int! @default(value: 0)
  price: Decimal @column(precision: 8, scale: 2)
  weight: Float @index
  isbn: String @unique
  shelf: Shelf! @relation(onDelete: CASCADE)
  home: Shelf @relation(onDelete: SET_NULL)
  notes: [Note!]! @derivedFrom(field: "book")
}
type Note @entity(orderBy: [{ stars: DESC_NULLS_LAST }]) {
  id: ID! @id
  stars: Int
  text: String
  book: Book! @relation(onDelete: RESTRICT)
  answers: Note @relation(onDelete: SET_NULL)
  answered: [Note!]! @derivedFrom(field: "answers")
}
type Word @entity { id: ID! @id  word: String! }
"#;

/// The initial rows.
const ROWS: &str = "
INSERT INTO shelves (id, label, room, kind) VALUES
  ('s1', 'a', 'hall', 'PLAIN'), ('s2', 'b', 'hall', 'FANCY'), ('s3', 'c', NULL, 'PLAIN');
INSERT INTO books (id, title, slot, price, weight, isbn, shelf_id, home_id) VALUES
  (1, 'Ada', 0, 100, 0.0, 'x1', 's1', NULL), (2, 'Ada', 1, 250, 1.5, NULL, 's1', 's2'),
  (3, 'Zen', 0, NULL, NULL, 'x3', 's2', 's2'), (4, 'Öl', 2, 999, 1.5, 'x4', 's1', 's3'),
  (5, 'mid', 3, 5, 0.25, NULL, 's1', NULL);
INSERT INTO notes (id, stars, text, book_id, answers_id) VALUES
  ('n1', 5, 'good', 1, NULL), ('n2', NULL, NULL, 1, 'n1'), ('n3', 1, 'bad', 2, 'n1'), ('n4', 3, '', 4, 'n3');
INSERT INTO words (id, word) VALUES ('w1', 'one'), ('w2', 'two');
";

/// A migrated database of the kind that the suite runs on.
pub(crate) struct Library {
    pub(crate) model: Arc<Model>,
    pub(crate) database: TestDatabase,
    watcher: OnceCell<(Store, Arc<Heard>)>,
}

/// How an external writer's connection is set up; on PostgreSQL, nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pragmas {
    pub(crate) foreign_keys: bool,
    pub(crate) recursive_triggers: bool,
}

impl Library {
    pub(crate) fn new() -> Self {
        let model = Arc::new(parse("schema.graphql", MODEL).unwrap().model);
        let (database, outsider) = TestDatabase::of(driver(), &model, |statement| statement);
        outsider.execute(&spelled(ROWS));
        if driver() == Driver::Postgres {
            // Prices are decimals there, and after explicit keys the sequence must be moved.
            outsider
                .execute("UPDATE books SET price = price / 100; SELECT setval('books_id_seq', 5)");
        }
        Self { model, database, watcher: OnceCell::new() }
    }

    /// A server's engine on it, with its own connections, as in another process.
    pub(crate) async fn engine(&self) -> Engine {
        let store = Store::open(&self.database.config(), 1, &self.model).await.unwrap();
        Engine::new(Compiler::new(self.model.clone()).unwrap(), store)
    }

    /// An external writer's connection.
    pub(crate) fn outsider(&self, pragmas: Pragmas) -> Outsider {
        let outsider = self.database.outsider();
        if let Outsider::Sqlite(connection) = &outsider {
            connection.pragma_update(None, "foreign_keys", pragmas.foreign_keys).unwrap();
            connection
                .pragma_update(None, "recursive_triggers", pragmas.recursive_triggers)
                .unwrap();
        }
        outsider
    }

    /// The marks left by the records since the last call. The first call only starts.
    pub(crate) async fn left(&self) -> Vec<Mark> {
        let watcher = self.watcher.get_or_init(async || {
            let store = Store::open(&self.database.config(), 1, &self.model).await.unwrap();
            let heard = Arc::new(Heard::default());
            store.subscribe(heard.clone()).unwrap();
            (store, heard)
        });
        let (store, heard) = watcher.await;
        store.catch_up().await.unwrap();
        let changes = heard.take().expect("the log tells all that has happened");
        changes.iter().flat_map(Change::marks).collect()
    }

    /// The row's version; None if there is no such row.
    pub(crate) fn version(&self, outsider: &Outsider, dependency: &Dependency) -> Option<i64> {
        let Dependency::Row(entity, id) = dependency else { panic!("{dependency:?} is no row") };
        let entity = self.model.entity(*entity);
        let id = match id {
            Value::Int(id) => id.to_string(),
            Value::Text(id) => format!("'{}'", id.replace('\'', "''")),
            other => panic!("{other:?} is no key"),
        };
        let sql = format!(
            "SELECT _version FROM {} WHERE {} = {id}",
            entity.table,
            entity.column(entity.key).name
        );
        outsider.value(&sql).map(|version| version.parse().unwrap())
    }

    /// Runs SQL in the `sqlite3` shell or a `psql`-like session; false if that refuses it or is not
    /// installed.
    pub(crate) fn shell(&self, sql: &str) -> bool {
        match self.database.config() {
            Database::Sqlite(path) => shell(&path, sql),
            Database::Postgres(_) => self.database.outsider().try_execute(&spelled(sql)).is_ok(),
        }
    }
}

/// Translates an external writer's SQL, which the tests write for SQLite, for the database that the
/// suite runs on. PostgreSQL has no REPLACE: there, the statement fails if the row exists.
pub(crate) fn spelled(sql: &str) -> String {
    if driver() == Driver::Sqlite {
        return sql.to_owned();
    }
    let mut sql = sql.to_owned();
    if sql.contains("INSERT OR IGNORE") {
        sql.push_str(" ON CONFLICT DO NOTHING");
    }
    for (theirs, ours) in [
        ("INSERT OR REPLACE", "INSERT"),
        ("INSERT OR IGNORE", "INSERT"),
        ("UPDATE OR REPLACE", "UPDATE"),
        ("UPDATE OR IGNORE", "UPDATE"),
        ("REPLACE INTO", "INSERT INTO"),
        ("SET rowid =", "SET id ="),
        // Without quotes, it would not be a float, and would lose its sign.
        (" -0.0", " '-0.0'"),
        ("ON CONFLICT DO UPDATE", "ON CONFLICT (id) DO UPDATE"),
        (" ON CONFLICT (isbn) DO NOTHING", ""),
    ] {
        sql = sql.replace(theirs, ours);
    }
    sql
}

pub(crate) async fn compile(engine: &Engine, text: &str) -> Document {
    engine
        .compiler()
        .compile(DocumentId::of(text), text.into())
        .await
        .unwrap_or_else(|errors| panic!("{errors:?}"))
}

/// A compiled query with its variables.
pub(crate) struct Question {
    pub(crate) text: &'static str,
    document: Document,
    variables: freshql::graphql::Variables,
}

impl Question {
    pub(crate) async fn new(engine: &Engine, text: &'static str, variables: &Json) -> Self {
        let document = compile(engine, text).await;
        let variables = document
            .operation(None)
            .unwrap()
            .coerce_variables(variables.as_object().unwrap())
            .unwrap();
        Self { text, document, variables }
    }

    /// The key of its answer in a cache.
    pub(crate) fn key<R>(&self, cache: &ResponseCache<R>) -> Key {
        cache.key(
            &self.document.operation(None).unwrap().question(&self.variables, View::Public),
            None,
        )
    }

    pub(crate) async fn ask(&self, engine: &Engine) -> Answer {
        let answer = engine.query(self.document.operation(None).unwrap(), &self.variables).await;
        answer.unwrap_or_else(|errors| panic!("{}: {errors:?}", self.text))
    }
}

pub(crate) async fn mutate(
    engine: &Engine,
    text: &str,
    variables: &Json,
) -> Result<Answer, Vec<GraphqlError>> {
    let document = compile(engine, text).await;
    let operation = document.operation(None).unwrap();
    let variables = operation.coerce_variables(variables.as_object().unwrap())?;
    engine.mutate(operation, &variables, None).await
}

/// The answer without its extensions: what was read, as the client sees it.
pub(crate) fn data(answer: &Answer) -> &str {
    let body = std::str::from_utf8(&answer.body).unwrap();
    match body.rfind(",\"extensions\":{\"etag\":") {
        Some(end) if answer.etag.is_some() => &body[..end],
        _ => body,
    }
}

/// Runs SQL in the `sqlite3` shell; false if it is not installed (or too old for STRICT tables).
pub(crate) fn shell(path: &Path, sql: &str) -> bool {
    let output = std::process::Command::new("sqlite3").arg("-batch").arg(path).arg(sql).output();
    match output {
        Ok(output) => {
            let complaint = String::from_utf8_lossy(&output.stderr);
            !complaint.contains("malformed database schema")
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => panic!("{error}"),
    }
}
