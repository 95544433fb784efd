//! From definitions to entities: fields over columns, relations both ways, keys, uniques, indexes, orderings.

use super::columns::{self, refuse_on_list};
use super::definitions::{Definitions, EntityDefinition, FieldDraft, Shape};
use super::directives::{Directives, Use};
use super::report::{Report, Span};
use crate::model::diagnostic::{did_you_mean, suggest};
use crate::model::naming::{lower_camel, pluralize, snake_case, upper_first};
use crate::model::{CacheHint, Column, ColumnId, Entity, EntityId, Field, FieldKind, Index, Order, Scalar, Unique};

/// Page sizes fit GraphQL's Int.
const DEFAULT_PAGE_SIZE: u32 = 100;

/// Builds all entities.
pub(super) fn build(report: &mut Report<'_>, definitions: &Definitions<'_>) -> Vec<Entity> {
    let mut entities: Vec<Entity> =
        definitions.entities.iter().map(|definition| build_one(report, definitions, definition)).collect();
    for definition in &definitions.entities {
        link_lists(report, definitions, definition, &mut entities);
    }
    entities
}

fn build_one(report: &mut Report<'_>, definitions: &Definitions<'_>, definition: &EntityDefinition<'_>) -> Entity {
    let mut columns: Vec<Column> = Vec::new();
    let mut fields: Vec<Field> = Vec::new();
    for draft in &definition.fields {
        let id = ColumnId(columns.len() as u16);
        let field = field(report, draft, FieldKind::Scalar(id));
        if let Shape::ToMany(_) = draft.shape {
            refuse_on_list(report, draft);
            // Linked later, when all columns are there; its place among the fields is kept.
            fields.push(field);
            continue;
        }
        let Some(column) = columns::column(report, definitions, definition, draft) else { continue };
        if let Shape::ToOne(target) = draft.shape {
            // The foreign key tells as much as the row behind it, so it has the same hints.
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
    for id in uniques.iter().flat_map(|unique| &unique.columns).chain(indexes.iter().flat_map(|index| &index.columns)) {
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
        cache: cache_hint(report, directives),
    }
}

fn field(report: &mut Report<'_>, draft: &FieldDraft<'_>, kind: FieldKind) -> Field {
    Field {
        name: draft.name.to_owned(),
        description: draft.description.clone(),
        kind,
        cache: cache_hint(report, &draft.directives),
        hidden: draft.directives.has("hidden"),
    }
}

/// The one field with `@id`.
fn key(report: &mut Report<'_>, definition: &EntityDefinition<'_>, columns: &[Column]) -> Option<ColumnId> {
    let mut keys = definition.fields.iter().filter(|field| field.directives.has("id"));
    let Some(key) = keys.next() else {
        let help =
            "write `id: ID! @id @default(fn: UUID_V7)`, or `AUTOINCREMENT`, or no default for keys that clients give";
        report.wrong(definition.span.clone(), format!("`{}` has no field with `@id`", definition.name), help);
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

/// The list's root field and the table.
fn names(report: &mut Report<'_>, definition: &EntityDefinition<'_>) -> (String, String) {
    let entity = definition.directives.get("entity");
    let given_plural = entity.and_then(|entity| entity.string("plural"));
    let singular = lower_camel(definition.name);
    let plural = match &given_plural {
        Some((given, span)) => {
            check_field_name(report, given, span.clone());
            (*given).to_owned()
        }
        // A word without a plural of its own.
        None if pluralize(&singular) == singular => format!("{singular}List"),
        None => pluralize(&singular),
    };
    let table = match (entity.and_then(|entity| entity.string("table")), given_plural) {
        (Some((given, span)), _) => {
            columns::check_sql_name(report, given, span, "table");
            return (plural, given.to_owned());
        }
        (None, Some((given, _))) => snake_case(given),
        (None, None) => pluralize(&snake_case(definition.name)),
    };
    columns::check_sql_name(report, &table, definition.span.clone(), "table");
    (plural, table)
}

fn check_field_name(report: &mut Report<'_>, name: &str, span: Span) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_name) {
        report.wrong(span, format!("`{name}` is no GraphQL name"), "letters, digits and `_`, and no digit first");
    } else if name.starts_with("__") {
        report.wrong(span, format!("names beginning with `__` are GraphQL's own: `{name}`"), "rename it");
    }
}

fn max_page_size(report: &mut Report<'_>, entity: Option<&Use<'_>>) -> u32 {
    match entity.and_then(|entity| entity.int("maxPageSize")) {
        Some((size, span)) if size < 1 => {
            report.wrong(span, format!("`maxPageSize` is 1 or more, found `{size}`"), "leave it out for 100");
            DEFAULT_PAGE_SIZE
        }
        Some((size, _)) => u32::try_from(size).unwrap_or(DEFAULT_PAGE_SIZE),
        None => DEFAULT_PAGE_SIZE,
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
        report.wrong(used.span.clone(), "`maxAge` and `inheritMaxAge: true` contradict each other", "keep one of them");
    }
    if hint == CacheHint::default() && used.literal("inheritMaxAge").is_none() && !report.has_errors_in(&used.span) {
        report.wrong(used.span.clone(), "`@cacheControl` says nothing", "write `@cacheControl(maxAge: 60)`");
    }
    hint
}

/// `@derivedFrom`: finds the column that points back.
fn link_lists(
    report: &mut Report<'_>,
    definitions: &Definitions<'_>,
    definition: &EntityDefinition<'_>,
    entities: &mut [Entity],
) {
    let own = usize::from(definition.id.0);
    for draft in &definition.fields {
        let Shape::ToMany(target) = draft.shape else { continue };
        let there = &definitions.entities[usize::from(target.0)];
        let Some(column) = derived_column(report, definition, draft, there, &entities[usize::from(target.0)]) else {
            continue;
        };
        if let Some(field) = entities[own].fields.iter_mut().find(|field| field.name == draft.name) {
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
        let message = format!("the list `{}` does not say which relation it is the other side of", draft.name);
        report.wrong(draft.span.clone(), message, help);
        return None;
    };
    let (name, span) = derived.string("field")?;
    match there.field(name) {
        Some(field) if field.shape == Shape::ToOne(definition.id) => target.column_by_field(&format!("{name}Id")),
        Some(field) if field.shape == Shape::Broken => None,
        Some(field) => {
            let message = match field.shape {
                Shape::ToOne(_) => {
                    let found = report.text(&field.type_span).trim_end_matches('!');
                    format!("`{}.{name}` points to `{found}`, not to `{}`", there.name, definition.name)
                }
                _ => format!("`{}.{name}` is no relation to `{}`", there.name, definition.name),
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

/// Declared indexes, and one for each relation column that nothing else starts with: lists are cut by it.
fn with_relations(mut indexes: Vec<Index>, uniques: &[Unique], columns: &[Column]) -> Vec<Index> {
    for (index, column) in columns.iter().enumerate() {
        let id = ColumnId(index as u16);
        let starts = uniques.iter().any(|unique| unique.columns.first() == Some(&id))
            || indexes.iter().any(|index| index.columns.first() == Some(&id));
        if column.references.is_some() && !starts {
            indexes.push(Index { columns: vec![id] });
        }
    }
    indexes
}

/// What names columns of one entity.
struct Lookups<'d, 'a> {
    definition: &'d EntityDefinition<'a>,
    columns: &'d [Column],
    key: Option<ColumnId>,
}

/// The columns that one `@unique` or `@index` names.
struct Named {
    columns: Vec<ColumnId>,
    /// The fields as they were written, for the look-up's name.
    fields: Vec<String>,
    span: Span,
}

impl Lookups<'_, '_> {
    fn uniques(&self, report: &mut Report<'_>) -> Vec<Unique> {
        let mut uniques: Vec<Unique> = Vec::new();
        for named in self.named(report, "unique") {
            if Some(named.columns.as_slice()) == self.key.as_ref().map(std::slice::from_ref) {
                report.warning(named.span, "the key is unique already", "take `@unique` out");
            } else if uniques.iter().any(|unique| unique.columns == named.columns) {
                report.wrong(named.span, "the same `@unique` is there already", "take one of them out");
            } else {
                let fields: Vec<String> = named.fields.iter().map(|field| upper_first(field)).collect();
                let lookup = format!("{}By{}", lower_camel(self.definition.name), fields.join("And"));
                uniques.push(Unique { columns: named.columns, lookup });
            }
        }
        uniques
    }

    fn indexes(&self, report: &mut Report<'_>, uniques: &[Unique]) -> Vec<Index> {
        let mut indexes: Vec<Index> = Vec::new();
        for named in self.named(report, "index") {
            let of_key = Some(named.columns.as_slice()) == self.key.as_ref().map(std::slice::from_ref);
            if of_key || uniques.iter().any(|unique| unique.columns.starts_with(&named.columns)) {
                report.warning(named.span, "the key or a `@unique` has this index already", "take `@index` out");
            } else if indexes.iter().any(|index| index.columns == named.columns) {
                report.wrong(named.span, "the same `@index` is there already", "take one of them out");
            } else {
                indexes.push(Index { columns: named.columns });
            }
        }
        indexes
    }

    /// All uses of `@unique` or `@index`, on the type and then on its fields. On a field, `fields` adds columns after
    /// its own.
    fn named(&self, report: &mut Report<'_>, directive: &str) -> Vec<Named> {
        let mut all = Vec::new();
        for used in self.definition.directives.all(directive) {
            match used.strings("fields") {
                Some((fields, span)) if !fields.is_empty() => all.extend(self.resolve(report, used, &fields, &span)),
                _ if report.has_errors_in(&used.span) => {}
                _ => {
                    let message = format!("`@{directive}` on a type needs fields");
                    report.wrong(used.span.clone(), message, format!("write `@{directive}(fields: [\"…\"])`"));
                }
            }
        }
        for field in self.definition.fields.iter().filter(|field| !matches!(field.shape, Shape::ToMany(_))) {
            for used in field.directives.all(directive) {
                let (more, span) = used.strings("fields").unwrap_or((Vec::new(), used.span.clone()));
                let mut fields = vec![field.name];
                if more.contains(&field.name) {
                    fields = more;
                } else {
                    fields.extend(more);
                }
                all.extend(self.resolve(report, used, &fields, &span));
            }
        }
        all
    }

    fn resolve(&self, report: &mut Report<'_>, used: &Use<'_>, fields: &[&str], span: &Span) -> Option<Named> {
        let mut named = Named { columns: Vec::new(), fields: Vec::new(), span: used.span.clone() };
        let mut sound = true;
        for name in fields {
            let place = report.word_in(span, name);
            let Some(id) = self.column(report, name, place.clone()) else {
                sound = false;
                continue;
            };
            if named.columns.contains(&id) {
                report.wrong(place, format!("`{name}` is named twice"), "name it once");
                sound = false;
            } else if self.columns[usize::from(id.0)].scalar == Scalar::Json {
                report.wrong(place, format!("`{name}` is JSON, which has no order"), "take it out");
                sound = false;
            } else {
                named.columns.push(id);
                let relation = self
                    .definition
                    .fields
                    .iter()
                    .find(|field| matches!(field.shape, Shape::ToOne(_)) && format!("{}Id", field.name) == *name);
                named.fields.push(relation.map_or(*name, |field| field.name).to_owned());
            }
        }
        sound.then_some(named)
    }

    /// The column of a field or relation; complains about the name otherwise.
    fn column(&self, report: &mut Report<'_>, name: &str, span: Span) -> Option<ColumnId> {
        let of_relation = |column: &Column| column.references.is_some() && column.field == format!("{name}Id");
        let found = self.columns.iter().position(|column| column.field == name || of_relation(column));
        if let Some(index) = found {
            return Some(ColumnId(index as u16));
        }
        let entity = self.definition.name;
        match self.definition.field(name).map(|field| field.shape) {
            Some(Shape::ToMany(_)) => {
                report.wrong(
                    span,
                    format!("`{entity}.{name}` is a list, which has no column"),
                    "name a field with a column",
                );
            }
            Some(_) => {}
            None => {
                let columns = self.definition.fields.iter().filter(|field| !matches!(field.shape, Shape::ToMany(_)));
                let help = suggest(name, columns.map(|field| field.name));
                report.unknown(span, format!("`{entity}` has no field `{name}`"), help);
            }
        }
        None
    }

    /// `@entity(orderBy: [{name: ASC}])`.
    fn order_by(&self, report: &mut Report<'_>, entity: Option<&Use<'_>>) -> Vec<(ColumnId, Order)> {
        let Some((literal, span)) = entity.and_then(|entity| entity.literal("orderBy")) else { return Vec::new() };
        let shape = "write `orderBy: [{name: ASC}]`";
        let async_graphql::Value::List(terms) = literal else {
            if *literal != async_graphql::Value::Null {
                report.wrong(span, "`orderBy` is a list", shape);
            }
            return Vec::new();
        };
        let mut order_by: Vec<(ColumnId, Order)> = Vec::new();
        for term in terms {
            let async_graphql::Value::Object(term) = term else {
                report.wrong(span.clone(), format!("a term of `orderBy` is an object, found `{term}`"), shape);
                continue;
            };
            let mut entries = term.iter();
            let (Some((name, direction)), None) = (entries.next(), entries.next()) else {
                report.wrong(span.clone(), "a term of `orderBy` names one field", "write `[{a: ASC}, {b: DESC}]`");
                continue;
            };
            let place = report.word_in(&span, name);
            let order = self.order(report, direction, &span);
            let Some(id) = self.column(report, name, place.clone()) else { continue };
            let column = &self.columns[usize::from(id.0)];
            if !column.is_sortable() {
                let message = format!("`{name}` cannot be ordered by");
                report.wrong(
                    place,
                    message,
                    "relations, enums, JSON and hidden fields have no order that clients know",
                );
            } else if order_by.iter().any(|(known, _)| *known == id) {
                report.wrong(place, format!("`{name}` is named twice"), "name it once");
            } else if let Some(order) = order {
                order_by.push((id, order));
            }
        }
        order_by
    }

    fn order(&self, report: &mut Report<'_>, direction: &async_graphql::Value, span: &Span) -> Option<Order> {
        let written = match direction {
            async_graphql::Value::Enum(word) => word.as_str(),
            _ => "",
        };
        let order = Order::parse(written);
        if order.is_none() {
            let message = format!("unknown direction `{direction}`");
            let place = report.word_in(span, written);
            report.unknown(place, message, suggest(written, Order::NAMES));
        }
        order
    }
}

/// Cycles of relations that are all not null: no row of them can be the first.
pub(super) fn warn_about_cycles(report: &mut Report<'_>, definitions: &Definitions<'_>) {
    let needs = |id: EntityId| {
        definitions.entities[usize::from(id.0)].fields.iter().filter_map(|field| match field.shape {
            Shape::ToOne(target) if !field.nullable => Some((field, target)),
            _ => None,
        })
    };
    for definition in &definitions.entities {
        for (field, target) in needs(definition.id) {
            // A row whose key the client gives can point to itself.
            if target == definition.id && columns::key_scalar(definition) == Scalar::IdText {
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
                let message =
                    format!("no `{}` can be created first: `{}` leads back to it", definition.name, field.name);
                report.warning(field.span.clone(), message, "make one relation of the circle nullable");
            }
        }
    }
}
