//! The triggers that maintain versions on PostgreSQL. A BEFORE trigger determines the row's version
//! while the row is locked, so nothing is written twice and RETURNING shows the version; the record
//! is written after the row.
//!
//! A version comes from a hybrid clock: the microseconds since 1970, or one more than the row's
//! last version if the time has not advanced since. So a server that took over without the last
//! commits never gives other content a version that some client has already seen.
//!
//! The choices and their reasons (`tests/integration/postgres_log.rs` shows each):
//! - `ENABLE ALWAYS`: ordinary triggers fire neither under `session_replication_role = replica` nor
//!   in logical replication;
//! - `SECURITY DEFINER`: a role that may write a table need not be able to write the log. The
//!   search path is fixed, and a temporary schema, in which others may have created something,
//!   comes last;
//! - no WHEN: its text is parsed in every statement, cannot refer to generated columns, and fixes
//!   the types of columns;
//! - no NOTIFY: it prevents group commit, and its transaction cannot be prepared for two-phase
//!   commit;
//! - rows are compared by their bytes (`*<>`): collations, `citext` and `1.0 = 1.00` hide nothing.

mod expressions;
mod kept;

use expressions::{
    NOW, VARIABLES, all_parts, came_or_went, changes, differs, entity, names, rows_differ, updated,
};
pub(in crate::store) use kept::{base_entity, renew_statements, version_expression};

use crate::model::Scalar;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::{SqlName, Table, TableColumn};
use crate::store::schema::migrations::DROP_FORMER_FUNCTION;

/// What all tables share: the log, the table that identifies the database's current life, and the
/// function that hashes long values for the log.
///
/// The log has no CHECK: PostgreSQL parses its text again in every statement, which was an eighth
/// of the cost of a bulk update.
pub(in crate::store) const CHANGE_LOG: &[&str] = &[
    "CREATE TABLE _freshql_change (
  xid     xid8 NOT NULL DEFAULT pg_current_xact_id(),
  seq     bigint GENERATED ALWAYS AS IDENTITY,
  entity  text NOT NULL,
  id      text,
  op      \"char\" NOT NULL,
  changed text,
  parts   text[],
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (xid, seq)
);",
    "-- Empty after a crash, on a server that takes over, and in a copy of the database: then servers forget what they know.
CREATE UNLOGGED TABLE _freshql_run (
  one   boolean PRIMARY KEY CHECK (one),
  life  uuid NOT NULL,
  self  oid NOT NULL,
  db    oid NOT NULL,
  floor xid8 NOT NULL
);",
    "-- When which transactions were still running: what of the log is old.
CREATE UNLOGGED TABLE _freshql_note (
  at     timestamptz PRIMARY KEY,
  oldest xid8 NOT NULL
);",
    "-- A long value is written down, and looked for, as its hash.
CREATE FUNCTION _freshql_part(text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE WHEN octet_length($1) > 200 THEN encode(sha256(convert_to($1, 'UTF8')), 'hex') ELSE $1 END;",
];

/// The trigger that gives a row its version. PostgreSQL fires triggers in the order of their names,
/// and no other trigger should change the row after this one.
pub(in crate::store) const VERSION_TRIGGER: &str = "zz_freshql_version";
const LOG_TRIGGER: &str = "zz_freshql_log";
/// Each partition needs its own: PostgreSQL creates row triggers on partitions, but not this one.
pub(in crate::store) const TRUNCATE_TRIGGER: &str = "zz_freshql_truncate";

/// The triggers of earlier releases.
const FORMER_TRIGGERS: [&str; 5] = [
    "zz_freshql_inserted_version",
    "zz_freshql_updated_version",
    "_freshql_log",
    "_freshql_updated_log",
    "_freshql_truncated_log",
];

/// One of freshql's triggers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Trigger {
    pub(in crate::store) name: &'static str,
    /// `BEFORE INSERT OR UPDATE`
    pub(in crate::store) event: &'static str,
    pub(in crate::store) for_each: &'static str,
    pub(in crate::store) function: SqlName,
}

/// A function that triggers call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Function {
    pub(in crate::store) name: SqlName,
    /// Whether it runs as its owner, with the search path that was set when it was created.
    pub(in crate::store) is_definer: bool,
    /// Whether it logs floats: in full, whatever the session's `extra_float_digits` is.
    pub(in crate::store) has_floats: bool,
    /// Between `$$`.
    pub(in crate::store) body: String,
    /// What its body must contain to maintain this model's versions, even if a newer model's
    /// columns are handled as well.
    pub(in crate::store) fragments: Vec<String>,
}

impl Function {
    /// The statement that creates or replaces it.
    pub(in crate::store) fn sql(&self) -> String {
        let definer =
            if self.is_definer { "\n  SECURITY DEFINER SET search_path FROM CURRENT" } else { "" };
        let floats = if self.has_floats { " SET extra_float_digits = 1" } else { "" };
        format!(
            "CREATE OR REPLACE FUNCTION {}() RETURNS trigger LANGUAGE plpgsql{definer}{floats} AS $${}$$;",
            self.name, self.body
        )
    }
}

impl Trigger {
    /// The statements that create or replace it on this table.
    pub(in crate::store) fn sql(&self, table: &SqlName) -> Vec<String> {
        let Self { name, event, for_each, function } = self;
        vec![
            format!(
                "CREATE OR REPLACE TRIGGER {name} {event} ON {table}\n  {for_each} EXECUTE FUNCTION {function}();"
            ),
            format!("ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name};"),
        ]
    }
}

/// The triggers that maintain the versions of this table's rows.
pub(in crate::store) fn triggers(table: &Table) -> Vec<Trigger> {
    let row = "FOR EACH ROW";
    let trigger =
        |name, event, for_each, function: SqlName| Trigger { name, event, for_each, function };
    let (version, log) = (version_function(table.name.as_str()), log_function(table.name.as_str()));
    let version = trigger(VERSION_TRIGGER, "BEFORE INSERT OR UPDATE", row, version);
    // If versions are in a table of ours, the log trigger writes them.
    let version = table.managed.then_some(version);
    let logged = trigger(LOG_TRIGGER, "AFTER INSERT OR UPDATE OR DELETE", row, log.clone());
    let truncated = trigger(TRUNCATE_TRIGGER, "BEFORE TRUNCATE", "FOR EACH STATEMENT", log);
    version.into_iter().chain([logged, truncated]).collect()
}

/// The functions that these triggers call.
pub(in crate::store) fn functions(table: &Table) -> Vec<Function> {
    let is_float = |column: &TableColumn| column.part && column.scalar == Scalar::Float;
    let version = table.managed.then(|| Function {
        name: version_function(table.name.as_str()),
        // It neither reads nor writes tables.
        is_definer: false,
        has_floats: false,
        body: version_body(table),
        fragments: ["OLD", "NEW"]
            .iter()
            .flat_map(|row| names(table).map(move |name| format!("{row}.{name}")))
            .collect(),
    });
    let log = Function {
        name: log_function(table.name.as_str()),
        is_definer: true,
        has_floats: table.columns.iter().any(is_float),
        body: if table.managed { log_body(table) } else { kept::log_body(table) },
        fragments: changes(table)
            .chain(all_parts(table, Some("OLD"), Some("NEW")))
            .chain([entity(table)])
            .collect(),
    };
    version.into_iter().chain([log]).collect()
}

/// The statements that create or replace the triggers that maintain the versions of this table's
/// rows.
pub(in crate::store) fn statements(table: &Table) -> Vec<String> {
    let functions = functions(table).into_iter().map(|function| function.sql());
    functions.chain(triggers(table).iter().flat_map(|trigger| trigger.sql(&table.name))).collect()
}

/// The statements that drop a table's triggers and their functions.
pub(in crate::store) fn drop_statements(table: &str) -> Vec<String> {
    let name = SqlName::new(table);
    let triggers = [VERSION_TRIGGER, LOG_TRIGGER, TRUNCATE_TRIGGER];
    let triggers =
        triggers.iter().map(|trigger| format!("DROP TRIGGER IF EXISTS {trigger} ON {name};"));
    let functions = [version_function(table), log_function(table)];
    triggers
        .chain(functions.iter().map(|function| format!("DROP FUNCTION IF EXISTS {function}();")))
        .collect()
}

/// The statements that drop a table's triggers from earlier releases.
pub(in crate::store) fn drop_former_statements(table: &SqlName) -> Vec<String> {
    FORMER_TRIGGERS
        .iter()
        .map(|trigger| format!("DROP TRIGGER IF EXISTS {trigger} ON {table};"))
        .collect()
}

/// Whether a trigger with this name comes from an earlier release.
pub(in crate::store) fn is_former(trigger: &str) -> bool {
    FORMER_TRIGGERS.contains(&trigger)
}

/// The statements that drop the log of earlier releases.
pub(in crate::store) fn drop_former_log() -> Vec<String> {
    [
        "DROP TABLE _freshql_change;",
        DROP_FORMER_FUNCTION,
        "DROP FUNCTION IF EXISTS _freshql_version();",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The function that gives the table's rows their versions.
pub(in crate::store) fn version_function(table: &str) -> SqlName {
    SqlName::generated(format!("_freshql_{table}_version"))
}

/// The function that writes the table's records.
pub(in crate::store) fn log_function(table: &str) -> SqlName {
    SqlName::generated(format!("_freshql_{table}_log"))
}

fn version_body(table: &Table) -> String {
    format!(
        "
DECLARE
  now bigint := {NOW};
BEGIN
  IF TG_OP = 'INSERT' THEN
    NEW.{VERSION_COLUMN} := now;
  ELSIF {differ}
    OR NEW.{VERSION_COLUMN} IS DISTINCT FROM OLD.{VERSION_COLUMN} THEN
    NEW.{VERSION_COLUMN} := greatest(OLD.{VERSION_COLUMN} + 1, now);
  END IF;
  RETURN NEW;
END ",
        differ = rows_differ(table),
    )
}

fn log_body(table: &Table) -> String {
    let key = table.key_column();
    format!(
        "
{VARIABLES}
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ({entity}, 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF NEW.{VERSION_COLUMN} = OLD.{VERSION_COLUMN} THEN
      RETURN NULL;
    END IF;
    IF NOT {rekeyed} THEN
      {updated}
      RETURN NULL;
    END IF;
  END IF;
  -- Another key is another row: one goes, one comes.
  IF TG_OP <> 'INSERT' THEN
    {deleted}
  END IF;
  IF TG_OP <> 'DELETE' THEN
    {inserted}
  END IF;
  RETURN NULL;
END ",
        entity = entity(table),
        rekeyed = differs(key),
        updated = updated(table),
        deleted = came_or_went(table, 'D', "OLD"),
        inserted = came_or_went(table, 'I', "NEW"),
    )
}
