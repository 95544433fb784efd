//! SQLite, in process: threads that own one connection each. A reader runs a whole operation as one
//! job in one snapshot, so a request changes threads once and not once per row. A single writer
//! serialises the mutations; those that queue up share one commit.

mod admin;
mod ahead;
mod alter;
pub(crate) mod backup;
mod blame;
pub(in crate::store) mod catalogue;
pub mod change_log;
mod connection;
pub mod ddl;
pub mod dialect;
pub(in crate::store) mod difference;
pub(in crate::store) mod documents;
mod error;
pub(in crate::store) mod expression;
mod feed;
mod guard;
mod idempotency;
mod identity;
mod jobs;
mod lexer;
mod meter;
pub mod migrate;
mod opened;
mod pull;
mod row;
pub(in crate::store) mod rows;
pub(in crate::store) mod scratch;
mod scratch_files;
mod snapshot;
mod store;
mod threads;
mod transaction;
pub(crate) mod triggers;
pub(in crate::store) mod words;
mod writable;
mod writer;

pub use admin::Admin;
pub use connection::open;
pub(in crate::store) use connection::open_read_only;
pub use pull::pull;
pub use scratch_files::ScratchFiles;
pub use snapshot::Snapshot;
pub use store::Store;
pub use transaction::Transaction;

#[cfg(test)]
mod tests;
