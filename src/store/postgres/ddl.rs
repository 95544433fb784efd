//! A layout as PostgreSQL's CREATE statements (PostgreSQL 14 and later), formatted for people.
//! Types are native. Text is compared by code points, as in SQLite, so that both databases answer
//! in the same order. Constraints have explicit names, because later migrations must know them.

use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{DefaultValue, Scalar, Value};
use crate::store::postgres::triggers;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{ForeignKey, SqlName, Table, TableColumn, TableIndex};
use crate::store::schema::section::Section;
use crate::store::sqlite::expression::check_of;

/// The definition of [`VERSION_COLUMN`].
pub(in crate::store) const VERSION_DEFINITION: &str = "bigint NOT NULL DEFAULT 0";

/// The name of the constraint that marks a table that existed before freshql.
pub(in crate::store) const ADOPTED: &str = "adopted";

/// The definition of [`VERSION_COLUMN`] in such a table.
pub(in crate::store) const ADOPTED_VERSION: &str =
    "bigint NOT NULL DEFAULT 0 CONSTRAINT adopted CHECK (_version >= 0)";

/// One of freshql's own tables, with its indexes and functions.
pub(in crate::store) fn system_table(name: &str) -> Section {
    let (heading, statements) = match name {
        "_freshql_meta" => (
            "What identifies this database. The epoch is part of every ETag; renew it after a restore from a backup.",
            vec![
                "CREATE TABLE _freshql_meta (\n  key   text PRIMARY KEY,\n  value text NOT NULL\n);".to_owned(),
                "INSERT INTO _freshql_meta (key, value) VALUES ('epoch', replace(gen_random_uuid()::text, '-', ''));"
                    .to_owned(),
            ],
        ),
        "_freshql_change" => (
            "The change log: a record for every changed row, written by triggers in the changing transaction. Who reads it\n\
             goes by transactions: the numbers only order the records of one.",
            triggers::CHANGE_LOG.iter().map(|statement| (*statement).to_owned()).collect(),
        ),
        "_freshql_version" => (
            "The versions of rows in tables that are somebody else's.",
            vec![
                "CREATE TABLE _freshql_version (\n  entity  text NOT NULL,\n  key     text NOT NULL,\n  \
                 version bigint NOT NULL,\n  PRIMARY KEY (entity, key)\n);"
                    .to_owned(),
            ],
        ),
        "_freshql_alias" => (
            "The other names of these documents: what the tools of clients call them.",
            vec![
                "CREATE TABLE _freshql_alias (\n  alias text PRIMARY KEY,\n  \
                 id    text NOT NULL REFERENCES _freshql_document (id) ON DELETE CASCADE\n);"
                    .to_owned(),
            ],
        ),
        "_freshql_idempotency" => (
            "The answers to mutations that came with an Idempotency-Key: a retry gets the same.",
            vec![
                "CREATE TABLE _freshql_idempotency (\n  key     text PRIMARY KEY,\n  request bytea NOT NULL,\n  \
                 answer  bytea NOT NULL,\n  at      timestamptz NOT NULL DEFAULT now()\n);"
                    .to_owned(),
            ],
        ),
        _ => (
            "The documents that were registered over HTTP, and those of query files: these stay for a while after they left.",
            vec![
                "CREATE TABLE _freshql_document (\n  id            text PRIMARY KEY,\n  text          text NOT NULL,\n  \
                 registered_at timestamptz NOT NULL DEFAULT now(),\n  \
                 source        text NOT NULL DEFAULT 'http' CHECK (source IN ('http', 'file')),\n  \
                 retired_at    timestamptz\n);"
                    .to_owned(),
            ],
        ),
    };
    Section { heading: heading.to_owned(), statements }
}

/// How strings are compared case-insensitively.
pub(in crate::store) fn folding() -> Section {
    Section {
        heading: "How strings are compared where upper and lower case count as the same.".to_owned(),
        statements: vec![
            "CREATE FUNCTION _freshql_fold(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE\n\
             RETURN translate(lower($1 COLLATE \"und-x-icu\"), 'ς', 'σ');"
                .to_owned(),
        ],
    }
}

/// These tables and their indexes; `existing` tables are already there. Foreign keys to tables that
/// are created later get a separate section.
pub(in crate::store) fn created(tables: &[&Table], existing: &[&SqlName]) -> Vec<Section> {
    let mut later = Vec::new();
    let mut sections = Vec::new();
    for (at, table) in tables.iter().enumerate() {
        let is_there = |key: &ForeignKey| {
            tables[..=at].iter().any(|made| made.name == key.table)
                || existing.contains(&&key.table)
        };
        let missing =
            |column: &&TableColumn| column.references.as_ref().is_some_and(|key| !is_there(key));
        later.extend(
            table
                .columns
                .iter()
                .filter(missing)
                .filter_map(|column| add_foreign_key(table, column)),
        );
        let indexes = table.indexes.iter().map(|index| create_index(table, index));
        sections.push(Section {
            heading: format!("{}: one row for each {}.", table.name.as_str(), table.entity_name),
            statements: std::iter::once(create_table(table, is_there)).chain(indexes).collect(),
        });
    }
    if !later.is_empty() {
        let heading = "Foreign keys to tables that were not there yet.".to_owned();
        sections.push(Section { heading, statements: later });
    }
    sections
}

/// The triggers of an entity's table.
pub(in crate::store) fn versions_kept(table: &Table) -> Section {
    crate::store::schema::section::versions_kept(table, triggers::statements(table))
}

fn create_table(table: &Table, is_there: impl Fn(&ForeignKey) -> bool) -> String {
    let width = table.columns.iter().map(|c| c.name.to_string().chars().count()).max().unwrap_or(0);
    let width = width.max(VERSION_COLUMN.len());
    let lines = table.columns.iter().map(|column| {
        let mut words = vec![column_definition(table, column)];
        if let Some(key) = column.references.as_ref().filter(|key| is_there(key)) {
            let name = constraint(table, column, "fkey");
            words.push(format!("CONSTRAINT {name} {}", references(key)));
        }
        format!("  {:width$} {}", column.name.to_string(), words.join(" "))
    });
    let version = format!("  {VERSION_COLUMN:width$} {VERSION_DEFINITION}");
    format!(
        "CREATE TABLE {} (\n{}\n);",
        table.name,
        lines.chain([version]).collect::<Vec<_>>().join(",\n")
    )
}

/// The definition that follows the column's name, without its foreign key.
pub(in crate::store) fn column_definition(table: &Table, column: &TableColumn) -> String {
    let mut words = vec![sql_type(column)];
    let is_key = column.name == table.key_column().name;
    if column.default == Some(DefaultValue::Autoincrement) {
        words.push("GENERATED BY DEFAULT AS IDENTITY".to_owned());
    }
    if is_key {
        words.push(format!("CONSTRAINT {} PRIMARY KEY", primary_key(&table.name)));
    } else if !column.nullable {
        words.push("NOT NULL".to_owned());
    }
    if let Some(default) = default_expression(column) {
        words.push(format!("DEFAULT {default}"));
    }
    if let Some(check) = check_expression(column) {
        words.push(format!("CONSTRAINT {} CHECK ({check})", constraint(table, column, "check")));
    }
    words.join(" ")
}

/// `ALTER TABLE … ADD CONSTRAINT … FOREIGN KEY`, if the column has one.
pub(in crate::store) fn add_foreign_key(table: &Table, column: &TableColumn) -> Option<String> {
    let key = references(column.references.as_ref()?);
    let name = constraint(table, column, "fkey");
    Some(format!(
        "ALTER TABLE {} ADD CONSTRAINT {name} FOREIGN KEY ({}) {key};",
        table.name, column.name
    ))
}

fn references(key: &ForeignKey) -> String {
    format!("REFERENCES {} ({}) ON DELETE {}", key.table, key.column, key.on_delete.sql())
}

/// `products_price_check`.
pub(in crate::store) fn constraint(table: &Table, column: &TableColumn, ending: &str) -> SqlName {
    constraint_name(table.name.as_str(), column.name.as_str(), ending)
}

/// The name of such a constraint, for a column that is not in the model.
pub(in crate::store) fn constraint_name(table: &str, column: &str, ending: &str) -> SqlName {
    SqlName::generated(format!("{table}_{column}_{ending}"))
}

/// `products_pkey`.
pub(in crate::store) fn primary_key(table: &SqlName) -> SqlName {
    SqlName::generated(format!("{}_pkey", table.as_str()))
}

/// `CREATE INDEX`. NULLs come first, as in SQLite and in every ascending list.
pub(in crate::store) fn create_index(table: &Table, index: &TableIndex) -> String {
    let unique = if index.unique { "UNIQUE " } else { "" };
    let term = |column: &TableColumn| {
        if column.nullable {
            format!("{} NULLS FIRST", column.name)
        } else {
            column.name.to_string()
        }
    };
    let columns: Vec<String> = table.index_columns(index).map(term).collect();
    format!("CREATE {unique}INDEX {} ON {} ({});", index.name, table.name, columns.join(", "))
}

pub(in crate::store) fn sql_type(column: &TableColumn) -> String {
    column.type_override.clone().unwrap_or_else(|| type_of(column.scalar))
}

pub(in crate::store) fn type_of(scalar: Scalar) -> String {
    match scalar {
        Scalar::IdInt | Scalar::BigInt => "bigint".to_owned(),
        Scalar::Int => "integer".to_owned(),
        Scalar::Boolean => "boolean".to_owned(),
        Scalar::Float => "double precision".to_owned(),
        Scalar::Decimal { precision, scale } => format!("numeric({precision}, {scale})"),
        Scalar::DateTime => "timestamptz(3)".to_owned(),
        Scalar::Date => "date".to_owned(),
        Scalar::IdUuid | Scalar::Uuid => "uuid".to_owned(),
        Scalar::Json => "jsonb".to_owned(),
        // By code points, whatever the database's locale is.
        Scalar::IdText | Scalar::String | Scalar::Enum(_) => "text COLLATE \"C\"".to_owned(),
    }
}

/// What follows DEFAULT. Keys that the server generates have none.
pub(in crate::store) fn default_expression(column: &TableColumn) -> Option<String> {
    match column.default.as_ref()? {
        DefaultValue::Value(value) => Some(literal(value, column.scalar)),
        DefaultValue::Now if column.scalar == Scalar::Date => {
            Some("((now() AT TIME ZONE 'UTC')::date)".to_owned())
        }
        DefaultValue::Now => Some("now()".to_owned()),
        DefaultValue::UuidV7 | DefaultValue::Autoincrement | DefaultValue::Claim(_) => None,
    }
}

/// A value in its storage form, as a literal.
pub(in crate::store) fn literal(value: &Value, scalar: Scalar) -> String {
    match (value, scalar) {
        (Value::Null, _) => "NULL".to_owned(),
        (Value::Int(number), Scalar::Boolean) => (*number != 0).to_string(),
        (Value::Int(number), Scalar::Decimal { scale, .. }) if scale > 0 => {
            let sign = if *number < 0 { "-" } else { "" };
            let power = 10_u64.pow(u32::from(scale));
            let number = number.unsigned_abs();
            format!(
                "{sign}{}.{:0width$}",
                number / power,
                number % power,
                width = usize::from(scale)
            )
        }
        (Value::Int(number), _) => number.to_string(),
        (Value::Real(number), _) => format!("{number:?}"),
        (Value::Text(text), _) => string_literal(text),
    }
}

/// The condition on a value beyond its type: that an answer can show it. NULL passes.
pub(in crate::store) fn check_expression(column: &TableColumn) -> Option<String> {
    if column.references.is_some() {
        return None;
    }
    let name = &column.name;
    match column.scalar {
        Scalar::Decimal { .. } => Some(format!("{name} <> 'NaN'")),
        // NaN is greater than all numbers.
        Scalar::Float => Some(format!("abs({name}) < 'Infinity'")),
        Scalar::DateTime => {
            Some(format!("{name} BETWEEN '0001-01-01T00:00:00Z' AND '9999-12-31T23:59:59.999Z'"))
        }
        Scalar::Date => Some(format!("{name} BETWEEN '0001-01-01' AND '9999-12-31'")),
        Scalar::Enum(_) => check_of(name, column.scalar, column.nullable, &column.enum_values),
        _ => None,
    }
}
