//! The scalar types: what a column holds, and the form in which the store keeps it.

use std::sync::Arc;

use super::EnumId;

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `ID` over an INTEGER / bigint key: always a string in JSON.
    IdInt,
    /// `ID` over a text key that the client gives.
    IdText,
    /// `ID` over a UUID key, lower-case.
    IdUuid,
    /// `String`.
    String,
    /// 32 bits.
    Int,
    /// 64 bits, a string in JSON.
    BigInt,
    /// Finite.
    Float,
    /// `true`, `false`.
    Boolean,
    /// Kept as an integer, scaled by ten to the `scale`; at most 18 digits.
    Decimal {
        /// Digits in all, 1 to 18.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// An instant in UTC, in milliseconds; kept as `2026-11-22T09:30:00.000Z`.
    DateTime,
    /// A day; kept as `2026-11-22`.
    Date,
    /// Lower-case.
    Uuid,
    /// Any JSON; kept with sorted keys and without white space.
    Json,
    /// One of the enum's names.
    Enum(EnumId),
}

/// A value in the form in which the store keeps it (SQLite's own; the PostgreSQL driver converts by [`Scalar`]).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// Also Boolean (0, 1) and Decimal (scaled).
    Int(i64),
    /// Float.
    Real(f64),
    /// Everything else.
    Text(Arc<str>),
}
