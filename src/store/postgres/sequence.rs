//! Keys that the database counts, where others have given keys of their own: an import with its
//! ids, a restored table. PostgreSQL does not count these, and would give them once more.

use super::client::{ClientError, Execute, Parameter};
use super::pool::Lease;
use crate::model::Entity;
use crate::store::schema::layout::SqlName;

/// Lets the keys of this entity's table go on behind the largest that is there. False where they do
/// already, or where no sequence counts them.
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
