//! Inverse relations, and cycles of relations.

use super::columns::key_scalar;
use super::definitions::{Definitions, EntityDefinition, FieldDraft, Shape};
use super::report::Report;
use crate::model::diagnostic::did_you_mean;
use crate::model::naming::lower_camel;
use crate::model::{ColumnId, Entity, EntityId, FieldKind, Scalar};

/// `@derivedFrom`: finds the column that refers back.
pub(super) fn link_lists(
    report: &mut Report<'_>,
    definitions: &Definitions<'_>,
    definition: &EntityDefinition<'_>,
    entities: &mut [Entity],
) {
    let own = usize::from(definition.id.0);
    for draft in &definition.fields {
        let Shape::ToMany(target) = draft.shape else { continue };
        let there = &definitions.entities[usize::from(target.0)];
        let Some(column) =
            derived_column(report, definition, draft, there, &entities[usize::from(target.0)])
        else {
            continue;
        };
        if let Some(field) = entities[own].fields.iter_mut().find(|field| field.name == draft.name)
        {
            field.kind = FieldKind::ToMany { target, column };
        }
    }
}

fn derived_column(
    report: &mut Report<'_>,
    definition: &EntityDefinition<'_>,
    draft: &FieldDraft<'_>,
    there: &EntityDefinition<'_>,
    target: &Entity,
) -> Option<ColumnId> {
    let points_back = |field: &&FieldDraft<'_>| field.shape == Shape::ToOne(definition.id);
    let back: Vec<&str> = there.fields.iter().filter(points_back).map(|field| field.name).collect();
    let relation_to_add = || {
        format!(
            "give `{}` a relation such as `{}: {}!` first",
            there.name,
            lower_camel(definition.name),
            definition.name
        )
    };
    let Some(derived) = draft.directives.get("derivedFrom") else {
        let help = match back.first() {
            Some(name) => format!("write `@derivedFrom(field: \"{name}\")`"),
            None => format!("{}, then `@derivedFrom` it", relation_to_add()),
        };
        let message = format!(
            "the list `{}` does not say which relation it is the other side of",
            draft.name
        );
        report.wrong(draft.span.clone(), message, help);
        return None;
    };
    let (name, span) = derived.string("field")?;
    match there.field(name) {
        Some(field) if field.shape == Shape::ToOne(definition.id) => {
            target.column_by_field(&format!("{name}Id"))
        }
        Some(field) if field.shape == Shape::Broken => None,
        Some(field) => {
            let message = match field.shape {
                Shape::ToOne(_) => {
                    let found = report.text(&field.type_span).trim_end_matches('!');
                    format!(
                        "`{}.{name}` points to `{found}`, not to `{}`",
                        there.name, definition.name
                    )
                }
                _ => format!("`{}.{name}` is not a relation to `{}`", there.name, definition.name),
            };
            let meant = back.first().map(|name| format!("did you mean `{name}`?"));
            report.unknown(span, message, Some(meant.unwrap_or_else(relation_to_add)));
            None
        }
        None => {
            let message = format!("`{}` has no field `{name}`", there.name);
            let meant = did_you_mean(name, back.iter().copied()).or(back.first().copied());
            let help = meant.map_or_else(relation_to_add, |name| format!("did you mean `{name}`?"));
            report.wrong(span, message, help);
            None
        }
    }
}

/// Cycles of relations that are all not null: no row could be created first.
pub(super) fn warn_about_cycles(report: &mut Report<'_>, definitions: &Definitions<'_>) {
    let needs = |id: EntityId| {
        definitions.entities[usize::from(id.0)].fields.iter().filter_map(|field| {
            match field.shape {
                Shape::ToOne(target) if !field.nullable => Some((field, target)),
                _ => None,
            }
        })
    };
    for definition in &definitions.entities {
        for (field, target) in needs(definition.id) {
            // A row whose key the client provides can refer to itself.
            if target == definition.id && key_scalar(definition) == Scalar::IdText {
                continue;
            }
            let mut reached = vec![target];
            let mut next = 0;
            while next < reached.len() {
                let further: Vec<EntityId> = needs(reached[next]).map(|(_, id)| id).collect();
                for id in further {
                    if !reached.contains(&id) {
                        reached.push(id);
                    }
                }
                next += 1;
            }
            if reached.contains(&definition.id) {
                let message = format!(
                    "no `{}` can be created first: `{}` leads back to it",
                    definition.name, field.name
                );
                report.warning(
                    field.span.clone(),
                    message,
                    "make one relation of the circle nullable",
                );
            }
        }
    }
}
