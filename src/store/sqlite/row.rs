//! Values in and out of SQLite: a statement's parameters, and the rows of its result.

use rusqlite::types::{Null, ToSqlOutput};
use rusqlite::{CachedStatement, ToSql};

use crate::model::scalar::{Misfit, ValueRef};
use crate::store::select::Slot;
use crate::store::source::Row;
use crate::store::statement::Statement;

/// The current row of a statement.
pub struct StepRow<'r>(pub(super) &'r rusqlite::Row<'r>);

impl Row for StepRow<'_> {
    #[inline]
    fn get(&self, index: usize) -> ValueRef<'_> {
        match self.0.get_ref_unwrap(index) {
            rusqlite::types::ValueRef::Null => ValueRef::Null,
            rusqlite::types::ValueRef::Integer(value) => ValueRef::Int(value),
            rusqlite::types::ValueRef::Real(value) => ValueRef::Real(value),
            rusqlite::types::ValueRef::Text(bytes) => {
                std::str::from_utf8(bytes).map_or(ValueRef::Other(Misfit::NotUtf8), ValueRef::Text)
            }
            rusqlite::types::ValueRef::Blob(_) => ValueRef::Other(Misfit::Blob),
        }
    }
}

/// Binds a statement's parameters.
pub(super) fn bind<'p>(
    prepared: &mut CachedStatement<'_>,
    statement: &Statement,
    value: impl Fn(Slot) -> ValueRef<'p>,
) -> rusqlite::Result<()> {
    for (i, parameter) in statement.parameters.iter().enumerate() {
        prepared.raw_bind_parameter(i + 1, Parameter(value(parameter.slot)))?;
    }
    Ok(())
}

/// A value to bind to a statement.
pub(super) struct Parameter<'a>(pub(super) ValueRef<'a>);

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.0 {
            ValueRef::Null | ValueRef::Other(_) => Null.into(),
            ValueRef::Int(value) => value.into(),
            ValueRef::Real(value) => value.into(),
            ValueRef::Text(text) => text.into(),
        })
    }
}
