//! Coerces the conditions of a `where` or of a rule into a [`Filter`] and the values of its slots.

use std::fmt;

use super::argument::{Input, Mistake};
use super::error::GraphqlError;
use super::residual::Residual;
use crate::model::{Column, ColumnId, Entity, EntityId, FieldKind, Model, Rule, Value};
use crate::store::select::{
    self, Comparison, Filter, Quantifier, Slot, SlotValue, TextMatch, ValueList, Visible,
};

/// The maximum number of conditions in a filter. Each makes the statement larger, and SQLite limits
/// the depth of expressions to a thousand levels. Many values of one column are a single `in`.
pub(super) const MAX_CONDITIONS: usize = 256;

/// The maximum depth of nested conditions. Values of variables have not passed any document limit,
/// and the functions that write the statement are recursive. SQLite also takes much longer for
/// nested conditions on relations.
pub(super) const MAX_CONDITION_DEPTH: usize = 16;

/// The values of a list's parameters. Slot 0, the parent's key, is not among them.
#[derive(Debug, Clone)]
pub(super) struct Slots<'g> {
    /// From slot 1 on.
    pub values: Vec<SlotValue>,
    conditions: usize,
    depth: usize,
    sight: &'g dyn Sight,
    /// For each entity, the slot after which the values of the condition on its rows begin.
    rules: Vec<(EntityId, Slot)>,
}

/// Who evaluates a condition, and what of the model it may see.
pub(super) trait Sight: fmt::Debug {
    /// The rows of an entity that are visible.
    ///
    /// # Errors
    /// There can be none without a token.
    fn rows(&self, entity: &Entity) -> Result<&Residual, GraphqlError>;
    /// Checks whether a field with these rules and this name may be used.
    ///
    /// # Errors
    /// It may not be used.
    fn may_look_at(&self, rules: &[Rule], name: &dyn Fn() -> String) -> Result<(), GraphqlError>;
    /// Whether this is a rule of the model: it also sees hidden fields, and identifies rows by
    /// their keys even if clients see global ids.
    fn is_the_models(&self) -> bool;
}

/// The sight of a rule: every row and every column is visible.
#[derive(Debug)]
struct OfRule;

impl Sight for OfRule {
    fn rows(&self, _: &Entity) -> Result<&Residual, GraphqlError> {
        Ok(&Residual::Everything)
    }

    fn may_look_at(&self, _: &[Rule], _: &dyn Fn() -> String) -> Result<(), GraphqlError> {
        Ok(())
    }

    fn is_the_models(&self) -> bool {
        true
    }
}

impl<'g> Slots<'g> {
    /// For the condition of a rule, which is not limited to what the viewer sees.
    pub(super) fn of_rule() -> Self {
        Self::new(&OfRule)
    }

    /// For a condition that is evaluated with this sight.
    pub(super) fn new(sight: &'g dyn Sight) -> Self {
        Self { values: Vec::new(), conditions: 0, depth: 0, sight, rules: Vec::new() }
    }

    /// The rows of an entity that a statement with these slots may read.
    ///
    /// # Errors
    /// There can be none without a token.
    pub(super) fn visible(&mut self, entity: &Entity) -> Result<Visible, Mistake> {
        let residual = self.sight.rows(entity)?;
        let known = self.rules.iter().find(|(id, _)| *id == entity.id).map(|(_, behind)| *behind);
        let behind = known.unwrap_or_else(|| {
            let behind = self.values.len() as Slot;
            self.values.extend_from_slice(residual.values());
            self.rules.push((entity.id, behind));
            behind
        });
        Ok(residual.visible(entity.id, behind))
    }

    /// The column of the field with this name, if a condition may use it.
    fn column(&self, entity: &Entity, name: &str) -> Result<Option<ColumnId>, Mistake> {
        if self.sight.is_the_models() {
            return Ok(entity.column_by_field(name));
        }
        let Some(id) = visible_column(entity, name) else { return Ok(None) };
        self.sight.may_look_at(entity.rules_of(id), &|| format!("{}.{name}", entity.name))?;
        Ok(Some(id))
    }

    /// A value to compare a column with. Rules, and the claims that they name, identify rows by
    /// their keys even if clients see global ids.
    fn value(&self, model: &Model, column: &Column, input: Input<'_>) -> Result<Value, Mistake> {
        match self.sight.is_the_models() {
            true => input.scalar(model, column.scalar),
            false => input.of_column(model, column),
        }
    }

    /// The kind of a field, if a condition may use it.
    fn relation(&self, entity: &Entity, name: &str) -> Result<Option<FieldKind>, Mistake> {
        let Some(field) = entity.fields.iter().find(|field| field.name == name) else {
            return Ok(None);
        };
        if self.sight.is_the_models() {
            return Ok(Some(field.kind));
        }
        if field.hidden {
            return Ok(None);
        }
        self.sight.may_look_at(&field.rules, &|| format!("{}.{name}", entity.name))?;
        Ok(Some(field.kind))
    }

    /// Stores a value in the next slot.
    pub(super) fn push(&mut self, value: Value) -> Slot {
        self.keep(SlotValue::One(value))
    }

    pub(super) fn one(&self, slot: Slot) -> Option<&Value> {
        match self.values.get(usize::from(slot).checked_sub(1)?)? {
            SlotValue::One(value) => Some(value),
            SlotValue::Many(_) => None,
        }
    }

    fn keep(&mut self, value: SlotValue) -> Slot {
        self.values.push(value);
        self.values.len() as Slot
    }

    /// Counts one more condition.
    fn condition(&mut self) -> Result<(), Mistake> {
        self.conditions += 1;
        match self.conditions <= MAX_CONDITIONS {
            true => Ok(()),
            false => Err(Mistake::new(format!("a filter has at most {MAX_CONDITIONS} conditions"))),
        }
    }
}

/// The condition that a filter stands for; None if it is empty. Forms send filters with blanks:
/// `null` and `{}` in place of a condition, and operators whose variable is null or absent, are
/// empty, and an empty condition is dropped from the conditions around it. So `not: {}` is empty,
/// too, and an `or` consists of the branches that are not empty.
pub(super) fn filter(
    model: &Model,
    entity: &Entity,
    input: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    if input.is_null() {
        return Ok(None);
    }
    slots.condition()?;
    slots.depth += 1;
    if slots.depth > MAX_CONDITION_DEPTH {
        return Err(Mistake::new(format!(
            "conditions nest deeper than {MAX_CONDITION_DEPTH} levels"
        )));
    }
    let mut conditions = Vec::new();
    for (name, value) in input.object()? {
        conditions.extend(
            member(model, entity, name, value, slots).map_err(|mistake| mistake.within(name))?,
        );
    }
    slots.depth -= 1;
    Ok(join(conditions, Filter::And))
}

/// What a member of a condition is about.
enum About {
    /// `and`, `or`: how the branches are joined.
    Branches(fn(Vec<Filter>) -> Filter),
    /// `not`
    Negation,
    Column(ColumnId),
    ToOne(ColumnId, EntityId),
    ToMany(EntityId, ColumnId),
}

fn about(entity: &Entity, name: &str, slots: &Slots<'_>) -> Result<About, Mistake> {
    match name {
        "and" => return Ok(About::Branches(Filter::And)),
        "or" => return Ok(About::Branches(Filter::Or)),
        "not" => return Ok(About::Negation),
        _ => {}
    }
    if let Some(column) = slots.column(entity, name)? {
        return Ok(About::Column(column));
    }
    match slots.relation(entity, name)? {
        Some(FieldKind::ToOne { column, target }) => Ok(About::ToOne(column, target)),
        Some(FieldKind::ToMany { target, column }) => Ok(About::ToMany(target, column)),
        _ => Err(Mistake::new(format!("unknown field of {}Where", entity.name))),
    }
}

fn member(
    model: &Model,
    entity: &Entity,
    name: &str,
    value: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    // Even without a value, a name must be one that the viewer may use.
    let about = about(entity, name, slots)?;
    if value.is_null() {
        return Ok(None);
    }
    match about {
        About::Branches(by) => branches(model, entity, name, by, value, slots),
        About::Negation => {
            let inner = filter(model, entity, value, slots)?;
            Ok(inner.map(|inner| Filter::Not(Box::new(inner))))
        }
        About::Column(column) => operators(model, entity, column, value, slots),
        About::ToOne(column, target) => {
            let target = model.entity(target);
            let Some(inner) = filter(model, target, value, slots)? else { return Ok(None) };
            Ok(Some(Filter::ToOne(column, slots.visible(target)?, Box::new(inner))))
        }
        About::ToMany(target, column) => related(model, model.entity(target), column, value, slots),
    }
}

fn branches(
    model: &Model,
    entity: &Entity,
    name: &str,
    by: fn(Vec<Filter>) -> Filter,
    value: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    let items = value.list();
    // It is ambiguous whether an `or` without branches is meant to match every row or none.
    if name == "or" && items.is_empty() {
        return Err(Mistake::new("expected at least one condition"));
    }
    let mut filters = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        if item.is_null() {
            return Err(Mistake::new("expected a condition, found null").within(&i.to_string()));
        }
        filters.extend(filter(model, entity, item, slots).map_err(|m| m.within(&i.to_string()))?);
    }
    Ok(join(filters, by))
}

/// `some`, `every` and `none` of the rows of another entity. With an empty condition, `some`
/// requires a row, `none` requires that there is none, and `every` requires nothing.
fn related(
    model: &Model,
    target: &Entity,
    column: ColumnId,
    value: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    let mut filters = Vec::new();
    for (name, inner) in value.object()? {
        let quantifier = match name {
            "some" => Quantifier::Some,
            "every" => Quantifier::Every,
            "none" => Quantifier::None,
            other => {
                return Err(
                    Mistake::new("unknown field; expected some, every or none").within(other)
                );
            }
        };
        if inner.is_null() {
            continue;
        }
        let inner = match filter(model, target, inner, slots).map_err(|m| m.within(name))? {
            Some(inner) => inner,
            None if quantifier == Quantifier::Every => continue,
            // True of every related row.
            None => Filter::IsNull(column, false),
        };
        filters.push(Filter::ToMany(slots.visible(target)?, column, quantifier, Box::new(inner)));
    }
    Ok(join(filters, Filter::And))
}

fn operators(
    model: &Model,
    entity: &Entity,
    id: ColumnId,
    input: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    let column = entity.column(id);
    let members = input.object()?;
    let case_insensitive = match members
        .iter()
        .find(|(name, value)| *name == "mode" && !value.is_null())
    {
        Some((_, mode)) => match mode.name().map_err(|m| m.within("mode"))? {
            "INSENSITIVE" => true,
            "DEFAULT" => false,
            other => {
                return Err(Mistake::new(format!("unknown mode {other}; expected INSENSITIVE"))
                    .within("mode"));
            }
        },
        None => false,
    };
    let mut filters = Vec::new();
    for (name, value) in members {
        if value.is_null() || (name == "mode" && column.scalar.is_textual()) {
            continue;
        }
        filters.push(
            operator(model, column, id, name, value, case_insensitive, slots)
                .map_err(|m| m.within(name))?,
        );
    }
    Ok(join(filters, Filter::And))
}

fn operator(
    model: &Model,
    column: &Column,
    id: ColumnId,
    name: &str,
    value: Input<'_>,
    case_insensitive: bool,
    slots: &mut Slots<'_>,
) -> Result<Filter, Mistake> {
    slots.condition()?;
    let scalar = column.scalar;
    let folded = |value: Value| match value {
        Value::Text(text) if case_insensitive => Value::Text(select::fold_case(&text).into()),
        other => other,
    };
    let comparison = match name {
        "eq" => Some(Comparison::Eq),
        "neq" => Some(Comparison::Neq),
        "lt" if scalar.is_ordered() => Some(Comparison::Lt),
        "lte" if scalar.is_ordered() => Some(Comparison::Lte),
        "gt" if scalar.is_ordered() => Some(Comparison::Gt),
        "gte" if scalar.is_ordered() => Some(Comparison::Gte),
        _ => None,
    };
    if let Some(comparison) = comparison {
        let slot = slots.push(folded(slots.value(model, column, value)?));
        return Ok(Filter::Compare { column: id, comparison, slot, case_insensitive });
    }
    match name {
        "in" | "notIn" => {
            let mut values = Vec::new();
            for (i, item) in value.list().into_iter().enumerate() {
                values.push(folded(
                    slots.value(model, column, item).map_err(|m| m.within(&i.to_string()))?,
                ));
            }
            let slot = slots.keep(SlotValue::Many(ValueList::new(values).into()));
            Ok(Filter::In { column: id, slot, negated: name == "notIn", case_insensitive })
        }
        "contains" | "startsWith" | "endsWith" if scalar.is_textual() => {
            let text = value.string()?;
            if text.is_empty() {
                return Ok(Filter::IsNull(id, false));
            }
            let text = if case_insensitive { select::fold_case(text) } else { text.to_owned() };
            let end = if name == "startsWith" { successor(&text) } else { None };
            let slot = slots.push(Value::Text(text.into()));
            let search = match name {
                "contains" => TextMatch::Contains,
                "endsWith" => TextMatch::EndsWith,
                _ => TextMatch::StartsWith(end.map(|end| slots.push(Value::Text(end.into())))),
            };
            Ok(Filter::Text { column: id, search, slot, case_insensitive })
        }
        "isNull" if column.nullable => Ok(Filter::IsNull(id, value.boolean()?)),
        _ => Err(Mistake::new("unknown operator for this field")),
    }
}

/// The smallest string, by code points, that is greater than all strings starting with `prefix`;
/// None if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

fn join(mut filters: Vec<Filter>, by: fn(Vec<Filter>) -> Filter) -> Option<Filter> {
    match filters.len() {
        0 => None,
        1 => filters.pop(),
        _ => Some(by(filters)),
    }
}

pub(super) fn visible_column(entity: &Entity, name: &str) -> Option<ColumnId> {
    let id = entity.column_by_field(name)?;
    let column = entity.column(id);
    (!column.hidden && column.scalar.is_filterable()).then_some(id)
}
