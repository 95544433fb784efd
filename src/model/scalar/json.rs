//! The kept form to JSON, straight into the answer's bytes: it runs for every value of every answer. What does not have
//! the form that its type promises was written by somebody else; it is refused and never shown.

use thiserror::Error;

use super::{Scalar, ValueRef, coerce, decimal, time};
use crate::model::Model;

/// A value in the database that its column's type does not allow. Says nothing of the value itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("has a value in the database that is not {}", coerce::article(expected))]
pub struct CorruptValue {
    /// The type's name in GraphQL.
    pub expected: String,
}

impl Scalar {
    /// Writes a value as JSON; NULL as `null`, whether the column allows it or not.
    ///
    /// # Errors
    /// [`CorruptValue`], and then nothing was written.
    pub fn write_json(self, model: &Model, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<(), CorruptValue> {
        match (self, value) {
            (_, ValueRef::Null) => out.extend_from_slice(b"null"),
            (Self::String | Self::IdText, ValueRef::Text(text)) => write_string(text, out),
            (Self::IdInt | Self::BigInt, ValueRef::Int(int)) => {
                out.push(b'"');
                write_int(int, out);
                out.push(b'"');
            }
            // In other people's tables, a column of numbers and texts is read as texts.
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
            (Self::DateTime, ValueRef::Text(text)) if time::is_date_time(text) => write_plain(text, out),
            (Self::Date, ValueRef::Text(text)) if time::is_date(text) => write_plain(text, out),
            (Self::Uuid | Self::IdUuid, ValueRef::Text(text)) if coerce::is_uuid(text) => write_plain(text, out),
            (Self::Enum(id), ValueRef::Text(text))
                if model.enum_type(id).values.iter().any(|(value, _)| value == text) =>
            {
                write_plain(text, out);
            }
            (Self::Json, ValueRef::Text(text)) if is_json(text) => out.extend_from_slice(text.as_bytes()),
            _ => return Err(CorruptValue { expected: self.graphql_name(model).to_owned() }),
        }
        Ok(())
    }
}

/// Somebody else's spelling of JSON goes out as it is: the row's version covers it, so it is the same each time.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// Text without anything to escape.
fn write_plain(text: &str, out: &mut Vec<u8>) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Decimal digits.
fn write_int(int: i64, out: &mut Vec<u8>) {
    // 19 digits and a sign at most; filled from the end.
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

/// The shortest digits that read back as the same number.
fn write_float(float: f64, out: &mut Vec<u8>) {
    serde_json::to_writer(out, &float).expect("writing a number into memory cannot fail");
}

/// Writes a JSON string with its quotes. Runs of clean bytes are copied as they are; UTF-8 stays UTF-8 (RFC 8259,
/// section 7: only quotes, backslashes and control characters must be escaped).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut clean_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        // Eight clean bytes at a time: most texts have nothing to escape.
        if let Some(chunk) = bytes[at..].first_chunk::<8>()
            && is_clean(u64::from_le_bytes(*chunk))
        {
            at += 8;
            continue;
        }
        let byte = bytes[at];
        let escape = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0C => b'f',
            0x00..=0x1F => b'u',
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[clean_from..at]);
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 0xF)]);
        }
        at += 1;
        clean_from = at;
    }
    out.extend_from_slice(&bytes[clean_from..]);
    out.push(b'"');
}

/// Has none of eight bytes to be escaped? (The usual bit trick: a byte less than n, a byte equal to n, for all eight at
/// once. It may call clean bytes dirty after a borrow, never the other way round.)
fn is_clean(word: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let less_than_space = word.wrapping_sub(LOW * 0x20) & !word;
    let quotes = word ^ (LOW * 0x22);
    let backslashes = word ^ (LOW * 0x5C);
    let is_quote = quotes.wrapping_sub(LOW) & !quotes;
    let is_backslash = backslashes.wrapping_sub(LOW) & !backslashes;
    (less_than_space | is_quote | is_backslash) & HIGH == 0
}
