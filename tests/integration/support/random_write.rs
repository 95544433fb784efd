//! Random mutations for any model, each in two forms: as a document for the engine and as a list
//! for the in-memory model.

use std::collections::HashMap;

use freshql::model::{ColumnId, Entity, EntityId, Model, Scalar, Value};
use serde_json::{Map, json};

use crate::books::{Books, selected};
use crate::random_choices::Choices;
use crate::reference::input;
use crate::rows::{any_value, some_key};

/// A column's value in an input.
#[derive(Debug, Clone)]
pub(crate) enum Given {
    Value(Value),
    /// A value that no column of its type accepts.
    Wrong,
    /// A value for a column that the input does not have.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    Create,
    Update,
    Delete,
}

/// A root field of a mutation.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) action: Action,
    pub(crate) entity: EntityId,
    pub(crate) key: Value,
    pub(crate) given: Vec<(ColumnId, Given)>,
    pub(crate) token: Token,
}

/// `expectedEtag`.
#[derive(Debug, Clone)]
pub(crate) enum Token {
    Absent,
    Any,
    Malformed,
    OtherRow(String),
    /// The token of a state that the row is in, or was in.
    Of(u64, String),
}

/// The tokens that rows have had: for each row, those of all its states.
pub(crate) type Tokens = HashMap<(EntityId, String), Vec<(u64, String)>>;

/// One of the fields of a mutation.
pub(crate) fn any_write(
    model: &Model,
    books: &Books,
    tokens: &Tokens,
    choices: &mut Choices<'_>,
) -> Write {
    let entity = choices.of(&model.entities);
    let can_change = patched(entity).next().is_some();
    let action = match choices.below(4) {
        0 | 3 if can_change => Action::Update,
        2 => Action::Delete,
        _ => Action::Create,
    };
    let key = some_key(entity, &books.tables, choices);
    let mut given = Vec::new();
    for id in entity.column_ids() {
        let column = entity.column(id);
        let required = action == Action::Create && !column.nullable && column.default.is_none();
        if action == Action::Delete || (action == Action::Update && id == entity.key) {
            continue;
        }
        if column.readonly {
            if choices.chance(1) {
                given.push((id, Given::Unknown));
            }
            continue;
        }
        if !choices.chance(if required { 98 } else { 40 }) {
            continue;
        }
        let value = if choices.chance(if column.nullable { 25 } else { 2 }) {
            Given::Value(Value::Null)
        } else if choices.chance(1) {
            Given::Wrong
        } else if let Some(reference) = &column.references {
            let own = given.iter().find_map(|(id, given)| match given {
                Given::Value(own) if *id == entity.key => Some(own.clone()),
                _ => None,
            });
            Given::Value(match own.filter(|_| reference.target == entity.id) {
                Some(own) if choices.chance(30) => own,
                _ => some_key(model.entity(reference.target), &books.tables, choices),
            })
        } else if id == entity.key {
            Given::Value(if choices.chance(20) {
                key.clone()
            } else {
                Value::text(format!("new{}", choices.below(9)))
            })
        } else {
            let value = any_value(model, column.scalar, choices);
            // In inputs, JSON's null is SQL's NULL.
            let is_null = input(column.scalar, &value).is_null();
            Given::Value(if is_null { Value::Null } else { value })
        };
        given.push((id, value));
    }
    let states = tokens.get(&(entity.id, format!("{key:?}")));
    let others: Vec<&String> = tokens
        .iter()
        .filter(|((other, name), _)| *other != entity.id || *name != format!("{key:?}"))
        .flat_map(|(_, states)| states.iter().map(|(_, token)| token))
        .collect();
    let newest = |states: &Vec<(u64, String)>| {
        states.iter().max_by_key(|(version, _)| *version).unwrap().clone()
    };
    let token = match (choices.below(20), states) {
        (3, _) => Token::Any,
        (4, _) => Token::Malformed,
        (5, _) if !others.is_empty() => Token::OtherRow((*others.iter().min().unwrap()).clone()),
        (6 | 7, Some(states)) => {
            let (version, token) = choices.of(states).clone();
            Token::Of(version, token)
        }
        (0..=2 | 8..18, Some(states)) if entity.require_etag || choices.chance(40) => {
            let (version, token) = newest(states);
            Token::Of(version, token)
        }
        _ => Token::Absent,
    };
    Write { action, entity: entity.id, key, given, token }
}

/// The columns that an update may set.
fn patched(entity: &Entity) -> impl Iterator<Item = ColumnId> {
    entity.column_ids().filter(|id| *id != entity.key && !entity.column(*id).readonly)
}

/// The writes as a document: inputs are variables; patches are sometimes literals with a variable
/// for each column.
pub(crate) fn document(
    model: &Model,
    writes: &[Write],
    choices: &mut Choices<'_>,
) -> (String, serde_json::Value) {
    let (mut declared, mut fields, mut variables) = (Vec::new(), Vec::new(), Map::new());
    for (i, write) in writes.iter().enumerate() {
        let entity = model.entity(write.entity);
        let mut arguments = Vec::new();
        let verb = match write.action {
            Action::Create => "create",
            Action::Update => "update",
            Action::Delete => "delete",
        };
        if write.action != Action::Create {
            let key = entity.column(entity.key);
            declared.push(format!("$id{i}: ID!"));
            variables.insert(format!("id{i}"), input(key.scalar, &write.key));
            arguments.push(format!("{}: $id{i}", key.field));
            let token = match &write.token {
                Token::Absent => None,
                Token::Any => Some("*".to_owned()),
                Token::Malformed => Some("not a token".to_owned()),
                Token::OtherRow(token) | Token::Of(_, token) => Some(token.clone()),
            };
            declared.push(format!("$e{i}: String{}", if entity.require_etag { "!" } else { "" }));
            variables.extend(token.map(|token| (format!("e{i}"), token.into())));
            arguments.push(format!("expectedEtag: $e{i}"));
        }
        let json = |id: ColumnId, given: &Given| match given {
            Given::Value(value) => {
                (entity.column(id).field.clone(), input(entity.column(id).scalar, value))
            }
            Given::Wrong if entity.column(id).scalar == Scalar::Json => {
                (entity.column(id).field.clone(), json!("a\0b"))
            }
            Given::Wrong => (entity.column(id).field.clone(), json!({"of": "no type"})),
            Given::Unknown => (entity.column(id).field.clone(), json!("2026-01-01T00:00:00Z")),
        };
        let is_plain = write.given.iter().all(|(_, given)| matches!(given, Given::Value(_)));
        match write.action {
            Action::Update if is_plain && choices.chance(40) => {
                // An absent value is a variable without a value.
                let mut members = Vec::new();
                for id in patched(entity) {
                    let column = entity.column(id);
                    declared.push(format!("$p{i}_{}: {}", id.0, column.scalar.graphql_name(model)));
                    members.push(format!("{}: $p{i}_{}", column.field, id.0));
                    let given = write.given.iter().find(|(given, _)| *given == id);
                    variables.extend(
                        given.map(|(_, given)| (format!("p{i}_{}", id.0), json(id, given).1)),
                    );
                }
                arguments.push(format!("patch: {{ {} }}", members.join(", ")));
            }
            Action::Create | Action::Update => {
                let (argument, ty) = if write.action == Action::Create {
                    ("input", "Input")
                } else {
                    ("patch", "Patch")
                };
                declared.push(format!("$i{i}: {}{ty}!", entity.name));
                let members: Map<_, _> =
                    write.given.iter().map(|(id, given)| json(*id, given)).collect();
                variables.insert(format!("i{i}"), members.into());
                arguments.push(format!("{argument}: $i{i}"));
            }
            Action::Delete => {}
        }
        let columns = selected(entity).map(|(name, _)| name).collect::<Vec<_>>().join(" ");
        fields.push(format!(
            "w{i}: {verb}{}({}) {{ {columns} etag }}",
            entity.name,
            arguments.join(", ")
        ));
    }
    let declared =
        if declared.is_empty() { String::new() } else { format!("({})", declared.join(", ")) };
    (format!("mutation{declared} {{ {} }}", fields.join(" ")), variables.into())
}
