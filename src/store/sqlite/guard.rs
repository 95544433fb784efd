//! Whether SQLite's triggers and columns stand as the model needs them ([`Guard`]).
//!
//! SQLite counts the changes of the schema (`PRAGMA schema_version`). The count is part of every
//! ETag and row token: a trigger that was dropped, and is back before anybody looked, has perhaps
//! missed changes, and no validator from before may match what was read behind it.

use rusqlite::Connection;

use super::migrate::{self, Applied};
use crate::model::Model;
use crate::store::error::StoreError;
use crate::store::guard::{Guard, newer};

/// Looks at the schema. `history` is what had been applied when this server started: what came
/// later belongs to another model.
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

/// The count of the schema's changes, as the snapshot of this connection has it.
pub(super) fn schema_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA schema_version")?.query_row([], |row| row.get(0))
}

/// What validators start from: of another database, or of another state of its schema, it is
/// another one.
pub(super) fn identity(epoch: &[u8; 16], schema: i64) -> [u8; 16] {
    let hash = blake3::Hasher::new().update(epoch).update(&schema.to_le_bytes()).finalize();
    let mut identity = [0; 16];
    identity.copy_from_slice(&hash.as_bytes()[..16]);
    identity
}
