//! The scalar types: what a column contains, its storage form, and how values come in from GraphQL
//! (`coerce.rs`) and go out as JSON (`json.rs`).

mod coerce;
mod decimal;
mod json;
mod quote;
pub(crate) mod time;
mod uuid;

use std::fmt;
use std::sync::Arc;

use super::{EnumId, Model};

pub use coerce::Source;
pub use decimal::to_text as decimal;
pub use json::CorruptValue;
pub(crate) use uuid::is_uuid;

/// The maximum number of digits of a Decimal, so that its scaled form fits 64 bits.
pub const MAX_DIGITS: u8 = 18;

/// The scalars that a model may name. `ID` and `Decimal` are refined by the key and by `@column`.
pub const BUILT_IN: [(&str, Scalar); 11] = [
    ("ID", Scalar::IdText),
    ("String", Scalar::String),
    ("Int", Scalar::Int),
    ("BigInt", Scalar::BigInt),
    ("Float", Scalar::Float),
    ("Boolean", Scalar::Boolean),
    ("Decimal", Scalar::Decimal { precision: MAX_DIGITS, scale: 4 }),
    ("DateTime", Scalar::DateTime),
    ("Date", Scalar::Date),
    ("UUID", Scalar::Uuid),
    ("JSON", Scalar::Json),
];

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// `ID` for an INTEGER or bigint key; always a string in JSON.
    IdInt,
    /// `ID` for a string key that the client provides.
    IdText,
    /// `ID` for a UUID key, in lower case.
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
    /// Stored as an integer scaled by ten to the `scale`; at most 18 digits.
    Decimal {
        /// The total number of digits, 1 to 18.
        precision: u8,
        /// The number of digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// An instant in UTC with milliseconds; stored as `2026-11-22T09:30:00.000Z`.
    DateTime,
    /// A day; stored as `2026-11-22`.
    Date,
    /// In lower case.
    Uuid,
    /// Any JSON; stored with sorted keys and without white space.
    Json,
    /// The name of one of the enum's values.
    Enum(EnumId),
}

impl Scalar {
    /// The current time in the storage form of this type (DateTime or Date).
    pub fn now(self) -> Value {
        let now = jiff::Timestamp::now();
        let format = if self == Self::Date { "%Y-%m-%d" } else { "%Y-%m-%dT%H:%M:%S.%3fZ" };
        Value::text(now.strftime(format).to_string())
    }

    /// The type's name in GraphQL: `ID` for all keys, the enum's own for enums.
    pub fn graphql_name(self, model: &Model) -> &str {
        match self {
            Self::Enum(id) => &model.enum_type(id).name,
            other => other.built_in_name(),
        }
    }

    /// The same without a model: enums have no name.
    pub fn built_in_name(self) -> &'static str {
        match self {
            Self::IdInt | Self::IdText | Self::IdUuid => "ID",
            Self::String => "String",
            Self::Int => "Int",
            Self::BigInt => "BigInt",
            Self::Float => "Float",
            Self::Boolean => "Boolean",
            Self::Decimal { .. } => "Decimal",
            Self::DateTime => "DateTime",
            Self::Date => "Date",
            Self::Uuid => "UUID",
            Self::Json => "JSON",
            Self::Enum(_) => "enum",
        }
    }

    /// Whether it is an `ID`, whatever the type of the key.
    pub fn is_id(self) -> bool {
        matches!(self, Self::IdInt | Self::IdText | Self::IdUuid)
    }

    /// Whether filters have `eq neq in notIn` for it. All types except JSON.
    pub fn is_filterable(self) -> bool {
        self != Self::Json
    }

    /// Whether filters have `lt lte gt gte` for it, because clients know its order. Ids, enums and
    /// booleans can only be equal or not.
    pub fn is_ordered(self) -> bool {
        match self {
            Self::String | Self::Int | Self::BigInt | Self::Float | Self::DateTime | Self::Date => {
                true
            }
            Self::Decimal { .. } => true,
            Self::IdInt | Self::IdText | Self::IdUuid | Self::Uuid => false,
            Self::Boolean | Self::Json | Self::Enum(_) => false,
        }
    }

    /// Whether filters have `contains startsWith endsWith` for it.
    pub fn is_textual(self) -> bool {
        self == Self::String
    }

    /// Whether lists may be ordered by it. All types except JSON; enums are ordered by name, as in
    /// the database.
    pub fn is_sortable(self) -> bool {
        self != Self::Json
    }
}

/// A value in its storage form (SQLite's; the PostgreSQL driver converts by [`Scalar`]).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// NULL.
    Null,
    /// Also booleans (0, 1) and Decimals (scaled).
    Int(i64),
    /// Float.
    Real(f64),
    /// Everything else.
    Text(Arc<str>),
}

impl Value {
    /// A string.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// Borrows the value.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Int(*int),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text),
        }
    }
}

/// A [`Value`] that is still in the database's memory.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// A string.
    Text(&'a str),
    /// A value that no type of the model can hold, written by an external writer.
    Other(Misfit),
}

/// What a value is that its column's type in the model cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfit {
    /// Binary data.
    Blob,
    /// A string whose bytes are not UTF-8.
    NotUtf8,
    /// Not a number.
    Nan,
    /// Infinite, positive or negative.
    Infinite,
    /// A number of too many digits, before or after the point.
    TooManyDigits,
    /// An integer of more than 32 bits.
    TooManyBits,
    /// An integer, where only 0 and 1 are booleans.
    NeitherZeroNorOne,
    /// Any integer, in a column of another type.
    Integer,
    /// Any floating-point number, in a column of another type.
    Float,
    /// A day or instant outside the years that the model's types have.
    OutsideTheYears,
    /// A string in another form than the type's.
    OtherForm,
    /// A string that is no value of the enum.
    OtherName,
    /// A string that is not JSON.
    NotJson,
    /// Any string, in a column of another type.
    String,
    /// Bytes of another type than the column should have.
    OtherType,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Blob => "binary data",
            Self::NotUtf8 => "a string whose bytes are not UTF-8",
            Self::Nan => "NaN",
            Self::Infinite => "infinite",
            Self::TooManyDigits => "a number of too many digits",
            Self::TooManyBits => "an integer of more than 32 bits",
            Self::NeitherZeroNorOne => "an integer other than 0 and 1",
            Self::Integer => "an integer",
            Self::Float => "a floating-point number",
            Self::OutsideTheYears => "a time outside the years 1 to 9999",
            Self::OtherForm => "a string of another form",
            Self::OtherName => "another string",
            Self::NotJson => "a string that is not JSON",
            Self::String => "a string",
            Self::OtherType => "a value of another type",
        })
    }
}

impl ValueRef<'_> {
    /// The owned value. [`ValueRef::Other`] becomes NULL.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null | Self::Other(_) => Value::Null,
            Self::Int(int) => Value::Int(int),
            Self::Real(real) => Value::Real(real),
            Self::Text(text) => Value::text(text),
        }
    }
}

#[cfg(test)]
mod tests;
