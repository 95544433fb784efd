//! Changes one row as another program would: with plain SQL, without going through this server.

use rusqlite::{Connection, params};

use super::row::{Parameter, StepRow};
use crate::model::{Column, ColumnId, Entity, Scalar, Value};
use crate::store::schema::layout::SqlName;
use crate::store::source::Row as _;

/// The keys of some rows of an entity.
pub(super) fn keys(
    connection: &Connection,
    entity: &Entity,
    most: usize,
) -> rusqlite::Result<Vec<Value>> {
    let key = SqlName::new(&entity.column(entity.key).name);
    let sql = format!("SELECT {key} FROM {} LIMIT {most}", SqlName::new(&entity.table));
    let mut statement = connection.prepare(&sql)?;
    let mut found = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = found.next()? {
        keys.push(StepRow(row).get(0).to_value());
    }
    Ok(keys)
}

/// Changes the value of a column in one row; returns the number of records that this added to the
/// change log. None if there is no other valid value, or the database refuses the change.
pub(super) fn alter(
    connection: &Connection,
    entity: &Entity,
    key: &Value,
    id: ColumnId,
) -> rusqlite::Result<Option<u64>> {
    let (column, table) = (entity.column(id), SqlName::new(&entity.table));
    let Some(other) = other_value(column) else { return Ok(None) };
    let newest: i64 =
        connection
            .query_row("SELECT ifnull(max(seq), 0) FROM _freshql_change", [], |row| row.get(0))?;
    let (key_column, name) =
        (SqlName::new(&entity.column(entity.key).name), SqlName::new(&column.name));
    let sql = format!(
        "UPDATE {table} SET {name} = {other} WHERE {key_column} = ? AND {name} IS NOT {other}"
    );
    if !matches!(connection.execute(&sql, params![Parameter(key.as_ref())]), Ok(1)) {
        return Ok(None);
    }
    let sql = "SELECT count(*) FROM _freshql_change WHERE seq > ?";
    connection
        .query_row(sql, [newest], |row| row.get::<_, i64>(0))
        .map(|count| u64::try_from(count).ok())
}

/// SQL for a value that the column does not have yet, according to its type.
fn other_value(column: &Column) -> Option<String> {
    let name = SqlName::new(&column.name);
    let either = |one: &str, other: &str| {
        format!("CASE WHEN {name} IS '{one}' THEN '{other}' ELSE '{one}' END")
    };
    Some(match &column.scalar {
        Scalar::Int | Scalar::BigInt | Scalar::Float | Scalar::Decimal { .. } => {
            format!("ifnull({name}, 0) + 1")
        }
        Scalar::Boolean => format!("1 - ifnull({name}, 0)"),
        Scalar::String => format!("ifnull({name}, '') || 'x'"),
        Scalar::Date => either("2001-02-03", "2001-02-04"),
        Scalar::DateTime => either("2001-02-03T04:05:06.000Z", "2001-02-03T04:05:07.000Z"),
        Scalar::Uuid => {
            either("0191408b-7983-7be4-aaa9-5d21c6f3b6cd", "0191408b-7983-7be4-aaa9-5d21c6f3b6ce")
        }
        Scalar::Json => either("1", "2"),
        Scalar::IdInt | Scalar::IdText | Scalar::IdUuid | Scalar::Enum(_) => return None,
    })
}
