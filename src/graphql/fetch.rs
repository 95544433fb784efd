//! Determines level by level which rows an answer needs, for databases where each query costs a
//! round trip: one query for each node of the plan, for all its parents at once, and all queries of
//! a level together. The fetched rows are then written by [`super::read`], the same code that
//! writes rows straight from SQLite.

use std::collections::HashSet;

use super::bound::{Arguments, BoundPlan};
use super::plan::{
    ConnectionFieldKind, EdgeField, EdgeFieldKind, ListPlan, NodePlan, Object, ObjectFieldKind,
    Plan, RootField, RootKind, RowPlan,
};
use crate::model::scalar::ValueRef;
use crate::model::{Model, Value};
use crate::store::{Fetched, Levels, Parents, Row, Wanted};

/// A fast hash, seeded at random because clients choose the values.
type Set<T> = HashSet<T, foldhash::fast::RandomState>;

/// The rows that an answer needs.
pub(super) struct Fetch<'a> {
    bound: &'a BoundPlan,
    max_rows: u64,
    /// What the next level will request.
    wanted: Vec<Node<'a>>,
    /// What the last level requested.
    asked: Vec<Node<'a>>,
    /// A lower bound of the rows and lists in the answer, so far.
    counted: u64,
}

/// A node of the plan, and the parents for which it is needed.
struct Node<'a> {
    kind: NodeKind<'a>,
    parents: Parents,
    /// Its rows' own lists were requested together with it, since their parent's key was known.
    has_lists: bool,
}

#[derive(Clone, Copy)]
enum NodeKind<'a> {
    Row(&'a RowPlan),
    /// With the number of the node's bound values, by which it is looked up.
    RowBy(&'a RowPlan, usize),
    List(&'a ListPlan),
}

impl<'a> Fetch<'a> {
    pub(super) fn query(
        plan: &'a Plan,
        model: &Model,
        bound: &'a BoundPlan,
        max_rows: u64,
    ) -> Self {
        let mut wanted = Vec::new();
        for RootField { kind, .. } in &plan.root {
            match kind {
                RootKind::One(one) => {
                    let Arguments::Keys(Some(keys)) = &bound.arguments[one.bound] else { continue };
                    let is_by_key =
                        one.keys.len() == 1 && one.keys[0].0 == model.entity(one.row.entity).key;
                    with_lists(
                        NodeKind::RowBy(&one.row, one.bound),
                        &one.row,
                        &keys.first,
                        is_by_key,
                        &mut wanted,
                    );
                }
                RootKind::List(list) => wanted.push(Node::one(NodeKind::List(list), &Value::Null)),
                RootKind::Node(node) => wanted.extend(nodes(node, bound)),
                RootKind::Typename(_) | RootKind::Introspection | RootKind::Write(_) => {}
            }
        }
        Self { bound, max_rows, wanted, asked: Vec::new(), counted: 0 }
    }

    /// For the answer about the row with this key.
    pub(super) fn row(plan: &'a RowPlan, key: &Value, bound: &'a BoundPlan, max_rows: u64) -> Self {
        let mut wanted = Vec::new();
        with_lists(NodeKind::Row(plan), plan, key, true, &mut wanted);
        Self { bound, max_rows, wanted, asked: Vec::new(), counted: 0 }
    }

    /// Collects from the rows fetched for a node what the next level needs.
    fn look<R: Row>(&mut self, node: &Node<'a>, fetched: &Fetched<R>) {
        let objects = node.objects();
        let (place, size) = match node.kind {
            NodeKind::Row(plan) | NodeKind::RowBy(plan, _) => (plan.place, usize::MAX),
            NodeKind::List(plan) => {
                let Arguments::List(bound) = &self.bound.arguments[plan.bound] else {
                    unreachable!("a connection's arguments are a list's");
                };
                self.counted += node.parents.all().len() as u64;
                // The row after the page only shows that there is one.
                (plan.place + ListPlan::PAGE, bound.size)
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
                    ObjectFieldKind::ToOne { index, row, .. } => {
                        (NodeKind::Row(row), distinct(&rows, *index))
                    }
                    ObjectFieldKind::ToMany(list) if !node.has_lists => {
                        (NodeKind::List(list), distinct(&rows, 0))
                    }
                    ObjectFieldKind::ToMany(_)
                    | ObjectFieldKind::Typename
                    | ObjectFieldKind::Etag
                    | ObjectFieldKind::Value { .. }
                    | ObjectFieldKind::Id { .. } => continue,
                };
                if !parents.is_empty() {
                    self.wanted.push(Node {
                        kind,
                        parents: Parents::Many(parents),
                        has_lists: false,
                    });
                }
            }
        }
    }

    fn ask(&self, node: &Node<'a>, all: &mut Vec<Wanted<'a>>) {
        let mut ask = |place, query, values| {
            all.push(Wanted { place, query, parents: node.parents.clone(), values });
        };
        match node.kind {
            NodeKind::Row(plan) => {
                ask(plan.place, &plan.query, self.bound.grants.values(plan.entity))
            }
            NodeKind::RowBy(plan, bound) => {
                let Arguments::Keys(Some(keys)) = &self.bound.arguments[bound] else { return };
                ask(plan.place, &plan.query, &keys.others);
            }
            NodeKind::List(plan) => {
                let Arguments::List(bound) = &self.bound.arguments[plan.bound] else {
                    unreachable!("a connection's arguments are a list's");
                };
                let (queries, values) = (&bound.queries, bound.values.as_slice());
                let mut ask = |place, query| ask(plan.place + place, query, values);
                if plan.wants.rows {
                    ask(ListPlan::PAGE, &queries.page);
                }
                if plan
                    .fields
                    .iter()
                    .any(|field| matches!(field.kind, ConnectionFieldKind::TotalCount))
                {
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
        // The writer reports the error and its position when it reaches what was not fetched.
        if self.counted > self.max_rows {
            return Vec::new();
        }
        self.asked = std::mem::take(&mut self.wanted);
        let mut all = Vec::new();
        self.asked.iter().for_each(|node| self.ask(node, &mut all));
        all
    }

    fn may_go_on(&self) -> bool {
        let leads_on = |node: &Node<'_>, kind: &ObjectFieldKind| match kind {
            ObjectFieldKind::ToOne { .. } => true,
            ObjectFieldKind::ToMany(_) => !node.has_lists,
            ObjectFieldKind::Typename
            | ObjectFieldKind::Etag
            | ObjectFieldKind::Value { .. }
            | ObjectFieldKind::Id { .. } => false,
        };
        let has_more = |node: &Node<'_>| {
            node.objects()
                .iter()
                .any(|object| object.fields.iter().any(|field| leads_on(node, &field.kind)))
        };
        self.asked.iter().any(has_more)
    }

    fn most_rows(&self) -> u64 {
        self.max_rows
    }
}

/// Rows requested by their global ids: one query per type.
fn nodes<'a>(plan: &'a NodePlan, bound: &BoundPlan) -> Vec<Node<'a>> {
    let Arguments::Nodes(ids) = &bound.arguments[plan.bound] else { return Vec::new() };
    let of_each = plan.rows.iter().enumerate().filter_map(|(i, row)| {
        let mut keys: Vec<Value> = Vec::new();
        for (_, key) in ids.iter().filter(|(at, _)| *at == i) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        (!keys.is_empty()).then_some(Node {
            kind: NodeKind::Row(row),
            parents: Parents::Many(keys),
            has_lists: false,
        })
    });
    of_each.collect()
}

impl<'a> Node<'a> {
    fn one(kind: NodeKind<'a>, parent: &Value) -> Self {
        Self { kind, parents: Parents::One(parent.clone()), has_lists: false }
    }

    /// The objects that its rows are written as.
    fn objects(&self) -> Vec<&'a Object> {
        match self.kind {
            NodeKind::Row(plan) | NodeKind::RowBy(plan, _) => vec![&plan.object],
            NodeKind::List(plan) => objects(plan),
        }
    }
}

/// A row, together with its lists if its key is already known.
fn with_lists<'a>(
    kind: NodeKind<'a>,
    plan: &'a RowPlan,
    key: &Value,
    is_key: bool,
    wanted: &mut Vec<Node<'a>>,
) {
    wanted.push(Node { has_lists: is_key, ..Node::one(kind, key) });
    if is_key {
        let lists = plan.object.fields.iter().filter_map(|field| match &field.kind {
            ObjectFieldKind::ToMany(list) => Some(Node::one(NodeKind::List(list), key)),
            _ => None,
        });
        wanted.extend(lists);
    }
}

/// The objects that a list's rows are written as.
fn objects(plan: &ListPlan) -> Vec<&Object> {
    let mut objects = Vec::new();
    for field in &plan.fields {
        match &field.kind {
            ConnectionFieldKind::Nodes(object) => objects.push(object),
            ConnectionFieldKind::Edges(fields) => objects.extend(fields.iter().filter_map(of_edge)),
            ConnectionFieldKind::Typename(_)
            | ConnectionFieldKind::PageInfo(_)
            | ConnectionFieldKind::TotalCount => {}
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

/// The distinct values of a column, without NULL.
fn distinct<R: Row>(rows: &[&R], index: usize) -> Vec<Value> {
    let (mut texts, mut numbers) = (Set::default(), Set::default());
    let mut all = Vec::new();
    for row in rows {
        let value = row.get(index);
        let is_new = match value {
            ValueRef::Null => false,
            // A value that cannot be a key is looked up as NULL.
            ValueRef::Other(_) => numbers.insert((2, 0)),
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
