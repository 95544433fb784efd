//! The contents of a foreign SQLite file.

use rusqlite::Connection;

use super::catalogue::{Catalogue, FoundColumn, FoundKind, FoundTable};
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
        let model = Model::without_types();
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
    let Catalogue { tables, views } = Catalogue::read(connection)?;
    let mut views = views.into_iter().peekable();
    let mut all = Vec::new();
    for (before, found) in tables.into_iter().enumerate() {
        while let Some(older) = views.next_if(|view| view.tables_before <= before) {
            all.push(view(older.name));
        }
        if found.kind != FoundKind::Shadow {
            all.push(table(found));
        }
    }
    all.extend(views.map(|last| view(last.name)));
    all.retain(|table| !table.name.to_ascii_lowercase().starts_with("_freshql_"));
    Ok(all)
}

fn table(found: FoundTable) -> Table {
    let foreign_keys = found.foreign_keys.into_iter().map(|key| ForeignKey {
        columns: key.columns,
        table: key.table,
        target: key.target,
        on_delete: key.on_delete,
    });
    let (keys, indexes): (Vec<_>, Vec<_>) = found
        .indexes
        .into_iter()
        .filter(|index| !index.is_partial)
        .partition(|index| index.is_primary);
    let indexes = indexes.into_iter().filter_map(|index| {
        Some(Index {
            unique: index.unique,
            columns: index.columns.into_iter().collect::<Option<_>>()?,
        })
    });
    Table {
        kind: match found.kind {
            FoundKind::Rowid => TableKind::Table,
            FoundKind::WithoutRowid => TableKind::WithoutRowid,
            FoundKind::Virtual | FoundKind::Shadow => TableKind::Virtual,
        },
        columns: found.columns.into_iter().map(column).collect(),
        foreign_keys: foreign_keys.collect(),
        indexes: indexes.collect(),
        has_key_index: !keys.is_empty(),
        unfit: None,
        name: found.name,
    }
}

fn column(found: FoundColumn) -> Column {
    Column {
        name: found.name,
        sql_type: found.sql_type,
        not_null: found.not_null,
        default: found.default,
        key: found.key,
        is_generated: found.is_generated,
        collation: found.collation,
        known: None,
    }
}

fn view(name: String) -> Table {
    Table {
        name,
        kind: TableKind::View,
        columns: Vec::new(),
        foreign_keys: Vec::new(),
        indexes: Vec::new(),
        has_key_index: false,
        unfit: None,
    }
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
