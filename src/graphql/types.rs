//! The output types: the roots, one type per entity, its enums and scalars. Decides which names and
//! types of the API correspond to the model; hidden fields are excluded.

use std::collections::BTreeSet;

use async_graphql::dynamic::TypeRef;

use super::definition::{
    BUILT_IN_SCALARS, Definitions, EnumValueDef, FieldDef, InputDef, TypeDef, TypeKind,
};
use super::plan::NodePlan;
use super::selections::NODE;
use super::{connection, inputs};
use crate::model::{Access, Column, Entity, FieldKind, Model, Unique};

/// The type of a column's values, nullable like the column.
fn column_type(model: &Model, column: &Column) -> TypeRef {
    let name = column.scalar.graphql_name(model);
    if column.nullable { TypeRef::named(name) } else { TypeRef::named_nn(name) }
}

/// The fields of `Query`.
pub(super) fn query_fields(model: &Model) -> Vec<FieldDef> {
    let fields = model.entities.iter().flat_map(|entity| root_fields(model, entity));
    let nodes = model.nodes().next().map(|_| node_fields()).into_iter().flatten();
    fields.chain(nodes).collect()
}

/// Rows of any type by their ids, as Relay requests them.
fn node_fields() -> [FieldDef; 2] {
    [
        FieldDef::new("node", TypeRef::named(NODE))
            .describe("The row with this id, whatever its type; null if there is none.")
            .with_args([InputDef::new("id", TypeRef::named_nn(TypeRef::ID))]),
        FieldDef::new("nodes", TypeRef::named_list_nn(NODE))
            .describe(format!(
                "The rows with these ids, in their order; null in the place of one that is not there. At most {} ids.",
                NodePlan::MOST_IDS
            ))
            .with_args([InputDef::new("ids", TypeRef::named_nn_list_nn(TypeRef::ID))]),
    ]
}

/// The interface of all rows with an `id`.
pub(super) fn define_node(definitions: &mut Definitions) {
    let id = FieldDef::new("id", TypeRef::named_nn(TypeRef::ID))
        .describe("Unique among all rows of the API. Opaque.");
    definitions.add(TypeDef {
        name: NODE.into(),
        description: Some("A row of whatever type.".into()),
        kind: TypeKind::Interface(vec![id]),
    });
}

fn root_fields(model: &Model, entity: &Entity) -> Vec<FieldDef> {
    let name = &entity.name;
    let mut fields = vec![
        FieldDef::new(&entity.singular, TypeRef::named(name))
            .describe(format!("The {name} with this key; null if there is none."))
            .with_args([inputs::key_argument(model, entity, entity.key)]),
    ];
    for unique in visible_uniques(entity) {
        let by: Vec<_> =
            unique.columns.iter().map(|c| format!("`{}`", entity.column(*c).field)).collect();
        fields.push(
            FieldDef::new(&unique.lookup, TypeRef::named(name))
                .describe(format!(
                    "The {name} with this {}; null if there is none.",
                    by.join(" and ")
                ))
                .with_args(unique.columns.iter().map(|c| inputs::key_argument(model, entity, *c))),
        );
    }
    fields.push(
        FieldDef::new(&entity.plural, connection::connection_of(entity))
            .describe(format!("A list of {name} rows."))
            .with_args(connection::arguments(entity, inputs::has_order(entity))),
    );
    fields
}

/// The unique constraints that have a lookup in the API: clients must not be able to probe a hidden
/// column.
fn visible_uniques(entity: &Entity) -> impl Iterator<Item = &Unique> {
    entity.uniques.iter().filter(|unique| unique.columns.iter().all(|c| !entity.column(*c).hidden))
}

/// The type of an entity's rows.
pub(super) fn define_entity(definitions: &mut Definitions, model: &Model, entity: &Entity) {
    let etag = FieldDef::new("etag", TypeRef::named_nn(TypeRef::STRING))
        .describe("Names this version of the row. Opaque; give it back as `expectedEtag`.");
    let mut fields = Vec::with_capacity(entity.fields.len() + 1);
    for field in entity.fields.iter().filter(|field| !field.hidden) {
        let mut definition = match field.kind {
            FieldKind::Scalar(column) => {
                FieldDef::new(&field.name, column_type(model, entity.column(column)))
            }
            FieldKind::ToOne { column, target } => {
                // A row that may not be read is null.
                let nullable =
                    entity.column(column).nullable || !model.is_open(target, Access::Read);
                let target = model.entity(target).name.as_str();
                FieldDef::new(
                    &field.name,
                    if nullable { TypeRef::named(target) } else { TypeRef::named_nn(target) },
                )
            }
            FieldKind::ToMany { target, .. } => {
                let target = model.entity(target);
                FieldDef::new(&field.name, connection::connection_of(target))
                    .with_args(connection::arguments(target, inputs::has_order(target)))
            }
        };
        definition.description.clone_from(&field.description);
        fields.push(definition);
        if field.kind == FieldKind::Scalar(entity.key) {
            fields.push(etag.clone());
        }
    }
    if entity.column(entity.key).hidden {
        fields.insert(0, etag);
    }
    if entity.is_node() {
        definitions.implement_interface(&entity.name);
    }
    definitions.add_object(&entity.name, entity.description.clone(), fields);
}

/// The enums and custom scalars of the API's columns, including those of hidden columns, since
/// inputs use them.
pub(super) fn define_leaves(definitions: &mut Definitions, model: &Model) {
    let used: BTreeSet<&str> = model
        .entities
        .iter()
        .flat_map(|entity| entity.columns.iter())
        .filter(|column| !column.hidden || !column.readonly)
        .map(|column| column.scalar.graphql_name(model))
        .collect();
    for declared in model.enums.iter().filter(|declared| used.contains(declared.name.as_str())) {
        let values = declared.values.iter();
        let values = values.map(|(name, description)| EnumValueDef {
            name: name.clone(),
            description: description.clone(),
        });
        definitions.add(TypeDef {
            name: declared.name.clone(),
            description: declared.description.clone(),
            kind: TypeKind::Enum(values.collect()),
        });
    }
    for name in used.into_iter().filter(|name| !BUILT_IN_SCALARS.contains(name)) {
        if let Some((description, specified_by)) = custom_scalar(name) {
            definitions.add(TypeDef {
                name: name.into(),
                description: Some(description.into()),
                kind: TypeKind::Scalar { specified_by },
            });
        }
    }
}

/// The form of a custom scalar, and the URL of its specification.
fn custom_scalar(name: &str) -> Option<(&'static str, Option<&'static str>)> {
    Some(match name {
        "BigInt" => {
            ("An integer of 64 bits, as a string: JSON numbers lose precision beyond 2^53.", None)
        }
        "Decimal" => ("An exact decimal number, as a string: `\"19.90\"`.", None),
        "DateTime" => (
            "An instant, as RFC 3339 has it, in UTC and to the millisecond: `2026-11-22T09:30:00.000Z`.",
            Some("https://scalars.graphql.org/andimarek/date-time.html"),
        ),
        "Date" => (
            "A day, as RFC 3339 has it: `2026-11-22`.",
            Some("https://scalars.graphql.org/andimarek/local-date.html"),
        ),
        "UUID" => ("A UUID, in lower case.", Some("https://www.rfc-editor.org/rfc/rfc9562")),
        "JSON" => ("Any JSON value.", Some("https://www.rfc-editor.org/rfc/rfc8259")),
        _ => return None,
    })
}
