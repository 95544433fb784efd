//! Deletes records of the change log that nobody needs any more. Any node may do it, and nobody
//! waits for it: who finds another one at work leaves it to that one.
//!
//! What may go is told by notes: now and then somebody writes down which transactions were still
//! running. When a note is as old as records may become, every transaction below its number has
//! ended before, and whoever follows the log has read its records. The time in a record tells
//! nothing: a transaction of hours commits records that are hours old.

use super::client::{ClientError, Connection, Execute, Parameter};
use crate::config::ChangeLogLimits;

/// Records that are deleted in one transaction.
const BITE: u64 = 10_000;

/// Writes a note, unless there is one of the last half minute, and deletes those that tell nothing
/// any more.
const NOTE: &str = "INSERT INTO _freshql_note (at, oldest)
  SELECT clock_timestamp(), pg_snapshot_xmin(pg_current_snapshot())
  WHERE NOT EXISTS (SELECT FROM _freshql_note WHERE at > clock_timestamp() - interval '30 seconds') ON CONFLICT DO NOTHING";
const FORGET: &str = "DELETE FROM _freshql_note WHERE at < (SELECT max(at) FROM _freshql_note
  WHERE at <= clock_timestamp() - make_interval(secs => $1::float8))";

/// Only one at a time.
const TURN: &str = "SELECT floor FROM _freshql_run FOR UPDATE SKIP LOCKED";

/// From which transaction on records stay: those that are too old go, and those that are too many;
/// of the latter only what every snapshot from now on has, and whoever prunes has read.
const STAYS: &str = "SELECT greatest(
    (SELECT max(oldest) FROM _freshql_note WHERE at <= clock_timestamp() - make_interval(secs => $1::float8)),
    (SELECT least(xid, pg_snapshot_xmin(pg_current_snapshot()), $3::xid8) FROM _freshql_change
      ORDER BY xid DESC, seq DESC OFFSET $2::bigint - 1 LIMIT 1))";

/// The floor rises in the same transaction: a node that has not read these records forgets what it
/// knows.
const DELETE: &str = "WITH gone AS (DELETE FROM _freshql_change WHERE (xid, seq) IN
    (SELECT xid, seq FROM _freshql_change WHERE xid < $1::xid8 ORDER BY xid, seq LIMIT $2::bigint) RETURNING xid),
  risen AS (UPDATE _freshql_run SET floor = greatest(floor, (SELECT (max(xid)::text::bigint + 1)::text::xid8 FROM gone))
    WHERE EXISTS (SELECT FROM gone))
  SELECT count(*) FROM gone";

/// Deletes one bite; says how many records that were. None: somebody else is at it.
///
/// # Errors
/// The database's.
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

/// Deletes what is too old or too much; says how many records that were. `read`: the node has read
/// the records of all transactions below.
///
/// # Errors
/// The database's; what was deleted before stays deleted.
pub(super) async fn prune(
    connection: &mut Connection,
    limits: ChangeLogLimits,
    read: u64,
) -> Result<usize, ClientError> {
    let seconds = limits.max_age.as_secs().to_string();
    connection
        .flight(&[Execute::text(NOTE, &[]), Execute::text(FORGET, &[Parameter::Text(&seconds)])])
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
