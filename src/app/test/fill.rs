//! Writes a first case for a query that needs variables: with values from the scratch database, if
//! the query shows what its variables are compared with. `merchant(id: $id)` gets a merchant's id.

use std::collections::BTreeMap;

use async_graphql::parser::types::Selection;
use async_graphql_value::{Name, Value as Ast};
use serde_json::{Map, Value, json};

use super::asking::Server;
use crate::graphql::Operation;
use crate::model::{Entity, Model};
use crate::syntax::{self, Definition, Purpose};

/// The placeholder for a value that only the author knows.
const OPEN: &str = "…";

/// Variables for a case.
pub(super) struct Filled {
    pub(super) variables: Map<String, Value>,
    /// Whether no placeholder is left.
    pub(super) is_complete: bool,
}

/// Finds values for all required variables.
pub(super) async fn fill(server: &Server, operation: &Operation, text: &str) -> Filled {
    let model = server.engine.model();
    let compared = compared(model, operation, text);
    let mut filled = Filled { variables: Map::new(), is_complete: true };
    for (name, ty) in operation.required_variables() {
        let value = match compared.get(name) {
            Some((entity, field)) => existing(server, model.entity_by_name(entity), field).await,
            None => None,
        };
        let value = value.or_else(|| of_type(model, &ty)).unwrap_or_else(|| {
            filled.is_complete = false;
            if ty.starts_with('[') { json!([OPEN]) } else { json!(OPEN) }
        });
        filled.variables.insert(name.to_owned(), value);
    }
    filled
}

/// The contents of a case file with these variables.
pub(super) fn file(cases: &[(String, Option<String>, Map<String, Value>)]) -> String {
    let mut file = Map::new();
    for (name, operation, variables) in cases {
        let mut case = json!({ "variables": variables });
        if let Some(operation) = operation {
            case["operation"] = json!(operation);
        }
        file.insert(name.clone(), case);
    }
    format!("{:#}\n", Value::Object(file))
}

/// The value of this field in the first row.
async fn existing(server: &Server, entity: Option<&Entity>, field: &str) -> Option<Value> {
    let plural = &entity?.plural;
    let answer = server
        .value_of(&format!("{{ rows: {plural}(first: 1) {{ nodes {{ {field} }} }} }}"))
        .await
        .ok()?;
    let value = answer.pointer("/data/rows/nodes/0")?.get(field)?.clone();
    (!value.is_null()).then_some(value)
}

/// A value of a type that has simple ones.
fn of_type(model: &Model, ty: &str) -> Option<Value> {
    let name = ty.trim_matches(['[', ']', '!']);
    let value = match name {
        "Int" => json!(1),
        "Float" => json!(1.0),
        "Boolean" => json!(true),
        _ => json!(model.enums.iter().find(|known| known.name == name)?.values.first()?.0),
    };
    Some(if ty.starts_with('[') { json!([value]) } else { value })
}

/// The entity and field for each variable that stands for a column's value in a root field.
fn compared(
    model: &Model,
    operation: &Operation,
    text: &str,
) -> BTreeMap<String, (String, String)> {
    let mut found = BTreeMap::new();
    let Ok(document) = syntax::parse(text, Purpose::Operations) else { return found };
    let definitions = document.definitions.iter().filter_map(|definition| match definition {
        Definition::Operation(name, operation) => {
            Some((name.as_ref().map(|name| name.node.as_str()), operation))
        }
        _ => None,
    });
    for (_, definition) in definitions.filter(|(name, _)| *name == operation.name()) {
        for item in &definition.node.selection_set.node.items {
            let Selection::Field(field) = &item.node else { continue };
            let name = field.node.name.node.as_str();
            let entity = model.entities.iter().find(|entity| {
                entity.singular == name
                    || entity.plural == name
                    || entity.uniques.iter().any(|u| u.lookup == name)
            });
            // Any row will do as a node.
            let any = || model.nodes().next().filter(|_| ["node", "nodes"].contains(&name));
            let Some(entity) = entity.or_else(any) else { continue };
            for (argument, value) in &field.node.arguments {
                compare(entity, &argument.node, &value.node, &mut found);
            }
        }
    }
    found
}

/// An argument `id: $id`, or a condition in `where: {city: {eq: $city}}`.
fn compare(
    entity: &Entity,
    name: &Name,
    value: &Ast,
    found: &mut BTreeMap<String, (String, String)>,
) {
    match value {
        Ast::Variable(variable) => {
            if let Some(column) = entity.column_by_field(name)
                && !entity.column(column).hidden
            {
                found.insert(
                    variable.to_string(),
                    (entity.name.clone(), entity.column(column).field.clone()),
                );
            }
        }
        Ast::Object(members) if name == "where" => {
            members.iter().for_each(|(name, value)| compare(entity, name, value, found));
        }
        Ast::Object(members) => {
            for (operator, value) in members {
                let compares = ["eq", "gte", "lte", "contains", "startsWith", "endsWith"]
                    .contains(&operator.as_str());
                if compares && matches!(value, Ast::Variable(_)) {
                    compare(entity, name, value, found);
                }
            }
        }
        Ast::List(items) => items.iter().for_each(|item| {
            if let Ast::Object(members) = item {
                members.iter().for_each(|(name, value)| compare(entity, name, value, found));
            }
        }),
        _ => {}
    }
}
