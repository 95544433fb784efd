//! What a column's declaration says of its values. A column contains only values of its type, so the
//! types determine the model; rows are only examined for numbers without declared digits.

use super::Server;
use crate::model::naming::singularize;
use crate::model::scalar::MAX_DIGITS;
use crate::model::{EnumId, Scalar};
use crate::store::error::AdminError;
use crate::store::postgres::catalogue::{FoundColumn, FoundTable};
use crate::store::postgres::client::Execute;
use crate::store::schema::layout::SqlName;
use crate::store::schema::pull::names::pascal;
use crate::store::schema::pull::source::{Column, Known};
use crate::store::schema::pull::values::OUR_NOW;

impl Server {
    pub(super) fn column(
        &self,
        table: &FoundTable,
        found: &FoundColumn,
    ) -> Result<Column, AdminError> {
        let key = table.key().iter().position(|name| *name == found.name).map_or(0, |at| at + 1);
        let mut known = self.known(table, found)?;
        if found.is_generated && known.scalar.is_some() {
            known.directives.push("@readonly".to_owned());
        }
        // How keys are generated is handled elsewhere.
        let default =
            found.default.as_deref().filter(|_| key == 0 && !found.is_generated).map(default_of);
        Ok(Column {
            name: found.name.clone(),
            sql_type: plain_type(found, &known).to_owned(),
            // It cannot be given a value.
            not_null: found.not_null && !found.is_generated,
            default,
            key: i64::try_from(key).unwrap_or_default(),
            is_generated: false,
            collation: match found.is_compared_by_bytes() {
                true => "BINARY".to_owned(),
                false => found
                    .collation
                    .clone()
                    .filter(|_| !found.is_deterministic)
                    .unwrap_or_else(|| found.base.clone()),
            },
            known: Some(known),
        })
    }

    /// What the model has for this column.
    fn known(&self, table: &FoundTable, found: &FoundColumn) -> Result<Known, AdminError> {
        let of = |scalar| Known { scalar: Some(scalar), ..Known::default() };
        let noted = |scalar, note: &str| Known { note: Some(note.to_owned()), ..of(scalar) };
        Ok(match found.base.as_str() {
            _ if found.kind == "e" => enumerated(pascal(&found.base_type), &found.values),
            "text" | "varchar" => match checked_values(table, found) {
                Some(values) => enumerated(
                    format!("{}{}", pascal(&singularize(&table.name)), pascal(&found.name)),
                    &values,
                ),
                None => of(Scalar::String),
            },
            "citext" | "bpchar" => noted(
                Scalar::String,
                &format!(
                    "declared {}: freshql compares strings by their bytes, for which its index does not serve",
                    found.sql_type
                ),
            ),
            "name" => of(Scalar::String),
            "int2" | "int4" => of(Scalar::Int),
            "int8" => of(Scalar::BigInt),
            "float4" | "float8" => of(Scalar::Float),
            "bool" => of(Scalar::Boolean),
            "uuid" => of(Scalar::Uuid),
            "jsonb" | "json" => of(Scalar::Json),
            "date" => of(Scalar::Date),
            "timestamptz" => of(Scalar::DateTime),
            "timestamp" => noted(Scalar::DateTime, "declared without a time zone, and read as UTC"),
            "numeric" => self.numeric(table, found)?,
            _ => Known {
                note: Some(format!("declared {}, and no type reads it", found.sql_type)),
                ..Known::default()
            },
        })
    }

    /// A number with the declared digits; if there are none, with those that its rows have.
    fn numeric(&self, table: &FoundTable, found: &FoundColumn) -> Result<Known, AdminError> {
        let declared =
            found.base_type.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')'));
        let digits = declared.and_then(|declared| {
            let (precision, scale) = declared.split_once(',').unwrap_or((declared, "0"));
            Some((precision.parse::<i64>().ok()?, scale.parse::<i64>().ok()?))
        });
        let (precision, scale, note) = match digits {
            Some((precision, scale)) => (precision, scale, None),
            None => {
                let column = SqlName::new(&found.name);
                let sql = format!(
                    "SELECT max(length(trunc(abs({column}))::text)), max(min_scale({column})) FROM {} WHERE {column} <> 'NaN'",
                    table.qualified()
                );
                let rows = self.connection.borrow_mut().query(Execute::text(&sql, &[]))?;
                let row = rows.first();
                let number = |at| row.as_ref().and_then(|row| row.int(at)).unwrap_or(0);
                let (whole, scale) = (number(0), number(1));
                let most = i64::from(MAX_DIGITS);
                let precision = if whole + scale > most { whole + scale } else { most };
                (
                    precision,
                    scale,
                    Some(
                        "declared without digits: these are the most that its rows have room for"
                            .to_owned(),
                    ),
                )
            }
        };
        if !(1..=i64::from(MAX_DIGITS)).contains(&precision) || !(0..=precision).contains(&scale) {
            let note = format!(
                "declared {}, and a Decimal has at most {MAX_DIGITS} digits",
                found.sql_type
            );
            return Ok(Known { note: Some(note), ..Known::default() });
        }
        let scalar = Scalar::Decimal {
            precision: u8::try_from(precision).unwrap_or(MAX_DIGITS),
            scale: u8::try_from(scale).unwrap_or_default(),
        };
        let directives = vec![format!("@column(precision: {precision}, scale: {scale})")];
        Ok(Known { scalar: Some(scalar), directives, note, ..Known::default() })
    }
}

/// The name of a type that is the same in every database.
fn plain_type<'t>(found: &'t FoundColumn, known: &Known) -> &'t str {
    match known.scalar {
        Some(Scalar::String | Scalar::Enum(_)) => "text",
        Some(Scalar::Int) => "integer",
        Some(Scalar::BigInt) => "bigint",
        Some(Scalar::Uuid) => "uuid",
        _ => &found.sql_type,
    }
}

/// An enum, if the model can express all of its values.
fn enumerated(name: String, values: &[String]) -> Known {
    let is_name = |value: &String| {
        let starts = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && !value.starts_with("__");
        starts
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !matches!(value.as_str(), "true" | "false" | "null")
    };
    if values.is_empty() || !values.iter().all(is_name) {
        let note = format!("its values are no names in GraphQL: {}", values.join(", "));
        return Known { scalar: Some(Scalar::String), note: Some(note), ..Known::default() };
    }
    Known {
        scalar: Some(Scalar::Enum(EnumId(0))),
        values: Some((name, values.to_vec())),
        ..Known::default()
    }
}

/// The values that a CHECK allows for a column, as PostgreSQL writes `column IN ('a', 'b')`.
fn checked_values(table: &FoundTable, column: &FoundColumn) -> Option<Vec<String>> {
    let checks = table
        .constraints
        .iter()
        .filter(|check| check.kind == "c" && check.columns == [column.name.as_str()]);
    checks
        .filter_map(|check| {
            let name = SqlName::new(&column.name).to_string();
            let plain: String = check
                .definition
                .replace("::text", "")
                .replace("::character varying", "")
                .replace("[]", "");
            let inner = plain.strip_prefix("CHECK ")?.trim_matches(|c| c == '(' || c == ')');
            let list =
                inner.strip_prefix(&name)?.trim_start_matches(')').strip_prefix(" = ANY (")?;
            let list = list.trim_start_matches('(').strip_prefix("ARRAY[")?.split(']').next()?;
            let value = |item: &str| {
                let item = item.trim().trim_start_matches('(').trim_end_matches(')');
                Some(item.strip_prefix('\'')?.strip_suffix('\'')?.to_owned())
            };
            list.split(", ").map(value).collect()
        })
        .next()
}

/// A default without the casts that PostgreSQL adds; the current time as freshql itself writes it.
fn default_of(written: &str) -> String {
    if let Some(number) = negative(written) {
        return number.to_owned();
    }
    let plain =
        match written.strip_prefix('\'').and_then(|rest| rest.rfind('\'').map(|end| (rest, end))) {
            Some((rest, end)) if rest[end + 1..].starts_with("::") || rest.len() == end + 1 => {
                &written[..end + 2]
            }
            // A cast of the whole, not of an argument in it.
            _ => written.split("::").next().filter(|value| is_balanced(value)).unwrap_or(written),
        };
    match plain.to_ascii_lowercase().as_str() {
        "now()" | "current_timestamp" | "clock_timestamp()" | "transaction_timestamp()" => {
            OUR_NOW.to_owned()
        }
        "current_date" => "current_date".to_owned(),
        _ => plain.to_owned(),
    }
}

/// `'-1'::integer` and `('-1'::integer)::numeric`, as PostgreSQL writes negative numbers.
fn negative(written: &str) -> Option<&str> {
    let (number, casts) = written.trim_start_matches('(').strip_prefix('\'')?.split_once('\'')?;
    let is_of_number =
        casts.trim_start_matches("::").split([':', ')']).next().is_some_and(|cast| {
            matches!(
                cast,
                "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision"
            )
        });
    (number.starts_with('-') && is_of_number).then_some(number)
}

fn is_balanced(expression: &str) -> bool {
    expression.matches('(').count() == expression.matches(')').count()
}
