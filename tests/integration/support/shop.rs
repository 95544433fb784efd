//! Shared by tests of the engine without HTTP: a model, its tables in a database, the engine, and
//! plain SQL.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use freshql::document_id::DocumentId;
use freshql::graphql::{Answer, Code, Compiler, Engine, GraphqlError, OperationKind};
use freshql::model::{Model, parse};
use freshql::question::View;
use freshql::store::change_log::Change;
use freshql::store::{FeedEvent, Store, Subscriber};
use freshql::viewer::Viewer;
use serde_json::Map;
use tokio::runtime::Runtime;

use crate::bookshop;
use crate::database::{Driver, Outsider, TestDatabase, driver};
use crate::rows::Tables;

/// An engine for any model on its own database, and an external writer's connection.
pub(crate) struct Shop {
    pub(crate) model: Arc<Model>,
    pub(crate) engine: Engine,
    pub(crate) outsider: Outsider,
    heard: Arc<Heard>,
    runtime: Runtime,
    _database: TestDatabase,
}

impl Shop {
    /// A shop with the bookshop's model.
    pub(crate) fn bookshop() -> Self {
        Self::of(bookshop::MODEL)
    }

    pub(crate) fn of(sdl: &str) -> Self {
        Self::on(driver(), sdl, |statement| statement)
    }

    /// On a SQLite file with changed table definitions, for SQLite's own features.
    pub(crate) fn on_sqlite(sdl: &str, change: impl Fn(String) -> String) -> Self {
        Self::on(Driver::Sqlite, sdl, change)
    }

    /// On PostgreSQL, for its own features.
    pub(crate) fn on_postgres(sdl: &str) -> Self {
        Self::on(Driver::Postgres, sdl, |statement| statement)
    }

    fn on(driver: Driver, sdl: &str, change: impl Fn(String) -> String) -> Self {
        let model = parse::parse("schema.graphql", sdl)
            .unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
            .model;
        let model = Arc::new(model);
        let (database, outsider) = TestDatabase::of(driver, &model, change);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(Store::open(&database.config(), 1, &model)).unwrap();
        let heard = Arc::new(Heard::default());
        store.subscribe(heard.clone()).unwrap();
        let engine = Engine::new(Compiler::new(model.clone()).unwrap(), store);
        Self { model, engine, outsider, heard, runtime, _database: database }
    }

    /// Runs the only operation of a document.
    pub(crate) fn run(
        &self,
        text: &str,
        variables: &serde_json::Value,
    ) -> Result<Answer, Vec<GraphqlError>> {
        let none = Map::new();
        let variables = variables.as_object().unwrap_or(&none);
        self.runtime.block_on(async {
            let document =
                self.engine.compiler().compile(DocumentId::of(text), text.into()).await?;
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

    /// An engine for another model on the same tables.
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

    /// The body of an answer without errors.
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

    /// The value of `data`, byte for byte.
    #[track_caller]
    pub(crate) fn data(&self, text: &str, variables: &serde_json::Value) -> String {
        let body = self.body(text, variables);
        let (data, _) = body
            .rsplit_once(",\"extensions\":")
            .unwrap_or_else(|| (body.strip_suffix('}').unwrap(), ""));
        data.strip_prefix("{\"data\":").unwrap().to_owned()
    }

    /// The answer's body as JSON.
    #[track_caller]
    pub(crate) fn json(&self, text: &str, variables: &serde_json::Value) -> serde_json::Value {
        serde_json::from_str(&self.body(text, variables)).unwrap()
    }

    /// The changes that the log shows since the last call. None: anything may have changed.
    pub(crate) fn changes(&self) -> Option<Vec<Change>> {
        self.runtime.block_on(self.engine.store().catch_up()).unwrap();
        self.heard.take()
    }

    /// Replaces all rows.
    pub(crate) fn fill(&self, tables: &Tables) {
        self.outsider.fill(&self.model, tables);
    }

    /// All rows, by key.
    pub(crate) fn dump(&self) -> Tables {
        self.outsider.dump(&self.model)
    }
}

/// Records what the feed reports.
#[derive(Default)]
pub(crate) struct Heard {
    changes: Mutex<Vec<Change>>,
    has_forgotten: AtomicBool,
}

impl Heard {
    /// Everything reported since the last call. None: anything may have changed.
    pub(crate) fn take(&self) -> Option<Vec<Change>> {
        let changes = std::mem::take(&mut *self.changes.lock().unwrap());
        (!self.has_forgotten.swap(false, Ordering::Relaxed)).then_some(changes)
    }
}

impl Subscriber for Heard {
    fn receive(&self, event: &FeedEvent) {
        match event {
            FeedEvent::Batch(batch) => {
                self.changes.lock().unwrap().extend(batch.changes.rows.iter().cloned())
            }
            FeedEvent::Forgotten => self.has_forgotten.store(true, Ordering::Relaxed),
        }
    }
}

/// Checks that an answer from rows fetched ahead, level by level, equals one that is read row by
/// row: bytes, validator, dependencies.
#[track_caller]
fn assert_same(
    answer: &Result<Answer, Vec<GraphqlError>>,
    ahead: &Result<Answer, Vec<GraphqlError>>,
    text: &str,
) {
    match (answer, ahead) {
        (Ok(answer), Ok(ahead)) => {
            assert_eq!(
                std::str::from_utf8(&ahead.body),
                std::str::from_utf8(&answer.body),
                "{text}"
            );
            assert_eq!(ahead.etag, answer.etag, "{text}");
            assert_eq!(ahead.dependencies.all, answer.dependencies.all, "{text}");
        }
        (Err(errors), Err(ahead)) => {
            assert_eq!(ahead[0].code, errors[0].code, "{text}\n{ahead:?}\n{errors:?}")
        }
        // Fetching ahead takes other steps: one way may be refused where the other is just allowed.
        (_, Err(errors)) if errors[0].code == Code::QueryTooComplex => {}
        (_, Ok(_)) | (Ok(_), Err(_)) => {
            panic!("{text}\nrow by row: {answer:?}\nfetched ahead: {ahead:?}")
        }
    }
}
