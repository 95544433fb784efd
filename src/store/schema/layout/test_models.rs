//! Hand-made models for the store's tests, which do not depend on the parser.

use std::collections::HashMap;

use crate::model::{
    CacheHint, Column, ColumnId, DefaultValue, Entity, EntityId, EnumId, EnumType, Index, Model,
    OnDelete, Reference, Scalar, Unique,
};

fn column(name: &str, scalar: Scalar) -> Column {
    Column {
        name: name.to_owned(),
        field: name.to_owned(),
        scalar,
        nullable: true,
        default: None,
        readonly: false,
        set_on_update: false,
        hidden: false,
        references: None,
        global: None,
        part: false,
        sql_type: None,
        renamed_from: None,
    }
}

fn required(name: &str, scalar: Scalar) -> Column {
    Column { nullable: false, ..column(name, scalar) }
}

fn reference(name: &str, scalar: Scalar, target: u16, on_delete: OnDelete) -> Column {
    Column {
        references: Some(Reference { target: EntityId(target), on_delete }),
        part: true,
        ..column(name, scalar)
    }
}

fn entity(
    id: u16,
    name: &str,
    table: &str,
    columns: Vec<Column>,
    uniques: &[&[u16]],
    indexes: &[&[u16]],
) -> Entity {
    let ids = |list: &[u16]| list.iter().copied().map(ColumnId).collect::<Vec<_>>();
    let mut columns = columns;
    for cut in uniques.iter().chain(indexes).flat_map(|list| list.iter()) {
        columns[usize::from(*cut)].part = true;
    }
    Entity {
        id: EntityId(id),
        name: name.to_owned(),
        description: None,
        singular: name.to_lowercase(),
        plural: table.to_owned(),
        table: table.to_owned(),
        fields: Vec::new(),
        columns,
        key: ColumnId(0),
        uniques: uniques
            .iter()
            .map(|list| Unique { columns: ids(list), lookup: String::new() })
            .collect(),
        indexes: indexes.iter().map(|list| Index { columns: ids(list) }).collect(),
        order_by: Vec::new(),
        max_page_size: 100,
        require_etag: false,
        managed: true,
        cache: CacheHint::default(),
        rules: Vec::new(),
        span: 0..0,
    }
}

/// Three entities that together have every scalar, every kind of key and every `onDelete`, and
/// names that need quotes:
/// - `Folder`: autoincrement key, refers to itself (CASCADE), a nullable unique column;
/// - `Group` (table `order`): string key, a unique pair that includes a folder (SET NULL), one
///   column of each other scalar;
/// - `Note`: UUID key, belongs to a group (CASCADE) and to a folder (RESTRICT), a part by each
///   awkward scalar.
pub(crate) fn every_kind() -> Model {
    let key = |scalar, default| Column { default, readonly: true, ..required("id", scalar) };
    let folder = entity(
        0,
        "Folder",
        "folders",
        vec![
            key(Scalar::IdInt, Some(DefaultValue::Autoincrement)),
            column("path", Scalar::String),
            required("title", Scalar::String),
            reference("parent_id", Scalar::IdInt, 0, OnDelete::Cascade),
        ],
        &[&[1]],
        &[&[3]],
    );
    let group = entity(
        1,
        "Group",
        "order",
        vec![
            required("code", Scalar::IdText),
            required("unit price", Scalar::Decimal { precision: 10, scale: 2 }),
            column("size", Scalar::Float),
            Column {
                default: Some(DefaultValue::Value(crate::model::Value::Int(1))),
                ..required("open", Scalar::Boolean)
            },
            column("count", Scalar::Int),
            column("big", Scalar::BigInt),
            column("kind", Scalar::Enum(EnumId(0))),
            column("extra", Scalar::Json),
            column("day", Scalar::Date),
            Column { default: Some(DefaultValue::Now), ..required("made", Scalar::DateTime) },
            column("token", Scalar::Uuid),
            reference("folder_id", Scalar::IdInt, 0, OnDelete::SetNull),
        ],
        &[&[4, 11]],
        &[&[11]],
    );
    let note = entity(
        2,
        "Note",
        "notes",
        vec![
            key(Scalar::IdUuid, Some(DefaultValue::UuidV7)),
            Column { nullable: false, ..reference("group", Scalar::IdText, 1, OnDelete::Cascade) },
            reference("folder_id", Scalar::IdInt, 0, OnDelete::Restrict),
            column("weight", Scalar::Float),
            column("big", Scalar::BigInt),
            column("text", Scalar::String),
        ],
        &[],
        &[&[1], &[2], &[3], &[4]],
    );
    let entities = vec![folder, group, note];
    Model {
        by_name: entities.iter().map(|e| (e.name.clone(), e.id)).collect::<HashMap<_, _>>(),
        entities,
        enums: vec![EnumType {
            name: "Kind".to_owned(),
            description: None,
            values: vec![("PLAIN".to_owned(), None), ("FANCY".to_owned(), None)],
        }],
        fingerprint: [0; 32],
        has_rules: false,
    }
}
