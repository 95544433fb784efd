//! Migrations on PostgreSQL: each file runs in one transaction together with the record that it
//! ran, under a lock that all programs that migrate this database take. What the files of a
//! database come to is part of every ETag.

pub(in crate::store) mod check;
pub(in crate::store) mod mend;
mod rehearse;
mod repair;
mod run;
mod split;

use crate::store::postgres::client::{Blocking, ClientError, Execute, Parameter};
use crate::store::postgres::feed::definition;
use crate::store::schema::migrations::{Applied, MigrateError, Migrations, Status};

pub(in crate::store) use rehearse::rehearse;
pub(in crate::store) use repair::{facts, has_epoch, repair, watch};
pub(in crate::store) use run::run_alone;

/// Made by [`up`] itself; no migration file knows it.
const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS _freshql_migration (
  number     bigint PRIMARY KEY,
  name       text NOT NULL,
  blake3     text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
)";

/// The lock of all that change the schema, of each database its own.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7310319827465318)";

/// How long a migration waits for that, and for tables that others use. Whoever wants to use the
/// table meanwhile waits, too.
const PATIENCE: &str = "SET LOCAL lock_timeout = '60s'";

/// The schemas in which names are looked for, without what depends on who asks, and behind them
/// what is temporary: so the functions that are made remember it.
const PATH: &str =
    "SELECT set_config('search_path', (SELECT string_agg(quote_ident(name), ', ' ORDER BY number) || ', pg_temp'
  FROM unnest(current_schemas(false)) WITH ORDINALITY AS path (name, number) WHERE name !~ '^pg_temp'), true)";

/// Under this name the log has the changes of the schema. No entity can have it: no name in GraphQL
/// has a slash.
pub(in crate::store) const SCHEMA: &str = "/schema";

/// How the files and this database stand to each other. Writes nothing.
///
/// # Errors
/// The database cannot be read.
pub(in crate::store) fn status(
    connection: &mut Blocking,
    migrations: &Migrations,
) -> Result<Status, ClientError> {
    Ok(Status::between(applied(connection)?, migrations))
}

/// What the database has, by number.
pub(in crate::store) fn applied(connection: &mut Blocking) -> Result<Vec<Applied>, ClientError> {
    if !has_table(connection, "_freshql_migration")? {
        return Ok(Vec::new());
    }
    let rows = connection.query(Execute::text(APPLIED, &[]))?;
    Ok(rows.iter().map(|row| applied_of(&row)).collect())
}

/// What the database has, by number.
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

/// Whether there is a table of this name where unqualified names are looked for.
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

/// Applies what is pending, in order. Any number of programs may do this at once: each file is
/// applied by one of them.
///
/// # Errors
/// One was edited after it was applied: then nothing is applied. The first file that does not run:
/// it leaves no trace; those before it stay applied.
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

/// Does something in a transaction, under the lock of all that change the schema.
///
/// # Errors
/// The lock cannot be had, or those of `act`; then nothing was done.
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
            // What counts is the first error; where the connection is lost, so is the transaction.
            let _ = connection.script("ROLLBACK");
            Err(error)
        }
    }
}

/// Applies the first pending file, in the transaction that is open: only under its lock it is sure
/// that no other program has applied it meanwhile.
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

/// Writes down in `_freshql_meta` what the migrations of this database come to, and tells all
/// servers to look. When each was applied counts, too: after a restore the same file may run a
/// second time and fill other values in.
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

/// Writes down to which definition of the tables the history belongs, and a record that makes all
/// servers look at the schema, and forget what they know. The last that is done in a transaction.
fn tell(connection: &mut Blocking) -> Result<(), ClientError> {
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

/// Writes down to which definition of the tables the history belongs.
pub(in crate::store) fn keep_definition(connection: &mut Blocking) -> Result<(), ClientError> {
    connection.script(definition::KEEP).map(drop)
}

/// Another state of the schema begins: no validator from before matches what is read from here on.
pub(in crate::store) fn renew_history(connection: &mut Blocking) -> Result<(), ClientError> {
    connection.script(
        "INSERT INTO _freshql_meta (key, value) VALUES ('history', replace(gen_random_uuid()::text, '-', ''))
           ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    )?;
    tell(connection)
}

/// What tells this database and the state of its schema from all others: its epoch, and what its
/// migrations come to.
pub(in crate::store) const META: &str =
    "SELECT (SELECT value FROM _freshql_meta WHERE key = 'epoch'),
  (SELECT value FROM _freshql_meta WHERE key = 'history')";

/// What validators start from, from the columns of [`META`]. None where the database has no epoch.
pub(in crate::store) fn identity(epoch: Option<&str>, history: Option<&str>) -> Option<[u8; 16]> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(epoch?, &mut bytes).ok()?;
    let hash = blake3::Hasher::new()
        .update(&bytes)
        .update(history.unwrap_or_default().as_bytes())
        .finalize();
    hash.as_bytes().first_chunk().copied()
}
