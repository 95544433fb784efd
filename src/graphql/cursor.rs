//! Cursors: the position of a row in an ordering. They are opaque to clients, bound to the ordering
//! for which they were made, and treated as hostile input when they come back.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::scalar::ValueRef;
use crate::model::{Column, ColumnId, Entity, Order, Scalar, Value};

/// Raise this when the format changes, so that old cursors are refused instead of misread.
const FORMAT: u8 = 1;

/// Identifies an entity and an ordering of its rows in four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderingId([u8; 4]);

/// The id of this ordering.
pub fn ordering_id(entity: &Entity, order: &[(ColumnId, Order)]) -> OrderingId {
    let mut hasher = blake3::Hasher::new();
    hasher.update(entity.name.as_bytes());
    for (column, order) in order {
        let column = entity.column(*column);
        hasher.update(&[
            0,
            u8::from(order.descending),
            u8::from(column.nullable && order.nulls_first),
        ]);
        hasher.update(column.field.as_bytes());
    }
    let mut id = [0; 4];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..4]);
    OrderingId(id)
}

/// Encodes the position of a row whose ordering columns have these values.
///
/// # Errors
/// The column whose value no cursor can hold: no page could continue from it.
pub fn encode<'a>(
    ordering: OrderingId,
    entity: &Entity,
    values: impl Iterator<Item = (ColumnId, ValueRef<'a>)>,
    out: &mut String,
) -> Result<(), ColumnId> {
    let mut bytes = vec![FORMAT];
    bytes.extend_from_slice(&ordering.0);
    for (id, value) in values {
        if !fits(entity.column(id), value) {
            return Err(id);
        }
        match value {
            ValueRef::Null | ValueRef::Other(_) => bytes.push(b'n'),
            ValueRef::Int(value) => {
                bytes.push(b'i');
                bytes.extend_from_slice(&value.to_be_bytes());
            }
            ValueRef::Real(value) => {
                bytes.push(b'r');
                bytes.extend_from_slice(&value.to_be_bytes());
            }
            ValueRef::Text(text) => {
                bytes.push(b't');
                bytes.extend_from_slice(&(text.len() as u32).to_be_bytes());
                bytes.extend_from_slice(text.as_bytes());
            }
        }
    }
    URL_SAFE_NO_PAD.encode_string(bytes, out);
    Ok(())
}

/// Decodes a cursor of this ordering.
///
/// # Errors
/// A message for the client.
pub fn decode(
    text: &str,
    entity: &Entity,
    order: &[(ColumnId, Order)],
    ordering: OrderingId,
) -> Result<Vec<Value>, &'static str> {
    const MALFORMED: &str = "is not a cursor of this server";
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| MALFORMED)?;
    let mut rest = match bytes.split_first() {
        Some((&FORMAT, rest)) => rest,
        _ => return Err(MALFORMED),
    };
    let id = rest.split_off(..4).ok_or(MALFORMED)?;
    if id != ordering.0 {
        return Err(
            "belongs to another list or another ordering; take one from a page that was read with this orderBy",
        );
    }
    let mut values = Vec::with_capacity(order.len());
    for (column, _) in order {
        let column = entity.column(*column);
        let value = take(&mut rest).ok_or(MALFORMED)?;
        if !fits(column, value.as_ref()) {
            return Err(MALFORMED);
        }
        values.push(value);
    }
    if rest.is_empty() { Ok(values) } else { Err(MALFORMED) }
}

/// Whether a column can have this value, as far as its place in an order is concerned. Floats need
/// not be finite, and strings need not have the form of their type.
fn fits(column: &Column, value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Null => column.nullable,
        // In tables of other programs, Float columns may hold integers, and String columns integers
        // and floats.
        ValueRef::Int(_) => column.scalar == Scalar::String || !is_text(column.scalar),
        ValueRef::Real(_) => matches!(column.scalar, Scalar::Float | Scalar::String),
        ValueRef::Text(_) => is_text(column.scalar),
        ValueRef::Other(_) => false,
    }
}

fn take(rest: &mut &[u8]) -> Option<Value> {
    let tag = *rest.split_off_first()?;
    let mut eight =
        || Some(<[u8; 8]>::try_from(rest.split_off(..8)?).expect("eight bytes were split off"));
    Some(match tag {
        b'n' => Value::Null,
        b'i' => Value::Int(i64::from_be_bytes(eight()?)),
        b'r' => Value::Real(f64::from_be_bytes(eight()?)),
        b't' => {
            let length = u32::from_be_bytes(
                <[u8; 4]>::try_from(rest.split_off(..4)?).expect("four bytes were split off"),
            );
            let text = rest.split_off(..length as usize)?;
            Value::Text(std::str::from_utf8(text).ok()?.into())
        }
        _ => return None,
    })
}

fn is_text(scalar: Scalar) -> bool {
    match scalar {
        Scalar::IdText
        | Scalar::IdUuid
        | Scalar::String
        | Scalar::DateTime
        | Scalar::Date
        | Scalar::Uuid => true,
        Scalar::Json | Scalar::Enum(_) => true,
        Scalar::IdInt
        | Scalar::Int
        | Scalar::BigInt
        | Scalar::Float
        | Scalar::Boolean
        | Scalar::Decimal { .. } => false,
    }
}
