//! The fields of selection sets, through fragments. All types of the API are object types, so a valid fragment always
//! applies, and whatever stands in it counts as if it stood in the set itself (specification §6.3.2, CollectFields).

use std::collections::HashMap;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Directive, Field, FragmentDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned};

/// A document's fragments by name.
pub(super) type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// The occurrences of each response key, in the order of their first.
pub(super) type ByResponseKey<'a> = IndexMap<&'a str, Vec<&'a Positioned<Field>>>;

/// Collects the fields of selection sets that go into the same object. `is_included` judges the directives of each field
/// and fragment.
pub(super) fn collect<'a>(
    fragments: &'a Fragments,
    sets: &[&'a SelectionSet],
    is_included: impl Fn(&[Positioned<Directive>]) -> bool,
) -> ByResponseKey<'a> {
    let mut fields = ByResponseKey::new();
    for set in sets {
        visit(fragments, set, &is_included, &mut |field| {
            fields.entry(field.node.response_key().node.as_str()).or_default().push(field);
        });
    }
    fields
}

/// The same, whatever the directives say.
pub(super) fn collect_all<'a>(fragments: &'a Fragments, sets: &[&'a SelectionSet]) -> ByResponseKey<'a> {
    collect(fragments, sets, |_| true)
}

/// Visits the fields in the order of the text, whatever the directives say.
pub(super) fn for_each<'a>(
    fragments: &'a Fragments,
    set: &'a SelectionSet,
    mut visit_field: impl FnMut(&'a Positioned<Field>),
) {
    visit(fragments, set, &|_| true, &mut visit_field);
}

fn visit<'a>(
    fragments: &'a Fragments,
    set: &'a SelectionSet,
    is_included: &impl Fn(&[Positioned<Directive>]) -> bool,
    visit_field: &mut impl FnMut(&'a Positioned<Field>),
) {
    for selection in set.items.iter().filter(|selection| is_included(selection.node.directives())) {
        match &selection.node {
            Selection::Field(field) => visit_field(field),
            Selection::InlineFragment(fragment) => {
                visit(fragments, &fragment.node.selection_set.node, is_included, visit_field);
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = fragments.get(&spread.node.fragment_name.node) {
                    visit(fragments, &fragment.node.selection_set.node, is_included, visit_field);
                }
            }
        }
    }
}
