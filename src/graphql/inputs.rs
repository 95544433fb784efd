//! What clients may send: filters, orderings, and the inputs and patches of mutations. Types only;
//! what a value means, and that `null` is no condition, is decided when operations are compiled and
//! bound.

use std::collections::BTreeMap;

use async_graphql::dynamic::TypeRef;
use async_graphql::{Name, Value as ConstValue};

use super::definition::{Definitions, EnumValueDef, FieldDef, InputDef, TypeDef, TypeKind};
use crate::model::naming::with_article;
use crate::model::{
    Column, ColumnId, DefaultValue, Entity, FieldKind, Model, Scalar, Value, generated, scalar,
};

/// The operators of each filter type, by the type's name. Entities share filter types.
pub(super) type Filters = BTreeMap<String, (Scalar, bool)>;

/// The columns that filters and orderings can use. JSON has neither comparison nor order.
fn visible_columns(entity: &Entity) -> impl Iterator<Item = &Column> {
    entity.columns.iter().filter(|column| column.is_sortable())
}

/// An argument that names a row: the key, or one column of a composite unique key.
pub(super) fn key_argument(model: &Model, entity: &Entity, column: ColumnId) -> InputDef {
    let column = entity.column(column);
    InputDef::new(&column.field, TypeRef::named_nn(column.scalar.graphql_name(model)))
}

/// Whether there is an `XOrderBy`.
pub(super) fn has_order(entity: &Entity) -> bool {
    visible_columns(entity).next().is_some()
}

/// `XWhere`, and `XListWhere` if another entity has a to-many relation to these rows.
pub(super) fn define_where(
    definitions: &mut Definitions,
    filters: &mut Filters,
    model: &Model,
    entity: &Entity,
) {
    let name = &entity.name;
    let own = generated::condition(name);
    let mut fields = vec![
        InputDef::new("and", TypeRef::named_nn_list(&own)).describe("All of these match."),
        InputDef::new("or", TypeRef::named_nn_list(&own))
            .describe("At least one of these matches."),
        InputDef::new("not", TypeRef::named(&own)).describe("This does not match."),
    ];
    for field in entity.fields.iter().filter(|field| !field.hidden) {
        let ty = match field.kind {
            FieldKind::Scalar(column) => {
                let column = entity.column(column);
                if column.scalar == Scalar::Json {
                    continue;
                }
                let filter = generated::filter(column.scalar.graphql_name(model), column.nullable);
                filters.insert(filter.clone(), (column.scalar, column.nullable));
                filter
            }
            FieldKind::ToOne { target, .. } => generated::condition(&model.entity(target).name),
            FieldKind::ToMany { target, .. } => {
                generated::list_condition(&model.entity(target).name)
            }
        };
        fields.push(InputDef::new(&field.name, TypeRef::named(ty)));
    }
    definitions.add_input(
        &own,
        format!("Which {name} rows. All fields that are given must match."),
        fields,
    );
    if is_to_many_target(model, entity) {
        let fields = vec![
            InputDef::new("some", TypeRef::named(&own)).describe("At least one row matches."),
            InputDef::new("every", TypeRef::named(&own))
                .describe("All rows match; true if there are none."),
            InputDef::new("none", TypeRef::named(&own)).describe("No row matches."),
        ];
        definitions.add_input(
            generated::list_condition(name),
            format!("A condition on related {name} rows."),
            fields,
        );
    }
}

fn is_to_many_target(model: &Model, entity: &Entity) -> bool {
    let mut fields =
        model.entities.iter().flat_map(|other| &other.fields).filter(|field| !field.hidden);
    fields
        .any(|field| matches!(field.kind, FieldKind::ToMany { target, .. } if target == entity.id))
}

/// Defines `XOrderBy`.
pub(super) fn define_order(definitions: &mut Definitions, entity: &Entity) {
    if !has_order(entity) {
        return;
    }
    let fields = visible_columns(entity)
        .map(|column| InputDef::new(&column.field, TypeRef::named("OrderDirection")));
    definitions.add(TypeDef {
        name: generated::order(&entity.name),
        description: Some(format!("A term of an ordering of {} rows.", entity.name)),
        kind: TypeKind::Input { fields: fields.collect(), one_of: true },
    });
}

/// Defines `OrderDirection`.
pub(super) fn define_order_direction(definitions: &mut Definitions) {
    let values = [
        ("ASC", "Smallest first; nulls before everything."),
        ("DESC", "Largest first; nulls after everything."),
        ("ASC_NULLS_FIRST", "Smallest first; nulls before everything."),
        ("ASC_NULLS_LAST", "Smallest first; nulls after everything."),
        ("DESC_NULLS_FIRST", "Largest first; nulls before everything."),
        ("DESC_NULLS_LAST", "Largest first; nulls after everything."),
    ];
    add_enum(definitions, "OrderDirection", "Which way, and where nulls stand.", &values);
}

/// The filter types in use, and `StringMode` if one of them is for strings.
pub(super) fn define_filters(definitions: &mut Definitions, filters: &Filters, model: &Model) {
    if filters.values().any(|(scalar, _)| *scalar == Scalar::String) {
        let values =
            [("DEFAULT", "As they are."), ("INSENSITIVE", "Upper and lower case are the same.")];
        add_enum(definitions, "StringMode", "How strings are compared.", &values);
    }
    for (name, (scalar, nullable)) in filters {
        let scalar_name = scalar.graphql_name(model);
        let one = || TypeRef::named(scalar_name);
        let many = || TypeRef::named_nn_list(scalar_name);
        let mut fields = vec![
            InputDef::new("eq", one()).describe("Equal."),
            InputDef::new("neq", one()).describe("Not equal."),
            InputDef::new("in", many()).describe("One of these."),
            InputDef::new("notIn", many()).describe("None of these."),
        ];
        if scalar.is_ordered() {
            fields.extend([
                InputDef::new("lt", one()).describe("Less than."),
                InputDef::new("lte", one()).describe("Less than or equal."),
                InputDef::new("gt", one()).describe("Greater than."),
                InputDef::new("gte", one()).describe("Greater than or equal."),
            ]);
        }
        if scalar.is_textual() {
            fields.extend([
                InputDef::new("contains", one()).describe("Has this in it."),
                InputDef::new("startsWith", one()).describe("Begins with this."),
                InputDef::new("endsWith", one()).describe("Ends with this."),
                InputDef::new("mode", TypeRef::named("StringMode"))
                    .describe("For all operators beside it; `DEFAULT` if it is not given."),
            ]);
        }
        if *nullable {
            let is_null = InputDef::new("isNull", TypeRef::named(TypeRef::BOOLEAN));
            fields.push(is_null.describe("True: is null. False: is not null."));
        }
        let or_null = if *nullable { " that may be null" } else { "" };
        definitions.add_input(
            name,
            format!(
                "A condition on {}{or_null}. All operators that are given must hold.",
                with_article(scalar_name)
            ),
            fields,
        );
    }
}

fn add_enum(definitions: &mut Definitions, name: &str, description: &str, values: &[(&str, &str)]) {
    let values = values.iter().map(|(name, description)| EnumValueDef {
        name: (*name).into(),
        description: Some((*description).into()),
    });
    definitions.add(TypeDef {
        name: name.into(),
        description: Some(description.into()),
        kind: TypeKind::Enum(values.collect()),
    });
}

/// The columns that a create may set, and whether each is required.
fn input_columns(entity: &Entity) -> impl Iterator<Item = (&Column, bool)> {
    let writable = entity.columns.iter().filter(|column| !column.readonly);
    writable.map(|column| (column, !column.nullable && column.default.is_none()))
}

/// The columns that an update may set: all but the key.
fn patch_columns(entity: &Entity) -> impl Iterator<Item = &Column> {
    let key: ColumnId = entity.key;
    entity
        .column_ids()
        .filter(move |id| *id != key)
        .map(|id| entity.column(id))
        .filter(|column| !column.readonly)
}

/// `XInput` and `XPatch`, if they have any fields.
pub(super) fn define_writes(definitions: &mut Definitions, model: &Model, entity: &Entity) {
    let name = &entity.name;
    let fields: Vec<_> = input_columns(entity)
        .map(|(column, required)| {
            let ty = column.scalar.graphql_name(model);
            let mut input = InputDef::new(
                &column.field,
                if required { TypeRef::named_nn(ty) } else { TypeRef::named(ty) },
            );
            match &column.default {
                // As a global id, the default would be a different string than in the model.
                Some(DefaultValue::Value(_)) if column.global.is_some() => {}
                Some(DefaultValue::Value(value)) => input.default = literal(column.scalar, value),
                Some(DefaultValue::UuidV7) => {
                    input.description = Some("A new UUID if it is not given.".into())
                }
                Some(DefaultValue::Autoincrement) => {
                    input.description = Some("Counted if it is not given.".into())
                }
                Some(DefaultValue::Now) => {
                    input.description = Some("The time of the write if it is not given.".into())
                }
                Some(DefaultValue::Claim(claim)) => {
                    input.description =
                        Some(format!("The claim `{claim}` of whoever writes, if it is not given."));
                }
                None => {}
            }
            // A column with a default may be omitted, but null is not a valid value for it.
            if input.default.is_some() && !column.nullable {
                input.ty = TypeRef::named_nn(ty);
            }
            input
        })
        .collect();
    if !fields.is_empty() {
        definitions.add_input(generated::input(name), format!("A new {name}."), fields);
    }
    let fields: Vec<_> = patch_columns(entity)
        .map(|column| {
            InputDef::new(&column.field, TypeRef::named(column.scalar.graphql_name(model)))
        })
        .collect();
    if !fields.is_empty() {
        let one = with_article(name);
        let description =
            format!("Changes to {one}. What is left out stays; `null` empties what may be null.");
        definitions.add_input(generated::patch(name), description, fields);
    }
}

/// The fields of `Mutation`.
pub(super) fn mutation_fields(model: &Model) -> Vec<FieldDef> {
    model.entities.iter().flat_map(|entity| write_fields(model, entity)).collect()
}

fn write_fields(model: &Model, entity: &Entity) -> Vec<FieldDef> {
    let name = &entity.name;
    let one = with_article(name);
    let returns = || TypeRef::named_nn(name);
    let expected_etag = || {
        let string = TypeRef::STRING;
        let ty =
            if entity.require_etag { TypeRef::named_nn(string) } else { TypeRef::named(string) };
        InputDef::new("expectedEtag", ty)
            .describe("The `etag` that was read: the write fails if the row has changed since. `\"*\"`: any version.")
    };
    let mut create =
        FieldDef::new(generated::create(name), returns()).describe(format!("Makes {one}."));
    if input_columns(entity).next().is_some() {
        create =
            create.with_args([InputDef::new("input", TypeRef::named_nn(generated::input(name)))]);
    }
    let mut fields = vec![create];
    if patch_columns(entity).next().is_some() {
        let patch = InputDef::new("patch", TypeRef::named_nn(generated::patch(name)));
        fields.push(
            FieldDef::new(generated::update(name), returns())
                .describe(format!("Changes {one} and returns it as it is now."))
                .with_args([key_argument(model, entity, entity.key), patch, expected_etag()]),
        );
    }
    fields.push(
        FieldDef::new(generated::delete(name), returns())
            .describe(format!("Deletes {one} and returns it as it was."))
            .with_args([key_argument(model, entity, entity.key), expected_etag()]),
    );
    fields
}

/// A stored value as a GraphQL literal. None if there is no faithful one: the default then applies
/// without being shown.
fn literal(scalar: Scalar, value: &Value) -> Option<ConstValue> {
    let text =
        |text: &str| (!text.contains(char::is_control)).then(|| ConstValue::String(text.into()));
    match (scalar, value) {
        // graphql-js cannot print a schema in which the default of a scalar is an object.
        (Scalar::Json, _) => None,
        (_, Value::Null) => Some(ConstValue::Null),
        (Scalar::Boolean, Value::Int(int)) => Some(ConstValue::Boolean(*int != 0)),
        (Scalar::Int, Value::Int(int)) => Some(ConstValue::Number((*int).into())),
        (Scalar::Decimal { scale, .. }, Value::Int(int)) => text(&scalar::decimal(*int, scale)),
        (_, Value::Int(int)) => text(&int.to_string()),
        (_, Value::Real(real)) => serde_json::Number::from_f64(*real).map(ConstValue::Number),
        (Scalar::Enum(_), Value::Text(name)) => Some(ConstValue::Enum(Name::new(name))),
        (_, Value::Text(string)) => text(string),
    }
}
