//! Values in and out of SQLite: a statement's parameters, and the rows of its result.

use rusqlite::types::{Null, ToSqlOutput};
use rusqlite::{CachedStatement, ToSql};

use crate::model::Value;
use crate::model::scalar::ValueRef;
use crate::store::error::StoreError;
use crate::store::select::{Slot, Statement};

/// One row of a result.
pub enum Row<'r> {
    /// As SQLite stands on it.
    Stepped(&'r rusqlite::Row<'r>),
    /// A copy; None for [`ValueRef::Other`].
    Kept(&'r [Option<Value>]),
}

impl Row<'_> {
    /// The value of a column of the result.
    pub fn get(&self, index: usize) -> ValueRef<'_> {
        match self {
            Self::Stepped(row) => match row.get_ref_unwrap(index) {
                rusqlite::types::ValueRef::Null => ValueRef::Null,
                rusqlite::types::ValueRef::Integer(value) => ValueRef::Int(value),
                rusqlite::types::ValueRef::Real(value) => ValueRef::Real(value),
                rusqlite::types::ValueRef::Text(bytes) => {
                    std::str::from_utf8(bytes).map_or(ValueRef::Other, ValueRef::Text)
                }
                rusqlite::types::ValueRef::Blob(_) => ValueRef::Other,
            },
            Self::Kept(values) => values[index].as_ref().map_or(ValueRef::Other, Value::as_ref),
        }
    }
}

/// Gives a statement its parameters.
pub(super) fn bind<'p>(
    prepared: &mut CachedStatement<'_>,
    statement: &Statement,
    value: impl Fn(Slot) -> ValueRef<'p>,
) -> Result<(), StoreError> {
    for (i, slot) in statement.slots.iter().enumerate() {
        prepared.raw_bind_parameter(i + 1, Parameter(value(*slot)))?;
    }
    Ok(())
}

/// A value on its way into a statement.
pub(super) struct Parameter<'a>(pub(super) ValueRef<'a>);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            ValueRef::Null | ValueRef::Other => Null.into(),
            ValueRef::Int(value) => value.into(),
            ValueRef::Real(value) => value.into(),
            ValueRef::Text(text) => text.into(),
        })
    }
}
