//! What can go wrong in the store. The messages are for logs; none of them reaches a client.

use rusqlite::ffi;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint refused a write.
    #[error("constraint violated: {0:?}")]
    Constraint(Constraint),
    /// Too many jobs wait already.
    #[error("too many operations wait for the database")]
    Overloaded,
    /// A statement is beyond what SQLite compiles.
    #[error("the statement is too large")]
    TooLarge,
    /// The operation was ended: its steps were used up, or nobody waits for it any more.
    #[error("the operation was ended before it was done")]
    Interrupted,
    /// It took longer than it may.
    #[error("the operation took too long")]
    Late,
    /// The versions of an entity's rows tell nothing, and something needs them.
    #[error("{0}")]
    Unguarded(String),
    /// The file at the database's path is not the one that was opened, or there is none.
    #[error("{0}")]
    Lost(String),
    /// The disk is full, or the file can only be read.
    #[error("the database cannot be written: {0}")]
    Unwritable(String),
    /// The thread of the connection has ended or a job has panicked.
    #[error("the database thread did not answer")]
    Gone,
    /// The commit failed; nothing of the group was written.
    #[error("commit failed: {0}")]
    Commit(String),
    /// A statement has made the database roll back its whole transaction.
    #[error("the database has rolled back the transaction")]
    RolledBack,
    /// SQLite does not take a writing statement, for what the triggers that it fires say. In SQLite's words.
    #[error("a statement cannot run: {0}")]
    Statement(String),
    /// A thread could not be started.
    #[error("cannot start a database thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The index of the write-ahead log cannot be read.
    #[error("cannot read the database's -shm file: {0}")]
    Index(#[source] std::io::Error),
    /// What a system table says is not what it should say.
    #[error("{0}")]
    Corrupt(String),
    /// Anything else that SQLite says.
    #[error("sqlite: {0}")]
    Sqlite(#[source] rusqlite::Error),
}

/// A violated constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// Another row has these values already.
    Unique(Columns),
    /// A row points to one that is not there, or one that is still pointed to should go.
    ForeignKey,
    /// A check does not hold; its name or text.
    Check(String),
    /// A column may not be NULL.
    NotNull(Columns),
}

/// The columns that SQLite names when a constraint is violated, as it writes them: `table.column, table.other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(String);

impl Columns {
    /// As SQLite writes them.
    #[cfg(test)]
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Are they this table's?
    pub fn are_of(&self, table: &str) -> bool {
        let is_table = self.0.get(..table.len()).is_some_and(|start| start.eq_ignore_ascii_case(table));
        is_table && self.0[table.len()..].starts_with('.')
    }

    /// The names of the columns, if they are this table's. What a name may be does not tell where it ends; but each
    /// follows its table's.
    pub fn of(&self, table: &str) -> Vec<&str> {
        if !self.are_of(table) {
            return self.0.split(", ").filter_map(|name| Some(name.split_once('.')?.1)).collect();
        }
        let (table, names) = (&self.0[..=table.len()], &self.0[table.len() + 1..]);
        names.split(&format!(", {table}")).collect()
    }
}

impl StoreError {
    /// The error of a statement that writes and fires triggers.
    pub(super) fn of_write(error: rusqlite::Error) -> Self {
        match Self::from(error) {
            Self::Sqlite(rusqlite::Error::SqlInputError { msg, .. }) => Self::Statement(msg),
            Self::Sqlite(rusqlite::Error::SqliteFailure(code, Some(message)))
                if code.extended_code == ffi::SQLITE_ERROR =>
            {
                Self::Statement(message)
            }
            other => other,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        let rusqlite::Error::SqliteFailure(code, Some(message)) = &error else {
            return Self::Sqlite(error);
        };
        if code.code == rusqlite::ErrorCode::DatabaseBusy {
            return Self::Overloaded;
        }
        if code.code == rusqlite::ErrorCode::OperationInterrupted {
            return Self::Interrupted;
        }
        if ["Expression tree is too large", "too many SQL variables", "parser stack overflow"]
            .iter()
            .any(|limit| message.starts_with(limit))
        {
            return Self::TooLarge;
        }
        if let Some(why) = unwritable(code.extended_code) {
            return Self::Unwritable(why.to_owned());
        }
        let rest = message.split_once("failed: ").map_or("", |(_, rest)| rest);
        match code.extended_code {
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID => {
                Self::Constraint(Constraint::Unique(Columns(rest.to_owned())))
            }
            // RESTRICT is a trigger too; what else raises an error in one is a rule of the authors' own.
            ffi::SQLITE_CONSTRAINT_TRIGGER if !message.starts_with("FOREIGN KEY") => {
                Self::Constraint(Constraint::Check(String::new()))
            }
            ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER => {
                Self::Constraint(Constraint::ForeignKey)
            }
            ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_DATATYPE => {
                Self::Constraint(Constraint::Check(rest.to_owned()))
            }
            ffi::SQLITE_CONSTRAINT_NOTNULL => Self::Constraint(Constraint::NotNull(Columns(rest.to_owned()))),
            _ => Self::Sqlite(error),
        }
    }
}

/// Why nothing can be written, where it is no fault of what is written.
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
