//! What the author of a model must know about a migration before it is applied: as comments in the
//! file, and as lines for the user who asked for it. The same in both dialects.

use super::changes::{Altered, Changes, Fate};
use super::convert;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{DefaultValue, Scalar};
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, TableColumn};
use crate::store::schema::section::Section;
use crate::store::sqlite::ddl::sql_type;
use crate::store::sqlite::expression::{check_of, default_expression};

pub(in crate::store) use crate::store::schema::migrations::FILL_IN;

/// The heading of columns that this release of freshql adds to its own tables.
pub(in crate::store) const SYSTEM_COLUMNS: &str =
    "What this release of freshql adds to its own tables.";

/// A section, unless it is empty.
pub(in crate::store) fn section(heading: &str, statements: Vec<String>) -> Option<Section> {
    (!statements.is_empty()).then(|| Section { heading: heading.to_owned(), statements })
}

/// The note on a new column without a default.
pub(in crate::store) fn fill_in(altered: &Altered<'_>, column: &TableColumn) -> String {
    format!(
        "{FILL_IN}: the value of `{}` in existing rows; NULL works only if {} is empty",
        column.name.as_str(),
        altered.table.name.as_str()
    )
}

/// The note on a column that becomes NOT NULL.
pub(in crate::store) fn not_null(altered: &Altered<'_>, column: &TableColumn) -> String {
    format!(
        "{FILL_IN}: `{}` becomes NOT NULL; where rows of {} have NULL, write coalesce({}, …)",
        column.name.as_str(),
        altered.table.name.as_str(),
        column.name
    )
}

/// The note on a column whose type changes.
pub(in crate::store) fn converted(_: &Altered<'_>, column: &TableColumn) -> String {
    format!(
        "`{}` becomes {}; values that do not fit stop the migration",
        column.name.as_str(),
        kind(column.scalar)
    )
}

fn kind(scalar: Scalar) -> String {
    match scalar {
        Scalar::Decimal { precision, scale } => {
            format!("a Decimal of {precision} digits, {scale} after the point")
        }
        Scalar::Enum(_) => "an enum".to_owned(),
        Scalar::IdInt | Scalar::IdText | Scalar::IdUuid => "an ID".to_owned(),
        other => format!("{other:?}"),
    }
}

/// The note on a table whose entity no longer exists.
pub(in crate::store) fn abandoned(name: &str) -> String {
    format!("{name} is no longer in the model. Its rows stay, without versions from now on.")
}

/// Gives every row a new version: the triggers correct the value that is written here.
pub(in crate::store) fn renew(table: &SqlName) -> String {
    format!(
        "-- Versions were not maintained for a while: every row gets a new one.\nUPDATE {table} SET {VERSION_COLUMN} = -1;"
    )
}

/// Suggestions for rows whose value the enum no longer has.
pub(in crate::store) fn gone_values(altered: &Altered<'_>) -> Vec<String> {
    let mut suggestions = Vec::new();
    for (column, alteration) in altered.alterations() {
        let gone: Vec<&String> =
            alteration.values.iter().filter(|v| !column.enum_values.contains(v)).collect();
        if gone.is_empty() || column.enum_values.is_empty() {
            continue;
        }
        let stays = alteration.values.iter().find(|value| column.enum_values.contains(value));
        let list = gone.iter().map(|value| string_literal(value)).collect::<Vec<_>>().join(", ");
        let other = stays.map_or_else(|| "…".to_owned(), |value| string_literal(value));
        suggestions.push(format!(
            "-- Rows that still have a removed value stop this migration. Change them first:\n\
             -- UPDATE {table} SET {name} = {other} WHERE {name} IN ({list});",
            table = altered.table.name,
            name = column.name,
        ));
    }
    suggestions
}

/// The statements that would destroy data, as comments.
pub(in crate::store) fn destructive(changes: &Changes<'_>) -> Option<Section> {
    let columns = changes.altered.iter().flat_map(|altered| {
        let fields = altered.dropped.iter().filter(|dropped| dropped.was_field);
        let table = &altered.table.name;
        fields.map(move |dropped| {
            format!("-- ALTER TABLE {table} DROP COLUMN {};", SqlName::new(&dropped.found.name))
        })
    });
    let tables = changes
        .abandoned
        .iter()
        .map(|table| format!("-- DROP TABLE {};", SqlName::new(&table.found.name)));
    section(
        "WARNING: these statements destroy data that the model no longer uses. They are commented out: freshql works\n\
         either way. To delete the data, uncomment them before you apply the migration.",
        columns.chain(tables).collect(),
    )
}

/// What to check before the migration is applied.
pub(in crate::store) fn advice(changes: &Changes<'_>) -> Vec<String> {
    let mut advice = Vec::new();
    for altered in &changes.altered {
        let shown = |column: &str| format!("`{}.{column}`", altered.table.name.as_str());
        for (column, fate) in &altered.columns {
            let name = shown(column.name.as_str());
            let has_value = column.nullable || column.default.is_some();
            match fate {
                Fate::Comes => {
                    if !has_value {
                        advice.push(format!(
                            "{name} is new and has no default: write its value for existing rows at {FILL_IN}"
                        ));
                    }
                    advice.extend(renamed(altered, column));
                }
                Fate::Changes(change) => {
                    let becomes_required = change.nullability && !column.nullable;
                    if becomes_required && !has_filler(column) {
                        advice.push(format!(
                            "{name} becomes NOT NULL: rows that have NULL stop the migration"
                        ));
                    }
                    let gone =
                        change.values.iter().any(|value| !column.enum_values.contains(value));
                    if gone && !column.enum_values.is_empty() {
                        advice.push(format!(
                            "{name} loses values: rows that have them stop the migration"
                        ));
                    } else if !convert::is_kept_alike(change.was, column.scalar)
                        || is_narrower(column, &change.values)
                    {
                        let kind = kind(column.scalar);
                        advice.push(format!(
                            "{name} becomes {kind}: values that do not fit stop the migration"
                        ));
                    }
                }
                _ => {}
            }
        }
        for dropped in altered.dropped.iter().filter(|dropped| dropped.was_field) {
            let name = shown(&dropped.found.name);
            advice.push(format!(
                "{name} is no longer in the model: its data stays unless you uncomment the statement"
            ));
        }
    }
    for table in &changes.abandoned {
        let name = &table.found.name;
        advice.push(format!(
            "`{name}` is no longer in the model: its data stays unless you uncomment the statement"
        ));
        // The triggers of a table name the entity of its rows.
        let is_of = |entity: &str| {
            table.triggers.iter().any(|trigger| trigger.sql.contains(&string_literal(entity)))
        };
        if let Some(heir) = changes.created.iter().find(|created| is_of(&created.entity_name)) {
            advice.push(format!(
                "`{}` is new and empty: copy the rows of `{name}` into it, if they are to stay those of `{}`",
                heir.name.as_str(),
                heir.entity_name
            ));
        }
    }
    advice
}

/// Asks whether a new column is one that goes.
fn renamed(altered: &Altered<'_>, column: &TableColumn) -> Option<String> {
    let mut gone = altered.dropped.iter().filter(|dropped| {
        dropped.was_field && dropped.found.sql_type.eq_ignore_ascii_case(&sql_type(column))
    });
    let (former, None) = (gone.next()?, gone.next()) else { return None };
    Some(format!(
        "if `{}` is the new name of `{}`, write `@renamedFrom(name: \"{}\")` on the field, remove this migration \
         and make it again: the rows then keep their values",
        column.name.as_str(),
        former.found.name,
        former.found.name
    ))
}

/// A string becomes an enum.
fn is_narrower(column: &TableColumn, values: &[String]) -> bool {
    values.is_empty()
        && check_of(&column.name, column.scalar, true, &column.enum_values).is_some()
        && !column.enum_values.is_empty()
}

fn has_filler(column: &TableColumn) -> bool {
    column.default == Some(DefaultValue::UuidV7) || default_expression(column).is_some()
}
