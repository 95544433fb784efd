//! Finds out, after a write was refused or had no effect, which trigger or rule of the database's
//! authors is responsible. It reads the catalogue, so it is for the exception and not for every
//! write.

use rusqlite::{Connection, OptionalExtension as _};

use super::row::{Parameter, StepRow};
use crate::model::Value;
use crate::store::error::StoreError;
use crate::store::schema::layout::SqlName;
use crate::store::source::Row as _;
use crate::store::sqlite::catalogue::FoundTrigger;
use crate::store::sqlite::catalogue::authors::{AuthorTrigger, Event, mentions};
use crate::store::sqlite::lexer::Token;
use crate::store::sqlite::lexer::tokens;

/// A foreign key: the other table, and its columns on both sides.
struct Reference {
    table: String,
    columns: Vec<(String, String)>,
}

/// The triggers fired by this statement that contain `RAISE(IGNORE)`; if there are none, all
/// triggers that it fires.
///
/// # Errors
/// Those of the database.
pub(super) fn interfering(
    connection: &Connection,
    table: &str,
    event: Event,
) -> Result<Vec<String>, StoreError> {
    let triggers = triggers(connection)?;
    let of_table = triggers.iter().filter(|(of, _)| of.eq_ignore_ascii_case(table));
    let mut fired: Vec<AuthorTrigger> =
        of_table.filter_map(|(_, found)| AuthorTrigger::parse(found)).collect();
    fired.retain(|trigger| trigger.event == event);
    if fired.iter().any(|trigger| trigger.ignores) {
        fired.retain(|trigger| trigger.ignores);
    }
    Ok(fired.into_iter().map(|trigger| trigger.name).collect())
}

/// The triggers that cannot run, found by SQLite's message about the statement that fired one
/// (`no such function: f`).
///
/// # Errors
/// Those of the database.
pub(super) fn broken(connection: &Connection, message: &str) -> Result<Vec<String>, StoreError> {
    // `no such table: main.t`, `no such column: NEW.c`
    let missing = message.rsplit(": ").next().unwrap_or_default();
    let missing = missing.rsplit('.').next().unwrap_or_default();
    let endless = message.contains("trigger recursion");
    let triggers = triggers(connection)?;
    let authors = triggers.iter().filter(|(_, found)| AuthorTrigger::parse(found).is_some());
    let broken = authors
        .filter(|(_, found)| endless || (!missing.is_empty() && mentions(&found.sql, missing)));
    Ok(broken.map(|(_, found)| found.name.clone()).collect())
}

/// Whether the table has a constraint with `ON CONFLICT IGNORE`.
///
/// # Errors
/// Those of the database.
pub(super) fn has_rule_that_ignores(
    connection: &Connection,
    table: &str,
) -> Result<bool, StoreError> {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE";
    let text: Option<String> =
        connection.prepare_cached(sql)?.query_row([table], |row| row.get(0)).optional()?;
    let text = text.unwrap_or_default();
    let words: Vec<&str> =
        tokens(&text).filter(|(kind, _)| *kind != Token::Space).map(|(_, word)| word).collect();
    let ignores = ["on", "conflict", "ignore"];
    Ok(words
        .windows(3)
        .any(|three| three.iter().zip(ignores).all(|(word, is)| word.eq_ignore_ascii_case(is))))
}

/// The columns among these whose new values would make the row (with this key, if it exists) refer
/// to a row that does not exist. Considers all foreign keys of the table, whatever the model says.
///
/// # Errors
/// Those of the database.
pub(super) fn dangling(
    connection: &Connection,
    table: &str,
    key: (&str, Option<&Value>),
    written: &[(&str, &Value)],
) -> Result<Vec<String>, StoreError> {
    let mut dangling: Vec<String> = Vec::new();
    let new = |column: &str| written.iter().find(|(name, _)| name.eq_ignore_ascii_case(column));
    for Reference { table: target, columns } in references(connection, table)? {
        let here: Vec<&str> =
            columns.iter().filter_map(|(from, _)| new(from).map(|(name, _)| *name)).collect();
        if here.is_empty() || here.iter().all(|name| dangling.iter().any(|known| known == name)) {
            continue;
        }
        let mut values = Vec::new();
        for (from, _) in &columns {
            values.push(match (new(from), key.1) {
                (Some((_, value)), _) => (*value).clone(),
                (None, Some(row)) => value(connection, table, from, (key.0, row))?,
                (None, None) => Value::Null,
            });
        }
        // A new row may refer to itself.
        let is_itself = target.eq_ignore_ascii_case(table)
            && columns
                .iter()
                .zip(&values)
                .all(|((_, to), value)| new(to).is_some_and(|(_, own)| **own == *value));
        if !is_itself
            && !values.contains(&Value::Null)
            && !is_there(connection, &target, &columns, &values)?
        {
            dangling.extend(here.into_iter().map(str::to_owned));
        }
    }
    // In the given order, which differs from SQLite's.
    let is_dangling = |name: &&str| dangling.iter().any(|known| known == name);
    Ok(written.iter().map(|(name, _)| *name).filter(is_dangling).map(str::to_owned).collect())
}

fn triggers(connection: &Connection) -> Result<Vec<(String, FoundTrigger)>, StoreError> {
    let sql = "SELECT tbl_name, name, ifnull(sql, '') FROM sqlite_schema WHERE type = 'trigger' ORDER BY name";
    let mut statement = connection.prepare_cached(sql)?;
    let triggers = statement.query_map([], |row| {
        Ok((row.get(0)?, FoundTrigger { name: row.get(1)?, sql: row.get(2)? }))
    })?;
    Ok(triggers.collect::<Result<_, _>>()?)
}

fn references(connection: &Connection, table: &str) -> Result<Vec<Reference>, StoreError> {
    // If the declaration does not name the referenced columns, they are the other table's key.
    let sql = "SELECT list.seq, list.\"table\", list.\"from\", coalesce(list.\"to\", (SELECT info.name \
               FROM pragma_table_info(list.\"table\") info WHERE info.pk = list.seq + 1), '') \
               FROM pragma_foreign_key_list(?) list ORDER BY list.id, list.seq";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([table])?;
    let mut references: Vec<Reference> = Vec::new();
    while let Some(row) = rows.next()? {
        let columns = (row.get(2)?, row.get(3)?);
        match references.last_mut() {
            Some(last) if row.get::<_, i64>(0)? > 0 => last.columns.push(columns),
            _ => references.push(Reference { table: row.get(1)?, columns: vec![columns] }),
        }
    }
    Ok(references)
}

fn value(
    connection: &Connection,
    table: &str,
    column: &str,
    (key, row): (&str, &Value),
) -> Result<Value, StoreError> {
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = ?",
        SqlName::new(column),
        SqlName::new(table),
        SqlName::new(key)
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([Parameter(row.as_ref())])?;
    Ok(rows.next()?.map_or(Value::Null, |row| StepRow(row).get(0).to_value()))
}

fn is_there(
    connection: &Connection,
    table: &str,
    columns: &[(String, String)],
    values: &[Value],
) -> Result<bool, StoreError> {
    let same: Vec<String> =
        columns.iter().map(|(_, to)| format!("{} = ?", SqlName::new(to))).collect();
    let sql = format!("SELECT 1 FROM {} WHERE {}", SqlName::new(table), same.join(" AND "));
    let values = rusqlite::params_from_iter(values.iter().map(|value| Parameter(value.as_ref())));
    Ok(connection.prepare(&sql)?.exists(values)?)
}
