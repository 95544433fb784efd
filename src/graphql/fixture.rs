//! A model for the tests of this module: the marketplace of the documentation, with a column of
//! every scalar.

use std::sync::Arc;

use crate::model::{
    CacheHint, Column, ColumnId, DefaultValue, Entity, EntityId, EnumId, EnumType, Field,
    FieldKind, Model, OnDelete, Order, Reference, Scalar, Unique, Value,
};

/// Merchants have products, products have reviews.
pub(crate) fn marketplace() -> Model {
    let mut merchant = entity(0, "Merchant", "merchants");
    merchant.description = Some("Who sells.".into());
    scalar(&mut merchant, "id", Scalar::IdUuid).default = Some(DefaultValue::UuidV7);
    merchant.columns[0].readonly = true;
    scalar(&mut merchant, "name", Scalar::String);
    scalar(&mut merchant, "city", Scalar::String);
    scalar(&mut merchant, "email", Scalar::String).hidden = true;
    merchant.uniques = vec![unique(&[1], "merchantByName"), unique(&[3], "merchantByEmail")];
    to_many(&mut merchant, "products", 1, 8);

    let mut product = entity(1, "Product", "products");
    product.description = Some("What is sold.\n\nPrices are in \"euro\".".into());
    scalar(&mut product, "id", Scalar::IdUuid).default = Some(DefaultValue::UuidV7);
    product.columns[0].readonly = true;
    scalar(&mut product, "sku", Scalar::String);
    scalar(&mut product, "name", Scalar::String);
    scalar(&mut product, "price", Scalar::Decimal { precision: 12, scale: 2 }).default =
        Some(DefaultValue::Value(Value::Int(-5)));
    scalar(&mut product, "status", Scalar::Enum(EnumId(0))).default =
        Some(DefaultValue::Value(Value::Text(Arc::from("DRAFT"))));
    let note = scalar(&mut product, "note", Scalar::String);
    (note.nullable, note.default) =
        (true, Some(DefaultValue::Value(Value::Text(Arc::from("a \"quoted\"\nline")))));
    scalar(&mut product, "attributes", Scalar::Json).default =
        Some(DefaultValue::Value(Value::Text(Arc::from(r#"{"a":[1,"x"]}"#))));
    scalar(&mut product, "active", Scalar::Boolean).default =
        Some(DefaultValue::Value(Value::Int(1)));
    to_one(&mut product, "merchant", 0, false);
    product.fields[3].description = Some("With two digits after the point.".into());
    product.uniques = vec![unique(&[8, 1], "productByMerchantAndSku")];
    product.order_by = vec![(ColumnId(2), Order { descending: false, nulls_first: true })];
    to_many(&mut product, "reviews", 2, 6);

    let mut review = entity(2, "Review", "reviews");
    scalar(&mut review, "id", Scalar::IdInt).default = Some(DefaultValue::Autoincrement);
    review.columns[0].readonly = true;
    scalar(&mut review, "stars", Scalar::Int).default = Some(DefaultValue::Value(Value::Int(3)));
    scalar(&mut review, "weight", Scalar::Float).nullable = true;
    scalar(&mut review, "views", Scalar::BigInt).nullable = true;
    scalar(&mut review, "day", Scalar::Date).nullable = true;
    let at = scalar(&mut review, "at", Scalar::DateTime);
    (at.readonly, at.default) = (true, Some(DefaultValue::Now));
    to_one(&mut review, "product", 1, true);
    scalar(&mut review, "trace", Scalar::Uuid).nullable = true;
    review.require_etag = true;
    review.max_page_size = 10;

    let mut tag = entity(3, "Tag", "tags");
    scalar(&mut tag, "slug", Scalar::IdText);

    let status = EnumType {
        name: "Status".into(),
        description: Some("Where a product stands.".into()),
        values: vec![("DRAFT".into(), Some("Not yet for sale.".into())), ("LIVE".into(), None)],
    };
    let entities = vec![merchant, product, review, tag];
    let by_name = entities.iter().map(|entity| (entity.name.clone(), entity.id)).collect();
    Model { entities, enums: vec![status], by_name, fingerprint: [0; 32], has_rules: false }
}

fn entity(id: u16, name: &str, plural: &str) -> Entity {
    Entity {
        id: EntityId(id),
        name: name.into(),
        description: None,
        singular: name.to_lowercase(),
        plural: plural.into(),
        table: plural.into(),
        fields: Vec::new(),
        columns: Vec::new(),
        key: ColumnId(0),
        uniques: Vec::new(),
        indexes: Vec::new(),
        order_by: Vec::new(),
        max_page_size: 100,
        require_etag: false,
        managed: true,
        cache: CacheHint::default(),
        rules: Vec::new(),
        span: 0..0,
    }
}

fn scalar<'e>(entity: &'e mut Entity, name: &str, scalar: Scalar) -> &'e mut Column {
    let column = ColumnId(entity.columns.len() as u16);
    entity.columns.push(Column {
        name: name.into(),
        field: name.into(),
        scalar,
        nullable: false,
        default: None,
        readonly: false,
        set_on_update: false,
        hidden: false,
        references: None,
        global: None,
        part: false,
        sql_type: None,
        renamed_from: None,
    });
    if name != "email" {
        field(entity, name, FieldKind::Scalar(column));
    }
    &mut entity.columns[usize::from(column.0)]
}

fn to_one(entity: &mut Entity, name: &str, target: u16, nullable: bool) {
    let column = ColumnId(entity.columns.len() as u16);
    let made = scalar(entity, &format!("{name}Id"), Scalar::IdUuid);
    made.nullable = nullable;
    made.references = Some(Reference { target: EntityId(target), on_delete: OnDelete::Cascade });
    field(entity, name, FieldKind::ToOne { column, target: EntityId(target) });
}

fn to_many(entity: &mut Entity, name: &str, target: u16, column: u16) {
    field(entity, name, FieldKind::ToMany { target: EntityId(target), column: ColumnId(column) });
}

fn field(entity: &mut Entity, name: &str, kind: FieldKind) {
    let cache = CacheHint::default();
    entity.fields.push(Field {
        name: name.into(),
        description: None,
        kind,
        cache,
        hidden: false,
        rules: Vec::new(),
    });
}

fn unique(columns: &[u16], lookup: &str) -> Unique {
    Unique { columns: columns.iter().copied().map(ColumnId).collect(), lookup: lookup.into() }
}
