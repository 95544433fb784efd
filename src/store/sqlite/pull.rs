//! The contents of a foreign SQLite file.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::lexer::{Token, next_token};
use super::row::StepRow;
use crate::model::Model;
use crate::store::error::AdminError;
use crate::store::schema::layout::SqlName;
use crate::store::schema::pull::gathered::Values;
use crate::store::schema::pull::source::{
    Baseline, Column, Foreign, ForeignKey, Index, Table, TableKind,
};
use crate::store::schema::pull::{self, Pulled};
use crate::store::source::Row as _;

/// A first model for this database.
///
/// # Errors
/// It cannot be read.
pub fn pull(connection: &Connection) -> Result<Pulled, AdminError> {
    // One transaction, so that everything is consistent, whoever writes meanwhile.
    let snapshot = connection.unchecked_transaction()?;
    pull::pull(&File(&snapshot))
}

struct File<'c>(&'c Connection);

impl Foreign for File<'_> {
    fn tables(&self) -> Result<Vec<Table>, AdminError> {
        Ok(read(self.0)?)
    }

    fn baseline(&self) -> Result<Baseline, AdminError> {
        Ok(baseline(self.0)?)
    }

    fn values(&self, table: &Table) -> Result<Vec<Values>, AdminError> {
        // None of the scalars that are tried needs a model.
        let model = Model {
            entities: Vec::new(),
            enums: Vec::new(),
            by_name: Default::default(),
            fingerprint: [0; 32],
            has_rules: false,
        };
        let columns: Vec<String> =
            table.columns.iter().map(|column| SqlName::new(&column.name).to_string()).collect();
        let sql = format!("SELECT {} FROM {}", columns.join(", "), SqlName::new(&table.name));
        let mut statement = self.0.prepare(&sql)?;
        let mut rows = statement.query([])?;
        let mut all = vec![Values::default(); columns.len()];
        let mut scratch = Vec::new();
        while let Some(row) = rows.next()? {
            let row = StepRow(row);
            for (index, values) in all.iter_mut().enumerate() {
                values.add(row.get(index), &model, &mut scratch);
            }
        }
        Ok(all)
    }

    fn lost_rows(
        &self,
        table: &Table,
        column: &str,
        other: &Table,
        key: &str,
    ) -> Result<i64, AdminError> {
        let column = SqlName::new(column);
        let sql = format!(
            "SELECT count(*) FROM {} a WHERE a.{column} IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM {} b WHERE b.{} = a.{column})",
            SqlName::new(&table.name),
            SqlName::new(&other.name),
            SqlName::new(key),
        );
        Ok(self.0.query_row(&sql, [], |row| row.get(0))?)
    }

    fn refuses(&self, sql: &str) -> Option<String> {
        // Only prepared: nothing is written.
        self.0.prepare(sql).err().map(|error| message_of(&error))
    }
}

/// All tables and views, in creation order, without SQLite's and freshql's own.
fn read(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let sql = "SELECT list.name, list.type, list.wr FROM pragma_table_list list \
               JOIN sqlite_schema made ON made.name = list.name AND made.type IN ('table', 'view') \
               WHERE list.schema = 'main' AND list.type <> 'shadow' AND list.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
               AND list.name NOT LIKE '\\_freshql\\_%' ESCAPE '\\' ORDER BY made.rowid";
    let mut statement = connection.prepare(sql)?;
    let listed: Vec<(String, String, bool)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    listed
        .into_iter()
        .map(|(name, kind, without_rowid)| table(connection, name, &kind, without_rowid))
        .collect()
}

fn table(
    connection: &Connection,
    name: String,
    kind: &str,
    without_rowid: bool,
) -> rusqlite::Result<Table> {
    let kind = match kind {
        "view" => TableKind::View,
        "virtual" => TableKind::Virtual,
        _ if without_rowid => TableKind::WithoutRowid,
        _ => TableKind::Table,
    };
    if matches!(kind, TableKind::View | TableKind::Virtual) {
        // Their columns may be unknown: a view may read from a table that no longer exists.
        let (columns, foreign_keys, indexes) = (Vec::new(), Vec::new(), Vec::new());
        return Ok(Table {
            name,
            kind,
            columns,
            foreign_keys,
            indexes,
            has_key_index: false,
            unfit: None,
        });
    }
    let (indexes, has_key_index) = indexes(connection, &name)?;
    Ok(Table {
        columns: columns(connection, &name)?,
        foreign_keys: foreign_keys(connection, &name)?,
        indexes,
        has_key_index,
        unfit: None,
        name,
        kind,
    })
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = connection.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?)",
    )?;
    let columns = statement.query_map([table], |row| {
        Ok(Column {
            name: row.get(0)?,
            sql_type: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            is_generated: row.get::<_, i64>(5)? > 0,
            collation: String::new(),
            known: None,
        })
    })?;
    let mut columns = columns.collect::<Result<Vec<Column>, _>>()?;
    for column in &mut columns {
        let (_, collation, ..) = connection.column_metadata(None, table, column.name.as_str())?;
        column.collation =
            collation.map_or("BINARY".into(), |name| name.to_string_lossy()).into_owned();
    }
    Ok(columns)
}

fn foreign_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<ForeignKey>> {
    let sql = "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([table])?;
    let mut keys: BTreeMap<i64, ForeignKey> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let column: String = row.get(2)?;
        match keys.get_mut(&id) {
            Some(key) => key.columns.push(column),
            None => {
                let (table, target, on_delete) = (row.get(1)?, row.get(3)?, row.get(4)?);
                keys.insert(id, ForeignKey { columns: vec![column], table, target, on_delete });
            }
        }
    }
    Ok(keys.into_values().collect())
}

/// The complete indexes besides that of the primary key, and whether the primary key has one.
fn indexes(connection: &Connection, table: &str) -> rusqlite::Result<(Vec<Index>, bool)> {
    let mut list = connection.prepare(
        "SELECT list.name, \"unique\", origin FROM pragma_index_list(?) list \
         LEFT JOIN sqlite_schema made ON made.type = 'index' AND made.name = list.name WHERE partial = 0 ORDER BY made.rowid",
    )?;
    let mut columns = connection.prepare("SELECT name FROM pragma_index_info(?) ORDER BY seqno")?;
    let mut rows = list.query([table])?;
    let (mut indexes, mut has_key_index) = (Vec::new(), false);
    while let Some(row) = rows.next()? {
        let (name, origin): (String, String) = (row.get(0)?, row.get(2)?);
        if origin == "pk" {
            has_key_index = true;
            continue;
        }
        let named: Vec<Option<String>> =
            columns.query_map([&name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        // An expression has no name.
        if let Some(columns) = named.into_iter().collect() {
            indexes.push(Index { unique: row.get(1)?, columns });
        }
    }
    Ok((indexes, has_key_index))
}

/// Statements that create everything that exists (tables, indexes, views, triggers), unless it
/// exists. Each is tried: those that need a collation or a module of another program become
/// comments.
fn baseline(connection: &Connection) -> rusqlite::Result<Baseline> {
    // A virtual table creates its shadow tables itself.
    let sql = "SELECT made.name, made.sql FROM sqlite_schema made WHERE made.sql IS NOT NULL \
               AND made.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND made.name NOT LIKE '\\_freshql\\_%' ESCAPE '\\' \
               AND made.tbl_name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow') \
               ORDER BY made.type <> 'table', made.type = 'trigger', made.rowid";
    let mut statement = connection.prepare(sql)?;
    let statements: Vec<(String, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut text = String::from(
        "-- What was there before freshql. On a database that has it, this does nothing; on an empty one, it makes the same,\n\
         -- so that tests and `freshql migrate new` know what the next migrations start from.\n",
    );
    let scratch = Connection::open_in_memory()?;
    let mut left_out = Vec::new();
    for (name, sql) in statements {
        let sql = where_missing(without_comment_at_end(&sql));
        match scratch.execute_batch(&sql) {
            Ok(()) => text.push_str(&format!("\n{sql};\n")),
            Err(error) => {
                let reason = message_of(&error);
                text.push_str(&format!("\n-- This does not run here: {reason}.\n"));
                text.extend(sql.lines().map(|line| format!("-- {line}\n")));
                left_out.push((name, reason));
            }
        }
    }
    Ok(Baseline { text, left_out })
}

/// SQLite's message.
fn message_of(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqliteFailure(_, Some(message))
        | rusqlite::Error::SqlInputError { msg: message, .. } => message.clone(),
        other => other.to_string(),
    }
}

/// SQLite keeps a comment after the last word, which would hide the semicolon.
fn without_comment_at_end(sql: &str) -> &str {
    let (mut at, mut end) = (0, 0);
    while at < sql.len() {
        let (token, length) = next_token(&sql[at..]);
        at += length;
        if token != Token::Space {
            end = at;
        }
    }
    &sql[..end]
}

/// SQLite stores these statements with their first words in capitals, and without IF NOT EXISTS.
fn where_missing(sql: &str) -> String {
    const KINDS: [&str; 6] = ["VIRTUAL TABLE", "TABLE", "UNIQUE INDEX", "INDEX", "VIEW", "TRIGGER"];
    let found = KINDS
        .iter()
        .find_map(|kind| Some((kind, sql.strip_prefix("CREATE ")?.strip_prefix(*kind)?)));
    found
        .map_or_else(|| sql.to_owned(), |(kind, rest)| format!("CREATE {kind} IF NOT EXISTS{rest}"))
}

#[cfg(test)]
mod tests;
