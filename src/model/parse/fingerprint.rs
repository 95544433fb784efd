//! Hashes everything in a model that can change the bytes of an answer. The hash is part of every
//! ETag, so it must not depend on the layout of the file: comments, white space, descriptions, the
//! order of types, fields and arguments. Cache hints are excluded, too: they change headers, not
//! answers.

use blake3::Hasher;

use crate::model::rules::{Condition, Rule};
use crate::model::{DefaultValue, Entity, EnumType, Field, FieldKind, Model, Scalar, Value};

/// Change this whenever the way of hashing below changes.
const FORMAT: &str = "freshql model 1";

/// The fingerprint of a model; ignores the one that is stored in it.
pub(super) fn fingerprint(model: &Model) -> [u8; 32] {
    let mut lines = vec![FORMAT.to_owned()];
    lines.extend(model.enums.iter().map(enum_line));
    for entity in &model.entities {
        lines.push(entity_line(entity));
        lines.extend(column_lines(model, entity));
        lines.extend(entity.fields.iter().map(|field| field_line(model, entity, field)));
        lines.extend(entity.rules.iter().map(|rule| rule_line(&entity.name, "", rule)));
        let of_fields = entity
            .fields
            .iter()
            .flat_map(|field| field.rules.iter().map(|rule| (&field.name, rule)));
        lines.extend(of_fields.map(|(field, rule)| rule_line(&entity.name, field, rule)));
        for unique in &entity.uniques {
            let columns: Vec<&str> =
                unique.columns.iter().map(|id| entity.column(*id).name.as_str()).collect();
            lines.push(format!("unique {:?} {:?} {columns:?}", entity.name, unique.lookup));
        }
    }
    lines[1..].sort_unstable();
    let mut hasher = Hasher::new();
    for line in &lines {
        hasher.update(&(line.len() as u64).to_le_bytes());
        hasher.update(line.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// The order of an enum's values is visible only in introspection.
fn enum_line(declared: &EnumType) -> String {
    let mut values: Vec<&str> = declared.values.iter().map(|(value, _)| value.as_str()).collect();
    values.sort_unstable();
    format!("enum {:?} {values:?}", declared.name)
}

fn entity_line(entity: &Entity) -> String {
    let Entity { name, singular, plural, table, max_page_size, require_etag, managed, .. } = entity;
    let key = &entity.column(entity.key).name;
    let order_by: Vec<(&str, bool, bool)> = entity
        .order_by
        .iter()
        .map(|(id, order)| (entity.column(*id).name.as_str(), order.descending, order.nulls_first))
        .collect();
    let keeper = if *managed { "" } else { " unmanaged" };
    format!(
        "entity {name:?} {singular:?} {plural:?} {table:?} {key:?} {order_by:?} {max_page_size} {require_etag}{keeper}"
    )
}

fn column_lines<'m>(model: &'m Model, entity: &'m Entity) -> impl Iterator<Item = String> + 'm {
    entity.columns.iter().map(|column| {
        let scalar = scalar_text(model, column.scalar);
        let references = column.references.as_ref().map(|reference| {
            let on_delete = reference.on_delete.sql().to_ascii_lowercase();
            (model.entity(reference.target).name.as_str(), on_delete)
        });
        format!(
            "column {:?} {:?} {:?} {scalar:?} {} {:?} {} {} {references:?}",
            entity.name,
            column.name,
            column.field,
            column.nullable,
            column.default.as_ref().map(default_text),
            column.readonly,
            column.hidden,
        )
    })
}

fn field_line(model: &Model, entity: &Entity, field: &Field) -> String {
    let kind = match field.kind {
        FieldKind::Scalar(column) => format!("column {:?}", entity.column(column).name),
        FieldKind::ToOne { column, target } => {
            format!("one {:?} {:?}", entity.column(column).name, model.entity(target).name)
        }
        FieldKind::ToMany { target, column } => {
            let target = model.entity(target);
            format!("many {:?} {:?}", target.name, target.column(column).name)
        }
    };
    format!("field {:?} {:?} {kind} {}", entity.name, field.name, field.hidden)
}

/// Rules decide which rows an answer contains.
fn rule_line(entity: &str, field: &str, rule: &Rule) -> String {
    let Rule { to, role, authenticated, condition, check, span: _ } = rule;
    let text = |condition: &Option<Condition>| {
        condition.as_ref().map(|condition| condition.literal.to_string())
    };
    format!(
        "allow {entity:?} {field:?} {to:?} {role:?} {authenticated} {:?} {:?}",
        text(condition),
        text(check)
    )
}

/// The indices of enums depend on the order of the file, so use their names.
fn scalar_text(model: &Model, scalar: Scalar) -> String {
    match scalar {
        Scalar::Enum(id) => format!("enum {}", model.enum_type(id).name),
        Scalar::Decimal { precision, scale } => format!("decimal {precision} {scale}"),
        Scalar::IdInt => "id int".to_owned(),
        Scalar::IdText => "id text".to_owned(),
        Scalar::IdUuid => "id uuid".to_owned(),
        other => other.graphql_name(model).to_owned(),
    }
}

fn default_text(default: &DefaultValue) -> String {
    match default {
        DefaultValue::Value(Value::Null) => "null".to_owned(),
        DefaultValue::Value(Value::Int(int)) => format!("int {int}"),
        DefaultValue::Value(Value::Real(real)) => format!("real {real:?}"),
        DefaultValue::Value(Value::Text(text)) => format!("text {text:?}"),
        DefaultValue::UuidV7 => "uuid".to_owned(),
        DefaultValue::Autoincrement => "autoincrement".to_owned(),
        DefaultValue::Now => "now".to_owned(),
        DefaultValue::Claim(claim) => format!("claim {claim:?}"),
    }
}
