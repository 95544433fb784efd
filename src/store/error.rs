//! The errors of the store. The messages are for logs; none of them reaches a client.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint refused a write.
    #[error("constraint violated: {0:?}")]
    Constraint(Constraint),
    /// Too many jobs are waiting.
    #[error("too many operations wait for the database")]
    Overloaded,
    /// The database cannot compile a statement this large.
    #[error("the statement is too large")]
    TooLarge,
    /// The operation was interrupted: its steps were used up, or nobody waits for it any more.
    #[error("the operation was ended before it was done")]
    Interrupted,
    /// It exceeded its time limit.
    #[error("the operation took too long")]
    Late,
    /// The versions of an entity's rows are unreliable, and something needs them.
    #[error("{0}")]
    Unguarded(String),
    /// The file at the database's path is not the one that was opened, or there is none.
    #[error("{0}")]
    Lost(String),
    /// The disk is full, or the file is read-only.
    #[error("the database cannot be written: {0}")]
    Unwritable(String),
    /// The connection's thread has ended, or a job has panicked.
    #[error("the database thread did not answer")]
    Gone,
    /// The commit failed; nothing of the group was written.
    #[error("commit failed: {0}")]
    Commit(String),
    /// The connection broke during the commit, so its outcome is unknown.
    #[error("whether it was committed is unknown: {0}")]
    Unknown(String),
    /// A statement made the database roll back the whole transaction.
    #[error("the database has rolled back the transaction")]
    RolledBack,
    /// The database rejects a writing statement because of the triggers that it fires. Contains the
    /// database's message.
    #[error("a statement cannot run: {0}")]
    Statement(String),
    /// The database rejects a value that the model allows. Contains the database's message.
    #[error("a value is refused: {0}")]
    Value(String),
    /// A thread could not be started.
    #[error("cannot start a database thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The index of the write-ahead log cannot be read.
    #[error("cannot read the database's -shm file: {0}")]
    Index(#[source] std::io::Error),
    /// A system table has unexpected contents.
    #[error("{0}")]
    Corrupt(String),
    /// A row was requested that was not fetched ahead, because the answer exceeds its maximum
    /// number of rows.
    #[error("a row is asked for that was not fetched")]
    NotFetched,
    /// Any other error of the database.
    #[error("{0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A violated constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// Another row has these values already.
    Unique(Columns),
    /// A row refers to one that does not exist, through these written columns; or, if there are
    /// none, a row that is still referred to would be deleted.
    ForeignKey(Vec<String>),
    /// A check fails; its name or text.
    Check(String),
    /// A column may not be NULL.
    NotNull(Columns),
}

/// Columns of a table, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The table.
    pub table: String,
    /// The columns.
    pub names: Vec<String>,
}

/// The database could not be read or written; contains its message.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AdminError(pub(in crate::store) Box<dyn std::error::Error + Send + Sync>);
