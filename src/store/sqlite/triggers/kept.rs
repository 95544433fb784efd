//! The table in which the versions of other people's rows stand: by whatever statement, no version
//! goes back. A row whose entry is deleted has the version of all rows without one, which is older
//! than its content.

use super::expressions::{NEXT, Trigger, entity};
use crate::store::schema::layout::VERSIONS;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table};

/// What a record of a row that is gone says in `changed`, so that the row's version may go, too.
/// That a row *may* be gone is no reason.
const GONE: &str = "gone";

const REFUSAL: &str =
    "SELECT RAISE(ABORT, 'the versions of rows are kept by freshql, and none goes back');";

/// These triggers. They name no table but freshql's own, so they stand in nobody's way who rebuilds
/// one.
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
    // One that the clock has not come to yet would be given again. Where the log was emptied by
    // hand and the time set back, versions count on by one.
    let is_ahead = format!(
        "NEW.version > ifnull((SELECT seq FROM _freshql_change ORDER BY seq DESC LIMIT 1), 0)\n    \
         AND NEW.version > ifnull(({}), 0) + 1",
        known("NEW")
    );
    // `INSERT OR REPLACE` fires no trigger for what it displaces.
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

/// The column and the value that tell a row which is gone from one that may be, where its version
/// goes with it.
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

/// A row that is gone needs no version any more; one that its owner's trigger has put in its place
/// has got its own.
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

/// Give every row a new version, where the versions stand in a table of ours: a million rows cost
/// no more than one. The number is used up by a record.
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

/// The same where the clock is put back, in a database with another epoch: versions may go back,
/// too. To be run while no trigger fires.
pub(in crate::store) fn restart_statements(table: &Table) -> Vec<String> {
    let forget = format!("DELETE FROM {VERSIONS} WHERE entity = {};", entity(table));
    std::iter::once(forget).chain(renew_statements(table)).collect()
}

/// The version of a row of a table that is somebody else's. `row` names it in the statement. The
/// plus keeps the type of the key's column from being asked of the other side, which would make the
/// primary key useless for this look-up.
pub(in crate::store) fn version_expression(entity: &str, row: &str, key: &str) -> String {
    let (entity, row, key) = (string_literal(entity), SqlName::new(row), SqlName::new(key));
    format!(
        "coalesce((SELECT version FROM {VERSIONS} WHERE entity = {entity} AND key = +{row}.{key}), \
         (SELECT version FROM {VERSIONS} WHERE entity = {entity} AND key = x''))"
    )
}
