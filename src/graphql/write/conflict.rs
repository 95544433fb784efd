//! Why the database did not do what a mutation asked for, in words for the client: a constraint, or a trigger of the
//! authors' own. The texts of their rules stay here; their names do not.

use super::super::bind::BoundWrite;
use super::super::error::{Code, GraphqlError, PathSegment};
use super::super::plan::{Action, Plan};
use super::{WriteError, Writer};
use crate::model::{Entity, Value};
use crate::store::{Constraint, Event, StoreError};

/// A statement that has run without an error, and still has not done what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoEffect {
    /// It has found the row and left it as it was, or has made none.
    Ignored,
    /// What it has done was undone at once.
    Undone,
    /// It has done it, but the row's version does not tell.
    Unversioned,
}

/// A constraint that was only looked at when the mutation had run, and does not hold.
pub fn unkept(constraint: &Constraint, plan: &Plan) -> GraphqlError {
    let (message, kind) = match constraint {
        Constraint::ForeignKey => ("the mutation leaves a row that points to one that does not exist", "foreignKey"),
        _ => ("the database does not allow what the mutation leaves", "check"),
    };
    let fields: [&str; 0] = [];
    let mut error = GraphqlError::new(Code::Conflict, message).with("constraint", &kind).with("fields", &fields);
    if let [only] = &plan.root[..] {
        error.path = vec![PathSegment::Key(only.key.name.clone())];
        error.locations = vec![only.position];
    }
    error
}

impl Writer<'_, '_, '_> {
    /// A violated constraint as an error for the client, in the words of the model.
    pub(super) fn conflict(
        &self,
        error: StoreError,
        entity: &Entity,
        bound: &BoundWrite,
        action: Action,
        values: &[Value],
    ) -> WriteError {
        let constraint = match error {
            StoreError::Constraint(constraint) => constraint,
            StoreError::Statement(message) => return self.broken(message),
            other => return other.into(),
        };
        // A foreign key's ON DELETE may have run into a rule of another table.
        let entity = match &constraint {
            Constraint::Unique(columns) | Constraint::NotNull(columns) if !columns.are_of(&entity.table) => {
                let entities = &self.context.model.entities;
                entities.iter().find(|entity| columns.are_of(&entity.table)).unwrap_or(entity)
            }
            _ => entity,
        };
        let field = |name: &str| {
            let column = entity.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
            column.map_or_else(|| name.to_owned(), |column| column.field.clone())
        };
        let error = |message: String, constraint: &str, fields: &[String]| {
            let error = GraphqlError::new(Code::Conflict, message);
            error.with("constraint", &constraint).with("fields", &fields).into()
        };
        match constraint {
            Constraint::Unique(columns) => {
                let fields: Vec<String> = columns.of(&entity.table).into_iter().map(field).collect();
                let message = format!("another {} has this {} already", entity.name, fields.join(" and "));
                error(message, "unique", &fields)
            }
            Constraint::NotNull(column) => {
                let fields: Vec<String> = column.of(&entity.table).into_iter().map(field).collect();
                error(format!("{}.{} may not be null", entity.name, fields.join(" and ")), "notNull", &fields)
            }
            Constraint::Check(check) => {
                let fields: Vec<String> =
                    entity.columns.iter().filter(|c| names(&check, &c.name)).map(|c| c.field.clone()).collect();
                error(format!("a value of {} is not allowed by the database", entity.name), "check", &fields)
            }
            Constraint::ForeignKey => {
                let fields: Vec<String> = self.dangling(entity, bound, values).iter().map(|name| field(name)).collect();
                let message = match (&fields[..], action) {
                    // By a trigger of the authors' own, perhaps.
                    ([], Action::Create) => format!("a value of {} points to a row that does not exist", entity.name),
                    ([], _) => format!("{} {} is still referred to by other rows", entity.name, bound.id),
                    ([field], _) => format!("{field} points to a row that does not exist"),
                    (fields, _) => format!("{} point to a row that does not exist", fields.join(" and ")),
                };
                error(message, "foreignKey", &fields)
            }
        }
    }

    /// The columns by which the row would point to one that is not there.
    fn dangling(&self, entity: &Entity, bound: &BoundWrite, values: &[Value]) -> Vec<String> {
        let written: Vec<(&str, &Value)> =
            bound.row.iter().zip(values).map(|((id, _), value)| (entity.column(*id).name.as_str(), value)).collect();
        let key = (entity.column(entity.key).name.as_str(), bound.key.as_ref());
        self.transaction.dangling(&entity.table, key, &written).unwrap_or_default()
    }

    /// A trigger cannot run on this server: it calls a function of another program, or fires itself without end.
    fn broken(&self, message: String) -> WriteError {
        match self.transaction.broken(&message) {
            Ok(triggers) if !triggers.is_empty() => {
                let error = format!("{} of the database cannot run here: {message}", the(&triggers));
                by_triggers(error, &triggers).into()
            }
            Ok(_) => StoreError::Statement(message).into(),
            Err(error) => error.into(),
        }
    }

    /// The error of a write that must not be kept, since nobody would know of it, or since it is none.
    pub(super) fn without_effect(
        &self,
        entity: &Entity,
        bound: &BoundWrite,
        action: Action,
        effect: NoEffect,
    ) -> WriteError {
        let (event, done) = match action {
            Action::Create => (Event::Insert, "created"),
            Action::Update => (Event::Update, "updated"),
            Action::Delete => (Event::Delete, "deleted"),
        };
        let row = if bound.id.is_empty() {
            format!("a new {}", entity.name)
        } else {
            format!("{} {}", entity.name, bound.id)
        };
        let what = match effect {
            NoEffect::Ignored => format!("the database did not let {row} be {done}"),
            NoEffect::Undone if action == Action::Delete => format!("{row} is there again right after it was deleted"),
            NoEffect::Undone => format!("{row} is gone right after it was {done}"),
            NoEffect::Unversioned => {
                format!("{row} cannot be {done} without hiding the change from freshql's triggers")
            }
        };
        let found = self.transaction.interfering(&entity.table, event);
        let (triggers, rule) = match (found, self.transaction.has_rule_that_ignores(&entity.table)) {
            (Ok(triggers), Ok(rule)) => (triggers, rule),
            (Err(error), _) | (_, Err(error)) => return error.into(),
        };
        let why = match (&triggers[..], effect) {
            ([], NoEffect::Ignored) if rule => "a rule of its table says ON CONFLICT IGNORE".to_owned(),
            ([], NoEffect::Unversioned) => "they are missing".to_owned(),
            ([], _) => "something in the database stands against it".to_owned(),
            (triggers, _) => format!("{} stands against it", the(triggers)),
        };
        by_triggers(format!("{what}: {why}"), &triggers).into()
    }
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
    let error = GraphqlError::new(Code::Conflict, message).with("constraint", &kind).with("fields", &fields);
    if triggers.is_empty() { error } else { error.with("triggers", &triggers) }
}

/// Whether an SQL expression has this name in it, and not just as a part of another word.
fn names(expression: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    expression
        .match_indices(name)
        .any(|(at, _)| !expression[..at].ends_with(is_word) && !expression[at + name.len()..].starts_with(is_word))
}
