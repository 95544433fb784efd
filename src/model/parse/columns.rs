//! Builds the column of a field: scalar, name, default, foreign key. Checks every rule that
//! concerns a single field.

mod defaults;

use self::defaults::default;
use super::definitions::{Definitions, EntityDefinition, FieldDraft, Shape};
use super::directives::Use;
use super::report::Report;
use super::sql_names::column_name;
use crate::model::scalar::{MAX_DIGITS, Scalar};
use crate::model::{Column, DefaultValue, EntityId, OnDelete, Reference};

/// The key's type, which is also that of its foreign keys. Mistakes in keys are reported at the key
/// itself, see [`column()`].
pub(super) fn key_scalar(entity: &EntityDefinition<'_>) -> Scalar {
    let key = entity.fields.iter().find(|field| field.directives.has("id"));
    let function =
        key.and_then(|key| key.directives.get("default")).and_then(|default| default.choice("fn"));
    match function {
        Some(("AUTOINCREMENT", _)) => Scalar::IdInt,
        Some(("UUID_V7", _)) => Scalar::IdUuid,
        _ => Scalar::IdText,
    }
}

pub(super) fn column(
    report: &mut Report<'_>,
    definitions: &Definitions<'_>,
    entity: &EntityDefinition<'_>,
    field: &FieldDraft<'_>,
) -> Option<Column> {
    let is_key = field.directives.has("id");
    let (scalar, references) = match field.shape {
        Shape::Scalar(Scalar::IdText) if is_key => (key_scalar(entity), None),
        Shape::Scalar(scalar) => (refine_decimal(report, field, scalar), None),
        Shape::ToOne(target) => {
            let scalar = key_scalar(&definitions.entities[usize::from(target.0)]);
            (scalar, Some(reference(report, field, target)))
        }
        Shape::ToMany(_) | Shape::Broken => return None,
    };
    if is_key {
        check_key(report, entity, field);
    }
    refuse_misplaced(report, field);
    let updated = updated(report, field, scalar);
    let default = match updated {
        true => Some(DefaultValue::Now),
        false => default(report, definitions, field, scalar, is_key),
    };
    let made_by_server =
        matches!(default, Some(DefaultValue::UuidV7 | DefaultValue::Autoincrement)) && is_key;
    let readonly = field.directives.get("readonly");
    if let Some(readonly) = readonly
        && !field.nullable
        && default.is_none()
        && !field.directives.has("default")
    {
        let message = format!(
            "`{}.{}` could never be given a value: it is read-only and not null",
            entity.name, field.name
        );
        report.wrong(readonly.span.clone(), message, "give it a `@default`, or make it nullable");
    }
    if let Some(hidden) = field.directives.get("hidden").filter(|_| is_key) {
        report.wrong(
            hidden.span.clone(),
            "the key cannot be hidden",
            "remove `@hidden`; clients tell rows apart by the key",
        );
    }
    Some(Column {
        name: column_name(report, field, references.is_some()),
        field: if references.is_some() {
            format!("{}Id", field.name)
        } else {
            field.name.to_owned()
        },
        scalar,
        nullable: field.nullable && !is_key,
        default,
        readonly: readonly.is_some() || made_by_server || updated,
        set_on_update: updated,
        hidden: field.directives.has("hidden"),
        part: references.is_some(),
        references,
        global: None,
        sql_type: sql_type(report, field),
        renamed_from: renamed_from(report, entity, field),
    })
}

/// `@renamedFrom(name:)`.
fn renamed_from(
    report: &mut Report<'_>,
    entity: &EntityDefinition<'_>,
    field: &FieldDraft<'_>,
) -> Option<String> {
    let used = field.directives.get("renamedFrom")?;
    let (name, span) = used.string("name")?;
    let (message, help) = if name == field.name {
        (format!("`{name}` is the field's own name"), "write the name that it had before")
    } else if entity.fields.iter().any(|other| other.name == name) {
        (
            format!("`{}` has the field `{name}`, so it cannot be the former name", entity.name),
            "write the name of a field that is gone, or remove `@renamedFrom`",
        )
    } else if !entity.is_managed() {
        (
            "freshql does not alter a table with `managed: false`".to_owned(),
            "remove `@renamedFrom`, and name the column with `@column(name:)`",
        )
    } else {
        return Some(name.to_owned());
    };
    report.wrong(span, message, help);
    None
}

/// `@updatedAt`: the server sets the column on every write.
fn updated(report: &mut Report<'_>, field: &FieldDraft<'_>, scalar: Scalar) -> bool {
    let Some(updated) = field.directives.get("updatedAt") else { return false };
    if !matches!(scalar, Scalar::DateTime | Scalar::Date) {
        let message =
            format!("`@updatedAt` sets a DateTime or a Date, and `{}` is none", field.name);
        report.wrong(updated.span.clone(), message, "write `DateTime!`");
        return false;
    }
    if let Some(default) = field.directives.get("default") {
        report.wrong(
            default.span.clone(),
            "`@updatedAt` sets the time of each write, the first too",
            "remove `@default`",
        );
    }
    true
}

/// A to-many field has no column, so directives about columns are mistakes.
pub(super) fn refuse_on_list(report: &mut Report<'_>, field: &FieldDraft<'_>) {
    for name in
        ["column", "default", "unique", "index", "relation", "renamedFrom", "readonly", "updatedAt"]
    {
        for used in field.directives.all(name) {
            let message = format!("`@{name}` does not belong on the list `{}`", field.name);
            report.wrong(
                used.span.clone(),
                message,
                "a list has no column; put it on the other side of the relation",
            );
        }
    }
}

/// Reports directives on a column of the wrong kind.
fn refuse_misplaced(report: &mut Report<'_>, field: &FieldDraft<'_>) {
    let is_relation = matches!(field.shape, Shape::ToOne(_));
    if let Some(relation) = field.directives.get("relation").filter(|_| !is_relation) {
        let message =
            format!("`@relation` does not belong on `{}`, which is not a relation", field.name);
        report.wrong(
            relation.span.clone(),
            message,
            "its type would be an entity; use `@column(name:)` to name a column",
        );
    }
    if let Some(derived) = field.directives.get("derivedFrom") {
        let message =
            format!("`@derivedFrom` does not belong on `{}`, which is not a list", field.name);
        report.wrong(
            derived.span.clone(),
            message,
            "the many side of a relation is a list, such as `[Item!]!`",
        );
    }
}

fn check_key(report: &mut Report<'_>, entity: &EntityDefinition<'_>, field: &FieldDraft<'_>) {
    let is_id = matches!(field.shape, Shape::Scalar(Scalar::IdText));
    if is_id && !field.nullable {
        // The arguments of `update…` appear next to the key.
        if matches!(field.name, "patch" | "expectedEtag") {
            let message = format!("the key cannot be named `{}`", field.name);
            report.wrong(
                field.span.clone(),
                message,
                format!("update{} has an argument of that name", entity.name),
            );
        }
        return;
    }
    if let Shape::ToOne(_) = field.shape {
        // Reported where the entity's key is determined.
        return;
    }
    let written = report.text(&field.type_span);
    let help = match written.trim_end_matches('!') {
        "ID" => "write `ID!`".to_owned(),
        "Int" | "BigInt" => {
            format!(
                "write `{}: ID! @id @default(fn: AUTOINCREMENT)`, a number in the database",
                field.name
            )
        }
        "UUID" => format!("write `{}: ID! @id @default(fn: UUID_V7)`", field.name),
        _ => format!("write `{}: ID! @id`, a string that the client chooses", field.name),
    };
    report.wrong(
        field.type_span.clone(),
        format!("the key must have the type `ID!`, found `{written}`"),
        help,
    );
}

/// `@column(precision:, scale:)`. The default is 18 digits, 4 of them after the point.
fn refine_decimal(report: &mut Report<'_>, field: &FieldDraft<'_>, scalar: Scalar) -> Scalar {
    let column = field.directives.get("column");
    let precision = column.and_then(|column| column.int("precision"));
    let scale = column.and_then(|column| column.int("scale"));
    let Scalar::Decimal { .. } = scalar else {
        for (argument, span) in [("precision", &precision), ("scale", &scale)] {
            if let Some((_, span)) = span {
                let message = format!(
                    "`{argument}` applies to Decimal only, and `{}` is not one",
                    field.name
                );
                report.wrong(span.clone(), message, "remove it, or write `Decimal`");
            }
        }
        return scalar;
    };
    let precision = match precision {
        Some((digits, span)) if !(1..=i64::from(MAX_DIGITS)).contains(&digits) => {
            report.wrong(
                span,
                format!("`precision` is 1 to {MAX_DIGITS} digits, found `{digits}`"),
                "it counts all digits",
            );
            return scalar;
        }
        Some((digits, span)) if scale.is_none() => {
            let message = "`precision` without `scale`";
            report.wrong(
                span,
                message,
                format!("say how many of the {digits} digits follow the decimal point"),
            );
            return scalar;
        }
        Some((digits, _)) => digits as u8,
        None => MAX_DIGITS,
    };
    match scale {
        Some((digits, span)) if !(0..=i64::from(precision)).contains(&digits) => {
            let message = format!("`scale` is 0 to {precision} digits, found `{digits}`");
            report.wrong(span, message, "it counts the digits after the point");
            scalar
        }
        Some((digits, _)) => Scalar::Decimal { precision, scale: digits as u8 },
        None => scalar,
    }
}

fn reference(report: &mut Report<'_>, field: &FieldDraft<'_>, target: EntityId) -> Reference {
    let chosen = field.directives.get("relation").and_then(|relation| relation.choice("onDelete"));
    let on_delete =
        chosen.as_ref().and_then(|(name, _)| OnDelete::named(name)).unwrap_or(OnDelete::Restrict);
    if let (OnDelete::SetNull, Some((_, span)), false) = (on_delete, chosen, field.nullable) {
        let message = format!("`{}` is not null, so it cannot become NULL on delete", field.name);
        report.wrong(span, message, "take the `!` off its type, or write `RESTRICT` or `CASCADE`");
    }
    Reference { target, on_delete }
}

/// `@column(type:)`, which is copied verbatim into migrations.
fn sql_type(report: &mut Report<'_>, field: &FieldDraft<'_>) -> Option<String> {
    let (written, span) =
        field.directives.get("column").and_then(|column: &Use<'_>| column.string("type"))?;
    let is_fine = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '(' | ')' | ',' | '.' | '[' | ']')
    };
    if written.trim().is_empty() || !written.chars().all(is_fine) {
        let message = format!("{written:?} is not an SQL type");
        report.wrong(span, message, "a type is words and numbers, such as `varchar(40)`");
        return None;
    }
    Some(written.trim().to_owned())
}
