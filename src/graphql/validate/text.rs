//! Parses a text into an executable document: checks its size, its grammar, and that all of its
//! definitions are operations and fragments with distinct names.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, TypeSystemDefinition};
use async_graphql::{Pos, Positioned};

use crate::graphql::error::{Code, GraphqlError, MAX_ERRORS};
use crate::syntax::{self, Definition, Purpose, SyntaxError};

/// Longer documents are refused unparsed: 256 KiB.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// Parses a document. Mistakes that do not prevent other rules from being checked go to `errors`.
///
/// # Errors
/// `GRAPHQL_PARSE_FAILED`, `GRAPHQL_VALIDATION_FAILED` or `QUERY_TOO_COMPLEX`.
pub(super) fn read(
    text: &str,
    errors: &mut Vec<GraphqlError>,
) -> Result<ExecutableDocument, Vec<GraphqlError>> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let message = format!(
            "the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are accepted",
            text.len()
        );
        return Err(vec![GraphqlError::new(Code::QueryTooComplex, message)]);
    }
    let document =
        syntax::parse(text, Purpose::Operations).map_err(|error| vec![unreadable(error)])?;
    errors.extend(document.repeated_members.iter().take(MAX_ERRORS).map(|name| {
        GraphqlError::invalid(
            name.pos,
            format!("There can be only one input field named \"{}\"", name.node),
        )
    }));
    executable(document.definitions)
}

fn unreadable(error: SyntaxError) -> GraphqlError {
    let (code, message) = match error.beyond_limit {
        true => (Code::QueryTooComplex, error.message),
        false => (Code::GraphqlParseFailed, format!("syntax error: {}", error.message)),
    };
    GraphqlError::new(code, message).at(error.pos.line, error.pos.column)
}

/// The tree stores operations and fragments by name, so the names must differ.
fn executable(definitions: Vec<Definition>) -> Result<ExecutableDocument, Vec<GraphqlError>> {
    let mut errors = Vec::new();
    let (mut anonymous, mut named, mut fragments) = (Vec::new(), HashMap::new(), HashMap::new());
    for definition in definitions {
        match definition {
            Definition::Operation(None, operation) => anonymous.push(operation),
            Definition::Operation(Some(name), operation) => match named.entry(name.node) {
                Entry::Vacant(entry) => drop(entry.insert(operation)),
                Entry::Occupied(entry) => {
                    errors.push(GraphqlError::invalid(
                        name.pos,
                        format!("operation {} is defined twice", entry.key()),
                    ));
                }
            },
            Definition::Fragment(name, fragment) => match fragments.entry(name.node) {
                Entry::Vacant(entry) => drop(entry.insert(fragment)),
                Entry::Occupied(entry) => {
                    errors.push(GraphqlError::invalid(
                        name.pos,
                        format!("fragment {} is defined twice", entry.key()),
                    ));
                }
            },
            Definition::Types(definition, pos) => errors.push(not_executable(&definition, pos)),
        }
    }
    let alone = anonymous.len() + named.len() == 1;
    if !alone {
        errors.extend(anonymous.iter().map(|operation: &Positioned<_>| {
            GraphqlError::invalid(
                operation.pos,
                "an operation without a name must be the only operation of its document",
            )
        }));
    }
    if anonymous.is_empty() && named.is_empty() && errors.is_empty() {
        errors.push(GraphqlError::new(
            Code::GraphqlValidationFailed,
            "the document has no operation",
        ));
    }
    errors.truncate(MAX_ERRORS);
    match anonymous.pop() {
        _ if !errors.is_empty() => Err(errors),
        Some(operation) => {
            Ok(ExecutableDocument { operations: DocumentOperations::Single(operation), fragments })
        }
        None => {
            Ok(ExecutableDocument { operations: DocumentOperations::Multiple(named), fragments })
        }
    }
}

fn not_executable(definition: &TypeSystemDefinition, pos: Pos) -> GraphqlError {
    let what = match definition {
        TypeSystemDefinition::Schema(_) => "the definition of a schema".to_owned(),
        TypeSystemDefinition::Type(ty) => {
            format!("the definition of the type \"{}\"", ty.node.name.node)
        }
        TypeSystemDefinition::Directive(directive) => {
            format!("the definition of the directive \"@{}\"", directive.node.name.node)
        }
    };
    GraphqlError::invalid(
        pos,
        format!("a document has operations and fragments; {what} does not belong here"),
    )
}
