//! Explains to the client why the database refused a mutation: a constraint, or a trigger of the
//! author's. The definitions of these rules are not shown, their names are.

use super::super::bound::BoundWrite;
use super::super::error::{Code, GraphqlError, PathSegment};
use super::super::plan::{Action, Plan};
use super::{WriteError, Writer};
use crate::model::Entity;
use crate::store::{
    Constraint, NoEffect, Refusal, RefusedValue, StoreError, Transaction, WhyRefused,
};

/// A deferred constraint that does not hold at the end of the mutation.
pub(crate) fn unkept(constraint: &Constraint, plan: &Plan) -> GraphqlError {
    let (message, kind) = match constraint {
        Constraint::ForeignKey(_) => {
            ("the mutation leaves a row that points to one that does not exist", "foreignKey")
        }
        _ => ("the database does not allow the result of the mutation", "check"),
    };
    let fields: [&str; 0] = [];
    let mut error = GraphqlError::new(Code::Conflict, message)
        .with("constraint", &kind)
        .with("fields", &fields);
    if let [only] = &plan.root[..] {
        error.path = vec![PathSegment::Key(only.key.name.clone())];
        error.locations = vec![only.position];
    }
    error
}

impl<T: Transaction> Writer<'_, '_, T> {
    /// Why nothing was written, as an error in the words of the model. `is_hidden`: the conflicting
    /// row may not be read by the viewer.
    pub(super) fn conflict(
        &self,
        refusal: Refusal,
        entity: &Entity,
        bound: &BoundWrite,
        action: Action,
        is_hidden: bool,
    ) -> WriteError {
        match refusal {
            // Naming the field would reveal that a row with its value exists.
            Refusal::Constraint(Constraint::Unique(_)) if is_hidden => {
                let error = GraphqlError::new(Code::Conflict, "a value is taken already");
                error.with("constraint", &"unique").into()
            }
            Refusal::Constraint(constraint) => self.violated(constraint, entity, bound, action),
            Refusal::NoEffect { effect, triggers, by_rule } => {
                without_effect(entity, bound, action, effect, &triggers, by_rule)
            }
            Refusal::BrokenTriggers { triggers, message } => {
                let error =
                    format!("{} of the database cannot run here: {message}", the(&triggers));
                by_triggers(error, &triggers).into()
            }
            Refusal::Absent => StoreError::Corrupt(format!(
                "a row of {} is missing where none was looked for",
                entity.name
            ))
            .into(),
            Refusal::Value(refused) => refused_value(refused, entity).into(),
            Refusal::Store(error) => error.into(),
        }
    }

    fn violated(
        &self,
        constraint: Constraint,
        entity: &Entity,
        bound: &BoundWrite,
        action: Action,
    ) -> WriteError {
        // The ON DELETE of a foreign key may have violated a constraint of another table.
        let entity = match &constraint {
            Constraint::Unique(columns) | Constraint::NotNull(columns) => {
                let is_of = |entity: &&Entity| entity.table.eq_ignore_ascii_case(&columns.table);
                self.context.model.entities.iter().find(is_of).unwrap_or(entity)
            }
            _ => entity,
        };
        let field = |name: &str| {
            let column =
                entity.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
            column.map_or_else(|| name.to_owned(), |column| column.field.clone())
        };
        let error = |message: String, constraint: &str, fields: &[String]| {
            let error = GraphqlError::new(Code::Conflict, message);
            error.with("constraint", &constraint).with("fields", &fields).into()
        };
        match constraint {
            Constraint::Unique(columns) => {
                let fields: Vec<String> = columns.names.iter().map(|name| field(name)).collect();
                let message =
                    format!("another {} has this {} already", entity.name, fields.join(" and "));
                error(message, "unique", &fields)
            }
            Constraint::NotNull(columns) => {
                let fields: Vec<String> = columns.names.iter().map(|name| field(name)).collect();
                error(
                    format!("{}.{} may not be null", entity.name, fields.join(" and ")),
                    "notNull",
                    &fields,
                )
            }
            Constraint::Check(check) => {
                let fields: Vec<String> = entity
                    .columns
                    .iter()
                    .filter(|c| names(&check, &c.name))
                    .map(|c| c.field.clone())
                    .collect();
                error(
                    format!("a value of {} is not allowed by the database", entity.name),
                    "check",
                    &fields,
                )
            }
            Constraint::ForeignKey(columns) => {
                let fields: Vec<String> = columns.iter().map(|name| field(name)).collect();
                let message = match (&fields[..], action) {
                    // Raised by a trigger of the author's, perhaps.
                    ([], Action::Create) => {
                        format!("a value of {} points to a row that does not exist", entity.name)
                    }
                    ([], _) => {
                        format!("{} {} is still referred to by other rows", entity.name, bound.id)
                    }
                    ([field], _) => format!("{field} points to a row that does not exist"),
                    (fields, _) => {
                        format!("{} point to a row that does not exist", fields.join(" and "))
                    }
                };
                error(message, "foreignKey", &fields)
            }
        }
    }
}

/// A value that the model allows and the database does not; the log gets the database's message.
fn refused_value(refused: RefusedValue, entity: &Entity) -> GraphqlError {
    let fields: Vec<String> = refused
        .columns
        .iter()
        .map(|(name, _)| {
            let column = entity.columns.iter().find(|column| column.name == *name);
            column.map_or_else(|| name.clone(), |column| column.field.clone())
        })
        .collect();
    let message = match (&fields[..], &refused.columns[..]) {
        ([field, ..], [(_, column_type), ..]) => match refused.why {
            WhyRefused::TooLong => {
                format!("{field} is too long: in the database it is {column_type}")
            }
            WhyRefused::OutOfRange => {
                format!("{field} is out of range: in the database it is {column_type}")
            }
            WhyRefused::Malformed => {
                format!(
                    "{field} does not have the form that the database's type {column_type} requires"
                )
            }
            WhyRefused::Computed => {
                format!("{field} cannot be written, because the database computes it")
            }
            WhyRefused::Other => {
                format!(
                    "the database, where {field} is {column_type}, does not accept its new value"
                )
            }
        },
        _ => format!("the database does not accept one of the values of {}", entity.name),
    };
    GraphqlError::new(Code::BadUserInput, message).with("fields", &fields).because(refused)
}

/// The error of a write that must be rolled back, because it could not be detected later or had no
/// effect.
fn without_effect(
    entity: &Entity,
    bound: &BoundWrite,
    action: Action,
    effect: NoEffect,
    triggers: &[String],
    by_rule: bool,
) -> WriteError {
    let done = match action {
        Action::Create => "created",
        Action::Update => "updated",
        Action::Delete => "deleted",
    };
    let row = if bound.id.is_empty() {
        format!("a new {}", entity.name)
    } else {
        format!("{} {}", entity.name, bound.id)
    };
    let what = match effect {
        NoEffect::Ignored => format!("the database did not allow {row} to be {done}"),
        NoEffect::Undone if action == Action::Delete => {
            format!("{row} is there again right after it was deleted")
        }
        NoEffect::Undone => format!("{row} is gone right after it was {done}"),
        NoEffect::Unversioned => {
            format!("{row} cannot be {done} without hiding the change from freshql's triggers")
        }
    };
    let why = match (triggers, effect) {
        ([], NoEffect::Ignored) if by_rule => {
            "a rule of its table says ON CONFLICT IGNORE".to_owned()
        }
        ([], NoEffect::Unversioned) => "they are missing".to_owned(),
        ([], _) => "something in the database prevents it".to_owned(),
        (triggers, _) => format!("{} prevents it", the(triggers)),
    };
    by_triggers(format!("{what}: {why}"), triggers).into()
}

fn the(triggers: &[String]) -> String {
    let names: Vec<String> = triggers.iter().map(|name| format!("`{name}`")).collect();
    if names.len() == 1 {
        format!("the trigger {}", names[0])
    } else {
        format!("one of the triggers {}", names.join(", "))
    }
}

fn by_triggers(message: String, triggers: &[String]) -> GraphqlError {
    let (kind, fields): (_, [&str; 0]) = (if triggers.is_empty() { "rule" } else { "trigger" }, []);
    let error = GraphqlError::new(Code::Conflict, message)
        .with("constraint", &kind)
        .with("fields", &fields);
    if triggers.is_empty() { error } else { error.with("triggers", &triggers) }
}

/// Whether an SQL expression contains this name as a word of its own.
fn names(expression: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    expression.match_indices(name).any(|(at, _)| {
        !expression[..at].ends_with(is_word) && !expression[at + name.len()..].starts_with(is_word)
    })
}
