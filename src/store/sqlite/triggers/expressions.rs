//! The parts of all triggers: their names, the next number of the log, and what a record says about
//! a row.

use crate::model::Scalar;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table, TableColumn};

/// The prefix of all triggers that freshql creates.
pub(crate) const NAME_PREFIX: &str = "_freshql_";

/// The number of the next record. The newest record is never pruned, so the clock continues from
/// it.
pub(in crate::store) const NEXT: &str =
    "max(ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0) + 1,
      CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER))";

#[derive(Debug, Clone)]
pub(crate) struct Trigger {
    /// Its name in the database.
    pub name: SqlName,
    /// The whole statement, including the closing semicolon.
    pub sql: String,
}

pub(super) fn trigger(
    table: &Table,
    event: &str,
    text: impl FnOnce(&SqlName) -> String,
) -> Trigger {
    let name = SqlName::generated(format!("{NAME_PREFIX}{}_{event}", table.name.as_str()));
    let sql = text(&name);
    Trigger { name, sql }
}

pub(super) fn entity(table: &Table) -> String {
    string_literal(&table.entity_name)
}

/// Strings are compared byte by byte, whatever collation a migration has given the column: in an
/// answer, `a` differs from `A`.
pub(super) fn differs(column: &TableColumn) -> String {
    format!("NEW.{name} IS NOT OLD.{name}{collate}", name = column.name, collate = collate(column))
}

pub(super) fn collate(column: &TableColumn) -> &'static str {
    match column.scalar {
        Scalar::IdText | Scalar::String | Scalar::Json => " COLLATE BINARY",
        // Numbers, and strings that a CHECK or their key allows in one spelling only.
        _ if column.type_override.is_none() => "",
        _ => " COLLATE BINARY",
    }
}

/// The space-separated names of the columns that differ. The key is the same.
pub(super) fn changed(table: &Table) -> String {
    let others = table.columns.iter().filter(|column| column.name != table.key_column().name);
    let cases: Vec<String> = others
        .map(|column| {
            let name = string_literal(&format!("{} ", column.name.as_str()));
            format!("CASE WHEN {} THEN {name} ELSE '' END", differs(column))
        })
        .collect();
    if cases.is_empty() {
        return "''".to_owned();
    }
    format!("trim({})", cases.join("\n        || "))
}

/// SQLite before 3.48 allows at most 127 arguments of a function.
const PARTS_IN_ONE_OBJECT: usize = 60;

/// A JSON object: for each column that can restrict lists, its values with these `prefixes`
/// (`OLD.`, `NEW.`).
pub(super) fn parts(table: &Table, prefixes: &[&str]) -> String {
    let members: Vec<String> = table
        .columns
        .iter()
        .filter(|column| column.part)
        .map(|column| {
            let values: Vec<String> =
                prefixes.iter().map(|prefix| json_value(table, column, prefix)).collect();
            format!("{}, json_array({})", string_literal(column.name.as_str()), values.join(", "))
        })
        .collect();
    let objects = members.chunks(PARTS_IN_ONE_OBJECT).map(|chunk| match chunk {
        [] | [_] | [_, _] => format!("json_object({})", chunk.join(", ")),
        many => format!("json_object(\n        {})", many.join(",\n        ")),
    });
    objects
        .reduce(|all, more| format!("json_patch({all}, {more})"))
        .unwrap_or_else(|| "'{}'".to_owned())
}

pub(super) fn json_value(table: &Table, column: &TableColumn, prefix: &str) -> String {
    let value = format!("{prefix}{}", column.name);
    match column.scalar {
        // As JSON numbers, they would lose their last digits.
        Scalar::Float => {
            format!("CASE WHEN {value} IS NOT NULL THEN printf('%!.17g', {value}) END")
        }
        // A STRICT table contains no blobs here. JSON cannot represent them, and no client can ask
        // for one.
        _ if table.managed && column.type_override.is_none() => value,
        _ => format!("CASE WHEN typeof({value}) <> 'blob' THEN {value} END"),
    }
}
