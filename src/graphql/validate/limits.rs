//! Limits how much work a document may ask for, and rejects fragments that contain themselves. Each
//! fragment is measured once, so the check costs no more than parsing the document, however much
//! the fragments multiply.

use std::collections::HashMap;

use async_graphql::parser::types::{Directive, ExecutableDocument, Field, Selection, SelectionSet};
use async_graphql::{Name, Pos, Positioned};
use async_graphql_value::Value;

use crate::graphql::error::{Code, GraphqlError};

/// The maximum nesting of fields. The standard introspection queries need 13.
pub(crate) const MAX_DEPTH: usize = 32;

/// The maximum nesting of fields and fragments together.
pub(crate) const MAX_LEVELS: usize = 64;

/// The maximum number of fields and fragments in a document; the contents of a fragment count where
/// it is defined and wherever it is spread.
pub(crate) const MAX_SELECTIONS: usize = 10_000;

/// The maximum number of literals and variables in a document, counted the same way.
pub(crate) const MAX_VALUES: usize = 100_000;

/// The maximum number of root fields of an operation.
pub(crate) const MAX_ROOT_FIELDS: usize = 100;

/// The maximum nesting of the lists of types and fields in introspection. Each level multiplies the
/// answer by the size of the schema. The standard introspection queries need 2; graphql-js has the
/// same limit.
pub(crate) const MAX_INTROSPECTION_LISTS: usize = 2;

/// The maximum number of fields in `__schema` and `__type` together: each is written for each type
/// or field of the schema, and the largest introspection queries need about three hundred.
pub(crate) const MAX_INTROSPECTION_SELECTIONS: usize = 1000;

/// The size of a selection set, including everything in it.
#[derive(Debug, Clone, Copy, Default)]
struct Size {
    /// The total number of fields and fragments.
    selections: usize,
    /// The total number of literals and variables.
    values: usize,
    /// The number of fields directly in it.
    own_fields: usize,
    /// The nesting of fields.
    depth: usize,
    /// The nesting of fields and fragments.
    levels: usize,
    /// The nesting of introspection lists.
    lists: usize,
}

impl Size {
    /// The size of two selections next to each other.
    fn and(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            values: self.values.saturating_add(other.values),
            own_fields: self.own_fields.saturating_add(other.own_fields),
            depth: self.depth.max(other.depth),
            levels: self.levels.max(other.levels),
            lists: self.lists.max(other.lists),
        }
    }

    /// The size of a field with this selection set.
    fn in_field(self, field: &Field) -> Self {
        let is_list = matches!(
            field.name.node.as_str(),
            "fields" | "inputFields" | "interfaces" | "possibleTypes"
        );
        Self {
            selections: self.selections.saturating_add(1),
            values: self
                .values
                .saturating_add(arguments(&field.arguments) + directives(&field.directives)),
            own_fields: 1,
            depth: self.depth + 1,
            levels: self.levels + 1,
            lists: self.lists + usize::from(is_list),
        }
    }
}

/// A fragment that is being measured, or has been.
enum Measured {
    InProgress,
    Done(Size),
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    fragments: HashMap<&'a str, Measured>,
    /// The position of an introspection list that nests too deeply. Data fields may be called
    /// `fields` as well, so this counts only within `__schema` and `__type`.
    deep_introspection: Option<Pos>,
    /// The number of selections within `__schema` and `__type` so far.
    introspection: usize,
}

/// Fails if the document exceeds a limit, or a fragment contains itself.
pub(super) fn check(document: &ExecutableDocument) -> Result<(), Vec<GraphqlError>> {
    let mut measure =
        Measure { document, fragments: HashMap::new(), deep_introspection: None, introspection: 0 };
    measure.document().map_err(|error| vec![error])
}

impl<'a> Measure<'a> {
    fn document(&mut self) -> Result<(), GraphqlError> {
        let document = self.document;
        let mut operations: Vec<_> =
            document.operations.iter().map(|(_, operation)| operation).collect();
        operations.sort_by_key(|operation| operation.pos);
        let mut total = Size::default();
        for operation in operations {
            let size = self.set(&operation.node.selection_set.node, 0)?;
            if size.own_fields > MAX_ROOT_FIELDS {
                let message =
                    format!("an operation may have at most {MAX_ROOT_FIELDS} fields at its root");
                return Err(GraphqlError::too_complex(operation.pos, message));
            }
            if size.depth > MAX_DEPTH {
                return Err(GraphqlError::too_complex(
                    operation.pos,
                    format!("fields nest deeper than {MAX_DEPTH} levels"),
                ));
            }
            total = total.and(size);
        }
        // Each fragment is also walked on its own, whether an operation reaches it or not.
        let mut fragments: Vec<_> = document.fragments.iter().collect();
        fragments.sort_by_key(|(_, fragment)| fragment.pos);
        for (name, fragment) in fragments {
            total = total.and(self.fragment(name, fragment.pos, 0)?);
        }
        if total.selections > MAX_SELECTIONS {
            let message =
                format!("the document selects more than {MAX_SELECTIONS} fields and fragments");
            return Err(GraphqlError::new(Code::QueryTooComplex, message));
        }
        if total.values > MAX_VALUES {
            let message = format!("the document has more than {MAX_VALUES} literals and variables");
            return Err(GraphqlError::new(Code::QueryTooComplex, message));
        }
        match self.deep_introspection {
            Some(pos) => Err(GraphqlError::too_complex(
                pos,
                "introspection nests lists of types and fields too deeply",
            )),
            None => Ok(()),
        }
    }

    fn set(&mut self, set: &'a SelectionSet, level: usize) -> Result<Size, GraphqlError> {
        let mut size = Size::default();
        for selection in &set.items {
            if level >= MAX_LEVELS {
                return Err(too_deep(selection.pos));
            }
            let inner = match &selection.node {
                Selection::Field(field) => {
                    let inner =
                        self.set(&field.node.selection_set.node, level + 1)?.in_field(&field.node);
                    let is_introspection =
                        matches!(field.node.name.node.as_str(), "__schema" | "__type");
                    if is_introspection && inner.lists > MAX_INTROSPECTION_LISTS {
                        self.deep_introspection.get_or_insert(field.pos);
                    }
                    if is_introspection {
                        self.introspection = self.introspection.saturating_add(inner.selections);
                        if self.introspection > MAX_INTROSPECTION_SELECTIONS {
                            let most = MAX_INTROSPECTION_SELECTIONS;
                            return Err(GraphqlError::too_complex(
                                field.pos,
                                format!("introspection selects more than {most} fields"),
                            ));
                        }
                    }
                    inner
                }
                Selection::InlineFragment(fragment) => in_fragment(
                    self.set(&fragment.node.selection_set.node, level + 1)?,
                    &fragment.node.directives,
                ),
                Selection::FragmentSpread(spread) => in_fragment(
                    self.fragment(&spread.node.fragment_name.node, spread.pos, level + 1)?,
                    &spread.node.directives,
                ),
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
                return Err(GraphqlError::invalid(
                    pos,
                    format!("Cannot spread fragment \"{name}\" within itself"),
                ));
            }
            None => {}
        }
        // Unknown fragments are reported by another rule.
        let Some(fragment) = self.document.fragments.get(name) else { return Ok(Size::default()) };
        self.fragments.insert(name, Measured::InProgress);
        let size = self.set(&fragment.node.selection_set.node, level)?;
        self.fragments.insert(name, Measured::Done(size));
        Ok(size)
    }
}

fn in_fragment(size: Size, own_directives: &[Positioned<Directive>]) -> Size {
    Size {
        levels: size.levels + 1,
        selections: size.selections.saturating_add(1),
        values: size.values.saturating_add(directives(own_directives)),
        ..size
    }
}

/// The number of values in directives.
fn directives(directives: &[Positioned<Directive>]) -> usize {
    directives.iter().map(|directive| arguments(&directive.node.arguments)).sum()
}

/// The number of values in arguments.
fn arguments(arguments: &[(Positioned<Name>, Positioned<Value>)]) -> usize {
    arguments.iter().map(|(_, value)| values(&value.node)).sum()
}

fn values(value: &Value) -> usize {
    1 + match value {
        Value::List(items) => items.iter().map(values).sum(),
        Value::Object(members) => members.values().map(values).sum(),
        _ => 0,
    }
}

fn too_deep(pos: Pos) -> GraphqlError {
    GraphqlError::too_complex(
        pos,
        format!("fields and fragments nest deeper than {MAX_LEVELS} levels"),
    )
}
