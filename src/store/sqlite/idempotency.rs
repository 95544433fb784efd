//! Answers to mutations that are to take effect once, however often a client sends them.

use rusqlite::{Connection, OptionalExtension};

use crate::store::transaction::KeptAnswer;

/// How long an answer is kept, in seconds. Who retries later than a day does something new.
const KEPT: i64 = 86_400;

/// What was answered to the mutation with this key, if that is not too long ago.
pub(super) fn find(connection: &Connection, key: &str) -> rusqlite::Result<Option<KeptAnswer>> {
    let sql = "SELECT request, answer FROM _freshql_idempotency WHERE key = ? AND at > unixepoch() - ?";
    let mut statement = connection.prepare_cached(sql)?;
    let kept = statement.query_row((key, KEPT), |row| Ok(KeptAnswer { request: row.get(0)?, answer: row.get(1)? }));
    kept.optional()
}

/// Keeps an answer, and forgets those that were kept long enough.
pub(super) fn keep(connection: &Connection, key: &str, request: &[u8], answer: &[u8]) -> rusqlite::Result<()> {
    let sql = "DELETE FROM _freshql_idempotency WHERE at <= unixepoch() - ?";
    connection.prepare_cached(sql)?.execute([KEPT])?;
    let sql = "INSERT INTO _freshql_idempotency (key, request, answer) VALUES (?, ?, ?)";
    connection.prepare_cached(sql)?.execute((key, request, answer)).map(drop)
}
