//! Deletes records of the change log that are no longer needed. Any node may do it, in the
//! background; if another node is doing it, this one skips its turn.
//!
//! Notes tell which records are old: from time to time, a node records which transactions were
//! still running. When a note has reached the maximum age of records, every transaction below its
//! number had ended before it was written, and everybody who follows the log has read their
//! records. A record's own time does not help: a transaction that runs for hours commits records
//! that are hours old.

use super::client::{ClientError, Connection, Execute, Parameter};
use crate::config::ChangeLogLimits;

/// How many records are deleted in one transaction.
const BITE: u64 = 10_000;

/// Writes a note, unless there is one from the last half minute, and deletes notes that are no
/// longer needed.
const NOTE: &str = "INSERT INTO _freshql_note (at, oldest)
  SELECT clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot())
  WHERE NOT EXISTS (SELECT FROM _freshql_note WHERE at > clock_timestamp() - interval '30 seconds') ON CONFLICT DO NOTHING";
const FORGET: &str = "DELETE FROM _freshql_note WHERE at < (SELECT max(at) FROM _freshql_note
  WHERE at <= clock_timestamp() - make_interval(secs => $1::float8))";

/// Deletes records of transactions that this database has not had yet. Logical replication of all
/// tables brings another database's log, and the triggers record here what it applies anyway.
const FOREIGN: &str =
    "DELETE FROM _freshql_change WHERE xid >= pg_snapshot_xmax(pg_current_snapshot())";

/// Only one node at a time.
const TURN: &str = "SELECT floor FROM _freshql_run FOR UPDATE SKIP LOCKED";

/// The first transaction whose records are kept. Older records are deleted if they are too old or
/// too many; in the latter case only those that every future snapshot includes and this node has
/// read.
const STAYS: &str = "SELECT greatest(
    (SELECT max(oldest) FROM _freshql_note WHERE at <= clock_timestamp() - make_interval(secs => $1::float8)),
    (SELECT least(xid, pg_snapshot_xmin(pg_current_snapshot()), $3::xid8) FROM _freshql_change
      ORDER BY xid DESC, seq DESC OFFSET $2::bigint - 1 LIMIT 1))";

/// The floor is raised in the same transaction: a node that has not read these records forgets what
/// it knows.
const DELETE: &str = "WITH gone AS (DELETE FROM _freshql_change WHERE (xid, seq) IN
    (SELECT xid, seq FROM _freshql_change WHERE xid < $1::xid8 ORDER BY xid, seq LIMIT $2::bigint) RETURNING xid),
  risen AS (UPDATE _freshql_run SET floor = greatest(floor, (SELECT (max(xid)::text::bigint + 1)::text::xid8 FROM gone))
    WHERE EXISTS (SELECT FROM gone))
  SELECT count(*) FROM gone";

/// Deletes one batch; returns the number of records. None if another node is at work.
///
/// # Errors
/// Those of the database.
async fn bite(
    connection: &mut Connection,
    limits: ChangeLogLimits,
    read: u64,
) -> Result<Option<u64>, ClientError> {
    let (seconds, records) = (limits.max_age.as_secs().to_string(), limits.max_records.to_string());
    let read = read.to_string();
    connection.script("BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE").await?;
    if connection.query(Execute::text(TURN, &[])).await?.is_empty() {
        connection.script("ROLLBACK").await?;
        return Ok(None);
    }
    let stays = [Parameter::Text(&seconds), Parameter::Text(&records), Parameter::Text(&read)];
    let stays = connection.query(Execute::text(STAYS, &stays)).await?;
    let mut deleted = 0;
    if let Some(xid) = stays.first().and_then(|row| row.text(0)) {
        let most = BITE.to_string();
        let rows = connection
            .query(Execute::text(DELETE, &[Parameter::Text(xid), Parameter::Text(&most)]))
            .await?;
        deleted = rows.first().and_then(|row| row.int(0)).unwrap_or_default();
    }
    connection.script("COMMIT").await?;
    Ok(u64::try_from(deleted).ok())
}

/// Deletes records that are too old or too many; returns their number. `read`: the node has read
/// the records of all transactions below this one.
///
/// # Errors
/// Those of the database; what was deleted before stays deleted.
pub(super) async fn prune(
    connection: &mut Connection,
    limits: ChangeLogLimits,
    read: u64,
) -> Result<usize, ClientError> {
    let seconds = limits.max_age.as_secs().to_string();
    connection
        .flight(&[
            Execute::text(FOREIGN, &[]),
            Execute::text(NOTE, &[]),
            Execute::text(FORGET, &[Parameter::Text(&seconds)]),
        ])
        .await?;
    let mut all = 0;
    loop {
        let deleted = match bite(connection, limits, read).await {
            Ok(deleted) => deleted.unwrap_or(0),
            Err(error) => {
                if !connection.is_broken() {
                    connection.drain().await?;
                }
                return Err(error);
            }
        };
        all += usize::try_from(deleted).unwrap_or(usize::MAX);
        if deleted < BITE {
            return Ok(all);
        }
    }
}
