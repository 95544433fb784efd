//! Reads the change log of a PostgreSQL database, which the [triggers](super::triggers) write.

use std::sync::Once;

use super::client::{ClientError, Connection, Execute, Parameter, RowRef};
use super::migrate::SCHEMA;
use crate::dependency::{Mark, Version};
use crate::model::{ColumnId, Entity, Model, Scalar, Value};
use crate::store::change_log::{Change, Changes, Op, Record, Search};

/// The log's entity for changes to registered documents. No real entity can have this name: GraphQL
/// names have no slash.
pub(super) const DOCUMENTS: &str = "/q";

/// How many records are read in one go. Requests wait until all are read: beyond this number,
/// forgetting everything costs less.
pub(super) const MOST_AT_ONCE: usize = 100_000;

/// The columns of a record, in this order.
macro_rules! columns {
    ($of:literal) => {
        concat!(
            $of,
            "seq, ",
            $of,
            "entity, ",
            $of,
            "id, ",
            $of,
            "op, ",
            $of,
            "changed, ",
            $of,
            "parts"
        )
    };
}

/// The records of transactions that began after the previous snapshot; `$1` is its `xmax`. Written
/// so that the plan is a range scan of the single index, whatever the planner's statistics say.
pub(super) const SINCE: &str = concat!(
    "SELECT ",
    columns!(""),
    " FROM _freshql_change WHERE xid >= $1::xid8 AND xid < pg_snapshot_xmax(pg_current_snapshot())
       ORDER BY xid, seq LIMIT 100001"
);

/// The records of transactions that were running in the previous snapshot; `$1` is its `xip`.
pub(super) const OF_RUNNING: &str = concat!(
    "SELECT ",
    columns!("c."),
    " FROM unnest($1::xid8[]) AS x (xid) CROSS JOIN LATERAL (SELECT * FROM _freshql_change AS l
       WHERE l.xid >= x.xid AND l.xid <= x.xid ORDER BY l.xid, l.seq LIMIT 100001) AS c"
);

/// The newest record, approximately: for display only.
pub(in crate::store) const NEWEST: &str =
    "SELECT coalesce((SELECT seq FROM _freshql_change ORDER BY xid DESC, seq DESC LIMIT 1), 0)";

/// How many records [`Search::Latest`] examines.
const LOOKED_AT: u32 = 100_000;

/// What a record describes.
pub(super) enum Read {
    /// A change to a row of the model.
    Change(Change),
    /// A change to a registered document.
    Document(String),
    /// A change to the schema: everything that is known may be wrong.
    Everything,
    /// Nothing that this model knows.
    Nothing,
}

/// Adds a record; false if it says that anything may have changed.
pub(super) fn add(model: &Model, row: &RowRef<'_>, changes: &mut Changes) -> bool {
    match read(model, row) {
        Read::Change(change) => changes.rows.push(change),
        Read::Document(id) => changes.documents.push(id),
        Read::Everything => return false,
        Read::Nothing => {}
    }
    true
}

fn read(model: &Model, row: &RowRef<'_>) -> Read {
    let name = row.text(1).unwrap_or_default();
    if name == DOCUMENTS {
        return Read::Document(row.string(2));
    }
    let op = row.bytes(3).unwrap_or_default();
    if name == SCHEMA {
        return Read::Everything;
    }
    let Some(entity) = model.entity_by_name(name) else { return Read::Nothing };
    let seq = Version(row.int(0).unwrap_or_default());
    let op = match op {
        b"I" => Op::Insert,
        b"U" => Op::Update(changed(entity, row.text(4).unwrap_or_default())),
        b"D" => Op::Delete,
        _ => return Read::Change(Change::of_everything(seq, entity.id)),
    };
    let id = row.text(2).and_then(|id| value(entity.column(entity.key).scalar, id));
    // It is unknown which row it was.
    let Some(id) = id else { return Read::Change(Change::of_everything(seq, entity.id)) };
    let (parts, unread) = parts(entity, row.bytes(5), &op);
    if let Some(column) = unread.first() {
        let column = &entity.column(*column).name;
        REPORTED.call_once(|| {
            tracing::warn!(
                seq = seq.0,
                table = entity.table,
                column,
                "a value in the change log cannot be read and counts as any value; logged once"
            );
        });
    }
    Read::Change(Change { seq, entity: entity.id, id, op, parts, unread })
}

/// Whether a warning about an unreadable value in the log has been logged.
static REPORTED: Once = Once::new();

/// The columns whose names appear in this space-separated list. A column's name may contain a space
/// itself and may then be found by mistake: an extra column is harmless.
fn changed(entity: &Entity, names: &str) -> Vec<ColumnId> {
    let padded = format!(" {names} ");
    entity
        .column_ids()
        .filter(|id| padded.contains(&format!(" {} ", entity.column(*id).name)))
        .collect()
}

/// The values of the columns that can restrict lists, and the columns whose values cannot be read.
/// A column that can restrict lists only since the record was written has no values here. That is
/// safe: answers with such lists are newer, since the model is part of every ETag.
fn parts(
    entity: &Entity,
    array: Option<&[u8]>,
    op: &Op,
) -> (Vec<(ColumnId, Vec<Value>)>, Vec<ColumnId>) {
    let (mut parts, mut unread) = (Vec::new(), Vec::new());
    let Some(array) = array else { return (parts, unread) };
    let Some(strings) = strings(array) else {
        return (parts, entity.column_ids().filter(|id| entity.column(*id).part).collect());
    };
    for triple in strings.chunks_exact(3) {
        let [Some(name), old, new] = *triple else { continue };
        let Some(id) = entity.column_ids().find(|id| entity.column(*id).name == name) else {
            continue;
        };
        let scalar = entity.column(id).scalar;
        let value = |text: Option<&str>| text.map_or(Some(Value::Null), |text| value(scalar, text));
        let values: Option<Vec<Value>> = match op {
            Op::Insert => value(new).map(|new| vec![new]),
            Op::Delete => value(old).map(|old| vec![old]),
            Op::Update(_) => value(old).zip(value(new)).map(|(old, new)| vec![old, new]),
        };
        match values {
            Some(values) => parts.push((id, values)),
            None => unread.push(id),
        }
    }
    (parts, unread)
}

/// The elements of an array of strings in binary format.
fn strings(array: &[u8]) -> Option<Vec<Option<&str>>> {
    let mut rest = array;
    let mut number = || {
        let (number, after) = rest.split_first_chunk()?;
        rest = after;
        Some(i32::from_be_bytes(*number))
    };
    let dimensions = number()?;
    // The NULL flag, and the type of the elements.
    number()?;
    number()?;
    if dimensions == 0 {
        return Some(Vec::new());
    }
    let count = usize::try_from(number()?).ok().filter(|_| dimensions == 1)?;
    number()?;
    let mut strings = Vec::with_capacity(count.min(1000));
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk()?;
        rest = after;
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            strings.push(None);
            continue;
        };
        let (string, after) = rest.split_at_checked(length)?;
        rest = after;
        strings.push(Some(std::str::from_utf8(string).ok()?));
    }
    Some(strings)
}

/// A value of a column of this type, as the triggers write it. None if the model has no such value.
fn value(scalar: Scalar, text: &str) -> Option<Value> {
    Some(match scalar {
        Scalar::IdInt | Scalar::Int | Scalar::BigInt => Value::Int(text.parse().ok()?),
        Scalar::Boolean => Value::Int(i64::from(text == "true" || text == "t")),
        Scalar::Float => Value::Real(text.parse().ok().filter(|number: &f64| number.is_finite())?),
        Scalar::Decimal { scale, .. } => Value::Int(scaled(text, scale)?),
        Scalar::DateTime => {
            let instant = jiff::Timestamp::from_millisecond(text.parse().ok()?).ok()?;
            Value::text(instant.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
        }
        Scalar::Date if text.len() != 10 => return None,
        Scalar::IdText
        | Scalar::IdUuid
        | Scalar::String
        | Scalar::Date
        | Scalar::Uuid
        | Scalar::Json
        | Scalar::Enum(_) => Value::text(text),
    })
}

/// A decimal as an integer, in units of its last digit; None if it has more digits than that.
fn scaled(text: &str, scale: u8) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > usize::from(scale) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{fraction:0<width$}", width = usize::from(scale)).parse().ok()
}

/// Up to `limit` records that left one of these marks (sorted). For diagnosis: without an index,
/// this takes a while.
///
/// # Errors
/// Those of the database.
/// The database's.
pub(in crate::store) async fn touching(
    connection: &mut Connection,
    model: &Model,
    marks: &[Mark],
    search: Search,
    limit: usize,
) -> Result<Vec<Record>, ClientError> {
    let columns = columns!("");
    let (after, direction, looked_at) = match search {
        Search::After(seq) => (seq, "", u32::MAX),
        Search::Latest => (Version(0), "DESC", LOOKED_AT),
    };
    let sql = format!(
        "SELECT {columns}, floor(extract(epoch FROM at))::bigint FROM _freshql_change WHERE seq > $1::bigint
         ORDER BY xid {direction}, seq {direction} LIMIT {looked_at}"
    );
    let after = after.0.to_string();
    let rows = connection.query(Execute::binary(&sql, &[Parameter::Text(&after)])).await?;
    let mut found = Vec::new();
    for row in rows.iter() {
        let Read::Change(change) = read(model, &row) else { continue };
        if found.len() == limit {
            break;
        }
        if change.marks().iter().any(|mark| marks.binary_search(mark).is_ok()) {
            found.push(Record { change, at: row.int(6).unwrap_or_default() });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_the_model() {
        let decimal = Scalar::Decimal { precision: 10, scale: 2 };
        for (scalar, text, wanted) in [
            (Scalar::Int, "-7", Some(Value::Int(-7))),
            (Scalar::Boolean, "true", Some(Value::Int(1))),
            (Scalar::Boolean, "false", Some(Value::Int(0))),
            (Scalar::Float, "0.30000000000000004", Some(Value::Real(0.1 + 0.2))),
            (Scalar::Float, "NaN", None),
            (decimal, "12.50", Some(Value::Int(1250))),
            (decimal, "-0.05", Some(Value::Int(-5))),
            (decimal, "3", Some(Value::Int(300))),
            (decimal, "1.2300", Some(Value::Int(123))),
            (decimal, "1.234", None),
            (decimal, "NaN", None),
            (Scalar::DateTime, "1795339800123", Some(Value::text("2026-11-22T09:30:00.123Z"))),
            (Scalar::DateTime, "-1", Some(Value::text("1969-12-31T23:59:59.999Z"))),
            (Scalar::DateTime, "Infinity", None),
            (Scalar::Date, "2026-11-22", Some(Value::text("2026-11-22"))),
            (Scalar::Date, "10000-01-01", None),
            (Scalar::String, "", Some(Value::text(""))),
        ] {
            assert_eq!(value(scalar, text), wanted, "{scalar:?} {text}");
        }
    }

    #[test]
    fn arrays_are_read_with_nulls_and_truncated_ones_refused() {
        let mut array = Vec::new();
        for number in [1_i32, 1, 25, 3, 1, 1] {
            array.extend(number.to_be_bytes());
        }
        array.extend(b"a");
        array.extend((-1_i32).to_be_bytes());
        array.extend(0_i32.to_be_bytes());
        assert_eq!(strings(&array), Some(vec![Some("a"), None, Some("")]));
        assert_eq!(strings(&array[..array.len() - 1]), None);
        assert_eq!(strings(&[0; 12]), Some(Vec::new()));
        assert_eq!(strings(&[]), None);
    }
}
