//! Maps SQLite's errors to the store's. SQLite names the subject of a constraint only in its
//! messages.

use rusqlite::{Error, ErrorCode, ffi};

use crate::model::Entity;
use crate::store::error::AdminError;
use crate::store::error::{Columns, Constraint, StoreError};
use crate::store::schema::migrations::MigrateError;
use crate::store::transaction::{RefusedValue, WhyRefused};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        of_tables(error, &[])
    }
}

impl From<Error> for MigrateError {
    fn from(error: Error) -> Self {
        Self::Database(error.into())
    }
}

impl From<Error> for AdminError {
    fn from(error: Error) -> Self {
        Self(error.into())
    }
}

/// The error of a statement that writes to the first of these tables, and fires triggers that may
/// write to the others.
pub(super) fn of_write(error: Error, tables: &[&str]) -> StoreError {
    match error {
        Error::SqlInputError { msg, .. } => StoreError::Statement(msg),
        Error::SqliteFailure(code, Some(message))
            if code.extended_code == ffi::SQLITE_ERROR && !is_limit(&message) =>
        {
            StoreError::Statement(message)
        }
        other => of_tables(other, tables),
    }
}

fn of_tables(error: Error, tables: &[&str]) -> StoreError {
    let Error::SqliteFailure(code, Some(message)) = &error else {
        return StoreError::Database(error.into());
    };
    if code.code == ErrorCode::DatabaseBusy {
        return StoreError::Overloaded;
    }
    if code.code == ErrorCode::OperationInterrupted {
        return StoreError::Interrupted;
    }
    if is_limit(message) {
        return StoreError::TooLarge;
    }
    if let Some(why) = unwritable(code.extended_code) {
        return StoreError::Unwritable(why.to_owned());
    }
    let rest = message.split_once("failed: ").map_or("", |(_, rest)| rest);
    StoreError::Constraint(match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => Constraint::Unique(columns(rest, tables)),
        // RESTRICT is reported as a trigger, too. Any other error raised by a trigger is a rule of
        // the authors.
        ffi::SQLITE_CONSTRAINT_TRIGGER if !message.starts_with("FOREIGN KEY") => {
            Constraint::Check(String::new())
        }
        ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => {
            Constraint::ForeignKey(Vec::new())
        }
        ffi::SQLITE_CONSTRAINT_DATATYPE => return StoreError::Value(message.clone()),
        ffi::SQLITE_CONSTRAINT_CHECK => Constraint::Check(rest.to_owned()),
        ffi::SQLITE_CONSTRAINT_NOTNULL => Constraint::NotNull(columns(rest, tables)),
        _ => return StoreError::Database(error.into()),
    })
}

/// The column of a STRICT table that does not take a value, from SQLite's message: `cannot store TEXT
/// value in INTEGER column t.c`.
pub(super) fn refused_value(message: String, entity: &Entity) -> RefusedValue {
    let of = |message: &str| {
        let (_, rest) = message.split_once(" value in ")?;
        let (column_type, column) = rest.split_once(" column ")?;
        let name = column.strip_prefix(&entity.table)?.strip_prefix('.')?;
        Some((name.to_owned(), column_type.to_owned()))
    };
    let columns = of(&message).into_iter().collect();
    RefusedValue { columns, why: WhyRefused::Malformed, message }
}

/// Whether it is one of SQLite's compile-time limits.
fn is_limit(message: &str) -> bool {
    let limits =
        ["Expression tree is too large", "too many SQL variables", "parser stack overflow"];
    limits.iter().any(|limit| message.starts_with(limit))
}

/// Why nothing can be written, if the cause is not what is written.
fn unwritable(extended_code: i32) -> Option<&'static str> {
    match extended_code {
        code if code & 0xff == ffi::SQLITE_FULL => Some("the disk is full"),
        code if code & 0xff == ffi::SQLITE_READONLY => Some("the database file can only be read"),
        ffi::SQLITE_IOERR_WRITE
        | ffi::SQLITE_IOERR_FSYNC
        | ffi::SQLITE_IOERR_DIR_FSYNC
        | ffi::SQLITE_IOERR_TRUNCATE
        | ffi::SQLITE_IOERR_SHMSIZE => Some("the disk refuses what is written to it"),
        _ => None,
    }
}

/// The columns that SQLite names, as `table.column, table.other`. A name may contain any
/// characters, so its end is ambiguous; but each name follows its table, if that is known.
fn columns(text: &str, tables: &[&str]) -> Columns {
    let is_of = |table: &&&str| {
        let is_table =
            text.get(..table.len()).is_some_and(|start| start.eq_ignore_ascii_case(table));
        is_table && text[table.len()..].starts_with('.')
    };
    let Some(table) = tables.iter().find(is_of) else {
        let pairs: Vec<(&str, &str)> =
            text.split(", ").filter_map(|name| name.split_once('.')).collect();
        let table = pairs.first().map_or("", |(table, _)| table).to_owned();
        return Columns {
            table,
            names: pairs.into_iter().map(|(_, name)| name.to_owned()).collect(),
        };
    };
    let (start, names) = (&text[..=table.len()], &text[table.len() + 1..]);
    let names = names.split(&format!(", {start}")).map(str::to_owned).collect();
    Columns { table: (*table).to_owned(), names }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_a_constraint_are_found_whatever_they_are_called() {
        let of = |text: &str, tables: &[&str]| {
            let Columns { table, names } = columns(text, tables);
            format!("{table}: {}", names.join("|"))
        };
        assert_eq!(of("t.a, t.b", &["t"]), "t: a|b");
        assert_eq!(of("T.a, T.b", &["t"]), "t: a|b");
        assert_eq!(of("a.b.c, d, a.b.e", &["a.b"]), "a.b: c, d|e");
        assert_eq!(of("u.a, u.b", &["t"]), "u: a|b");
        assert_eq!(of("", &["t"]), ": ");
    }
}
