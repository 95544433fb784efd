//! One field that keeps an answer out of all shared caches.

use super::finding::Finding;
use crate::graphql::compile::Roots;
use crate::graphql::document::{Operation, OperationKind};
use crate::model::Model;

/// A query whose answer would be everybody's but for one field.
pub(super) fn by_one_field(model: &Model, operation: &Operation) -> Option<Finding> {
    if !model.has_rules || operation.kind() == OperationKind::Mutation {
        return None;
    }
    let outline = operation.outline(&Roots::of(model), &operation.defaults(true)).ok()?;
    let decider = outline.accesses.private.as_ref().filter(|_| outline.accesses.by_one_field)?;
    let name = operation.name().unwrap_or("without a name");
    let message = format!(
        "the operation {name} is private by `{}` alone: no shared cache keeps its answers",
        decider.field
    );
    let help = "ask for it in an operation of its own, and the rest is everybody's".to_owned();
    Some(Finding::advice(decider.position, message, help))
}
