//! Changes one row as another program would: with plain SQL, bypassing this server.

use super::client::{Blocking, ClientError, Execute, Parameter};
use crate::model::{Column, ColumnId, Entity, Scalar, Value};
use crate::store::schema::layout::SqlName;

/// The keys of some rows of an entity.
pub(super) fn keys(
    connection: &mut Blocking,
    entity: &Entity,
    most: usize,
) -> Result<Vec<Value>, ClientError> {
    let key = entity.column(entity.key);
    let name = SqlName::new(&key.name);
    let sql = format!("SELECT {name} FROM {} LIMIT {most}", SqlName::new(&entity.table));
    let rows = connection.query(Execute::text(&sql, &[]))?;
    let value = |text: String| match key.scalar {
        Scalar::IdInt => text.parse().map_or(Value::Null, Value::Int),
        _ => Value::text(text),
    };
    Ok(rows.iter().map(|row| value(row.string(0))).collect())
}

/// Gives a column of a row another value; returns how many records that added to the change log.
/// None if there is no such value, or the database does not allow the change.
pub(super) fn alter(
    connection: &mut Blocking,
    entity: &Entity,
    key: &Value,
    id: ColumnId,
) -> Result<Option<u64>, ClientError> {
    let (column, table) = (entity.column(id), SqlName::new(&entity.table));
    let Some(other) = other_value(column) else { return Ok(None) };
    let (key_column, name) =
        (SqlName::new(&entity.column(entity.key).name), SqlName::new(&column.name));
    let key = match key {
        Value::Int(number) => number.to_string(),
        Value::Text(text) => text.to_string(),
        Value::Real(_) | Value::Null => return Ok(None),
    };
    let sql = format!("UPDATE {table} SET {name} = {other} WHERE {key_column}::text = $1::text");
    connection.script("BEGIN")?;
    match connection.query(Execute::text(&sql, &[Parameter::Text(&key)])) {
        Ok(rows) if rows.affected == 1 => {}
        Ok(_) | Err(ClientError::Server(_)) => return connection.script("ROLLBACK").map(|_| None),
        Err(error) => return Err(error),
    }
    let sql = "SELECT count(*) FROM _freshql_change WHERE xid = pg_current_xact_id()";
    let rows = connection.query(Execute::text(sql, &[]))?;
    connection.script("COMMIT")?;
    Ok(rows.first().and_then(|row| row.int(0)).and_then(|count| u64::try_from(count).ok()))
}

/// SQL for a value that differs from the column's current one, if its type has one.
fn other_value(column: &Column) -> Option<String> {
    let name = SqlName::new(&column.name);
    let either = |one: &str, other: &str| {
        format!("CASE WHEN {name} = '{one}' THEN '{other}' ELSE '{one}' END")
    };
    Some(match &column.scalar {
        Scalar::Int | Scalar::BigInt | Scalar::Float | Scalar::Decimal { .. } => {
            format!("coalesce({name}, 0) + 1")
        }
        Scalar::Boolean => format!("NOT coalesce({name}, false)"),
        Scalar::String => format!("coalesce({name}, '') || 'x'"),
        Scalar::Date => format!("coalesce({name}, '2001-02-03') + 1"),
        Scalar::DateTime => {
            format!("coalesce({name}, '2001-02-03T04:05:06Z') + interval '1 second'")
        }
        Scalar::Uuid => "gen_random_uuid()".to_owned(),
        Scalar::Json => either("1", "2"),
        Scalar::IdInt | Scalar::IdText | Scalar::IdUuid | Scalar::Enum(_) => return None,
    })
}
