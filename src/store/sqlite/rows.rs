//! Carries the rows of one scratch database over to the next: table by table, the columns that both
//! have. Rows that do not fit the new tables are left behind, and the author is told which and why.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::Layout;

/// Copies a whole database.
pub(in crate::store) fn copy(from: &Path, to: &Path) -> rusqlite::Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map(drop)
}

/// Replaces the rows of all tables that both databases have with those of the other database.
/// Describes what happened to them. `layout`: that of the new one.
pub(in crate::store) fn keep(
    connection: &Connection,
    from: &Path,
    layout: &Layout,
) -> rusqlite::Result<String> {
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.execute("ATTACH ?1 AS last", [from.to_string_lossy()])?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut lost = Vec::new();
    let mut rows = 0;
    for table in names(
        connection,
        "SELECT name FROM main.sqlite_schema JOIN last.sqlite_schema AS old USING (type, name)
         WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_freshql\\_%' ESCAPE '\\'
           AND old.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name",
        [],
    )? {
        connection.execute_batch("SAVEPOINT one")?;
        match replace(connection, &table, layout) {
            Ok(count) => rows += count,
            Err(error) => {
                connection.execute_batch("ROLLBACK TO one")?;
                lost.push(format!("the rows of `{table}` do not fit: {error}"));
            }
        }
        connection.execute_batch("RELEASE one")?;
    }
    for (table, count) in drop_dangling(connection)? {
        rows -= count;
        lost.push(format!("{count} of `{table}` refer to rows that no longer exist"));
    }
    connection.execute_batch("COMMIT; DETACH last")?;
    let kept = format!("{rows} rows of the last scratch database are kept\n");
    Ok(lost.into_iter().fold(kept, |text, line| format!("{text}not kept: {line}\n")))
}

fn replace(connection: &Connection, table: &str, layout: &Layout) -> rusqlite::Result<usize> {
    let columns = |schema: &str| {
        let sql = "SELECT name FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0 ORDER BY cid";
        names(connection, sql, [table, schema])
    };
    let (new, old) = (columns("main")?, columns("last")?);
    let find = |columns: &[String], name: &str| {
        columns.iter().find(|column| column.eq_ignore_ascii_case(name)).cloned()
    };
    let mut pairs = Vec::new();
    // The new table's own triggers give the rows their versions.
    for name in new.iter().filter(|name| *name != VERSION_COLUMN) {
        let former = || {
            let mut names = layout.former_names(table, name).iter();
            names.find_map(|former| find(&old, former).filter(|old| find(&new, old).is_none()))
        };
        pairs.extend(find(&old, name).or_else(former).map(|old| (quoted(name), quoted(&old))));
    }
    if pairs.is_empty() {
        return Ok(0);
    }
    let (into, from): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
    let (table, into, from) = (quoted(table), into.join(", "), from.join(", "));
    connection.execute(&format!("DELETE FROM main.{table}"), [])?;
    connection
        .execute(&format!("INSERT INTO main.{table} ({into}) SELECT {from} FROM last.{table}"), [])
}

/// Deletes the rows whose foreign keys refer to missing rows, and then those that referred to them.
/// Returns the number of deleted rows by table.
fn drop_dangling(connection: &Connection) -> rusqlite::Result<Vec<(String, usize)>> {
    let mut dropped: Vec<(String, usize)> = Vec::new();
    loop {
        let tables = names(
            connection,
            "SELECT DISTINCT \"table\" FROM pragma_foreign_key_check ORDER BY 1",
            [],
        )?;
        let mut count = 0;
        for table in tables {
            let sql = format!(
                "DELETE FROM main.{} WHERE rowid IN (SELECT rowid FROM pragma_foreign_key_check(?1))",
                quoted(&table)
            );
            let deleted = connection.execute(&sql, [&table])?;
            count += deleted;
            match dropped.iter_mut().find(|(name, _)| *name == table) {
                Some((_, sum)) => *sum += deleted,
                None => dropped.push((table, deleted)),
            }
        }
        if count == 0 {
            dropped.retain(|(_, sum)| *sum > 0);
            return Ok(dropped);
        }
    }
}

fn names(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Vec<String>> {
    connection.prepare(sql)?.query_map(parameters, |row| row.get(0))?.collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
