//! Compiles a validated operation into a plan: fields are merged by response key (specification
//! §6.3.2, CollectFields), fragments and constant conditions are resolved, every name is looked up
//! in the model, and the statements of single rows are written. A plan is valid for given values of
//! the variables in `@skip` and `@include`; everything else that varies is bound later.

mod roots;

use async_graphql::Positioned;
use async_graphql::parser::types::{
    Directive, ExecutableDocument, Field as AstField, OperationDefinition, OperationType,
    SelectionSet,
};
use async_graphql_value::Value as Ast;

use super::access::{self, Accesses, SelectedField};
use super::argument::{Input, Variables};
use super::bind::row_index;
use super::bound::ListShapes;
use super::decider::{Decider, Deciders};
use super::plan::{
    Action, Argument, ConnectionField, ConnectionFieldKind, ConnectionNeeds, EdgeField,
    EdgeFieldKind, ListPlan, NodePlan, Object, ObjectField, ObjectFieldKind, OneRow, PageInfoField,
    Plan, ResponseKey, RootField, RootKind, RowPlan, WritePlan,
};
use super::rules::Grants;
use super::selections;
use crate::cache_control::{Calculator, Inherited};
use crate::model::{self, Access, ColumnId, Entity, EntityId, Model};
use crate::store::{Query, Shape, Slot};

use roots::QueryField;
pub(crate) use roots::Roots;

/// Compiles an operation for these values of its condition variables.
///
/// # Errors
/// A name that the model does not have: the document was not validated against this model's API.
pub(crate) fn compile(
    model: &Model,
    roots: &Roots,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    conditions: &Variables,
    grants: &Grants,
) -> Result<Plan, UnknownName> {
    let (calculator, inherited) = Calculator::new();
    let mut compiler = Compiler {
        model,
        document,
        conditions,
        grants,
        calculator,
        deciders: Deciders::default(),
        accesses: Accesses::default(),
        path: Vec::new(),
        is_any_type: false,
        places: 0,
        arguments: 0,
    };
    let mut root = Vec::new();
    for merged in compiler.collect(&[&operation.selection_set.node]) {
        compiler.path = vec![merged.key().name];
        let kind = match (operation.ty, merged.name()) {
            (OperationType::Mutation, "__typename") => RootKind::Typename("\"Mutation\""),
            (_, "__typename") => RootKind::Typename("\"Query\""),
            (_, "__schema" | "__type") => RootKind::Introspection,
            (OperationType::Mutation, name) => {
                let (action, entity) =
                    roots.mutation.get(name).ok_or_else(|| UnknownName::new(name))?;
                compiler.write(*action, *entity, &merged, inherited)?
            }
            (_, name) => match roots.query.get(name).ok_or_else(|| UnknownName::new(name))? {
                QueryField::Node { is_list } => {
                    RootKind::Node(compiler.node(*is_list, &merged, inherited)?)
                }
                QueryField::One(entity, keys) => compiler.one(*entity, keys, &merged, inherited)?,
                QueryField::List(entity) => RootKind::List(compiler.connection(
                    *entity,
                    None,
                    model::CacheHint::default(),
                    &merged,
                    inherited,
                )?),
            },
        };
        let position = position(merged.fields[0]);
        root.push(RootField { key: merged.key(), position, kind });
    }
    let mut policy = compiler.calculator.finish();
    let Compiler { accesses, mut deciders, places, arguments, .. } = compiler;
    if let Some(decider) = &accesses.private {
        policy.private = true;
        deciders.private.get_or_insert_with(|| decider.clone());
    }
    Ok(Plan { root, places, arguments, policy, deciders, accesses })
}

/// A name that the model does not have.
#[derive(Debug, thiserror::Error)]
#[error("unknown name {0}")]
pub(crate) struct UnknownName(String);

impl UnknownName {
    /// A document that was valid no longer is.
    pub(super) fn of_document() -> Self {
        Self::new("document")
    }

    fn new(name: &str) -> Self {
        Self(name.to_owned())
    }
}

/// All occurrences of one response key in a selection.
struct Merged<'a> {
    fields: Vec<&'a Positioned<AstField>>,
}

impl<'a> Merged<'a> {
    fn name(&self) -> &'a str {
        self.fields[0].node.name.node.as_str()
    }

    fn key(&self) -> ResponseKey {
        let name = self.fields[0].node.response_key().node.to_string();
        let json = format!("\"{name}\":").into_bytes().into();
        ResponseKey { name, json }
    }

    fn selections(&self) -> Vec<&'a SelectionSet> {
        self.fields.iter().map(|field| &field.node.selection_set.node).collect()
    }

    fn argument(&self, name: &str) -> Option<Argument> {
        let (_, value) = self.fields[0].node.arguments.iter().find(|(n, _)| n.node == name)?;
        Some(Argument { value: value.node.clone(), position: (value.pos.line, value.pos.column) })
    }
}

fn position(field: &Positioned<AstField>) -> (usize, usize) {
    (field.pos.line, field.pos.column)
}

struct Compiler<'a> {
    model: &'a Model,
    document: &'a ExecutableDocument,
    conditions: &'a Variables,
    grants: &'a Grants,
    calculator: Calculator,
    deciders: Deciders,
    accesses: Accesses,
    /// Response keys from the root to the current field.
    path: Vec<String>,
    /// The rows that follow are read only if they have the requested type.
    is_any_type: bool,
    places: usize,
    arguments: usize,
}

impl<'a> Compiler<'a> {
    /// The fields of these selection sets by response key, in the order of their first occurrence.
    fn collect(&self, sets: &[&'a SelectionSet]) -> Vec<Merged<'a>> {
        self.collect_of(None, sets)
    }

    /// Like [`Self::collect`], with the fragments that apply to this type.
    fn collect_of(&self, type_name: Option<&str>, sets: &[&'a SelectionSet]) -> Vec<Merged<'a>> {
        let included = |directives: &[Positioned<Directive>]| self.included(directives);
        let merged = selections::collect(&self.document.fragments, sets, type_name, included);
        merged.into_values().map(|fields| Merged { fields }).collect()
    }

    fn included(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().all(|directive| {
            let wanted = match directive.node.name.node.as_str() {
                "include" => true,
                "skip" => false,
                _ => return true,
            };
            let condition = directive.node.arguments.iter().find(|(name, _)| name.node == "if");
            let condition =
                condition.and_then(|(_, value)| Input::of(&value.node, self.conditions));
            condition.and_then(|input| input.boolean().ok()) == Some(wanted)
        })
    }

    fn place(&mut self, count: usize) -> usize {
        self.places += count;
        self.places - count
    }

    /// Records a selected field: its cache hint, and that it was the one to decide.
    fn hint(
        &mut self,
        parent: Inherited,
        own: model::CacheHint,
        of_type: Option<model::CacheHint>,
        merged: &Merged<'a>,
    ) -> Inherited {
        let (before, was_private) = self.calculator.so_far();
        let inherited = self.calculator.field(parent, own, of_type);
        let (after, is_private) = self.calculator.so_far();
        let decider = || {
            Some(Decider { field: merged.name().to_owned(), position: position(merged.fields[0]) })
        };
        for ((before, after), lifetime) in
            before.iter().zip(after).zip(&mut self.deciders.lifetimes)
        {
            if *before != after {
                *lifetime = decider();
            }
        }
        if was_private != is_private {
            self.deciders.private = decider();
        }
        inherited
    }

    /// Records that this field reads or writes rows.
    fn access(&mut self, entity: EntityId, access: Access, merged: &Merged<'a>) {
        if !std::mem::take(&mut self.is_any_type) {
            self.accesses.demanded.insert((entity, access));
        }
        if self.accesses.rows.insert((entity, access))
            && self.model.depends_on_viewer(entity, access)
        {
            self.depends_on_viewer(merged);
        }
    }

    /// Records that this field depends on the viewer.
    fn depends_on_viewer(&mut self, merged: &Merged<'a>) {
        self.accesses.by_one_field = self.accesses.private.is_none() && self.path.len() > 1;
        let decider =
            || Decider { field: merged.name().to_owned(), position: position(merged.fields[0]) };
        self.accesses.private.get_or_insert_with(decider);
    }

    /// Records that a field of a row is selected.
    fn select(&mut self, entity: &'a Entity, field: &'a model::Field, merged: &Merged<'a>) {
        if field.rules.is_empty() {
            return;
        }
        if access::depends(&field.rules, Access::Read) {
            self.depends_on_viewer(merged);
        }
        let at =
            entity.fields.iter().position(|other| std::ptr::eq(other, field)).unwrap_or_default();
        let (path, position) = (self.path.clone(), position(merged.fields[0]));
        self.accesses.fields.push(SelectedField { entity: entity.id, field: at, path, position });
    }

    fn argument_place(&mut self) -> usize {
        self.arguments += 1;
        self.arguments - 1
    }

    fn one(
        &mut self,
        entity: EntityId,
        keys: &[(String, ColumnId)],
        merged: &Merged<'a>,
        parent: Inherited,
    ) -> Result<RootKind, UnknownName> {
        let arguments = keys.iter().map(|(name, column)| {
            let missing = || Argument { value: Ast::Null, position: position(merged.fields[0]) };
            (*column, merged.argument(name).unwrap_or_else(missing))
        });
        let arguments: Vec<_> = arguments.collect();
        let columns: Vec<_> = keys.iter().map(|(_, column)| *column).collect();
        // A lookup that finds a row by a field's value reveals that value.
        let entity_of = self.model.entity(entity);
        for field in columns.iter().filter_map(|column| entity_of.field_of(*column)) {
            self.select(entity_of, field, merged);
        }
        let bound = self.argument_place();
        let row = self.row(entity, &columns, model::CacheHint::default(), merged, parent)?;
        Ok(RootKind::One(Box::new(OneRow { keys: arguments, bound, row })))
    }

    /// One plan for the rows of each type. The cache policy is the minimum over all types.
    fn node(
        &mut self,
        is_list: bool,
        merged: &Merged<'a>,
        parent: Inherited,
    ) -> Result<NodePlan, UnknownName> {
        let bound = self.argument_place();
        let model = self.model;
        let mut rows = Vec::new();
        for entity in model.nodes() {
            // Only rows of one type are requested.
            self.is_any_type = true;
            rows.push(self.row(
                entity.id,
                &[entity.key],
                model::CacheHint::default(),
                merged,
                parent,
            )?);
        }
        let ids = merged.argument(if is_list { "ids" } else { "id" });
        Ok(NodePlan { ids, position: position(merged.fields[0]), is_list, bound, rows })
    }

    fn write(
        &mut self,
        action: Action,
        entity: EntityId,
        merged: &Merged<'a>,
        parent: Inherited,
    ) -> Result<RootKind, UnknownName> {
        let entity = self.model.entity(entity);
        self.access(entity.id, action.access(), merged);
        let input = merged.argument(if action == Action::Create { "input" } else { "patch" });
        if input
            .as_ref()
            .is_some_and(|input| access::names_depend(entity, action.access(), &input.value))
        {
            self.depends_on_viewer(merged);
        }
        if action == Action::Create && entity.columns.iter().any(|column| column.preset().is_some())
        {
            self.depends_on_viewer(merged);
        }
        let (entity, key, key_field) = (entity.id, entity.key, &entity.column(entity.key).field);
        let bound = self.argument_place();
        Ok(RootKind::Write(Box::new(WritePlan {
            action,
            id: merged.argument(key_field),
            input,
            expected_etag: merged.argument("expectedEtag"),
            bound,
            row: self.row(entity, &[key], model::CacheHint::default(), merged, parent)?,
        })))
    }

    fn row(
        &mut self,
        entity: EntityId,
        keys: &[ColumnId],
        hint: model::CacheHint,
        merged: &Merged<'a>,
        parent: Inherited,
    ) -> Result<RowPlan, UnknownName> {
        let entity = self.model.entity(entity);
        self.access(entity.id, Access::Read, merged);
        let inherited = self.hint(parent, hint, Some(entity.cache), merged);
        let place = self.place(1);
        let mut columns = Vec::new();
        let object = self.object(entity, &merged.selections(), inherited, &mut columns)?;
        // The slots of the keys come first; the first of them is the parent's.
        let from =
            self.grants.rows(entity.id, Access::Read).visible(entity.id, keys.len() as Slot - 1);
        let shape = Shape::Row { from, keys: keys.into(), columns: columns.into() };
        Ok(RowPlan { entity: entity.id, query: Query::new(shape), place, object })
    }

    fn object(
        &mut self,
        entity: &'a Entity,
        selections: &[&'a SelectionSet],
        parent: Inherited,
        columns: &mut Vec<ColumnId>,
    ) -> Result<Object, UnknownName> {
        let mut fields = Vec::new();
        for merged in self.collect_of(Some(&entity.name), selections) {
            let kind = match merged.name() {
                "__typename" => ObjectFieldKind::Typename,
                "etag" => ObjectFieldKind::Etag,
                name => {
                    let field = entity.field(name).ok_or_else(|| UnknownName::new(name))?;
                    self.path.push(merged.key().name);
                    self.select(entity, field, &merged);
                    let kind = self.field(entity, field, &merged, parent, columns)?;
                    self.path.pop();
                    kind
                }
            };
            fields.push(ObjectField { key: merged.key(), kind });
        }
        Ok(Object { entity: entity.id, fields })
    }

    fn field(
        &mut self,
        entity: &'a Entity,
        field: &'a model::Field,
        merged: &Merged<'a>,
        parent: Inherited,
        columns: &mut Vec<ColumnId>,
    ) -> Result<ObjectFieldKind, UnknownName> {
        Ok(match field.kind {
            model::FieldKind::Scalar(id) => {
                self.hint(parent, field.cache, None, merged);
                let index = row_index(entity.key, id, columns);
                let model::Column { scalar, nullable, global, .. } = *entity.column(id);
                match global {
                    Some(target) => {
                        ObjectFieldKind::Id { column: id, index, scalar, target, nullable }
                    }
                    None => ObjectFieldKind::Value { column: id, index, scalar, nullable },
                }
            }
            model::FieldKind::ToOne { column, target } => {
                let key = self.model.entity(target).key;
                ObjectFieldKind::ToOne {
                    column,
                    index: row_index(entity.key, column, columns),
                    nullable: entity.column(column).nullable
                        || !self.model.is_open(target, Access::Read),
                    row: self.row(target, &[key], field.cache, merged, parent)?,
                }
            }
            model::FieldKind::ToMany { target, column } => ObjectFieldKind::ToMany(
                self.connection(target, Some(column), field.cache, merged, parent)?,
            ),
        })
    }

    fn connection(
        &mut self,
        entity: EntityId,
        cut: Option<ColumnId>,
        hint: model::CacheHint,
        merged: &Merged<'a>,
        parent: Inherited,
    ) -> Result<ListPlan, UnknownName> {
        let entity = self.model.entity(entity);
        self.access(entity.id, Access::Read, merged);
        let of_arguments =
            merged.fields[0].node.arguments.iter().any(|(name, value)| match name.node.as_str() {
                "where" => access::condition_depends(self.model, entity, &value.node),
                "orderBy" => access::names_depend(entity, Access::Read, &value.node),
                _ => false,
            });
        if of_arguments {
            self.depends_on_viewer(merged);
        }
        // The connection stands for its rows: `nodes`, `edges` and `pageInfo` inherit its hint.
        let inherited = self.hint(parent, hint, Some(entity.cache), merged);
        let (bound, place) = (self.argument_place(), self.place(ListPlan::PLACES));
        let arguments = merged.fields[0].node.arguments.iter().map(|(name, value)| {
            let position = (value.pos.line, value.pos.column);
            (name.node.to_string(), Argument { value: value.node.clone(), position })
        });
        let arguments = arguments.collect();
        let (mut fields, mut columns, mut wants) =
            (Vec::new(), Vec::new(), ConnectionNeeds::default());
        for part in self.collect(&merged.selections()) {
            let kind = match part.name() {
                "__typename" => ConnectionFieldKind::Typename(
                    format!("\"{}Connection\"", entity.name).into_bytes().into(),
                ),
                "totalCount" => ConnectionFieldKind::TotalCount,
                "nodes" => {
                    wants.rows = true;
                    self.path.push(part.key().name);
                    let object =
                        self.object(entity, &part.selections(), inherited, &mut columns)?;
                    self.path.pop();
                    ConnectionFieldKind::Nodes(object)
                }
                "edges" => {
                    wants.rows = true;
                    self.path.push(part.key().name);
                    let edges = self.edges(entity, &part, inherited, &mut columns, &mut wants)?;
                    self.path.pop();
                    ConnectionFieldKind::Edges(edges)
                }
                "pageInfo" => ConnectionFieldKind::PageInfo(self.page_info(&part, &mut wants)?),
                other => return Err(UnknownName::new(other)),
            };
            fields.push(ConnectionField { key: part.key(), kind });
        }
        let shapes = ListShapes::default();
        Ok(ListPlan {
            entity: entity.id,
            cut,
            arguments,
            bound,
            place,
            columns,
            fields,
            wants,
            shapes,
        })
    }

    fn edges(
        &mut self,
        entity: &'a Entity,
        merged: &Merged<'a>,
        parent: Inherited,
        columns: &mut Vec<ColumnId>,
        wants: &mut ConnectionNeeds,
    ) -> Result<Vec<EdgeField>, UnknownName> {
        let mut fields = Vec::new();
        for part in self.collect(&merged.selections()) {
            let kind = match part.name() {
                "__typename" => {
                    EdgeFieldKind::Typename(format!("\"{}Edge\"", entity.name).into_bytes().into())
                }
                "cursor" => {
                    wants.cursors = true;
                    EdgeFieldKind::Cursor
                }
                "node" => {
                    self.path.push(part.key().name);
                    let object = self.object(entity, &part.selections(), parent, columns)?;
                    self.path.pop();
                    EdgeFieldKind::Node(object)
                }
                other => return Err(UnknownName::new(other)),
            };
            fields.push(EdgeField { key: part.key(), kind });
        }
        Ok(fields)
    }

    fn page_info(
        &mut self,
        merged: &Merged<'a>,
        wants: &mut ConnectionNeeds,
    ) -> Result<Vec<(ResponseKey, PageInfoField)>, UnknownName> {
        let mut fields = Vec::new();
        for part in self.collect(&merged.selections()) {
            let field = match part.name() {
                "__typename" => PageInfoField::Typename,
                "hasNextPage" => PageInfoField::HasNextPage,
                "hasPreviousPage" => PageInfoField::HasPreviousPage,
                "startCursor" => PageInfoField::StartCursor,
                "endCursor" => PageInfoField::EndCursor,
                other => return Err(UnknownName::new(other)),
            };
            wants.next |= field == PageInfoField::HasNextPage;
            wants.previous |= field == PageInfoField::HasPreviousPage;
            wants.cursors |= matches!(field, PageInfoField::StartCursor | PageInfoField::EndCursor);
            wants.rows |= field != PageInfoField::Typename;
            fields.push((part.key(), field));
        }
        Ok(fields)
    }
}
