//! What remains of a rule, in the syntax of a `where` argument, for people.

use super::residual::Rows;
use super::watch::one;
use crate::model::{ColumnId, Entity, EntityId, FieldKind, Model, Value};
use crate::store::select::{Comparison, Filter, Quantifier, Slot, SlotValue, TextMatch};

/// The condition: `{authorId: {eq: "ada"}}`.
pub(super) fn filter(model: &Model, entity: EntityId, rows: &Rows) -> String {
    Shown { model, values: &rows.values }.filter(model.entity(entity), &rows.filter)
}

struct Shown<'a> {
    model: &'a Model,
    values: &'a [SlotValue],
}

impl Shown<'_> {
    fn filter(&self, entity: &Entity, filter: &Filter) -> String {
        let all = |filters: &[Filter]| {
            let all: Vec<_> = filters.iter().map(|filter| self.filter(entity, filter)).collect();
            all.join(", ")
        };
        let column = |id: &ColumnId| entity.column(*id).field.clone();
        match filter {
            Filter::And(filters) => format!("{{and: [{}]}}", all(filters)),
            Filter::Or(filters) => format!("{{or: [{}]}}", all(filters)),
            Filter::Not(inner) => format!("{{not: {}}}", self.filter(entity, inner)),
            Filter::Never => "nothing".to_owned(),
            Filter::Compare { column: id, comparison, slot, .. } => {
                let operator = match comparison {
                    Comparison::Eq => "eq",
                    Comparison::Neq => "neq",
                    Comparison::Lt => "lt",
                    Comparison::Lte => "lte",
                    Comparison::Gt => "gt",
                    Comparison::Gte => "gte",
                };
                format!("{{{}: {{{operator}: {}}}}}", column(id), self.value(entity, *id, *slot))
            }
            Filter::IsNull(id, is_null) => format!("{{{}: {{isNull: {is_null}}}}}", column(id)),
            Filter::In { column: id, slot, negated, .. } => {
                let operator = if *negated { "notIn" } else { "in" };
                format!("{{{}: {{{operator}: {}}}}}", column(id), self.value(entity, *id, *slot))
            }
            Filter::Text { column: id, search, slot, .. } => {
                let operator = match search {
                    TextMatch::Contains => "contains",
                    TextMatch::StartsWith(_) => "startsWith",
                    TextMatch::EndsWith => "endsWith",
                };
                format!("{{{}: {{{operator}: {}}}}}", column(id), self.value(entity, *id, *slot))
            }
            Filter::ToOne(id, from, inner) => {
                let is_it = |kind: FieldKind| matches!(kind, FieldKind::ToOne { column, .. } if column == *id);
                let name = entity
                    .fields
                    .iter()
                    .find(|field| is_it(field.kind))
                    .map_or("", |field| &field.name);
                format!("{{{name}: {}}}", self.filter(self.model.entity(from.entity()), inner))
            }
            Filter::ToMany(from, id, quantifier, inner) => {
                let target = from.entity();
                let is_it = |kind: FieldKind| kind == FieldKind::ToMany { target, column: *id };
                let name = entity
                    .fields
                    .iter()
                    .find(|field| is_it(field.kind))
                    .map_or("", |field| &field.name);
                let word = match quantifier {
                    Quantifier::Some => "some",
                    Quantifier::Every => "every",
                    Quantifier::None => "none",
                };
                format!("{{{name}: {{{word}: {}}}}}", self.filter(self.model.entity(target), inner))
            }
        }
    }

    fn value(&self, entity: &Entity, id: ColumnId, slot: Slot) -> String {
        let text = |value: &Value| {
            let mut json = Vec::new();
            let written =
                entity.column(id).scalar.write_json(self.model, value.as_ref(), &mut json);
            written
                .ok()
                .and_then(|()| String::from_utf8(json).ok())
                .unwrap_or_else(|| format!("{value:?}"))
        };
        if let Some(value) = one(self.values, slot) {
            return text(value);
        }
        match self.values.get(usize::from(slot).wrapping_sub(1)) {
            Some(SlotValue::Many(list)) => {
                let items: Vec<_> = list.values.iter().map(text).collect();
                format!("[{}]", items.join(", "))
            }
            _ => "?".to_owned(),
        }
    }
}
