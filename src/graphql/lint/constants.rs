//! Finds constants for which an operation can never be answered: a page longer than `maxPageSize`,
//! a cursor of another ordering, a null where none is allowed. They are of the right type, so
//! validation accepts them.

use super::finding::Finding;
use crate::graphql::bind::certain_mistakes;
use crate::graphql::compile::Roots;
use crate::graphql::document::Operation;
use crate::graphql::rules::Grants;
use crate::model::Model;

/// The mistakes in the operation's constants, and in the defaults of its variables.
pub(super) fn mistakes(model: &Model, operation: &Operation) -> Vec<Finding> {
    let roots = Roots::of(model);
    let mut findings: Vec<Finding> = Vec::new();
    // What one value of the condition excludes is checked with the other.
    for condition in [true, false] {
        let variables = operation.defaults(condition);
        let Ok(plan) = operation.outline(&roots, &variables) else { continue };
        let grants = Grants::unruled(operation.model());
        for error in certain_mistakes(model, &plan, &variables, &grants) {
            let position = error.locations.first().copied().unwrap_or((1, 1));
            let help = "every request with this value is refused with 422".to_owned();
            let finding = Finding { position, message: error.message, help, is_mistake: true };
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    findings
}
