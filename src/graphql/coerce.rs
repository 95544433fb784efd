//! Coerces what arguments ask for: orderings, and the columns that a write sets.

use super::argument::{Input, Mistake};
use super::condition::visible_column;
use super::rules::Grants;
use crate::model::{Access, ColumnId, DefaultValue, Entity, Model, Order, Value};

/// A total ordering: its last term is the key, and terms after the key are dropped.
pub(super) fn ordering(
    entity: &Entity,
    input: Option<Input<'_>>,
    grants: &Grants,
) -> Result<Vec<(ColumnId, Order)>, Mistake> {
    let mut order: Vec<(ColumnId, Order)> = Vec::new();
    match input {
        None => order.extend(&entity.order_by),
        Some(input) if input.is_null() => order.extend(&entity.order_by),
        Some(input) => {
            for (i, item) in input.list().into_iter().enumerate() {
                let term =
                    order_term(entity, item, grants).map_err(|m| m.within(&i.to_string()))?;
                if order.iter().all(|(column, _)| *column != term.0) {
                    order.push(term);
                }
            }
        }
    }
    match order.iter().position(|(column, _)| *column == entity.key) {
        Some(key) => order.truncate(key + 1),
        None => {
            // The key takes the direction of the preceding term, as in the indexes, so that one
            // index serves both directions.
            let descending = order.last().is_some_and(|(_, order)| order.descending);
            order.push((entity.key, Order { descending, nulls_first: !descending }));
        }
    }
    Ok(order)
}

fn order_term(
    entity: &Entity,
    input: Input<'_>,
    grants: &Grants,
) -> Result<(ColumnId, Order), Mistake> {
    let members = if input.is_null() { Vec::new() } else { input.object()? };
    let [(name, direction)] = members.as_slice() else {
        return Err(Mistake::new(format!("expected exactly one field, found {}", members.len())));
    };
    let column = visible_column(entity, name).ok_or_else(|| {
        Mistake::new(format!("unknown field of {}OrderBy", entity.name)).within(name)
    })?;
    let may =
        grants.may(entity.rules_of(column), Access::Read, || format!("{}.{name}", entity.name));
    may.map_err(|error| Mistake::from(error).within(name))?;
    let (descending, nulls_first) = match direction.name().map_err(|m| m.within(name))? {
        "ASC" | "ASC_NULLS_FIRST" => (false, true),
        "ASC_NULLS_LAST" => (false, false),
        "DESC" | "DESC_NULLS_LAST" => (true, false),
        "DESC_NULLS_FIRST" => (true, true),
        other => return Err(Mistake::new(format!("unknown OrderDirection {other}")).within(name)),
    };
    Ok((column, Order { descending, nulls_first }))
}

/// The value of one column in a write; `Generated` is computed when the write runs.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Write {
    /// This value.
    Value(Value),
    /// A default that is a function.
    Generated(DefaultValue),
}

/// The columns of a new row: those in `input`, and the defaults of all others.
pub(super) fn new_row(
    model: &Model,
    entity: &Entity,
    input: Option<Input<'_>>,
    grants: &Grants,
) -> Result<Vec<(ColumnId, Write)>, Mistake> {
    let given = input.map_or(Ok(Vec::new()), |input| patch(model, entity, input, true, grants))?;
    let mut row = Vec::new();
    for id in entity.column_ids() {
        let column = entity.column(id);
        if let Some((_, value)) = given.iter().find(|(given, _)| *given == id) {
            row.push((id, value.clone()));
            continue;
        }
        match &column.default {
            Some(DefaultValue::Autoincrement) => {}
            Some(DefaultValue::Value(value)) => row.push((id, Write::Value(value.clone()))),
            Some(DefaultValue::Claim(claim)) => {
                row.push((id, Write::Value(grants.preset(entity, column, claim)?)));
            }
            Some(function) => row.push((id, Write::Generated(function.clone()))),
            None if column.nullable => {}
            None => return Err(Mistake::new("is required").within(&column.field)),
        }
    }
    Ok(row)
}

/// The columns in `input`. An absent column is left unchanged; `null` sets NULL.
pub(super) fn patch(
    model: &Model,
    entity: &Entity,
    input: Input<'_>,
    creating: bool,
    grants: &Grants,
) -> Result<Vec<(ColumnId, Write)>, Mistake> {
    let access = if creating { Access::Create } else { Access::Update };
    let mut row = Vec::new();
    for (name, value) in input.object()? {
        let id = entity.column_by_field(name).filter(|id| {
            let column = entity.column(*id);
            !column.readonly && (creating || *id != entity.key)
        });
        let Some(id) = id else {
            let kind = if creating { "Input" } else { "Patch" };
            return Err(
                Mistake::new(format!("unknown field of {}{kind}", entity.name)).within(name)
            );
        };
        let column = entity.column(id);
        let may = grants.may(entity.rules_of(id), access, || format!("{}.{name}", entity.name));
        may.map_err(|error| Mistake::from(error).within(name))?;
        let value = if value.is_null() {
            if !column.nullable {
                let otherwise = if creating { "get its default" } else { "keep its value" };
                let message = format!("may not be null; leave it out to {otherwise}");
                return Err(Mistake::new(message).within(name));
            }
            Value::Null
        } else {
            // The client chooses the key of a new row, so it is not the global id of an existing
            // one.
            let is_new_key = creating && id == entity.key;
            let coerced = if is_new_key {
                value.scalar(model, column.scalar)
            } else {
                value.of_column(model, column)
            };
            coerced.map_err(|m| m.within(name))?
        };
        row.push((id, Write::Value(value)));
    }
    // An empty patch changes nothing, so it must not set these columns either.
    if !creating && !row.is_empty() {
        let updated = entity.column_ids().filter(|id| entity.column(*id).set_on_update);
        row.extend(updated.map(|id| (id, Write::Generated(DefaultValue::Now))));
    }
    row.sort_by_key(|(id, _)| *id);
    Ok(row)
}
