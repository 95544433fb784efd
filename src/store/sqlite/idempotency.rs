//! Answers to mutations that are to take effect once, however often a client sends them.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::store::transaction::KeptAnswer;

/// What was answered to the mutation with this key, if that is not longer ago than this.
pub(super) fn find(
    connection: &Connection,
    key: &str,
    retention: Duration,
) -> rusqlite::Result<Option<KeptAnswer>> {
    let sql =
        "SELECT request, answer FROM _freshql_idempotency WHERE key = ? AND at > unixepoch() - ?";
    let mut statement = connection.prepare_cached(sql)?;
    let kept = statement.query_row((key, seconds(retention)), |row| {
        Ok(KeptAnswer { request: row.get(0)?, answer: row.get(1)? })
    });
    kept.optional()
}

fn seconds(retention: Duration) -> i64 {
    i64::try_from(retention.as_secs()).unwrap_or(i64::MAX)
}

/// Keeps an answer, and forgets those that were kept long enough.
pub(super) fn keep(
    connection: &Connection,
    key: &str,
    request: &[u8],
    answer: &[u8],
    retention: Duration,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM _freshql_idempotency WHERE at <= unixepoch() - ?";
    connection.prepare_cached(sql)?.execute([seconds(retention)])?;
    let sql = "INSERT INTO _freshql_idempotency (key, request, answer) VALUES (?, ?, ?)";
    connection.prepare_cached(sql)?.execute((key, request, answer)).map(drop)
}
