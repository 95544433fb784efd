//! An upper bound of the rows that an operation may read: each list has its longest possible page,
//! each field is included. Counts exactly as [`super::read`] does, so an operation below the limit
//! here is never refused there.

use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Field};
use async_graphql_value::Value as Ast;

use super::document::{Operation, OperationKind};
use super::lint::{Root, root};
use super::parsed;
use super::plan::NodePlan;
use super::selections::{ByResponseKey, collect_all};
use crate::model::{Entity, EntityId, FieldKind, Model};

/// The rows, plus one for each list.
pub(crate) fn rows(model: &Model, operation: &Operation) -> u64 {
    let Some(tree) = operation.tree() else { return 0 };
    let Some(definition) = parsed::operation(&tree, operation.name()) else { return 0 };
    let reach = Reach { model, document: &tree };
    let fields = collect_all(&reach.document.fragments, &[&definition.selection_set.node]);
    let rows =
        fields.values().map(|same| match root(model, operation.kind(), &same[0].node.name.node) {
            None if operation.kind() == OperationKind::Query => reach.node(same),
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

impl<'a> Reach<'a> {
    /// The fields selected in these occurrences of one field.
    fn within(&self, same: &[&'a Positioned<Field>]) -> ByResponseKey<'a> {
        let sets: Vec<_> = same.iter().map(|field| &field.node.selection_set.node).collect();
        collect_all(&self.document.fragments, &sets)
    }

    /// Rows of any type by their ids; zero if the field is neither `node` nor `nodes`.
    fn node(&self, same: &[&'a Positioned<Field>]) -> u64 {
        let row = || self.model.nodes().map(|entity| self.row(entity.id, same)).max().unwrap_or(0);
        match same[0].node.name.node.as_str() {
            "node" => row(),
            "nodes" => row().saturating_mul(NodePlan::MOST_IDS as u64).saturating_add(1),
            _ => 0,
        }
    }

    /// A row, and everything it leads to.
    fn row(&self, entity: EntityId, same: &[&'a Positioned<Field>]) -> u64 {
        self.related(self.model.entity(entity), same).saturating_add(1)
    }

    /// Everything that a row leads to.
    fn related(&self, entity: &Entity, same: &[&'a Positioned<Field>]) -> u64 {
        let within = self.within(same);
        let rows = within.values().map(|same| {
            match entity.field(&same[0].node.name.node).map(|field| field.kind) {
                Some(FieldKind::ToOne { target, .. }) => self.row(target, same),
                Some(FieldKind::ToMany { target, .. }) => self.list(target, same),
                Some(FieldKind::Scalar(_)) | None => 0,
            }
        });
        rows.fold(0, u64::saturating_add)
    }

    /// A list: one for itself, its rows (read once, however often they are selected), and
    /// everything they lead to.
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

/// The longest page that a client can request here.
fn page_size(entity: &Entity, field: &Field) -> u64 {
    let given = ["first", "last"].iter().find_map(|name| field.get_argument(name));
    match given.map(|value| &value.node) {
        Some(Ast::Number(number)) => number.as_u64().unwrap_or(0),
        Some(Ast::Variable(_)) => u64::from(entity.max_page_size),
        _ => u64::from(entity.default_page_size()),
    }
}
