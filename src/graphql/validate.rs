//! Whether a text is a valid document of the API. Most rules are async-graphql's; those that it
//! lacks or gets wrong are here (GraphQL, September 2025, section 5). Nothing is executed.
//!
//! The limits are checked first: later steps walk documents recursively and through all fragments.

mod fields;
mod hints;
mod limits;
mod text;
mod values;

use async_graphql::parser::types::{ExecutableDocument, InlineFragment, Selection, SelectionSet};
use async_graphql::{Positioned, Request, ServerError};

use super::error::{Code, GraphqlError, shorten};
use super::schema::Api;
use super::verdict::Verdict;

/// Parses a document and checks it against all rules.
///
/// # Errors
/// All mistakes, in document order: `GRAPHQL_PARSE_FAILED`, `GRAPHQL_VALIDATION_FAILED`, or
/// `QUERY_TOO_COMPLEX` if the document exceeds one of the limits.
pub(crate) async fn validate(
    api: &Api,
    text: &str,
) -> Result<ExecutableDocument, Vec<GraphqlError>> {
    let mut errors = Vec::new();
    let document = parse(text, &mut errors)?;
    let types_are_known = values::check_variable_types(&api.definitions, &document, &mut errors);
    if types_are_known {
        for (_, operation) in document.operations.iter() {
            values::check_operation(&api.definitions, &document, &operation.node, &mut errors);
            fields::check_operation(&api.definitions, &document, &operation.node, &mut errors);
        }
        // async-graphql panics on a default value of an unknown type.
        let theirs = verdict_of_async_graphql(api, &document).await;
        errors.extend(theirs.into_iter().filter(|error| !is_ours_to_judge(error)).map(|error| {
            let message = hints::with_hint(&api.definitions, &document, error.message);
            let mut locations = error.locations;
            if message.contains(" is not defined by operation ") {
                // Where the variable is used comes before where it could be declared.
                locations.reverse();
            }
            let error = GraphqlError::new(Code::GraphqlValidationFailed, message);
            locations.into_iter().fold(error, |error, pos| error.at(pos.line, pos.column))
        }));
    }
    if errors.is_empty() {
        return Ok(document);
    }
    // Both validators use hash maps; sort so that clients see a stable order.
    errors.sort_by(|a, b| (&a.locations, &a.message).cmp(&(&b.locations, &b.message)));
    errors.dedup_by(|a, b| a.locations == b.locations && a.message == b.message);
    shorten(&mut errors);
    Err(errors)
}

/// Parses a document of any API; mistakes that do not prevent that go to `errors`.
///
/// # Errors
/// `GRAPHQL_PARSE_FAILED`, `GRAPHQL_VALIDATION_FAILED` or `QUERY_TOO_COMPLEX`.
fn parse(
    text: &str,
    errors: &mut Vec<GraphqlError>,
) -> Result<ExecutableDocument, Vec<GraphqlError>> {
    let document = text::read(text, errors)?;
    limits::check(&document)?;
    Ok(document)
}

/// The syntax tree of a text that was found valid before; None if it is not.
pub(crate) fn reparse(text: &str) -> Option<ExecutableDocument> {
    text::read(text, &mut Vec::new()).ok()
}

/// Checks everything about a document that does not depend on the API.
///
/// # Errors
/// All mistakes found: `GRAPHQL_PARSE_FAILED`, `GRAPHQL_VALIDATION_FAILED`, or `QUERY_TOO_COMPLEX`.
pub(crate) fn check_syntax(text: &str) -> Result<(), Vec<GraphqlError>> {
    let mut errors = Vec::new();
    parse(text, &mut errors)?;
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// Rules that async-graphql implements incorrectly: it rejects non-null lists for nullable ones,
/// does not look into values that contain a variable, and compares fields only within one selection
/// set. [`values`] and [`fields`] implement them.
fn is_ours_to_judge(error: &ServerError) -> bool {
    let message = error.message.as_str();
    message.starts_with("Invalid value for argument")
        || message.starts_with("Invalid default value")
        || (message.starts_with("Variable ")
            && message.contains(" used in position expecting type "))
        || (message.starts_with("Fields ") && message.contains(" conflict because "))
}

/// Runs async-graphql's strict rules, and nothing after them.
async fn verdict_of_async_graphql(api: &Api, document: &ExecutableDocument) -> Vec<ServerError> {
    let mut document = document.clone();
    for fragment in document.fragments.values_mut() {
        show_typename_directives(&mut fragment.node.selection_set.node);
    }
    match &mut document.operations {
        async_graphql::parser::types::DocumentOperations::Single(operation) => {
            show_typename_directives(&mut operation.node.selection_set.node);
        }
        async_graphql::parser::types::DocumentOperations::Multiple(operations) => {
            for operation in operations.values_mut() {
                show_typename_directives(&mut operation.node.selection_set.node);
            }
        }
    }
    let verdict = Verdict::default();
    let mut request = Request::new("").data(verdict.clone());
    request.set_parsed_query(document);
    let response = api.validator.execute(request).await;
    // Without a verdict, validation was not reached, and the response says why. With one, the
    // response is meaningless: for a document with several operations it complains about a missing
    // name.
    verdict.take().unwrap_or(response.errors)
}

/// async-graphql does not visit `__typename`, so it reports a variable as unused if only the
/// directives of `__typename` use it. `__typename @include(if: $x)` means the same as
/// `... @include(if: $x) { __typename }`.
fn show_typename_directives(set: &mut SelectionSet) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => {
                if field.node.name.node == "__typename" && !field.node.directives.is_empty() {
                    let directives = std::mem::take(&mut field.node.directives);
                    let pos = field.pos;
                    let inner = Positioned::new(Selection::Field(field.clone()), pos);
                    let selection_set = Positioned::new(SelectionSet { items: vec![inner] }, pos);
                    let fragment =
                        InlineFragment { type_condition: None, directives, selection_set };
                    selection.node = Selection::InlineFragment(Positioned::new(fragment, pos));
                } else {
                    show_typename_directives(&mut field.node.selection_set.node);
                }
            }
            Selection::InlineFragment(fragment) => {
                show_typename_directives(&mut fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(_) => {}
        }
    }
}

#[cfg(test)]
mod tests;
