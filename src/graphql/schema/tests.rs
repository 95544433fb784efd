//! What the schema of a model looks like, and that its SDL agrees with introspection.

use std::collections::BTreeMap;
use std::fmt::Write;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    InputValueDefinition, ServiceDocument, TypeKind as Parsed, TypeSystemDefinition,
};
use async_graphql::{Positioned, Request};
use serde_json::Value as Json;

use super::*;
use crate::graphql::fixture::marketplace;

const INTROSPECTION: &str = "{ __schema { queryType { name } mutationType { name } subscriptionType { name } types {
  kind name description specifiedByURL isOneOf
  fields(includeDeprecated: true) { name description isDeprecated args(includeDeprecated: true) { ...I } type { ...T } }
  inputFields(includeDeprecated: true) { ...I }
  enumValues(includeDeprecated: true) { name description isDeprecated }
} } }
fragment I on __InputValue { name description defaultValue isDeprecated type { ...T } }
fragment T on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { name } } } } }";

/// Maps each type name to all facts about it, one per line.
type Facts = BTreeMap<String, String>;

#[test]
fn sdl_of_the_marketplace() {
    let api = build_schema(&marketplace()).unwrap();
    insta::assert_snapshot!(api.sdl);
}

#[test]
fn the_same_model_gives_the_same_sdl() {
    let sdl = || build_schema(&marketplace()).unwrap().sdl;
    assert_eq!(sdl(), sdl());
}

#[tokio::test]
async fn sdl_says_what_introspection_says() {
    let api = build_schema(&marketplace()).unwrap();
    let response = api.introspection.execute(Request::new(INTROSPECTION)).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    let introspected = facts_of_introspection(&response.data.into_json().unwrap());
    let printed = facts_of_sdl(&parse_schema(&api.sdl).unwrap());
    assert_eq!(printed.keys().collect::<Vec<_>>(), introspected.keys().collect::<Vec<_>>());
    for (name, facts) in &printed {
        assert_eq!(facts, &introspected[name], "{name}");
    }
    assert!(printed.len() > 30);
}

#[test]
fn clashing_names_are_an_error_and_no_panic() {
    let mut model = marketplace();
    model.entities[3].name = "ProductInput".into();
    model.entities[0].columns[2].field = "and".into();
    model.entities[0].fields[2].name = "and".into();
    let Err(error) = build_schema(&model) else { panic!("must clash") };
    let message = error.to_string();
    assert!(message.contains("two types `ProductInput`"), "{message}");
    assert!(message.contains("type `MerchantWhere` would have two members `and`"), "{message}");

    model.entities.clear();
    assert!(matches!(build_schema(&model), Err(SchemaError::Invalid(_))));
}

fn facts_of_introspection(data: &Json) -> Facts {
    let schema = &data["__schema"];
    assert_eq!(schema["queryType"]["name"], "Query");
    assert_eq!(schema["mutationType"]["name"], "Mutation");
    assert_eq!(schema["subscriptionType"], Json::Null);
    let types = schema["types"].as_array().unwrap().iter();
    let own = types.filter(|ty| {
        let name = ty["name"].as_str().unwrap();
        !name.starts_with("__") && !crate::graphql::definition::BUILT_IN_SCALARS.contains(&name)
    });
    own.map(|ty| (ty["name"].as_str().unwrap().to_owned(), introspected_facts(ty))).collect()
}

fn introspected_facts(ty: &Json) -> String {
    let mut facts = format!("{} {:?}\n", ty["kind"].as_str().unwrap(), ty["description"].as_str());
    if let Some(url) = ty["specifiedByURL"].as_str() {
        writeln!(facts, "specified by {url}").unwrap();
    }
    if ty["isOneOf"] == Json::Bool(true) {
        writeln!(facts, "one of").unwrap();
    }
    for value in ty["enumValues"].as_array().into_iter().flatten() {
        assert_eq!(value["isDeprecated"], false);
        writeln!(
            facts,
            "value {} {:?}",
            value["name"].as_str().unwrap(),
            value["description"].as_str()
        )
        .unwrap();
    }
    for field in ty["fields"].as_array().into_iter().flatten() {
        assert_eq!(field["isDeprecated"], false);
        let description = field["description"].as_str();
        writeln!(
            facts,
            "field {}: {} {description:?}",
            field["name"].as_str().unwrap(),
            type_text(&field["type"])
        )
        .unwrap();
        for arg in field["args"].as_array().unwrap() {
            facts += &introspected_input("arg", arg);
        }
    }
    for input in ty["inputFields"].as_array().into_iter().flatten() {
        facts += &introspected_input("input", input);
    }
    facts
}

fn introspected_input(kind: &str, input: &Json) -> String {
    let (name, ty) = (input["name"].as_str().unwrap(), type_text(&input["type"]));
    format!(
        "{kind} {name}: {ty} = {:?} {:?}\n",
        input["defaultValue"].as_str(),
        input["description"].as_str()
    )
}

fn type_text(ty: &Json) -> String {
    match ty["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", type_text(&ty["ofType"])),
        Some("LIST") => format!("[{}]", type_text(&ty["ofType"])),
        _ => ty["name"].as_str().unwrap().to_owned(),
    }
}

fn facts_of_sdl(sdl: &ServiceDocument) -> Facts {
    let types = sdl.definitions.iter().map(|definition| match definition {
        TypeSystemDefinition::Type(ty) => &ty.node,
        other => panic!("only types are printed, not {other:?}"),
    });
    types.map(|ty| (ty.name.node.to_string(), printed_facts(ty))).collect()
}

fn printed_facts(ty: &async_graphql::parser::types::TypeDefinition) -> String {
    let description = ty.description.as_ref().map(|text| text.node.as_str());
    let kind = match &ty.kind {
        Parsed::Scalar => "SCALAR",
        Parsed::Object(_) => "OBJECT",
        Parsed::Enum(_) => "ENUM",
        Parsed::InputObject(_) => "INPUT_OBJECT",
        other => panic!("unexpected {other:?}"),
    };
    let mut facts = format!("{kind} {description:?}\n");
    for directive in &ty.directives {
        match directive.node.name.node.as_str() {
            "specifiedBy" => {
                let url = directive.node.get_argument("url").unwrap();
                let async_graphql::Value::String(url) = &url.node else { panic!("a string") };
                writeln!(facts, "specified by {url}").unwrap();
            }
            "oneOf" => writeln!(facts, "one of").unwrap(),
            other => panic!("unexpected @{other}"),
        }
    }
    match &ty.kind {
        Parsed::Enum(values) => {
            for value in &values.values {
                let description = value.node.description.as_ref().map(|text| text.node.as_str());
                writeln!(facts, "value {} {description:?}", value.node.value.node).unwrap();
            }
        }
        Parsed::Object(object) => {
            for field in &object.fields {
                let description = field.node.description.as_ref().map(|text| text.node.as_str());
                writeln!(
                    facts,
                    "field {}: {} {description:?}",
                    field.node.name.node, field.node.ty.node
                )
                .unwrap();
                field.node.arguments.iter().for_each(|arg| facts += &printed_input("arg", arg));
            }
        }
        Parsed::InputObject(input) => {
            input.fields.iter().for_each(|input| facts += &printed_input("input", input))
        }
        _ => {}
    }
    facts
}

fn printed_input(kind: &str, input: &Positioned<InputValueDefinition>) -> String {
    let input = &input.node;
    let default = input.default_value.as_ref().map(|value| value.node.to_string());
    let description = input.description.as_ref().map(|text| text.node.as_str());
    format!(
        "{kind} {}: {} = {:?} {description:?}\n",
        input.name.node,
        input.ty.node,
        default.as_deref()
    )
}

#[test]
fn a_model_whose_rows_have_nothing_to_patch_has_no_update() {
    let api = build_schema(&marketplace()).unwrap();
    assert!(api.definitions.field("Mutation", "createTag").is_some());
    assert!(api.definitions.field("Mutation", "updateTag").is_none());
    assert!(api.definitions.get("TagPatch").is_none());
}

#[test]
fn hidden_columns_are_in_inputs_only() {
    let api = build_schema(&marketplace()).unwrap();
    assert!(api.definitions.field("Merchant", "email").is_none());
    assert!(api.definitions.field("Query", "merchantByEmail").is_none());
    let has = |name: &str| match &api.definitions.get(name).unwrap().kind {
        TypeKind::Input { fields, .. } => fields.iter().any(|field| field.name == "email"),
        other => panic!("unexpected {other:?}"),
    };
    assert!(has("MerchantInput") && has("MerchantPatch"));
    assert!(!has("MerchantWhere") && !has("MerchantOrderBy"));
}
