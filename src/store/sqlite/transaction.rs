//! Writing statements, within a transaction that the writer has begun.

use super::row::Parameter;
use super::writable::Writable;
use super::{Row, Snapshot, bind};
use crate::model::Value;
use crate::model::scalar::ValueRef;
use crate::store::error::StoreError;
use crate::store::select::{Slot, Statement};
use crate::touch::Version;

/// A [`Snapshot`] that can be written to; it sees its own writes.
pub struct Transaction<'c>(pub(super) Snapshot<'c>, pub(super) &'c Writable);

impl<'c> std::ops::Deref for Transaction<'c> {
    type Target = Snapshot<'c>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Transaction<'_> {
    /// Reads for the answer. What a mutation writes is not metered, for half of it is nothing; what it reads is, as the
    /// others who write wait for it.
    pub fn metered<T>(&self, read: impl FnOnce() -> T) -> T {
        self.0.meter.run(true);
        let done = read();
        self.0.meter.run(false);
        done
    }

    /// Runs a writing statement and returns how many rows it changed (not counting what triggers did).
    ///
    /// # Errors
    /// The database's; violated constraints are [`StoreError::Constraint`].
    pub fn execute<'p>(
        &self,
        statement: &Statement,
        value: impl Fn(Slot) -> ValueRef<'p>,
    ) -> Result<usize, StoreError> {
        let mut prepared = self.connection.prepare_cached(&statement.sql).map_err(|error| self.refused(error))?;
        bind(&mut prepared, statement, value)?;
        prepared.raw_execute().map_err(|error| self.refused(error))
    }

    /// Runs an inserting statement that returns one value, the key.
    ///
    /// # Errors
    /// As [`Self::execute`].
    pub fn insert<'p>(&self, statement: &Statement, value: impl Fn(Slot) -> ValueRef<'p>) -> Result<Value, StoreError> {
        let mut prepared = self.connection.prepare_cached(&statement.sql).map_err(|error| self.refused(error))?;
        bind(&mut prepared, statement, value)?;
        let mut rows = prepared.raw_query();
        let mut key = Value::Null;
        while let Some(row) = rows.next().map_err(|error| self.refused(error))? {
            key = Row::Stepped(row).get(0).to_value();
        }
        Ok(key)
    }

    /// A full disk is remembered, whoever is told of it.
    fn refused(&self, error: rusqlite::Error) -> StoreError {
        let error = StoreError::of_write(error);
        self.1.failed(&error);
        error
    }

    /// Whether the change log has, after this record, one of a row that went.
    ///
    /// # Errors
    /// The database's.
    pub fn is_deletion_logged(&self, after: Version, entity: &str, key: &Value) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM _freshql_change WHERE seq > ? AND entity = ? AND id IS ? AND op = 'D'";
        let mut statement = self.connection.prepare_cached(sql)?;
        Ok(statement.exists((after.0, entity, Parameter(key.as_ref())))?)
    }
}
