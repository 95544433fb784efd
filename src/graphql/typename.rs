//! Adds `__typename` to every selection except the root, as Apollo Client does to the queries that
//! it sends: for documents that lack it but whose answers go into caches that rely on it. The
//! document's text, and therefore its id and the positions in its errors, stay the same.

use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, Field, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};

/// The name of the field.
const TYPENAME: &str = "__typename";

/// Adds it where it is missing.
pub(super) fn add(document: &mut ExecutableDocument) {
    match &mut document.operations {
        DocumentOperations::Single(operation) => add_below(&mut operation.node.selection_set.node),
        DocumentOperations::Multiple(operations) => {
            operations
                .values_mut()
                .for_each(|operation| add_below(&mut operation.node.selection_set.node));
        }
    }
    document.fragments.values_mut().for_each(|fragment| add_to(&mut fragment.node.selection_set));
}

fn add_to(selection: &mut Positioned<SelectionSet>) {
    add_below(&mut selection.node);
    let items = &mut selection.node.items;
    let is_meta = |item: &Positioned<Selection>| match &item.node {
        Selection::Field(field) => {
            field.node.name.node.starts_with("__")
                || field.node.alias.as_ref().is_some_and(|alias| alias.node == TYPENAME)
        }
        _ => false,
    };
    if items.is_empty() || items.iter().any(is_meta) {
        return;
    }
    let field = Field {
        alias: None,
        name: Positioned::new(Name::new(TYPENAME), selection.pos),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::default(),
    };
    items.push(Positioned::new(
        Selection::Field(Positioned::new(field, selection.pos)),
        selection.pos,
    ));
}

fn add_below(selection: &mut SelectionSet) {
    for item in &mut selection.items {
        match &mut item.node {
            // Introspection results are not objects of any cache.
            Selection::Field(field) if field.node.name.node.starts_with("__") => {}
            Selection::Field(field) => add_to(&mut field.node.selection_set),
            Selection::InlineFragment(fragment) => add_to(&mut fragment.node.selection_set),
            Selection::FragmentSpread(_) => {}
        }
    }
}
