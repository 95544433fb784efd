//! Lives: whether this is still the same database as before. After a crash or a failover, in a
//! copy, or after a restore, transactions may be missing and their numbers may be reused; then
//! everything that a server knows is invalid.
//!
//! `_freshql_run` is unlogged: PostgreSQL empties it in these cases, but not in a clean restart. In
//! a restored dump, its row names another table or another database than the one it is in.

use crate::store::postgres::client::{ClientError, Connection, RowRef};

/// The contents of `_freshql_run`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) life: [u8; 16],
    /// The records of transactions below this one were pruned.
    pub(super) floor: u64,
}

impl Life {
    /// From these columns of a row in binary format. None if nobody has started this life yet.
    pub(super) fn read(row: &RowRef<'_>, life: usize, floor: usize) -> Option<Self> {
        let life = row.bytes(life)?.try_into().ok()?;
        let floor = row.bytes(floor)?.try_into().map(u64::from_be_bytes).ok()?;
        Some(Self { life, floor })
    }
}

/// Starts a life, unless somebody else has. Records of transactions that this database has not had
/// yet belong to another life.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE;
INSERT INTO _freshql_run AS run (one, life, self, db, floor)
  VALUES (true, gen_random_uuid(), '_freshql_run'::regclass,
    (SELECT oid FROM pg_database WHERE datname = current_database()), pg_snapshot_xmin(pg_current_snapshot()))
  ON CONFLICT (one) DO UPDATE SET life = excluded.life, self = excluded.self, db = excluded.db, floor = excluded.floor
    WHERE run.self <> excluded.self OR run.db <> excluded.db;
DELETE FROM _freshql_change WHERE xid > pg_current_xact_id();
COMMIT";

/// Records that a life of the database has started.
pub(super) async fn begin(connection: &mut Connection) -> Result<(), ClientError> {
    let result = connection.script(BEGIN).await;
    if result.is_err() && !connection.is_broken() {
        connection.drain().await?;
    }
    result.map(drop)
}
