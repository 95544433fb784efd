//! Write statements, within a transaction that the writer has begun.

use std::cell::Cell;
use std::time::Duration;

use super::blame;
use super::catalogue::authors::Event;
use super::dialect;
use super::error::{of_write, refused_value};
use super::idempotency;
use super::row::{Parameter, StepRow, bind};
use super::snapshot::Snapshot;
use super::writable::Writable;
use crate::dependency::Version;
use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, Entity, Value};
use crate::store::error::{Constraint, StoreError};
use crate::store::reading::Levels;
use crate::store::render::{FIRST_VALUE_SLOT, KEY_SLOT, VERSION_SLOT};
use crate::store::rendered::{Purpose, Rendered};
use crate::store::select::{Shape, Slot, Visible};
use crate::store::source::{Row, State};
use crate::store::statement::Statement;
use crate::store::transaction::{self, KeptAnswer, NoEffect, Refusal};

/// A [`Snapshot`] that can be written to; it sees its own writes.
pub struct Transaction<'c> {
    pub(super) snapshot: Snapshot<'c>,
    pub(super) writable: &'c Writable,
    pub(super) rendered: &'c Rendered,
    /// How an update makes sure that the row's version reflects it.
    pub(super) care: Care,
}

/// An update that gives the row a new version has certainly been recorded. One that does not has
/// usually changed nothing. But a foreign trigger may have prevented the new version, which only a
/// comparison with the previous row can show. Reading that row every time would make every update
/// pay for a rare case.
#[derive(Debug, Default)]
pub(super) enum Care {
    /// The row is not read before the update. If it should have been, the flag is set, the mutation
    /// fails, and the writer rolls it back and runs it again.
    Brief { was_too_brief: Cell<bool> },
    /// The row is read before the update.
    #[default]
    Thorough,
}

impl Care {
    /// Relies on the version, as long as it is conclusive.
    pub(super) fn brief() -> Self {
        Self::Brief { was_too_brief: Cell::new(false) }
    }

    /// Whether the mutation must be rolled back and run again, thoroughly.
    pub(super) fn was_too_brief(&self) -> bool {
        matches!(self, Self::Brief { was_too_brief } if was_too_brief.get())
    }
}

impl<'c> std::ops::Deref for Transaction<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Self::Target {
        &self.snapshot
    }
}

/// A row at some moment, as far as the model is concerned.
struct RowState {
    version: Version,
    values: Vec<Value>,
}

/// All columns of an entity except the key, which identifies the row.
fn columns_of(entity: &Entity) -> Vec<ColumnId> {
    entity.column_ids().filter(|id| *id != entity.key).collect()
}

/// The query for a row's state: its version, and these columns.
fn state_of(entity: &Entity, columns: &[ColumnId]) -> Shape {
    Shape::Row {
        from: Visible::everything(entity.id),
        keys: [entity.key].into(),
        columns: columns.into(),
    }
}

/// Writes something that takes space, and deletes it again. No table that anybody reads changes,
/// nor does the change log.
pub(in crate::store) fn probe(transaction: &Transaction<'_>) -> Result<(), StoreError> {
    let sql =
        "INSERT OR REPLACE INTO _freshql_meta (key, value) VALUES ('probe', hex(zeroblob(8192)));
               DELETE FROM _freshql_meta WHERE key = 'probe'";
    Ok(transaction.connection().execute_batch(sql)?)
}

impl Transaction<'_> {
    /// Runs a write statement and returns the number of rows that it changed (not counting the
    /// effects of triggers).
    fn execute<'p>(
        &self,
        statement: &Statement,
        value: impl Fn(Slot) -> ValueRef<'p>,
    ) -> rusqlite::Result<usize> {
        let mut prepared = self.connection().prepare_cached(&statement.sql)?;
        bind(&mut prepared, statement, value)?;
        prepared.raw_execute()
    }

    /// Runs an insert statement that returns a single value, the key.
    fn execute_insert<'p>(
        &self,
        statement: &Statement,
        value: impl Fn(Slot) -> ValueRef<'p>,
    ) -> rusqlite::Result<Value> {
        let mut prepared = self.connection().prepare_cached(&statement.sql)?;
        bind(&mut prepared, statement, value)?;
        let mut rows = prepared.raw_query();
        let mut key = Value::Null;
        while let Some(row) = rows.next()? {
            key = StepRow(row).get(0).to_value();
        }
        Ok(key)
    }

    fn row_state(
        &self,
        entity: &Entity,
        key: &Value,
        columns: &[ColumnId],
    ) -> Result<Option<RowState>, StoreError> {
        let render = || dialect::query(self.model(), &state_of(entity, columns));
        let statement = self.rendered.get(entity.id, Purpose::State(columns.to_vec()), render);
        let mut prepared = self.connection().prepare_cached(&statement.sql)?;
        bind(&mut prepared, &statement, |_| key.as_ref())?;
        let mut rows = prepared.raw_query();
        let mut found = None;
        while let Some(row) = rows.next()? {
            let row = StepRow(row);
            if let ValueRef::Int(version) = row.get(1) {
                let values =
                    (2..columns.len() + 2).map(|index| row.get(index).to_value()).collect();
                found = Some(RowState { version: Version(version), values });
            }
        }
        Ok(found)
    }

    /// The row to be updated.
    fn state_before(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
    ) -> Result<RowState, Refusal> {
        let before = self.row_state(entity, key, &columns_of(entity))?.ok_or(Refusal::Absent)?;
        if expected.is_some_and(|expected| expected != before.version) {
            return Err(Refusal::Absent);
        }
        Ok(before)
    }

    fn version(&self, entity: &Entity, key: &Value) -> Result<Option<Version>, StoreError> {
        Ok(self.row_state(entity, key, &[])?.map(|state| state.version))
    }

    /// Whether the change log has a record of a deleted row after this one.
    fn is_deletion_logged(
        &self,
        after: Version,
        entity: &str,
        key: &Value,
    ) -> Result<bool, StoreError> {
        let sql =
            "SELECT 1 FROM _freshql_change WHERE seq > ? AND entity = ? AND id IS ? AND op = 'D'";
        let mut statement = self.connection().prepare_cached(sql)?;
        Ok(statement.exists((after.0, entity, Parameter(key.as_ref())))?)
    }

    /// Why a statement that writes to the entity's table has failed. `key` is that of an existing
    /// row.
    fn refused(
        &self,
        error: rusqlite::Error,
        entity: &Entity,
        key: Option<&Value>,
        row: &[(ColumnId, Value)],
    ) -> Refusal {
        // The ON DELETE of a foreign key may have violated a constraint of another table.
        let others = self.model().entities.iter().map(|other| other.table.as_str());
        let tables: Vec<&str> = std::iter::once(entity.table.as_str()).chain(others).collect();
        let error = of_write(error, &tables);
        // A full disk is recorded, whoever gets the error.
        self.writable.failed(&error);
        match error {
            StoreError::Constraint(Constraint::ForeignKey(_)) => {
                let written: Vec<(&str, &Value)> = row
                    .iter()
                    .map(|(id, value)| (entity.column(*id).name.as_str(), value))
                    .collect();
                let key = (entity.column(entity.key).name.as_str(), key);
                let dangling = blame::dangling(self.connection(), &entity.table, key, &written)
                    .unwrap_or_default();
                Refusal::Constraint(Constraint::ForeignKey(dangling))
            }
            StoreError::Value(message) => Refusal::Value(refused_value(message, entity)),
            StoreError::Statement(message) => match blame::broken(self.connection(), &message) {
                Ok(triggers) if !triggers.is_empty() => {
                    Refusal::BrokenTriggers { triggers, message }
                }
                Ok(_) => Refusal::Store(StoreError::Statement(message)),
                Err(error) => Refusal::Store(error),
            },
            other => other.into(),
        }
    }

    fn without_effect(&self, entity: &Entity, event: Event, effect: NoEffect) -> Refusal {
        let connection = self.connection();
        let triggers = blame::interfering(connection, &entity.table, event);
        match (triggers, blame::has_rule_that_ignores(connection, &entity.table)) {
            (Ok(triggers), Ok(by_rule)) => Refusal::NoEffect { effect, triggers, by_rule },
            (Err(error), _) | (_, Err(error)) => Refusal::Store(error),
        }
    }
}

impl<'c> transaction::Transaction for Transaction<'c> {
    type Source = Snapshot<'c>;

    async fn state(&self) -> Result<State, StoreError> {
        self.snapshot.state()
    }

    async fn kept_answer(
        &self,
        key: &str,
        retention: Duration,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        Ok(idempotency::find(self.connection(), key, retention)?)
    }

    async fn keep_answer(
        &self,
        key: &str,
        request: &[u8],
        answer: &[u8],
        retention: Duration,
    ) -> Result<(), StoreError> {
        Ok(idempotency::keep(self.connection(), key, request, answer, retention)?)
    }

    async fn insert(&self, entity: &Entity, row: &[(ColumnId, Value)]) -> Result<Value, Refusal> {
        let columns: Vec<ColumnId> = row.iter().map(|(id, _)| *id).collect();
        let render = || dialect::insert(self.model(), entity, &columns);
        let statement = self.rendered.get(entity.id, Purpose::Insert(columns.clone()), render);
        let value = |slot: Slot| row[usize::from(slot - FIRST_VALUE_SLOT)].1.as_ref();
        let newest = self.newest_change()?;
        let key = self
            .execute_insert(&statement, value)
            .map_err(|error| self.refused(error, entity, None, row))?;
        let without = |effect| Err(self.without_effect(entity, Event::Insert, effect));
        if key == Value::Null {
            return without(NoEffect::Ignored);
        }
        match self.version(entity, &key)? {
            None => without(NoEffect::Undone),
            Some(version) if version <= newest => without(NoEffect::Unversioned),
            Some(_) => Ok(key),
        }
    }

    async fn update(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
        row: &[(ColumnId, Value)],
    ) -> Result<(), Refusal> {
        let before = match &self.care {
            Care::Brief { .. } => None,
            Care::Thorough => Some(self.state_before(entity, key, expected)?),
        };
        let known = match (expected, &before) {
            (Some(version), _) => version,
            (None, Some(before)) => before.version,
            (None, None) => self.version(entity, key)?.ok_or(Refusal::Absent)?,
        };
        let columns: Vec<ColumnId> = row.iter().map(|(id, _)| *id).collect();
        let is_versioned = expected.is_some();
        let render = || dialect::update(self.model(), entity, &columns, is_versioned);
        let statement =
            self.rendered.get(entity.id, Purpose::Update(columns.clone(), is_versioned), render);
        let value = |slot: Slot| match slot {
            KEY_SLOT => key.as_ref(),
            VERSION_SLOT => version(expected),
            slot => row[usize::from(slot - FIRST_VALUE_SLOT)].1.as_ref(),
        };
        let changed = self.execute(&statement, value);
        let without = |effect| Err(self.without_effect(entity, Event::Update, effect));
        if changed.map_err(|error| self.refused(error, entity, Some(key), row))? == 0 {
            return match self.version(entity, key)? {
                Some(found) if expected.is_none_or(|expected| expected == found) => {
                    without(NoEffect::Ignored)
                }
                _ => Err(Refusal::Absent),
            };
        }
        match self.version(entity, key)? {
            None => without(NoEffect::Undone),
            Some(version) if version > known => Ok(()),
            Some(version) => match (&self.care, before) {
                (Care::Brief { was_too_brief }, _) => {
                    was_too_brief.set(true);
                    Err(Refusal::Absent)
                }
                (Care::Thorough, Some(before)) if before.version == version => {
                    let after = self.row_state(entity, key, &columns_of(entity))?;
                    match after.is_some_and(|after| after.values == before.values) {
                        true => Ok(()),
                        false => without(NoEffect::Unversioned),
                    }
                }
                (Care::Thorough, _) => Ok(()),
            },
        }
    }

    async fn delete(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
    ) -> Result<(), Refusal> {
        let found = self.version(entity, key)?.ok_or(Refusal::Absent)?;
        if expected.is_some_and(|expected| expected != found) {
            return Err(Refusal::Absent);
        }
        let is_versioned = expected.is_some();
        let render = || dialect::delete(self.model(), entity, is_versioned);
        let statement = self.rendered.get(entity.id, Purpose::Delete(is_versioned), render);
        let value = |slot: Slot| if slot == KEY_SLOT { key.as_ref() } else { version(expected) };
        let newest = self.newest_change()?;
        let deleted = self.execute(&statement, value);
        let without = |effect| Err(self.without_effect(entity, Event::Delete, effect));
        if deleted.map_err(|error| self.refused(error, entity, Some(key), &[]))? == 0 {
            return without(NoEffect::Ignored);
        }
        if self.version(entity, key)?.is_some() {
            return without(NoEffect::Undone);
        }
        if !self.is_deletion_logged(newest, &entity.name, key)? {
            return without(NoEffect::Unversioned);
        }
        Ok(())
    }

    /// The transaction holds the only lock that there is.
    async fn lock(&self, entity: &Entity, key: &Value) -> Result<Option<Version>, StoreError> {
        self.version(entity, key)
    }

    /// The writes of a mutation are not metered, since half of a mutation is worthless. The reads
    /// for its answer are, because other writers wait for it.
    async fn read<'l, T>(
        &self,
        _: impl Levels<'l>,
        read: impl FnOnce(&Snapshot<'c>) -> T,
    ) -> Result<T, StoreError> {
        self.snapshot.metered(true);
        let done = read(&self.snapshot);
        self.snapshot.metered(false);
        Ok(done)
    }
}

fn version(expected: Option<Version>) -> ValueRef<'static> {
    expected.map_or(ValueRef::Null, |version| ValueRef::Int(version.0))
}
