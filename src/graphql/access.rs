//! Which rows and fields an operation accesses, as far as its document tells, and whether its
//! answer depends on the viewer. A variable is assumed to have any possible value here; what
//! depends on its actual value is checked when variables are bound.

use std::collections::BTreeSet;

use async_graphql_value::Value as Ast;

use super::decider::Decider;
use super::error::{GraphqlError, PathSegment};
use super::rules::Grants;
use crate::model::{Access, Entity, EntityId, FieldKind, Model, Rule};

/// The rows and fields that an operation accesses.
#[derive(Debug, Default)]
pub(crate) struct Accesses {
    /// Entities whose rows it reads or writes, as root fields or relations.
    pub rows: BTreeSet<(EntityId, Access)>,
    /// Those that are accessed whatever the arguments are. `node(id:)`, in contrast, reads rows of
    /// one type only.
    pub demanded: BTreeSet<(EntityId, Access)>,
    /// Selected fields that have rules.
    pub fields: Vec<SelectedField>,
    /// The first field that makes the answer depend on the viewer; None if everybody gets the same
    /// answer.
    pub private: Option<Decider>,
    /// Whether everybody would get the same answer without that field, which is not a root field.
    pub by_one_field: bool,
}

#[derive(Debug)]
pub(crate) struct SelectedField {
    /// The entity of the field.
    pub entity: EntityId,
    /// The index of the field in its entity.
    pub field: usize,
    /// Its path in the answer: response keys, without list indices.
    pub path: Vec<String>,
    /// Line and column in the document.
    pub position: (usize, usize),
}

impl Accesses {
    /// Whether the answer depends on the viewer.
    pub(crate) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The entities whose rows it writes, with the kind of access.
    pub(crate) fn written(&self) -> Vec<(EntityId, Access)> {
        self.rows.iter().copied().filter(|(_, access)| *access != Access::Read).collect()
    }

    /// Everything that the viewer may not do, whatever the rows contain.
    pub(super) fn denials(&self, model: &Model, grants: &Grants) -> Vec<GraphqlError> {
        let mut denials = Vec::new();
        for (entity, access) in &self.demanded {
            denials.extend(grants.may_any(model.entity(*entity), *access).err());
        }
        for selected in &self.fields {
            let entity = model.entity(selected.entity);
            let field = &entity.fields[selected.field];
            if let Err(error) =
                grants.may(&field.rules, Access::Read, || format!("{}.{}", entity.name, field.name))
            {
                let path = selected.path.iter().cloned().map(PathSegment::Key).collect();
                let (line, column) = selected.position;
                denials.push(error.at(line, column).with_path(path));
            }
        }
        denials
    }
}

/// Whether one of these rules, for this access, depends on the viewer.
pub(super) fn depends(rules: &[Rule], access: Access) -> bool {
    let mut about = rules.iter().filter(|rule| rule.is_about(access));
    !about.clone().any(Rule::is_open) && about.any(Rule::depends_on_viewer)
}

/// Whether a `where` on an entity's rows refers to anything that depends on the viewer.
pub(super) fn condition_depends(model: &Model, entity: &Entity, value: &Ast) -> bool {
    let members = match value {
        Ast::Variable(_) => return anything_depends(model, entity.id),
        Ast::Object(members) => members,
        Ast::List(items) => return items.iter().any(|item| condition_depends(model, entity, item)),
        _ => return false,
    };
    members.iter().any(|(name, value)| match name.as_str() {
        "and" | "or" | "not" => condition_depends(model, entity, value),
        name => {
            let field = entity.fields.iter().find(|field| field.name == name);
            field.is_some_and(|field| {
                let inner = match field.kind {
                    FieldKind::Scalar(_) => false,
                    FieldKind::ToOne { target, .. } => {
                        model.depends_on_viewer(target, Access::Read)
                            || condition_depends(model, model.entity(target), value)
                    }
                    FieldKind::ToMany { target, .. } => {
                        model.depends_on_viewer(target, Access::Read)
                            || list_depends(model, target, value)
                    }
                };
                inner || depends(&field.rules, Access::Read)
            })
        }
    })
}

fn list_depends(model: &Model, target: EntityId, value: &Ast) -> bool {
    match value {
        Ast::Object(members) => {
            members.values().any(|inner| condition_depends(model, model.entity(target), inner))
        }
        Ast::Variable(_) => anything_depends(model, target),
        _ => false,
    }
}

/// Whether any possible condition on an entity's rows depends on the viewer.
fn anything_depends(model: &Model, entity: EntityId) -> bool {
    let (mut reached, mut next) = (vec![entity], 0);
    while let Some(id) = reached.get(next).copied() {
        next += 1;
        for field in model.entity(id).fields.iter().filter(|field| !field.hidden) {
            if depends(&field.rules, Access::Read) {
                return true;
            }
            if let FieldKind::ToOne { target, .. } | FieldKind::ToMany { target, .. } = field.kind {
                if model.depends_on_viewer(target, Access::Read) {
                    return true;
                }
                if !reached.contains(&target) {
                    reached.push(target);
                }
            }
        }
    }
    false
}

/// Whether an `orderBy`, an `input` or a `patch` names a field whose rules depend on the viewer.
pub(super) fn names_depend(entity: &Entity, access: Access, value: &Ast) -> bool {
    match value {
        Ast::Variable(_) => entity.fields.iter().any(|field| depends(&field.rules, access)),
        Ast::List(items) => items.iter().any(|item| names_depend(entity, access, item)),
        Ast::Object(members) => members.keys().any(|name| {
            entity
                .fields
                .iter()
                .any(|field| field.name == name.as_str() && depends(&field.rules, access))
        }),
        _ => false,
    }
}
