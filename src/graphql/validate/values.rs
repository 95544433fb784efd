//! Checks literals and variables (sections 5.6 and 5.8): each value, and each variable, must fit
//! the type of its argument or input field, however deep. async-graphql does not look into values
//! that contain a variable, and accepts strings as enum values and anything as an input object.

use std::collections::{HashMap, HashSet};

use async_graphql::dynamic::TypeRef;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{
    BaseType, Directive, ExecutableDocument, Field, OperationDefinition, OperationType,
    SelectionSet, Type, VariableDefinition,
};
use async_graphql::{Name, Pos, Positioned, Value as ConstValue};
use async_graphql_value::Value;

use super::hints;
use crate::graphql::definition::{BUILT_IN_SCALARS, Definitions, InputDef, TypeKind};
use crate::graphql::error::GraphqlError;
use crate::graphql::selections::{Selected, resolve};
use crate::graphql::variables::type_ref;
use crate::model::diagnostic::did_you_mean;
use crate::syntax::{long_integer, long_number};

/// Checks that the types of variables exist and are input types, and that their declarations have
/// no directives (none is allowed there). False if a type does not exist.
pub(super) fn check_variable_types(
    definitions: &Definitions,
    document: &ExecutableDocument,
    errors: &mut Vec<GraphqlError>,
) -> bool {
    let mut all_known = true;
    for (_, operation) in document.operations.iter() {
        for variable in &operation.node.variable_definitions {
            let name = named_type(&variable.node.var_type.node);
            let is_known = BUILT_IN_SCALARS.contains(&name) || definitions.get(name).is_some();
            if !is_known {
                errors.push(GraphqlError::invalid(
                    variable.node.var_type.pos,
                    hints::unknown_input_type(definitions, name),
                ));
                all_known = false;
            }
            if let Some(directive) = variable.node.directives.first() {
                let message = format!(
                    "Directive \"{}\" may not be used on a variable",
                    directive.node.name.node
                );
                errors.push(GraphqlError::invalid(directive.pos, message));
            }
        }
    }
    all_known
}

fn named_type(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named_type(item),
    }
}

/// Checks all values of an operation, including those in its fragments.
pub(super) fn check_operation(
    definitions: &Definitions,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    errors: &mut Vec<GraphqlError>,
) {
    let variables = operation
        .variable_definitions
        .iter()
        .map(|v| (v.node.name.node.as_str(), &v.node))
        .collect();
    let mut checker = Checker { definitions, document, variables, visited: HashSet::new(), errors };
    for variable in &operation.variable_definitions {
        if let Some(default) = &variable.node.default_value {
            let name = variable.node.name.node.as_str();
            let value = default.node.clone().into_value();
            let mut place =
                Place { root: "variable", path: vec![name.to_owned()], pos: default.pos };
            checker.value(&type_ref(&variable.node.var_type.node), &value, &mut place);
        }
    }
    let root = match operation.ty {
        OperationType::Query => Some("Query"),
        OperationType::Mutation => Some("Mutation"),
        OperationType::Subscription => None,
    };
    checker.directives(&operation.directives);
    checker.set(&operation.selection_set.node, root);
}

struct Checker<'a> {
    definitions: &'a Definitions,
    document: &'a ExecutableDocument,
    variables: HashMap<&'a str, &'a VariableDefinition>,
    /// Fragments are checked once per operation: their values do not depend on where they are
    /// spread.
    visited: HashSet<&'a str>,
    errors: &'a mut Vec<GraphqlError>,
}

/// The location of a value, for messages: `argument "where.sku.eq"`.
struct Place {
    root: &'static str,
    path: Vec<String>,
    /// The position of the argument; the parser records no positions inside values.
    pos: Pos,
}

impl<'a> Checker<'a> {
    fn set(&mut self, set: &'a SelectionSet, parent: Option<&'a str>) {
        for selection in &set.items {
            match resolve(&self.document.fragments, &selection.node) {
                Some(Selected::Field(field)) => self.field(&field.node, parent),
                Some(Selected::Fragment(fragment)) => {
                    self.directives(fragment.directives);
                    if fragment.name.is_none_or(|name| self.visited.insert(name)) {
                        self.directives(fragment.definition_directives);
                        self.set(fragment.set, fragment.on.or(parent));
                    }
                }
                // Unknown fragments are reported by another rule.
                None => {}
            }
        }
    }

    fn field(&mut self, field: &'a Field, parent: Option<&'a str>) {
        self.directives(&field.directives);
        let definitions = self.definitions;
        let name = field.name.node.as_str();
        let definition = parent.and_then(|parent| definitions.field(parent, name));
        match definition {
            Some(definition) => self.arguments(&field.arguments, &definition.args),
            // Introspection fields have the same few arguments everywhere.
            None => self.arguments(&field.arguments, &introspection_arguments()),
        }
        let inner = definition.map(|definition| definition.ty.type_name());
        self.set(&field.selection_set.node, inner);
    }

    fn directives(&mut self, directives: &'a [Positioned<Directive>]) {
        let condition = [InputDef::new("if", TypeRef::named_nn(TypeRef::BOOLEAN))];
        for directive in directives {
            if matches!(directive.node.name.node.as_str(), "skip" | "include") {
                self.arguments(&directive.node.arguments, &condition);
            }
        }
    }

    /// Unknown and missing arguments are reported by async-graphql.
    fn arguments(
        &mut self,
        given: &'a [(Positioned<Name>, Positioned<Value>)],
        known: &[InputDef],
    ) {
        for (name, value) in given {
            if let Some(input) = known.iter().find(|input| input.name == name.node.as_str()) {
                let mut place =
                    Place { root: "argument", path: vec![input.name.clone()], pos: value.pos };
                self.input(input, false, &value.node, &mut place);
            }
        }
    }

    /// Checks a value for this argument or input field.
    fn input(&mut self, input: &InputDef, one_of: bool, value: &Value, place: &mut Place) {
        if let Value::Variable(name) = value {
            self.variable(name, &input.ty, input.default.is_some(), one_of, place);
        } else {
            self.value(&input.ty, value, place);
        }
    }

    fn value(&mut self, ty: &TypeRef, value: &Value, place: &mut Place) {
        if let Value::Variable(name) = value {
            return self.variable(name, ty, false, false, place);
        }
        match (ty, value) {
            (TypeRef::NonNull(_), Value::Null) => self.mismatch(ty, value, place),
            (TypeRef::NonNull(inner), _) => self.value(inner, value, place),
            (_, Value::Null) => {}
            (TypeRef::List(item), Value::List(values)) => {
                for (index, value) in values.iter().enumerate() {
                    place.path.push(index.to_string());
                    self.value(item, value, place);
                    place.path.pop();
                }
            }
            (TypeRef::List(item), single) => self.value(item, single, place),
            (TypeRef::Named(name), _) => self.named(name, ty, value, place),
        }
    }

    fn named(&mut self, name: &str, ty: &TypeRef, value: &Value, place: &mut Place) {
        let definitions = self.definitions;
        match definitions.get(name).map(|definition| &definition.kind) {
            Some(TypeKind::Enum(values)) => match value {
                Value::Enum(value) if values.iter().any(|known| known.name == value.as_str()) => {}
                Value::Enum(value) => {
                    let hint = hint(value, values.iter().map(|known| known.name.as_str()));
                    self.report(
                        place,
                        format!("\"{value}\" is not a value of enum \"{name}\"{hint}"),
                    );
                }
                _ => self.mismatch(ty, value, place),
            },
            Some(TypeKind::Input { fields, one_of }) => match value {
                Value::Object(values) => self.object(name, fields, *one_of, values, place),
                _ => self.mismatch(ty, value, place),
            },
            Some(TypeKind::Scalar { .. }) | None if !is_literal_of(name, value) => {
                self.mismatch(ty, value, place)
            }
            Some(TypeKind::Scalar { .. } | TypeKind::Object(_) | TypeKind::Interface(_)) | None => {
            }
        }
    }

    fn object(
        &mut self,
        name: &str,
        fields: &[InputDef],
        one_of: bool,
        values: &IndexMap<Name, Value>,
        place: &mut Place,
    ) {
        if one_of && (values.len() != 1 || values.values().any(|value| *value == Value::Null)) {
            self.report(
                place,
                format!("exactly one field of \"{name}\" must be given, and not be null"),
            );
        }
        for (key, value) in values {
            let Some(field) = fields.iter().find(|field| field.name == key.as_str()) else {
                let hint = hint(key, fields.iter().map(|field| field.name.as_str()));
                self.report(place, format!("\"{name}\" has no field \"{key}\"{hint}"));
                continue;
            };
            place.path.push(field.name.clone());
            if *value == Value::Null && is_condition(name) {
                self.report(
                    place,
                    format!("null is not a condition; {}", instead_of_null(name, &field.ty)),
                );
            } else {
                self.input(field, one_of, value, place);
            }
            place.path.pop();
        }
        for field in fields
            .iter()
            .filter(|field| field.is_required() && !values.contains_key(field.name.as_str()))
        {
            let message = format!(
                "field \"{}\" of required type \"{}\" was not provided",
                field.name, field.ty
            );
            self.report(place, message);
        }
    }

    /// Section 5.8.5. Undeclared variables are reported by async-graphql.
    fn variable(
        &mut self,
        name: &str,
        expected: &TypeRef,
        has_default: bool,
        one_of: bool,
        place: &Place,
    ) {
        let Some(variable) = self.variables.get(name) else { return };
        let declared = type_ref(&variable.var_type.node);
        let default = variable.default_value.as_ref().map(|value| &value.node);
        let never_null = has_default || default.is_some_and(|value| *value != ConstValue::Null);
        let fits = match expected {
            TypeRef::NonNull(inner) if never_null => {
                fits(&declared, expected) || fits(&declared, inner)
            }
            _ => fits(&declared, expected),
        };
        let oneof_null = one_of && !matches!(declared, TypeRef::NonNull(_));
        if !fits || oneof_null {
            let bang = if oneof_null && fits { "!" } else { "" };
            let message = format!(
                "Variable \"${name}\" of type \"{declared}\" used in position expecting type \"{expected}{bang}\": {}",
                place.describe()
            );
            self.errors.push(GraphqlError::invalid(place.pos, message));
        }
    }

    fn mismatch(&mut self, ty: &TypeRef, value: &Value, place: &Place) {
        self.report(place, format!("expected \"{ty}\", found {}", shortened(value)));
    }

    fn report(&mut self, place: &Place, what: String) {
        self.errors.push(GraphqlError::invalid(
            place.pos,
            format!("Invalid value for {}: {what}", place.describe()),
        ));
    }
}

impl Place {
    fn describe(&self) -> String {
        format!("{} \"{}\"", self.root, self.path.join("."))
    }
}

/// Whether a variable of one type may be used where the other is expected.
fn fits(declared: &TypeRef, expected: &TypeRef) -> bool {
    match (declared, expected) {
        (TypeRef::NonNull(declared), TypeRef::NonNull(expected)) => fits(declared, expected),
        (TypeRef::NonNull(declared), expected) => fits(declared, expected),
        (TypeRef::List(declared), TypeRef::List(expected)) => fits(declared, expected),
        (TypeRef::Named(declared), TypeRef::Named(expected)) => declared == expected,
        _ => false,
    }
}

/// Whether the scalar accepts this kind of literal. Its content is checked when it is coerced.
fn is_literal_of(scalar: &str, value: &Value) -> bool {
    match scalar {
        "Int" => {
            matches!(value, Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()))
        }
        "Float" => matches!(value, Value::Number(_) | Value::Binary(_)),
        "String" | "DateTime" | "Date" | "UUID" => matches!(value, Value::String(_)),
        "Boolean" => matches!(value, Value::Boolean(_)),
        "ID" | "BigInt" => match value {
            Value::Number(n) => n.is_i64() || n.is_u64(),
            Value::Binary(kept) => long_integer(kept).is_some(),
            other => matches!(other, Value::String(_)),
        },
        "Decimal" => matches!(value, Value::String(_) | Value::Number(_)),
        _ => true,
    }
}

/// Whether the fields of this input object are conditions. A variable among them may be null and is
/// then ignored, but a literal `null` is never meant that way.
fn is_condition(input: &str) -> bool {
    input.ends_with("Where") || input.ends_with("Filter")
}

fn instead_of_null(input: &str, field: &TypeRef) -> &'static str {
    let is_nullable = |name: &str| name.starts_with("Nullable") && name.ends_with("Filter");
    if is_nullable(input) {
        "to find rows without a value, write `isNull: true`"
    } else if is_nullable(field.type_name()) {
        "to find rows without a value, write `{isNull: true}`"
    } else {
        "leave it out"
    }
}

fn introspection_arguments() -> [InputDef; 2] {
    let include = InputDef::new("includeDeprecated", TypeRef::named(TypeRef::BOOLEAN));
    [InputDef::new("name", TypeRef::named_nn(TypeRef::STRING)), include]
}

/// A hint in the style of async-graphql's own rules, which appear next to these.
fn hint<'n>(given: &str, known: impl Iterator<Item = &'n str>) -> String {
    did_you_mean(given, known).map(|name| format!(". Did you mean \"{name}\"?")).unwrap_or_default()
}

/// A literal, shortened for a message.
fn shortened(value: &Value) -> String {
    let text = match value {
        Value::Binary(kept) => long_number(kept).to_owned(),
        other => other.to_string(),
    };
    if text.chars().count() <= 60 {
        text
    } else {
        text.chars().take(60).chain("…".chars()).collect()
    }
}
