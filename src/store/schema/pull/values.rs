//! Chooses the model type that can read a foreign column correctly: the type that its declaration
//! promises, as far as its values comply. SQLite stores any value in any column, and a value in
//! another form than its type's is an error in an answer, so all rows are inspected. If there are
//! none, the type is one that reads whatever other programs may write.

use super::gathered::Values;
use super::source::Column;
use crate::model::Scalar;
use crate::store::sqlite::migrate::check::affinity;

/// The expression for the current time that freshql itself writes, in lower case.
pub(in crate::store) const OUR_NOW: &str = "strftime('%y-%m-%dt%h:%m:%fz','now')";

/// The type of a column, and what its reader should know about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// None if no type can read its values.
    pub(super) scalar: Option<Scalar>,
    pub(super) note: Option<String>,
}

/// Whether SQLite converts a string that looks like a number into one when it is written to this
/// column (`007` becomes 7).
pub(super) fn makes_numbers(sql_type: &str) -> bool {
    matches!(affinity(sql_type), "INTEGER" | "REAL" | "NUMERIC")
}

/// What a declared type promises, going by its usual names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    Boolean,
    Int,
    BigInt,
    Float,
    Decimal,
    Text,
    DateTime,
    Date,
    Json,
    Uuid,
    Bytes,
    Nothing,
}

fn promise(sql_type: &str) -> Promise {
    let upper = sql_type.to_ascii_uppercase();
    let word = upper.split('(').next().unwrap_or_default().trim();
    let has = |part: &str| word.contains(part);
    match word {
        _ if has("BOOL") || upper.replace(' ', "") == "TINYINT(1)" || word == "BIT" => {
            Promise::Boolean
        }
        _ if has("UUID") || has("GUID") || has("UNIQUEIDENTIFIER") => Promise::Uuid,
        _ if has("JSON") => Promise::Json,
        _ if has("DATETIME") || has("TIMESTAMP") => Promise::DateTime,
        "DATE" => Promise::Date,
        _ if has("BIGINT") || word == "INT8" || has("UNSIGNED BIG") => Promise::BigInt,
        // SQLite would find an INT in these names, too, but the programs that write them do not.
        _ if has("INTERVAL") || has("POINT") => Promise::Nothing,
        _ if has("INT") => Promise::Int,
        _ if has("CHAR") || has("TEXT") || has("CLOB") || has("STRING") => Promise::Text,
        _ if has("REAL") || has("FLOA") || has("DOUB") => Promise::Float,
        _ if has("DEC") || has("NUM") || has("MONEY") => Promise::Decimal,
        _ if has("BLOB") || has("BINARY") => Promise::Bytes,
        _ => Promise::Nothing,
    }
}

/// Chooses the type of a column that is neither a key nor a relation.
pub(super) fn choose(column: &Column, values: &Values) -> Choice {
    let declared = if column.sql_type.is_empty() { "without a type" } else { &column.sql_type };
    let fits = |scalar| Choice { scalar: Some(scalar), note: None };
    let promised = promise(&column.sql_type);
    if values.are_none() {
        return of_nothing(promised, declared, column);
    }
    match promised {
        Promise::Boolean if values.are_ints() && values.are_bits => fits(Scalar::Boolean),
        Promise::DateTime if values.have_form(Scalar::DateTime) && !makes_other_times(column) => {
            fits(Scalar::DateTime)
        }
        Promise::Date if values.have_form(Scalar::Date) => fits(Scalar::Date),
        Promise::Uuid if values.have_form(Scalar::Uuid) => fits(Scalar::Uuid),
        Promise::Json if values.have_form(Scalar::Json) => fits(Scalar::Json),
        Promise::Int if values.are_ints() && values.are_small => fits(Scalar::Int),
        Promise::BigInt if values.are_ints() => fits(Scalar::BigInt),
        Promise::Int if values.are_ints() => {
            let note = values
                .fit_32_bits
                .then(|| "its values come near the limit of an Int, 32 bits".to_owned());
            Choice { scalar: Some(Scalar::BigInt), note }
        }
        Promise::Float if values.are_numbers() => fits(Scalar::Float),
        Promise::Text if values.are_texts() => text_of(column),
        Promise::Nothing => by_values(values).map_or_else(|| unreadable(declared, values), fits),
        _ => fallback(promised, declared, values),
    }
}

/// A column without values says nothing about future ones: the type is the widest that is usual for
/// its kind.
fn of_nothing(promised: Promise, declared: &str, column: &Column) -> Choice {
    let none =
        |more: String| Some(format!("declared {declared}, and no row has a value yet: {more}"));
    let (scalar, note) = match promised {
        Promise::Bytes => return unreadable(declared, &Values::default()),
        Promise::Text => return text_of(column),
        Promise::Float => (Scalar::Float, None),
        Promise::Decimal => return fallback(promised, declared, &Values::default()),
        Promise::Int if is_small(&column.sql_type) => (Scalar::Int, None),
        Promise::Int | Promise::BigInt => {
            let note = none("it may be an Int if all values will fit 32 bits".to_owned());
            (Scalar::BigInt, note.filter(|_| promised == Promise::Int))
        }
        Promise::Boolean if has_default(column, &["0", "1", "true", "false"]) => {
            (Scalar::Boolean, None)
        }
        Promise::Boolean if !has_letter_for_default(column) => {
            (Scalar::Boolean, none("all programs must keep 0 or 1".to_owned()))
        }
        Promise::Date if has_default(column, &["current_date", "date('now')"]) => {
            (Scalar::Date, None)
        }
        Promise::DateTime if makes_our_times(column) => (Scalar::DateTime, None),
        Promise::Nothing if declared == "without a type" => {
            (Scalar::String, none("a String reads texts and numbers".to_owned()))
        }
        Promise::Boolean | Promise::Nothing => {
            (Scalar::String, none("a String reads whatever is no blob".to_owned()))
        }
        Promise::DateTime => (
            Scalar::String,
            none(format!("it may be a DateTime if all programs keep it as {}", form(promised))),
        ),
        Promise::Date => (
            Scalar::String,
            none(format!("it may be a Date if all programs keep it as {}", form(promised))),
        ),
        Promise::Uuid => (
            Scalar::String,
            none(format!("it may be a UUID if all programs keep it {}", form(promised))),
        ),
        Promise::Json => {
            (Scalar::String, none("it may be JSON if all programs keep JSON as text".to_owned()))
        }
    };
    Choice { scalar: Some(scalar), note }
}

/// The form in which freshql stores it.
fn form(promised: Promise) -> &'static str {
    match promised {
        Promise::DateTime => "\"2026-11-22T09:30:00.000Z\"",
        Promise::Date => "\"2026-11-22\"",
        _ => "in lower case, with hyphens",
    }
}

/// Whether the name is that of a type of at most 32 bits.
fn is_small(sql_type: &str) -> bool {
    let upper = sql_type.to_ascii_uppercase();
    ["TINYINT", "SMALLINT", "MEDIUMINT", "INT2"].iter().any(|word| upper.contains(word))
}

fn has_default(column: &Column, among: &[&str]) -> bool {
    let plain: String =
        column.default.iter().flat_map(|default| default.split_whitespace()).collect();
    let plain = plain.to_ascii_lowercase();
    among.iter().any(|other| plain == *other || plain == format!("({other})"))
}

/// `'t'`, as Ruby on Rails once stored true.
fn has_letter_for_default(column: &Column) -> bool {
    column.default.as_deref().is_some_and(|default| default.trim().starts_with('\''))
}

fn makes_our_times(column: &Column) -> bool {
    has_default(column, &[OUR_NOW])
}

/// Whether its default is a time in another form than ours.
fn makes_other_times(column: &Column) -> bool {
    let default = column.default.as_deref().unwrap_or_default().to_ascii_lowercase();
    default.contains("current_timestamp") || default.contains("datetime(")
}

/// The values are not what the declaration promises, or not in the form in which freshql stores
/// them.
fn fallback(promised: Promise, declared: &str, values: &Values) -> Choice {
    let Some(scalar) = (match promised {
        Promise::Decimal if values.are_numbers() => Some(Scalar::Float),
        _ => by_values(values),
    }) else {
        return unreadable(declared, values);
    };
    let example =
        values.example.as_deref().map(|text| format!(" such as {text:?}")).unwrap_or_default();
    let kept = match scalar {
        Scalar::Int | Scalar::BigInt => "whole numbers".to_owned(),
        Scalar::Float => "numbers".to_owned(),
        _ => format!("texts{example}"),
    };
    let because = match promised {
        Promise::Decimal => ": a Decimal would be kept as a whole number, scaled".to_owned(),
        Promise::DateTime => format!(": a DateTime would be kept as {}", form(promised)),
        Promise::Date => format!(": a Date would be kept as {}", form(promised)),
        Promise::Uuid => format!(": a UUID would be kept {}", form(promised)),
        Promise::Json => ": not all of it is JSON".to_owned(),
        Promise::Boolean => ": a Boolean would be kept as 0 or 1".to_owned(),
        _ => String::new(),
    };
    let note = format!("declared {declared}, kept as {kept}{because}");
    Choice { scalar: Some(scalar), note: Some(note) }
}

/// A string that looks like a number becomes one in a column with numeric affinity.
fn text_of(column: &Column) -> Choice {
    let note = makes_numbers(&column.sql_type).then(|| {
        format!("declared {}, so SQLite makes numbers of texts that look like one", column.sql_type)
    });
    Choice { scalar: Some(Scalar::String), note }
}

fn by_values(values: &Values) -> Option<Scalar> {
    match values {
        _ if values.are_ints() && values.are_small => Some(Scalar::Int),
        _ if values.are_ints() => Some(Scalar::BigInt),
        _ if values.are_numbers() => Some(Scalar::Float),
        _ if values.are_texts() => Some(Scalar::String),
        _ => None,
    }
}

fn unreadable(declared: &str, values: &Values) -> Choice {
    let kinds =
        [(values.ints + values.reals, "numbers"), (values.texts, "texts"), (values.blobs, "bytes")];
    let kinds: Vec<&str> =
        kinds.into_iter().filter(|(count, _)| *count > 0).map(|(_, kind)| kind).collect();
    let held = if kinds.is_empty() { "bytes".to_owned() } else { kinds.join(" and ") };
    Choice {
        scalar: None,
        note: Some(format!("declared {declared}, holds {held}: no type reads them")),
    }
}
