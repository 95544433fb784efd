//! Unmanaged tables (`managed: false`): whether freshql watches them, and how it starts to. No
//! migration handles this, because the owner may change such a table at any time, and rebuilding it
//! drops the triggers. So the triggers are created for the table as it is, whenever they are not as
//! the model requires. Since nobody knows what happened in the meantime, all rows then get a new
//! version.

use rusqlite::{Connection, TransactionBehavior};

use crate::model::Model;
use crate::store::schema::layout::{CHANGE_LOG, VERSIONS};
use crate::store::schema::layout::{Layout, SqlName, Table};
use crate::store::sqlite::catalogue::keys::other_keys;
use crate::store::sqlite::catalogue::{Catalogue, FoundTable, FoundTrigger};
use crate::store::sqlite::triggers::{
    NAME_PREFIX, Trigger, renew_statements, triggers_beside, version_triggers,
};
use crate::store::sqlite::words::words;

/// Creates the triggers of all such tables as required, and drops superfluous ones. Returns the
/// tables on which something was done. What the tables themselves lack is reported by
/// [`super::check_schema`].
///
/// # Errors
/// The database cannot be read or written.
pub fn guard(connection: &mut Connection, model: &Model) -> rusqlite::Result<Vec<String>> {
    let layout = Layout::new(model);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let catalogue = Catalogue::read(&transaction)?;
    let is_log_ready =
        catalogue.table(CHANGE_LOG).is_some_and(|found| !is_outdated(CHANGE_LOG, found));
    let mut done = Vec::new();
    keep_versions(&transaction, &catalogue)?;
    for found in &catalogue.tables {
        let table = layout
            .tables
            .iter()
            .find(|table| table.name.as_str().eq_ignore_ascii_case(&found.name));
        let (wanted, renewal) = match table {
            Some(table) if table.managed => continue,
            Some(table) => {
                let has_columns =
                    table.columns.iter().all(|column| found.column(column.name.as_str()).is_some());
                // A trigger that names a missing column would make its owner's writes fail.
                if !is_log_ready
                    || !has_columns
                    || is_guarded(&transaction, &catalogue, table, found)?
                {
                    continue;
                }
                (wanted(table, found), renew_statements(table))
            }
            None if found.name == VERSIONS => continue,
            None if ours(found).any(|trigger| trigger.sql.contains(VERSIONS)) => {
                (Vec::new(), Vec::new())
            }
            None => continue,
        };
        if catalogue.table(VERSIONS).is_none() {
            continue;
        }
        for trigger in ours(found) {
            transaction.execute_batch(&format!("DROP TRIGGER {}", SqlName::new(&trigger.name)))?;
        }
        for sql in wanted.into_iter().map(|trigger| trigger.sql).chain(renewal) {
            transaction.execute_batch(&sql)?;
        }
        done.push(found.name.clone());
    }
    transaction.commit()?;
    Ok(done)
}

/// Creates the triggers of the table of versions, if it exists.
fn keep_versions(connection: &Connection, catalogue: &Catalogue) -> rusqlite::Result<()> {
    let Some(found) = catalogue.table(VERSIONS).filter(|_| !are_versions_kept(catalogue)) else {
        return Ok(());
    };
    for trigger in ours(found) {
        connection.execute_batch(&format!("DROP TRIGGER {}", SqlName::new(&trigger.name)))?;
    }
    version_triggers().iter().try_for_each(|trigger| connection.execute_batch(&trigger.sql))
}

/// Whether the table of versions exists, with its triggers.
fn are_versions_kept(catalogue: &Catalogue) -> bool {
    catalogue.table(VERSIONS).is_some_and(|found| said(ours(found)) == needed(&version_triggers()))
}

/// What triggers say, in order, independent of their layout.
fn said<'a>(found: impl Iterator<Item = &'a FoundTrigger>) -> Vec<String> {
    sorted(found.map(|trigger| trigger.sql.as_str()))
}

fn needed(triggers: &[Trigger]) -> Vec<String> {
    sorted(triggers.iter().map(|trigger| trigger.sql.as_str()))
}

fn sorted<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut texts: Vec<String> = texts.map(|sql| words(sql.trim_end_matches(';'))).collect();
    texts.sort();
    texts
}

/// Whether all triggers are as required, and unchanged rows have a version.
pub(super) fn is_guarded(
    connection: &Connection,
    catalogue: &Catalogue,
    table: &Table,
    found: &FoundTable,
) -> rusqlite::Result<bool> {
    if said(ours(found)) != needed(&wanted(table, found)) || !are_versions_kept(catalogue) {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM _freshql_version WHERE entity = ? AND key = x'')";
    connection.query_row(sql, [&table.entity_name], |row| row.get(0))
}

fn wanted(table: &Table, found: &FoundTable) -> Vec<Trigger> {
    triggers_beside(table, &other_keys(table, found, &found.indexes))
}

fn ours(found: &FoundTable) -> impl Iterator<Item = &FoundTrigger> {
    found
        .triggers
        .iter()
        .filter(|trigger| trigger.name.to_ascii_lowercase().starts_with(NAME_PREFIX))
}

/// Whether the change log counted its records before it used the time. Continuing to count would
/// let a restore set the clock back.
pub(in crate::store) fn is_outdated(name: &str, found: &FoundTable) -> bool {
    name == CHANGE_LOG && found.definition.has_autoincrement()
}
