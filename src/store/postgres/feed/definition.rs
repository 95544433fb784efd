//! The definition that versions rely on: tables, columns, partitions, triggers, functions. Somebody
//! who alters it by hand may change what rows contain, or make it possible to do so, without
//! changing any version. So the state of the definition, its **print**, determines every validator:
//! if it differs from the one in `_freshql_meta`, the history is renewed before anything else is
//! answered.
//!
//! The server itself tells when to look. `'now'::timestamptz` is a constant that gets its value
//! when a statement is analysed, and PostgreSQL analyses a prepared statement again when anything
//! that it names was altered. So a statement that names all our tables and functions, in a branch
//! that is never taken, returns another time if and only if one of them was altered since. It takes
//! no locks on them, and its only cost is the comparison of two numbers. The altering transaction
//! notifies the other sessions before it releases its locks, and so before anybody sees its
//! changes; a session processes the notification when it locks the first table of a transaction,
//! after its snapshot was taken.

use crate::store::postgres::client::{ClientError, Connection, Execute, Rows};

/// Its key in `_freshql_meta`.
macro_rules! key {
    () => {
        "'definition'"
    };
}

/// The tables that versions rely on.
macro_rules! watched {
    () => {
        "SELECT tgrelid AS oid FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid
      WHERE tgname LIKE 'zz\\_freshql\\_%' AND proname LIKE '\\_freshql\\_%' AND pg_function_is_visible(p.oid)
    UNION SELECT to_regclass(name) FROM unnest(ARRAY['_freshql_change', '_freshql_version']) AS ours (name)
      WHERE to_regclass(name) IS NOT NULL"
    };
}

/// The types of the columns in `attributes`, and what their domains are made of.
macro_rules! types {
    () => {
        "types AS (SELECT atttypid AS oid FROM attributes
    UNION SELECT typbasetype FROM types JOIN pg_type t ON t.oid = types.oid WHERE typbasetype <> 0)"
    };
}

/// A row of the catalogue that was written again has another `xmin`.
macro_rules! print {
    () => {
        concat!(
            "SELECT coalesce(sum(hashtextextended(thing, 0))::numeric % 9223372036854775807, 0)::bigint AS print FROM (
  WITH RECURSIVE watched AS (",
            watched!(),
            "), attributes AS (SELECT a.*, a.xmin AS since FROM watched w JOIN pg_attribute a ON attrelid = w.oid AND attnum > 0),
  ",
            types!(),
            "
  SELECT concat_ws(' ', 'c', c.oid, relname, nspname, relkind, relpersistence, relrowsecurity, relforcerowsecurity,
      pg_table_is_visible(c.oid)) AS thing
    FROM watched w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = relnamespace
  UNION ALL SELECT concat_ws(' ', 'a', attrelid, attnum, since) FROM attributes
  UNION ALL SELECT concat_ws(' ', 'e', oid, xmin) FROM pg_enum WHERE enumtypid IN (SELECT oid FROM types)
  UNION ALL SELECT concat_ws(' ', 'i', inhrelid, inhparent, xmin) FROM pg_inherits WHERE inhparent IN (SELECT oid FROM watched)
  UNION ALL SELECT concat_ws(' ', 'g', oid, xmin) FROM pg_trigger WHERE tgrelid IN (SELECT oid FROM watched)
      AND (NOT tgisinternal OR tgname LIKE 'zz\\_freshql\\_%')
  UNION ALL SELECT concat_ws(' ', 'r', oid, xmin) FROM pg_policy WHERE polrelid IN (SELECT oid FROM watched)
  UNION ALL SELECT concat_ws(' ', 'p', oid, xmin) FROM pg_proc
    WHERE proname LIKE '\\_freshql\\_%' AND pg_function_is_visible(oid)) AS things"
        )
    };
}

/// A number that changes whenever the definition does, and never comes back. It depends only on the
/// database, so servers with different models agree on it.
pub(super) const PRINT: &str = print!();

/// A number that changes with what else decides how tables are served and written: rules, keys that
/// are passed on to other tables, policies that apply to the server's role, and what it may read.
/// They change no row, so no validator depends on them.
pub(super) const AROUND: &str = concat!(
    "SELECT coalesce(sum(hashtextextended(thing, 0))::numeric % 9223372036854775807, 0)::bigint FROM (
  WITH watched AS (",
    watched!(),
    ")
  SELECT concat_ws(' ', 'r', oid, xmin) AS thing FROM pg_rewrite WHERE ev_class IN (SELECT oid FROM watched)
  UNION ALL SELECT concat_ws(' ', 'k', oid, xmin) FROM pg_constraint
    WHERE contype = 'f' AND confupdtype NOT IN ('a', 'r') AND confrelid IN (SELECT oid FROM watched)
  UNION ALL SELECT concat_ws(' ', 's', oid) FROM watched WHERE row_security_active(oid::oid)
  UNION ALL SELECT concat_ws(' ', 't', oid) FROM watched WHERE NOT has_table_privilege(oid::oid, 'SELECT')) AS things"
);

/// The print that the history belongs to.
pub(super) const KEPT: &str = concat!("SELECT value FROM _freshql_meta WHERE key = ", key!());

/// Records the print at the end of a migration, whose history already covers it.
pub(in crate::store::postgres) const KEEP: &str = concat!(
    "INSERT INTO _freshql_meta (key, value) SELECT ",
    key!(),
    ", print::text FROM (",
    print!(),
    ") AS now ON CONFLICT (key) DO UPDATE SET value = excluded.value"
);

/// If the print differs from the recorded one, starts a new history and notifies all servers.
const RENEW: &str = concat!(
    "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;
SET LOCAL lock_timeout = '5s';
WITH kept AS (INSERT INTO _freshql_meta AS meta (key, value) SELECT ",
    key!(),
    ", print::text FROM (",
    print!(),
    ") AS now
    ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE meta.value <> excluded.value RETURNING 1),
  renewed AS (INSERT INTO _freshql_meta (key, value) SELECT 'history', replace(gen_random_uuid()::text, '-', '') FROM kept
    ON CONFLICT (key) DO UPDATE SET value = excluded.value)
INSERT INTO _freshql_change (entity, op) SELECT '/schema', 'T' FROM kept;
COMMIT"
);

/// Starts a new history; see [`RENEW`].
pub(super) async fn renew(connection: &mut Connection) -> Result<(), ClientError> {
    let result = connection.script(RENEW).await;
    if result.is_err() && !connection.is_broken() {
        connection.roll_back().await?;
    }
    result.map(drop)
}

/// What a statement has to name: the oids of tables, calls of functions, and the types that rows'
/// values are shown with. And what tells whether policies apply to this role: that may change with
/// the role alone, and then alike for all tables of an owner.
pub(super) const NAMES: &str = concat!(
    "WITH RECURSIVE watched AS (",
    watched!(),
    "), attributes AS (SELECT atttypid FROM watched w JOIN pg_attribute a ON attrelid = w.oid AND attnum > 0),
  ",
    types!(),
    "
SELECT (SELECT string_agg(format('''%s''::regclass', oid::oid), ', ') FROM watched),
  (SELECT string_agg(format('%I.%I(%s) IS NULL', nspname, proname, (SELECT string_agg('NULL::' || format_type(t, NULL), ', ')
      FROM unnest(proargtypes) AS t)), ', ')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
    WHERE proname LIKE '\\_freshql\\_%' AND prokind = 'f' AND pg_function_is_visible(p.oid)),
  (SELECT string_agg(DISTINCT enumtypid::text, ',') FROM pg_enum WHERE enumtypid IN (SELECT oid FROM types)),
  (SELECT string_agg(format('row_security_active(%s::oid)', one), ', ') FROM (SELECT min(c.oid) AS one
      FROM watched w JOIN pg_class c ON c.oid = w.oid WHERE relrowsecurity GROUP BY relowner, relforcerowsecurity) AS ones)"
);

/// The row of [`NAMES`].
#[derive(Debug, Default)]
pub(super) struct Named {
    /// The tables, as elements of an array.
    pub(super) tables: Option<String>,
    /// The functions, alike.
    pub(super) functions: Option<String>,
    /// The enums that values of rows may have.
    enums: Option<String>,
    /// What tells whether policies apply.
    policies: Option<String>,
}

impl Named {
    /// From the row.
    pub(super) fn of(names: &Rows) -> Self {
        let row = names.first();
        let text = |column| row.as_ref().and_then(|row| row.text(column)).map(str::to_owned);
        Self { tables: text(0), functions: text(1), enums: text(2), policies: text(3) }
    }

    /// Whether a plan that names these tables and functions becomes invalid with everything that
    /// [`PRINT`] depends on. Renaming an enum's value does not invalidate plans.
    pub(super) fn is_everything(&self) -> bool {
        self.tables.is_some() && self.functions.is_some() && self.enums.is_none()
    }
}

/// Columns of a statement that tell whether the definition was altered; see the module's
/// documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Watch(String);

impl Watch {
    /// Names nothing, so it never changes.
    pub(super) fn nothing() -> Self {
        Self("NULL, NULL, NULL, NULL".to_owned())
    }

    /// That names these.
    pub(super) fn of(named: &Named) -> Self {
        let never = |list: &Option<String>| {
            list.as_ref().map(|list| format!("CASE WHEN false THEN ARRAY[{list}]::text END"))
        };
        let null = || "NULL".to_owned();
        let values = named.enums.as_ref().map(|types| {
            format!(
                "(SELECT bit_xor(hash_record_extended(ROW(oid, xmin), 0)) FROM pg_enum WHERE enumtypid = ANY ('{{{types}}}'::oid[]))"
            )
        });
        let policies = named
            .policies
            .as_ref()
            .map(|applied| format!("hash_record_extended(ROW({applied}), 0)"));
        let others: Vec<String> = values.into_iter().chain(policies).collect();
        Self(format!(
            "'now'::timestamptz, {}, {}, {}",
            if others.is_empty() { null() } else { others.join(" # ") },
            never(&named.tables).unwrap_or_else(null),
            never(&named.functions).unwrap_or_else(null)
        ))
    }

    /// These columns of a statement, followed by the watch's own, of which the first two are
    /// compared.
    pub(super) fn behind(&self, columns: &str) -> String {
        format!("{columns}, {}", self.0)
    }
}

/// The current print.
pub(super) async fn print(connection: &mut Connection) -> Result<i64, ClientError> {
    Ok(print_in(&connection.query(Execute::binary(PRINT, &[])).await?))
}

/// Reads the row of [`PRINT`] or [`AROUND`].
pub(super) fn print_in(rows: &Rows) -> i64 {
    rows.first().and_then(|row| row.int(0)).unwrap_or_default()
}
