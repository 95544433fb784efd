//! How many rows an operation may read at most: each list as long as its page may be, each field taken. It counts as
//! [`super::read`] does, so that what stays below the limit here is never refused for it there.

use async_graphql::Positioned;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql_value::Value as Ast;

use super::bind::DEFAULT_PAGE_SIZE;
use super::document::Operation;
use super::lint::{Root, root};
use crate::model::{Entity, EntityId, FieldKind, Model};

/// Rows, and one more for each list.
pub fn rows(model: &Model, operation: &Operation) -> u64 {
    let reach = Reach { model, document: operation.document() };
    let fields = reach.merged(&[&operation.definition().selection_set.node]);
    let rows = fields.values().map(|same| match root(model, operation.kind(), &same[0].node.name.node) {
        Some(Root::One(entity)) => reach.row(entity, same),
        Some(Root::List(entity)) => reach.list(entity, same),
        None => 0,
    });
    rows.fold(0, u64::saturating_add)
}

struct Reach<'a> {
    model: &'a Model,
    document: &'a ExecutableDocument,
}

/// The occurrences of each response key.
type Merged<'a> = IndexMap<&'a str, Vec<&'a Positioned<Field>>>;

impl<'a> Reach<'a> {
    fn merged(&self, sets: &[&'a SelectionSet]) -> Merged<'a> {
        let mut merged = Merged::new();
        sets.iter().for_each(|set| self.collect(set, &mut merged));
        merged
    }

    fn collect(&self, set: &'a SelectionSet, merged: &mut Merged<'a>) {
        for item in &set.items {
            match &item.node {
                Selection::Field(field) => merged.entry(&field.node.response_key().node).or_default().push(field),
                Selection::InlineFragment(fragment) => self.collect(&fragment.node.selection_set.node, merged),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.collect(&fragment.node.selection_set.node, merged);
                    }
                }
            }
        }
    }

    /// What is selected in these occurrences of one field.
    fn within(&self, same: &[&'a Positioned<Field>]) -> Merged<'a> {
        let sets: Vec<_> = same.iter().map(|field| &field.node.selection_set.node).collect();
        self.merged(&sets)
    }

    /// A row, and what it leads to.
    fn row(&self, entity: EntityId, same: &[&'a Positioned<Field>]) -> u64 {
        self.related(self.model.entity(entity), same).saturating_add(1)
    }

    /// What a row leads to.
    fn related(&self, entity: &Entity, same: &[&'a Positioned<Field>]) -> u64 {
        let within = self.within(same);
        let rows = within.values().map(|same| match entity.field(&same[0].node.name.node).map(|field| field.kind) {
            Some(FieldKind::ToOne { target, .. }) => self.row(target, same),
            Some(FieldKind::ToMany { target, .. }) => self.list(target, same),
            Some(FieldKind::Scalar(_)) | None => 0,
        });
        rows.fold(0, u64::saturating_add)
    }

    /// A list: itself, its rows (which are read once, however often they are selected), and what they lead to.
    fn list(&self, entity: EntityId, same: &[&'a Positioned<Field>]) -> u64 {
        let entity = self.model.entity(entity);
        let within = self.within(same);
        let related = within.values().map(|same| match same[0].node.name.node.as_str() {
            "nodes" => self.related(entity, same),
            "edges" => {
                let nodes = self.within(same);
                let nodes = nodes.values().filter(|same| same[0].node.name.node == "node");
                nodes.map(|same| self.related(entity, same)).fold(0, u64::saturating_add)
            }
            _ => 0,
        });
        let each = related.fold(1, u64::saturating_add);
        page_size(entity, &same[0].node).saturating_mul(each).saturating_add(1)
    }
}

/// The longest page that a client can ask for here.
fn page_size(entity: &Entity, field: &Field) -> u64 {
    let given = ["first", "last"].iter().find_map(|name| field.get_argument(name));
    match given.map(|value| &value.node) {
        Some(Ast::Number(number)) => number.as_u64().unwrap_or(0),
        Some(Ast::Variable(_)) => u64::from(entity.max_page_size),
        _ => u64::from(DEFAULT_PAGE_SIZE.min(entity.max_page_size)),
    }
}
