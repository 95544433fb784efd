//! Fields with the same response key must be the same field with the same arguments (section
//! 5.3.2), and `__typename` takes neither arguments nor a selection. Below a `Node`, whose type is
//! known only at run time, this holds for each type separately; across types, the answers must have
//! the same shape.

use async_graphql::Positioned;
use async_graphql::dynamic::TypeRef;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    ExecutableDocument, Field, OperationDefinition, OperationType, SelectionSet,
};

use crate::graphql::definition::{Definitions, TypeKind};
use crate::graphql::error::GraphqlError;
use crate::graphql::selections::{ByResponseKey, Selected, collect, collect_all, resolve};

/// Checks an operation; [`super::limits`] has bounded the number of its fields.
pub(super) fn check_operation(
    definitions: &Definitions,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    errors: &mut Vec<GraphqlError>,
) {
    let root = if operation.ty == OperationType::Mutation { "Mutation" } else { "Query" };
    Checker { definitions, document, errors }.merged(Some(root), &[&operation.selection_set.node]);
}

struct Checker<'a, 'e> {
    definitions: &'a Definitions,
    document: &'a ExecutableDocument,
    errors: &'e mut Vec<GraphqlError>,
}

/// A field, and the type from which it is selected.
type Placed<'a> = (&'a str, &'a Positioned<Field>);

impl<'a> Checker<'a, '_> {
    /// Checks selection sets whose fields go into the same object, of this type.
    fn merged(&mut self, parent: Option<&'a str>, sets: &[&'a SelectionSet]) {
        let ty = parent.and_then(|parent| self.definitions.get(parent));
        match ty.map(|ty| &ty.kind) {
            Some(TypeKind::Interface(_)) => {
                let definitions = self.definitions;
                for ty in definitions.implementing() {
                    self.object(
                        Some(&ty.name),
                        collect(&self.document.fragments, sets, Some(&ty.name), |_| true),
                    );
                }
                let sets: Vec<_> =
                    sets.iter().map(|set| (parent.unwrap_or_default(), *set)).collect();
                self.shapes(&sets);
            }
            _ => self.object(parent, collect_all(&self.document.fragments, sets)),
        }
    }

    /// Checks the fields of one object.
    fn object(&mut self, parent: Option<&'a str>, by_key: ByResponseKey<'a>) {
        for (key, fields) in by_key {
            let Some((first, others)) = fields.split_first() else { continue };
            check_typename(&first.node, first, self.errors);
            let mut same = vec![&first.node.selection_set.node];
            for other in others {
                if let Some(reason) = difference(&first.node, &other.node) {
                    let message = format!(
                        "Fields \"{key}\" conflict because {reason}. Use different aliases to fetch both."
                    );
                    self.errors.push(
                        GraphqlError::invalid(first.pos, message)
                            .at(other.pos.line, other.pos.column),
                    );
                } else {
                    check_typename(&other.node, other, self.errors);
                    same.push(&other.node.selection_set.node);
                }
            }
            if same.iter().any(|set| !set.items.is_empty()) {
                let inner = parent
                    .and_then(|parent| self.type_of(parent, &first.node))
                    .map(TypeRef::type_name);
                self.merged(inner, &same);
            }
        }
    }

    fn type_of(&self, parent: &str, field: &Field) -> Option<&'a TypeRef> {
        self.definitions.field(parent, &field.name.node).map(|field| &field.ty)
    }

    /// Checks that fields with the same response key have the same shape, whatever the type of the
    /// row.
    fn shapes(&mut self, sets: &[(&'a str, &'a SelectionSet)]) {
        let mut by_key: IndexMap<&str, Vec<Placed<'a>>> = IndexMap::new();
        for (parent, set) in sets {
            self.placed(parent, set, &mut |parent, field| {
                by_key
                    .entry(field.node.response_key().node.as_str())
                    .or_default()
                    .push((parent, field));
            });
        }
        for (key, fields) in by_key {
            let types: Vec<_> = fields
                .iter()
                .filter_map(|(parent, field)| self.type_of(parent, &field.node))
                .collect();
            let Some((first, others)) = types.split_first() else { continue };
            if let Some(at) = others.iter().position(|other| !self.is_same_shape(first, other)) {
                let (one, other) = (fields[0].1.pos, fields[at + 1].1.pos);
                let message = format!(
                    "Fields \"{key}\" conflict because they return conflicting types \"{first}\" and \"{}\". Use different aliases to fetch both.",
                    others[at]
                );
                self.errors.push(GraphqlError::invalid(one, message).at(other.line, other.column));
                continue;
            }
            let within = fields
                .iter()
                .zip(&types)
                .map(|((_, field), ty)| (ty.type_name(), &field.node.selection_set.node));
            let within: Vec<_> = within.filter(|(_, set)| !set.items.is_empty()).collect();
            if within.len() > 1 {
                self.shapes(&within);
            }
        }
    }

    /// The fields with the types from which they are selected.
    fn placed(
        &self,
        parent: &'a str,
        set: &'a SelectionSet,
        visit: &mut impl FnMut(&'a str, &'a Positioned<Field>),
    ) {
        for selection in &set.items {
            match resolve(&self.document.fragments, &selection.node) {
                Some(Selected::Field(field)) => visit(parent, field),
                Some(Selected::Fragment(fragment)) => {
                    self.placed(fragment.on.unwrap_or(parent), fragment.set, visit);
                }
                None => {}
            }
        }
    }

    /// Objects have the same shape if their fields do, which is checked recursively.
    fn is_same_shape(&self, one: &TypeRef, other: &TypeRef) -> bool {
        match (one, other) {
            (TypeRef::NonNull(one), TypeRef::NonNull(other))
            | (TypeRef::List(one), TypeRef::List(other)) => self.is_same_shape(one, other),
            (TypeRef::Named(one), TypeRef::Named(other)) => {
                let has_fields = |name: &str| {
                    self.definitions.get(name).is_some_and(|ty| !ty.fields().is_empty())
                };
                one == other || (has_fields(one) && has_fields(other))
            }
            _ => false,
        }
    }
}

fn difference(one: &Field, other: &Field) -> Option<String> {
    if one.name.node != other.name.node {
        return Some(format!(
            "\"{}\" and \"{}\" are different fields",
            one.name.node, other.name.node
        ));
    }
    let same = one.arguments.len() == other.arguments.len()
        && one.arguments.iter().all(|(name, value)| {
            other.get_argument(&name.node).is_some_and(|v| v.node == value.node)
        });
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
        errors.push(GraphqlError::invalid(
            at.pos,
            "Field \"__typename\" must not have a selection since it is a string",
        ));
    }
}
