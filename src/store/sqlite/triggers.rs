//! The triggers that keep versions: every change of a row, by whatever program, is written to the
//! change log in the same transaction, and the row's `_version` becomes the record's number. The
//! rule behind every choice here: a record too many costs an execution, one too few is a stale
//! answer.
//!
//! A record's number is that of a hybrid clock: the microseconds since 1970, or one more than the
//! last record has where the time has not moved on since (or was set back). So a copy of the
//! database that was restored from a backup never gives other content a version that some client
//! has already seen, and nobody has to tell it that it is a copy.
//!
//! The facts about SQLite on which they rest (each has a test below):
//! - 'now' is the same throughout a statement, in milliseconds; `julianday` is in every SQLite,
//!   `unixepoch('subsec')` is not, and other programs bring their own;
//! - inside a trigger `last_insert_rowid()` is the record just written, and the caller does not
//!   notice;
//! - setting `_version` is an UPDATE itself, so the update trigger must know its own stamp: nothing
//!   but the version differs, and the newest record in the log (of a row that is there) is this
//!   row's and has this number;
//! - without `recursive_triggers` (SQLite's default, and ours) a trigger that is at work is passed
//!   over. Setting `_version` fires the authors' own AFTER UPDATE triggers, and what these then
//!   write passes our triggers over: so a second pair (`…_within`), which is never at work then,
//!   logs what a first one has not, and who sets a version gives one to these rows too;
//! - `REPLACE` fires no delete triggers on connections without `recursive_triggers`, so the rows
//!   that a statement might displace are logged before it runs. An upsert, too, passes there: a `D`
//!   says that a row *may* be gone.

mod expressions;
mod kept;
mod within;

pub(in crate::store) use expressions::NEXT;
pub use expressions::{NAME_PREFIX, Trigger};
use expressions::{changed, collate, differs, entity, parts, trigger};
use kept::{forget, gone};
pub(in crate::store) use kept::{
    renew_statements, restart_statements, version_expression, version_triggers,
};

use super::catalogue::keys::OtherKey;
use crate::model::Scalar;
use crate::store::schema::layout::VERSIONS;
use crate::store::schema::layout::{Table, TableColumn, VERSION_COLUMN};
use crate::store::sqlite::expression::default_expression;

/// The triggers that keep the versions of this table's rows, where it has no unique keys but the
/// model's.
pub fn triggers(table: &Table) -> Vec<Trigger> {
    triggers_beside(table, &[])
}

/// The triggers that keep the versions of this table's rows, where it has these unique keys, too.
pub(in crate::store) fn triggers_beside(table: &Table, others: &[OtherKey]) -> Vec<Trigger> {
    // Where versions stand in a table of ours, nothing that we write fires the authors' triggers.
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
        // The stamp of this very trigger is no change; what anybody else writes there is one.
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

/// Another key is another row: one goes, one comes.
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

/// `UPDATE OR REPLACE` deletes every other row that has one of the row's new keys. There is no `OF
/// columns`: SQLite compares their names with those in the statement, and `SET rowid = …` changes
/// an integer key under another name.
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

/// There may be several, so SQLite counts on from the last record for each: what the statement then
/// writes is numbered by the clock, and these give no row a version.
fn log_displaced(table: &Table) -> String {
    format!(
        "INSERT INTO _freshql_change (entity, id, op, parts)\n    SELECT {}, {}, 'D', {}\n    FROM {}",
        entity(table),
        table.key_column().name,
        parts(table, &[""]),
        table.name,
    )
}

/// For each key of the table, the condition that a row has that of NEW.
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

/// The value with which a row will arrive: where `REPLACE` finds NULL in a column that is NOT NULL,
/// it puts the default there, but only after this trigger has run.
fn arriving(column: &TableColumn) -> String {
    match default_expression(column) {
        Some(default) if !column.nullable => format!("ifnull(NEW.{}, {default})", column.name),
        _ => format!("NEW.{}", column.name),
    }
}

/// What SQLite calls its own number of a row.
pub(in crate::store) const ROW_NUMBER_NAMES: [&str; 3] = ["_rowid_", "rowid", "oid"];

/// SQLite's own number of a row is a key, too, under a name that no column has taken. `None` where
/// the primary key is that number.
fn row_number(table: &Table) -> Option<&'static str> {
    if table.key_column().scalar == Scalar::IdInt && table.key_column().type_override.is_none() {
        return None;
    }
    let is_free = |name: &&str| {
        table.columns.iter().all(|column| !column.name.as_str().eq_ignore_ascii_case(name))
    };
    ROW_NUMBER_NAMES.into_iter().find(is_free)
}

/// Gives the row of NEW the number of the record just written; and also those rows of a managed
/// table that the authors' own triggers have changed on that occasion.
fn stamp(table: &Table) -> String {
    let (key, name) = (&table.key_column().name, &table.name);
    if !table.managed {
        // Above what the row had, whatever has become of the log: a version that would go back is
        // refused. An upsert, since the statement's own `OR IGNORE` would be this one's, too. A key
        // of another kind is no row of the entity's, and must not keep its owner from writing it.
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
