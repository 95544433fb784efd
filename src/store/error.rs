//! What can go wrong in the store. The messages are for logs; none of them reaches a client.

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A constraint refused a write.
    #[error("constraint violated: {0:?}")]
    Constraint(Constraint),
    /// Too many jobs wait already.
    #[error("too many operations wait for the database")]
    Overloaded,
    /// A statement is beyond what the database compiles.
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
    /// The connection broke while it was committed, and nobody knows whether it was.
    #[error("whether it was committed is unknown: {0}")]
    Unknown(String),
    /// A statement has made the database roll back its whole transaction.
    #[error("the database has rolled back the transaction")]
    RolledBack,
    /// The database does not take a writing statement, for what the triggers that it fires say. In
    /// its words.
    #[error("a statement cannot run: {0}")]
    Statement(String),
    /// The database does not take a value, which the model allows. In its words.
    #[error("a value is refused: {0}")]
    Value(String),
    /// A thread could not be started.
    #[error("cannot start a database thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The index of the write-ahead log cannot be read.
    #[error("cannot read the database's -shm file: {0}")]
    Index(#[source] std::io::Error),
    /// What a system table says is not what it should say.
    #[error("{0}")]
    Corrupt(String),
    /// A row is asked for that was not fetched ahead, because the answer has more rows than it may
    /// have.
    #[error("a row is asked for that was not fetched")]
    NotFetched,
    /// Anything else that the database says.
    #[error("{0}")]
    Database(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A violated constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constraint {
    /// Another row has these values already.
    Unique(Columns),
    /// A row points to one that is not there, by these of the columns that were written; or, where
    /// there are none, a row that is still pointed to should go.
    ForeignKey(Vec<String>),
    /// A check does not hold; its name or text.
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

/// The database could not be read or written, in its words.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct AdminError(pub(in crate::store) Box<dyn std::error::Error + Send + Sync>);
