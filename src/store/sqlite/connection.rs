//! Opens connections with the settings that all of ours share.

use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};

use super::dialect::FOLD_FUNCTION;
use crate::store::error::StoreError;
use crate::store::select::fold_case;

/// The number of statements that a connection keeps prepared.
const STATEMENTS: usize = 512;
/// How long a writer waits for a lock that another process holds.
const BUSY: Duration = Duration::from_secs(10);

/// Opens a connection with our settings: WAL, durable commits, foreign keys on. Recursive triggers
/// are off, SQLite's default, because authors rely on it
/// (`AFTER UPDATE ON t … UPDATE t SET updated_at = …`).
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    open_with(path, OpenFlags::SQLITE_OPEN_CREATE)
}

/// Opens an existing file, so that a missing database is not replaced by an empty one.
pub(super) fn open_existing(path: &Path) -> Result<Connection, StoreError> {
    open_with(path, OpenFlags::empty())
}

pub(super) fn open_with(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "recursive_triggers", false)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Checkpoint after every 16 MB of log. The commit that reaches this size waits for it.
    connection.pragma_update(None, "wal_autocheckpoint", 4000)?;
    // Without this, SQLite looks at a bound LIMIT when it plans a statement, and plans the
    // statement again for each request.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function(FOLD_FUNCTION, 1, flags, |context| {
        // A value that is not a string (stored by an external writer) matches nothing; it must not
        // make the whole list fail.
        Ok(context.get_raw(0).as_str().ok().map(fold_case))
    })?;
    Ok(connection)
}

/// Opens a foreign file to inspect it: even the journal mode stays unchanged.
pub(in crate::store) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
}

pub(super) fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let connection = open_existing(path)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Runs a parameterless statement, which is kept prepared.
pub(super) fn run(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
