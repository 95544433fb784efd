//! Binds the arguments of one request to a plan. All arguments are coerced before anything is read,
//! and each list gets the statements for its shape. Arguments without variables are bound once,
//! when the plan is compiled.

use std::sync::Arc;

use async_graphql_value::Value as Ast;

use super::argument::{Input, Mistake, Variables};
use super::bound::{Arguments, BoundKeys, BoundList, BoundPlan, BoundWrite};
use super::coerce;
use super::condition::{self, Slots};
use super::cursor;
use super::error::GraphqlError;
use super::plan::{
    Action, Argument, ListPlan, NodePlan, Object, ObjectField, ObjectFieldKind, Plan, RootKind,
    RowPlan, WritePlan,
};
use super::plan::{ConnectionFieldKind, EdgeFieldKind};
use super::rules::Grants;
use super::watch::{Watch, confined};
use crate::dependency::Dependency;
use crate::model::global_id::{self, NotAnId};
use crate::model::{Column, ColumnId, Model, Scalar, Value};
use crate::store::select::{self, List};
use crate::syntax::long_number;

/// Coerces all arguments of a plan.
///
/// # Errors
/// All mistakes, each with its position in the document.
pub(super) fn bind(
    model: &Model,
    plan: &Plan,
    variables: &Variables,
    grants: &Arc<Grants>,
) -> Result<BoundPlan, Vec<GraphqlError>> {
    let mut binder = Binder::new(model, plan, variables, grants);
    binder.plan(plan);
    if binder.errors.is_empty() {
        Ok(BoundPlan { arguments: binder.bound, grants: grants.clone() })
    } else {
        Err(binder.errors)
    }
}

/// The mistakes in a plan's arguments that no client can avoid: in arguments without variables, or
/// only with variables that have a value here.
pub(super) fn certain_mistakes(
    model: &Model,
    plan: &Plan,
    variables: &Variables,
    grants: &Grants,
) -> Vec<GraphqlError> {
    let mut binder = Binder { only_certain: true, ..Binder::new(model, plan, variables, grants) };
    binder.plan(plan);
    binder.errors
}

struct Binder<'a> {
    model: &'a Model,
    variables: &'a Variables,
    grants: &'a Grants,
    /// Whether the conditions depend on the viewer. If so, their values must not be reused for
    /// others.
    is_private: bool,
    bound: Vec<Arguments>,
    errors: Vec<GraphqlError>,
    /// Skips arguments with variables that have no value.
    only_certain: bool,
}

impl<'a> Binder<'a> {
    fn new(model: &'a Model, plan: &Plan, variables: &'a Variables, grants: &'a Grants) -> Self {
        let (bound, is_private) =
            (vec![Arguments::Open; plan.arguments], plan.accesses.is_private());
        Self {
            model,
            variables,
            grants,
            is_private,
            bound,
            errors: Vec::new(),
            only_certain: false,
        }
    }

    fn plan(&mut self, plan: &Plan) {
        for field in &plan.root {
            match &field.kind {
                RootKind::Typename(_) | RootKind::Introspection => {}
                RootKind::One(one) => {
                    let entity = self.model.entity(one.row.entity);
                    let mut keys = Some(Vec::new());
                    for (column, argument) in &one.keys {
                        let column = entity.column(*column);
                        match self.key(column, argument, &column.field) {
                            Some(value) => {
                                keys.iter_mut().for_each(|keys| keys.push(value.clone()))
                            }
                            None => keys = None,
                        }
                    }
                    let rules = self.grants.values(entity.id);
                    let keys = keys.and_then(|keys| BoundKeys::new(keys, rules));
                    self.bound[one.bound] = Arguments::Keys(keys.map(Arc::new));
                    self.object(&one.row.object);
                }
                RootKind::List(list) => self.list(list),
                RootKind::Node(node) => self.node(node),
                RootKind::Write(write) => self.write(write),
            }
        }
    }

    fn mistake(&mut self, argument: Option<&Argument>, mistake: Mistake, position: (usize, usize)) {
        let is_open = |argument: &Argument| {
            any_variable(&argument.value, &|name| !self.variables.values.contains_key(name))
        };
        if self.only_certain && argument.is_none_or(is_open) {
            return;
        }
        self.errors.push(mistake.into_error(position));
    }

    fn object(&mut self, object: &Object) {
        for ObjectField { kind, .. } in &object.fields {
            match kind {
                ObjectFieldKind::ToOne { row, .. } => self.object(&row.object),
                ObjectFieldKind::ToMany(list) => self.list(list),
                ObjectFieldKind::Typename
                | ObjectFieldKind::Etag
                | ObjectFieldKind::Value { .. }
                | ObjectFieldKind::Id { .. } => {}
            }
        }
    }

    fn list(&mut self, plan: &ListPlan) {
        let list = match plan.shapes.fixed.get() {
            Some(fixed) => Some(fixed.clone()),
            None => self.bind_list(plan),
        };
        if let Some(list) = list {
            self.bound[plan.bound] = Arguments::List(list);
        }
        for field in &plan.fields {
            match &field.kind {
                ConnectionFieldKind::Nodes(object) => self.object(object),
                ConnectionFieldKind::Edges(fields) => {
                    for field in fields {
                        if let EdgeFieldKind::Node(object) = &field.kind {
                            self.object(object);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn bind_list(&mut self, plan: &ListPlan) -> Option<Arc<BoundList>> {
        match bound_list(self.model, plan, self.variables, self.grants) {
            Ok(bound) => {
                let bound = Arc::new(bound);
                if !self.is_private
                    && !plan.arguments.iter().any(|(_, argument)| has_variables(&argument.value))
                {
                    let _ = plan.shapes.fixed.set(bound.clone());
                }
                Some(bound)
            }
            Err((mistake, position)) => {
                let argument =
                    plan.arguments.iter().find(|(_, argument)| argument.position == position);
                self.mistake(argument.map(|(_, argument)| argument), mistake, position);
                None
            }
        }
    }

    /// The key of a row; None if the argument cannot be a key, or is missing.
    fn key(&mut self, column: &Column, argument: &Argument, name: &str) -> Option<Value> {
        let scalar = column.scalar;
        match Input::of(&argument.value, self.variables) {
            Some(input) if !input.is_null() => match input.of_column(self.model, column) {
                Ok(value) => Some(value),
                // Any string is an ID. One that does not have the key's form is the ID of no row.
                Err(_)
                    if column.global.is_none()
                        && matches!(scalar, Scalar::IdInt | Scalar::IdUuid)
                        && is_id(input) =>
                {
                    None
                }
                Err(mistake) => {
                    self.mistake(Some(argument), mistake.within(name), argument.position);
                    None
                }
            },
            _ => {
                self.mistake(
                    Some(argument),
                    Mistake::new("is required").within(name),
                    argument.position,
                );
                None
            }
        }
    }

    fn node(&mut self, plan: &NodePlan) {
        let (name, position) = (if plan.is_list { "ids" } else { "id" }, plan.position);
        let input = plan.ids.as_ref().and_then(|ids| Input::of(&ids.value, self.variables));
        let input = input.filter(|input| !input.is_null());
        let keys = match input {
            None => Err(Mistake::new("is required")),
            Some(input) if plan.is_list => {
                let ids = input.list();
                let most = NodePlan::MOST_IDS;
                if ids.len() > most {
                    Err(Mistake::new(format!("may have at most {most} ids, found {}", ids.len())))
                } else {
                    let keys = ids.into_iter().enumerate();
                    keys.map(|(i, id)| {
                        node_key(self.model, plan, id).map_err(|m| m.within(&i.to_string()))
                    })
                    .collect()
                }
            }
            Some(input) => node_key(self.model, plan, input).map(|key| vec![key]),
        };
        match keys {
            Ok(keys) => self.bound[plan.bound] = Arguments::Nodes(keys.into()),
            Err(mistake) => self.mistake(plan.ids.as_ref(), mistake.within(name), position),
        }
        plan.rows.iter().for_each(|row| self.object(&row.object));
    }

    fn write(&mut self, plan: &WritePlan) {
        let entity = self.model.entity(plan.row.entity);
        let mut bound =
            BoundWrite { key: None, id: String::new(), row: Vec::new(), expected_etag: None };
        if let Some(id) = &plan.id {
            let key = entity.column(entity.key);
            bound.key = self.key(key, id, &key.field);
            bound.id = Input::of(&id.value, self.variables).map(shown).unwrap_or_default();
        }
        let input = plan.input.as_ref();
        let given = input.and_then(|argument| Input::of(&argument.value, self.variables));
        let row = match (plan.action, given) {
            (Action::Create, given) => coerce::new_row(self.model, entity, given, self.grants)
                .map_err(|m| m.within("input")),
            (Action::Update, Some(given)) => {
                coerce::patch(self.model, entity, given, false, self.grants)
                    .map_err(|m| m.within("patch"))
            }
            (Action::Update, None) => Err(Mistake::new("is required").within("patch")),
            (Action::Delete, _) => Ok(Vec::new()),
        };
        match row {
            Ok(row) => bound.row = row,
            Err(mistake) => {
                self.mistake(input, mistake, input.map_or((0, 0), |argument| argument.position))
            }
        }
        if let Some(argument) = &plan.expected_etag
            && let Some(input) = Input::of(&argument.value, self.variables)
            && !input.is_null()
        {
            match input.string() {
                Ok(token) => bound.expected_etag = Some(bare(token).to_owned()),
                Err(mistake) => {
                    self.mistake(Some(argument), mistake.within("expectedEtag"), argument.position)
                }
            }
        }
        self.bound[plan.bound] = Arguments::Write(Arc::new(bound));
        self.object(&plan.row.object);
    }
}

/// The index of the plan that reads the row with this id, and the row's key.
fn node_key(model: &Model, plan: &NodePlan, input: Input<'_>) -> Result<(usize, Value), Mistake> {
    let id = input
        .string()
        .map_err(|_| Mistake::new(format!("expected an id, found {}", input.kind())))?;
    let malformed = || Mistake::new(format!("expected an id, found {}", NotAnId::Malformed));
    let (type_name, _) = global_id::decode(id).ok_or_else(malformed)?;
    let is_meant = |row: &RowPlan| model.entity(row.entity).name == type_name;
    let at = plan.rows.iter().position(is_meant).ok_or_else(malformed)?;
    let entity = model.entity(plan.rows[at].entity);
    Ok((at, input.of_column(model, entity.column(entity.key))?))
}

fn bound_list(
    model: &Model,
    plan: &ListPlan,
    variables: &Variables,
    grants: &Grants,
) -> Result<BoundList, (Mistake, (usize, usize))> {
    let entity = model.entity(plan.entity);
    let find =
        |name: &str| plan.arguments.iter().find(|(n, _)| n == name).map(|(_, argument)| argument);
    let input = |name: &str| {
        let argument = find(name)?;
        Some((Input::of(&argument.value, variables)?, argument.position))
    };
    let given = |name: &str| input(name).filter(|(input, _)| !input.is_null());
    let mut slots = Slots::new(grants);
    let from = slots.visible(entity).map_err(|mistake| (mistake, (0, 0)))?;

    let filter = match input("where") {
        None => None,
        Some((input, position)) => {
            let filter = condition::filter(model, entity, input, &mut slots);
            filter.map_err(|mistake| (mistake.within("where"), position))?
        }
    };
    let order = match input("orderBy") {
        None => coerce::ordering(entity, None, grants),
        Some((input, position)) => Ok(coerce::ordering(entity, Some(input), grants)
            .map_err(|mistake| (mistake.within("orderBy"), position))?),
    };
    let order = order.map_err(|mistake: Mistake| (mistake, (0, 0)))?;
    let ordering = cursor::ordering_id(entity, &order);

    let mut bound = |name: &str| -> Result<Option<select::Bound>, (Mistake, (usize, usize))> {
        let Some((input, position)) = given(name) else { return Ok(None) };
        let values = input
            .string()
            .and_then(|text| cursor::decode(text, entity, &order, ordering).map_err(Mistake::new));
        let values = values.map_err(|mistake| (mistake.within(name), position))?;
        Ok(Some(
            values
                .into_iter()
                .map(|value| (value != Value::Null).then(|| slots.push(value)))
                .collect(),
        ))
    };
    let (after, before) = (bound("after")?, bound("before")?);

    let size = |name: &str| match given(name) {
        None => Ok(None),
        Some((input, position)) => input
            .count(model, entity.max_page_size)
            .map(Some)
            .map_err(|mistake| (mistake.within(name), position)),
    };
    let (first, last) = (size("first")?, size("last")?);
    if let (Some(_), Some(_), Some((_, position))) = (first, last, given("last")) {
        return Err((
            Mistake::new("cannot be combined with first; ask for one end of the list")
                .within("last"),
            position,
        ));
    }
    let size = first.or(last).unwrap_or(entity.default_page_size());
    // One more row tells whether the list goes on, if anybody asks.
    let backward = last.is_some();
    let one_more = if backward { plan.wants.previous } else { plan.wants.next };
    let limit = slots.push(Value::Int(i64::from(size) + i64::from(one_more)));

    let mut columns = plan.columns.clone();
    let mut cursor = Vec::new();
    if plan.wants.cursors {
        for (column, _) in &order {
            cursor.push(row_index(entity.key, *column, &mut columns));
        }
    }
    let list = List { from, cut: plan.cut, filter, order, after, before, backward, limit };
    // A count needs no order.
    let order = if plan.wants.rows { list.order.as_slice() } else { &[] };
    let mut watch = Watch::new(model, &slots.values);
    watch.own.extend(order.iter().map(|(column, _)| *column));
    list.from.only().into_iter().chain(&list.filter).for_each(|filter| watch.filter(filter));
    let watching: Arc<[ColumnId]> = watch.own.iter().copied().collect();
    let foreign = watch.foreign();
    let mut conditions = list.filter.iter().chain(list.from.only());
    let cut = conditions.find_map(|filter| confined(model, plan.entity, filter, false));
    let whole = match cut.and_then(|(column, slot)| Some((column, slots.one(slot)?.clone()))) {
        Some((column, value)) => {
            Dependency::Part { entity: plan.entity, column, value, watching: watching.clone() }
        }
        None => Dependency::Set { entity: plan.entity, watching: watching.clone() },
    };
    Ok(BoundList {
        queries: plan.shapes.queries(list, &columns),
        values: slots.values,
        size: size as usize,
        columns,
        cursor,
        ordering,
        whole,
        watching,
        foreign,
    })
}

/// The index of a column in the row; the column is appended if it is missing.
pub(super) fn row_index(key: ColumnId, column: ColumnId, columns: &mut Vec<ColumnId>) -> usize {
    if column == key {
        return 0;
    }
    let position = columns.iter().position(|c| *c == column).unwrap_or_else(|| {
        columns.push(column);
        columns.len() - 1
    });
    position + 2
}

fn has_variables(ast: &Ast) -> bool {
    any_variable(ast, &|_| true)
}

/// Whether a value contains a variable for which `is_meant` is true.
fn any_variable(ast: &Ast, is_meant: &impl Fn(&str) -> bool) -> bool {
    match ast {
        Ast::Variable(name) => is_meant(name.as_str()),
        Ast::List(items) => items.iter().any(|item| any_variable(item, is_meant)),
        Ast::Object(members) => members.values().any(|member| any_variable(member, is_meant)),
        _ => false,
    }
}

/// The token itself, if a client has stored it in the form of an ETag: quoted, or weak.
fn bare(token: &str) -> &str {
    let strong = token.strip_prefix("W/").unwrap_or(token);
    strong.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(token)
}

fn is_id(input: Input<'_>) -> bool {
    use async_graphql_value::ConstValue;
    matches!(
        input,
        Input::Literal(Ast::String(_) | Ast::Number(_) | Ast::Binary(_), _)
            | Input::Variable(ConstValue::String(_) | ConstValue::Number(_))
    )
}

fn shown(input: Input<'_>) -> String {
    match input {
        Input::Literal(Ast::String(text), _)
        | Input::Variable(async_graphql_value::ConstValue::String(text)) => text.clone(),
        Input::Literal(Ast::Binary(kept), _) => long_number(kept).to_owned(),
        Input::Literal(other, _) => other.to_string(),
        Input::Variable(other) => other.to_string(),
    }
}
