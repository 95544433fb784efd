//! Whether SQLite's triggers and columns are as the model requires ([`Guard`]).
//!
//! SQLite counts schema changes (`PRAGMA schema_version`). The count is part of every ETag and row
//! token: a trigger that was dropped and restored before anybody looked may have missed changes, so
//! no earlier validator may match what is read afterwards.

use rusqlite::Connection;

use super::migrate::{self, Applied};
use crate::model::Model;
use crate::store::error::StoreError;
use crate::store::guard::{Guard, newer};

/// Inspects the schema. `history`: the migrations that had been applied when this server started;
/// later ones belong to another model.
///
/// # Errors
/// The database cannot be read.
pub(super) fn look(
    connection: &Connection,
    model: &Model,
    history: &[Applied],
) -> Result<Guard, StoreError> {
    let schema = schema_version(connection)?;
    let unguarded = match newer(&migrate::applied(connection)?, history) {
        Some(reason) => vec![Some(reason); model.entities.len()],
        None => migrate::check::unguarded(connection, model)?,
    };
    Ok(Guard::new(schema, unguarded))
}

/// SQLite's count of schema changes in this connection's snapshot.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}

/// The seed of all validators; it differs between databases, and between states of a schema.
pub(super) fn identity(epoch: &[u8; 16], schema: i64) -> [u8; 16] {
    let hash = blake3::Hasher::new().update(epoch).update(&schema.to_le_bytes()).finalize();
    let mut identity = [0; 16];
    identity.copy_from_slice(&hash.as_bytes()[..16]);
    identity
}
