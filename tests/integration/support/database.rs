//! The database that a test runs on: a SQLite file, or, with `FRESHQL_TEST_DRIVER=postgres`, one on
//! a PostgreSQL server; and external writers ([`Outsider`]).
//!
//! The server belongs to the test run, and a watcher stops it when the run has ended, however it
//! ends. With `FRESHQL_TEST_POSTGRES=URL`, databases are created on that server and dropped again.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex};

use freshql::config::{Database, PostgresUrl};
use freshql::model::{DefaultValue, Entity, Model, Scalar, Value};
use freshql::store::postgres::client::{Blocking, Role, Session};
use freshql::store::schema::layout::{Layout, SqlName};
use freshql::store::sqlite::ddl::create_statements;
use freshql::store::{Admin, sqlite};
use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::rows::{Row, Tables};

/// The kind of database that the suite runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Sqlite,
    Postgres,
}

/// The one that `FRESHQL_TEST_DRIVER` selects.
pub(crate) fn driver() -> Driver {
    match std::env::var("FRESHQL_TEST_DRIVER").as_deref() {
        Err(_) | Ok("" | "sqlite") => Driver::Sqlite,
        Ok("postgres") => Driver::Postgres,
        Ok(other) => panic!("FRESHQL_TEST_DRIVER={other}: there are sqlite and postgres"),
    }
}

/// Where tests create their databases.
static SERVER: LazyLock<PostgresUrl> = LazyLock::new(|| {
    let url = std::env::var("FRESHQL_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    let url = url.unwrap_or_else(|| {
        Postgres::start_shared().expect("PostgreSQL is not installed; scripts/setup does")
    });
    url.parse().unwrap_or_else(|error| panic!("FRESHQL_TEST_POSTGRES: {error}"))
});

/// A test's own database, removed when this is dropped.
pub(crate) enum TestDatabase {
    Sqlite { path: PathBuf, _directory: TempDir },
    Postgres(Box<PostgresUrl>),
}

impl TestDatabase {
    /// An empty database.
    pub(crate) fn new() -> Self {
        Self::new_on(driver())
    }

    /// An empty database of this kind.
    pub(crate) fn new_on(driver: Driver) -> Self {
        match driver {
            Driver::Sqlite => {
                let directory = tempfile::tempdir().unwrap();
                Self::Sqlite { path: directory.path().join("freshql.db"), _directory: directory }
            }
            Driver::Postgres => Self::Postgres(Box::new(new_database())),
        }
    }

    /// A database with this model's tables; on SQLite, `change` may modify each statement.
    pub(crate) fn of(
        driver: Driver,
        model: &Model,
        change: impl Fn(String) -> String,
    ) -> (Self, Outsider) {
        let database = Self::new_on(driver);
        let outsider = database.outsider();
        match &database {
            Self::Sqlite { .. } => {
                create_statements(&Layout::new(model))
                    .into_iter()
                    .for_each(|sql| outsider.execute(&change(sql)));
            }
            Self::Postgres(_) => {
                Admin::open(&database.config()).unwrap().create(model).unwrap();
            }
        }
        (database, outsider)
    }

    pub(crate) fn config(&self) -> Database {
        match self {
            Self::Sqlite { path, .. } => Database::Sqlite(path.clone()),
            Self::Postgres(url) => Database::Postgres(url.clone()),
        }
    }

    /// The project setting `database` for it.
    pub(crate) fn url(&self) -> String {
        self.config().to_string()
    }

    /// An external writer's connection.
    pub(crate) fn outsider(&self) -> Outsider {
        Outsider::of(&self.config())
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if let Self::Postgres(url) = self {
            drop_database(url);
        }
    }
}

/// The databases on the server that belong to projects.
static OF_PROJECTS: LazyLock<Mutex<HashMap<PathBuf, PostgresUrl>>> = LazyLock::new(Mutex::default);

/// The database of the project in this directory: the file beside the model, or, on a server, one
/// that does not exist unless there is a [`ProjectDatabase`]. Scratch databases can be created next
/// to it.
pub(crate) fn database_of(directory: &Path) -> Database {
    match driver() {
        Driver::Sqlite => Database::Sqlite(directory.join("freshql.db")),
        Driver::Postgres => {
            let made = OF_PROJECTS.lock().unwrap().get(directory).cloned();
            let none = || SERVER.with_database("freshql_test_not_made_yet");
            Database::Postgres(Box::new(made.unwrap_or_else(none)))
        }
    }
}

/// An empty database on the server for the project in a directory, dropped when this is. On SQLite,
/// `migrate up` creates the file.
pub(crate) struct ProjectDatabase(PathBuf);

impl ProjectDatabase {
    pub(crate) fn new(directory: &Path) -> Self {
        if driver() == Driver::Postgres {
            OF_PROJECTS.lock().unwrap().insert(directory.to_owned(), new_database());
        }
        Self(directory.to_owned())
    }
}

impl Drop for ProjectDatabase {
    fn drop(&mut self) {
        let made = OF_PROJECTS.lock().unwrap().remove(&self.0);
        made.iter().for_each(drop_database);
    }
}

/// A new database on the tests' server, which the caller drops.
pub(crate) fn new_database() -> PostgresUrl {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name =
        format!("freshql_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    // Its order differs from the order of code points.
    let locale = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'";
    on_server(&format!("CREATE DATABASE {name} {locale}"));
    SERVER.with_database(&name)
}

/// Drops a database, even if there are connections to it.
pub(crate) fn drop_database(url: &PostgresUrl) {
    on_server(&format!(
        "DROP DATABASE IF EXISTS {} WITH (FORCE)",
        url.database.as_deref().unwrap()
    ));
}

fn on_server(sql: &str) {
    let mut connection =
        Blocking::connect(&SERVER.with_database("postgres"), Session::new(Role::Admin)).unwrap();
    connection.script(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
}

/// A program that writes to the database without freshql.
pub(crate) enum Outsider {
    Sqlite(Connection),
    Postgres(Box<RefCell<Blocking>>),
}

impl Outsider {
    pub(crate) fn of(database: &Database) -> Self {
        match database {
            Database::Sqlite(path) => Self::Sqlite(open(path)),
            Database::Postgres(url) => Self::Postgres(Box::new(RefCell::new(
                Blocking::connect(url, Session::new(Role::Admin)).unwrap(),
            ))),
        }
    }

    /// The connection to a SQLite file, in tests of SQLite's own features.
    #[track_caller]
    pub(crate) fn sqlite(&self) -> &Connection {
        match self {
            Self::Sqlite(connection) => connection,
            Self::Postgres(_) => panic!("this test is SQLite's"),
        }
    }

    /// Runs statements.
    #[track_caller]
    pub(crate) fn execute(&self, sql: &str) {
        self.try_execute(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
    }

    /// Runs statements that may fail.
    pub(crate) fn try_execute(&self, sql: &str) -> Result<(), String> {
        match self {
            Self::Sqlite(connection) => {
                connection.execute_batch(sql).map_err(|error| error.to_string())
            }
            Self::Postgres(connection) => {
                connection.borrow_mut().script(sql).map(drop).map_err(|error| error.to_string())
            }
        }
    }

    /// The rows of a query, as text.
    #[track_caller]
    pub(crate) fn rows(&self, sql: &str) -> Vec<Vec<Option<String>>> {
        match self {
            Self::Sqlite(connection) => {
                let mut statement =
                    connection.prepare(sql).unwrap_or_else(|error| panic!("{error}\n{sql}"));
                let width = statement.column_count();
                let text = |value| match value {
                    SqlValue::Null => None,
                    SqlValue::Integer(int) => Some(int.to_string()),
                    SqlValue::Real(real) => Some(real.to_string()),
                    SqlValue::Text(text) => Some(text),
                    SqlValue::Blob(bytes) => Some(hex::encode(bytes)),
                };
                let rows = statement.query_map([], |row| {
                    (0..width)
                        .map(|i| row.get::<_, SqlValue>(i).map(text))
                        .collect::<Result<Vec<_>, _>>()
                });
                rows.unwrap().collect::<Result<_, _>>().unwrap()
            }
            Self::Postgres(connection) => {
                let all = connection
                    .borrow_mut()
                    .script(sql)
                    .unwrap_or_else(|error| panic!("{error}\n{sql}"));
                let rows = all.last().unwrap();
                rows.iter()
                    .map(|row| (0..rows.width()).map(|i| row.text(i).map(str::to_owned)).collect())
                    .collect()
            }
        }
    }

    /// The only value of a query.
    #[track_caller]
    pub(crate) fn value(&self, sql: &str) -> Option<String> {
        self.rows(sql).first().and_then(|row| row[0].clone())
    }

    /// The only value of a query, as an integer.
    #[track_caller]
    pub(crate) fn int(&self, sql: &str) -> i64 {
        self.value(sql)
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("no number: {sql}"))
    }

    /// Replaces all rows of a model's tables; their foreign keys may be dangling.
    pub(crate) fn fill(&self, model: &Model, tables: &Tables) {
        let (off, on) = match self {
            Self::Sqlite(_) => {
                ("PRAGMA foreign_keys = OFF; BEGIN", "COMMIT; PRAGMA foreign_keys = ON")
            }
            // Foreign keys' triggers do not fire; ours do.
            Self::Postgres(_) => (
                "SET session_replication_role = replica; BEGIN",
                "COMMIT; SET session_replication_role = origin",
            ),
        };
        self.execute(off);
        for entity in &model.entities {
            self.execute(&format!("DELETE FROM {}", SqlName::new(&entity.table)));
        }
        for entity in &model.entities {
            self.insert(entity, &tables[usize::from(entity.id.0)]);
        }
        if matches!(self, Self::Postgres(_)) {
            model.entities.iter().for_each(|entity| self.count_on(entity));
        }
        self.execute(on);
    }

    /// After inserting explicit keys on PostgreSQL, the sequence must be moved past them.
    fn count_on(&self, entity: &Entity) {
        let key = entity.column(entity.key);
        if key.default == Some(DefaultValue::Autoincrement) {
            let (table, column) = (SqlName::new(&entity.table), SqlName::new(&key.name));
            let sequence = format!(
                "pg_get_serial_sequence({}, {})",
                quoted(&table.to_string()),
                quoted(&key.name)
            );
            self.execute(&format!(
                "SELECT setval({sequence}, greatest(1, coalesce(max({column}), 1))) FROM {table}"
            ));
        }
    }

    fn insert(&self, entity: &Entity, rows: &[Row]) {
        let names: Vec<_> =
            entity.columns.iter().map(|column| SqlName::new(&column.name).to_string()).collect();
        let (table, names) = (SqlName::new(&entity.table), names);
        match self {
            Self::Sqlite(connection) => {
                let marks = vec!["?"; names.len()].join(", ");
                let sql = format!("INSERT INTO {table} ({}) VALUES ({marks})", names.join(", "));
                let mut insert = connection.prepare_cached(&sql).unwrap();
                for row in rows {
                    insert.execute(rusqlite::params_from_iter(row.iter().map(to_sql))).unwrap();
                }
            }
            Self::Postgres(_) if rows.is_empty() => {}
            Self::Postgres(_) => {
                let row = |row: &Row| {
                    let values: Vec<_> = row
                        .iter()
                        .zip(&entity.columns)
                        .map(|(value, column)| literal(value, column.scalar))
                        .collect();
                    format!("({})", values.join(", "))
                };
                let rows: Vec<_> = rows.iter().map(row).collect();
                self.execute(&format!(
                    "INSERT INTO {table} ({}) VALUES {}",
                    names.join(", "),
                    rows.join(", ")
                ));
            }
        }
    }

    /// All rows of a model's tables, by key.
    pub(crate) fn dump(&self, model: &Model) -> Tables {
        let is_postgres = matches!(self, Self::Postgres(_));
        let mut tables = Tables::new();
        for entity in &model.entities {
            let names: Vec<_> = entity
                .columns
                .iter()
                .map(|column| {
                    read(&SqlName::new(&column.name).to_string(), column.scalar, is_postgres)
                })
                .collect();
            let key = SqlName::new(&entity.column(entity.key).name);
            let sql = format!(
                "SELECT {} FROM {} ORDER BY {key}",
                names.join(", "),
                SqlName::new(&entity.table)
            );
            let rows = self.rows(&sql).into_iter().map(|row| {
                let values = row.into_iter().zip(&entity.columns);
                values
                    .map(|(text, column)| {
                        text.map_or(Value::Null, |text| value(&text, column.scalar))
                    })
                    .collect()
            });
            tables.push(rows.collect());
        }
        tables
    }
}

/// A SQLite file, as durable as tests need.
fn open(path: &Path) -> Connection {
    let connection = sqlite::open(path).unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    connection
}

fn to_sql(value: &Value) -> SqlValue {
    match value {
        Value::Null => SqlValue::Null,
        Value::Int(int) => SqlValue::Integer(*int),
        Value::Real(real) => SqlValue::Real(*real),
        Value::Text(text) => SqlValue::Text(text.to_string()),
    }
}

/// A value as PostgreSQL literal.
pub(crate) fn literal(value: &Value, scalar: Scalar) -> String {
    match (value, scalar) {
        (Value::Null, _) => "NULL".to_owned(),
        (Value::Int(int), Scalar::Boolean) => (*int != 0).to_string(),
        // Not computed: `10.0 ^ -17` is 0 there.
        (Value::Int(int), Scalar::Decimal { scale, .. }) => format!("'{int}e-{scale}'::numeric"),
        (Value::Int(int), _) => int.to_string(),
        (Value::Real(real), _) => format!("'{real:?}'"),
        (Value::Text(text), _) => quoted(text),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// An expression that reads a column in the model's storage form, as text.
fn read(name: &str, scalar: Scalar, is_postgres: bool) -> String {
    match scalar {
        _ if !is_postgres => name.to_owned(),
        Scalar::Boolean => format!("{name}::int"),
        Scalar::Decimal { scale, .. } => format!("({name} * 10::numeric ^ {scale})::bigint"),
        Scalar::DateTime => {
            format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        }
        _ => name.to_owned(),
    }
}

fn value(text: &str, scalar: Scalar) -> Value {
    match scalar {
        Scalar::IdInt | Scalar::BigInt | Scalar::Int | Scalar::Boolean | Scalar::Decimal { .. } => {
            Value::Int(text.parse().unwrap())
        }
        Scalar::Float => Value::Real(text.parse().unwrap()),
        Scalar::Json => {
            let parsed: serde_json::Value = serde_json::from_str(text).unwrap();
            Value::text(freshql::json::canonical(&freshql::syntax::from_json(&parsed)))
        }
        _ => Value::text(text),
    }
}
