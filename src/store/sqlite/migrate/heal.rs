//! Repairs what an external writer has done to the clock: records of the change log with numbers
//! that no clock produces. The clock would continue from them, until it is exhausted and no row can
//! be written any more.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::model::Model;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::{Layout, Table};
use crate::store::sqlite::triggers::restart_statements;

/// No clock produces numbers from here on; in microseconds this is the year 2112.
const BEYOND: i64 = 1 << 52;

/// The number of records in the log whose number no clock produces.
///
/// # Errors
/// The database cannot be read.
pub fn wild_records(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM _freshql_change WHERE seq >= ?", [BEYOND], |row| {
        row.get(0)
    })
}

/// Deletes the records with such numbers, and gives a new version to every row that has one of
/// them. The clock falls back and may reach the same numbers again, so the database gets a new
/// epoch. Returns how many records and rows there were. Run this in a transaction.
///
/// # Errors
/// The database cannot be read or written.
pub fn heal(connection: &Connection, model: &Model) -> rusqlite::Result<(usize, usize)> {
    let records = connection.execute("DELETE FROM _freshql_change WHERE seq >= ?", [BEYOND])?;
    let mut rows = 0;
    for table in &Layout::new(model).tables {
        if !table.managed {
            let sql = "SELECT count(*) FROM _freshql_version WHERE entity = ? AND version >= ?";
            let wild: i64 =
                connection.query_row(sql, (&table.entity_name, BEYOND), |row| row.get(0))?;
            if wild > 0 {
                restart(connection, table)?;
            }
            rows += usize::try_from(wild).unwrap_or(0);
            continue;
        }
        // The trigger replaces it with the next number.
        let sql =
            format!("UPDATE {} SET {VERSION_COLUMN} = -1 WHERE {VERSION_COLUMN} >= ?", table.name);
        rows += connection.execute(&sql, [BEYOND])?;
    }
    if records + rows > 0 {
        connection.execute(
            "UPDATE _freshql_meta SET value = lower(hex(randomblob(16))) WHERE key = 'epoch'",
            [],
        )?;
    }
    Ok((records, rows))
}

/// Restarts the versions of a table's rows from the clock's current time. The triggers that prevent
/// versions from going back are disabled meanwhile.
fn restart(connection: &Connection, table: &Table) -> rusqlite::Result<()> {
    let triggers = connection.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let restarted =
        restart_statements(table).iter().try_for_each(|sql| connection.execute_batch(sql));
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, triggers)?;
    restarted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::layout::test_models;
    use crate::store::sqlite::ddl::create_statements;
    use crate::store::sqlite::migrate::{check_schema, epoch};

    #[test]
    fn versions_that_exhaust_the_clock_are_reported_and_repaired() {
        let model = test_models::every_kind();
        let connection = Connection::open_in_memory().unwrap();
        for statement in create_statements(&Layout::new(&model)) {
            connection.execute_batch(&statement).unwrap();
        }
        let run = |sql: &str| connection.execute_batch(sql);
        run("INSERT INTO folders (title) VALUES ('a'), ('b')").unwrap();
        let first = epoch(&connection).unwrap();
        assert_eq!(check_schema(&connection, &model).unwrap(), []);
        run("INSERT INTO _freshql_change (seq, entity, op, parts) VALUES ((1 << 53) - 2, 'x', 'D', '{}');
             UPDATE folders SET title = 'c' WHERE id = 2")
        .unwrap();
        assert!(run("UPDATE folders SET title = 'd'").is_err(), "the clock is at its end");
        let problems = check_schema(&connection, &model).unwrap();
        assert!(problems[0].message.contains("2 records"), "{problems:?}");

        assert_eq!(heal(&connection, &model).unwrap(), (2, 1));
        assert_eq!(check_schema(&connection, &model).unwrap(), []);
        run("UPDATE folders SET title = 'd' WHERE id = 1").unwrap();
        let sql = "SELECT max(_version) < 1 << 52 AND min(_version) > 0 FROM folders";
        assert!(connection.query_row(sql, [], |row| row.get::<_, bool>(0)).unwrap());
        assert_ne!(epoch(&connection).unwrap(), first);
        assert_eq!(heal(&connection, &model).unwrap(), (0, 0));
    }
}
