//! Collects what the document defines: the names, the meaning of each field's type, and the
//! directives. Forward and cyclic references resolve here, because all names are known before any
//! field is read.

use std::collections::HashMap;

use async_graphql::parser::Positioned;
use async_graphql::parser::types::{
    BaseType, EnumType as EnumSyntax, FieldDefinition, ObjectType, ServiceDocument, Type,
    TypeDefinition, TypeKind, TypeSystemDefinition,
};

use super::directives::{self, Directives, Place};
use super::report::{Report, Span};
use crate::model::diagnostic::{did_you_mean, suggest};
use crate::model::scalar::{BUILT_IN, Scalar};
use crate::model::{EntityId, EnumId, EnumType, OnDelete};

/// Limits of a model; indices are 16 bits wide.
const MAX_TYPES: usize = 4096;
const MAX_FIELDS: usize = 1000;

pub(super) struct Definitions<'a> {
    pub(super) entities: Vec<EntityDefinition<'a>>,
    pub(super) enums: Vec<EnumType>,
    /// The position of each enum's name.
    pub(super) enum_spans: Vec<Span>,
}

/// A type with `@entity`.
pub(super) struct EntityDefinition<'a> {
    pub(super) id: EntityId,
    pub(super) name: &'a str,
    pub(super) span: Span,
    pub(super) description: Option<String>,
    pub(super) directives: Directives<'a>,
    pub(super) fields: Vec<FieldDraft<'a>>,
}

impl EntityDefinition<'_> {
    /// `@entity(managed:)`.
    pub(super) fn is_managed(&self) -> bool {
        let entity = self.directives.get("entity");
        entity.and_then(|entity| entity.boolean("managed")).is_none_or(|(on, _)| on)
    }
}

/// A field as written.
pub(super) struct FieldDraft<'a> {
    pub(super) name: &'a str,
    pub(super) span: Span,
    /// The whole type, as in `[Product!]!`.
    pub(super) type_span: Span,
    pub(super) description: Option<String>,
    pub(super) nullable: bool,
    pub(super) shape: Shape,
    pub(super) directives: Directives<'a>,
}

/// The meaning of a field's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Directives refine `ID` and `Decimal`.
    Scalar(Scalar),
    ToOne(EntityId),
    ToMany(EntityId),
    /// Already reported; uses of it must not be reported again.
    Broken,
}

#[derive(Clone, Copy)]
enum Named {
    Entity(EntityId),
    Enum(EnumId),
    /// Defined incorrectly; its uses are not reported.
    Unusable,
}

impl<'a> EntityDefinition<'a> {
    pub(super) fn field(&self, name: &str) -> Option<&FieldDraft<'a>> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// Reads all definitions.
pub(super) fn collect<'a>(
    report: &mut Report<'_>,
    document: &'a ServiceDocument,
) -> Definitions<'a> {
    let mut types: Vec<&'a Positioned<TypeDefinition>> = Vec::new();
    for definition in &document.definitions {
        match definition {
            TypeSystemDefinition::Type(definition) => types.push(definition),
            TypeSystemDefinition::Schema(schema) => report.wrong(
                report.token(schema.pos),
                "the model has no `schema` definition",
                "remove it; Query and Mutation are generated",
            ),
            TypeSystemDefinition::Directive(directive) => {
                if !directives::is_known(&directive.node.name.node) {
                    let span = report.token(directive.node.name.pos);
                    let message = format!(
                        "the model cannot define the directive `@{}`",
                        directive.node.name.node
                    );
                    report.wrong(span, message, "remove it; it would have no effect");
                }
            }
        }
    }
    let mut names: HashMap<&'a str, Named> = HashMap::new();
    let mut objects: Vec<(EntityId, &'a TypeDefinition, &'a ObjectType)> = Vec::new();
    let mut enums: Vec<(&'a TypeDefinition, &'a EnumSyntax)> = Vec::new();
    for definition in types {
        let definition = &definition.node;
        let name = definition.name.node.as_str();
        let span = report.token(definition.name.pos);
        if definition.extend {
            report.wrong(
                span,
                format!("`extend` of `{name}` is not supported"),
                "write it into the definition itself",
            );
            continue;
        }
        if is_vocabulary(definition) {
            continue;
        }
        if names.contains_key(name) {
            report.wrong(
                span,
                format!("`{name}` is defined twice"),
                "give one of them another name",
            );
            continue;
        }
        if name.starts_with("__") {
            report.wrong(
                span,
                format!("names beginning with `__` are GraphQL's own: `{name}`"),
                "rename it",
            );
            names.insert(name, Named::Unusable);
            continue;
        }
        if objects.len().max(enums.len()) == MAX_TYPES {
            report.error(span, format!("a model has at most {MAX_TYPES} types"));
            break;
        }
        let named = match &definition.kind {
            TypeKind::Object(object) if !is_root(name) => {
                demand_entity(report, definition, &span);
                let id = EntityId(objects.len() as u16);
                objects.push((id, definition, object));
                Named::Entity(id)
            }
            TypeKind::Enum(syntax) => {
                enums.push((definition, syntax));
                Named::Enum(EnumId(enums.len() as u16 - 1))
            }
            other => {
                refuse(report, definition, other, span);
                Named::Unusable
            }
        };
        names.insert(name, named);
    }
    let enum_spans =
        enums.iter().map(|(definition, _)| report.token(definition.name.pos)).collect();
    let enums = enums
        .into_iter()
        .map(|(definition, syntax)| read_enum(report, definition, syntax))
        .collect();
    let entities = objects
        .into_iter()
        .map(|(id, definition, object)| read_entity(report, &names, id, definition, object))
        .collect();
    Definitions { entities, enums, enum_spans }
}

/// Whether it defines one of the model's own directives or a built-in scalar. People paste such
/// definitions into a model for their editor.
fn is_vocabulary(definition: &TypeDefinition) -> bool {
    let name = definition.name.node.as_str();
    let values: &[&str] = match (name, &definition.kind) {
        ("Literal", TypeKind::Scalar) => return true,
        (_, TypeKind::Scalar) => return BUILT_IN.iter().any(|(built_in, _)| *built_in == name),
        ("Fn", _) => &["UUID_V7", "AUTOINCREMENT", "NOW"],
        ("OnDelete", _) => &OnDelete::NAMES,
        ("CacheControlScope", _) => &["PUBLIC", "PRIVATE"],
        ("Operation", _) => &["CREATE", "READ", "UPDATE", "DELETE"],
        _ => return false,
    };
    let TypeKind::Enum(syntax) = &definition.kind else { return false };
    // An enum with the same name but other values is the user's own.
    syntax.values.iter().map(|value| value.node.value.node.as_str()).eq(values.iter().copied())
}

/// Every object type must be an entity. One without `@entity` is still read as an entity, so that
/// its other mistakes are found, too.
fn demand_entity(report: &mut Report<'_>, definition: &TypeDefinition, span: &Span) {
    let says_so = |name: &str| name == "entity" || directives::meant(name) == Some("entity");
    if !definition.directives.iter().any(|directive| says_so(&directive.node.name.node)) {
        let name = &definition.name.node;
        let message = format!("the type `{name}` has no `@entity`");
        report.wrong(span.clone(), message, format!("write `type {name} @entity`"));
    }
}

/// Reports kinds of types that a model cannot contain.
fn refuse(report: &mut Report<'_>, definition: &TypeDefinition, kind: &TypeKind, span: Span) {
    let name = &definition.name.node;
    match kind {
        TypeKind::Object(_) => report.wrong(
            span,
            format!("the type `{name}` is generated"),
            "remove it; each entity gets its root fields from its `@entity`",
        ),
        TypeKind::Interface(_) => {
            report.wrong(
                span,
                format!("interfaces are not supported: `{name}`"),
                "repeat its fields in each entity",
            );
        }
        TypeKind::Union(_) => {
            report.wrong(
                span,
                format!("unions are not supported: `{name}`"),
                "give each member a relation of its own",
            );
        }
        TypeKind::InputObject(_) => report.wrong(
            span,
            format!("input types are generated: `{name}`"),
            "remove it; each entity gets its inputs from its fields",
        ),
        TypeKind::Scalar => {
            let known = suggest(name, BUILT_IN.iter().map(|(name, _)| *name));
            report.unknown(span, format!("the model cannot define the scalar `{name}`"), known);
        }
        TypeKind::Enum(_) => {}
    }
}

fn is_root(name: &str) -> bool {
    matches!(name, "Query" | "Mutation" | "Subscription")
}

fn read_enum(
    report: &mut Report<'_>,
    definition: &TypeDefinition,
    syntax: &EnumSyntax,
) -> EnumType {
    directives::read(report, &definition.directives, Place::Elsewhere);
    let name = definition.name.node.to_string();
    let mut values: Vec<(String, Option<String>)> = Vec::new();
    for value in &syntax.values {
        let value = &value.node;
        directives::read(report, &value.directives, Place::Elsewhere);
        let span = report.token(value.value.pos);
        let word = value.value.node.to_string();
        if values.iter().any(|(known, _)| *known == word) {
            report.wrong(
                span,
                format!("`{name}` has the value `{word}` twice"),
                "remove one of them",
            );
        } else if word.starts_with("__") {
            report.wrong(
                span,
                format!("names beginning with `__` are GraphQL's own: `{word}`"),
                "rename it",
            );
        } else {
            values.push((word, text_of(value.description.as_ref())));
        }
    }
    if syntax.values.is_empty() {
        let span = report.token(definition.name.pos);
        report.wrong(
            span,
            format!("the enum `{name}` has no values"),
            format!("write `enum {name} {{ … }}`"),
        );
    }
    EnumType { name, description: text_of(definition.description.as_ref()), values }
}

fn read_entity<'a>(
    report: &mut Report<'_>,
    names: &HashMap<&'a str, Named>,
    id: EntityId,
    definition: &'a TypeDefinition,
    object: &'a ObjectType,
) -> EntityDefinition<'a> {
    let name = definition.name.node.as_str();
    for interface in &object.implements {
        let span = report.token(interface.pos);
        report.wrong(span, "interfaces are not supported", "remove `implements`");
    }
    let mut fields: Vec<FieldDraft<'a>> = Vec::new();
    for field in &object.fields {
        let field = &field.node;
        let span = report.token(field.name.pos);
        if fields.iter().any(|known| known.name == field.name.node.as_str()) {
            let message = format!("`{name}` has the field `{}` twice", field.name.node);
            report.wrong(span, message, "give one of them another name");
        } else if fields.len() == MAX_FIELDS {
            report.error(span, format!("an entity has at most {MAX_FIELDS} fields"));
            break;
        } else {
            fields.push(read_field(report, names, name, field, span));
        }
    }
    EntityDefinition {
        id,
        name,
        span: report.token(definition.name.pos),
        description: text_of(definition.description.as_ref()),
        directives: directives::read(report, &definition.directives, Place::Type),
        fields,
    }
}

fn read_field<'a>(
    report: &mut Report<'_>,
    names: &HashMap<&'a str, Named>,
    entity: &str,
    field: &'a FieldDefinition,
    span: Span,
) -> FieldDraft<'a> {
    if let Some(argument) = field.arguments.first() {
        let argument_span = report.token(argument.node.name.pos);
        report.wrong(
            argument_span,
            "a field of the model takes no arguments",
            "remove them; the arguments of lists are generated",
        );
    }
    FieldDraft {
        name: field.name.node.as_str(),
        span,
        type_span: report.type_ref(field.ty.pos),
        description: text_of(field.description.as_ref()),
        nullable: field.ty.node.nullable,
        shape: read_type(report, names, entity, field),
        directives: directives::read(report, &field.directives, Place::Field),
    }
}

fn read_type(
    report: &mut Report<'_>,
    names: &HashMap<&str, Named>,
    entity: &str,
    field: &FieldDefinition,
) -> Shape {
    let span = report.type_ref(field.ty.pos);
    let name = innermost(&field.ty.node);
    let built_in =
        BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, scalar)| *scalar);
    let single = match (names.get(name), built_in) {
        (Some(Named::Entity(target)), _) => Shape::ToOne(*target),
        (Some(Named::Enum(id)), _) => Shape::Scalar(Scalar::Enum(*id)),
        (Some(Named::Unusable), _) => return Shape::Broken,
        (None, Some(scalar)) => Shape::Scalar(scalar),
        (None, None) => {
            let candidates = names.keys().copied().chain(BUILT_IN.iter().map(|(name, _)| *name));
            let meant = usual_name(name).or_else(|| did_you_mean(name, candidates));
            let help = match meant {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "declare `type {name} @entity {{ … }}`, or use a scalar such as `String`"
                ),
            };
            report.wrong(report.type_name(field.ty.pos), format!("unknown type `{name}`"), help);
            return Shape::Broken;
        }
    };
    let BaseType::List(item) = &field.ty.node.base else { return single };
    let Shape::ToOne(target) = single else {
        let message = format!("lists of scalars are not supported: `{}`", field.ty.node);
        report.wrong(span, message, "use an entity of its own, or `JSON`");
        return Shape::Broken;
    };
    if field.ty.node.nullable || item.nullable || matches!(item.base, BaseType::List(_)) {
        let message = format!("the list `{entity}.{}` must not have nulls", field.name.node);
        report.wrong(span, message, format!("write `[{name}!]!`"));
    }
    Shape::ToMany(target)
}

/// Maps names of other schema languages to our scalars.
fn usual_name(name: &str) -> Option<&'static str> {
    Some(match name.to_ascii_lowercase().as_str() {
        "text" | "varchar" | "char" => "String",
        "integer" | "int32" | "int4" | "smallint" => "Int",
        "long" | "int64" | "bigserial" | "int8" => "BigInt",
        "double" | "real" | "number" => "Float",
        "numeric" | "money" | "bigdecimal" => "Decimal",
        "timestamp" | "timestamptz" | "instant" => "DateTime",
        "bool" => "Boolean",
        "jsonb" | "object" | "any" => "JSON",
        _ => return None,
    })
}

fn innermost(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => innermost(item),
    }
}

fn text_of(description: Option<&Positioned<String>>) -> Option<String> {
    description.map(|text| text.node.trim().to_owned()).filter(|text| !text.is_empty())
}
