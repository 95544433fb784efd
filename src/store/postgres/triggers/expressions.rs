//! The expressions that all trigger functions use: the time, and what a record says of a row.

use crate::model::Scalar;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table, TableColumn};

/// The microseconds since 1970.
pub(in crate::store) const NOW: &str = "(date_part('epoch', clock_timestamp()) * 1000000)::bigint";

pub(super) fn entity(table: &Table) -> String {
    string_literal(&table.entity_name)
}

/// The variables of a function that writes records. PL/pgSQL prepares assigned expressions once per
/// transaction, but the expressions of an INSERT for every row: with variables, a bulk update costs
/// a tenth less.
pub(super) const VARIABLES: &str = "DECLARE
  changed text;
  parts text[];";

/// The statements that record an update.
pub(super) fn updated(table: &Table) -> String {
    format!(
        "changed := {changed};
      parts := {parts};
      INSERT INTO _freshql_change (entity, id, op, changed, parts)
        VALUES ({entity}, NEW.{key}::text, 'U', changed, parts);",
        entity = entity(table),
        key = table.key_column().name,
        changed = changed(table),
        parts = parts(table, Some("OLD"), Some("NEW")),
    )
}

/// The statements that record an insert or delete.
pub(super) fn came_or_went(table: &Table, op: char, row: &str) -> String {
    let (old, new) = if op == 'D' { (Some(row), None) } else { (None, Some(row)) };
    format!(
        "parts := {parts};
    INSERT INTO _freshql_change (entity, id, op, parts)
      VALUES ({entity}, {row}.{key}::text, '{op}', parts);",
        entity = entity(table),
        key = table.key_column().name,
        parts = parts(table, old, new),
    )
}

/// The names of the columns that differ, separated by spaces. The key never differs.
pub(super) fn changed(table: &Table) -> String {
    let cases: Vec<String> = changes(table).collect();
    // A function takes at most 100 arguments.
    let chunks: Vec<String> = cases
        .chunks(90)
        .map(|chunk| format!("concat_ws(' ', {})", chunk.join(",\n          ")))
        .collect();
    match &chunks[..] {
        [] => "''".to_owned(),
        [one] => one.clone(),
        many => format!("concat_ws(' ', {})", many.join(",\n        ")),
    }
}

/// For each column except the key, its name if it differs.
pub(super) fn changes(table: &Table) -> impl Iterator<Item = String> {
    let others = table.columns.iter().filter(|column| column.name != table.key_column().name);
    others.map(|column| {
        format!("CASE WHEN {} THEN {} END", differs(column), string_literal(column.name.as_str()))
    })
}

pub(super) fn names(table: &Table) -> impl Iterator<Item = &SqlName> {
    table.columns.iter().map(|column| &column.name)
}

/// Compared by bytes, whatever the column's collation or type.
pub(super) fn differs(column: &TableColumn) -> String {
    let name = &column.name;
    match column.scalar {
        // Equal JSON values can be spelled differently.
        Scalar::Json => format!("(ROW(OLD.{name})::record *<> ROW(NEW.{name})::record)"),
        Scalar::IdText | Scalar::String | Scalar::Enum(_) => {
            format!(
                "(OLD.{name}::text COLLATE \"C\" IS DISTINCT FROM NEW.{name}::text COLLATE \"C\")"
            )
        }
        _ => format!("(OLD.{name} IS DISTINCT FROM NEW.{name})"),
    }
}

/// Whether any of the model's columns differs, by its bytes.
pub(super) fn rows_differ(table: &Table) -> String {
    let row = |prefix: &str| {
        let columns: Vec<String> =
            table.columns.iter().map(|column| format!("{prefix}.{}", column.name)).collect();
        format!("ROW({})::record", columns.join(", "))
    };
    format!("{}\n    *<> {}", row("OLD"), row("NEW"))
}

/// An array: for each column that can restrict lists, its name, old value, and new value.
pub(super) fn parts(table: &Table, old: Option<&str>, new: Option<&str>) -> String {
    let columns: Vec<String> = all_parts(table, old, new).collect();
    if columns.is_empty() {
        "'{}'".to_owned()
    } else {
        format!("ARRAY[{}]::text[]", columns.join(",\n          "))
    }
}

pub(super) fn all_parts<'t>(
    table: &'t Table,
    old: Option<&'t str>,
    new: Option<&'t str>,
) -> impl Iterator<Item = String> + 't {
    let value = |column: &TableColumn, row: Option<&str>| {
        row.map_or_else(|| "NULL".to_owned(), |row| part(column, &format!("{row}.{}", column.name)))
    };
    let columns = table.columns.iter().filter(|column| column.part);
    columns.map(move |column| {
        format!(
            "{}, {}, {}",
            string_literal(column.name.as_str()),
            value(column, old),
            value(column, new)
        )
    })
}

/// A value as it is logged.
pub(super) fn part(column: &TableColumn, value: &str) -> String {
    match column.scalar {
        // In milliseconds, so that session settings do not matter; a `timestamp` without time zone
        // is read as UTC.
        Scalar::DateTime => format!("floor(extract(epoch FROM {value}) * 1000)::text"),
        Scalar::Date => format!("to_char({value}, 'YYYY-MM-DD')"),
        Scalar::IdText | Scalar::String => format!("_freshql_part({value}::text)"),
        _ => format!("{value}::text"),
    }
}
