//! Moves sequences past keys that were inserted explicitly, by an import with its own ids or when a
//! table was restored. PostgreSQL's sequence does not see such keys, and would generate them again.

use super::client::{ClientError, Execute, Parameter};
use super::pool::Lease;
use crate::model::Entity;
use crate::store::schema::layout::SqlName;

/// Moves the sequence of this entity's key past the largest existing key. False if it is already
/// there, or if the key has no sequence.
pub(super) async fn move_on(lease: &mut Lease, entity: &Entity) -> Result<bool, ClientError> {
    let (table, key) = (SqlName::new(&entity.table), &entity.column(entity.key).name);
    let sql = format!(
        "SELECT setval(seq, top) FROM (SELECT pg_get_serial_sequence($1::text, $2::text)::regclass AS seq,
           (SELECT max({}) FROM {table})::bigint AS top) AS counted
         WHERE seq IS NOT NULL AND top >= coalesce(pg_sequence_last_value(seq), 0)",
        SqlName::new(key)
    );
    let name = table.to_string();
    let rows = lease
        .connection()
        .query(Execute::text(&sql, &[Parameter::Text(&name), Parameter::Text(key)]))
        .await?;
    Ok(!rows.is_empty())
}
