//! A layout as SQLite's CREATE statements, formatted for people. It follows the table of scalars in
//! the model's documentation. What a type cannot express, a CHECK does, so that other programs
//! cannot write values that would break an answer's types or an ordering.

use std::fmt::Write as _;

use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{DefaultValue, Scalar};
use crate::store::schema::layout::{Layout, SqlName, Table, TableColumn, TableIndex};
use crate::store::schema::section::{Section, versions_kept};
use crate::store::sqlite::expression::{check_expression, default_expression};
use crate::store::sqlite::triggers;

/// freshql's own tables, and their initial contents.
const SYSTEM_TABLES: &[(&str, &str)] = &[
    (
        "What identifies this database. The epoch is part of every ETag; renew it after a restore from a backup.",
        "CREATE TABLE _freshql_meta (\n  key   TEXT PRIMARY KEY,\n  value TEXT NOT NULL\n) STRICT, WITHOUT ROWID;\n\
         INSERT INTO _freshql_meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))));",
    ),
    (
        "The change log: a record for every changed row, written by triggers in the changing transaction. It is numbered\n\
         in microseconds since 1970, so that no number comes back with a backup.",
        "CREATE TABLE _freshql_change (\n  seq     INTEGER PRIMARY KEY CHECK (seq BETWEEN 1 AND 9007199254740991),\n  entity  TEXT NOT NULL,\n  \
         id      ANY,\n  op      TEXT NOT NULL CHECK (op IN ('I', 'U', 'D')),\n  changed TEXT,\n  parts   TEXT,\n  \
         at      INTEGER NOT NULL DEFAULT (unixepoch())\n) STRICT;",
    ),
    (
        "The documents that were registered over HTTP, and those of query files: these stay for a while after they left.",
        "CREATE TABLE _freshql_document (\n  id            TEXT PRIMARY KEY,\n  text          TEXT NOT NULL,\n  \
         registered_at INTEGER NOT NULL DEFAULT (unixepoch()),\n  \
         source        TEXT NOT NULL DEFAULT 'http' CHECK (source IN ('http', 'file')),\n  \
         retired_at    INTEGER\n) STRICT, WITHOUT ROWID;",
    ),
    (
        "The other names of these documents: what the tools of clients call them.",
        "CREATE TABLE _freshql_alias (\n  alias TEXT PRIMARY KEY,\n  \
         id    TEXT NOT NULL REFERENCES _freshql_document (id) ON DELETE CASCADE\n) STRICT, WITHOUT ROWID;",
    ),
    (
        "The answers to mutations that came with an Idempotency-Key: a retry gets the same.",
        "CREATE TABLE _freshql_idempotency (\n  key     TEXT PRIMARY KEY,\n  request BLOB NOT NULL,\n  \
         answer  BLOB NOT NULL,\n  at      INTEGER NOT NULL DEFAULT (unixepoch())\n) STRICT;",
    ),
    (
        "The versions of rows in tables that are somebody else's.",
        "CREATE TABLE _freshql_version (\n  entity  TEXT NOT NULL,\n  key     ANY NOT NULL,\n  \
         version INTEGER NOT NULL,\n  PRIMARY KEY (entity, key)\n) STRICT, WITHOUT ROWID;",
    ),
];

/// The definition of [`VERSION_COLUMN`].
pub(in crate::store) const VERSION_DEFINITION: &str = "INTEGER NOT NULL DEFAULT 0";

/// Everything that an empty SQLite database needs: the system tables, the tables with their
/// indexes, the triggers; each statement with its closing semicolon.
pub fn create_statements(layout: &Layout) -> Vec<String> {
    sections(layout).flat_map(|section| section.statements).collect()
}

/// The text of the first migration, from the layout alone: what the difference must come to.
#[cfg(test)]
pub(in crate::store) fn first_migration(layout: &Layout) -> String {
    text(sections(layout))
}

pub(in crate::store) fn text(sections: impl IntoIterator<Item = Section>) -> String {
    let mut text = String::new();
    for section in sections {
        for line in section.heading.lines() {
            let _ = writeln!(text, "-- {line}");
        }
        text.push('\n');
        for statement in section.statements {
            let _ = writeln!(text, "{statement}\n");
        }
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn sections(layout: &Layout) -> impl Iterator<Item = Section> {
    let tables = layout.in_dependency_order();
    let made: Vec<Section> = tables.iter().map(|table| created(table)).collect();
    let kept: Vec<Section> =
        tables.iter().map(|table| versions_kept(table, all_triggers(table))).collect();
    let mut system: Vec<Section> = layout.system_tables().into_iter().map(system_table).collect();
    if layout.tables.iter().any(|table| !table.managed) {
        let heading = "No version goes back.".to_owned();
        let statements =
            triggers::version_triggers().into_iter().map(|trigger| trigger.sql).collect();
        system.push(Section { heading, statements });
    }
    system.into_iter().chain(made).chain(kept)
}

/// One of freshql's own tables.
pub(in crate::store) fn system_table(name: &str) -> Section {
    let start = format!("CREATE TABLE {name} ");
    let (heading, sql) =
        SYSTEM_TABLES.iter().find(|(_, sql)| sql.starts_with(&start)).copied().unwrap_or_default();
    Section { heading: heading.to_owned(), statements: statements_of(sql) }
}

/// An entity's table and its indexes.
pub(in crate::store) fn created(table: &Table) -> Section {
    let indexes = table.indexes.iter().map(|index| create_index(table, index));
    Section {
        heading: format!("{}: one row for each {}.", table.name.as_str(), table.entity_name),
        statements: std::iter::once(create_table(table)).chain(indexes).collect(),
    }
}

/// The statements that create a table's triggers.
pub(in crate::store) fn all_triggers(table: &Table) -> Vec<String> {
    let base = if table.managed { Vec::new() } else { triggers::renew_statements(table) };
    triggers::triggers(table).into_iter().map(|trigger| trigger.sql).chain(base).collect()
}

fn statements_of(sql: &str) -> Vec<String> {
    sql.split_inclusive(";\n").map(|statement| statement.trim_end().to_owned()).collect()
}

/// `CREATE TABLE`, one line per column.
pub fn create_table(table: &Table) -> String {
    let mut columns: Vec<(String, String)> = table
        .columns
        .iter()
        .map(|column| {
            (
                column.name.to_string(),
                column_definition(column, column.name == table.key_column().name),
            )
        })
        .collect();
    if table.managed {
        columns.push((VERSION_COLUMN.to_owned(), VERSION_DEFINITION.to_owned()));
    }
    let strict =
        if table.columns.iter().all(|c| is_strict_type(&sql_type(c))) { "STRICT" } else { "" };
    table_statement(&table.name, &columns, &[], strict)
}

/// `CREATE TABLE` from its parts: names and definitions of columns, table constraints, and the
/// options at the end.
pub(in crate::store) fn table_statement(
    name: &SqlName,
    columns: &[(String, String)],
    rules: &[String],
    options: &str,
) -> String {
    let width = columns.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let columns = columns
        .iter()
        .map(|(name, definition)| format!("  {name:width$} {definition}").trim_end().to_owned());
    let lines: Vec<String> = columns.chain(rules.iter().map(|rule| format!("  {rule}"))).collect();
    let options = if options.is_empty() { String::new() } else { format!(" {options}") };
    format!("CREATE TABLE {name} (\n{}\n){options};", lines.join(",\n"))
}

/// `CREATE INDEX`, or `CREATE UNIQUE INDEX`.
pub fn create_index(table: &Table, index: &TableIndex) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let columns: Vec<String> =
        table.index_columns(index).map(|column| column.name.to_string()).collect();
    format!("CREATE {unique}INDEX {} ON {} ({});", index.name, table.name, columns.join(", "))
}

/// The type of a column in SQLite.
pub fn sql_type(column: &TableColumn) -> String {
    if let Some(written) = &column.type_override {
        return written.clone();
    }
    match column.scalar {
        Scalar::IdInt | Scalar::Int | Scalar::BigInt | Scalar::Boolean | Scalar::Decimal { .. } => {
            "INTEGER"
        }
        Scalar::Float => "REAL",
        Scalar::IdText
        | Scalar::IdUuid
        | Scalar::String
        | Scalar::DateTime
        | Scalar::Date
        | Scalar::Uuid
        | Scalar::Json
        | Scalar::Enum(_) => "TEXT",
    }
    .to_owned()
}

/// Whether a STRICT table accepts the type. A table is not STRICT if the model asks for any other
/// type.
pub(in crate::store) fn is_strict_type(sql_type: &str) -> bool {
    ["INT", "INTEGER", "REAL", "TEXT", "BLOB", "ANY"]
        .iter()
        .any(|strict| strict.eq_ignore_ascii_case(sql_type))
}

/// The definition that follows the column's name.
pub(in crate::store) fn column_definition(column: &TableColumn, is_key: bool) -> String {
    let mut words = vec![sql_type(column)];
    if is_key {
        words.push("PRIMARY KEY".to_owned());
        if column.default == Some(DefaultValue::Autoincrement) {
            words.push("AUTOINCREMENT".to_owned());
        }
    }
    // An INTEGER PRIMARY KEY is never NULL; any other primary key of SQLite can be, unless declared
    // NOT NULL.
    let is_never_null = is_key && column.scalar == Scalar::IdInt;
    if !column.nullable && !is_never_null {
        words.push("NOT NULL".to_owned());
    }
    if let Some(default) = default_expression(column) {
        words.push(format!("DEFAULT {default}"));
    }
    if let Some(check) = check_expression(column) {
        words.push(format!("CHECK ({check})"));
    }
    if let Some(reference) = &column.references {
        let on_delete = reference.on_delete.sql();
        words.push(format!(
            "REFERENCES {} ({}) ON DELETE {on_delete}",
            reference.table, reference.column
        ));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests;
