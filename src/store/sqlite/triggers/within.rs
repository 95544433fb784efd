//! The second pair of triggers of a managed table. Setting `_version` fires the authors' own AFTER
//! UPDATE triggers, and what these write then passes over the trigger of ours that is at work,
//! unless the connection has `recursive_triggers`. These two only log, so they are never at work
//! when others write.

use super::expressions::{NEXT, Trigger, changed, differs, entity, parts, trigger};
use crate::store::schema::layout::{Table, VERSION_COLUMN};

/// What the trigger `…_inserted` was passed over for: its stamp would show on the row.
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

/// What the trigger `…_updated` was passed over for.
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

/// The row's version is what it was when this change of it was made: nobody has logged it yet.
fn is_unstamped(table: &Table) -> String {
    let key = &table.key_column().name;
    format!(
        "NEW.{VERSION_COLUMN} IS (SELECT {VERSION_COLUMN} FROM {} WHERE {key} = NEW.{key})",
        table.name
    )
}
