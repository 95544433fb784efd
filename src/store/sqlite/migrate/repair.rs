//! Restores what row versions rely on, if other programs have removed it: triggers that were
//! dropped when a table was rebuilt, the version column, the system tables. Since nobody knows what
//! changed in the meantime, every row of such a table gets a new version. All of it is one
//! transaction.

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::check;
use super::{epoch, heal};
use crate::model::Model;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::{Layout, Table};
use crate::store::schema::migrations::Repaired;
use crate::store::sqlite::catalogue::{ADOPTED, Catalogue};
use crate::store::sqlite::change_log;
use crate::store::sqlite::ddl::{VERSION_DEFINITION, system_table};

/// Renews the epoch of a database that has none.
const RENEW_EPOCH: &str = "INSERT OR REPLACE INTO _freshql_meta (key, value) VALUES ('epoch', lower(hex(randomblob(16))))";

/// Repairs a database that has all migrations. `built` is what these build in an empty database.
///
/// # Errors
/// The database cannot be read or written; nothing was changed.
pub fn repair(
    connection: &Connection,
    model: &Model,
    built: &Connection,
) -> rusqlite::Result<Repaired> {
    let built = Catalogue::read(built)?;
    // The authors' triggers must not interfere with versions.
    let triggers = connection.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER)?;
    connection.execute_batch("BEGIN IMMEDIATE")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    let repaired = repair_all(connection, model, &built);
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, triggers)?;
    let repaired = repaired.and_then(|done| heal_clock(connection, model, done));
    let end = if repaired.is_ok() { "COMMIT" } else { "ROLLBACK" };
    if !connection.is_autocommit() {
        connection.execute_batch(end)?;
    }
    repaired
}

/// With triggers enabled, because they give the rows their new versions.
fn heal_clock(
    connection: &Connection,
    model: &Model,
    mut done: Vec<String>,
) -> rusqlite::Result<Repaired> {
    if heal::wild_records(connection)? > 0 {
        let (records, rows) = heal::heal(connection, model)?;
        done.push(format!(
            "deleted {records} records of the change log with numbers that no clock gives, gave {rows} rows a new version, \
             and the database a new epoch"
        ));
    }
    Ok(Repaired { done })
}

fn repair_all(
    connection: &Connection,
    model: &Model,
    built: &Catalogue,
) -> rusqlite::Result<Vec<String>> {
    let mut done = Vec::new();
    repair_system(connection, model, &mut done)?;
    for table in Layout::new(model).tables.iter().filter(|table| table.managed) {
        repair_table(connection, table, built, &mut done)?;
    }
    Ok(done)
}

fn repair_system(
    connection: &Connection,
    model: &Model,
    done: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let catalogue = Catalogue::read(connection)?;
    for name in Layout::new(model).system_tables() {
        if catalogue.table(name).is_none() {
            connection.execute_batch(&system_table(name).statements.concat())?;
            done.push(format!("made the table `{name}` anew"));
        }
    }
    if epoch(connection)?.is_none() {
        connection.execute(RENEW_EPOCH, [])?;
        done.push("gave the database a new epoch".to_owned());
    }
    Ok(())
}

fn repair_table(
    connection: &Connection,
    table: &Table,
    built: &Catalogue,
    done: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let name = table.name.as_str();
    let begun = done.len();
    let catalogue = Catalogue::read(connection)?;
    let Some(found) = catalogue.table(name) else { return Ok(()) };
    if found.column(VERSION_COLUMN).is_none() {
        let is_adopted = built.table(name).is_some_and(|built| built.is_adopted());
        let definition = match is_adopted {
            true => {
                VERSION_DEFINITION.replace("NOT NULL", &format!("CONSTRAINT {ADOPTED} NOT NULL"))
            }
            false => VERSION_DEFINITION.to_owned(),
        };
        connection.execute_batch(&format!(
            "ALTER TABLE {} ADD COLUMN {VERSION_COLUMN} {definition}",
            table.name
        ))?;
        done.push(format!("added the column `{name}.{VERSION_COLUMN}`"));
    }
    let catalogue = Catalogue::read(connection)?;
    let Some(found) = catalogue.table(name) else { return Ok(()) };
    for trigger in check::triggers_to_mend(table, found) {
        connection.execute_batch(&trigger.sql)?;
        done.push(format!("{} the trigger `{}`", trigger.verb, trigger.name));
    }
    if done.len() > begun {
        let rows = renew_versions(connection, table)?;
        done.push(format!("gave all rows of `{name}` ({rows}) a new version"));
    }
    for index in check::missing_indexes(table, found) {
        let what = index.message.trim_end_matches(" is missing").to_owned();
        match connection.execute_batch(&index.sql.unwrap_or_default()) {
            Ok(()) => done.push(format!("made the {what}")),
            // Two rows have come to share a key: people must decide what to do.
            Err(error) => done.push(format!("cannot make the {what}: {error}")),
        }
    }
    Ok(())
}

/// The same number for all of them: a version needs to be unique only per row.
fn renew_versions(connection: &Connection, table: &Table) -> rusqlite::Result<usize> {
    let version = change_log::forget_entity(connection, &table.entity_name)?;
    connection.execute(&format!("UPDATE {} SET {VERSION_COLUMN} = ?", table.name), [version.0])
}
