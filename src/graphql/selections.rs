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

/// What a selection is, with both kinds of fragments as one.
pub(super) enum Selected<'a> {
    Field(&'a Positioned<Field>),
    Fragment(Fragment<'a>),
}

/// The contents of a fragment, where it is selected.
pub(super) struct Fragment<'a> {
    /// None for an inline fragment.
    pub(super) name: Option<&'a Name>,
    /// The type that it is about.
    pub(super) on: Option<&'a str>,
    /// The directives where it is selected.
    pub(super) directives: &'a [Positioned<Directive>],
    pub(super) definition_directives: &'a [Positioned<Directive>],
    pub(super) set: &'a SelectionSet,
}

/// Looks up the fragment that a selection spreads; None if the document does not define it.
pub(super) fn resolve<'a>(
    fragments: &'a Fragments,
    selection: &'a Selection,
) -> Option<Selected<'a>> {
    let on = |condition: &'a TypeCondition| condition.on.node.as_str();
    Some(match selection {
        Selection::Field(field) => Selected::Field(field),
        Selection::InlineFragment(fragment) => Selected::Fragment(Fragment {
            name: None,
            on: fragment.node.type_condition.as_ref().map(|condition| on(&condition.node)),
            directives: &fragment.node.directives,
            definition_directives: &[],
            set: &fragment.node.selection_set.node,
        }),
        Selection::FragmentSpread(spread) => {
            let (name, fragment) = fragments.get_key_value(&spread.node.fragment_name.node)?;
            Selected::Fragment(Fragment {
                name: Some(name),
                on: Some(on(&fragment.node.type_condition.node)),
                directives: &spread.node.directives,
                definition_directives: &fragment.node.directives,
                set: &fragment.node.selection_set.node,
            })
        }
    })
}

fn visit<'a>(
    fragments: &'a Fragments,
    set: &'a SelectionSet,
    type_name: Option<&str>,
    is_included: &impl Fn(&[Positioned<Directive>]) -> bool,
    visit_field: &mut impl FnMut(&'a Positioned<Field>),
) {
    let applies = |on: Option<&str>| match (on, type_name) {
        (Some(on), Some(name)) => on == name || on == NODE,
        _ => true,
    };
    for selection in set.items.iter().filter(|selection| is_included(selection.node.directives())) {
        match resolve(fragments, &selection.node) {
            Some(Selected::Field(field)) => visit_field(field),
            Some(Selected::Fragment(fragment)) if applies(fragment.on) => {
                visit(fragments, fragment.set, type_name, is_included, visit_field);
            }
            _ => {}
        }
    }
}
