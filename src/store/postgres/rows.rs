//! Copies the rows of one scratch database to the next: table by table, the columns that both have.
//! Rows that do not fit the new tables are left out; the author is told which, and why.
//!
//! Rows are copied in any order, so the foreign keys are dropped before and added again afterwards,
//! in the same transaction.

use std::collections::BTreeMap;

use super::client::{Blocking, ClientError, Execute, Parameter, Session};
use super::migrate::keep_definition;
use crate::config::PostgresUrl;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::{Layout, SqlName};

/// How many rows are sent at once.
const BATCH: usize = 500;

/// The writable columns of the visible tables, without freshql's own.
const COLUMNS: &str = "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_table_is_visible(c.oid)
    AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    AND c.relname NOT LIKE '\\_freshql\\_%' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
  ORDER BY c.relname, a.attnum";

/// The foreign keys of these tables: name, definition, and a statement that deletes dangling rows.
const FOREIGN_KEYS: &str = "SELECT quote_ident(k.conname), c.relname, pg_get_constraintdef(k.oid), format(
    'DELETE FROM %s AS c WHERE (%s) IS NOT NULL AND NOT EXISTS (SELECT FROM %s AS p WHERE (%s) = (%s))',
    k.conrelid::regclass, of.mine, k.confrelid::regclass, of.theirs, of.mine)
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
  CROSS JOIN LATERAL (SELECT
    string_agg('c.' || quote_ident(mine.attname), ', ' ORDER BY n) AS mine,
    string_agg('p.' || quote_ident(theirs.attname), ', ' ORDER BY n) AS theirs
    FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS pair (a, b, n)
    JOIN pg_attribute mine ON mine.attrelid = k.conrelid AND mine.attnum = a
    JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = b) AS of
  WHERE k.contype = 'f' AND k.conparentid = 0 AND pg_table_is_visible(c.oid)
  ORDER BY c.relname, k.conname";

/// Moves the sequences of generated keys past the largest existing key.
const COUNT_ON: &str = "SELECT format(
    'SELECT setval(%L, top) FROM (SELECT max(%I)::bigint AS top FROM %s) AS of WHERE top >= coalesce(pg_sequence_last_value(%L), 0)',
    of.seq, a.attname, c.oid::regclass, of.seq)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
  CROSS JOIN LATERAL (SELECT pg_get_serial_sequence(c.oid::regclass::text, a.attname)) AS of (seq)
  WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND pg_table_is_visible(c.oid) AND a.attnum > 0
    AND NOT a.attisdropped AND of.seq IS NOT NULL AND c.relname NOT LIKE '\\_freshql\\_%'";

/// Names and types, by table.
type Columns = BTreeMap<String, Vec<(String, String)>>;

struct ForeignKey {
    name: String,
    table: String,
    definition: String,
    delete_dangling: String,
}

/// Replaces the rows of all tables that both databases have with those of the other database.
/// Returns a report.
pub(super) fn keep(
    connection: &mut Blocking,
    from: &PostgresUrl,
    layout: &Layout,
) -> Result<String, ClientError> {
    let mut last = Blocking::connect(from, Session::for_commands(from))?;
    let old = columns(&mut last)?;
    connection.script("BEGIN")?;
    let kept = replace_all(connection, &mut last, &old, layout);
    match kept {
        Ok(text) => connection.script("COMMIT").map(|_| text),
        Err(error) => {
            // The first error is what matters; if the connection is lost, so is the transaction.
            let _ = connection.script("ROLLBACK");
            Err(error)
        }
    }
}

fn replace_all(
    connection: &mut Blocking,
    last: &mut Blocking,
    old: &Columns,
    layout: &Layout,
) -> Result<String, ClientError> {
    let keys = foreign_keys(connection)?;
    for ForeignKey { name, table, .. } in &keys {
        connection
            .script(&format!("ALTER TABLE {} DROP CONSTRAINT {name}", SqlName::new(table)))?;
    }
    let (mut lost, mut rows) = (Vec::new(), 0);
    for (table, new) in columns(connection)? {
        let Some(old) = old.get(&table) else { continue };
        let has = |columns: &[(String, String)], name: &str| {
            columns.iter().any(|(known, _)| known == name)
        };
        let mut both = Vec::new();
        for (name, sql_type) in &new {
            let former = || {
                let mut names = layout.former_names(&table, name).iter();
                names.find(|former| has(old, former) && !has(&new, former))
            };
            let source = if has(old, name) { Some(name) } else { former() };
            both.extend(source.map(|source| Both { name, source, sql_type }));
        }
        connection.script("SAVEPOINT one")?;
        match replace(connection, last, &table, &both) {
            Ok(count) => rows += count,
            Err(ClientError::Server(error)) if !error.is_fatal => {
                connection.script("ROLLBACK TO one")?;
                lost.push(format!("the rows of `{table}` do not fit: {}", error.message));
            }
            Err(error) => return Err(error),
        }
        connection.script("RELEASE one")?;
    }
    for (table, count) in drop_dangling(connection, &keys)? {
        rows -= count;
        lost.push(format!("{count} of `{table}` point to rows that are not there any more"));
    }
    // A table with pending deferred checks cannot be altered.
    connection.script("SET CONSTRAINTS ALL IMMEDIATE")?;
    for ForeignKey { name, table, definition, .. } in &keys {
        let table = SqlName::new(table);
        connection.script(&format!("ALTER TABLE {table} ADD CONSTRAINT {name} {definition}"))?;
    }
    let count_on = connection.query(Execute::text(COUNT_ON, &[]))?;
    for statement in count_on.iter().map(|row| row.string(0)) {
        connection.script(&statement)?;
    }
    // The foreign keys have been replaced.
    keep_definition(connection)?;
    let kept = format!("{rows} rows of the last scratch database are kept\n");
    Ok(lost.into_iter().fold(kept, |text, line| format!("{text}not kept: {line}\n")))
}

/// A column, and the one of the other database that has its values.
struct Both<'c> {
    name: &'c str,
    source: &'c str,
    sql_type: &'c str,
}

/// The new table's triggers give the rows their versions.
fn replace(
    connection: &mut Blocking,
    last: &mut Blocking,
    table: &str,
    columns: &[Both<'_>],
) -> Result<u64, ClientError> {
    let table = SqlName::new(table);
    let columns: Vec<_> = columns.iter().filter(|both| both.name != VERSION_COLUMN).collect();
    if columns.is_empty() {
        return Ok(0);
    }
    let list = |each: &dyn Fn(&Both<'_>) -> String| {
        columns.iter().map(|both| each(both)).collect::<Vec<_>>().join(", ")
    };
    // The value `null` of a JSON column would become NULL.
    let names = list(&|both| SqlName::new(both.name).to_string());
    let typed = list(&|both| {
        let sql_type = if is_json(both.sql_type) { "text" } else { both.sql_type };
        format!("{} {sql_type}", SqlName::new(both.name))
    });
    let texts = list(&|both| {
        let cast = if is_json(both.sql_type) { "::text" } else { "" };
        format!("{}{cast} AS {}", SqlName::new(both.source), SqlName::new(both.name))
    });
    let values = list(&|both| {
        let name = SqlName::new(both.name);
        if is_json(both.sql_type) { format!("{name}::{}", both.sql_type) } else { name.to_string() }
    });
    connection.script(&format!("DELETE FROM {table}"))?;
    let select = format!(
        "SELECT row_to_json(_freshql_row)::text FROM (SELECT {texts} FROM {table}) AS _freshql_row"
    );
    let rows = last.query(Execute::text(&select, &[]))?;
    let rows: Vec<String> = rows.iter().map(|row| row.string(0)).collect();
    let insert = format!(
        "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
         SELECT {values} FROM json_to_recordset($1::json) AS r ({typed})"
    );
    let mut count = 0;
    for batch in rows.chunks(BATCH) {
        let batch = format!("[{}]", batch.join(","));
        count += connection.query(Execute::text(&insert, &[Parameter::Text(&batch)]))?.affected;
    }
    Ok(count)
}

fn is_json(sql_type: &str) -> bool {
    matches!(sql_type, "json" | "jsonb")
}

/// Deletes the rows whose foreign keys are dangling, and then those that referred to them. Returns
/// their number by table.
fn drop_dangling(
    connection: &mut Blocking,
    keys: &[ForeignKey],
) -> Result<BTreeMap<String, u64>, ClientError> {
    let mut dropped = BTreeMap::new();
    loop {
        let mut count = 0;
        for key in keys {
            let deleted = connection.query(Execute::text(&key.delete_dangling, &[]))?.affected;
            if deleted > 0 {
                *dropped.entry(key.table.clone()).or_insert(0) += deleted;
            }
            count += deleted;
        }
        if count == 0 {
            return Ok(dropped);
        }
    }
}

fn columns(connection: &mut Blocking) -> Result<Columns, ClientError> {
    let mut tables = Columns::new();
    for row in connection.query(Execute::text(COLUMNS, &[]))?.iter() {
        tables.entry(row.string(0)).or_default().push((row.string(1), row.string(2)));
    }
    Ok(tables)
}

fn foreign_keys(connection: &mut Blocking) -> Result<Vec<ForeignKey>, ClientError> {
    let rows = connection.query(Execute::text(FOREIGN_KEYS, &[]))?;
    let key = |row: super::client::RowRef<'_>| ForeignKey {
        name: row.string(0),
        table: row.string(1),
        definition: row.string(2),
        delete_dangling: row.string(3),
    };
    Ok(rows.iter().map(key).collect())
}
