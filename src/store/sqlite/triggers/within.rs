//! The second pair of triggers of a managed table. Setting `_version` fires the authors' own AFTER
//! UPDATE triggers, and whatever these write does not fire our trigger that is already running,
//! unless the connection has `recursive_triggers`. These two only log, so they are never running
//! when others write.

use super::expressions::{NEXT, Trigger, changed, differs, entity, parts, trigger};
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::Table;

/// Records what `…_inserted` has missed: otherwise its stamp would show on the row.
pub(super) fn inserted(table: &Table) -> Trigger {
    trigger(table, "inserted_within", |name| {
        format!(
            "CREATE TRIGGER {name} AFTER INSERT ON {table}\nWHEN {is_unstamped}\nBEGIN\n  \
             INSERT INTO _freshql_change (seq, entity, id, op, parts)\n    VALUES ({NEXT},\n      \
             {entity}, NEW.{key}, 'I', {parts});\nEND;",
            table = table.name,
            is_unstamped = is_unstamped(table),
            entity = entity(table),
            key = table.key_column().name,
            parts = parts(table, &["NEW."]),
        )
    })
}

/// Records what `…_updated` has missed.
pub(super) fn updated(table: &Table) -> Trigger {
    let key = table.key_column();
    let differences: Vec<String> =
        table.columns.iter().filter(|c| c.name != key.name).map(differs).collect();
    let differences =
        if differences.is_empty() { "0".to_owned() } else { differences.join("\n  OR ") };
    trigger(table, "updated_within", |name| {
        format!(
            "CREATE TRIGGER {name} AFTER UPDATE ON {table}\nWHEN {is_unstamped} AND ({differences})\nBEGIN\n  \
             INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)\n    \
             VALUES ({NEXT},\n      {entity}, NEW.{key}, 'U',\n      {changed},\n      {parts});\nEND;",
            table = table.name,
            is_unstamped = is_unstamped(table),
            entity = entity(table),
            key = key.name,
            changed = changed(table),
            parts = parts(table, &["OLD.", "NEW."]),
        )
    })
}

/// Whether the row's version is still the one from before this change, which means that nobody has
/// recorded the change.
fn is_unstamped(table: &Table) -> String {
    let key = &table.key_column().name;
    format!(
        "NEW.{VERSION_COLUMN} IS (SELECT {VERSION_COLUMN} FROM {} WHERE {key} = NEW.{key})",
        table.name
    )
}
