//! PostgreSQL: our own [`client`], pools of its connections, and on top of them the store's
//! contract. The rows of an answer are fetched ahead, level by level; mutations run in transactions
//! at READ COMMITTED; the feed compares snapshots.

pub(in crate::store) mod admin;
mod ahead;
mod alter;
mod blame;
pub(in crate::store) mod catalogue;
pub(in crate::store) mod change_log;
pub mod client;
pub(in crate::store) mod ddl;
mod dialect;
pub(in crate::store) mod difference;
pub(in crate::store) mod documents;
mod error;
pub(in crate::store) mod feed;
mod guarded;
mod idempotency;
pub(in crate::store) mod migrate;
mod pool;
mod prune;
mod pull;
mod rows;
mod scratch;
mod sequence;
mod steps;
mod store;
mod transaction;
pub(in crate::store) mod triggers;
mod values;
mod writers;

pub use admin::Admin;
pub(in crate::store) use pull::pull;
pub use scratch::ScratchDatabases;
pub use store::Store;
