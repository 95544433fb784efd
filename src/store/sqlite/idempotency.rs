//! Answers to mutations that must take effect once, however often a client sends them.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};

use crate::store::transaction::KeptAnswer;

/// The answer to the mutation with this key, if it is not older than this.
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

/// Stores an answer, and deletes expired ones.
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
