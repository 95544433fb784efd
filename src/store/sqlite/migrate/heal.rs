//! Puts right what an external writer has made of the clock: records of the change log with numbers
//! that no clock gives. The clock would go on from them, until it comes to its end and no row can
//! be written any more.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::model::Model;
use crate::store::schema::layout::{Layout, Table, VERSION_COLUMN};
use crate::store::sqlite::triggers::restart_statements;

/// Numbers from here on are nobody's: in microseconds this is the year 2112.
const BEYOND: i64 = 1 << 52;

/// How many records of the log have a number that no clock gives.
///
/// # Errors
/// If the database cannot be read.
pub fn wild_records(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM _freshql_change WHERE seq >= ?", [BEYOND], |row| {
        row.get(0)
    })
}

/// Deletes the records with such numbers, and gives another version to every row that has one of
/// them. As the clock falls back, it may come to the same numbers again: so the database gets
/// another epoch. Tells how many records and rows there were. To be run in a transaction.
///
/// # Errors
/// If the database cannot be read or written.
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
        // The trigger puts the next number in its place.
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

/// Begins the versions of a table's rows anew, from where the clock is now. What keeps them from
/// going back is off meanwhile.
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
    fn numbers_that_use_the_clock_up_are_told_and_healed() {
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
