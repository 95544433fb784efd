//! Values in the database that the model cannot express, which programs other than freshql wrote:
//! what the client is told, and what the operator is.

use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::error::{Code, GraphqlError};
use crate::model::{ColumnId, EntityId, Model, Scalar, Value, global_id};

/// How long a column is not mentioned again in the log: a list may show many such values, and
/// clients may ask for it often.
const SILENCE: Duration = Duration::from_secs(60);

/// The error for the client: of which row, by the key that the client knows it by.
pub(super) fn error(
    model: &Model,
    entity: EntityId,
    id: &Value,
    field: &str,
    why: &str,
) -> GraphqlError {
    let message = match shown_key(model, entity, id) {
        Some(key) => format!("{field} of {} {key} {why}", model.entity(entity).name),
        None => format!("{field} of {} {why}", model.entity(entity).name),
    };
    GraphqlError::new(Code::InternalServerError, message)
}

/// The key as clients see it; None for keys that not every client may see.
fn shown_key(model: &Model, entity: EntityId, id: &Value) -> Option<String> {
    let entity = model.entity(entity);
    if !entity.rules_of(entity.key).is_empty() {
        return None;
    }
    let column = entity.column(entity.key);
    let key = text(column.scalar, model, id)?;
    Some(match column.global {
        Some(_) => global_id::encode(&entity.name, &key),
        None => key,
    })
}

/// A key without quotes.
fn text(scalar: Scalar, model: &Model, id: &Value) -> Option<String> {
    let mut json = Vec::with_capacity(40);
    scalar.write_json(model, id.as_ref(), &mut json).ok()?;
    match serde_json::from_slice(&json).ok()? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

/// A value that could not be read, for the log.
#[derive(Debug, Clone)]
pub(crate) struct UnreadableValue {
    entity: EntityId,
    column: ColumnId,
    message: String,
}

impl UnreadableValue {
    pub(super) fn new(
        model: &Model,
        entity: EntityId,
        column: ColumnId,
        id: &Value,
        why: &str,
    ) -> Self {
        let of = model.entity(entity);
        let key = of.column(of.key);
        let row = match text(key.scalar, model, id) {
            Some(id) => format!("the row whose {} is {id}", key.name),
            None => format!("a row whose {} cannot be read either", key.name),
        };
        let message = format!("{}.{} of {row} {why}", of.table, of.column(column).name);
        Self { entity, column, message }
    }
}

impl fmt::Display for UnreadableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UnreadableValue {}

/// The columns that the log has mentioned.
#[derive(Debug, Default)]
pub(super) struct Mentioned(Mutex<HashMap<(EntityId, ColumnId), Instant>>);

impl Mentioned {
    /// Logs these values, at most one of each column in a minute.
    pub(super) fn report(&self, values: &[UnreadableValue]) {
        if values.is_empty() {
            return;
        }
        for value in values {
            if self.is_due(value, Instant::now()) {
                tracing::error!(
                    value = value.message,
                    "an answer has an error, because the model cannot express a value in the \
                     database; correct the value, or the model (other values of this column are \
                     not reported for a minute)"
                );
            }
        }
    }

    fn is_due(&self, value: &UnreadableValue, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match last.entry((value.entity, value.column)) {
            std::collections::hash_map::Entry::Occupied(at)
                if now.duration_since(*at.get()) < SILENCE =>
            {
                false
            }
            entry => {
                entry.insert_entry(now);
                true
            }
        }
    }
}
