//! What tests of the engine without HTTP share: a model, its tables in a database, the engine on that, and plain SQL beside
//! it.

use std::sync::Arc;

use freshql::config::Database;
use freshql::document_id::DocumentId;
use freshql::graphql::{Answer, Code, Compiler, Engine, GraphqlError, OperationKind};
use freshql::model::{Entity, Model, Value, parse};
use freshql::question::View;
use freshql::store::schema::layout::{Layout, SqlName};
use freshql::store::sqlite::ddl::create_statements;
use freshql::store::{Store, sqlite};
use freshql::viewer::Viewer;
use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use serde_json::Map;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::bookshop;
use crate::rows::{Row, Tables};

/// An engine over any model on a database of its own, and a connection of somebody else's to that.
pub(crate) struct Shop {
    pub(crate) model: Arc<Model>,
    pub(crate) engine: Engine,
    pub(crate) stranger: Connection,
    runtime: Runtime,
    _directory: TempDir,
}

impl Shop {
    /// The one of the bookshop.
    pub(crate) fn bookshop() -> Self {
        Self::of(bookshop::MODEL)
    }

    pub(crate) fn of(sdl: &str) -> Self {
        Self::of_tables(sdl, |statement| statement)
    }

    /// The same for tables that somebody has changed.
    pub(crate) fn of_tables(sdl: &str, change: impl Fn(String) -> String) -> Self {
        let model = parse::parse("schema.graphql", sdl).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).model;
        let model = Arc::new(model);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("shop.db");
        let stranger = sqlite::open(&path).unwrap();
        // Nothing here must survive the test.
        stranger.pragma_update(None, "synchronous", "OFF").unwrap();
        for statement in create_statements(&Layout::new(&model)) {
            stranger.execute_batch(&change(statement)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = runtime.block_on(Store::open(&Database::Sqlite(path.clone()), 1, &model)).unwrap();
        let engine = Engine::new(Compiler::new(model.clone()).unwrap(), store);
        Self { model, engine, stranger, runtime, _directory: directory }
    }

    /// Runs the only operation of a document.
    pub(crate) fn run(&self, text: &str, variables: &serde_json::Value) -> Result<Answer, Vec<GraphqlError>> {
        let none = Map::new();
        let variables = variables.as_object().unwrap_or(&none);
        self.runtime.block_on(async {
            let document = self.engine.compiler().compile(DocumentId::of(text), text.into()).await?;
            let operation = document.operation(None).map_err(|error| vec![error])?;
            let variables = operation.coerce_variables(variables)?;
            match operation.kind() {
                OperationKind::Query => {
                    let answer = self.engine.query(operation, &variables).await;
                    let ahead = self.engine.fetching_ahead();
                    assert_same(&answer, &ahead.query(operation, &variables).await, text);
                    answer
                }
                OperationKind::Mutation => self.engine.mutate(operation, &variables, None).await,
            }
        })
    }

    /// An engine by another model on the same tables.
    pub(crate) fn engine_of(&self, model: Model) -> Engine {
        Engine::new(Compiler::new(Arc::new(model)).unwrap(), self.engine.store().clone())
    }

    /// Runs a query for a viewer.
    pub(crate) fn run_as(
        &self,
        engine: &Engine,
        text: &str,
        variables: &serde_json::Value,
        viewer: &Viewer,
    ) -> Result<(Answer, View), Vec<GraphqlError>> {
        let none = Map::new();
        let variables = variables.as_object().unwrap_or(&none);
        self.runtime.block_on(async {
            let document = engine.compiler().compile(DocumentId::of(text), text.into()).await?;
            let operation = document.operation(None).map_err(|error| vec![error])?;
            let variables = operation.coerce_variables(variables)?;
            let asked = engine.ask(operation, &variables, viewer)?;
            let answer = engine.answer(&asked).await;
            assert_same(&answer, &engine.fetching_ahead().answer(&asked).await, text);
            Ok((answer?, asked.view()))
        })
    }

    /// The answer's body, which has no errors.
    #[track_caller]
    pub(crate) fn body(&self, text: &str, variables: &serde_json::Value) -> String {
        match self.run(text, variables) {
            Ok(answer) => {
                let body = std::str::from_utf8(&answer.body).unwrap().to_owned();
                assert!(!answer.field_errors, "{text}\n{variables}\n{body}");
                body
            }
            Err(errors) => panic!("{text}\n{variables}\n{errors:#?}"),
        }
    }

    /// What stands under `data`, byte for byte.
    #[track_caller]
    pub(crate) fn data(&self, text: &str, variables: &serde_json::Value) -> String {
        let body = self.body(text, variables);
        let (data, _) = body.rsplit_once(",\"extensions\":").unwrap_or_else(|| (body.strip_suffix('}').unwrap(), ""));
        data.strip_prefix("{\"data\":").unwrap().to_owned()
    }

    /// The answer's body as JSON.
    #[track_caller]
    pub(crate) fn json(&self, text: &str, variables: &serde_json::Value) -> serde_json::Value {
        serde_json::from_str(&self.body(text, variables)).unwrap()
    }

    /// Replaces all rows.
    pub(crate) fn fill(&mut self, tables: &Tables) {
        self.stranger.pragma_update(None, "foreign_keys", false).unwrap();
        let transaction = self.stranger.transaction().unwrap();
        for entity in &self.model.entities {
            transaction.execute(&format!("DELETE FROM {}", SqlName::new(&entity.table)), []).unwrap();
        }
        for entity in &self.model.entities {
            let names: Vec<_> = entity.columns.iter().map(|column| SqlName::new(&column.name).to_string()).collect();
            let marks = vec!["?"; names.len()].join(", ");
            let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", SqlName::new(&entity.table), names.join(", "));
            let mut insert = transaction.prepare_cached(&sql).unwrap();
            for row in &tables[usize::from(entity.id.0)] {
                insert.execute(rusqlite::params_from_iter(row.iter().map(to_sql))).unwrap();
            }
        }
        transaction.commit().unwrap();
        self.stranger.pragma_update(None, "foreign_keys", true).unwrap();
    }

    /// All rows, by key.
    pub(crate) fn dump(&self) -> Tables {
        let rows_of = |entity: &Entity| {
            let names: Vec<_> = entity.columns.iter().map(|column| SqlName::new(&column.name).to_string()).collect();
            let key = SqlName::new(&entity.column(entity.key).name);
            let sql = format!("SELECT {} FROM {} ORDER BY {key}", names.join(", "), SqlName::new(&entity.table));
            let mut select = self.stranger.prepare_cached(&sql).unwrap();
            let rows = select.query_map([], |row| {
                (0..names.len()).map(|i| row.get::<_, SqlValue>(i).map(from_sql)).collect::<Result<Row, _>>()
            });
            rows.unwrap().collect::<Result<Vec<_>, _>>().unwrap()
        };
        self.model.entities.iter().map(rows_of).collect()
    }
}

/// What is read from rows that were fetched ahead, level by level, is what is read row by row: bytes, validator, dependencies.
#[track_caller]
fn assert_same(answer: &Result<Answer, Vec<GraphqlError>>, ahead: &Result<Answer, Vec<GraphqlError>>, text: &str) {
    match (answer, ahead) {
        (Ok(answer), Ok(ahead)) => {
            assert_eq!(std::str::from_utf8(&ahead.body), std::str::from_utf8(&answer.body), "{text}");
            assert_eq!(ahead.etag, answer.etag, "{text}");
            assert_eq!(ahead.touched.dependencies, answer.touched.dependencies, "{text}");
        }
        (Err(errors), Err(ahead)) => assert_eq!(ahead[0].code, errors[0].code, "{text}\n{ahead:?}\n{errors:?}"),
        // What is fetched ahead takes other steps: what one way just allows, the other may refuse.
        (_, Err(errors)) if errors[0].code == Code::QueryTooComplex => {}
        (_, Ok(_)) | (Ok(_), Err(_)) => panic!("{text}\nrow by row: {answer:?}\nfetched ahead: {ahead:?}"),
    }
}

fn to_sql(value: &Value) -> SqlValue {
    match value {
        Value::Null => SqlValue::Null,
        Value::Int(int) => SqlValue::Integer(*int),
        Value::Real(real) => SqlValue::Real(*real),
        Value::Text(text) => SqlValue::Text(text.to_string()),
    }
}

fn from_sql(value: SqlValue) -> Value {
    match value {
        SqlValue::Null => Value::Null,
        SqlValue::Integer(int) => Value::Int(int),
        SqlValue::Real(real) => Value::Real(real),
        SqlValue::Text(text) => Value::text(text),
        SqlValue::Blob(_) => panic!("nobody writes blobs"),
    }
}
