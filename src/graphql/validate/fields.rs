//! Fields that answer under the same response key must be the same field with the same arguments (section 5.3.2), and
//! `__typename` takes neither arguments nor a selection. The API has no abstract types, so that whatever has the same
//! parent field is merged.

use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, SelectionSet};

use crate::graphql::error::GraphqlError;
use crate::graphql::selections::collect_all;

/// Checks an operation; [`super::limits`] has bounded how many fields it has.
pub(super) fn check_operation(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    errors: &mut Vec<GraphqlError>,
) {
    check_merged(document, &[&operation.selection_set.node], errors);
}

/// Checks selection sets whose fields go into the same object.
fn check_merged(document: &ExecutableDocument, sets: &[&SelectionSet], errors: &mut Vec<GraphqlError>) {
    for (key, fields) in collect_all(&document.fragments, sets) {
        let Some((first, others)) = fields.split_first() else { continue };
        check_typename(&first.node, first, errors);
        let mut same = vec![&first.node.selection_set.node];
        for other in others {
            if let Some(reason) = difference(&first.node, &other.node) {
                let message =
                    format!("Fields \"{key}\" conflict because {reason}. Use different aliases to fetch both.");
                errors.push(GraphqlError::invalid(first.pos, message).at(other.pos.line, other.pos.column));
            } else {
                check_typename(&other.node, other, errors);
                same.push(&other.node.selection_set.node);
            }
        }
        if same.iter().any(|set| !set.items.is_empty()) {
            check_merged(document, &same, errors);
        }
    }
}

fn difference(one: &Field, other: &Field) -> Option<String> {
    if one.name.node != other.name.node {
        return Some(format!("\"{}\" and \"{}\" are different fields", one.name.node, other.name.node));
    }
    let same = one.arguments.len() == other.arguments.len()
        && one
            .arguments
            .iter()
            .all(|(name, value)| other.get_argument(&name.node).is_some_and(|v| v.node == value.node));
    (!same).then(|| "they have differing arguments".to_owned())
}

fn check_typename(field: &Field, at: &Positioned<Field>, errors: &mut Vec<GraphqlError>) {
    if field.name.node != "__typename" {
        return;
    }
    if let Some((name, _)) = field.arguments.first() {
        errors.push(GraphqlError::invalid(
            name.pos,
            format!("Unknown argument \"{}\" on field \"__typename\"", name.node),
        ));
    }
    if !field.selection_set.node.items.is_empty() {
        errors
            .push(GraphqlError::invalid(at.pos, "Field \"__typename\" must not have a selection since it is a string"));
    }
}
