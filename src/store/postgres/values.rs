//! Values as parameters of statements and in results. Results are in binary format, so that session
//! settings do not matter. Each value is converted to the model's storage form, whatever the
//! column's type is: the same bytes as in SQLite.

mod numeric;
mod time;

use bytes::BufMut;

use super::client::{Cells, ClientError, Parameter, int};
use super::dialect::type_of;
use crate::json;
use crate::model::Scalar;
use crate::model::scalar::{Misfit, ValueRef, decimal};
use crate::store::source::Row;
use crate::store::statement::Type;
use crate::syntax;

/// A value as it is sent.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Encoded {
    Null,
    Text(String),
    Binary(Vec<u8>),
}

impl Encoded {
    /// As a parameter.
    pub(super) fn parameter(&self) -> Parameter<'_> {
        match self {
            Self::Null => Parameter::Null,
            Self::Text(text) => Parameter::Text(text),
            Self::Binary(bytes) => Parameter::Binary(bytes),
        }
    }
}

/// A value for a parameter of this type. A value that the type cannot represent becomes NULL, which
/// equals nothing.
pub(super) fn encode(value: ValueRef<'_>, ty: Type) -> Encoded {
    match (ty, value) {
        (_, ValueRef::Null | ValueRef::Other(_)) => Encoded::Null,
        (Type::Written(scalar), value) => Encoded::Text(text(value, scalar)),
        (Type::Part, ValueRef::Text(text)) => Encoded::Text(pattern(text)),
        (Type::Scalar(scalar), value) => {
            let mut bytes = Vec::with_capacity(16);
            if binary(value, scalar, &mut bytes) { Encoded::Binary(bytes) } else { Encoded::Null }
        }
        (Type::Boolean, ValueRef::Int(int)) => Encoded::Binary(vec![u8::from(int != 0)]),
        (_, ValueRef::Int(int)) => Encoded::Binary(int.to_be_bytes().to_vec()),
        (_, ValueRef::Text(text)) => Encoded::Binary(text.as_bytes().to_vec()),
        (_, ValueRef::Real(_)) => Encoded::Null,
    }
}

/// As text that the server parses, whatever type the column has.
fn text(value: ValueRef<'_>, scalar: Scalar) -> String {
    match (value, scalar) {
        (ValueRef::Int(int), Scalar::Boolean) => (int != 0).to_string(),
        (ValueRef::Int(int), Scalar::Decimal { scale, .. }) => decimal(int, scale),
        (ValueRef::Int(int), _) => int.to_string(),
        // With as many digits as the exact number needs.
        (ValueRef::Real(real), _) => format!("{real:?}"),
        (ValueRef::Text(text), _) => text.to_owned(),
        (ValueRef::Null | ValueRef::Other(_), _) => String::new(),
    }
}

/// The LIKE pattern of strings that contain this text.
fn pattern(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// Appends a value in binary format; false if the type has no such value.
fn binary(value: ValueRef<'_>, scalar: Scalar, out: &mut Vec<u8>) -> bool {
    match (scalar, value) {
        (Scalar::Boolean, ValueRef::Int(int)) => out.push(u8::from(int != 0)),
        (Scalar::Decimal { scale, .. }, ValueRef::Int(scaled)) => {
            numeric::encode(scaled, scale, out)
        }
        (Scalar::Float, ValueRef::Real(real)) => out.put_f64(real),
        (Scalar::Float, ValueRef::Int(int)) => out.put_f64(int as f64),
        (Scalar::IdInt | Scalar::BigInt | Scalar::Int, ValueRef::Int(int)) => out.put_i64(int),
        (Scalar::IdUuid | Scalar::Uuid, ValueRef::Text(text)) => {
            match uuid::Uuid::try_parse(text) {
                Ok(uuid) => out.extend_from_slice(uuid.as_bytes()),
                Err(_) => return false,
            }
        }
        (Scalar::DateTime, ValueRef::Text(text)) => match time::instant(text) {
            Some(microseconds) => out.put_i64(microseconds),
            None => return false,
        },
        (Scalar::Date, ValueRef::Text(text)) => match time::day(text) {
            Some(days) => out.put_i32(days),
            None => return false,
        },
        (Scalar::IdText | Scalar::String | Scalar::Enum(_), ValueRef::Text(text)) => {
            out.extend_from_slice(text.as_bytes());
        }
        _ => return false,
    }
    true
}

/// The values of a list in binary format, as an array. Values that the type cannot represent are
/// left out, since nothing equals them; with `keeps_places` they become NULL, so that the others
/// keep their positions.
pub(super) fn array<'v>(
    values: impl Iterator<Item = ValueRef<'v>>,
    scalar: Scalar,
    keeps_places: bool,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.put_i32(1);
    out.put_i32(i32::from(keeps_places));
    out.put_u32(oid(scalar));
    let at = out.len();
    out.put_i32(0);
    out.put_i32(1);
    let mut count = 0_i32;
    for value in values {
        let start = out.len();
        out.put_i32(-1);
        if binary(value, scalar, &mut out) {
            let length = i32::try_from(out.len() - start - 4).unwrap_or(i32::MAX);
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
        } else if !keeps_places {
            out.truncate(start);
            continue;
        }
        count += 1;
    }
    out[at..at + 4].copy_from_slice(&count.to_be_bytes());
    if count == 0 {
        // An array without elements has no dimension.
        out.truncate(at);
        out[..4].copy_from_slice(&0_i32.to_be_bytes());
    }
    out
}

/// The oid of this scalar's [`type_of`], which PostgreSQL will never change (`pg_type.dat`).
fn oid(scalar: Scalar) -> u32 {
    match type_of(scalar) {
        "bigint" => 20,
        "text" => 25,
        "uuid" => 2950,
        "double precision" => 701,
        "boolean" => 16,
        "numeric" => 1700,
        "timestamptz" => 1184,
        "date" => 1082,
        _ => 3802,
    }
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Cell {
    Null,
    Int(i64),
    Real(f64),
    /// Its start and end in the table's text.
    Text(u32, u32),
    Other(Misfit),
}

/// The rows of a statement, in the model's storage form: with one text for all of them, and no
/// allocation per value.
#[derive(Debug, Default)]
pub(super) struct Table {
    cells: Vec<Cell>,
    text: String,
    width: usize,
}

impl Table {
    /// Adds a row with columns of these types.
    pub(super) fn push(&mut self, types: &[Type], mut cells: Cells<'_>) -> Result<(), ClientError> {
        self.width = types.len();
        for ty in types {
            let cell = match cells.next_cell()? {
                None => Cell::Null,
                Some(bytes) => self.cell(*ty, bytes),
            };
            self.cells.push(cell);
        }
        Ok(())
    }

    /// Adds a row whose cells come from elsewhere.
    pub(super) fn take<'c>(&mut self, types: &[Type], cell: impl Fn(usize) -> Option<&'c [u8]>) {
        self.width = types.len();
        for (column, ty) in types.iter().enumerate() {
            let cell = cell(column).map_or(Cell::Null, |bytes| self.cell(*ty, bytes));
            self.cells.push(cell);
        }
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.cells.len().checked_div(self.width).unwrap_or(0)
    }

    pub(super) fn get(&self, row: usize, column: usize) -> ValueRef<'_> {
        match self.cells.get(row * self.width + column) {
            Some(Cell::Int(int)) => ValueRef::Int(*int),
            Some(Cell::Real(real)) => ValueRef::Real(*real),
            Some(Cell::Text(start, end)) => self
                .text
                .get(*start as usize..*end as usize)
                .map_or(ValueRef::Other(Misfit::OtherType), ValueRef::Text),
            Some(Cell::Null) | None => ValueRef::Null,
            Some(Cell::Other(misfit)) => ValueRef::Other(*misfit),
        }
    }

    fn cell(&mut self, ty: Type, bytes: &[u8]) -> Cell {
        match ty {
            Type::Scalar(scalar) => self.scalar(scalar, bytes),
            Type::Version | Type::Number => {
                int(bytes).map_or(Cell::Other(Misfit::OtherType), Cell::Int)
            }
            Type::Boolean => Cell::Int(i64::from(bytes == [1])),
            Type::String | Type::Part | Type::Written(_) | Type::List(_) => self.string(bytes),
        }
    }

    fn scalar(&mut self, scalar: Scalar, bytes: &[u8]) -> Cell {
        match scalar {
            Scalar::IdInt | Scalar::BigInt | Scalar::Int => {
                int(bytes).map_or(Cell::Other(Misfit::OtherType), Cell::Int)
            }
            Scalar::Boolean if bytes.len() == 1 => Cell::Int(i64::from(bytes == [1])),
            Scalar::Boolean => Cell::Other(Misfit::OtherType),
            Scalar::Float => match bytes {
                // Adding zero turns -0.0, which SQLite does not preserve, into 0.0.
                [a, b, c, d, e, f, g, h] => {
                    Cell::Real(f64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) + 0.0)
                }
                _ => Cell::Other(Misfit::OtherType),
            },
            Scalar::Decimal { scale, .. } => {
                numeric::decode(bytes, scale).map_or_else(Cell::Other, Cell::Int)
            }
            Scalar::IdUuid | Scalar::Uuid => match uuid::Uuid::from_slice(bytes) {
                Ok(uuid) => {
                    let mut buffer = uuid::Uuid::encode_buffer();
                    let hyphenated: &str = uuid.hyphenated().encode_lower(&mut buffer);
                    self.string(hyphenated.as_bytes())
                }
                Err(_) => self.string(bytes),
            },
            Scalar::DateTime => match int(bytes) {
                Some(microseconds) => self.written(|text| time::write_instant(microseconds, text)),
                None => Cell::Other(Misfit::OtherType),
            },
            Scalar::Date => match bytes {
                [a, b, c, d] => {
                    self.written(|text| time::write_day(i32::from_be_bytes([*a, *b, *c, *d]), text))
                }
                _ => Cell::Other(Misfit::OtherType),
            },
            Scalar::Json => match bytes.split_first() {
                // The version byte of jsonb's binary format.
                Some((1, json)) => self.json(json),
                _ => self.json(bytes),
            },
            Scalar::IdText | Scalar::String | Scalar::Enum(_) => self.string(bytes),
        }
    }

    fn string(&mut self, bytes: &[u8]) -> Cell {
        match std::str::from_utf8(bytes) {
            Ok(string) => self.written(|text| {
                text.push_str(string);
                Ok(())
            }),
            Err(_) => Cell::Other(Misfit::NotUtf8),
        }
    }

    /// In canonical form: jsonb has its own key order and white space.
    fn json(&mut self, bytes: &[u8]) -> Cell {
        match serde_json::from_slice(bytes) {
            Ok(value) => self.string(json::canonical(&syntax::from_json(&value)).as_bytes()),
            Err(_) => Cell::Other(Misfit::NotJson),
        }
    }

    fn written(&mut self, write: impl FnOnce(&mut String) -> std::fmt::Result) -> Cell {
        let start = self.text.len();
        let done = write(&mut self.text);
        match (done, u32::try_from(start), u32::try_from(self.text.len())) {
            (Ok(()), Ok(start), Ok(end)) => Cell::Text(start, end),
            _ => Cell::Other(Misfit::OtherType),
        }
    }
}

/// A row in a shared table.
#[derive(Debug, Clone)]
pub(in crate::store) struct KeptRow {
    pub(super) table: std::sync::Arc<Table>,
    pub(super) row: usize,
    /// The index of the first column that belongs to the row.
    pub(super) first: usize,
}

impl Row for KeptRow {
    fn get(&self, index: usize) -> ValueRef<'_> {
        self.table.get(self.row, self.first + index)
    }
}

#[cfg(test)]
mod tests;
