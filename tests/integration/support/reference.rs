//! A simple reference implementation of answers: it computes them from all rows in memory, using
//! nothing of the engine except the model's names and types. The tests compare the engine's answers
//! with it.

use std::cmp::Ordering;

use freshql::model::{ColumnId, Entity, EntityId, Model, Order, Scalar, Value};

use crate::rows::{Row, Tables};

/// A condition: all of its members must hold.
pub(crate) type Where = Vec<Member>;

/// A member of a condition.
#[derive(Debug, Clone)]
pub(crate) enum Member {
    And(Vec<Where>),
    Or(Vec<Where>),
    Not(Where),
    Column(ColumnId, Vec<Operator>, bool),
    ToOne(String, ColumnId, EntityId, Where),
    ToMany(String, EntityId, ColumnId, Vec<(&'static str, Where)>),
}

/// A condition on a column.
#[derive(Debug, Clone)]
pub(crate) enum Operator {
    /// `eq neq lt lte gt gte contains startsWith endsWith`
    One(&'static str, Value),
    /// `in notIn`
    Many(&'static str, Vec<Value>),
    IsNull(bool),
}

/// The rows of a list, and their order.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) entity: EntityId,
    pub(crate) cut: Option<ColumnId>,
    pub(crate) filter: Option<Where>,
    pub(crate) order: Vec<(ColumnId, Order)>,
    pub(crate) first: Option<usize>,
    pub(crate) last: Option<usize>,
}

/// An item of a selection set.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    Field(Field),
    /// An inline fragment or the spread of a named one: its type, name, condition and content.
    Fragment(String, Option<String>, Option<Condition>, Vec<Item>),
}

/// A selected field.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    pub(crate) key: String,
    pub(crate) name: String,
    /// In parentheses.
    pub(crate) arguments: String,
    pub(crate) condition: Option<Condition>,
    pub(crate) kind: Kind,
    pub(crate) items: Vec<Item>,
}

/// `@include` or `@skip`, its variable, and that variable's value.
#[derive(Debug, Clone)]
pub(crate) struct Condition {
    pub(crate) include: bool,
    pub(crate) variable: String,
    pub(crate) value: bool,
}

/// The kind of a field.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Typename(String),
    Column(ColumnId),
    ToOne(ColumnId, EntityId),
    One(EntityId, Vec<(ColumnId, Value)>),
    List(List),
    Nodes,
    Edges,
    Node,
    PageInfo,
    HasNextPage,
    HasPreviousPage,
    TotalCount,
}

/// The parent of a selection set.
#[derive(Clone, Copy)]
enum Place<'a> {
    Root,
    Row(&'a Entity, &'a Row),
    Page(&'a Page<'a>),
}

struct Page<'a> {
    entity: &'a Entity,
    rows: Vec<&'a Row>,
    next: bool,
    previous: bool,
    total: usize,
}

/// The model and all rows.
#[derive(Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) model: &'a Model,
    pub(crate) tables: &'a Tables,
}

impl<'a> Reference<'a> {
    /// The value of `data`.
    pub(crate) fn data(self, items: &'a [Item]) -> String {
        self.object(Place::Root, &[items])
    }

    /// All rows of a list, in order.
    pub(crate) fn rows(self, list: &List, parent: &Value) -> Vec<&'a Row> {
        let entity = self.model.entity(list.entity);
        let belongs = |row: &Row| list.cut.is_none_or(|column| equal(at(row, column), parent));
        let matches =
            |row: &Row| list.filter.as_ref().is_none_or(|filter| self.matches(entity, row, filter));
        let mut rows: Vec<&Row> =
            self.table(list.entity).iter().filter(|row| belongs(row) && matches(row)).collect();
        rows.sort_by(|one, other| compare_rows(entity, &list.order, one, other));
        rows
    }

    fn table(self, entity: EntityId) -> &'a [Row] {
        &self.tables[usize::from(entity.0)]
    }

    fn page(self, list: &List, parent: &Value) -> Page<'a> {
        let entity = self.model.entity(list.entity);
        let all = self.rows(list, parent);
        let total = all.len();
        let most = list.first.or(list.last).unwrap_or(20.min(entity.max_page_size as usize));
        let more = total > most;
        let rows = if list.last.is_some() {
            all[total.saturating_sub(most)..].to_vec()
        } else {
            all[..most.min(total)].to_vec()
        };
        Page {
            entity,
            rows,
            next: more && list.last.is_none(),
            previous: more && list.last.is_some(),
            total,
        }
    }

    fn object(self, place: Place<'_>, sets: &[&[Item]]) -> String {
        let mut merged: Vec<Vec<&Field>> = Vec::new();
        for set in sets {
            collect(set, &mut merged);
        }
        let members = merged
            .iter()
            .map(|fields| format!("\"{}\":{}", fields[0].key, self.field(place, fields)));
        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
    }

    fn field(self, place: Place<'_>, fields: &[&Field]) -> String {
        let sets: Vec<&[Item]> = fields.iter().map(|field| field.items.as_slice()).collect();
        let row_of = |entity: EntityId, row: Option<&Row>| match row {
            Some(row) => self.object(Place::Row(self.model.entity(entity), row), &sets),
            None => "null".to_owned(),
        };
        let every = |page: &Page<'_>, write: &dyn Fn(&Row) -> String| {
            format!("[{}]", page.rows.iter().map(|row| write(row)).collect::<Vec<_>>().join(","))
        };
        match (&fields[0].kind, place) {
            (Kind::Typename(name), _) => format!("\"{name}\""),
            (Kind::Column(column), Place::Row(entity, row)) => {
                json(entity.column(*column).scalar, at(row, *column))
            }
            (Kind::ToOne(column, target), Place::Row(_, row)) => {
                row_of(*target, self.by_key(*target, at(row, *column)))
            }
            (Kind::One(entity, keys), _) => {
                let mut rows = self.table(*entity).iter();
                row_of(
                    *entity,
                    rows.find(|row| {
                        keys.iter().all(|(column, value)| equal(at(row, *column), value))
                    }),
                )
            }
            (Kind::List(list), Place::Row(entity, row)) => {
                self.object(Place::Page(&self.page(list, at(row, entity.key))), &sets)
            }
            (Kind::List(list), _) => {
                self.object(Place::Page(&self.page(list, &Value::Null)), &sets)
            }
            (Kind::Nodes, Place::Page(page)) => {
                every(page, &|row| self.object(Place::Row(page.entity, row), &sets))
            }
            (Kind::Edges, Place::Page(page)) => {
                every(page, &|row| self.object(Place::Row(page.entity, row), &sets))
            }
            (Kind::Node, place) => self.object(place, &sets),
            (Kind::PageInfo, place) => self.object(place, &sets),
            (Kind::HasNextPage, Place::Page(page)) => page.next.to_string(),
            (Kind::HasPreviousPage, Place::Page(page)) => page.previous.to_string(),
            (Kind::TotalCount, Place::Page(page)) => page.total.to_string(),
            (kind, _) => panic!("{kind:?} stands in a wrong place"),
        }
    }

    fn by_key(self, entity: EntityId, key: &Value) -> Option<&'a Row> {
        let column = self.model.entity(entity).key;
        self.table(entity).iter().find(|row| equal(at(row, column), key))
    }

    pub(crate) fn matches(self, entity: &Entity, row: &Row, filter: &Where) -> bool {
        filter.iter().all(|member| match member {
            Member::And(all) => all.iter().all(|filter| self.matches(entity, row, filter)),
            Member::Or(any) => any.iter().any(|filter| self.matches(entity, row, filter)),
            Member::Not(filter) => !self.matches(entity, row, filter),
            Member::Column(column, operators, fold) => {
                operators.iter().all(|operator| holds(operator, at(row, *column), *fold))
            }
            Member::ToOne(_, column, target, filter) => self
                .by_key(*target, at(row, *column))
                .is_some_and(|other| self.matches(self.model.entity(*target), other, filter)),
            Member::ToMany(_, target, column, quantified) => {
                let other = self.model.entity(*target);
                let key = at(row, entity.key);
                let related: Vec<&Row> =
                    self.table(*target).iter().filter(|row| equal(at(row, *column), key)).collect();
                quantified.iter().all(|(quantifier, filter)| match *quantifier {
                    "some" => related.iter().any(|row| self.matches(other, row, filter)),
                    "every" => related.iter().all(|row| self.matches(other, row, filter)),
                    _ => !related.iter().any(|row| self.matches(other, row, filter)),
                })
            }
        })
    }
}

/// CollectFields in the specification.
fn collect<'i>(items: &'i [Item], merged: &mut Vec<Vec<&'i Field>>) {
    let included =
        |condition: &Option<Condition>| condition.as_ref().is_none_or(|c| c.include == c.value);
    for item in items {
        match item {
            Item::Field(field) if included(&field.condition) => {
                match merged.iter_mut().find(|fields| fields[0].key == field.key) {
                    Some(same) => same.push(field),
                    None => merged.push(vec![field]),
                }
            }
            Item::Fragment(_, _, condition, items) if included(condition) => collect(items, merged),
            Item::Field(_) | Item::Fragment(..) => {}
        }
    }
}

/// The value of a column.
pub(crate) fn at(row: &Row, column: ColumnId) -> &Value {
    &row[usize::from(column.0)]
}

/// NULL equals nothing.
fn equal(one: &Value, other: &Value) -> bool {
    *one != Value::Null && one == other
}

fn compare(one: &Value, other: &Value) -> Ordering {
    match (one, other) {
        (Value::Int(one), Value::Int(other)) => one.cmp(other),
        (Value::Real(one), Value::Real(other)) => one.total_cmp(other),
        (Value::Text(one), Value::Text(other)) => one.chars().cmp(other.chars()),
        _ => panic!("{one:?} and {other:?} stand in no order"),
    }
}

fn compare_rows(entity: &Entity, order: &[(ColumnId, Order)], one: &Row, other: &Row) -> Ordering {
    let terms = order.iter().map(|(column, order)| match (at(one, *column), at(other, *column)) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) if order.nulls_first => Ordering::Less,
        (Value::Null, _) => Ordering::Greater,
        (_, Value::Null) if order.nulls_first => Ordering::Greater,
        (_, Value::Null) => Ordering::Less,
        (one, other) if order.descending => compare(other, one),
        (one, other) => compare(one, other),
    });
    // The key comes last, in the direction of the last term that has an effect.
    let is_new = |(i, (column, _)): &(usize, &(ColumnId, Order))| {
        order[..*i].iter().all(|(other, _)| other != column)
    };
    let last = order.iter().enumerate().rfind(is_new);
    let by_key = compare(at(one, entity.key), at(other, entity.key));
    let by_key = if last.is_some_and(|(_, (_, order))| order.descending) {
        by_key.reverse()
    } else {
        by_key
    };
    terms.fold(Ordering::Equal, Ordering::then).then(by_key)
}

/// Two-valued: every condition on NULL is false, except that it is different.
fn holds(operator: &Operator, value: &Value, fold: bool) -> bool {
    let value = &folded(value, fold);
    let null = *value == Value::Null;
    match operator {
        Operator::IsNull(wanted) => null == *wanted,
        Operator::Many("in", values) => {
            values.iter().any(|other| equal(value, &folded(other, fold)))
        }
        Operator::Many(_, values) => !values.iter().any(|other| equal(value, &folded(other, fold))),
        Operator::One("neq", other) => !equal(value, &folded(other, fold)),
        Operator::One(_, _) if null => false,
        Operator::One(name, other) => {
            let other = &folded(other, fold);
            let text = |value: &Value| match value {
                Value::Text(text) => text.to_string(),
                other => panic!("{other:?} is no text"),
            };
            match *name {
                "eq" => equal(value, other),
                "lt" => compare(value, other).is_lt(),
                "lte" => compare(value, other).is_le(),
                "gt" => compare(value, other).is_gt(),
                "gte" => compare(value, other).is_ge(),
                "contains" => text(value).contains(&text(other)),
                "startsWith" => text(value).starts_with(&text(other)),
                "endsWith" => text(value).ends_with(&text(other)),
                name => panic!("no operator is called {name}"),
            }
        }
    }
}

/// Character by character, so that a part of a string folds in the same way as the whole. The Greek
/// final sigma is another character, but the same letter.
fn folded(value: &Value, fold: bool) -> Value {
    match value {
        Value::Text(text) if fold => {
            let lower = text.chars().flat_map(char::to_lowercase);
            Value::text(lower.map(|c| if c == 'ς' { 'σ' } else { c }).collect::<String>())
        }
        other => other.clone(),
    }
}

/// A value in an answer.
pub(crate) fn json(scalar: Scalar, value: &Value) -> String {
    match value {
        Value::Text(text) if scalar == Scalar::Json => text.to_string(),
        value => input(scalar, value).to_string(),
    }
}

/// A value in a variable.
pub(crate) fn input(scalar: Scalar, value: &Value) -> serde_json::Value {
    match (scalar, value) {
        (_, Value::Null) => serde_json::Value::Null,
        (Scalar::Json, Value::Text(text)) => serde_json::from_str(text).unwrap(),
        (Scalar::Boolean, Value::Int(int)) => (*int == 1).into(),
        (Scalar::Decimal { scale, .. }, Value::Int(int)) => decimal(*int, scale).into(),
        (Scalar::IdInt | Scalar::BigInt, Value::Int(int)) => int.to_string().into(),
        (_, Value::Int(int)) => (*int).into(),
        (_, Value::Real(real)) => (*real).into(),
        (_, Value::Text(text)) => text.as_ref().into(),
    }
}

/// A value in a document.
pub(crate) fn literal(scalar: Scalar, value: &Value) -> String {
    match (scalar, value) {
        (Scalar::Enum(_), Value::Text(name)) => name.to_string(),
        (Scalar::Json, Value::Text(text)) if text.starts_with('{') => {
            "{ b: {}, a: [1, \"x\", null] }".to_owned()
        }
        // Integers in a document are exact.
        (Scalar::BigInt, Value::Int(int)) if int % 2 == 0 => int.to_string(),
        _ => input(scalar, value).to_string(),
    }
}

fn decimal(scaled: i64, scale: u8) -> String {
    let unit = 10_i128.pow(scale.into());
    let (whole, rest) = (i128::from(scaled).abs() / unit, i128::from(scaled).abs() % unit);
    let sign = if scaled < 0 { "-" } else { "" };
    if scale == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{rest:0>width$}", width = usize::from(scale))
    }
}
