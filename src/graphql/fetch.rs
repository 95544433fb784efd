//! Which rows an answer needs, level by level, for a database where asking costs a round trip: one query for each node of
//! the plan, for all parents at once, and all queries of a level together. What was fetched is then written by the same
//! [`super::read`] that writes what SQLite has at hand.

use std::collections::HashSet;

use super::bind::{Arguments, Bound};
use super::plan::{
    ConnectionFieldKind, EdgeField, EdgeFieldKind, FieldKind, ListPlan, NodePlan, Object, Plan, RootField, RootKind,
    RowPlan,
};
use crate::model::Value;
use crate::model::scalar::ValueRef;
use crate::store::{Fetched, Levels, Parents, Row, Wanted};

/// What an answer needs.
pub(super) struct Fetch<'a> {
    bound: &'a Bound,
    max_rows: u64,
    /// What the next level asks for.
    wanted: Vec<Node<'a>>,
    /// What the last level asked for.
    asked: Vec<Node<'a>>,
    /// Rows and lists that the answer surely has, so far.
    counted: u64,
}

/// A node of the plan, and the parents that it is wanted for.
struct Node<'a> {
    kind: Kind<'a>,
    parents: Parents,
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Row(&'a RowPlan),
    /// With the values by which it is looked up beside its parent's.
    RowBy(&'a RowPlan, usize),
    List(&'a ListPlan),
}

impl<'a> Fetch<'a> {
    /// For the answer of a query.
    pub(super) fn query(plan: &'a Plan, bound: &'a Bound, max_rows: u64) -> Self {
        let roots = plan.root.iter().flat_map(|RootField { kind, .. }| match kind {
            RootKind::One(one) => {
                let Arguments::Keys(Some(keys)) = &bound.arguments[one.bound] else { return Vec::new() };
                vec![Node { kind: Kind::RowBy(&one.row, one.bound), parents: Parents::One(keys.first.clone()) }]
            }
            RootKind::List(list) => vec![Node { kind: Kind::List(list), parents: Parents::One(Value::Null) }],
            RootKind::Node(node) => nodes(node, bound),
            RootKind::Typename(_) | RootKind::Introspection | RootKind::Write(_) => Vec::new(),
        });
        Self { bound, max_rows, wanted: roots.collect(), asked: Vec::new(), counted: 0 }
    }

    /// For the answer about the row with this key.
    pub(super) fn row(plan: &'a RowPlan, key: &Value, bound: &'a Bound, max_rows: u64) -> Self {
        let node = Node { kind: Kind::Row(plan), parents: Parents::One(key.clone()) };
        Self { bound, max_rows, wanted: vec![node], asked: Vec::new(), counted: 0 }
    }

    /// Looks at what was fetched for a node, for whatever the next level needs.
    fn look<R: Row>(&mut self, node: &Node<'a>, fetched: &Fetched<R>) {
        let (place, objects, size) = match node.kind {
            Kind::Row(plan) | Kind::RowBy(plan, _) => (plan.place, vec![&plan.object], usize::MAX),
            Kind::List(plan) => {
                let Arguments::List(bound) = &self.bound.arguments[plan.bound] else {
                    unreachable!("a connection's arguments are a list's");
                };
                self.counted += node.parents.all().len() as u64;
                // The row behind the page only tells that there is one.
                (plan.place + ListPlan::PAGE, objects(plan), bound.size)
            }
        };
        let mut rows: Vec<&R> = Vec::new();
        for of_parent in fetched.at(place) {
            rows.extend(of_parent.iter().take(size));
        }
        self.counted += rows.len() as u64;
        for object in objects {
            for field in &object.fields {
                let (kind, parents) = match &field.kind {
                    FieldKind::ToOne { index, row, .. } => (Kind::Row(row), distinct(&rows, *index)),
                    FieldKind::ToMany(list) => (Kind::List(list), distinct(&rows, 0)),
                    FieldKind::Typename | FieldKind::Etag | FieldKind::Value { .. } | FieldKind::Id { .. } => continue,
                };
                if !parents.is_empty() {
                    self.wanted.push(Node { kind, parents: Parents::Many(parents) });
                }
            }
        }
    }

    /// The queries of a node.
    fn ask(&self, node: &Node<'a>, all: &mut Vec<Wanted<'a>>) {
        let mut ask = |place, query, values| {
            all.push(Wanted { place, query, parents: node.parents.clone(), values });
        };
        match node.kind {
            Kind::Row(plan) => ask(plan.place, &plan.query, self.bound.grants.values(plan.entity)),
            Kind::RowBy(plan, bound) => {
                let Arguments::Keys(Some(keys)) = &self.bound.arguments[bound] else { return };
                ask(plan.place, &plan.query, &keys.others);
            }
            Kind::List(plan) => {
                let Arguments::List(bound) = &self.bound.arguments[plan.bound] else {
                    unreachable!("a connection's arguments are a list's");
                };
                let (queries, values) = (&bound.queries, bound.values.as_slice());
                let mut ask = |place, query| ask(plan.place + place, query, values);
                if plan.wants.rows {
                    ask(ListPlan::PAGE, &queries.page);
                }
                if plan.fields.iter().any(|field| matches!(field.kind, ConnectionFieldKind::TotalCount)) {
                    ask(ListPlan::COUNT, &queries.count);
                }
                if let Some(query) = queries.any_behind.as_ref().filter(|_| plan.wants.next) {
                    ask(ListPlan::BEHIND, query);
                }
                if let Some(query) = queries.any_in_front.as_ref().filter(|_| plan.wants.previous) {
                    ask(ListPlan::IN_FRONT, query);
                }
            }
        }
    }
}

impl<'a> Levels<'a> for Fetch<'a> {
    fn next<R: Row>(&mut self, fetched: &Fetched<R>) -> Vec<Wanted<'a>> {
        for node in std::mem::take(&mut self.asked) {
            self.look(&node, fetched);
        }
        // The writer says so, and where: it comes upon what was not fetched.
        if self.counted > self.max_rows {
            return Vec::new();
        }
        self.asked = std::mem::take(&mut self.wanted);
        let mut all = Vec::new();
        self.asked.iter().for_each(|node| self.ask(node, &mut all));
        all
    }

    fn most_rows(&self) -> u64 {
        self.max_rows
    }
}

/// The rows that are asked for by their ids: one query for each type.
fn nodes<'a>(plan: &'a NodePlan, bound: &Bound) -> Vec<Node<'a>> {
    let Arguments::Nodes(ids) = &bound.arguments[plan.bound] else { return Vec::new() };
    let of_each = plan.rows.iter().enumerate().filter_map(|(i, row)| {
        let mut keys: Vec<Value> = Vec::new();
        for (_, key) in ids.iter().filter(|(at, _)| *at == i) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        (!keys.is_empty()).then_some(Node { kind: Kind::Row(row), parents: Parents::Many(keys) })
    });
    of_each.collect()
}

/// The objects that a list's rows are written as.
fn objects(plan: &ListPlan) -> Vec<&Object> {
    let mut objects = Vec::new();
    for field in &plan.fields {
        match &field.kind {
            ConnectionFieldKind::Nodes(object) => objects.push(object),
            ConnectionFieldKind::Edges(fields) => objects.extend(fields.iter().filter_map(of_edge)),
            ConnectionFieldKind::Typename(_) | ConnectionFieldKind::PageInfo(_) | ConnectionFieldKind::TotalCount => {}
        }
    }
    objects
}

fn of_edge(field: &EdgeField) -> Option<&Object> {
    match &field.kind {
        EdgeFieldKind::Node(object) => Some(object),
        EdgeFieldKind::Typename(_) | EdgeFieldKind::Cursor => None,
    }
}

/// The values of a column, each once, without NULL.
fn distinct<R: Row>(rows: &[&R], index: usize) -> Vec<Value> {
    let (mut texts, mut numbers, mut all) = (HashSet::new(), HashSet::new(), Vec::new());
    for row in rows {
        let value = row.get(index);
        let is_new = match value {
            ValueRef::Null => false,
            // What no key can be is looked up as NULL.
            ValueRef::Other => numbers.insert((2, 0)),
            ValueRef::Int(int) => numbers.insert((0, int as u64)),
            ValueRef::Real(real) => numbers.insert((1, real.to_bits())),
            ValueRef::Text(text) => texts.insert(text),
        };
        if is_new {
            all.push(value.to_value());
        }
    }
    all
}
