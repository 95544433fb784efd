//! The same triggers for PostgreSQL. A row's next version is drawn from the log's own sequence before the row is
//! written, so that nothing is written twice and RETURNING shows it; the record follows when the row is there.
//!
//! Rows are compared by their bytes (`*<>`): types without an order, collations and `1.0 = 1.00` hide nothing. Values
//! in `parts` have the form that SQLite keeps, so that one reader reads both logs.

use crate::model::Scalar;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table, TableColumn, VERSION_COLUMN};

/// What all tables share: the log, the wake-up, the function that gives a row its version.
pub(in crate::store) const CHANGE_LOG: &[&str] = &[
    "CREATE TABLE _freshql_change (
  seq     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
  entity  text NOT NULL,
  id      text,
  op      text NOT NULL CHECK (op IN ('I', 'U', 'D')),
  changed text,
  parts   jsonb,
  at      timestamptz NOT NULL DEFAULT now()
);",
    "CREATE INDEX _freshql_change_xid_idx ON _freshql_change (xid, seq);",
    "-- Wakes those who read the log, once for each transaction; what they read is the log.
CREATE FUNCTION _freshql_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('_freshql_change', '');
  RETURN NULL;
END $$;",
    "CREATE TRIGGER _freshql_wake AFTER INSERT ON _freshql_change FOR EACH STATEMENT EXECUTE FUNCTION _freshql_wake();",
    "CREATE FUNCTION _freshql_version() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  NEW._version := nextval('_freshql_change_seq_seq');
  RETURN NEW;
END $$;",
];

/// The names of a table's triggers. Triggers fire in the order of their names: the version is drawn when no other
/// trigger can change the row any more.
const TRIGGERS: [&str; 5] = [
    "zz_freshql_inserted_version",
    "zz_freshql_updated_version",
    "_freshql_log",
    "_freshql_updated_log",
    "_freshql_truncated_log",
];

/// The statements that make the triggers that keep the versions of this table's rows, or make them as they should be.
pub(in crate::store) fn statements(table: &Table) -> Vec<String> {
    let name = &table.name;
    let log = log_function(name.as_str());
    let create = |trigger: &str, rest: &str| format!("CREATE OR REPLACE TRIGGER {trigger} {rest}");
    let version = "EXECUTE FUNCTION _freshql_version();";
    let [inserted, updated, logged, updated_log, truncated] = TRIGGERS;
    let differs = differs(&table.columns.iter().collect::<Vec<_>>());
    vec![
        function(table),
        create(inserted, &format!("BEFORE INSERT ON {name} FOR EACH ROW {version}")),
        create(
            updated,
            &format!(
                "BEFORE UPDATE ON {name} FOR EACH ROW\n  \
                 WHEN ({differs}\n    OR NEW.{VERSION_COLUMN} <> OLD.{VERSION_COLUMN})\n  {version}"
            ),
        ),
        create(logged, &format!("AFTER INSERT OR DELETE ON {name} FOR EACH ROW EXECUTE FUNCTION {log}();")),
        create(
            updated_log,
            &format!(
                "AFTER UPDATE ON {name} FOR EACH ROW\n  \
                 WHEN (NEW.{VERSION_COLUMN} <> OLD.{VERSION_COLUMN}) EXECUTE FUNCTION {log}();"
            ),
        ),
        create(truncated, &format!("BEFORE TRUNCATE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION {log}();")),
    ]
}

/// The statements that remove the triggers of a table.
pub(in crate::store) fn drop_statements(table: &str) -> Vec<String> {
    let name = SqlName::new(table);
    TRIGGERS.iter().map(|trigger| format!("DROP TRIGGER IF EXISTS {trigger} ON {name};")).collect()
}

/// The function that writes the table's records.
pub(in crate::store) fn log_function(table: &str) -> SqlName {
    SqlName::generated(format!("_freshql_{table}_log"))
}

fn function(table: &Table) -> String {
    let key = table.key_column();
    let others: Vec<&TableColumn> = table.columns.iter().filter(|column| column.name != key.name).collect();
    let cases: Vec<String> = others
        .iter()
        .map(|column| {
            let name = string_literal(&format!("{} ", column.name.as_str()));
            format!("CASE WHEN {} THEN {name} ELSE '' END", differs(&[column]))
        })
        .collect();
    let changed = if cases.is_empty() { "''".to_owned() } else { format!("trim({})", cases.join("\n        || ")) };
    format!(
        "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT{floats} AS $$
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, id, op, parts)
      SELECT {entity}, {key}::text, 'D', {parts} FROM {name};
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NOT {rekeyed} THEN
      INSERT INTO _freshql_change (seq, entity, id, op, changed, parts) OVERRIDING SYSTEM VALUE VALUES (
        NEW.{VERSION_COLUMN}, {entity}, NEW.{key}::text, 'U',
        {changed},
        {both_parts});
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    INSERT INTO _freshql_change (entity, id, op, parts) VALUES ({entity}, OLD.{key}::text, 'D', {old_parts});
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_change (seq, entity, id, op, parts) OVERRIDING SYSTEM VALUE
      VALUES (NEW.{VERSION_COLUMN}, {entity}, NEW.{key}::text, 'I', {new_parts});
  END IF;
  RETURN NULL;
END $$;",
        function = log_function(table.name.as_str()),
        // A session may have asked for fewer digits.
        floats = if table.columns.iter().any(|c| c.part && c.scalar == Scalar::Float) {
            " SET extra_float_digits = 1"
        } else {
            ""
        },
        entity = string_literal(&table.entity_name),
        key = key.name,
        name = table.name,
        rekeyed = differs(&[key]),
        parts = parts(table, &[""]),
        old_parts = parts(table, &["OLD."]),
        new_parts = parts(table, &["NEW."]),
        both_parts = parts(table, &["OLD.", "NEW."]),
    )
}

fn differs(columns: &[&TableColumn]) -> String {
    let row = |prefix: &str| {
        let columns: Vec<String> = columns.iter().map(|column| format!("{prefix}{}", column.name)).collect();
        format!("ROW({})::record", columns.join(", "))
    };
    format!("({} *<> {})", row("OLD."), row("NEW."))
}

/// PostgreSQL takes at most 100 arguments to a function.
const PARTS_IN_ONE_OBJECT: usize = 40;

fn parts(table: &Table, prefixes: &[&str]) -> String {
    let members: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.part)
        .map(|column| {
            let values: Vec<String> = prefixes.iter().map(|prefix| json_value(column, prefix)).collect();
            format!("{}, jsonb_build_array({})", string_literal(column.name.as_str()), values.join(", "))
        })
        .collect();
    let objects: Vec<String> =
        members.chunks(PARTS_IN_ONE_OBJECT).map(|chunk| format!("jsonb_build_object({})", chunk.join(", "))).collect();
    if objects.is_empty() { "'{}'".to_owned() } else { objects.join(" || ") }
}

fn json_value(column: &TableColumn, prefix: &str) -> String {
    let value = format!("{prefix}{}", column.name);
    match column.scalar {
        Scalar::Boolean => format!("{value}::integer"),
        Scalar::Decimal { scale: 0, .. } => format!("{value}::bigint"),
        Scalar::Decimal { scale, .. } => format!("({value} * {})::bigint", 10_i64.pow(u32::from(scale))),
        Scalar::Float => format!("{value}::text"),
        Scalar::DateTime => format!("to_char({value} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"),
        Scalar::Date => format!("to_char({value}, 'YYYY-MM-DD')"),
        _ => value,
    }
}
