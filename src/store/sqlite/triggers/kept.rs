//! The table of the versions of unmanaged rows: no statement can set a version back. A row whose
//! entry is deleted has the version of all rows without one, which is older than its content.

use super::expressions::{NEXT, Trigger, entity};
use crate::store::schema::layout::VERSIONS;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table};

/// The value of `changed` in the record of a deleted row, which allows the row's version to be
/// deleted, too. That a row *may* be gone does not suffice.
const GONE: &str = "gone";

const REFUSAL: &str =
    "SELECT RAISE(ABORT, 'the versions of rows are kept by freshql, and none goes back');";

/// The triggers of that table. They mention no tables but freshql's own, so they never prevent
/// others from rebuilding a table.
pub(in crate::store) fn version_triggers() -> Vec<Trigger> {
    let refuse = |event: &str, when: String| {
        let name = SqlName::generated(format!("{VERSIONS}_{}_kept", event.to_lowercase()));
        let sql = format!(
            "CREATE TRIGGER {name} BEFORE {event} ON {VERSIONS}\nWHEN {when}\nBEGIN {REFUSAL} END;"
        );
        Trigger { name, sql }
    };
    let known =
        |row: &str| format!("SELECT max(version) FROM {VERSIONS} WHERE entity = {row}.entity");
    // A version that the clock has not reached yet could be assigned again. If the log was emptied
    // by hand and the time set back, versions count up by one.
    let is_ahead = format!(
        "NEW.version > ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0)\n    \
         AND NEW.version > ifnull(({}), 0) + 1",
        known("NEW")
    );
    // `INSERT OR REPLACE` fires no trigger for the rows that it displaces.
    let inserted =
        format!("NEW.version < ({} AND key IN (NEW.key, x''))\n  OR {is_ahead}", known("NEW"));
    let updated = format!(
        "NEW.version < OLD.version OR (NEW.entity, NEW.key) IS NOT (OLD.entity, OLD.key)\n  OR {is_ahead}"
    );
    let deleted = format!(
        "(OLD.key IS x'' OR OLD.version >= ifnull(({} AND key = x''), 0))\n  \
         AND (OLD.entity, OLD.key, 'D', '{GONE}') IS NOT\n    \
         (SELECT entity, id, op, changed FROM _freshql_change ORDER BY seq DESC LIMIT 1)",
        known("OLD")
    );
    vec![refuse("INSERT", inserted), refuse("UPDATE", updated), refuse("DELETE", deleted)]
}

/// The column and value that mark a row as certainly deleted, so that its version may be deleted.
pub(super) fn gone(table: &Table) -> (&'static str, String) {
    if table.managed {
        return ("", String::new());
    }
    let (key, name) = (&table.key_column().name, &table.name);
    let gone = GONE;
    (
        ", changed",
        format!(
            ",\n      CASE WHEN NOT EXISTS (SELECT 1 FROM {name} WHERE {key} = OLD.{key}) THEN '{gone}' END"
        ),
    )
}

/// Deletes the version of a row that no longer exists. If its owner's trigger has restored the row,
/// it has got its own version.
pub(super) fn forget(table: &Table) -> String {
    if table.managed {
        return String::new();
    }
    format!(
        "\n  DELETE FROM {VERSIONS} WHERE entity = {entity} AND key = +OLD.{key}\n    \
         AND NOT EXISTS (SELECT 1 FROM {table} WHERE {key} = OLD.{key});",
        entity = entity(table),
        key = table.key_column().name,
        table = table.name,
    )
}

/// Statements that give every row a new version, if the versions are in a table of ours: a million
/// rows cost no more than one. A record uses up the number.
pub(in crate::store) fn renew_statements(table: &Table) -> Vec<String> {
    let entity = entity(table);
    vec![
        format!(
            "INSERT INTO _freshql_change (seq, entity, op, parts)\n  VALUES ({NEXT}, {entity}, 'D', '{{}}');"
        ),
        format!(
            "INSERT INTO {VERSIONS} (entity, key, version)\n  SELECT {entity}, x'', max(\n    \
             (SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1),\n    \
             (SELECT ifnull(max(version), 0) + 1 FROM {VERSIONS} WHERE entity = {entity}))\n  \
             WHERE true\n  ON CONFLICT (entity, key) DO UPDATE SET version = excluded.version;"
        ),
        format!("DELETE FROM {VERSIONS} WHERE entity = {entity} AND key <> x'';"),
    ]
}

/// The same if the clock is set back, in a database with a new epoch: versions may go back, too.
/// Run this while triggers are disabled.
pub(in crate::store) fn restart_statements(table: &Table) -> Vec<String> {
    let forget = format!("DELETE FROM {VERSIONS} WHERE entity = {};", entity(table));
    std::iter::once(forget).chain(renew_statements(table)).collect()
}

/// The version of a row in an unmanaged table; `row` is its alias in the statement. The plus
/// prevents the affinity of the key's column from being applied to the other side, which would make
/// the primary key unusable for this lookup.
pub(in crate::store) fn version_expression(entity: &str, row: &str, key: &str) -> String {
    let (entity, row, key) = (string_literal(entity), SqlName::new(row), SqlName::new(key));
    format!(
        "coalesce((SELECT version FROM {VERSIONS} WHERE entity = {entity} AND key = +{row}.{key}), \
         (SELECT version FROM {VERSIONS} WHERE entity = {entity} AND key = x''))"
    )
}
