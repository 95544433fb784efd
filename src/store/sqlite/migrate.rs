//! Migrations: which files there are, which of them have been applied, and how to apply the rest.
//! Each file runs in one transaction, together with the record that it ran. [`check`] decides what
//! a database of a model must have; [`crate::store::schema::difference`] finds what is missing in
//! the files.

mod advice;
pub mod check;
mod confine;
pub mod guard;
pub mod heal;
mod rehearse;
mod repair;
mod run;
pub(in crate::store) mod split;

use std::time::Duration;

use rusqlite::Connection;

use crate::model::Diagnostic;

pub use crate::store::schema::migrations::{
    Applied, MigrateError, Migration, Migrations, Problem, Status,
};
pub use advice::advice;
pub use check::check_schema;
pub use guard::guard;
pub use rehearse::rehearse;
pub use repair::repair;
pub use run::run_alone;

use confine::{confine, set_free};
use run::run_file;

/// Created by [`up`] itself, not by a migration file.
const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS _freshql_migration (
  number     INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  blake3     TEXT NOT NULL,
  applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) STRICT";

/// How long [`up`] waits for another writer, such as another node that migrates.
const PATIENCE: Duration = Duration::from_secs(60);

/// Compares the files with this database. Writes nothing.
///
/// # Errors
/// The database cannot be read.
pub fn status(connection: &Connection, migrations: &Migrations) -> rusqlite::Result<Status> {
    Ok(Status::between(applied(connection)?, migrations))
}

/// The applied migrations, by number.
pub(in crate::store) fn applied(connection: &Connection) -> rusqlite::Result<Vec<Applied>> {
    if !has_table(connection, "_freshql_migration")? {
        return Ok(Vec::new());
    }
    let sql = "SELECT number, name, blake3, applied_at FROM _freshql_migration ORDER BY number";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(Applied {
            number: row.get(0)?,
            name: row.get(1)?,
            blake3: row.get(2)?,
            applied_at: row.get(3)?,
        })
    })?;
    rows.collect()
}

/// A query instead of `Connection::table_exists`, which uses the connection's cached schema and
/// misses a table that another program has just created.
fn has_table(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?)";
    connection.query_row(sql, [name], |row| row.get(0))
}

/// Applies pending migrations, in order. Safe to run concurrently from several programs: each file
/// is applied by one of them. Foreign keys are not enforced while a file runs, so that tables can
/// be rebuilt, but must hold when it ends.
///
/// # Errors
/// If a pending file is not valid SQL, or one was edited after it was applied, nothing is applied.
/// A file that fails to run is rolled back; those before it stay applied.
pub fn up(
    connection: &mut Connection,
    migrations: &Migrations,
) -> Result<Vec<Applied>, MigrateError> {
    let mistakes = run::syntax_mistakes(&status(connection, migrations)?.pending)?;
    if !mistakes.is_empty() {
        return Err(MigrateError::Files(mistakes));
    }
    apply(connection, migrations)
}

fn apply(
    connection: &mut Connection,
    migrations: &Migrations,
) -> Result<Vec<Applied>, MigrateError> {
    let foreign_keys: bool =
        connection.pragma_query_value(None, "foreign_keys", |row| row.get(0))?;
    let busy_timeout: u32 =
        connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
    connection.busy_timeout(PATIENCE)?;
    // This pragma has no effect inside a transaction, so set it before all of them.
    connection.pragma_update(None, "foreign_keys", false)?;
    confine(connection)?;
    let result = apply_all(connection, migrations);
    set_free(connection)?;
    connection.pragma_update(None, "foreign_keys", foreign_keys)?;
    connection.busy_timeout(Duration::from_millis(busy_timeout.into()))?;
    result
}

fn apply_all(
    connection: &Connection,
    migrations: &Migrations,
) -> Result<Vec<Applied>, MigrateError> {
    let mut done = Vec::new();
    loop {
        if status(connection, migrations)?.is_current() {
            return Ok(done);
        }
        connection.execute_batch("BEGIN IMMEDIATE")?;
        match apply_next(connection, migrations) {
            Ok(applied) => {
                connection.execute_batch("COMMIT")?;
                done.extend(applied);
            }
            Err(error) => {
                // Some errors (such as a full disk) have already rolled back.
                if !connection.is_autocommit() {
                    connection.execute_batch("ROLLBACK")?;
                }
                return Err(error);
            }
        }
    }
}

/// Applies the first pending file in the open transaction: only its lock guarantees that no other
/// program has applied the file meanwhile.
fn apply_next(
    connection: &Connection,
    migrations: &Migrations,
) -> Result<Option<Applied>, MigrateError> {
    let status = status(connection, migrations)?;
    let mistakes = status.mistakes();
    if !mistakes.is_empty() {
        return Err(MigrateError::Files(mistakes));
    }
    let Some(migration) = status.pending.first() else { return Ok(None) };
    let broken_before = broken_references(connection)?;
    run_file(connection, migration).map_err(|diagnostic| MigrateError::Files(vec![diagnostic]))?;
    let broken = broken_references(connection)?;
    // An adopted database may contain some from before; this file has not caused them.
    let is_new =
        |broken: &&BrokenReferences| !broken_before.iter().any(|before| before.covers(broken));
    let new: Vec<Diagnostic> =
        broken.iter().filter(is_new).map(|broken| broken.diagnostic(migration)).collect();
    if !new.is_empty() {
        return Err(MigrateError::Files(new));
    }
    connection.execute_batch(CREATE_HISTORY)?;
    let applied = connection.query_row(
        "INSERT INTO _freshql_migration (number, name, blake3) VALUES (?, ?, ?) RETURNING applied_at",
        (migration.number, &migration.name, &migration.blake3),
        |row| {
            Ok(Applied {
                number: migration.number,
                name: migration.name.clone(),
                blake3: migration.blake3.clone(),
                applied_at: row.get(0)?,
            })
        },
    )?;
    keep_history(connection)?;
    Ok(Some(applied))
}

/// Rows of one table that refer to missing rows of another.
#[derive(Debug)]
struct BrokenReferences {
    table: String,
    target: String,
    rows: i64,
}

impl BrokenReferences {
    fn covers(&self, other: &Self) -> bool {
        self.table == other.table && self.target == other.target && self.rows >= other.rows
    }

    fn diagnostic(&self, migration: &Migration) -> Diagnostic {
        let Self { table, target, rows } = self;
        let message = format!(
            "after this migration {rows} references from `{table}` to `{target}` lead nowhere"
        );
        Diagnostic::error(&migration.file, 0..0, message).with_help(
            "foreign keys act only after a migration, so ON DELETE does nothing in it: delete or update the rows here",
        )
    }
}

fn broken_references(connection: &Connection) -> rusqlite::Result<Vec<BrokenReferences>> {
    let sql = "SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2 ORDER BY 1, 2";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| {
        Ok(BrokenReferences { table: row.get(0)?, target: row.get(1)?, rows: row.get(2)? })
    })?;
    rows.collect()
}

/// The database's epoch, which is part of every ETag and token: it identifies the database and the
/// state of its schema. Each migration starts a new one. Otherwise a schema that comes back (a
/// column dropped and added again, with other values and the old versions) could make an old
/// validator match. None if the system tables are missing.
///
/// # Errors
/// The database cannot be read.
pub fn epoch(connection: &Connection) -> rusqlite::Result<Option<[u8; 16]>> {
    // Read in every snapshot: another process may migrate the database while this one serves it.
    let sql = "SELECT (SELECT value FROM _freshql_meta WHERE key = 'epoch'), (SELECT value FROM _freshql_meta WHERE key = 'history')";
    let mut statement = match connection.prepare_cached(sql) {
        Ok(statement) => statement,
        Err(_) if !has_table(connection, "_freshql_meta")? => return Ok(None),
        Err(error) => return Err(error),
    };
    statement.query_row([], |row| {
        let mut epoch = [0; 16];
        let is_there = row
            .get_ref(0)?
            .as_str_or_null()?
            .is_some_and(|text| hex::decode_to_slice(text, &mut epoch).is_ok());
        let history = row.get_ref(1)?.as_str_or_null()?.unwrap_or_default();
        let hash = blake3::Hasher::new().update(&epoch).update(history.as_bytes()).finalize();
        Ok(is_there.then(|| hash.as_bytes().first_chunk().copied()).flatten())
    })
}

/// Records a digest of this database's migrations in `_freshql_meta`, unless it is there already
/// (an earlier release may have applied the last one). The digest includes when each was applied:
/// after a restore, the same file may run a second time and fill in other values.
///
/// # Errors
/// The database cannot be read or written.
pub(in crate::store) fn keep_history(connection: &Connection) -> rusqlite::Result<()> {
    if !has_table(connection, "_freshql_meta")? || !has_table(connection, "_freshql_migration")? {
        return Ok(());
    }
    let mut hasher = blake3::Hasher::new();
    for Applied { number, name, blake3, applied_at } in applied(connection)? {
        hasher.update(format!("{number} {name} {blake3} {applied_at}\n").as_bytes());
    }
    let history = hasher.finalize().to_hex();
    let sql = "SELECT EXISTS (SELECT 1 FROM _freshql_meta WHERE key = 'history' AND value = ?)";
    if !connection.query_row(sql, [history.as_str()], |row| row.get::<_, bool>(0))? {
        let sql = "INSERT OR REPLACE INTO _freshql_meta (key, value) VALUES ('history', ?)";
        connection.execute(sql, [history.as_str()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
