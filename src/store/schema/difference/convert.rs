//! Converts the values of a column to another type, in both dialects. Nothing is lost silently: a
//! value that the new type cannot represent stops the migration.

use crate::model::Scalar;
use crate::store::schema::layout::SqlName;

/// Whether values of both types are stored in the same way, in both dialects.
pub(in crate::store) fn is_kept_alike(a: Scalar, b: Scalar) -> bool {
    form(a) == form(b)
}

/// A scalar without the details that do not affect its storage.
fn form(scalar: Scalar) -> Scalar {
    match scalar {
        Scalar::IdInt => Scalar::BigInt,
        Scalar::IdText | Scalar::Enum(_) => Scalar::String,
        Scalar::IdUuid => Scalar::Uuid,
        other => other,
    }
}

/// The SQLite expression for the new value. By default the value is taken as it is: a STRICT table
/// accepts it if it can be converted without loss, and CHECKs do the rest.
pub(in crate::store) fn in_sqlite(was: Scalar, now: Scalar, name: &SqlName) -> String {
    let power = |scale: u8| 10_i64.pow(u32::from(scale));
    let whole = |digits: i64, otherwise: &str| {
        format!("CASE WHEN {name} % {digits} = 0 THEN {name} / {digits} ELSE {otherwise} END")
    };
    // A string is not a number: the STRICT table refuses it, and the message shows it.
    let refused = |why: &str| format!("'{why}: ' || {name}");
    match (form(was), form(now)) {
        (Scalar::Decimal { scale: a, .. }, Scalar::Decimal { scale: b, .. }) if a == b => {
            name.to_string()
        }
        (Scalar::Decimal { scale: a, .. }, Scalar::Decimal { scale: b, .. }) if a < b => {
            format!("{name} * {}", power(b - a))
        }
        (Scalar::Decimal { scale: a, .. }, Scalar::Decimal { scale: b, .. }) => {
            whole(power(a - b), &refused("would lose digits"))
        }
        (Scalar::Int | Scalar::BigInt, Scalar::Decimal { scale: 0, .. })
        | (Scalar::Decimal { scale: 0, .. }, Scalar::Int | Scalar::BigInt) => name.to_string(),
        (Scalar::Int | Scalar::BigInt, Scalar::Decimal { scale, .. }) => {
            format!("{name} * {}", power(scale))
        }
        (Scalar::Decimal { scale, .. }, Scalar::Int | Scalar::BigInt) => {
            whole(power(scale), &refused("would lose digits"))
        }
        (Scalar::Decimal { scale, .. }, Scalar::Float) => format!("{name} / {}.0", power(scale)),
        (Scalar::Float, Scalar::Decimal { scale, .. }) => format!(
            "CASE WHEN round({name}, {scale}) = {name} THEN CAST(round({name} * {}) AS INTEGER) ELSE {} END",
            power(scale),
            refused("would lose digits")
        ),
        (Scalar::Decimal { scale: 0, .. }, Scalar::String) => name.to_string(),
        (Scalar::Decimal { scale, .. }, Scalar::String) => format!(
            "CASE WHEN {name} < 0 THEN '-' ELSE '' END || (abs({name}) / {digits}) || '.' || printf('%0{scale}d', abs({name}) % {digits})",
            digits = power(scale)
        ),
        (Scalar::Float, Scalar::String) => format!(
            "CASE WHEN CAST(CAST({name} AS TEXT) AS REAL) = {name} THEN CAST({name} AS TEXT) ELSE printf('%!.17g', {name}) END"
        ),
        (Scalar::Boolean, Scalar::String) => {
            format!("CASE {name} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END")
        }
        (Scalar::Date, Scalar::DateTime) => format!("{name} || 'T00:00:00.000Z'"),
        (Scalar::DateTime, Scalar::Date) => {
            format!(
                "CASE WHEN {name} LIKE '%T00:00:00.000Z' THEN substr({name}, 1, 10) ELSE {name} END"
            )
        }
        // Whole numbers would be mistaken for hundredths, or the other way round.
        (_, Scalar::Decimal { .. }) => {
            format!("CASE WHEN {name} IS NOT NULL THEN {} END", refused("no decimal yet"))
        }
        (Scalar::Decimal { .. }, _) => {
            format!("CASE WHEN {name} IS NOT NULL THEN {} END", refused("was a decimal"))
        }
        _ => name.to_string(),
    }
}

/// The PostgreSQL expression for the new value, if the types differ.
pub(in crate::store) fn in_postgres(
    was: Scalar,
    now: Scalar,
    name: &SqlName,
    new_type: &str,
) -> String {
    let base = new_type.split(" COLLATE ").next().unwrap_or(new_type);
    // Values that are not numbers fail, and the message shows them.
    let exact = |test: String, value: String| {
        format!(
            "CASE WHEN {name} IS NULL OR {test} THEN {value} ELSE ('would be changed: ' || {name})::{base} END"
        )
    };
    match (form(was), form(now)) {
        (Scalar::Decimal { scale: a, .. }, Scalar::Decimal { scale: b, .. }) if a <= b => {
            name.to_string()
        }
        (Scalar::Decimal { .. }, Scalar::Decimal { scale, .. }) => {
            exact(format!("{name} = round({name}, {scale})"), name.to_string())
        }
        (Scalar::Decimal { .. }, Scalar::Int | Scalar::BigInt) => {
            exact(format!("{name} = round({name})"), format!("{name}::{base}"))
        }
        (Scalar::Float, Scalar::Int | Scalar::BigInt) => {
            exact(format!("{name} = round({name})"), format!("{name}::{base}"))
        }
        (Scalar::Float, Scalar::Decimal { scale, .. }) => exact(
            format!("{name}::numeric = round({name}::numeric, {scale})"),
            format!("{name}::numeric"),
        ),
        (Scalar::Int | Scalar::BigInt, Scalar::Boolean) => {
            exact(format!("{name} IN (0, 1)"), format!("{name} = 1"))
        }
        (Scalar::Boolean, Scalar::BigInt) => format!("{name}::integer::bigint"),
        (Scalar::Boolean, Scalar::Float | Scalar::Decimal { .. }) => {
            format!("{name}::integer::{base}")
        }
        (Scalar::DateTime, Scalar::Date) => exact(
            format!("{name} AT TIME ZONE 'UTC' = date_trunc('day', {name} AT TIME ZONE 'UTC')"),
            format!("({name} AT TIME ZONE 'UTC')::date"),
        ),
        (Scalar::Date, Scalar::DateTime) => format!("{name}::timestamp AT TIME ZONE 'UTC'"),
        (Scalar::DateTime, Scalar::String) => {
            format!("to_char({name} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')")
        }
        (_, Scalar::Json) => format!("{name}::text::jsonb"),
        // Not every type can be cast to every other; as text, every value can be tried.
        (a, b) if is_castable(a, b) => format!("{name}::{base}"),
        _ => format!("{name}::text::{base}"),
    }
}

fn is_castable(a: Scalar, b: Scalar) -> bool {
    let is_number = |scalar| {
        matches!(scalar, Scalar::Int | Scalar::BigInt | Scalar::Float | Scalar::Decimal { .. })
    };
    (is_number(a) && is_number(b)) || a == Scalar::String || b == Scalar::String
}
