//! Arguments, coerced strictly from the raw document and the request's variables (October 2021 specification, §6.4.1 and
//! §3): an omitted variable inside an input object is absent, `null` stands only where it means something, and a value is
//! never taken for another type's. What the coerced values do is decided elsewhere.

use async_graphql_value::{ConstValue, Value as Ast};
use serde_json::value::RawValue;

use super::error::{Code, GraphqlError, cut};
use super::rules::Grants;
use crate::model::global_id::{self, NotAnId};
use crate::model::naming::with_article;
use crate::model::scalar::Source;
use crate::model::{Access, Column, ColumnId, DefaultValue, Entity, EntityId, FieldKind, Model, Order, Scalar, Value};
use crate::store::select::{self, Comparison, Filter, Quantifier, Slot, SlotValue, TextMatch, ValueList, Visible};

/// The variables of one request, coerced.
#[derive(Debug, Clone, Default)]
pub struct Variables {
    /// Sorted by name; omitted ones are absent.
    pub(super) values: std::collections::BTreeMap<String, ConstValue>,
    /// As canonical JSON.
    pub(super) canonical: String,
}

impl Variables {
    /// Canonical JSON: sorted keys, no white space, declared defaults filled in. `{}` when there are none.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }
}

/// Why an argument does not coerce: where in it, and a sentence for the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// From the argument inwards: `["where", "price", "gt"]`.
    pub path: Vec<String>,
    /// Lower case, no full stop.
    pub message: String,
    /// `BAD_USER_INPUT`, or that of what may not be asked for.
    pub code: Code,
}

impl From<GraphqlError> for Mistake {
    fn from(error: GraphqlError) -> Self {
        Self { path: Vec::new(), message: error.message, code: error.code }
    }
}

impl Mistake {
    /// A mistake right here.
    pub fn new(message: impl Into<String>) -> Self {
        Self { path: Vec::new(), message: message.into(), code: Code::BadUserInput }
    }

    /// The same mistake, seen from outside.
    #[must_use]
    pub fn within(mut self, name: &str) -> Self {
        self.path.insert(0, name.to_owned());
        self
    }

    /// For the client.
    pub fn into_error(self, position: (usize, usize)) -> GraphqlError {
        let mut place = self.path.join(".");
        cut(&mut place);
        let raw: Box<RawValue> = serde_json::value::to_raw_value(&place).expect("a string is JSON");
        let mut error = GraphqlError::new(self.code, format!("{place}: {}", self.message)).at(position.0, position.1);
        error.extensions.push(("argument", raw));
        error
    }
}

/// A value of an argument: from the document's text or from a variable.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Written in the document; may hold variables further in.
    Literal(&'a Ast, &'a Variables),
    /// Out of a variable.
    Variable(&'a ConstValue),
}

impl<'a> Input<'a> {
    /// The value of an argument or input field as it stands in the document; None if it is a variable that was omitted.
    pub fn of(ast: &'a Ast, variables: &'a Variables) -> Option<Self> {
        match ast {
            Ast::Variable(name) => variables.values.get(name.as_str()).map(Self::Variable),
            other => Some(Self::Literal(other, variables)),
        }
    }

    /// Whether it is `null`.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Literal(Ast::Null, _) | Self::Variable(ConstValue::Null))
    }

    /// The present members of an object, in order.
    pub fn object(self) -> Result<Vec<(&'a str, Self)>, Mistake> {
        match self {
            Self::Literal(Ast::Object(members), variables) => {
                let present = members.iter().filter_map(|(k, v)| Some((k.as_str(), Self::of(v, variables)?)));
                Ok(present.collect())
            }
            Self::Variable(ConstValue::Object(members)) => {
                Ok(members.iter().map(|(k, v)| (k.as_str(), Self::Variable(v))).collect())
            }
            other => Err(Mistake::new(format!("expected an input object, found {}", other.kind()))),
        }
    }

    /// The items of a list; a single value is a list of one, as the specification has it.
    pub fn list(self) -> Vec<Self> {
        const NULL: &ConstValue = &ConstValue::Null;
        match self {
            Self::Literal(Ast::List(items), variables) => {
                items.iter().map(|item| Self::of(item, variables).unwrap_or(Self::Variable(NULL))).collect()
            }
            Self::Variable(ConstValue::List(items)) => items.iter().map(Self::Variable).collect(),
            single => vec![single],
        }
    }

    /// A value of a scalar type, not null.
    pub fn scalar(self, model: &Model, scalar: Scalar) -> Result<Value, Mistake> {
        if self.is_null() {
            return Err(Mistake::new(format!("expected {}, found null", scalar.graphql_name(model))));
        }
        let coerced = match self {
            Self::Variable(value) => scalar.coerce(model, value, Source::Variable),
            Self::Literal(ast, variables) => {
                let constant = ast
                    .clone()
                    .into_const_with(|name| {
                        Ok::<_, std::convert::Infallible>(
                            variables.values.get(name.as_str()).cloned().unwrap_or(ConstValue::Null),
                        )
                    })
                    .expect("nothing here fails");
                scalar.coerce(model, &constant, Source::Literal)
            }
        };
        coerced.map_err(Mistake::new)
    }

    /// A value of a column, not null. Where clients see global ids, it is one, and of a row of the right type.
    pub fn of_column(self, model: &Model, column: &Column) -> Result<Value, Mistake> {
        let Some(target) = column.global else { return self.scalar(model, column.scalar) };
        let entity = model.entity(target);
        let expected = |found: &dyn std::fmt::Display| {
            Mistake::new(format!("expected the id of {}, found {found}", with_article(&entity.name)))
        };
        let (Self::Literal(Ast::String(id), _) | Self::Variable(ConstValue::String(id))) = self else {
            return Err(expected(&self.kind()));
        };
        let key = global_id::decode_of(entity, id).map_err(|why| expected(&why))?;
        // The API gives only ids whose keys are of the column's form.
        let coerced = column.scalar.coerce(model, &ConstValue::String(key), Source::Variable);
        coerced.map_err(|_| expected(&NotAnId::Malformed))
    }

    /// A Boolean.
    pub fn boolean(self) -> Result<bool, Mistake> {
        match self {
            Self::Literal(Ast::Boolean(value), _) | Self::Variable(ConstValue::Boolean(value)) => Ok(*value),
            other => Err(Mistake::new(format!("expected Boolean, found {}", other.kind()))),
        }
    }

    /// A String.
    pub fn string(self) -> Result<&'a str, Mistake> {
        match self {
            Self::Literal(Ast::String(value), _) | Self::Variable(ConstValue::String(value)) => Ok(value),
            other => Err(Mistake::new(format!("expected String, found {}", other.kind()))),
        }
    }

    /// The name of an enum's value.
    pub fn name(self) -> Result<&'a str, Mistake> {
        match self {
            Self::Literal(Ast::Enum(name), _) | Self::Variable(ConstValue::Enum(name)) => Ok(name.as_str()),
            Self::Variable(ConstValue::String(name)) => Ok(name),
            other => Err(Mistake::new(format!("expected an enum value, found {}", other.kind()))),
        }
    }

    /// A number of rows.
    pub fn count(self, model: &Model, largest: u32) -> Result<u32, Mistake> {
        match self.scalar(model, Scalar::Int)? {
            Value::Int(count) if (0..=i64::from(largest)).contains(&count) => Ok(count as u32),
            Value::Int(count) => Err(Mistake::new(format!("must be between 0 and {largest}, found {count}"))),
            _ => Err(Mistake::new(format!("expected Int, found {}", self.kind()))),
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(self) -> &'static str {
        let constant = match self {
            Self::Variable(value) => value,
            Self::Literal(ast, _) => match ast {
                Ast::Variable(_) => return "a variable",
                Ast::Null => return "null",
                Ast::Number(_) | Ast::Binary(_) => return "a number",
                Ast::String(_) => return "a string",
                Ast::Boolean(_) => return "a boolean",
                Ast::Enum(_) => return "an enum value",
                Ast::List(_) => return "a list",
                Ast::Object(_) => return "an object",
            },
        };
        match constant {
            ConstValue::Null => "null",
            ConstValue::Number(_) | ConstValue::Binary(_) => "a number",
            ConstValue::String(_) => "a string",
            ConstValue::Boolean(_) => "a boolean",
            ConstValue::Enum(_) => "an enum value",
            ConstValue::List(_) => "a list",
            ConstValue::Object(_) => "an object",
        }
    }
}

/// How many conditions a filter may have. Each makes the statement larger, and SQLite takes expressions of a thousand
/// levels; many values of one column are a single `in`.
pub const MAX_CONDITIONS: usize = 256;

/// How deep conditions may nest. What comes out of variables no limit of documents has seen, and the statement is written
/// by functions that call themselves; besides, SQLite makes much more of conditions on relations within each other.
pub const MAX_CONDITION_DEPTH: usize = 16;

/// The values of a list's parameters. Slot 0 is the parent's key and stands outside.
#[derive(Debug, Clone)]
pub struct Slots<'g> {
    /// From slot 1 on.
    pub values: Vec<SlotValue>,
    conditions: usize,
    depth: usize,
    sight: Sight<'g>,
    /// The slots behind which the conditions on entities' rows have their values.
    rules: Vec<(EntityId, Slot)>,
}

/// For whom a filter is made.
#[derive(Debug, Clone, Copy)]
enum Sight<'g> {
    /// For a rule, which sees every row and every column.
    Rule,
    /// For a viewer.
    Viewer(&'g Grants),
}

impl<'g> Slots<'g> {
    /// For a rule's condition, which is not the viewer's.
    pub(super) fn of_rule() -> Self {
        Self::with(Sight::Rule)
    }

    /// For what a viewer asks.
    pub fn new(grants: &'g Grants) -> Self {
        Self::with(Sight::Viewer(grants))
    }

    fn with(sight: Sight<'g>) -> Self {
        Self { values: Vec::new(), conditions: 0, depth: 0, sight, rules: Vec::new() }
    }

    /// The rows of an entity that a statement with these slots may see.
    ///
    /// # Errors
    /// There can be none without a token.
    pub fn visible(&mut self, entity: &Entity) -> Result<Visible, Mistake> {
        let Sight::Viewer(grants) = self.sight else { return Ok(Visible::everything(entity.id)) };
        grants.may_any(entity, Access::Read)?;
        let residual = grants.rows(entity.id, Access::Read);
        let known = self.rules.iter().find(|(id, _)| *id == entity.id).map(|(_, behind)| *behind);
        let behind = known.unwrap_or_else(|| {
            let behind = self.values.len() as Slot;
            self.values.extend_from_slice(residual.values());
            self.rules.push((entity.id, behind));
            behind
        });
        Ok(residual.visible(entity.id, behind))
    }

    /// A column by the name of its field, where a condition may name it.
    fn column(&self, entity: &Entity, name: &str) -> Result<Option<ColumnId>, Mistake> {
        let Sight::Viewer(grants) = self.sight else { return Ok(entity.column_by_field(name)) };
        let Some(id) = visible_column(entity, name) else { return Ok(None) };
        grants.may(entity.rules_of(id), Access::Read, || format!("{}.{name}", entity.name))?;
        Ok(Some(id))
    }

    /// A value to compare a column with. Rules, and the claims that they name, know rows by their keys, whatever ids clients see.
    fn value(&self, model: &Model, column: &Column, input: Input<'_>) -> Result<Value, Mistake> {
        match self.sight {
            Sight::Rule => input.scalar(model, column.scalar),
            Sight::Viewer(_) => input.of_column(model, column),
        }
    }

    /// What a field is, where a condition may name it.
    fn relation(&self, entity: &Entity, name: &str) -> Result<Option<FieldKind>, Mistake> {
        let Some(field) = entity.fields.iter().find(|field| field.name == name) else { return Ok(None) };
        let Sight::Viewer(grants) = self.sight else { return Ok(Some(field.kind)) };
        if field.hidden {
            return Ok(None);
        }
        grants.may(&field.rules, Access::Read, || format!("{}.{name}", entity.name))?;
        Ok(Some(field.kind))
    }

    /// Keeps a value and names it.
    pub fn push(&mut self, value: Value) -> Slot {
        self.keep(SlotValue::One(value))
    }

    /// The single value in a slot.
    pub fn one(&self, slot: Slot) -> Option<&Value> {
        match self.values.get(usize::from(slot).checked_sub(1)?)? {
            SlotValue::One(value) => Some(value),
            SlotValue::Many(_) => None,
        }
    }

    fn keep(&mut self, value: SlotValue) -> Slot {
        self.values.push(value);
        self.values.len() as Slot
    }

    /// Notes one more condition.
    fn condition(&mut self) -> Result<(), Mistake> {
        self.conditions += 1;
        match self.conditions <= MAX_CONDITIONS {
            true => Ok(()),
            false => Err(Mistake::new(format!("a filter has at most {MAX_CONDITIONS} conditions"))),
        }
    }
}

/// What a filter asks for; None where it says nothing. Forms send filters with holes in them: `null` and `{}` in the place
/// of a condition, and operators whose variable is null or was not given, say nothing, and what says nothing is left out of
/// the conditions around it. So `not: {}` says nothing either, and an `or` is about the branches that say something.
pub fn filter(
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
        return Err(Mistake::new(format!("conditions nest deeper than {MAX_CONDITION_DEPTH} levels")));
    }
    let mut conditions = Vec::new();
    for (name, value) in input.object()? {
        conditions.extend(member(model, entity, name, value, slots).map_err(|mistake| mistake.within(name))?);
    }
    slots.depth -= 1;
    Ok(join(conditions, Filter::And))
}

fn member(
    model: &Model,
    entity: &Entity,
    name: &str,
    value: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    match name {
        "and" | "or" => return branches(model, entity, name, value, slots),
        "not" => return Ok(filter(model, entity, value, slots)?.map(|inner| Filter::Not(Box::new(inner)))),
        _ => {}
    }
    if let Some(column) = slots.column(entity, name)? {
        return operators(model, entity, column, value, slots);
    }
    match slots.relation(entity, name)? {
        Some(FieldKind::ToOne { column, target }) => {
            let target = model.entity(target);
            let Some(inner) = filter(model, target, value, slots)? else { return Ok(None) };
            Ok(Some(Filter::ToOne(column, slots.visible(target)?, Box::new(inner))))
        }
        Some(FieldKind::ToMany { target, column }) => related(model, target, column, value, slots),
        _ => Err(Mistake::new(format!("unknown field of {}Where", entity.name))),
    }
}

fn branches(
    model: &Model,
    entity: &Entity,
    name: &str,
    value: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    if value.is_null() {
        return Ok(None);
    }
    let items = value.list();
    // Nobody can tell whether no branch at all is meant to match every row or none.
    if name == "or" && items.is_empty() {
        return Err(Mistake::new("expected one condition at least"));
    }
    let mut filters = Vec::new();
    for (i, item) in items.into_iter().enumerate() {
        if item.is_null() {
            return Err(Mistake::new("expected a condition, found null").within(&i.to_string()));
        }
        filters.extend(filter(model, entity, item, slots).map_err(|m| m.within(&i.to_string()))?);
    }
    Ok(join(filters, if name == "and" { Filter::And } else { Filter::Or }))
}

/// `some`, `every` and `none` of the rows of another entity. Around nothing, `some` asks for a row, `none` for there being
/// none, and `every` for nothing.
fn related(
    model: &Model,
    target: EntityId,
    column: ColumnId,
    value: Input<'_>,
    slots: &mut Slots<'_>,
) -> Result<Option<Filter>, Mistake> {
    if value.is_null() {
        return Ok(None);
    }
    let mut filters = Vec::new();
    for (name, inner) in value.object()? {
        let quantifier = match name {
            "some" => Quantifier::Some,
            "every" => Quantifier::Every,
            "none" => Quantifier::None,
            other => return Err(Mistake::new("unknown field; some, every and none are there").within(other)),
        };
        if inner.is_null() {
            continue;
        }
        let inner = match filter(model, model.entity(target), inner, slots).map_err(|m| m.within(name))? {
            Some(inner) => inner,
            None if quantifier == Quantifier::Every => continue,
            // True of every row that is related at all.
            None => Filter::IsNull(column, false),
        };
        filters.push(Filter::ToMany(slots.visible(model.entity(target))?, column, quantifier, Box::new(inner)));
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
    if input.is_null() {
        return Ok(None);
    }
    let column = entity.column(id);
    let members = input.object()?;
    let fold = match members.iter().find(|(name, value)| *name == "mode" && !value.is_null()) {
        Some((_, mode)) => match mode.name().map_err(|m| m.within("mode"))? {
            "INSENSITIVE" => true,
            "DEFAULT" => false,
            other => return Err(Mistake::new(format!("unknown mode {other}; INSENSITIVE is there")).within("mode")),
        },
        None => false,
    };
    let mut filters = Vec::new();
    for (name, value) in members {
        if value.is_null() || (name == "mode" && column.scalar.is_textual()) {
            continue;
        }
        filters.push(operator(model, column, id, name, value, fold, slots).map_err(|m| m.within(name))?);
    }
    Ok(join(filters, Filter::And))
}

fn operator(
    model: &Model,
    column: &Column,
    id: ColumnId,
    name: &str,
    value: Input<'_>,
    fold: bool,
    slots: &mut Slots<'_>,
) -> Result<Filter, Mistake> {
    slots.condition()?;
    let scalar = column.scalar;
    let folded = |value: Value| match value {
        Value::Text(text) if fold => Value::Text(select::fold(&text).into()),
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
        return Ok(Filter::Compare { column: id, comparison, slot, fold });
    }
    match name {
        "in" | "notIn" => {
            let mut values = Vec::new();
            for (i, item) in value.list().into_iter().enumerate() {
                values.push(folded(slots.value(model, column, item).map_err(|m| m.within(&i.to_string()))?));
            }
            let slot = slots.keep(SlotValue::Many(ValueList::new(values).into()));
            Ok(Filter::In { column: id, slot, negated: name == "notIn", fold })
        }
        "contains" | "startsWith" | "endsWith" if scalar.is_textual() => {
            let text = value.string()?;
            if text.is_empty() {
                return Ok(Filter::IsNull(id, false));
            }
            let text = if fold { select::fold(text) } else { text.to_owned() };
            let end = if name == "startsWith" { successor(&text) } else { None };
            let slot = slots.push(Value::Text(text.into()));
            let search = match name {
                "contains" => TextMatch::Contains,
                "endsWith" => TextMatch::EndsWith,
                _ => TextMatch::StartsWith(end.map(|end| slots.push(Value::Text(end.into())))),
            };
            Ok(Filter::Text { column: id, search, slot, fold })
        }
        "isNull" if column.nullable => Ok(Filter::IsNull(id, value.boolean()?)),
        _ => Err(Mistake::new("unknown operator for this field")),
    }
}

/// The smallest text that is greater, by code points, than all that start with `prefix`; None if there is none.
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

fn visible_column(entity: &Entity, name: &str) -> Option<ColumnId> {
    let id = entity.column_by_field(name)?;
    let column = entity.column(id);
    (!column.hidden && column.scalar.is_filterable()).then_some(id)
}

/// An ordering that tells every two rows apart: its last term is the key, and nothing stands behind that.
pub fn ordering(entity: &Entity, input: Option<Input<'_>>, grants: &Grants) -> Result<Vec<(ColumnId, Order)>, Mistake> {
    let mut order: Vec<(ColumnId, Order)> = Vec::new();
    match input {
        None => order.extend(&entity.order_by),
        Some(input) if input.is_null() => order.extend(&entity.order_by),
        Some(input) => {
            for (i, item) in input.list().into_iter().enumerate() {
                let term = order_term(entity, item, grants).map_err(|m| m.within(&i.to_string()))?;
                if order.iter().all(|(column, _)| *column != term.0) {
                    order.push(term);
                }
            }
        }
    }
    match order.iter().position(|(column, _)| *column == entity.key) {
        Some(key) => order.truncate(key + 1),
        None => {
            // In the direction of the term before it, as the key stands in the indexes, so that one of them serves both.
            let descending = order.last().is_some_and(|(_, order)| order.descending);
            order.push((entity.key, Order { descending, nulls_first: !descending }));
        }
    }
    Ok(order)
}

fn order_term(entity: &Entity, input: Input<'_>, grants: &Grants) -> Result<(ColumnId, Order), Mistake> {
    let members = if input.is_null() { Vec::new() } else { input.object()? };
    let [(name, direction)] = members.as_slice() else {
        return Err(Mistake::new(format!("expected exactly one field, found {}", members.len())));
    };
    let column = visible_column(entity, name)
        .ok_or_else(|| Mistake::new(format!("unknown field of {}OrderBy", entity.name)).within(name))?;
    let may = grants.may(entity.rules_of(column), Access::Read, || format!("{}.{name}", entity.name));
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

/// The value of one column in a write; `Generated` is made when the write runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// This.
    Value(Value),
    /// A default with a function.
    Generated(DefaultValue),
}

/// The columns of a new row: those that `input` gives, and the defaults of those that it does not.
pub fn new_row(
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

/// The columns that `input` gives; an absent one is left as it is, `null` sets NULL.
pub fn patch(
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
            return Err(Mistake::new(format!("unknown field of {}{kind}", entity.name)).within(name));
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
            // The key of a new row is the client's to choose, not yet anybody's id.
            let is_new_key = creating && id == entity.key;
            let coerced = if is_new_key { value.scalar(model, column.scalar) } else { value.of_column(model, column) };
            coerced.map_err(|m| m.within(name))?
        };
        row.push((id, Write::Value(value)));
    }
    // A patch that says nothing changes nothing.
    if !creating && !row.is_empty() {
        let updated = entity.column_ids().filter(|id| entity.column(*id).set_on_update);
        row.extend(updated.map(|id| (id, Write::Generated(DefaultValue::Now))));
    }
    row.sort_by_key(|(id, _)| *id);
    Ok(row)
}
