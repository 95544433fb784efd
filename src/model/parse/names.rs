//! Checks that no two things of the generated API or of the database have the same name.

use std::collections::HashMap;

use super::definitions::{Definitions, Shape};
use super::report::{Report, Span};
use crate::model::generated::{SHARED_TYPES, filters_of, types_of};
use crate::model::scalar::BUILT_IN;
use crate::model::{Column, Entity};

/// Checks all names against each other.
pub(super) fn check(report: &mut Report<'_>, definitions: &Definitions<'_>, entities: &[Entity]) {
    check_types(report, definitions);
    check_root_fields(report, definitions, entities);
    check_tables(report, definitions, entities);
    for (definition, entity) in definitions.entities.iter().zip(entities) {
        let span_of = |field: &str| {
            let relation = field.strip_suffix("Id").and_then(|name| definition.field(name));
            definition
                .field(field)
                .or(relation)
                .map_or(definition.span.clone(), |field| field.span.clone())
        };
        let is_broken = definition.fields.iter().any(|field| field.shape == Shape::Broken);
        check_fields(report, entity, is_broken, &span_of);
        check_columns(report, entity, &span_of);
    }
}

/// Type names: those of the model, those derived from them, and those of every API.
fn check_types(report: &mut Report<'_>, definitions: &Definitions<'_>) {
    let mut taken: HashMap<String, String> = HashMap::new();
    for name in SHARED_TYPES {
        taken.insert(name.to_owned(), "the generated API has a type of that name".to_owned());
    }
    for (name, _) in BUILT_IN {
        taken.insert(name.to_owned(), "it is a scalar".to_owned());
        for filter in filters_of(name) {
            taken.insert(filter, format!("it is a filter of `{name}`"));
        }
    }
    let enums = definitions
        .enums
        .iter()
        .map(|declared| declared.name.as_str())
        .zip(&definitions.enum_spans);
    let entities = definitions.entities.iter().map(|entity| (entity.name, &entity.span));
    let of_entities = entities.clone().flat_map(|(name, span)| {
        types_of(name).map(|made| (made, format!("the entity `{name}`"), span))
    });
    let of_enums = enums.clone().flat_map(|(name, span)| {
        filters_of(name).map(|filter| (filter, format!("the enum `{name}`"), span))
    });
    for (made, maker, span) in of_entities.chain(of_enums) {
        if let Some(why) = taken.get(&made) {
            let message = format!("{maker} would make a type `{made}`, and that name is taken");
            report.wrong(span.clone(), message, format!("rename it: {why}"));
        } else {
            taken.insert(made, format!("it is generated for {maker}"));
        }
    }
    for (name, span) in entities.chain(enums) {
        if let Some(why) = taken.get(name) {
            report.wrong(
                span.clone(),
                format!("the name `{name}` is taken"),
                format!("rename it: {why}"),
            );
        }
    }
}

/// The fields of `Query`: one row by key, the list, one row by each unique constraint.
fn check_root_fields(report: &mut Report<'_>, definitions: &Definitions<'_>, entities: &[Entity]) {
    let mut taken: HashMap<&str, &str> = HashMap::new();
    for (definition, entity) in definitions.entities.iter().zip(entities) {
        let plural_span =
            definition.directives.get("entity").and_then(|used| used.string("plural"));
        let plural_span = plural_span.map_or(definition.span.clone(), |(_, span)| span);
        let lookups = entity.uniques.iter().filter(|unique| entity.has_lookup(unique));
        let lookups = lookups.map(|unique| (unique.lookup.as_str(), definition.span.clone()));
        let fields = [
            (entity.singular.as_str(), definition.span.clone()),
            (entity.plural.as_str(), plural_span),
        ];
        for (field, span) in fields.into_iter().chain(lookups) {
            if let Some(other) = taken.insert(field, &entity.name) {
                let message =
                    format!("`{other}` and `{}` both make the root field `{field}`", entity.name);
                let message = if other == entity.name {
                    format!("`{other}` makes the root field `{field}` twice")
                } else {
                    message
                };
                report.wrong(span, message, "rename one of them, or choose `@entity(plural:)`");
            }
        }
    }
}

fn check_tables(report: &mut Report<'_>, definitions: &Definitions<'_>, entities: &[Entity]) {
    // SQLite's names are case-insensitive.
    let mut taken: HashMap<String, &str> = HashMap::new();
    for (definition, entity) in definitions.entities.iter().zip(entities) {
        if let Some(other) = taken.insert(entity.table.to_lowercase(), &entity.name) {
            let message =
                format!("`{other}` and `{}` both have the table `{}`", entity.name, entity.table);
            report.wrong(definition.span.clone(), message, "choose another with `@entity(table:)`");
        }
    }
}

fn check_fields(
    report: &mut Report<'_>,
    entity: &Entity,
    is_broken: bool,
    span_of: &dyn Fn(&str) -> Span,
) {
    let mut taken: Vec<&str> = Vec::new();
    for field in &entity.fields {
        let name = field.name.as_str();
        let span = span_of(name);
        if name == "etag" {
            report.wrong(
                span,
                "every entity has a generated field `etag`",
                "rename it; `@column(name: \"etag\")` keeps the column",
            );
        } else if name.starts_with("__") {
            report.wrong(
                span,
                format!("names beginning with `__` are GraphQL's own: `{name}`"),
                "rename it",
            );
        } else if matches!(name, "and" | "or" | "not") {
            let message = format!("a field cannot be named `{name}`");
            let help = format!("rename it: `{}Where` has a member of that name", entity.name);
            report.wrong(span, message, help);
        } else if taken.contains(&name) {
            let relation = name.strip_suffix("Id").unwrap_or(name);
            let message = format!(
                "`{}.{name}` collides with the field that the relation `{relation}` makes",
                entity.name
            );
            report.wrong(span, message, format!("remove it; `{relation}: …` gives `{name}` too"));
        }
        taken.push(name);
    }
    // A column that could never be given a value has been reported already.
    let writable =
        |column: &Column| !column.readonly || (!column.nullable && column.default.is_none());
    if !entity.columns.iter().any(writable) && !entity.columns.is_empty() && !is_broken {
        let message = format!("`{}` has no field that a client can write", entity.name);
        report.wrong(span_of(""), message, "add a field that is not read-only");
    }
}

fn check_columns(report: &mut Report<'_>, entity: &Entity, span_of: &dyn Fn(&str) -> Span) {
    let mut taken: HashMap<String, &str> = HashMap::new();
    for column in &entity.columns {
        if let Some(other) = taken.insert(column.name.to_lowercase(), &column.field)
            // A duplicate field has been reported already.
            && other != column.field
        {
            let message =
                format!("`{other}` and `{}` both have the column `{}`", column.field, column.name);
            report.wrong(span_of(&column.field), message, "choose another with `@column(name:)`");
        }
    }
}
