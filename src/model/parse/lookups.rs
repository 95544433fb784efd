//! Directives that name the columns of one entity: `@unique`, `@index`, `@entity(orderBy:)`.

use super::definitions::{EntityDefinition, Shape};
use super::directives::Use;
use super::report::{Report, Span};
use crate::model::diagnostic::suggest;
use crate::model::naming::{lower_camel, upper_first};
use crate::model::{Column, ColumnId, Index, Order, Scalar, Unique};

/// The declared indexes, and one for each relation column with which nothing else starts, because
/// it restricts lists.
pub(super) fn with_relations(
    mut indexes: Vec<Index>,
    uniques: &[Unique],
    columns: &[Column],
) -> Vec<Index> {
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

/// Resolves directives that name columns of one entity.
pub(super) struct Lookups<'d, 'a> {
    pub(super) definition: &'d EntityDefinition<'a>,
    pub(super) columns: &'d [Column],
    pub(super) key: Option<ColumnId>,
}

/// The columns of one `@unique` or `@index`.
struct Named {
    columns: Vec<ColumnId>,
    /// The fields as written, for the name of the lookup.
    fields: Vec<String>,
    span: Span,
}

impl Lookups<'_, '_> {
    pub(super) fn uniques(&self, report: &mut Report<'_>) -> Vec<Unique> {
        let mut uniques: Vec<Unique> = Vec::new();
        for named in self.named(report, "unique") {
            if Some(named.columns.as_slice()) == self.key.as_ref().map(std::slice::from_ref) {
                report.warning(named.span, "the key is unique already", "take `@unique` out");
            } else if uniques.iter().any(|unique| unique.columns == named.columns) {
                report.wrong(
                    named.span,
                    "the same `@unique` is there already",
                    "remove one of them",
                );
            } else {
                let fields: Vec<String> =
                    named.fields.iter().map(|field| upper_first(field)).collect();
                let lookup =
                    format!("{}By{}", lower_camel(self.definition.name), fields.join("And"));
                uniques.push(Unique { columns: named.columns, lookup });
            }
        }
        uniques
    }

    pub(super) fn indexes(&self, report: &mut Report<'_>, uniques: &[Unique]) -> Vec<Index> {
        let mut indexes: Vec<Index> = Vec::new();
        for named in self.named(report, "index") {
            let of_key =
                Some(named.columns.as_slice()) == self.key.as_ref().map(std::slice::from_ref);
            if of_key || uniques.iter().any(|unique| unique.columns.starts_with(&named.columns)) {
                report.warning(
                    named.span,
                    "the key or a `@unique` has this index already",
                    "take `@index` out",
                );
            } else if indexes.iter().any(|index| index.columns == named.columns) {
                report.wrong(
                    named.span,
                    "the same `@index` is there already",
                    "remove one of them",
                );
            } else {
                indexes.push(Index { columns: named.columns });
            }
        }
        indexes
    }

    /// All uses of `@unique` or `@index`, on the type and then on its fields. On a field, `fields`
    /// adds columns after the field's own.
    fn named(&self, report: &mut Report<'_>, directive: &str) -> Vec<Named> {
        let mut all = Vec::new();
        for used in self.definition.directives.all(directive) {
            match used.strings("fields") {
                Some((fields, span)) if !fields.is_empty() => {
                    all.extend(self.resolve(report, used, &fields, &span))
                }
                _ if report.has_errors_in(&used.span) => {}
                _ => {
                    let message = format!("`@{directive}` on a type needs fields");
                    report.wrong(
                        used.span.clone(),
                        message,
                        format!("write `@{directive}(fields: [\"…\"])`"),
                    );
                }
            }
        }
        for field in
            self.definition.fields.iter().filter(|field| !matches!(field.shape, Shape::ToMany(_)))
        {
            for used in field.directives.all(directive) {
                let (more, span) =
                    used.strings("fields").unwrap_or((Vec::new(), used.span.clone()));
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

    fn resolve(
        &self,
        report: &mut Report<'_>,
        used: &Use<'_>,
        fields: &[&str],
        span: &Span,
    ) -> Option<Named> {
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
                let relation = self.definition.fields.iter().find(|field| {
                    matches!(field.shape, Shape::ToOne(_)) && format!("{}Id", field.name) == *name
                });
                named.fields.push(relation.map_or(*name, |field| field.name).to_owned());
            }
        }
        sound.then_some(named)
    }

    /// The column of a field or relation; otherwise the name is reported.
    fn column(&self, report: &mut Report<'_>, name: &str, span: Span) -> Option<ColumnId> {
        let of_relation =
            |column: &Column| column.references.is_some() && column.field == format!("{name}Id");
        let found =
            self.columns.iter().position(|column| column.field == name || of_relation(column));
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
                let columns = self
                    .definition
                    .fields
                    .iter()
                    .filter(|field| !matches!(field.shape, Shape::ToMany(_)));
                let help = suggest(name, columns.map(|field| field.name));
                report.unknown(span, format!("`{entity}` has no field `{name}`"), help);
            }
        }
        None
    }

    /// `@entity(orderBy: [{name: ASC}])`.
    pub(super) fn order_by(
        &self,
        report: &mut Report<'_>,
        entity: Option<&Use<'_>>,
    ) -> Vec<(ColumnId, Order)> {
        let Some((literal, span)) = entity.and_then(|entity| entity.literal("orderBy")) else {
            return Vec::new();
        };
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
                report.wrong(
                    span.clone(),
                    format!("a term of `orderBy` is an object, found `{term}`"),
                    shape,
                );
                continue;
            };
            let mut entries = term.iter();
            let (Some((name, direction)), None) = (entries.next(), entries.next()) else {
                report.wrong(
                    span.clone(),
                    "a term of `orderBy` names one field",
                    "write `[{a: ASC}, {b: DESC}]`",
                );
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
                    "JSON and hidden fields have no order that clients know",
                );
            } else if column.field != name.as_str() {
                let message = format!("the relation `{name}` has no order of its own");
                report.wrong(place, message, format!("did you mean `{}`?", column.field));
            } else if order_by.iter().any(|(known, _)| *known == id) {
                report.wrong(place, format!("`{name}` is named twice"), "name it once");
            } else if let Some(order) = order {
                order_by.push((id, order));
            }
        }
        order_by
    }

    fn order(
        &self,
        report: &mut Report<'_>,
        direction: &async_graphql::Value,
        span: &Span,
    ) -> Option<Order> {
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
