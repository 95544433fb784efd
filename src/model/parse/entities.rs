//! Builds entities from definitions: fields with their columns, the key, names, page sizes, cache
//! hints.

use super::columns::{self, refuse_on_list};
use super::definitions::{Definitions, EntityDefinition, FieldDraft, Shape};
use super::directives::{Directives, Use};
use super::lookups::{Lookups, with_relations};
use super::relations::link_lists;
use super::report::{Report, Span};
use super::sql_names::check_sql_name;
use crate::model::naming::{lower_camel, pluralize, snake_case};
use crate::model::{CacheHint, Column, ColumnId, Entity, Field, FieldKind};

/// Page sizes fit GraphQL's Int.
const DEFAULT_MAX_PAGE_SIZE: u32 = 100;

pub(super) fn build(report: &mut Report<'_>, definitions: &Definitions<'_>) -> Vec<Entity> {
    let mut entities: Vec<Entity> = definitions
        .entities
        .iter()
        .map(|definition| build_one(report, definitions, definition))
        .collect();
    for definition in &definitions.entities {
        link_lists(report, definitions, definition, &mut entities);
    }
    entities
}

fn build_one(
    report: &mut Report<'_>,
    definitions: &Definitions<'_>,
    definition: &EntityDefinition<'_>,
) -> Entity {
    let mut columns: Vec<Column> = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    for draft in &definition.fields {
        let id = ColumnId(columns.len() as u16);
        let field = field(report, draft, FieldKind::Scalar(id));
        if let Shape::ToMany(_) = draft.shape {
            refuse_on_list(report, draft);
            // Linked later, when all columns exist; this keeps its position among the fields.
            fields.push(field);
            continue;
        }
        let Some(column) = columns::column(report, definitions, definition, draft) else {
            continue;
        };
        if let Shape::ToOne(target) = draft.shape {
            // The foreign key reveals as much as the referenced row, so it gets the same hints.
            fields.push(Field { name: column.field.clone(), description: None, ..field.clone() });
            fields.push(Field { kind: FieldKind::ToOne { column: id, target }, ..field });
        } else {
            fields.push(field);
        }
        columns.push(column);
    }
    let key = key(report, definition, &columns);
    let directives = &definition.directives;
    let lookups = Lookups { definition, columns: &columns, key };
    let uniques = lookups.uniques(report);
    let declared = lookups.indexes(report, &uniques);
    let order_by = lookups.order_by(report, directives.get("entity"));
    let indexes = with_relations(declared, &uniques, &columns);
    for id in uniques
        .iter()
        .flat_map(|unique| &unique.columns)
        .chain(indexes.iter().flat_map(|index| &index.columns))
    {
        columns[usize::from(id.0)].part |= Some(*id) != key;
    }
    let (plural, table) = names(report, definition);
    Entity {
        id: definition.id,
        name: definition.name.to_owned(),
        description: definition.description.clone(),
        singular: lower_camel(definition.name),
        plural,
        table,
        fields,
        columns,
        key: key.unwrap_or(ColumnId(0)),
        uniques,
        indexes,
        order_by,
        max_page_size: max_page_size(report, directives.get("entity")),
        require_etag: directives
            .get("entity")
            .and_then(|entity| entity.boolean("requireEtag"))
            .is_some_and(|(on, _)| on),
        managed: definition.is_managed(),
        cache: cache_hint(report, directives),
        rules: Vec::new(),
        span: definition.span.clone(),
    }
}

fn field(report: &mut Report<'_>, draft: &FieldDraft<'_>, kind: FieldKind) -> Field {
    Field {
        name: draft.name.to_owned(),
        description: draft.description.clone(),
        kind,
        cache: cache_hint(report, &draft.directives),
        hidden: draft.directives.has("hidden"),
        rules: Vec::new(),
    }
}

/// The single field with `@id`.
fn key(
    report: &mut Report<'_>,
    definition: &EntityDefinition<'_>,
    columns: &[Column],
) -> Option<ColumnId> {
    let mut keys = definition.fields.iter().filter(|field| field.directives.has("id"));
    let Some(key) = keys.next() else {
        let help = "write `id: ID! @id @default(fn: UUID_V7)`, or `AUTOINCREMENT`, or no default for keys that clients give";
        report.wrong(
            definition.span.clone(),
            format!("`{}` has no field with `@id`", definition.name),
            help,
        );
        return None;
    };
    for another in keys {
        if let Some(used) = another.directives.get("id") {
            let message = format!("`{}` has a second key: `{}`", definition.name, another.name);
            let help = format!("`{}` is the key already; use `@unique` for others", key.name);
            report.wrong(used.span.clone(), message, help);
        }
    }
    if let Shape::ToOne(_) | Shape::ToMany(_) = key.shape
        && let Some(used) = key.directives.get("id")
    {
        let help = "write `id: ID! @id @default(fn: UUID_V7)` and put `@unique` on the relation";
        report.wrong(used.span.clone(), "a relation cannot be the key", help);
    }
    columns.iter().position(|column| column.field == key.name).map(|index| ColumnId(index as u16))
}

/// The root field of the list, and the table.
fn names(report: &mut Report<'_>, definition: &EntityDefinition<'_>) -> (String, String) {
    let entity = definition.directives.get("entity");
    let given_plural = entity.and_then(|entity| entity.string("plural"));
    let singular = lower_camel(definition.name);
    let plural = match &given_plural {
        Some((given, span)) => {
            check_field_name(report, given, span.clone());
            (*given).to_owned()
        }
        // A word without a distinct plural.
        None if pluralize(&singular) == singular => format!("{singular}List"),
        None => pluralize(&singular),
    };
    let table = match (entity.and_then(|entity| entity.string("table")), given_plural) {
        (Some((given, span)), _) => {
            check_sql_name(report, given, span, "table");
            return (plural, given.to_owned());
        }
        (None, Some((given, _))) => snake_case(given),
        (None, None) => pluralize(&snake_case(definition.name)),
    };
    check_sql_name(report, &table, definition.span.clone(), "table");
    (plural, table)
}

fn check_field_name(report: &mut Report<'_>, name: &str, span: Span) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty()
        || name.starts_with(|c: char| c.is_ascii_digit())
        || !name.chars().all(is_name)
    {
        report.wrong(
            span,
            format!("`{name}` is not a valid GraphQL name"),
            "letters, digits and `_`, and no digit first",
        );
    } else if name.starts_with("__") {
        report.wrong(
            span,
            format!("names beginning with `__` are GraphQL's own: `{name}`"),
            "rename it",
        );
    }
}

fn max_page_size(report: &mut Report<'_>, entity: Option<&Use<'_>>) -> u32 {
    match entity.and_then(|entity| entity.int("maxPageSize")) {
        Some((size, span)) if size < 1 => {
            report.wrong(
                span,
                format!("`maxPageSize` is 1 or more, found `{size}`"),
                "leave it out for 100",
            );
            DEFAULT_MAX_PAGE_SIZE
        }
        Some((size, _)) => u32::try_from(size).unwrap_or(DEFAULT_MAX_PAGE_SIZE),
        None => DEFAULT_MAX_PAGE_SIZE,
    }
}

fn cache_hint(report: &mut Report<'_>, directives: &Directives<'_>) -> CacheHint {
    let Some(used) = directives.get("cacheControl") else { return CacheHint::default() };
    let mut seconds = |name: &str| {
        let (age, span) = used.int(name)?;
        if age < 0 {
            report.wrong(
                span,
                format!("`{name}` is a number of seconds, 0 or more, found `{age}`"),
                "write 0 for never",
            );
        }
        u32::try_from(age).ok()
    };
    let hint = CacheHint {
        max_age: seconds("maxAge"),
        shared_max_age: seconds("sharedMaxAge"),
        stale_while_revalidate: seconds("staleWhileRevalidate"),
        private: used.choice("scope").map(|(scope, _)| scope == "PRIVATE"),
        inherit_max_age: used.boolean("inheritMaxAge").is_some_and(|(on, _)| on),
    };
    if hint.inherit_max_age && hint.max_age.is_some() {
        report.wrong(
            used.span.clone(),
            "`maxAge` and `inheritMaxAge: true` contradict each other",
            "keep one of them",
        );
    }
    if hint == CacheHint::default()
        && used.literal("inheritMaxAge").is_none()
        && !report.has_errors_in(&used.span)
    {
        report.wrong(
            used.span.clone(),
            "`@cacheControl` says nothing",
            "write `@cacheControl(maxAge: 60)`",
        );
    }
    hint
}
