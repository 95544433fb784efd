//! The expressions in a column's declaration: its default, and the CHECK that its values must pass.

use crate::model::scalar::MAX_DIGITS;
use crate::model::{DefaultValue, Scalar, Value};
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, TableColumn};

/// The expression after DEFAULT. Keys that the server generates have none; the current time has one
/// for other programs.
pub(in crate::store) fn default_expression(column: &TableColumn) -> Option<String> {
    match column.default.as_ref()? {
        DefaultValue::Value(value) => Some(literal(value)),
        DefaultValue::Now if column.scalar == Scalar::Date => Some("(date('now'))".to_owned()),
        DefaultValue::Now => Some("(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))".to_owned()),
        DefaultValue::UuidV7 | DefaultValue::Autoincrement | DefaultValue::Claim(_) => None,
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::Null => "NULL".to_owned(),
        Value::Int(number) => number.to_string(),
        // `{:?}` writes the shortest text that parses back to the same number, always with a point
        // or an exponent.
        Value::Real(number) => format!("{number:?}"),
        Value::Text(text) => string_literal(text),
    }
}

/// The CHECK of a column, beyond its type. The values of a foreign key are checked in the
/// referenced table.
pub(in crate::store) fn check_expression(column: &TableColumn) -> Option<String> {
    if column.references.is_some() {
        return None;
    }
    check_of(&column.name, column.scalar, column.nullable, &column.enum_values)
}

/// The CHECK for a scalar; NULL passes all of them. No two scalars with different storage have the
/// same CHECK, so the scalar that a column was created for can be read back from the database.
pub(in crate::store) fn check_of(
    name: &SqlName,
    scalar: Scalar,
    nullable: bool,
    enum_values: &[String],
) -> Option<String> {
    match scalar {
        Scalar::Boolean => Some(format!("{name} IN (0, 1)")),
        Scalar::Int => Some(format!("{name} BETWEEN {} AND {}", i32::MIN, i32::MAX)),
        Scalar::Decimal { precision, scale } => {
            let power = |digits: u8| 10_i64.pow(u32::from(digits.min(MAX_DIGITS)));
            let largest = power(precision.saturating_sub(scale)) - 1;
            // Limits the digits before the point. This is the only place in the database that
            // records the scale.
            match scale {
                0 => Some(format!("{name} BETWEEN -{largest} AND {largest}")),
                _ if largest == 0 => Some(format!("{name} / {} = 0", power(scale))),
                _ => Some(format!("{name} / {} BETWEEN -{largest} AND {largest}", power(scale))),
            }
        }
        // SQLite parses 9e999 as infinity.
        Scalar::Float => Some(format!("abs({name}) < 9e999")),
        // `+0 days` makes SQLite compute the date, so that the 30th of February becomes another day
        // and is refused.
        Scalar::DateTime => {
            Some(format!("{name} IS strftime('%Y-%m-%dT%H:%M:%fZ', {name}, '+0 days')"))
        }
        Scalar::Date => Some(format!("{name} IS date({name}, '+0 days')")),
        Scalar::IdUuid | Scalar::Uuid => {
            Some(format!("length({name}) = 36 AND {name} NOT GLOB '*[^0-9a-f-]*'"))
        }
        // Before SQLite 3.42, NULL was not valid JSON, and other programs use their own SQLite.
        Scalar::Json if nullable => Some(format!("{name} IS NULL OR json_valid({name})")),
        Scalar::Json => Some(format!("json_valid({name})")),
        Scalar::Enum(_) => {
            let values: Vec<String> =
                enum_values.iter().map(|value| string_literal(value)).collect();
            Some(format!("{name} IN ({})", values.join(", ")))
        }
        Scalar::IdInt | Scalar::IdText | Scalar::String | Scalar::BigInt => None,
    }
}
