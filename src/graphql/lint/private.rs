//! A single field that keeps an answer out of all shared caches.

use super::finding::Finding;
use crate::graphql::compile::Roots;
use crate::graphql::document::{Operation, OperationKind};
use crate::model::Model;

/// A query whose answer would be public except for one field.
pub(super) fn by_one_field(model: &Model, operation: &Operation) -> Option<Finding> {
    if !model.has_rules || operation.kind() == OperationKind::Mutation {
        return None;
    }
    let outline = operation.outline(&Roots::of(model), &operation.defaults(true)).ok()?;
    let decider = outline.accesses.private.as_ref().filter(|_| outline.accesses.by_one_field)?;
    let name = operation.name().unwrap_or("without a name");
    let message = format!(
        "the operation {name} is private only because of `{}`: no shared cache stores its answers",
        decider.field
    );
    let help = "select it in a separate operation; the rest is then public".to_owned();
    Some(Finding::advice(decider.position, message, help))
}
