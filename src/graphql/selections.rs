//! The fields of selection sets, through fragments (specification §6.3.2, CollectFields). The API's
//! only abstract type is `Node`, and only entities implement it. So a valid fragment always
//! applies, unless it is about another entity.

use std::collections::HashMap;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    Directive, Field, FragmentDefinition, Selection, SelectionSet, TypeCondition,
};
use async_graphql::{Name, Positioned};

/// A document's fragments by name.
pub(super) type Fragments = HashMap<Name, Positioned<FragmentDefinition>>;

/// The occurrences of each response key, in the order of the first ones.
pub(super) type ByResponseKey<'a> = IndexMap<&'a str, Vec<&'a Positioned<Field>>>;

/// The interface.
pub(super) const NODE: &str = "Node";

/// Collects the fields of selection sets that go into the same object. `is_included` evaluates the
/// directives of each field and fragment. If the name of the object's type is given, fragments
/// about other types are skipped.
pub(super) fn collect<'a>(
    fragments: &'a Fragments,
    sets: &[&'a SelectionSet],
    type_name: Option<&str>,
    is_included: impl Fn(&[Positioned<Directive>]) -> bool,
) -> ByResponseKey<'a> {
    let mut fields = ByResponseKey::new();
    for set in sets {
        visit(fragments, set, type_name, &is_included, &mut |field| {
            fields.entry(field.node.response_key().node.as_str()).or_default().push(field);
        });
    }
    fields
}

/// Like [`collect`], whatever the directives say.
pub(super) fn collect_all<'a>(
    fragments: &'a Fragments,
    sets: &[&'a SelectionSet],
) -> ByResponseKey<'a> {
    collect(fragments, sets, None, |_| true)
}

/// Visits the fields in document order, whatever the directives say.
pub(super) fn for_each<'a>(
    fragments: &'a Fragments,
    set: &'a SelectionSet,
    mut visit_field: impl FnMut(&'a Positioned<Field>),
) {
    visit(fragments, set, None, &|_| true, &mut visit_field);
}

/// Whether a fragment on this type applies to an object of that type.
fn applies(condition: &TypeCondition, type_name: Option<&str>) -> bool {
    type_name.is_none_or(|name| condition.on.node == name || condition.on.node == NODE)
}

fn visit<'a>(
    fragments: &'a Fragments,
    set: &'a SelectionSet,
    type_name: Option<&str>,
    is_included: &impl Fn(&[Positioned<Directive>]) -> bool,
    visit_field: &mut impl FnMut(&'a Positioned<Field>),
) {
    for selection in set.items.iter().filter(|selection| is_included(selection.node.directives())) {
        match &selection.node {
            Selection::Field(field) => visit_field(field),
            Selection::InlineFragment(fragment) => {
                if fragment
                    .node
                    .type_condition
                    .as_ref()
                    .is_none_or(|on| applies(&on.node, type_name))
                {
                    visit(
                        fragments,
                        &fragment.node.selection_set.node,
                        type_name,
                        is_included,
                        visit_field,
                    );
                }
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = fragments.get(&spread.node.fragment_name.node)
                    && applies(&fragment.node.type_condition.node, type_name)
                {
                    visit(
                        fragments,
                        &fragment.node.selection_set.node,
                        type_name,
                        is_included,
                        visit_field,
                    );
                }
            }
        }
    }
}
