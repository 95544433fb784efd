//! What a condition depends on: the columns of the rows that it restricts, and what it reads of
//! other entities.

use std::collections::{BTreeMap, BTreeSet};

use crate::dependency::Dependency;
use crate::model::{ColumnId, EntityId, Model, Value};
use crate::store::select::{Comparison, Filter, Quantifier, Slot, SlotValue, Visible};

/// What conditions depend on.
pub(super) struct Watch<'a> {
    model: &'a Model,
    /// From slot 1 on.
    values: &'a [SlotValue],
    /// Columns of the rows that the conditions restrict.
    pub(super) own: BTreeSet<ColumnId>,
    /// Columns of other entities (or of the same one, reached through a relation), if all of their
    /// rows count.
    sets: BTreeMap<EntityId, BTreeSet<ColumnId>>,
    /// Dependencies on other entities of which only some rows can matter.
    narrow: Vec<Dependency>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(model: &'a Model, values: &'a [SlotValue]) -> Self {
        Self { model, values, own: BTreeSet::new(), sets: BTreeMap::new(), narrow: Vec::new() }
    }

    /// Adds a condition on the rows themselves.
    pub(super) fn filter(&mut self, filter: &Filter) {
        let mut own = std::mem::take(&mut self.own);
        self.look(filter, &mut own);
        self.own = own;
    }

    /// What the conditions depend on in other entities.
    pub(super) fn foreign(self) -> Vec<Dependency> {
        let sets = self.sets.into_iter();
        let sets = sets.map(|(entity, watched)| Dependency::Set {
            entity,
            watching: watched.into_iter().collect(),
        });
        sets.chain(self.narrow).collect()
    }

    fn look(&mut self, filter: &Filter, own: &mut BTreeSet<ColumnId>) {
        match filter {
            Filter::And(filters) | Filter::Or(filters) => {
                filters.iter().for_each(|filter| self.look(filter, own))
            }
            Filter::Not(inner) => self.look(inner, own),
            Filter::Never => {}
            Filter::Compare { column, .. }
            | Filter::IsNull(column, _)
            | Filter::In { column, .. }
            | Filter::Text { column, .. } => drop(own.insert(*column)),
            Filter::ToOne(column, from, inner) => {
                own.insert(*column);
                self.related(from, inner, BTreeSet::new(), true);
            }
            Filter::ToMany(from, column, quantifier, inner) => {
                // Every row that does not match counts.
                let is_within = *quantifier != Quantifier::Every;
                self.related(from, inner, BTreeSet::from([*column]), is_within);
            }
        }
    }

    /// Adds rows of another entity. `is_within`: only matching rows can matter.
    fn related(
        &mut self,
        from: &Visible,
        inner: &Filter,
        mut seen: BTreeSet<ColumnId>,
        is_within: bool,
    ) {
        let entity = from.entity();
        self.look(inner, &mut seen);
        from.only().into_iter().for_each(|only| self.look(only, &mut seen));
        let narrowed = is_within.then(|| self.narrowed(entity, inner)).flatten();
        match narrowed {
            Some((column, value)) if column == self.model.entity(entity).key => {
                self.narrow.push(Dependency::Row(entity, value));
            }
            Some((column, value)) => {
                let watching = seen.into_iter().collect();
                self.narrow.push(Dependency::Part { entity, column, value, watching });
            }
            None => self.sets.entry(entity).or_default().extend(seen),
        }
    }

    /// The row or part to which a condition restricts its rows.
    fn narrowed(&self, entity: EntityId, filter: &Filter) -> Option<(ColumnId, Value)> {
        let (column, slot) = confined(self.model, entity, filter, true)?;
        Some((column, one(self.values, slot)?.clone()))
    }
}

pub(super) fn one(values: &[SlotValue], slot: Slot) -> Option<&Value> {
    match values.get(usize::from(slot).checked_sub(1)?)? {
        SlotValue::One(value) => Some(value),
        SlotValue::Many(_) => None,
    }
}

/// The part to which a filter restricts a list: a condition `column = value` that holds for all its
/// rows. `or_row`: the column may also be the key.
pub(super) fn confined(
    model: &Model,
    entity: EntityId,
    filter: &Filter,
    or_row: bool,
) -> Option<(ColumnId, Slot)> {
    match filter {
        Filter::And(filters) => {
            filters.iter().find_map(|filter| confined(model, entity, filter, or_row))
        }
        Filter::Compare { column, comparison: Comparison::Eq, slot, case_insensitive: false } => {
            let entity = model.entity(entity);
            let is_part = entity.column(*column).part || (or_row && *column == entity.key);
            is_part.then_some((*column, *slot))
        }
        _ => None,
    }
}
