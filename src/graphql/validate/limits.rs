//! How much work a document may ask for, and that its fragments do not contain themselves. Each fragment is measured once,
//! so that the check costs no more than reading the document, however much the fragments multiply.

use std::collections::HashMap;

use async_graphql::Pos;
use async_graphql::parser::types::{ExecutableDocument, Field, Selection, SelectionSet};

use super::{invalid, too_complex};
use crate::graphql::error::GraphqlError;

/// How deep fields may nest. The standard introspection queries need 13.
pub const MAX_DEPTH: usize = 32;

/// How deep fields and fragments together may nest.
pub const MAX_LEVELS: usize = 64;

/// How many fields and fragments a document may select, whatever is in a fragment counted wherever it is spread.
pub const MAX_SELECTIONS: usize = 10_000;

/// How many fields an operation may have at its root.
pub const MAX_ROOT_FIELDS: usize = 100;

/// How many of the lists of types and fields that introspection has may stand in one another. Each multiplies the answer
/// by the size of the schema. The standard introspection queries need 2; graphql-js draws the same line.
pub const MAX_INTROSPECTION_LISTS: usize = 2;

/// The size of a selection set with everything in it.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// Fields and fragments in all.
    selections: usize,
    /// Fields directly in it.
    own_fields: usize,
    /// Fields in fields.
    depth: usize,
    /// Fields and fragments in each other.
    levels: usize,
    /// Introspection lists in each other.
    lists: usize,
}

impl Size {
    /// Of two selections side by side.
    fn and(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            own_fields: self.own_fields.saturating_add(other.own_fields),
            depth: self.depth.max(other.depth),
            levels: self.levels.max(other.levels),
            lists: self.lists.max(other.lists),
        }
    }

    /// Of a field with this selection set.
    fn in_field(self, field: &Field) -> Self {
        let is_list = matches!(field.name.node.as_str(), "fields" | "inputFields" | "interfaces" | "possibleTypes");
        Self {
            selections: self.selections.saturating_add(1),
            own_fields: 1,
            depth: self.depth + 1,
            levels: self.levels + 1,
            lists: self.lists + usize::from(is_list),
        }
    }
}

/// A fragment that is being measured, or was.
enum Measured {
    InProgress,
    Done(Size),
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    fragments: HashMap<&'a str, Measured>,
    /// Fields of introspection may be called `fields`, and those of data too; only within `__schema` and `__type` it counts.
    deep_introspection: Option<Pos>,
}

/// Fails where the document is beyond a limit, or a fragment contains itself.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), Vec<GraphqlError>> {
    let mut measure = Measure { document, fragments: HashMap::new(), deep_introspection: None };
    let mut selections = 0_usize;
    let mut last = Pos::default();
    for (_, operation) in document.operations.iter() {
        let size = measure.set(&operation.node.selection_set.node, 0).map_err(|error| vec![error])?;
        if size.own_fields > MAX_ROOT_FIELDS {
            let message = format!("an operation may have at most {MAX_ROOT_FIELDS} fields at its root");
            return Err(vec![too_complex(operation.pos, message)]);
        }
        if size.depth > MAX_DEPTH {
            return Err(vec![too_complex(operation.pos, format!("fields nest deeper than {MAX_DEPTH} levels"))]);
        }
        selections = selections.saturating_add(size.selections);
        last = last.max(operation.pos);
    }
    // Fragments that no operation reaches are walked later on, too.
    for (name, fragment) in &document.fragments {
        measure.fragment(name, fragment.pos, 0).map_err(|error| vec![error])?;
    }
    if selections > MAX_SELECTIONS {
        let message = format!("the document selects more than {MAX_SELECTIONS} fields and fragments");
        return Err(vec![too_complex(last, message)]);
    }
    if let Some(pos) = measure.deep_introspection {
        return Err(vec![too_complex(pos, "introspection lists too many levels of types and fields in each other")]);
    }
    Ok(())
}

impl<'a> Measure<'a> {
    fn set(&mut self, set: &'a SelectionSet, level: usize) -> Result<Size, GraphqlError> {
        let mut size = Size::default();
        for selection in &set.items {
            if level >= MAX_LEVELS {
                return Err(too_deep(selection.pos));
            }
            let inner = match &selection.node {
                Selection::Field(field) => {
                    let inner = self.set(&field.node.selection_set.node, level + 1)?.in_field(&field.node);
                    let is_introspection = matches!(field.node.name.node.as_str(), "__schema" | "__type");
                    if is_introspection && inner.lists > MAX_INTROSPECTION_LISTS {
                        self.deep_introspection.get_or_insert(field.pos);
                    }
                    inner
                }
                Selection::InlineFragment(fragment) => {
                    in_fragment(self.set(&fragment.node.selection_set.node, level + 1)?)
                }
                Selection::FragmentSpread(spread) => {
                    in_fragment(self.fragment(&spread.node.fragment_name.node, spread.pos, level + 1)?)
                }
            };
            size = size.and(inner);
        }
        if level + size.levels > MAX_LEVELS {
            let pos = set.items.first().map_or(Pos::default(), |selection| selection.pos);
            return Err(too_deep(pos));
        }
        Ok(size)
    }

    fn fragment(&mut self, name: &'a str, pos: Pos, level: usize) -> Result<Size, GraphqlError> {
        match self.fragments.get(name) {
            Some(Measured::Done(size)) => return Ok(*size),
            Some(Measured::InProgress) => {
                return Err(invalid(pos, format!("Cannot spread fragment \"{name}\" within itself")));
            }
            None => {}
        }
        // An unknown one is reported by another rule.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        self.fragments.insert(name, Measured::InProgress);
        let size = self.set(&fragment.node.selection_set.node, level)?;
        self.fragments.insert(name, Measured::Done(size));
        Ok(size)
    }
}

fn in_fragment(size: Size) -> Size {
    Size { levels: size.levels + 1, selections: size.selections.saturating_add(1), ..size }
}

fn too_deep(pos: Pos) -> GraphqlError {
    too_complex(pos, format!("fields and fragments nest deeper than {MAX_LEVELS} levels"))
}
