//! The scalar types: what a column holds, the form in which the store keeps it, how it comes in
//! from GraphQL (`coerce.rs`) and goes out as JSON (`json.rs`).

mod coerce;
mod decimal;
mod json;
mod quote;
mod time;
mod uuid;

use std::sync::Arc;

use super::{EnumId, Model};

pub use coerce::Source;
pub use decimal::to_text as decimal;
pub use json::CorruptValue;
pub(crate) use uuid::is_uuid;

/// Most digits that a Decimal has: its scaled form fits 64 bits.
pub const MAX_DIGITS: u8 = 18;

/// The scalars that a model may name. `ID` and `Decimal` stand for their usual forms; keys and
/// `@column` refine them.
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

impl Scalar {
    /// The present moment, as a column of this type (DateTime or Date) keeps it.
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

    /// The same where no model is at hand: enums have no name then.
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

    /// Is it an `ID`, over whatever key?
    pub fn is_id(self) -> bool {
        matches!(self, Self::IdInt | Self::IdText | Self::IdUuid)
    }

    /// Filters have `eq neq in notIn` for it. All but JSON.
    pub fn is_filterable(self) -> bool {
        self != Self::Json
    }

    /// Filters have `lt lte gt gte` for it: what has an order that clients know. Identifiers, enums
    /// and Booleans are only ever equal or not.
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

    /// Filters have `contains startsWith endsWith` for it.
    pub fn is_textual(self) -> bool {
        self == Self::String
    }

    /// Lists may be ordered by it. All but JSON; enums by their names, as the database has them.
    pub fn is_sortable(self) -> bool {
        self != Self::Json
    }
}

/// A value in the form in which the store keeps it (SQLite's own; the PostgreSQL driver converts by
/// [`Scalar`]).
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

impl Value {
    /// A text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// The same, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Int(*int),
            Self::Real(real) => ValueRef::Real(*real),
            Self::Text(text) => ValueRef::Text(text),
        }
    }
}

/// A [`Value`] that is still where the database put it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// NULL.
    Null,
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Real(f64),
    /// A text.
    Text(&'a str),
    /// What no type of the model can hold: a blob, or a text that is not UTF-8. An external writer
    /// put it there.
    Other,
}

impl ValueRef<'_> {
    /// The same, owned. [`ValueRef::Other`] becomes NULL.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null | Self::Other => Value::Null,
            Self::Int(int) => Value::Int(int),
            Self::Real(real) => Value::Real(real),
            Self::Text(text) => Value::text(text),
        }
    }
}

#[cfg(test)]
mod tests;
