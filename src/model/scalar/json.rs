//! Writes the storage form as JSON, directly into the answer's bytes; this runs for every value of
//! every answer. A value that does not have the form of its type was written by another program; it
//! is refused and never shown.

use thiserror::Error;

use super::quote::article;
use super::uuid::is_uuid;
use super::{Misfit, Scalar, ValueRef, decimal, time};
use crate::json::write_string;
use crate::model::Model;

/// A value in the database that its column's type does not allow. The error says of what kind it
/// is, and never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("is {found} in the database, but must be {expected}")]
pub struct CorruptValue {
    /// What the type takes.
    pub expected: String,
    /// The kind of value that was found.
    pub found: String,
}

impl Scalar {
    /// Writes a value as JSON; NULL as `null`, whether or not the column allows it.
    ///
    /// # Errors
    /// [`CorruptValue`]; nothing was written.
    pub fn write_json(
        self,
        model: &Model,
        value: ValueRef<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), CorruptValue> {
        match (self, value) {
            (_, ValueRef::Null) => out.extend_from_slice(b"null"),
            (Self::String | Self::IdText, ValueRef::Text(text)) => write_string(text, out),
            (Self::IdInt | Self::BigInt, ValueRef::Int(int)) => {
                out.push(b'"');
                write_int(int, out);
                out.push(b'"');
            }
            // In tables of other programs, a column that mixes numbers and strings is read as
            // strings.
            (Self::String, ValueRef::Int(int)) => {
                out.push(b'"');
                write_int(int, out);
                out.push(b'"');
            }
            (Self::String, ValueRef::Real(float)) if float.is_finite() => {
                out.push(b'"');
                write_float(float, out);
                out.push(b'"');
            }
            (Self::Int, ValueRef::Int(int)) if i32::try_from(int).is_ok() => write_int(int, out),
            (Self::Boolean, ValueRef::Int(0)) => out.extend_from_slice(b"false"),
            (Self::Boolean, ValueRef::Int(1)) => out.extend_from_slice(b"true"),
            (Self::Float, ValueRef::Real(float)) if float.is_finite() => write_float(float, out),
            (Self::Float, ValueRef::Int(int)) => write_float(int as f64, out),
            (Self::Decimal { scale, .. }, ValueRef::Int(scaled)) => {
                out.push(b'"');
                decimal::write(scaled, scale, out);
                out.push(b'"');
            }
            (Self::DateTime, ValueRef::Text(text)) if time::is_date_time(text) => {
                write_plain(text, out)
            }
            (Self::Date, ValueRef::Text(text)) if time::is_date(text) => write_plain(text, out),
            (Self::Uuid | Self::IdUuid, ValueRef::Text(text)) if is_uuid(text) => {
                write_plain(text, out)
            }
            (Self::Enum(id), ValueRef::Text(text))
                if model.enum_type(id).values.iter().any(|(value, _)| value == text) =>
            {
                write_plain(text, out);
            }
            (Self::Json, ValueRef::Text(text)) if is_json(text) => {
                out.extend_from_slice(text.as_bytes())
            }
            _ => {
                return Err(CorruptValue {
                    expected: self.expected(model),
                    found: self.kind(value).to_string(),
                });
            }
        }
        Ok(())
    }

    /// What the database must hold for this type.
    fn expected(self, model: &Model) -> String {
        match self {
            Self::Int => "an Int of 32 bits".to_owned(),
            Self::Decimal { precision, scale: 0 } => {
                format!("a Decimal of at most {precision} digits, none after the point")
            }
            Self::Decimal { precision, scale } => {
                format!("a Decimal of at most {precision} digits, {scale} of them after the point")
            }
            Self::DateTime => "a DateTime such as 2026-11-22T09:30:00.000Z".to_owned(),
            Self::Date => "a Date such as 2026-11-22".to_owned(),
            Self::Uuid | Self::IdUuid => "a UUID in lower case".to_owned(),
            Self::Enum(id) => format!("a value of the enum {}", model.enum_type(id).name),
            other => article(other.built_in_name()),
        }
    }

    /// What kind of value was found where this type does not allow it.
    fn kind(self, value: ValueRef<'_>) -> Misfit {
        match (self, value) {
            (_, ValueRef::Other(misfit)) => misfit,
            (Self::Int, ValueRef::Int(_)) => Misfit::TooManyBits,
            (Self::Boolean, ValueRef::Int(_)) => Misfit::NeitherZeroNorOne,
            (_, ValueRef::Int(_)) => Misfit::Integer,
            (_, ValueRef::Real(float)) if float.is_nan() => Misfit::Nan,
            (_, ValueRef::Real(float)) if float.is_infinite() => Misfit::Infinite,
            (_, ValueRef::Real(_)) => Misfit::Float,
            // As the PostgreSQL driver writes what no DateTime and no Date can be.
            (Self::DateTime | Self::Date, ValueRef::Text("infinity" | "-infinity")) => {
                Misfit::Infinite
            }
            (Self::DateTime | Self::Date, ValueRef::Text(text))
                if text.ends_with(" since 2000") =>
            {
                Misfit::OutsideTheYears
            }
            (Self::DateTime | Self::Date | Self::Uuid | Self::IdUuid, ValueRef::Text(_)) => {
                Misfit::OtherForm
            }
            (Self::Enum(_), ValueRef::Text(_)) => Misfit::OtherName,
            (Self::Json, ValueRef::Text(_)) => Misfit::NotJson,
            (_, ValueRef::Text(_)) => Misfit::String,
            (_, ValueRef::Null) => Misfit::OtherType,
        }
    }
}

/// JSON that another program wrote is sent unchanged: the row's version covers it, so it stays the
/// same.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// A string without anything to escape.
fn write_plain(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Decimal digits.
fn write_int(int: i64, out: &mut Vec<u8>) {
    // At most 19 digits and a sign; filled from the end.
    let mut buffer = [0; 20];
    let mut start = buffer.len();
    let mut rest = int.unsigned_abs();
    loop {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if int < 0 {
        start -= 1;
        buffer[start] = b'-';
    }
    out.extend_from_slice(&buffer[start..]);
}

/// The shortest digits that parse back to the same number.
fn write_float(float: f64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &float).expect("writing a number into memory cannot fail");
}
