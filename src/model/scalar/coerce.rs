//! Coerces GraphQL input to the storage form, strictly: a value is accepted exactly or refused,
//! never rounded, truncated or guessed. Null is up to the caller, who knows what is nullable.

use async_graphql::{Number, Value as Input};

use super::quote::{article, quoted, shortened};
use super::{Scalar, Value, decimal, time, uuid};
use crate::json;
use crate::model::naming::with_article;
use crate::model::{EnumType, Model};
use crate::syntax::{long_integer, long_number};

/// The largest integer that JavaScript's numbers represent exactly. A larger JSON number has
/// probably lost digits before it arrived.
const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// The number of decimal digits that a float preserves from text and back.
const FLOAT_DIGITS: usize = 15;

/// Where an input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The document: enums are names, integers are exact.
    Literal,
    /// The request's JSON: enums are strings, and integers have passed through the client's JSON
    /// writer.
    Variable,
}

impl Scalar {
    /// The storage form of an input that is not null.
    ///
    /// # Errors
    /// What was expected and what was found.
    pub fn coerce(self, model: &Model, input: &Input, source: Source) -> Result<Value, String> {
        self.coerce_with(&model.enums, input, source)
    }

    /// The same before there is a model.
    pub(in crate::model) fn coerce_with(
        self,
        enums: &[EnumType],
        input: &Input,
        source: Source,
    ) -> Result<Value, String> {
        match self {
            Self::IdInt => id_int(input, source).map(Value::Int),
            Self::IdText => match input {
                Input::String(text) => without_nul(text, "ID").map(Value::text),
                Input::Number(number) => {
                    Ok(Value::text(integer(number, source, "ID")?.to_string()))
                }
                // Any integer is a valid ID.
                Input::Binary(kept) if long_integer(kept).is_some() => {
                    Ok(Value::text(long_number(kept)))
                }
                other => Err(expected("an ID", other)),
            },
            Self::IdUuid | Self::Uuid => match input {
                Input::String(text) => uuid::parse(text).map(Value::Text),
                other => Err(expected("a UUID", other)),
            },
            Self::String => match input {
                Input::String(text) => without_nul(text, "String").map(Value::text),
                other => Err(expected("a String", other)),
            },
            Self::Int => int(input, source).map(Value::Int),
            Self::BigInt => big_int(input, source).map(Value::Int),
            Self::Float => match input {
                // Adding zero turns -0.0, which SQLite does not store, into 0.0.
                Input::Number(number) => number.as_f64().map(|float| Value::Real(float + 0.0)),
                Input::Binary(kept) => long_number(kept)
                    .parse()
                    .ok()
                    .filter(|float: &f64| float.is_finite())
                    .map(Value::Real),
                _ => None,
            }
            .ok_or_else(|| expected("a Float", input)),
            Self::Boolean => match input {
                Input::Boolean(boolean) => Ok(Value::Int(i64::from(*boolean))),
                other => Err(expected("`true` or `false`", other)),
            },
            Self::Decimal { precision, scale } => match input {
                Input::String(text) => decimal::parse(text, precision, scale).map(Value::Int),
                Input::Number(number) => {
                    decimal::parse(&decimal_text(number, source)?, precision, scale).map(Value::Int)
                }
                other => Err(expected("a Decimal", other)),
            },
            Self::DateTime => match input {
                Input::String(text) => time::date_time(text).map(Value::text),
                other => Err(expected("a DateTime such as \"2026-11-22T09:30:00Z\"", other)),
            },
            Self::Date => match input {
                Input::String(text) => time::date(text).map(Value::text),
                other => Err(expected("a Date such as \"2026-11-22\"", other)),
            },
            Self::Json => {
                check_json(input)?;
                Ok(Value::text(json::canonical(input)))
            }
            Self::Enum(id) => enum_value(&enums[usize::from(id.0)], input, source),
        }
    }
}

fn id_int(input: &Input, source: Source) -> Result<i64, String> {
    match input {
        Input::String(text) => {
            canonical_integer(text).ok_or_else(|| expected("an ID that is an integer", input))
        }
        Input::Number(number) => integer(number, source, "ID"),
        other => Err(expected("an ID that is an integer", other)),
    }
}

fn int(input: &Input, source: Source) -> Result<i64, String> {
    let Input::Number(number) = input else { return Err(expected("an Int", input)) };
    match number.as_i64().or_else(|| whole(number, source)) {
        Some(int) if i32::try_from(int).is_ok() => Ok(int),
        Some(_) => Err(expected("an Int of 32 bits", input)),
        None => Err(expected("an Int", input)),
    }
}

fn big_int(input: &Input, source: Source) -> Result<i64, String> {
    match input {
        Input::String(text) => {
            canonical_integer(text).ok_or_else(|| expected("a BigInt of 64 bits", input))
        }
        Input::Number(number) => match whole(number, source) {
            Some(int) => Ok(int),
            None => integer(number, source, "BigInt"),
        },
        other => Err(expected("a BigInt", other)),
    }
}

/// JSON writers that have only floats send `1.0` or `1e3` for an integer; a document means what it
/// says. Beyond the range in which floats are exact, it may not be the intended integer.
fn whole(number: &Number, source: Source) -> Option<i64> {
    let is_float = source == Source::Variable && number.as_i64().is_none();
    let float = number.as_f64().filter(|float| is_float && float.fract() == 0.0)?;
    (float.abs() <= MAX_SAFE_INTEGER as f64).then_some(float as i64)
}

/// An integer from a number, if it is certain to be the intended one.
fn integer(number: &Number, source: Source, name: &str) -> Result<i64, String> {
    let int = number.as_i64().ok_or_else(|| {
        format!("expected {} that is an integer, found {}", article(name), shortened(number))
    })?;
    if source == Source::Variable && int.unsigned_abs() > MAX_SAFE_INTEGER {
        return Err(format!(
            "expected {} as a string, because the number {number} may have lost digits",
            article(name)
        ));
    }
    Ok(int)
}

/// A number's decimal digits, if they are certain to be the intended ones.
fn decimal_text(number: &Number, source: Source) -> Result<String, String> {
    if number.as_i64().is_some() {
        return integer(number, source, "Decimal").map(|int| int.to_string());
    }
    let mut text = number.to_string();
    if let (true, Some(float)) = (text.contains(['e', 'E']), number.as_f64()) {
        // Without an exponent.
        text = float.to_string();
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    let zeros = if text.contains('.') {
        0
    } else {
        text.bytes().rev().take_while(|digit| *digit == b'0').count()
    };
    if digits - zeros.min(digits) > FLOAT_DIGITS {
        return Err(format!(
            "expected a Decimal as a string, because the number {} may have lost digits",
            shortened(number)
        ));
    }
    Ok(text)
}

/// `-5`, but not `+5`, `05` or `-0`: one spelling per value.
fn canonical_integer(text: &str) -> Option<i64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let leads_with_zero = unsigned.starts_with('0') && text != "0";
    if leads_with_zero || unsigned.starts_with('+') { None } else { text.parse().ok() }
}

/// PostgreSQL cannot store U+0000 in strings, so SQLite must not either.
fn without_nul<'t>(text: &'t str, name: &str) -> Result<&'t str, String> {
    if text.contains('\0') {
        return Err(format!("expected {} without the character U+0000", article(name)));
    }
    Ok(text)
}

fn enum_value(declared: &EnumType, input: &Input, source: Source) -> Result<Value, String> {
    let word = match (source, input) {
        (Source::Literal, Input::Enum(word)) => word.as_str(),
        (Source::Variable, Input::String(word)) => word.as_str(),
        (Source::Variable, Input::Enum(word)) => word.as_str(),
        (Source::Literal, Input::String(word))
            if declared.values.iter().any(|(value, _)| value == word) =>
        {
            return Err(format!(
                "expected {}, which is written without quotes, found {}",
                with_article(&declared.name),
                quoted(word)
            ));
        }
        (_, other) => return Err(expected(&article(&declared.name), other)),
    };
    if declared.values.iter().any(|(value, _)| value == word) {
        return Ok(Value::text(word));
    }
    let values = declared.values.iter().map(|(value, _)| value.as_str());
    let help = crate::model::diagnostic::suggest(word, values)
        .map(|help| format!("; {help}"))
        .unwrap_or_default();
    Err(format!("{} has no value `{word}`{help}", declared.name))
}

/// Refuses what JSON, or PostgreSQL's `jsonb`, cannot represent.
fn check_json(input: &Input) -> Result<(), String> {
    match input {
        Input::Null | Input::Boolean(_) | Input::Number(_) => Ok(()),
        Input::String(text) => without_nul(text, "JSON").map(|_| ()),
        Input::List(items) => items.iter().try_for_each(check_json),
        Input::Object(members) => members.iter().try_for_each(|(name, value)| {
            without_nul(name, "JSON")?;
            check_json(value)
        }),
        Input::Enum(word) => {
            Err(format!("expected JSON, found the name `{word}`; strings in JSON are quoted"))
        }
        Input::Binary(kept) if overflows_float(long_number(kept)) => Err(format!(
            "expected JSON whose numbers are in the range of a Float, found {}",
            shortened(long_number(kept))
        )),
        Input::Binary(_) => Ok(()),
    }
}

/// JSON does not limit numbers, but most of its readers would turn such a number into infinity or
/// zero.
fn overflows_float(number: &str) -> bool {
    let mantissa = number.split(['e', 'E']).next().unwrap_or_default();
    let is_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    let float: f64 = number.parse().unwrap_or(f64::INFINITY);
    float.is_infinite() || (float == 0.0 && !is_zero)
}

fn expected(what: &str, found: &Input) -> String {
    let found = match found {
        Input::String(text) => quoted(text),
        Input::List(_) => "a list".to_owned(),
        Input::Object(_) => "an object".to_owned(),
        Input::Binary(kept) => shortened(long_number(kept)),
        Input::Number(number) => shortened(number),
        other => other.to_string(),
    };
    format!("expected {what}, found {found}")
}
