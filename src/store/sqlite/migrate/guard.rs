//! Tables that are somebody else's (`managed: false`): whether freshql watches them, and how it begins to. No migration
//! knows of this: their owner changes such a table when he likes, and whoever rebuilds it takes the triggers with it. So
//! the triggers are made after what is there, whenever it is not as the model needs it, and as nobody knows what happened
//! meanwhile, all rows get a new version then.

use rusqlite::{Connection, TransactionBehavior};

use super::check::is_outdated;
use crate::model::Model;
use crate::store::schema::layout::{Layout, SqlName, Table};
use crate::store::sqlite::catalogue::keys::other_keys;
use crate::store::sqlite::catalogue::{Catalogue, FoundTable, FoundTrigger};
use crate::store::sqlite::ddl::{CHANGE_LOG, VERSIONS};
use crate::store::sqlite::triggers::{NAME_PREFIX, Trigger, renew_statements, triggers_beside};
use crate::store::sqlite::words::words;

/// Makes the triggers of all such tables as they have to be, and takes those away that nobody needs any more. Tells on
/// which tables something was done. What the tables themselves lack is left to [`super::check_schema`].
///
/// # Errors
/// If the database cannot be read or written.
pub fn guard(connection: &mut Connection, model: &Model) -> rusqlite::Result<Vec<String>> {
    let layout = Layout::new(model);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let catalogue = Catalogue::read(&transaction)?;
    let is_log_ready = catalogue.table(CHANGE_LOG).is_some_and(|found| !is_outdated(CHANGE_LOG, found));
    let mut done = Vec::new();
    for found in &catalogue.tables {
        let table = layout.tables.iter().find(|table| table.name.as_str().eq_ignore_ascii_case(&found.name));
        let (wanted, renewal) = match table {
            Some(table) if table.managed => continue,
            Some(table) => {
                let has_columns = table.columns.iter().all(|column| found.column(column.name.as_str()).is_some());
                // A trigger that names a column which is not there would fail its owner's writes.
                if !is_log_ready || !has_columns || is_guarded(&transaction, &catalogue, table, found)? {
                    continue;
                }
                (wanted(table, found), renew_statements(table))
            }
            None if ours(found).any(|trigger| trigger.sql.contains(VERSIONS)) => (Vec::new(), Vec::new()),
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

/// All triggers stand, and rows that have not changed have a version.
pub(super) fn is_guarded(
    connection: &Connection,
    catalogue: &Catalogue,
    table: &Table,
    found: &FoundTable,
) -> rusqlite::Result<bool> {
    let said = |sql: &str| words(sql.trim_end_matches(';'));
    let mut has: Vec<String> = ours(found).map(|trigger| said(&trigger.sql)).collect();
    let mut needs: Vec<String> = wanted(table, found).iter().map(|trigger| said(&trigger.sql)).collect();
    has.sort();
    needs.sort();
    if has != needs || catalogue.table(VERSIONS).is_none() {
        return Ok(false);
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM _freshql_version WHERE entity = ? AND key = x'')";
    connection.query_row(sql, [&table.entity_name], |row| row.get(0))
}

fn wanted(table: &Table, found: &FoundTable) -> Vec<Trigger> {
    triggers_beside(table, &other_keys(table, found, &found.indexes))
}

fn ours(found: &FoundTable) -> impl Iterator<Item = &FoundTrigger> {
    found.triggers.iter().filter(|trigger| trigger.name.to_ascii_lowercase().starts_with(NAME_PREFIX))
}
