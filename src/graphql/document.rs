//! A registered or ad-hoc document: validated, with operations ready to be planned and variables
//! ready to be coerced.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use async_graphql::dynamic::TypeRef;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Name, Positioned};
use async_graphql_value::ConstValue;
use dashmap::DashMap;

use super::argument::{Input, Variables};
use super::compile::{Roots, UnknownName, compile};
use super::definition::Definitions;
use super::error::{Code, GraphqlError, cut};
use super::introspect::Introspection;
use super::parsed::{self, Parsed};
use super::plan::Plan;
use super::rules::Grants;
use super::uses::Uses;
use super::variables::{Types, Wrong, type_ref};
use crate::document_id::DocumentId;
use crate::json::canonical_object;
use crate::model::{Access, EntityId, Model};
use crate::question::{Question, View};
use crate::store::select::Filter;
use crate::syntax::from_json;

/// How many plans to keep for different values of an operation's condition variables. Beyond that,
/// plans are compiled for each request.
const MAX_PLANS: usize = 256;

/// How many unknown variables are reported individually.
const MAX_UNKNOWN: usize = 10;

/// A validated document, compiled. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Document {
    id: DocumentId,
    parsed: Arc<Parsed>,
    operations: Vec<Arc<Operation>>,
}

/// The kind of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Writes.
    Mutation,
}

/// One operation of a document.
#[derive(Debug)]
pub struct Operation {
    document_id: DocumentId,
    parsed: Arc<Parsed>,
    kind: OperationKind,
    name: Option<String>,
    position: (usize, usize),
    variables: Vec<VariableDefinition>,
    /// The names of the variables in `@skip` and `@include`, sorted.
    conditions: Vec<String>,
    introspection: Option<Introspection>,
    model: Arc<Model>,
    definitions: Arc<Definitions>,
    /// The plan of an operation without conditions.
    plan: OnceLock<Arc<Plan>>,
    /// Plans by the values of the conditions.
    plans: DashMap<Vec<bool>, Arc<Plan>>,
    /// Plans for a model with rules, by the values of the conditions and by the shape of the rules
    /// on the rows that are read.
    ruled: DashMap<Vec<Shape>, Arc<Plan>>,
}

/// What distinguishes the plans of one operation.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Shape {
    Condition(bool),
    Rows(EntityId, Option<Filter>),
}

#[derive(Debug)]
struct VariableDefinition {
    name: String,
    ty: TypeRef,
    default: Option<ConstValue>,
    position: (usize, usize),
    /// Used only as `expectedEtag`, so the value of `If-Match` may replace it.
    expected_etag: bool,
}

impl Document {
    /// From a document that was validated against the model's API.
    pub(super) fn new(
        id: DocumentId,
        parsed: Parsed,
        model: &Arc<Model>,
        definitions: &Arc<Definitions>,
    ) -> Self {
        let parsed = Arc::new(parsed);
        let tree = parsed.tree();
        let mut operations: Vec<_> = tree.iter().flat_map(|tree| tree.operations.iter()).collect();
        operations.sort_by_key(|(_, definition)| definition.pos);
        let operations =
            operations.into_iter().zip(tree.iter().cycle()).map(|((name, definition), tree)| {
                Arc::new(Operation::new(
                    id,
                    &parsed,
                    tree,
                    name.map(Name::as_str),
                    definition,
                    (model, definitions),
                ))
            });
        let operations = operations.collect();
        Self { id, parsed, operations }
    }

    /// blake3 of the text.
    pub fn id(&self) -> DocumentId {
        self.id
    }

    /// The text as registered, byte for byte.
    pub fn text(&self) -> &Arc<str> {
        self.parsed.text()
    }

    /// Releases what can be recomputed, until the document runs: it may not be requested for a long
    /// time.
    pub fn rest(&self) {
        self.parsed.release();
    }

    /// In document order.
    pub fn operations(&self) -> &[Arc<Operation>] {
        &self.operations
    }

    /// The operation with this name, or the only one if there is no name.
    ///
    /// # Errors
    /// `OPERATION_RESOLUTION_FAILURE`, with the names of the operations.
    pub fn operation(&self, name: Option<&str>) -> Result<&Arc<Operation>, GraphqlError> {
        let found = match name {
            None if self.operations.len() == 1 => self.operations.first(),
            None => None,
            Some(name) => self.operations.iter().find(|operation| operation.name() == Some(name)),
        };
        found.ok_or_else(|| {
            let names: Vec<&str> =
                self.operations.iter().filter_map(|operation| operation.name()).collect();
            let there = match names.len() {
                0 => "its operation has no name".to_owned(),
                _ => format!("there is {}", names.join(", ")),
            };
            let message = match name {
                Some(name) => format!("the document has no operation {name}; {there}"),
                None => format!("the document has several operations, and none was named; {there}"),
            };
            GraphqlError::new(Code::OperationResolutionFailure, message)
        })
    }
}

impl Operation {
    fn new(
        document_id: DocumentId,
        parsed: &Arc<Parsed>,
        document: &ExecutableDocument,
        name: Option<&str>,
        definition: &Positioned<OperationDefinition>,
        (model, definitions): (&Arc<Model>, &Arc<Definitions>),
    ) -> Self {
        let position = (definition.pos.line, definition.pos.column);
        let definition = &definition.node;
        let uses = Uses::of(document, definition);
        let variables = definition.variable_definitions.iter().map(|variable| {
            let node = &variable.node;
            VariableDefinition {
                name: node.name.node.to_string(),
                ty: type_ref(&node.var_type.node),
                default: node.default_value.as_ref().map(|value| value.node.clone()),
                position: (variable.pos.line, variable.pos.column),
                expected_etag: uses.is_only_expected_etag(&node.name.node),
            }
        });
        Self {
            document_id,
            parsed: parsed.clone(),
            kind: match definition.ty {
                OperationType::Mutation => OperationKind::Mutation,
                _ => OperationKind::Query,
            },
            name: name.map(str::to_owned),
            position,
            variables: variables.collect(),
            conditions: uses.conditions(),
            introspection: Introspection::of(document, name),
            model: model.clone(),
            definitions: definitions.clone(),
            plan: OnceLock::new(),
            plans: DashMap::new(),
            ruled: DashMap::new(),
        }
    }

    /// None for an anonymous operation.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The line and column where it begins.
    pub fn position(&self) -> (usize, usize) {
        self.position
    }

    /// Query or mutation.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }

    /// The variables that every request must give: names and types.
    pub fn required_variables(&self) -> Vec<(&str, String)> {
        let is_required = |variable: &&VariableDefinition| {
            let must_be_there = matches!(variable.ty, TypeRef::NonNull(_))
                || self.conditions.contains(&variable.name);
            must_be_there && variable.default.is_none() && !variable.expected_etag
        };
        self.variables
            .iter()
            .filter(is_required)
            .map(|v| (v.name.as_str(), v.ty.to_string()))
            .collect()
    }

    /// The document that contains it.
    pub fn document_id(&self) -> DocumentId {
        self.document_id
    }

    /// The question that it asks with these variables, seen through this view.
    pub fn question<'a>(&'a self, variables: &'a Variables, view: View) -> Question<'a> {
        let variables = variables.canonical();
        Question { document: self.document_id, operation: self.name(), variables, view }
    }

    /// Whether it queries the schema.
    pub fn introspects(&self) -> bool {
        self.introspection.is_some()
    }

    /// The syntax tree of the whole document; [`parsed::operation`] finds this operation in it.
    /// None would mean that the document is not valid after all.
    pub(super) fn tree(&self) -> Option<Arc<ExecutableDocument>> {
        self.parsed.tree()
    }

    pub(super) fn introspection(&self) -> Option<&Introspection> {
        self.introspection.as_ref()
    }

    /// The model against which it was validated.
    pub(super) fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// The plan for these variables and this viewer.
    pub(super) fn plan(
        &self,
        roots: &Roots,
        variables: &Variables,
        grants: &Grants,
    ) -> Result<Arc<Plan>, UnknownName> {
        let outline = self.outline(roots, variables)?;
        if !self.model.has_rules {
            return Ok(outline);
        }
        let read = outline.accesses.rows.iter().filter(|(_, access)| *access == Access::Read);
        let rows = read
            .map(|(entity, access)| Shape::Rows(*entity, grants.rows(*entity, *access).shape()));
        let key: Vec<Shape> =
            self.condition_values(variables).map(Shape::Condition).chain(rows).collect();
        if let Some(plan) = self.ruled.get(&key) {
            return Ok(plan.clone());
        }
        let plan = self.compiled(roots, variables, grants)?;
        if self.ruled.len() < MAX_PLANS {
            self.ruled.insert(key, plan.clone());
        }
        Ok(plan)
    }

    fn compiled(
        &self,
        roots: &Roots,
        variables: &Variables,
        grants: &Grants,
    ) -> Result<Arc<Plan>, UnknownName> {
        let tree = self.parsed.tree();
        let definition = tree.as_ref().and_then(|tree| parsed::operation(tree, self.name()));
        let (tree, definition) =
            tree.as_ref().zip(definition).ok_or_else(UnknownName::of_document)?;
        let plan = compile(&self.model, roots, tree, definition, variables, grants).map(Arc::new);
        self.parsed.release();
        plan
    }

    fn condition_values<'a>(&'a self, variables: &'a Variables) -> impl Iterator<Item = bool> + 'a {
        self.conditions
            .iter()
            .map(|name| variables.values.get(name) == Some(&ConstValue::Boolean(true)))
    }

    /// The plan for these variables, for inspection only: in a model with rules, its viewer sees no
    /// rows.
    pub(super) fn outline(
        &self,
        roots: &Roots,
        variables: &Variables,
    ) -> Result<Arc<Plan>, UnknownName> {
        let make = || self.compiled(roots, variables, &Grants::closed(&self.model));
        if self.conditions.is_empty() {
            if let Some(plan) = self.plan.get() {
                return Ok(plan.clone());
            }
            let plan = make()?;
            return Ok(self.plan.get_or_init(|| plan).clone());
        }
        let values: Vec<bool> = self.condition_values(variables).collect();
        if let Some(plan) = self.plans.get(&values) {
            return Ok(plan.clone());
        }
        let plan = make()?;
        if self.plans.len() < MAX_PLANS {
            self.plans.insert(values, plan.clone());
        }
        Ok(plan)
    }

    /// The variables if a client gives none, with this value for all variables used in `@skip` and
    /// `@include`.
    pub(super) fn defaults(&self, condition: bool) -> Variables {
        let mut variables = Variables::default();
        for variable in &self.variables {
            let is_condition = self.conditions.contains(&variable.name);
            let value = if is_condition {
                Some(ConstValue::Boolean(condition))
            } else {
                variable.default.clone()
            };
            variables.values.extend(value.map(|value| (variable.name.clone(), value)));
        }
        variables
    }

    /// Coerces a request's variables strictly: unknown names are refused, defaults are filled in.
    ///
    /// # Errors
    /// `BAD_USER_INPUT`, one for each variable that does not coerce.
    pub fn coerce_variables(
        &self,
        raw: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Variables, Vec<GraphqlError>> {
        let mut errors = self.unknown(raw);
        let types = Types {
            model: &self.model,
            definitions: &self.definitions,
            null_is_a_value: self.kind() == OperationKind::Mutation,
        };
        let mut values = BTreeMap::new();
        for variable in &self.variables {
            let value = raw.get(&variable.name).map(from_json).or_else(|| variable.default.clone());
            match self.coerce_variable(&types, variable, value) {
                // In a query, a null variable means the same as an absent one.
                Ok(Some(ConstValue::Null))
                    if self.kind() == OperationKind::Query && variable.default.is_none() => {}
                Ok(Some(value)) => drop(values.insert(variable.name.clone(), value)),
                Ok(None) => {}
                Err((place, why)) => {
                    let message = format!("variable ${}{place} {why}", variable.name);
                    let error = GraphqlError::new(Code::BadUserInput, message);
                    errors.push(error.at(variable.position.0, variable.position.1));
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let canonical = canonical_object(values.iter().map(|(name, value)| (name.as_str(), value)));
        Ok(Variables { values, canonical })
    }

    /// The variables that are given but not declared: only the first few, since a body may contain
    /// any number.
    fn unknown(&self, raw: &serde_json::Map<String, serde_json::Value>) -> Vec<GraphqlError> {
        let known =
            self.variables.iter().filter(|variable| raw.contains_key(&variable.name)).count();
        let all = raw.len() - known;
        let names =
            raw.keys().filter(|name| self.variables.iter().all(|variable| variable.name != **name));
        let mut errors: Vec<_> = names
            .take(MAX_UNKNOWN)
            .map(|name| {
                let mut name = name.clone();
                cut(&mut name);
                let message = format!("unknown variable ${name}; {}", self.declared());
                GraphqlError::new(Code::BadUserInput, message)
            })
            .collect();
        if all > MAX_UNKNOWN {
            let message = format!("{} more variables are unknown", all - MAX_UNKNOWN);
            errors.push(GraphqlError::new(Code::BadUserInput, message));
        }
        errors
    }

    fn coerce_variable(
        &self,
        types: &Types<'_>,
        variable: &VariableDefinition,
        value: Option<ConstValue>,
    ) -> Result<Option<ConstValue>, Wrong> {
        match value {
            None | Some(ConstValue::Null) if variable.expected_etag => Ok(value),
            // A variable with a default may be null, but not in a condition: plans are kept for
            // true and false only.
            None | Some(ConstValue::Null) if self.conditions.contains(&variable.name) => Err((
                String::new(),
                "may not be null in the condition of @skip or @include".to_owned(),
            )),
            None if matches!(variable.ty, TypeRef::NonNull(_)) => {
                Err((String::new(), "is required".to_owned()))
            }
            None => Ok(None),
            Some(value) => types.coerce(&variable.ty, value).map(Some),
        }
    }

    fn declared(&self) -> String {
        match self.variables.len() {
            0 => "the operation declares none".to_owned(),
            _ => {
                let names: Vec<String> =
                    self.variables.iter().map(|variable| format!("${}", variable.name)).collect();
                format!("the operation declares {}", names.join(", "))
            }
        }
    }
}

impl Variables {
    /// In the form that the schema's executor takes.
    pub(super) fn to_json(&self) -> serde_json::Map<String, serde_json::Value> {
        let json = |value: &ConstValue| value.clone().into_json().unwrap_or_default();
        self.values.iter().map(|(name, value)| (name.clone(), json(value))).collect()
    }

    /// The value of a variable, if it was given.
    pub fn get(&self, name: &str) -> Option<Input<'_>> {
        self.values.get(name).map(Input::Variable)
    }
}
