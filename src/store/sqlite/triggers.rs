//! The triggers that maintain versions: every change of a row, by whatever program, is recorded in
//! the change log in the same transaction, and the row's `_version` becomes the record's number.
//! The rule behind every choice here: one record too many costs an execution, one too few causes a
//! stale answer.
//!
//! A record's number comes from a hybrid clock: the microseconds since 1970, or one more than the
//! last record's number if the time has not advanced since (or was set back). So a database
//! restored from a backup never gives other content a version that some client has already seen,
//! and need not be told that it is a copy.
//!
//! The facts about SQLite on which they rely (each has a test below):
//! - 'now' is constant throughout a statement, in milliseconds. `julianday` exists in every SQLite,
//!   `unixepoch('subsec')` does not, and other programs use their own SQLite.
//! - Inside a trigger, `last_insert_rowid()` is the record just written; the caller does not
//!   notice.
//! - Setting `_version` is itself an UPDATE, so the update trigger must recognise its own stamp:
//!   only the version differs, and the newest record in the log (of an existing row) belongs to
//!   this row and has this number.
//! - Without `recursive_triggers` (off by default, and in our connections) a trigger that is
//!   already running does not fire again. Setting `_version` fires the authors' own AFTER UPDATE
//!   triggers, and whatever these write does not fire our triggers. So there is a second pair
//!   (`…_within`), which is never running at that point: it records what the first pair has missed,
//!   and whoever sets a version then gives one to these rows, too.
//! - `REPLACE` fires no delete triggers on connections without `recursive_triggers`, so the rows
//!   that a statement might displace are recorded before it runs. An upsert takes that path, too: a
//!   `D` says that a row *may* be gone.

mod expressions;
mod kept;
mod within;

pub(in crate::store) use expressions::NEXT;
pub(crate) use expressions::{NAME_PREFIX, Trigger};
use expressions::{changed, collate, differs, entity, parts, trigger};
use kept::{forget, gone};
pub(in crate::store) use kept::{
    renew_statements, restart_statements, version_expression, version_triggers,
};

use super::catalogue::keys::OtherKey;
use crate::model::Scalar;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::VERSIONS;
use crate::store::schema::layout::{Table, TableColumn};
use crate::store::sqlite::expression::default_expression;

/// The triggers that maintain the versions of this table's rows, if it has no unique keys other
/// than the model's.
pub(crate) fn triggers(table: &Table) -> Vec<Trigger> {
    triggers_beside(table, &[])
}

/// The triggers that maintain the versions of this table's rows, if it also has these unique keys.
pub(in crate::store) fn triggers_beside(table: &Table, others: &[OtherKey]) -> Vec<Trigger> {
    // If versions are in a table of ours, nothing that we write fires the authors' triggers.
    let within = if table.managed {
        vec![within::inserted(table), within::updated(table)]
    } else {
        Vec::new()
    };
    let own = [
        inserted(table),
        updated(table),
        rekeyed(table),
        deleted(table),
        displaced_by_insert(table, others),
        displaced_by_update(table, others),
    ];
    within.into_iter().chain(own).collect()
}

fn inserted(table: &Table) -> Trigger {
    trigger(table, "inserted", |name| {
        format!(
            "CREATE TRIGGER {name} AFTER INSERT ON {table} BEGIN\n  \
             INSERT INTO _freshql_change (seq, entity, id, op, parts)\n    VALUES ({NEXT},\n      \
             {entity}, NEW.{key}, 'I', {parts});\n  \
             {stamp}\nEND;",
            table = table.name,
            entity = entity(table),
            key = table.key_column().name,
            parts = parts(table, &["NEW."]),
            stamp = stamp(table),
        )
    })
}

fn updated(table: &Table) -> Trigger {
    let key = table.key_column();
    let mut differences: Vec<String> =
        table.columns.iter().filter(|c| c.name != key.name).map(differs).collect();
    if table.managed {
        // The stamp of this trigger is not a change, but anybody else's write to the version is.
        differences.push(format!(
            "(NEW.{VERSION_COLUMN} IS NOT OLD.{VERSION_COLUMN} AND (NEW.{VERSION_COLUMN}, {entity}, NEW.{key}) IS NOT\n    \
             (SELECT seq, entity, id FROM _freshql_change WHERE op <> 'D' ORDER BY seq DESC LIMIT 1))",
            entity = entity(table),
            key = key.name,
        ));
    }
    if differences.is_empty() {
        differences.push("0".to_owned());
    }
    trigger(table, "updated", |name| {
        format!(
            "CREATE TRIGGER {name} AFTER UPDATE ON {table}\nWHEN NEW.{key} IS OLD.{key}{collate} AND ({differences})\nBEGIN\n  \
             INSERT INTO _freshql_change (seq, entity, id, op, changed, parts)\n    \
             VALUES ({NEXT},\n      {entity}, NEW.{key}, 'U',\n      {changed},\n      {parts});\n  \
             {stamp}\nEND;",
            table = table.name,
            entity = entity(table),
            key = key.name,
            collate = collate(key),
            differences = differences.join("\n  OR "),
            changed = changed(table),
            parts = parts(table, &["OLD.", "NEW."]),
            stamp = stamp(table),
        )
    })
}

/// A new key means a different row: one is deleted, one is inserted.
fn rekeyed(table: &Table) -> Trigger {
    let key = table.key_column();
    trigger(table, "rekeyed", |name| {
        format!(
            "CREATE TRIGGER {name} AFTER UPDATE ON {table}\nWHEN {key_differs}\nBEGIN\n  \
             INSERT INTO _freshql_change (seq, entity, id, op{gone_column}, parts)\n    VALUES ({NEXT},\n      \
             {entity}, OLD.{key}, 'D'{gone}, {old_parts});{forget}\n  \
             INSERT INTO _freshql_change (seq, entity, id, op, parts)\n    VALUES ({NEXT},\n      \
             {entity}, NEW.{key}, 'I', {new_parts});\n  \
             {stamp}\nEND;",
            table = table.name,
            entity = entity(table),
            key = key.name,
            gone_column = gone(table).0,
            gone = gone(table).1,
            forget = forget(table),
            key_differs = differs(key),
            old_parts = parts(table, &["OLD."]),
            new_parts = parts(table, &["NEW."]),
            stamp = stamp(table),
        )
    })
}

fn deleted(table: &Table) -> Trigger {
    trigger(table, "deleted", |name| {
        format!(
            "CREATE TRIGGER {name} AFTER DELETE ON {table} BEGIN\n  \
             INSERT INTO _freshql_change (seq, entity, id, op{gone_column}, parts)\n    VALUES ({NEXT},\n      \
             {entity}, OLD.{key}, 'D'{gone}, {parts});{forget}\nEND;",
            gone_column = gone(table).0,
            gone = gone(table).1,
            forget = forget(table),
            table = table.name,
            entity = entity(table),
            key = table.key_column().name,
            parts = parts(table, &["OLD."]),
        )
    })
}

/// `INSERT OR REPLACE` deletes every row that has one of the new row's keys.
fn displaced_by_insert(table: &Table, others: &[OtherKey]) -> Trigger {
    trigger(table, "displaced_by_insert", |name| {
        format!(
            "CREATE TRIGGER {name} BEFORE INSERT ON {table} BEGIN\n  {log}\n    WHERE {same_key};\nEND;",
            table = table.name,
            log = log_displaced(table),
            same_key = same_key(table, others).join("\n      OR "),
        )
    })
}

/// `UPDATE OR REPLACE` deletes every other row that has one of the row's new keys. There is no
/// `OF columns`: SQLite compares their names with those in the statement, and `SET rowid = …`
/// changes an integer key under another name.
fn displaced_by_update(table: &Table, others: &[OtherKey]) -> Trigger {
    let mut key_columns: Vec<&TableColumn> = vec![table.key_column()];
    for index in table.indexes.iter().filter(|index| index.unique) {
        for column in index.columns.iter().map(|id| table.column(*id)) {
            if key_columns.iter().all(|known| known.name != column.name) {
                key_columns.push(column);
            }
        }
    }
    let mut conditions: Vec<String> = key_columns.into_iter().map(differs).collect();
    conditions.extend(row_number(table).map(|row| format!("NEW.{row} IS NOT OLD.{row}")));
    conditions.extend(others.iter().map(|other| other.changed.clone()));
    trigger(table, "displaced_by_update", |name| {
        format!(
            "CREATE TRIGGER {name} BEFORE UPDATE ON {table}\nWHEN {conditions}\nBEGIN\n  {log}\n    \
             WHERE {key} IS NOT OLD.{key}{collate}\n      AND ({same_key});\nEND;",
            table = table.name,
            conditions = conditions.join("\n  OR "),
            log = log_displaced(table),
            key = table.key_column().name,
            collate = collate(table.key_column()),
            same_key = same_key(table, others).join("\n        OR "),
        )
    })
}

/// There may be several rows, so SQLite numbers their records from the last one on. What the
/// statement then writes is numbered by the clock, and these records give no row a version.
fn log_displaced(table: &Table) -> String {
    format!(
        "INSERT INTO _freshql_change (entity, id, op, parts)\n    SELECT {}, {}, 'D', {}\n    FROM {}",
        entity(table),
        table.key_column().name,
        parts(table, &[""]),
        table.name,
    )
}

/// For each key of the table, the condition that a row has the same key as NEW.
fn same_key(table: &Table, others: &[OtherKey]) -> Vec<String> {
    let same = |column: &TableColumn| format!("{} = {}", column.name, arriving(column));
    let mut keys = vec![same(table.key_column())];
    for index in table.indexes.iter().filter(|index| index.unique) {
        let columns: Vec<String> = index.columns.iter().map(|id| same(table.column(*id))).collect();
        keys.push(if columns.len() == 1 {
            columns.concat()
        } else {
            format!("({})", columns.join(" AND "))
        });
    }
    keys.extend(row_number(table).map(|row| format!("{row} = NEW.{row}")));
    keys.extend(others.iter().map(|other| other.same.clone()));
    keys
}

/// The value with which a row will arrive: if `REPLACE` finds NULL in a NOT NULL column, it
/// substitutes the default, but only after this trigger has run.
fn arriving(column: &TableColumn) -> String {
    match default_expression(column) {
        Some(default) if !column.nullable => format!("ifnull(NEW.{}, {default})", column.name),
        _ => format!("NEW.{}", column.name),
    }
}

/// SQLite's names for the rowid.
pub(in crate::store) const ROW_NUMBER_NAMES: [&str; 3] = ["_rowid_", "rowid", "oid"];

/// The rowid is a key, too, under a name that no column uses. None if the primary key is the rowid.
fn row_number(table: &Table) -> Option<&'static str> {
    if table.key_column().scalar == Scalar::IdInt && table.key_column().type_override.is_none() {
        return None;
    }
    let is_free = |name: &&str| {
        table.columns.iter().all(|column| !column.name.as_str().eq_ignore_ascii_case(name))
    };
    ROW_NUMBER_NAMES.into_iter().find(is_free)
}

/// Gives the row of NEW the number of the record just written, and also the rows of a managed table
/// that the authors' triggers have changed meanwhile.
fn stamp(table: &Table) -> String {
    let (key, name) = (&table.key_column().name, &table.name);
    if !table.managed {
        // The number must exceed the row's previous version, whatever has happened to the log: a
        // version that goes back is refused. An upsert, because the conflict clause of the outer
        // statement (`OR IGNORE`) would apply here, too. A key of another type belongs to no row of
        // the entity, and must not prevent its owner from writing it.
        return format!(
            "INSERT INTO {VERSIONS} (entity, key, version)\n    SELECT {entity}, NEW.{key}, max(last_insert_rowid(),\n      \
             ifnull((SELECT max(version) + 1 FROM {VERSIONS} WHERE entity = {entity} AND key IN (NEW.{key}, x'')), 0))\n    \
             WHERE typeof(NEW.{key}) IN ('integer', 'real', 'text')\n    \
             ON CONFLICT (entity, key) DO UPDATE SET version = excluded.version;",
            entity = entity(table)
        );
    }
    format!(
        "UPDATE {name} SET {VERSION_COLUMN} = last_insert_rowid() WHERE {key} = NEW.{key};\n  \
         UPDATE {name} SET {VERSION_COLUMN} = last_insert_rowid() FROM _freshql_change\n    \
         WHERE _freshql_change.seq > last_insert_rowid() AND _freshql_change.entity = {entity}\n      \
         AND _freshql_change.op <> 'D'\n      \
         AND {name}.{key} = _freshql_change.id AND {name}.{VERSION_COLUMN} < last_insert_rowid();",
        entity = entity(table),
    )
}

#[cfg(test)]
mod tests;
