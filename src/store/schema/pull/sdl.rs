//! Writes drafts as the text of a model. Only what differs from the model's own defaults is
//! written.

use std::fmt::Write as _;

use super::draft::{Draft, DraftField, Key};
use super::names::Taken;
use super::values::{OUR_NOW, makes_numbers};
use crate::model::naming::{pluralize, snake_case};
use crate::model::scalar::ValueRef;
use crate::model::{Model, OnDelete, Scalar};

/// The whole text.
pub(super) fn write(drafts: &[Draft<'_>], left_out: &[(String, String)]) -> String {
    let mut text = String::from(
        "# A first model of a database that was there before: `freshql model pull` wrote it. It is yours to edit: rename\n\
         # types and fields, take out what the API should not show, add `@cacheControl` and `@entity(orderBy:)`.\n",
    );
    if !left_out.is_empty() {
        text.push_str("#\n# These are not in it:\n");
        for (table, reason) in left_out {
            let _ = writeln!(text, "# - `{}`: {reason}", one_line(table));
        }
    }
    for (name, values) in enums(drafts) {
        let _ = writeln!(text, "\nenum {name} {{ {} }}", values.join(" "));
    }
    for draft in drafts {
        text.push('\n');
        entity(draft, &mut text);
    }
    text
}

/// The enums of all columns, without duplicates.
fn enums<'d>(drafts: &'d [Draft<'_>]) -> Vec<&'d (String, Vec<String>)> {
    let mut enums: Vec<&(String, Vec<String>)> = Vec::new();
    for field in drafts.iter().flat_map(|draft| &draft.fields).filter(|field| field.ty.is_some()) {
        let values = field.column.known.as_ref().and_then(|known| known.values.as_ref());
        enums.extend(values.filter(|values| enums.iter().all(|other| other.0 != values.0)));
    }
    enums
}

fn entity(draft: &Draft<'_>, text: &mut String) {
    for note in &draft.notes {
        let _ = writeln!(text, "# {}", one_line(note));
    }
    let more = type_directives(draft);
    let gap = if more.is_empty() { " " } else { "\n  " };
    let _ = writeln!(text, "type {}{gap}{}{more} {{", draft.names.name, entity_directive(draft));
    for field in &draft.fields {
        if field.ty.is_none() {
            let why = field.note.as_deref().unwrap_or("no type reads it");
            let _ = writeln!(
                text,
                "  # left out: `{}`, {}",
                one_line(&field.column.name),
                one_line(why)
            );
            continue;
        }
        let TableDefault { directive: default, note: default_note, .. } = TableDefault::of(field);
        for note in [field.note.as_deref(), default_note.as_deref()].into_iter().flatten() {
            let _ = writeln!(text, "  # {}", one_line(note));
        }
        let _ = writeln!(text, "  {}", line(draft, field, default));
    }
    for (name, ty, relation) in &draft.lists {
        let _ = writeln!(text, "  {name}: [{ty}!]! @derivedFrom(field: \"{relation}\")");
    }
    text.push_str("}\n");
}

fn entity_directive(draft: &Draft<'_>) -> String {
    let mut arguments = Vec::new();
    let usual = match &draft.names.plural {
        Some(plural) => snake_case(plural),
        None => pluralize(&snake_case(&draft.names.name)),
    };
    // freshql alters nothing in it, until the reader allows that.
    arguments.push("managed: false".to_owned());
    if usual != draft.table.name {
        arguments.push(format!("table: {}", quoted(&draft.table.name)));
    }
    if let Some(plural) = &draft.names.plural {
        arguments.push(format!("plural: {}", quoted(plural)));
    }
    if arguments.is_empty() {
        "@entity".to_owned()
    } else {
        format!("@entity({})", arguments.join(", "))
    }
}

/// Unique constraints and indexes over several columns.
fn type_directives(draft: &Draft<'_>) -> String {
    let mut text = String::new();
    for (directive, fields) in indexes(draft) {
        if fields.len() > 1 {
            let names: Vec<String> = fields.iter().map(|field| quoted(&field.name)).collect();
            let _ = write!(text, "\n  @{directive}(fields: [{}])", names.join(", "));
        }
    }
    text
}

/// Removes unique constraints from the draft whose lookup has no free name.
pub(super) fn name_lookups(draft: &mut Draft<'_>, taken: &mut Taken) {
    let uniques = indexes(draft).into_iter().filter(|(directive, _)| *directive == "unique");
    let names = uniques
        .map(|(_, fields)| fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>());
    let nameless: Vec<_> =
        names.filter(|fields| !taken.lookup(&draft.names.name, fields)).collect();
    for fields in &nameless {
        let why = "no look-up, whose name another root field has";
        draft.notes.push(format!("Unique, but with {why}: `{}`.", fields.join("`, `")));
    }
    draft.nameless = nameless;
    let inexact: Vec<String> = inexact_uniques(draft).collect();
    draft.notes.extend(inexact);
}

/// Notes on unique constraints that the model leaves out because they compare strings by more or
/// less than their bytes.
fn inexact_uniques<'d>(draft: &'d Draft<'_>) -> impl Iterator<Item = String> + 'd {
    draft.table.indexes.iter().filter(|index| index.unique).filter_map(|index| {
        let columns: Vec<_> =
            index.columns.iter().filter_map(|name| draft.table.column(name)).collect();
        let inexact = columns.iter().find(|column| !column.is_exact())?;
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        Some(format!(
            "Unique, but by the collation {}, so rows cannot be looked up by it: `{}`.",
            inexact.collation,
            names.join("`, `")
        ))
    })
}

/// The table's indexes that the model should mention: those whose columns it has, without
/// duplicates, and without those that it has anyway.
fn indexes<'d>(draft: &'d Draft<'_>) -> Vec<(&'static str, Vec<&'d DraftField<'d>>)> {
    let mut found: Vec<(&'static str, Vec<&DraftField<'_>>)> = Vec::new();
    let of_kind =
        |unique: bool| draft.table.indexes.iter().filter(move |index| index.unique == unique);
    for index in of_kind(true).chain(of_kind(false)) {
        let field = |column: &String| {
            draft
                .fields
                .iter()
                .find(|field| field.column.name.eq_ignore_ascii_case(column) && field.ty.is_some())
        };
        let fields: Option<Vec<&DraftField<'_>>> = index.columns.iter().map(field).collect();
        let Some(fields) = fields else { continue };
        let names = |fields: &[&DraftField<'_>]| {
            fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>()
        };
        let begins = |others: &[&DraftField<'_>]| names(others).starts_with(&names(&fields));
        // Unwanted, or implied by the model.
        let is_left_out = match &fields[..] {
            _ if index.unique && draft.nameless.contains(&names(&fields)) => true,
            _ if fields
                .iter()
                .any(|field| field.ty.as_deref() == Some("JSON") || !field.column.is_exact()) =>
            {
                true
            }
            // Rows cannot be looked up by strings that the table may store as numbers.
            _ if fields
                .iter()
                .any(|field| field.holds_texts() && makes_numbers(&field.column.sql_type)) =>
            {
                true
            }
            [single] if single.is_key => true,
            [single] if !index.unique => single.relation.is_some(),
            _ => false,
        };
        let is_there = found.iter().any(|(directive, others)| match *directive {
            "unique" if index.unique => names(others) == names(&fields),
            _ => !index.unique && begins(others),
        });
        if !is_left_out && !is_there {
            found.push((if index.unique { "unique" } else { "index" }, fields));
        }
    }
    found
}

fn line(draft: &Draft<'_>, field: &DraftField<'_>, default: Option<String>) -> String {
    let ty = field.ty.as_deref().unwrap_or("String");
    let may_be_left_out = TableDefault::of(field).is_of_table_alone;
    let required =
        if field.is_key || (field.column.not_null && !may_be_left_out) { "!" } else { "" };
    let mut words = vec![format!("{}: {ty}{required}", field.name)];
    if field.is_key {
        words.push("@id".to_owned());
        words.extend(match draft.key {
            Key::RowNumber | Key::Number => Some("@default(fn: AUTOINCREMENT)".to_owned()),
            Key::Uuid => Some("@default(fn: UUID_V7)".to_owned()),
            Key::Text => None,
        });
    }
    let column = &field.column.name;
    match &field.relation {
        Some(relation) => {
            let mut arguments = Vec::new();
            if *column != format!("{}_id", snake_case(&field.name)) {
                arguments.push(format!("column: {}", quoted(column)));
            }
            if relation.on_delete != OnDelete::Restrict {
                arguments.push(format!("onDelete: {}", relation.on_delete.name()));
            }
            if !arguments.is_empty() {
                words.push(format!("@relation({})", arguments.join(", ")));
            }
        }
        None => {
            let mut arguments = Vec::new();
            if *column != snake_case(&field.name) {
                arguments.push(format!("name: {}", quoted(column)));
            }
            if field.is_key && draft.key == Key::Number {
                // Tells freshql that the key is not the rowid.
                arguments.push(format!("type: {}", quoted(&field.column.sql_type)));
            }
            if !arguments.is_empty() {
                words.push(format!("@column({})", arguments.join(", ")));
            }
        }
    }
    if field.relation.is_none() && !field.is_key {
        words.extend(field.column.known.iter().flat_map(|known| known.directives.iter().cloned()));
    }
    for (directive, fields) in indexes(draft) {
        if matches!(fields[..], [single] if single.name == field.name) {
            words.push(format!("@{directive}"));
        }
    }
    words.extend(default);
    words.join(" ")
}

/// A column's default.
#[derive(Default)]
struct TableDefault {
    directive: Option<String>,
    /// The model cannot express it, so it is left to the table: inputs may omit a nullable field.
    is_of_table_alone: bool,
    note: Option<String>,
}

impl TableDefault {
    fn of(field: &DraftField<'_>) -> Self {
        let Some(written) = field.column.default.as_deref().map(unbracketed) else {
            return Self::default();
        };
        if written.eq_ignore_ascii_case("null") {
            return Self::default();
        }
        let plain = if field.relation.is_none() && !field.is_key { field.scalar } else { None };
        if let Some(argument) = plain.and_then(|scalar| literal(scalar, written)) {
            return Self { directive: Some(format!("@default({argument})")), ..Self::default() };
        }
        let nullable = match field.column.not_null && !field.is_key {
            true => " (it is NOT NULL; without a `!` inputs may leave it out)",
            false => "",
        };
        let note =
            format!("the table's own default, which the model cannot have: {written}{nullable}");
        Self { directive: None, is_of_table_alone: true, note: Some(note) }
    }
}

/// The default in the model's syntax, if it can be expressed.
fn literal(scalar: Scalar, written: &str) -> Option<String> {
    let lower = written.to_ascii_lowercase().replace(' ', "");
    match scalar {
        Scalar::Date if matches!(lower.as_str(), "current_date" | "date('now')") => {
            return Some("fn: NOW".to_owned());
        }
        Scalar::DateTime if lower == OUR_NOW => return Some("fn: NOW".to_owned()),
        _ => {}
    }
    let string = written
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
        .map(|text| text.replace("''", "'"));
    let value = match (scalar, lower.as_str()) {
        (Scalar::Boolean, "0" | "false") => "false".to_owned(),
        (Scalar::Boolean, "1" | "true") => "true".to_owned(),
        (Scalar::Int, number) => number.trim_start_matches('+').parse::<i32>().ok()?.to_string(),
        (Scalar::BigInt, number) => {
            quoted(&number.trim_start_matches('+').parse::<i64>().ok()?.to_string())
        }
        (Scalar::Float, number) => {
            let number = number.parse::<f64>().ok().filter(|number| number.is_finite())?;
            // `{:?}` always writes a point or an exponent.
            format!("{number:?}")
        }
        (Scalar::Decimal { scale, .. }, number) => decimal(number, scale)?,
        (Scalar::String, _) => quoted(&string?),
        (Scalar::Enum(_), _) => string?,
        (Scalar::DateTime | Scalar::Date | Scalar::Uuid, _) => {
            let model = Model::without_types();
            let text = string?;
            scalar.write_json(&model, ValueRef::Text(&text), &mut Vec::new()).ok()?;
            quoted(&text)
        }
        _ => return None,
    };
    Some(format!("value: {value}"))
}

/// A number with as many decimals as its column has.
fn decimal(number: &str, scale: u8) -> Option<String> {
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_number = digits(whole.strip_prefix('-').unwrap_or(whole)) && digits(decimals);
    let fits = decimals.trim_end_matches('0').len() <= usize::from(scale);
    (is_number && fits && whole.ends_with(|c: char| c.is_ascii_digit())).then(|| quoted(number))
}

/// `(1)` → `1`, as SQLite itself reads it.
fn unbracketed(written: &str) -> &str {
    let trimmed = written.trim();
    match trimmed.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
        Some(inner) if !inner.contains(['(', ')']) => unbracketed(inner),
        _ => trimmed,
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
