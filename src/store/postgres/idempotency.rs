//! Answers to mutations that must take effect once, however often and to whichever server a client
//! sends them.

use std::time::Duration;

use super::client::Rows;
use crate::store::transaction::KeptAnswer;

/// Takes the key for this transaction, after waiting for any concurrent one with the same key. No
/// row: the key is taken, and the answer is there, unless it is older than `$2` seconds.
pub(super) const TAKE: &str = "INSERT INTO _freshql_idempotency AS kept (key, request, answer) VALUES ($1::text, '', '') \
     ON CONFLICT (key) DO UPDATE SET request = '', answer = '', at = clock_timestamp() \
     WHERE kept.at <= clock_timestamp() - make_interval(secs => $2::text::float8) RETURNING 1";

pub(super) const FIND: &str =
    "SELECT request, answer FROM _freshql_idempotency WHERE key = $1::text";

pub(super) const KEEP: &str = "UPDATE _freshql_idempotency SET request = $2::bytea, answer = $3::bytea, \
     at = clock_timestamp() WHERE key = $1::text";

/// Deletes some of the answers that are older than `$1` seconds, except those that another session
/// is deleting.
pub(super) const FORGET: &str = "DELETE FROM _freshql_idempotency WHERE key IN (SELECT key FROM _freshql_idempotency \
     WHERE at <= clock_timestamp() - make_interval(secs => $1::text::float8) LIMIT 100 FOR UPDATE SKIP LOCKED)";

/// The parameter of [`TAKE`] and [`FORGET`].
pub(super) fn seconds(retention: Duration) -> String {
    retention.as_secs().to_string()
}

/// The row of [`FIND`].
pub(super) fn kept(rows: &Rows) -> Option<KeptAnswer> {
    let row = rows.first()?;
    let bytes = |column| row.bytes(column).unwrap_or_default().to_vec();
    Some(KeptAnswer { request: bytes(0), answer: bytes(1) })
}
