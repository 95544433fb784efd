//! A model that is not the demo's, for tests of the engine without HTTP: every kind of key and scalar, nullable, self-
//! referencing and cyclic relations, two relations between the same entities, an entity that joins two others. And what
//! such tests share: the database and the engine, random rows, and the source of all random choices.

use std::sync::Arc;

use freshql::document_id::DocumentId;
use freshql::graphql::{Answer, Compiler, Engine, GraphqlError, Kind};
use freshql::model::{Entity, Model, Scalar, Value, parse};
use freshql::store::layout::{Layout, SqlName, create_statements};
use freshql::store::{Store, sqlite};
use proptest::test_runner::Config as ProptestConfig;
use rusqlite::Connection;
use rusqlite::types::Value as SqlValue;
use serde_json::Map;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// The model.
pub(crate) const MODEL: &str = r#"
enum Kind { NOVEL POEM ESSAY }

type Author @entity(orderBy: [{ name: DESC }, { born: ASC_NULLS_LAST }], maxPageSize: 7) {
  id: ID! @id @default(fn: UUID_V7)
  name: String!
  nick: String @unique
  born: Date
  rank: Int! @default(value: 3)
  motto: String @default(value: "none")
  joined: DateTime! @default(fn: NOW) @readonly
  secret: String @hidden
  mentor: Author @relation(onDelete: SET_NULL)
  favourite: Book @relation(onDelete: SET_NULL)
  pupils: [Author!]! @derivedFrom(field: "mentor")
  written: [Book!]! @derivedFrom(field: "author")
  edited: [Book!]! @derivedFrom(field: "editor")
}

type Book @entity @index(fields: ["price", "title"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  title: String!
  subtitle: String
  price: Decimal! @column(precision: 18, scale: 4)
  rebate: Decimal @column(precision: 9, scale: 0)
  pages: Int
  views: BigInt! @default(value: 0)
  sold: BigInt
  weight: Float
  score: Float!
  inPrint: Boolean! @default(value: true)
  lent: Boolean
  kind: Kind! @default(value: NOVEL)
  mood: Kind
  printed: DateTime
  made: DateTime!
  day: Date!
  serial: UUID
  extra: JSON
  author: Author! @relation(onDelete: CASCADE)
  editor: Author @relation(onDelete: RESTRICT)
  admirers: [Author!]! @derivedFrom(field: "favourite")
  labellings: [Labelling!]! @derivedFrom(field: "book")
}

type Label @entity(orderBy: [{ caption: ASC_NULLS_LAST }], requireEtag: true) {
  slug: ID! @id
  caption: String
  weight: Float @default(value: 1.5)
  labellings: [Labelling!]! @derivedFrom(field: "label")
}

type Labelling @entity @unique(fields: ["book", "label"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  note: String
  book: Book! @relation(onDelete: CASCADE)
  label: Label! @relation(onDelete: RESTRICT)
}
"#;

/// The rows of all tables, by entity and then by column.
pub(crate) type Tables = Vec<Vec<Row>>;

/// One row, by column.
pub(crate) type Row = Vec<Value>;

/// An engine on a database of its own, and a connection of somebody else's to that.
pub(crate) struct Bookshop {
    pub(crate) model: Arc<Model>,
    pub(crate) engine: Engine,
    pub(crate) stranger: Connection,
    runtime: Runtime,
    _directory: TempDir,
}

impl Bookshop {
    pub(crate) fn open() -> Self {
        Self::of(MODEL)
    }

    /// The same for another model.
    pub(crate) fn of(sdl: &str) -> Self {
        Self::of_tables(sdl, |statement| statement)
    }

    /// The same for tables that somebody has changed.
    pub(crate) fn of_tables(sdl: &str, change: impl Fn(String) -> String) -> Self {
        let model = parse::parse("schema.graphql", sdl).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).model;
        let model = Arc::new(model);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bookshop.db");
        let stranger = sqlite::open(&path).unwrap();
        // Nothing here must survive the test.
        stranger.pragma_update(None, "synchronous", "OFF").unwrap();
        for statement in create_statements(&Layout::new(&model)) {
            stranger.execute_batch(&change(statement)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = runtime.block_on(Store::open(&path, 1, &model)).unwrap();
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
                Kind::Query => self.engine.query(operation, &variables).await,
                Kind::Mutation => self.engine.mutate(operation, &variables, None).await,
            }
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

/// How a property is tested: so many times, or `FRESHQL_SOAK` times as often.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    let factor = std::env::var("FRESHQL_SOAK").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    // What failed is printed, and becomes a test of its own; a file of seeds would tell nobody anything.
    ProptestConfig {
        cases: cases * factor,
        failure_persistence: None,
        max_shrink_iters: 1000,
        ..ProptestConfig::default()
    }
}

/// All choices of a test, in order. proptest makes them and, when a test fails, takes some away and makes others smaller;
/// the first choice of everything is therefore the plainest, and is what an empty tape chooses.
pub(crate) struct Choices<'a>(std::slice::Iter<'a, u32>);

impl<'a> Choices<'a> {
    pub(crate) fn new(tape: &'a [u32]) -> Self {
        Self(tape.iter())
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0.next().map_or(0, |choice| *choice as usize % end)
    }

    /// True in `percent` of a hundred cases.
    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) >= 100 - percent
    }

    pub(crate) fn of<'c, T>(&mut self, candidates: &'c [T]) -> &'c T {
        &candidates[self.below(candidates.len())]
    }
}

const TEXTS: [&str; 24] = [
    "a",
    "A",
    "",
    "b",
    "aa",
    "ab",
    "Ab",
    "aB",
    "é",
    "É",
    "e\u{301}",
    "ΣΑΣ",
    "σας",
    "σΑσ",
    "ß",
    "SS",
    "İ",
    "😀",
    "\u{FFFD}",
    "\u{E000}",
    "\"\\\n\u{1}",
    " a",
    "10",
    "9",
];
const INTS: [i64; 7] = [0, 1, -1, 2, 10, i32::MAX as i64, i32::MIN as i64];
const BIG_INTS: [i64; 8] = [0, 1, -1, 2, 1 << 53, (1 << 53) + 1, i64::MAX, i64::MIN];
const FLOATS: [f64; 12] = [
    0.0,
    1.0,
    -1.5,
    0.1,
    0.30000000000000004,
    1e308,
    -1e308,
    5e-324,
    0.1234567890123456,
    2.5e-7,
    1e15,
    123_456_789.123_456_79,
];
const DECIMALS: [i64; 9] = [0, 1, -1, 10_000, 15_000, 99_999, -99_999, 999_999_999, -999_999_999];
const TIMES: [&str; 4] =
    ["2026-11-22T09:30:00.000Z", "2026-11-22T09:30:00.001Z", "1969-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"];
const DAYS: [&str; 4] = ["2026-11-22", "2026-11-23", "0001-01-01", "2024-02-29"];
const UUIDS: [&str; 3] = [
    "0190b4f4-0000-7000-8000-00000000000a",
    "0190b4f4-0000-7000-8000-00000000000b",
    "ffffffff-ffff-7fff-bfff-ffffffffffff",
];
const JSON: [&str; 5] = ["null", "[]", "{\"a\":[1,\"x\",null],\"b\":{}}", "\"é\\n\"", "-1.5"];

/// A value of a scalar, but not of a key. There are few of each, so that many rows have the same.
pub(crate) fn any_value(model: &Model, scalar: Scalar, choices: &mut Choices<'_>) -> Value {
    match scalar {
        Scalar::String => Value::text(*choices.of(&TEXTS)),
        Scalar::Int => Value::Int(*choices.of(&INTS)),
        Scalar::BigInt => Value::Int(*choices.of(&BIG_INTS)),
        Scalar::Float => Value::Real(*choices.of(&FLOATS)),
        Scalar::Boolean => Value::Int(choices.below(2) as i64),
        Scalar::Decimal { precision: 18, .. } if choices.chance(20) => {
            Value::Int(*choices.of(&[999_999_999_999_999_999, -999_999_999_999_999_999]))
        }
        Scalar::Decimal { .. } => Value::Int(*choices.of(&DECIMALS)),
        Scalar::DateTime => Value::text(*choices.of(&TIMES)),
        Scalar::Date => Value::text(*choices.of(&DAYS)),
        Scalar::Uuid => Value::text(*choices.of(&UUIDS)),
        Scalar::Json => Value::text(*choices.of(&JSON)),
        Scalar::Enum(id) => Value::text(choices.of(&model.enum_type(id).values).0.as_str()),
        Scalar::IdInt | Scalar::IdText | Scalar::IdUuid => panic!("keys are made by any_key"),
    }
}

/// The key of the `number`th row.
fn any_key(scalar: Scalar, number: usize, choices: &mut Choices<'_>) -> Value {
    match scalar {
        // Gaps, and one that is as large as they come.
        Scalar::IdInt if number == 11 => Value::Int(i64::MAX),
        Scalar::IdInt => Value::Int(number as i64 * 3 + 1),
        Scalar::IdText => Value::text(format!("{}{number}", choices.of(&TEXTS))),
        // The order of the keys is not that of the rows.
        Scalar::IdUuid => {
            Value::text(format!("0190b4f4-{:04x}-7000-8000-0000000000{number:02x}", choices.below(0xFFFF)))
        }
        other => panic!("{other:?} is no key"),
    }
}

/// A key of an entity's rows, or one that none of them has.
pub(crate) fn some_key(entity: &Entity, tables: &Tables, choices: &mut Choices<'_>) -> Value {
    let rows = &tables[usize::from(entity.id.0)];
    let scalar = entity.column(entity.key).scalar;
    if rows.is_empty() || choices.chance(10) {
        return match scalar {
            Scalar::IdInt => Value::Int(-7),
            Scalar::IdUuid => Value::text(UUIDS[2]),
            _ => Value::text("nobody"),
        };
    }
    choices.of(rows)[usize::from(entity.key.0)].clone()
}

/// Random rows that keep all rules of the model: up to `most` of each entity.
pub(crate) fn any_tables(model: &Model, most: usize, choices: &mut Choices<'_>) -> Tables {
    let keys: Vec<Vec<Value>> = model
        .entities
        .iter()
        .map(|entity| {
            let count = choices.below(most + 1);
            (0..count).map(|number| any_key(entity.column(entity.key).scalar, number, choices)).collect()
        })
        .collect();
    // Rows are made where their keys are known already; where a required relation finds no target, there are none.
    let mut tables: Tables = vec![Vec::new(); model.entities.len()];
    for (entity, own) in model.entities.iter().zip(&keys) {
        for key in own {
            let row = any_row(model, entity, key, &keys, choices);
            let rows = &mut tables[usize::from(entity.id.0)];
            if let Some(row) = row
                && !entity.uniques.iter().any(|unique| rows.iter().any(|other| clashes(&row, other, &unique.columns)))
            {
                rows.push(row);
            }
        }
    }
    drop_dangling(model, &mut tables);
    tables
}

fn any_row(model: &Model, entity: &Entity, key: &Value, keys: &[Vec<Value>], choices: &mut Choices<'_>) -> Option<Row> {
    let mut row = Vec::new();
    for id in entity.column_ids() {
        let column = entity.column(id);
        row.push(if id == entity.key {
            key.clone()
        } else if column.nullable && choices.chance(30) {
            Value::Null
        } else if let Some(reference) = &column.references {
            match keys[usize::from(reference.target.0)].as_slice() {
                [] if column.nullable => Value::Null,
                [] => return None,
                targets => choices.of(targets).clone(),
            }
        } else {
            any_value(model, column.scalar, choices)
        });
    }
    Some(row)
}

/// Whether two rows have the same values in these columns. NULL is the same as nothing.
pub(crate) fn clashes(one: &Row, other: &Row, columns: &[freshql::model::ColumnId]) -> bool {
    columns.iter().all(|id| {
        let (one, other) = (&one[usize::from(id.0)], &other[usize::from(id.0)]);
        *one != Value::Null && one == other
    })
}

/// Removes rows and empties columns that point to rows which were not made.
fn drop_dangling(model: &Model, tables: &mut Tables) {
    loop {
        let mut changed = false;
        let keys: Vec<Vec<Value>> = model
            .entities
            .iter()
            .map(|e| tables[usize::from(e.id.0)].iter().map(|row| row[usize::from(e.key.0)].clone()).collect())
            .collect();
        for entity in &model.entities {
            tables[usize::from(entity.id.0)].retain_mut(|row| {
                for (value, column) in row.iter_mut().zip(&entity.columns) {
                    let Some(reference) = &column.references else { continue };
                    if *value != Value::Null && !keys[usize::from(reference.target.0)].contains(value) {
                        changed = true;
                        if !column.nullable {
                            return false;
                        }
                        *value = Value::Null;
                    }
                }
                true
            });
        }
        if !changed {
            return;
        }
    }
}
