//! Restores what row versions rely on if others have removed it, and creates the triggers of
//! unmanaged tables, which no migration creates. Since nobody knows what changed in the meantime,
//! the rows get new versions.

use super::check::{self, Facts};
use super::mend::{self, Exactness};
use super::renew_history;
use crate::model::Model;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::postgres::catalogue::Catalogue;
use crate::store::postgres::client::{Blocking, ClientError, Execute};
use crate::store::postgres::ddl::{ADOPTED_VERSION, VERSION_DEFINITION};
use crate::store::postgres::triggers::{
    TRUNCATE_TRIGGER, base_entity, drop_statements, log_function, renew_statements,
};
use crate::store::schema::layout::{Layout, Table};
use crate::store::schema::migrations::Repaired;

const HAS_EPOCH: &str =
    "SELECT EXISTS (SELECT FROM _freshql_meta WHERE key = 'epoch' AND value ~ '^[0-9a-f]{32}$')";
const RENEW_EPOCH: &str =
    "INSERT INTO _freshql_meta (key, value) VALUES ('epoch', replace(gen_random_uuid()::text, '-', ''))
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";

/// What the check needs from the contents of tables.
pub(in crate::store) fn facts(
    connection: &mut Blocking,
    catalogue: &Catalogue,
) -> Result<Facts, ClientError> {
    if catalogue.table("_freshql_version").is_none() {
        return Ok(Facts::default());
    }
    let rows = connection.query(Execute::text(check::BASES, &[]))?;
    Ok(Facts { bases: rows.iter().map(|row| row.string(0)).collect() })
}

pub(in crate::store) fn has_epoch(connection: &mut Blocking) -> Result<bool, ClientError> {
    if !super::has_table(connection, "_freshql_meta")? {
        return Ok(false);
    }
    Ok(connection.query(Execute::text(HAS_EPOCH, &[]))?.first().is_some_and(|row| row.is(0)))
}

/// Repairs a database that has all migrations. Run this in a transaction, under the lock for schema
/// changes.
pub(in crate::store) fn repair(
    connection: &mut Blocking,
    model: &Model,
) -> Result<Repaired, ClientError> {
    let layout = Layout::new(model);
    let mut done = Vec::new();
    for mend in mend::system(&Catalogue::read(connection)?, &layout) {
        run(connection, &mend.sql)?;
        done.push(format!("mended: {}", mend.message));
    }
    if !has_epoch(connection)? {
        connection.script(RENEW_EPOCH)?;
        done.push("gave the database a new epoch".to_owned());
    }
    for table in layout.tables.iter().filter(|table| table.managed) {
        repair_table(connection, table, &mut done)?;
    }
    if !done.is_empty() {
        renew_history(connection)?;
    }
    Ok(Repaired { done })
}

fn repair_table(
    connection: &mut Blocking,
    table: &Table,
    done: &mut Vec<String>,
) -> Result<(), ClientError> {
    let name = table.name.as_str();
    let catalogue = Catalogue::read(connection)?;
    let Some(found) = catalogue.table(name) else { return Ok(()) };
    let mut renews = false;
    if found.column(VERSION_COLUMN).is_none() {
        let is_ours =
            found.constraints.iter().any(|constraint| constraint.name == format!("{name}_pkey"));
        let definition = if is_ours { VERSION_DEFINITION } else { ADOPTED_VERSION };
        connection.script(&format!(
            "ALTER TABLE {} ADD COLUMN {VERSION_COLUMN} {definition}",
            table.name
        ))?;
        done.push(format!("added the column `{name}.{VERSION_COLUMN}`"));
        renews = true;
    }
    for mend in mend::triggers(&catalogue, table, found, Exactness::Exact) {
        run(connection, &mend.sql)?;
        renews |= mend.renews;
        done.push(format!("mended: {}", mend.message));
    }
    if renews {
        // The trigger replaces it with the clock's number.
        let sql = format!("UPDATE {} SET {VERSION_COLUMN} = -1", table.name);
        let rows = connection.query(Execute::text(&sql, &[]))?.affected;
        done.push(format!("gave all rows of `{name}` ({rows}) a new version"));
    }
    let mut problems = Vec::new();
    check::missing_indexes(table, found, &mut problems);
    for index in problems {
        let what = index.message.trim_end_matches(" is missing").to_owned();
        connection.script("SAVEPOINT freshql_index")?;
        match connection.script(&index.sql.unwrap_or_default()) {
            Ok(_) => done.push(format!("made the {what}")),
            // Two rows have the same key now: people have to decide what to do.
            Err(error) => {
                connection.script("ROLLBACK TO freshql_index")?;
                done.push(format!("cannot make the {what}: {error}"));
            }
        }
    }
    Ok(())
}

/// Creates the triggers of all unmanaged tables as required, and drops superfluous ones. Returns
/// the tables on which something was done. Run this like [`repair`].
pub(in crate::store) fn watch(
    connection: &mut Blocking,
    model: &Model,
) -> Result<Vec<String>, ClientError> {
    let layout = Layout::new(model);
    let catalogue = Catalogue::read(connection)?;
    let facts = facts(connection, &catalogue)?;
    let mut done = Vec::new();
    if catalogue.table("_freshql_version").is_none() || mend::is_outdated(&catalogue) {
        return Ok(done);
    }
    for table in layout.tables.iter().filter(|table| !table.managed) {
        let Some(found) = catalogue.table(table.name.as_str()) else { continue };
        // A function that names a missing column would make the owner's writes fail.
        let has_columns =
            table.columns.iter().all(|column| found.column(column.name.as_str()).is_some());
        let mends = mend::triggers(&catalogue, table, found, Exactness::Exact);
        let has_base = facts.bases.contains(&base_entity(&table.entity_name));
        if !has_columns
            || !matches!(found.kind.as_str(), "r" | "p")
            || (mends.is_empty() && has_base)
        {
            continue;
        }
        for mend in mends {
            run(connection, &mend.sql)?;
        }
        run(connection, &renew_statements(table))?;
        done.push(found.name.clone());
    }
    let is_known = |name: &str| layout.tables.iter().any(|table| table.name.as_str() == name);
    for found in catalogue
        .tables
        .iter()
        .filter(|found| found.is_visible && !found.is_partition && !is_known(&found.name))
    {
        let log = log_function(&found.name);
        let is_theirs = catalogue
            .function(log.as_str())
            .is_some_and(|function| function.source.contains("_freshql_version"));
        if is_theirs && found.triggers.iter().any(|trigger| trigger.function == log.as_str()) {
            for part in catalogue.descendants(found) {
                let sql =
                    format!("DROP TRIGGER IF EXISTS {TRUNCATE_TRIGGER} ON {}", part.qualified());
                connection.script(&sql)?;
            }
            run(connection, &drop_statements(&found.name))?;
            done.push(found.name.clone());
        }
    }
    if !done.is_empty() {
        renew_history(connection)?;
    }
    Ok(done)
}

fn run(connection: &mut Blocking, statements: &[String]) -> Result<(), ClientError> {
    statements.iter().try_for_each(|sql| connection.script(sql).map(drop))
}
