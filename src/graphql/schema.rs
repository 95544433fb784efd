//! The API generated from a model: its definitions, its SDL, and the async-graphql schemas that
//! validate documents and answer introspection. async-graphql never executes a data field here;
//! plans do.

use std::sync::Arc;

use async_graphql::dynamic::{
    Enum, EnumItem, Field, FieldFuture, InputObject, InputValue, Interface, InterfaceField, Object,
    Scalar, Schema, SchemaBuilder, Type,
};
use async_graphql::{Error, ValidationMode, Value as ConstValue};

use super::definition::{Definitions, FieldDef, InputDef, TypeDef, TypeKind};
use super::verdict::Verdicts;
use super::{connection, inputs, sdl, types};
use crate::model::Model;

/// The nesting limit of async-graphql. Our own limits (`validate/limits.rs`) are lower and checked
/// first, so clients see our message.
const RECURSION_LIMIT: usize = 128;

/// Everything derived from a model before the first document arrives.
pub(crate) struct Api {
    /// The types.
    pub definitions: Arc<Definitions>,
    /// The types as SDL; the same model always gives the same bytes.
    pub sdl: String,
    /// Validates documents strictly; executes nothing.
    pub(super) validator: Schema,
    /// Executes `__schema` and `__type` of validated documents.
    pub(super) introspection: Schema,
}

/// Why a model has no API.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// Generated names collide with each other or with names of the model.
    #[error("names clash in the generated API: {}", .0.join("; "))]
    Clash(Vec<String>),
    /// async-graphql refuses the types.
    #[error("the generated API is not a valid schema: {0}")]
    Invalid(String),
}

/// Generates the API.
///
/// # Errors
/// Names clash, or the model has no entity.
pub(crate) fn build_schema(model: &Model) -> Result<Api, SchemaError> {
    let definitions = define(model);
    if !definitions.clashes().is_empty() {
        return Err(SchemaError::Clash(definitions.clashes().to_vec()));
    }
    let invalid =
        |error: async_graphql::dynamic::SchemaError| SchemaError::Invalid(error.to_string());
    Ok(Api {
        sdl: sdl::print(&definitions),
        validator: schema(&definitions, ValidationMode::Strict)
            .extension(Verdicts)
            .finish()
            .map_err(invalid)?,
        introspection: schema(&definitions, ValidationMode::Fast).finish().map_err(invalid)?,
        definitions: Arc::new(definitions),
    })
}

/// The types in reading order: the roots, each entity with the types that belong to it, then what
/// is shared.
fn define(model: &Model) -> Definitions {
    let mut definitions = Definitions::default();
    let mut filters = inputs::Filters::new();
    definitions.add_object("Query", Some("Reads.".into()), types::query_fields(model));
    let mutations = inputs::mutation_fields(model);
    if !mutations.is_empty() {
        let description = "Writes. All root fields of an operation are applied, or none.";
        definitions.add_object("Mutation", Some(description.into()), mutations);
    }
    for entity in &model.entities {
        types::define_entity(&mut definitions, model, entity);
        connection::define(&mut definitions, entity);
        inputs::define_where(&mut definitions, &mut filters, model, entity);
        inputs::define_order(&mut definitions, entity);
        inputs::define_writes(&mut definitions, model, entity);
    }
    connection::define_page_info(&mut definitions);
    if model.nodes().next().is_some() {
        types::define_node(&mut definitions);
    }
    if model.entities.iter().any(inputs::has_order) {
        inputs::define_order_direction(&mut definitions);
    }
    inputs::define_filters(&mut definitions, &filters, model);
    types::define_leaves(&mut definitions, model);
    definitions
}

fn schema(definitions: &Definitions, mode: ValidationMode) -> SchemaBuilder {
    let mutation = definitions.get("Mutation").map(|ty| ty.name.as_str());
    let builder = Schema::build("Query", mutation, None)
        .validation_mode(mode)
        .limit_recursive_depth(RECURSION_LIMIT);
    definitions
        .types()
        .iter()
        .fold(builder, |builder, ty| builder.register(dynamic_type(definitions, ty)))
}

fn dynamic_type(definitions: &Definitions, ty: &TypeDef) -> Type {
    let name = ty.name.as_str();
    match &ty.kind {
        TypeKind::Scalar { specified_by } => {
            let scalar = specified_by
                .iter()
                .fold(Scalar::new(name), |scalar, url| scalar.specified_by_url(*url));
            described(scalar, ty.description.as_deref(), Scalar::description).into()
        }
        TypeKind::Enum(values) => {
            let items = values.iter();
            let items = items.map(|v| {
                described(EnumItem::new(&v.name), v.description.as_deref(), EnumItem::description)
            });
            described(
                items.fold(Enum::new(name), Enum::item),
                ty.description.as_deref(),
                Enum::description,
            )
            .into()
        }
        TypeKind::Object(fields) => {
            let object = fields.iter().map(dynamic_field).fold(Object::new(name), Object::field);
            let interface = definitions.interface_of(name).into_iter();
            let object = interface
                .fold(object, |object, interface| object.implement(interface.name.as_str()));
            described(object, ty.description.as_deref(), Object::description).into()
        }
        TypeKind::Interface(fields) => {
            let fields = fields.iter().map(|field| {
                let dynamic = InterfaceField::new(&field.name, field.ty.clone());
                described(dynamic, field.description.as_deref(), InterfaceField::description)
            });
            let interface = fields.fold(Interface::new(name), Interface::field);
            described(interface, ty.description.as_deref(), Interface::description).into()
        }
        TypeKind::Input { fields, one_of } => {
            let input =
                fields.iter().map(dynamic_input).fold(InputObject::new(name), InputObject::field);
            let input = if *one_of { input.oneof() } else { input };
            described(input, ty.description.as_deref(), InputObject::description).into()
        }
    }
}

fn dynamic_field(field: &FieldDef) -> Field {
    let dynamic = Field::new(&field.name, field.ty.clone(), |_| {
        FieldFuture::new(async {
            Err::<Option<ConstValue>, _>(Error::new("data fields are not executed here"))
        })
    });
    let dynamic = field.args.iter().map(dynamic_input).fold(dynamic, Field::argument);
    described(dynamic, field.description.as_deref(), Field::description)
}

fn dynamic_input(input: &InputDef) -> InputValue {
    let dynamic = InputValue::new(&input.name, input.ty.clone());
    let dynamic = input.default.iter().cloned().fold(dynamic, InputValue::default_value);
    described(dynamic, input.description.as_deref(), InputValue::description)
}

fn described<T>(thing: T, description: Option<&str>, set: impl FnOnce(T, String) -> T) -> T {
    match description {
        Some(text) => set(thing, text.to_owned()),
        None => thing,
    }
}

#[cfg(test)]
mod tests;
