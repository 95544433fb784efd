//! `migrate new` over random histories of a model, and on a real PostgreSQL: each step leads from
//! the previous tables to what the model needs, whatever the rows are; their contents and versions
//! are kept.

use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;

use freshql::model::{DefaultValue, Model, Scalar, parse};
use freshql::store::schema::difference::step;
use freshql::store::schema::layout::{Layout, Table, TableColumn};
use freshql::store::schema::migrations;
use freshql::store::sqlite::ddl::create_statements;
use freshql::store::sqlite::migrate::{self, MigrateError, Migrations, check_schema};
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::postgres::Postgres;
use crate::properties::check;
use crate::random_choices::{Choices, Tape};
use crate::random_model::RandomModel;

fn model(sdl: &str) -> Model {
    parse("schema.graphql", sdl).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{sdl}")).model
}

/// Writes the next migration, if one is needed; returns its texts.
fn write_next(folder: &Path, model: &Model) -> Option<[String; 2]> {
    let migrations = Migrations::read(folder).unwrap();
    let step = step(&migrations, model).unwrap_or_else(|error| panic!("{error}"))?;
    migrations::add(folder, "step", &step.sqlite, &step.postgres).unwrap();
    Some([step.sqlite, step.postgres])
}

fn rows(database: &Connection, sql: &str) -> Vec<Vec<Value>> {
    let mut statement = database.prepare(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|at| row.get(at)).collect()).unwrap();
    rows.map(Result::unwrap).collect()
}

/// The only cell of a row.
fn text(row: Vec<Value>) -> String {
    match row.into_iter().next() {
        Some(Value::Text(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn number(database: &Connection, sql: &str) -> i64 {
    database.query_row(sql, [], |row| row.get(0)).unwrap_or_else(|error| panic!("{error}: {sql}"))
}

/// A value as a SQLite literal. Keys are chosen from the existing rows.
fn literal(
    database: &Connection,
    column: &TableColumn,
    serial: i64,
    choices: &mut Choices<'_>,
) -> Option<String> {
    if column.nullable && choices.one_in(3) {
        return Some("NULL".to_owned());
    }
    if let Some(key) = &column.references {
        let keys = rows(database, &format!("SELECT quote({}) FROM {}", key.column, key.table));
        if keys.is_empty() {
            return column.nullable.then(|| "NULL".to_owned());
        }
        let Value::Text(key) = &choices.of(&keys)[0] else { panic!("quote gives texts") };
        return Some(key.clone());
    }
    Some(match column.scalar {
        Scalar::IdInt | Scalar::Int | Scalar::BigInt => serial.to_string(),
        Scalar::Boolean => (serial % 2).to_string(),
        Scalar::Decimal { .. } => (serial % 10).to_string(),
        Scalar::Float => format!("{serial}.5"),
        Scalar::IdText | Scalar::String => format!("'it''s {serial}'"),
        Scalar::DateTime => format!("strftime('%Y-%m-%dT%H:%M:%fZ', {serial}, 'unixepoch')"),
        Scalar::Date => format!("date({serial} * 86400, 'unixepoch')"),
        Scalar::IdUuid | Scalar::Uuid => {
            format!("printf('018f0000-0000-7000-8000-%012d', {serial})")
        }
        Scalar::Json => format!("'[{serial}]'"),
        Scalar::Enum(_) => format!("'{}'", choices.of(&column.enum_values)),
    })
}

/// Inserts some rows into each table; rows that violate a unique index are skipped.
fn fill(database: &Connection, layout: &Layout, serial: &mut i64, choices: &mut Choices<'_>) {
    for table in layout.in_dependency_order() {
        for _ in 0..choices.below(4) {
            *serial += 1;
            let values: Option<Vec<String>> = table
                .columns
                .iter()
                .map(|column| literal(database, column, *serial, choices))
                .collect();
            let Some(values) = values else { continue };
            let columns: Vec<String> =
                table.columns.iter().map(|column| column.name.to_string()).collect();
            let sql = format!(
                "INSERT INTO {} ({}) VALUES ({})",
                table.name,
                columns.join(", "),
                values.join(", ")
            );
            match database.execute(&sql, []) {
                Ok(_) => {
                    let newest =
                        number(database, "SELECT max(seq) FROM _freshql_change WHERE op = 'I'");
                    let version =
                        number(database, &format!("SELECT max(_version) FROM {}", table.name));
                    assert_eq!(version, newest, "{sql}");
                }
                Err(error) => assert!(error.to_string().contains("UNIQUE"), "{error}: {sql}"),
            }
        }
    }
}

/// What a step must not change: columns by their names, key and version first.
type Kept = HashMap<String, Vec<Vec<Value>>>;

fn kept(database: &Connection, before: &Layout, after: &Layout) -> Kept {
    let mut kept = Kept::new();
    for table in &before.tables {
        let Some(later) = after.tables.iter().find(|later| later.name == table.name) else {
            continue;
        };
        // NULLs in a column that becomes NOT NULL are replaced by its default.
        let same = |column: &&TableColumn| {
            let same =
                |other: &TableColumn| other.name == column.name && other.scalar == column.scalar;
            later.columns.iter().any(|other| same(other) && (other.nullable || !column.nullable))
        };
        let columns: Vec<String> =
            table.columns.iter().filter(same).map(|column| column.name.to_string()).collect();
        let sql =
            format!("SELECT _version, {} FROM {} ORDER BY 1, 2", columns.join(", "), table.name);
        kept.insert(table.name.as_str().to_owned(), rows(database, &sql));
    }
    kept
}

fn log(database: &Connection) -> Vec<Vec<Value>> {
    rows(database, "SELECT * FROM _freshql_change ORDER BY seq")
}

/// A name as a string literal.
fn quoted(name: &str) -> String {
    format!("'{}'", name.replace('\'', "''"))
}

/// The properties of a table that the model determines.
fn shape(database: &Connection, table: &Table) -> Vec<Vec<Value>> {
    let names: Vec<String> =
        table.columns.iter().map(|column| quoted(column.name.as_str())).collect();
    let (name, names) = (quoted(table.name.as_str()), names.join(", "));
    let mut shape = rows(
        database,
        &format!(
            "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info({name}) WHERE name IN ({names}) ORDER BY 1"
        ),
    );
    shape.extend(rows(
        database,
        &format!("SELECT \"from\", \"table\", \"to\", on_delete FROM pragma_foreign_key_list({name}) ORDER BY 1"),
    ));
    shape.extend(rows(
        database,
        &format!(
            "SELECT list.name, \"unique\", group_concat(info.name) FROM pragma_index_list({name}) list, \
             pragma_index_info(list.name) info WHERE origin = 'c' GROUP BY 1, 2 ORDER BY 1"
        ),
    ));
    shape.extend(rows(
        database,
        &format!("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = {name} ORDER BY 1"),
    ));
    shape
}

fn open() -> Connection {
    let database = Connection::open_in_memory().unwrap();
    database.execute_batch("PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON").unwrap();
    database
}

fn apply(database: &mut Connection, folder: &Path) -> Result<(), String> {
    match migrate::up(database, &Migrations::read(folder).unwrap()) {
        Ok(_) => Ok(()),
        Err(MigrateError::Files(mistakes)) => Err(mistakes[0].message.clone()),
        Err(error) => panic!("{error}"),
    }
}

/// One history: a model, and changes to it, with rows written in between. Returns how many steps
/// kept their rows.
fn live_through(choices: &mut Choices<'_>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let mut database = open();
    let mut random = RandomModel::new(choices);
    let mut layout = Layout { tables: Vec::new() };
    let (mut serial, mut survived) = (0, 0);
    for _ in 0..5 {
        let sdl = random.sdl();
        let model = model(&sdl);
        let next = Layout::new(&model);
        let texts = write_next(folder.path(), &model);
        if let Some([sqlite, _]) = &texts {
            let has_log = !layout.tables.is_empty();
            let before = (kept(&database, &layout, &next), has_log.then(|| log(&database)));
            match apply(&mut database, folder.path()) {
                Ok(()) => {
                    let renews = sqlite.contains("SET _version = -1");
                    if has_log && !renews {
                        assert!(
                            before == (kept(&database, &layout, &next), Some(log(&database))),
                            "{sdl}\n{sqlite}"
                        );
                        survived += 1;
                    }
                }
                // Rows that violate a stricter rule stop the step, which then has no effect.
                Err(error) => {
                    let known =
                        ["constraint failed", "cannot store", "datatype mismatch", "lead nowhere"];
                    assert!(
                        known.iter().any(|known| error.contains(known)),
                        "{error}\n{sdl}\n{sqlite}"
                    );
                    assert!(
                        before == (kept(&database, &layout, &next), Some(log(&database))),
                        "{sdl}\n{sqlite}"
                    );
                    database.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
                    for table in &layout.tables {
                        database.execute(&format!("DELETE FROM {}", table.name), []).unwrap();
                    }
                    database.execute_batch("PRAGMA foreign_keys = ON").unwrap();
                    apply(&mut database, folder.path())
                        .unwrap_or_else(|error| panic!("{error}\n{sdl}\n{sqlite}"));
                }
            }
        }
        assert_eq!(check_schema(&database, &model).unwrap(), [], "{sdl}");
        assert_eq!(write_next(folder.path(), &model), None, "{sdl}");
        let fresh = open();
        fresh.execute_batch(&create_statements(&next).concat()).unwrap();
        for table in &next.tables {
            assert_eq!(shape(&database, table), shape(&fresh, table), "{sdl}");
        }
        layout = next;
        fill(&database, &layout, &mut serial, choices);
        assert_eq!(rows(&database, "PRAGMA foreign_key_check"), Vec::<Vec<Value>>::new());
        random.change(choices);
    }
    survived
}

#[test]
fn every_history_of_a_model_is_migrated_step_by_step() {
    let (survived, lived) = (Cell::new(0), Cell::new(0));
    check(60, Tape::strategy(600), |tape| {
        survived.set(survived.get() + live_through(&mut tape.choices()));
        lived.set(lived.get() + 1);
        Ok(())
    });
    // Most steps must keep their rows, or the test shows little.
    assert!(survived.get() > lived.get(), "{} steps of {} histories", survived.get(), lived.get());
}

/// Everything in a PostgreSQL database that belongs to a model, one line each.
fn postgres_shape(postgres: &Postgres, database: &str, layout: &Layout) -> Vec<String> {
    let columns: Vec<String> = layout
        .tables
        .iter()
        .flat_map(|table| {
            let names = table.columns.iter().map(|column| column.name.as_str()).chain(["_version"]);
            names.map(move |name| format!("({}, {})", quoted(table.name.as_str()), quoted(name)))
        })
        .collect();
    let tables: Vec<String> =
        layout.tables.iter().map(|table| quoted(table.name.as_str())).collect();
    let (columns, tables) = (columns.join(", "), tables.join(", "));
    postgres.run(
        database,
        &format!(
            "SELECT 'column', relname, attname, format_type(atttypid, atttypmod), collname, attnotnull, attidentity,
                    pg_get_expr(adbin, adrelid)
               FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
               LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
               LEFT JOIN pg_collation ON pg_collation.oid = attcollation
              WHERE (relname, attname) IN ({columns}) ORDER BY 2, 3;
             SELECT 'constraint', relname, conname, pg_get_constraintdef(pg_constraint.oid)
               FROM pg_constraint JOIN pg_class ON conrelid = pg_class.oid
              WHERE relname IN ({tables}) AND (SELECT bool_and((relname::text, attname::text) IN ({columns}))
                      FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY (conkey)) ORDER BY 2, 3;
             SELECT 'index', indexdef FROM pg_indexes WHERE tablename IN ({tables}) ORDER BY 2;
             SELECT 'trigger', pg_get_triggerdef(pg_trigger.oid) FROM pg_trigger JOIN pg_class ON tgrelid = pg_class.oid
              WHERE relname IN ({tables}) AND NOT tgisinternal ORDER BY 2;
             SELECT 'function', proname, prosrc, proconfig FROM pg_proc
              WHERE proname IN (SELECT '_freshql_' || unnest(ARRAY[{tables}]) || '_log') ORDER BY 2;"
        ),
    )
}

#[test]
fn histories_lead_postgresql_to_the_same_tables_as_a_first_migration() {
    let Some(postgres) = Postgres::start() else { return };
    let cases = Cell::new(0);
    check(12, Tape::strategy(300), |tape| {
        let choices = &mut tape.choices();
        let case = cases.replace(cases.get() + 1);
        let stepwise = format!("stepwise{case}");
        postgres.create(&stepwise);
        let folder = tempfile::tempdir().unwrap();
        let mut random = RandomModel::new(choices);
        for number in 0..5 {
            let sdl = random.sdl();
            let model = model(&sdl);
            let layout = Layout::new(&model);
            if let Some([_, text]) = write_next(folder.path(), &model) {
                postgres
                    .migrate(&stepwise, &text)
                    .unwrap_or_else(|error| panic!("{error}\n{sdl}\n{text}"));
                let first = step(&Migrations::default(), &model).unwrap().unwrap();
                let fresh = format!("fresh{case}_{number}");
                postgres.create(&fresh);
                postgres
                    .migrate(&fresh, &first.postgres)
                    .unwrap_or_else(|error| panic!("{error}\n{sdl}"));
                assert_eq!(
                    postgres_shape(&postgres, &stepwise, &layout),
                    postgres_shape(&postgres, &fresh, &layout),
                    "{sdl}\n{text}"
                );
                postgres.run("postgres", &format!("DROP DATABASE {fresh}"));
            }
            random.change(choices);
        }
        postgres.run("postgres", &format!("DROP DATABASE {stepwise}"));
        Ok(())
    });
}

/// The repository's own migrations for a dialect.
fn demo(dialect: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.to_str().unwrap().ends_with(&format!(".{dialect}.sql")));
    files.sort();
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

fn demo_model() -> Model {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema.graphql");
    model(&std::fs::read_to_string(file).unwrap())
}

#[test]
fn migrations_of_the_demo_are_what_the_generator_writes() {
    let first = step(&Migrations::default(), &demo_model()).unwrap().unwrap();
    assert_eq!(first.sqlite, demo("sqlite")[0]);
    assert_eq!(first.postgres, demo("postgres")[0]);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    assert_eq!(step(&Migrations::read(&folder).unwrap(), &demo_model()).unwrap(), None);
    assert_eq!(demo("sqlite").len(), demo("postgres").len());
}

#[test]
fn demo_has_the_same_rows_in_both_databases() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("demo");
    for text in demo("postgres") {
        postgres.migrate("demo", &text).unwrap();
    }
    let sqlite = open();
    for text in demo("sqlite") {
        sqlite.execute_batch(&text).unwrap();
    }
    for table in &Layout::new(&demo_model()).tables {
        // Each in SQLite's storage form.
        let shown = |column: &TableColumn| {
            let name = &column.name;
            let [here, there] = match column.scalar {
                Scalar::Boolean => [name.to_string(), format!("{name}::integer")],
                Scalar::Decimal { scale, .. } => [
                    name.to_string(),
                    format!("({name} * {})::bigint", 10_i64.pow(u32::from(scale))),
                ],
                Scalar::DateTime => {
                    let format = "YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"";
                    [name.to_string(), format!("to_char({name} AT TIME ZONE 'UTC', '{format}')")]
                }
                // `printf` turns NULL into zero.
                Scalar::Float => [
                    format!("CASE WHEN {name} IS NOT NULL THEN printf('%.6f', {name}) END"),
                    format!("round({name}::numeric, 6)"),
                ],
                _ => [name.to_string(), name.to_string()],
            };
            [format!("ifnull({here}, '~')"), format!("coalesce(({there})::text, '~')")]
        };
        let documents = table.columns.iter().filter(|column| column.scalar == Scalar::Json);
        for name in documents.map(|column| &column.name) {
            let sql = format!(
                "SELECT {name} FROM {} WHERE {name} IS NOT NULL ORDER BY _version",
                table.name
            );
            let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            let mine: Vec<_> =
                rows(&sqlite, &sql).into_iter().map(|row| json(&text(row))).collect();
            assert_eq!(
                mine,
                postgres.run("demo", &sql).iter().map(|text| json(text)).collect::<Vec<_>>()
            );
        }
        let [here, there]: [Vec<String>; 2] = {
            let others = table.columns.iter().filter(|column| column.scalar != Scalar::Json);
            let both: Vec<[String; 2]> = others.map(shown).collect();
            [
                both.iter().map(|b| b[0].clone()).collect(),
                both.iter().map(|b| b[1].clone()).collect(),
            ]
        };
        let version = "ORDER BY _version";
        let mine = rows(
            &sqlite,
            &format!("SELECT {} FROM {} {version}", here.join(" || '|' || "), table.name),
        );
        let mine: Vec<String> = mine.into_iter().map(text).collect();
        let theirs = postgres
            .run("demo", &format!("SELECT {} FROM {} {version}", there.join(", "), table.name));
        assert!(!mine.is_empty());
        assert_eq!(mine, theirs, "{}", table.name.as_str());
    }
}

const THINGS: &str = r#"
enum Kind { A B }
type Box @entity { id: ID! @id things: [Thing!]! @derivedFrom(field: "box") }
type Thing @entity @index(fields: ["price", "made"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  name: String! @index
  note: String
  price: Decimal @column(precision: 10, scale: 2)
  weight: Float @index
  on: Boolean! @default(value: true) @index
  made: DateTime
  day: Date @index
  token: UUID @unique
  extra: JSON
  kind: Kind! @default(value: A)
  box: Box @relation(onDelete: SET_NULL)
}
"#;

/// Creates a PostgreSQL database with the tables of [`THINGS`].
fn things(postgres: &Postgres) {
    postgres.create("things");
    let first = step(&Migrations::default(), &model(THINGS)).unwrap().unwrap();
    postgres.migrate("things", &first.postgres).unwrap();
}

#[test]
fn postgresql_keeps_versions_and_log_as_sqlite_does() {
    let Some(postgres) = Postgres::start() else { return };
    things(&postgres);
    let sqlite = open();
    sqlite.execute_batch(&create_statements(&Layout::new(&model(THINGS))).concat()).unwrap();
    // Statements that both understand; the log must have the same records.
    let statements = [
        "INSERT INTO boxes (id) VALUES ('x'), ('y')",
        "INSERT INTO things (name, weight, made, day, token, box_id) VALUES ('one', 0.1, '2026-11-22T09:30:00.123Z',
           '2026-11-22', '018f0000-0000-7000-8000-000000000001', 'x'), ('two', NULL, NULL, NULL, NULL, 'x')",
        "UPDATE things SET note = 'n', weight = 2 WHERE id = 1",
        "UPDATE things SET note = 'n' WHERE id = 1",
        "UPDATE things SET name = name",
        "UPDATE things SET _version = 1 WHERE id = 2",
        "UPDATE things SET id = 7 WHERE id = 2",
        "DELETE FROM boxes WHERE id = 'x'",
        "DELETE FROM things",
    ];
    for statement in statements {
        sqlite.execute_batch(statement).unwrap();
        postgres.run("things", statement);
    }
    // SQLite logs rows that a statement might displace; PostgreSQL, which displaces none, need not.
    let mine = rows(
        &sqlite,
        "SELECT entity || ' ' || id || ' ' || op || ' ' || ifnull(changed, '-') || ' ' || replace(replace(parts, '\":\"', '\": \"'), '\\u', '') FROM _freshql_change ORDER BY entity, id, op, seq",
    );
    let theirs = postgres.run(
        "things",
        "SELECT concat_ws(' ', entity, id, op, coalesce(changed, '-'),
                (SELECT json_object_agg(parts[i], CASE op WHEN 'I' THEN json_build_array(parts[i + 2])
                     WHEN 'D' THEN json_build_array(parts[i + 1]) ELSE json_build_array(parts[i + 1], parts[i + 2]) END)
                   FROM generate_series(1, cardinality(parts), 3) i))
           FROM _freshql_change ORDER BY entity COLLATE \"C\", id, op, seq",
    );
    // Each has its own string format of values; the resulting values are the same.
    let alike = |value: &serde_json::Value| match value.to_string().as_str() {
        "\"true\"" => "1".to_owned(),
        "\"false\"" => "0".to_owned(),
        "\"0.10000000000000001\"" => "0.1".to_owned(),
        "\"2.0\"" => "2".to_owned(),
        "\"2026-11-22T09:30:00.123Z\"" => "1795339800123".to_owned(),
        other => other.trim_matches('"').to_owned(),
    };
    let normal = |line: &str| -> String {
        let (head, json) = line.split_at(line.find('{').unwrap_or(line.len()));
        let parts: std::collections::BTreeMap<String, Vec<serde_json::Value>> =
            serde_json::from_str(if json.is_empty() { "{}" } else { json }).unwrap();
        let parts = parts.iter().map(|(name, values)| {
            format!("{name} {:?}", values.iter().map(alike).collect::<Vec<_>>())
        });
        format!("{} {}", head.trim(), parts.collect::<Vec<_>>().join(" "))
    };
    let mine: Vec<String> = mine.into_iter().map(|row| normal(&text(row))).collect();
    let theirs: Vec<String> = theirs.iter().map(|line| normal(line)).collect();
    assert_eq!(mine, theirs);

    // RETURNING shows a row's new version at once.
    let shown = postgres.run("things", "INSERT INTO things (name) VALUES ('z') RETURNING _version");
    assert_eq!(shown, postgres.run("things", "SELECT _version FROM things"));
    let shown = postgres.run("things", "UPDATE things SET name = 'zz' RETURNING _version");
    assert_eq!(shown, postgres.run("things", "SELECT _version FROM things"));
    // Another trigger that changes the row fires before the version is determined.
    postgres.run(
        "things",
        "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || '!'; RETURN NEW; END $$;
         CREATE TRIGGER theirs BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION theirs();
         INSERT INTO things (name, note) VALUES ('a', 'n'); UPDATE things SET name = 'a';",
    );
    assert_eq!(
        postgres.run("things", "SELECT changed FROM _freshql_change ORDER BY seq DESC LIMIT 1"),
        ["note"]
    );
    // So does a program with another search path.
    postgres.run("things", "SET search_path = pg_catalog; UPDATE public.things SET name = 'b'");
    assert_eq!(
        postgres.run("things", "SELECT changed FROM _freshql_change ORDER BY seq DESC LIMIT 1"),
        ["name note"]
    );
}

#[test]
fn postgresql_orders_strings_by_code_points() {
    let Some(postgres) = Postgres::start() else { return };
    things(&postgres);
    postgres
        .run("things", "INSERT INTO things (name) VALUES ('b'), ('B'), ('a'), ('ä'), ('Z'), ('_')");
    assert_eq!(
        postgres.run("things", "SELECT name FROM things ORDER BY name"),
        ["B", "Z", "_", "a", "b", "ä"]
    );
    assert_eq!(
        postgres.run("things", "SELECT x FROM (VALUES ('b'), ('B'), ('a')) v (x) ORDER BY x"),
        ["a", "b", "B"]
    );
}

#[test]
fn postgresql_refuses_values_that_no_answer_can_show() {
    let Some(postgres) = Postgres::start() else { return };
    things(&postgres);
    for (column, value) in [
        ("price", "'NaN'"),
        ("price", "123456789"),
        ("weight", "'NaN'"),
        ("weight", "'-Infinity'"),
        ("made", "'infinity'"),
        ("made", "'10000-01-02'"),
        ("day", "'-infinity'"),
        ("day", "'0044-03-15 BC'"),
        ("kind", "'C'"),
        ("box_id", "'nowhere'"),
        ("\"on\"", "NULL"),
    ] {
        let sql = format!("INSERT INTO things (name, {column}) VALUES ('x', {value})");
        assert!(postgres.migrate("things", &sql).is_err(), "{sql}");
    }
}

#[test]
fn rows_survive_the_steps_in_postgresql_with_their_versions() {
    let Some(postgres) = Postgres::start() else { return };
    things(&postgres);
    postgres.run(
        "things",
        "INSERT INTO boxes (id) VALUES ('x');
         INSERT INTO things (name, price, weight, made, day, token, extra, box_id) VALUES
           ('1', 12.50, 3, '2026-11-22T00:00:00Z', '2026-11-22', '018f0000-0000-7000-8000-000000000001', '{\"a\": 1}', 'x'),
           ('2', 1, 4.5, NULL, NULL, NULL, NULL, NULL);
         UPDATE things SET note = 'n' WHERE id = 1;",
    );
    let first = step(&Migrations::default(), &model(THINGS)).unwrap().unwrap();
    let folder = tempfile::tempdir().unwrap();
    migrations::add(folder.path(), "create", &first.sqlite, &first.postgres).unwrap();
    let next = |sdl: &str| {
        let [_, text] = write_next(folder.path(), &model(sdl)).expect("a difference");
        postgres.migrate("things", &text).map_err(|error| format!("{error}\n{text}"))
    };
    let state = "SELECT id, _version FROM things ORDER BY 1; SELECT count(*) FROM _freshql_change";
    let before = postgres.run("things", state);
    let changed = THINGS
        .replace("name: String! @index", "name: Int! @index")
        .replace("note: String", "note: String! @default(value: \"none\")")
        .replace("scale: 2", "scale: 3")
        .replace("weight: Float @index", "weight: String @index")
        .replace("on: Boolean! @default(value: true)", "on: String! @default(value: \"yes\")")
        .replace("made: DateTime", "made: Date")
        .replace("day: Date", "day: DateTime")
        .replace("token: UUID @unique", "token: String @unique")
        .replace("extra: JSON", "extra: String")
        .replace(
            "kind: Kind! @default(value: A)",
            "kind: String!\n  code: UUID! @default(fn: UUID_V7)",
        )
        .replace("onDelete: SET_NULL", "onDelete: CASCADE");
    next(&changed).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(postgres.run("things", state), before);
    assert_eq!(
        postgres.run("things", "SELECT name, note, price, weight, \"on\", made, day AT TIME ZONE 'UTC', token, extra, kind FROM things ORDER BY id"),
        [
            "1|n|12.500|3|true|2026-11-22|2026-11-22 00:00:00|018f0000-0000-7000-8000-000000000001|{\"a\": 1}|A",
            "2|none|1.000|4.5|true||||||A".replace("||||||", "|||||").as_str(),
        ]
    );
    // The minimum is written as the negative of a number that is too large.
    let filled = changed.replace("note: String!", "many: BigInt\n  note: String!");
    next(&filled).unwrap_or_else(|error| panic!("{error}"));
    let least =
        filled.replace("many: BigInt", "many: BigInt! @default(value: \"-9223372036854775808\")");
    next(&least).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        postgres.run("things", "SELECT DISTINCT many FROM things"),
        ["-9223372036854775808"]
    );

    // And back again.
    next(&THINGS.replace(
        "on: Boolean! @default(value: true) @index",
        "on: Boolean! @default(value: true)",
    ))
    .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(postgres.run("things", state), before);

    // A loss of data stops the step.
    for (replace, by, why) in [
        ("scale: 2", "scale: 0", "would be changed: 12.50"),
        ("weight: Float @index", "weight: Int @index", "would be changed: 4.5"),
        (
            "  note:",
            "  missing: Int!\n  note:",
            "column \"missing\" of relation \"things\" contains null values",
        ),
    ] {
        let sdl = THINGS.replace(replace, by);
        let [sqlite, text] = {
            let migrations = Migrations::read(folder.path()).unwrap();
            let step = step(&migrations, &model(&sdl)).unwrap().unwrap();
            [step.sqlite, step.postgres]
        };
        let error = postgres.migrate("things", &text).expect_err(&sqlite);
        assert!(error.contains(why), "{error}\n{text}");
    }
    assert_eq!(postgres.run("things", state), before);
}

#[test]
fn default_values_are_the_same_in_both_databases() {
    let Some(postgres) = Postgres::start() else { return };
    let sdl = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/ok_every_scalar.graphql"),
    )
    .unwrap();
    let model = model(&sdl);
    let first = step(&Migrations::default(), &model).unwrap().unwrap();
    postgres.create("scalars");
    postgres.migrate("scalars", &first.postgres).unwrap();
    let sqlite = open();
    sqlite.execute_batch(&first.sqlite).unwrap();
    let keys = "'018f0000-0000-7000-8000-000000000001'";
    let sql = format!("INSERT INTO things (id, uuid) VALUES ({keys}, {keys})");
    sqlite.execute_batch(&sql).unwrap();
    postgres.run("scalars", &sql);
    let has_value = Layout::new(&model).tables[0]
        .columns
        .iter()
        .filter(|column| matches!(column.default, Some(DefaultValue::Value(_))))
        .count();
    assert!(has_value > 8);
    let shown = postgres.run(
        "scalars",
        "SELECT string, int, big, float, boolean::integer, (decimal * 10000)::bigint,
           to_char(date_time AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), date FROM things",
    );
    let mine: String = sqlite
        .query_row(
            "SELECT concat_ws('|', string, int, big, CAST(float AS INTEGER), boolean, decimal, date_time, date) FROM things",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(shown, [mine]);
}
