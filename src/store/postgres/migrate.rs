//! Migrations on PostgreSQL: each file runs in one transaction together with the record that it
//! ran, under a lock that all programs take that migrate this database. A digest of a database's
//! migrations is part of every ETag.

pub(in crate::store) mod check;
pub(in crate::store) mod mend;
mod rehearse;
mod repair;
mod run;
mod split;

use crate::store::error::StoreError;
use crate::store::postgres::client::{Blocking, ClientError, Execute, Parameter, Rows};
use crate::store::postgres::feed::definition;
use crate::store::schema::migrations::{Applied, MigrateError, Migrations, Status};

pub(in crate::store) use rehearse::rehearse;
pub(in crate::store) use repair::{facts, has_epoch, repair, watch};
pub(in crate::store) use run::run_alone;

/// Created by [`up`] itself, not by a migration file.
const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS _freshql_migration (
  number     bigint PRIMARY KEY,
  name       text NOT NULL,
  blake3     text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

/// The lock for schema changes; each database has its own.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7310319827465318)";

/// How long a migration waits for that lock, and for tables in use. Everybody else who wants to use
/// such a table waits, too.
const PATIENCE: &str = "SET LOCAL lock_timeout = '60s'";

/// The search path without entries that depend on the user, and with temporary tables last:
/// functions that are created with it keep it.
const PATH: &str =
    "SELECT set_config('search_path', (SELECT string_agg(quote_ident(name), ', ' ORDER BY number) || ', pg_temp'
  FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, number) WHERE name !~ '^pg_temp'), true)";

/// The log's entity for changes to the schema. No real entity can have this name: GraphQL names
/// have no slash.
pub(in crate::store) const SCHEMA: &str = "/schema";

/// Compares the files with this database. Writes nothing.
///
/// # Errors
/// The database cannot be read.
pub(in crate::store) fn status(
    connection: &mut Blocking,
    migrations: &Migrations,
) -> Result<Status, ClientError> {
    Ok(Status::between(applied(connection)?, migrations))
}

/// The applied migrations, by number.
pub(in crate::store) fn applied(connection: &mut Blocking) -> Result<Vec<Applied>, ClientError> {
    if !has_table(connection, "_freshql_migration")? {
        return Ok(Vec::new());
    }
    let rows = connection.query(Execute::text(APPLIED, &[]))?;
    Ok(rows.iter().map(|row| applied_of(&row)).collect())
}

pub(in crate::store) const APPLIED: &str = "SELECT number, name, blake3,
  to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') FROM _freshql_migration ORDER BY number";

/// A row of [`APPLIED`].
pub(in crate::store) fn applied_of(row: &crate::store::postgres::client::RowRef<'_>) -> Applied {
    Applied {
        number: row.int(0).unwrap_or_default(),
        name: row.string(1),
        blake3: row.string(2),
        applied_at: row.string(3),
    }
}

/// Whether the search path finds a table with this name.
pub(in crate::store) fn has_table(
    connection: &mut Blocking,
    name: &str,
) -> Result<bool, ClientError> {
    let rows = connection.query(Execute::text(
        "SELECT to_regclass($1::text) IS NOT NULL",
        &[Parameter::Text(name)],
    ))?;
    Ok(rows.first().is_some_and(|row| row.is(0)))
}

/// Applies pending migrations, in order. Safe to run concurrently from several programs: each file
/// is applied by one of them.
///
/// # Errors
/// If one was edited after it was applied, nothing is applied. A file that fails to run is rolled
/// back; those before it stay applied.
pub(in crate::store) fn up(
    connection: &mut Blocking,
    migrations: &Migrations,
) -> Result<Vec<Applied>, MigrateError> {
    let mistakes = run::transaction_controls(&status(connection, migrations)?.pending);
    if !mistakes.is_empty() {
        return Err(MigrateError::Files(mistakes));
    }
    let mut done = Vec::new();
    loop {
        if status(connection, migrations)?.is_current() {
            return Ok(done);
        }
        done.extend(locked(connection, |connection| apply_next(connection, migrations))?);
    }
}

/// Runs something in a transaction, under the lock for schema changes.
///
/// # Errors
/// The lock cannot be acquired, or `act` fails; then nothing was done.
pub(in crate::store) fn locked<T, E: From<ClientError>>(
    connection: &mut Blocking,
    act: impl FnOnce(&mut Blocking) -> Result<T, E>,
) -> Result<T, E> {
    connection
        .script(&format!("BEGIN ISOLATION LEVEL READ COMMITTED; {PATIENCE}; {LOCK}; {PATH}"))?;
    match act(connection) {
        Ok(result) => {
            connection.script("COMMIT")?;
            Ok(result)
        }
        Err(error) => {
            // The first error is what matters; if the connection is lost, so is the transaction.
            let _ = connection.script("ROLLBACK");
            Err(error)
        }
    }
}

/// Applies the first pending file in the open transaction: only under its lock is it certain that
/// no other program has applied the file in the meantime.
fn apply_next(
    connection: &mut Blocking,
    migrations: &Migrations,
) -> Result<Option<Applied>, MigrateError> {
    let status = status(connection, migrations)?;
    let mistakes = status.mistakes();
    if !mistakes.is_empty() {
        return Err(MigrateError::Files(mistakes));
    }
    let Some(migration) = status.pending.first() else { return Ok(None) };
    let path = connection.query(Execute::text("SELECT current_setting('search_path')", &[]))?;
    let path = path.first().map(|row| row.string(0)).unwrap_or_default();
    run::run_file(connection, migration)?;
    let number = migration.number.to_string();
    let back = [Parameter::Text(&path)];
    let insert = [
        Parameter::Text(&number),
        Parameter::Text(&migration.name),
        Parameter::Text(&migration.blake3),
    ];
    connection.flight(&[
        Execute::text("SELECT set_config('search_path', $1::text, true)", &back),
        Execute::text(CREATE_HISTORY, &[]),
    ])?;
    let rows = connection.query(Execute::text(
        "INSERT INTO _freshql_migration (number, name, blake3) VALUES ($1::bigint, $2::text, $3::text)
         RETURNING number, name, blake3, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')",
        &insert,
    ))?;
    keep_history(connection)?;
    Ok(rows.first().map(|row| applied_of(&row)))
}

/// Records a digest of this database's migrations in `_freshql_meta`, and notifies all servers. The
/// digest includes when each was applied: after a restore, the same file may run a second time and
/// fill in other values.
pub(in crate::store) fn keep_history(connection: &mut Blocking) -> Result<(), ClientError> {
    if !has_table(connection, "_freshql_meta")? || !has_table(connection, "_freshql_migration")? {
        return Ok(());
    }
    let mut hasher = blake3::Hasher::new();
    for Applied { number, name, blake3, applied_at } in applied(connection)? {
        hasher.update(format!("{number} {name} {blake3} {applied_at}\n").as_bytes());
    }
    let history = hasher.finalize().to_hex();
    connection.query(Execute::text(
        "INSERT INTO _freshql_meta (key, value) VALUES ('history', $1::text)
           ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        &[Parameter::Text(history.as_str())],
    ))?;
    tell(connection)
}

/// Makes PostgreSQL analyse every statement again that names what versions rely on, and so tells
/// those who would not read the record (`feed/definition.rs`). The function stays as it is.
const TOUCH: &str = "DO $$ BEGIN
  ALTER FUNCTION _freshql_part(text) STABLE;
EXCEPTION WHEN undefined_function OR insufficient_privilege THEN NULL;
END $$";

/// Records the definition that the history belongs to, and writes a record that makes all servers
/// inspect the schema and forget what they know. This is the last step of a transaction.
fn tell(connection: &mut Blocking) -> Result<(), ClientError> {
    connection.script(TOUCH)?;
    keep_definition(connection)?;
    let sql =
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('_freshql_change')
        AND attname = 'op' AND atttypid = '\"char\"'::regtype)";
    if connection.query(Execute::text(sql, &[]))?.first().is_some_and(|row| row.is(0)) {
        let insert = "INSERT INTO _freshql_change (entity, op) VALUES ($1::text, 'T')";
        connection.query(Execute::text(insert, &[Parameter::Text(SCHEMA)]))?;
    }
    Ok(())
}

/// Records the definition that the history belongs to.
pub(in crate::store) fn keep_definition(connection: &mut Blocking) -> Result<(), ClientError> {
    connection.script(definition::KEEP).map(drop)
}

/// Starts a new state of the schema: no earlier validator matches what is read from now on.
pub(in crate::store) fn renew_history(connection: &mut Blocking) -> Result<(), ClientError> {
    connection.script(
        "INSERT INTO _freshql_meta (key, value) VALUES ('history', replace(gen_random_uuid()::text, '-', ''))
           ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?;
    tell(connection)
}

/// Identifies this database and the state of its schema: its epoch, and the digest of its
/// migrations.
pub(in crate::store) const META: &str =
    "SELECT (SELECT value FROM _freshql_meta WHERE key = 'epoch'),
  (SELECT value FROM _freshql_meta WHERE key = 'history')";

/// The start of every validator, from the row of [`META`].
///
/// # Errors
/// The database was never migrated.
pub(in crate::store) fn identity_in(rows: &Rows) -> Result<[u8; 16], StoreError> {
    let identity = rows.first().and_then(|row| identity(row.text(0), row.text(1)));
    let why = || StoreError::Corrupt("the database has no epoch: it was never migrated".to_owned());
    identity.ok_or_else(why)
}

/// The start of every validator, from the columns of [`META`]. None if the database has no epoch.
pub(in crate::store) fn identity(epoch: Option<&str>, history: Option<&str>) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(epoch?, &mut bytes).ok()?;
    let hash = blake3::Hasher::new()
        .update(&bytes)
        .update(history.unwrap_or_default().as_bytes())
        .finalize();
    hash.as_bytes().first_chunk().copied()
}
