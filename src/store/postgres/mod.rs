//! PostgreSQL is not served yet, and so there is no way to open one. What there is: the migrations for it, which `migrate new`
//! writes beside those for SQLite.

pub(in crate::store) mod admin;
mod alter;
pub(in crate::store) mod catalogue;
#[expect(dead_code, reason = "the store holds the feed next")]
pub(in crate::store) mod change_log;
pub mod client;
pub(in crate::store) mod ddl;
pub(in crate::store) mod difference;
#[expect(dead_code, reason = "the store holds it next")]
pub(in crate::store) mod feed;
pub(in crate::store) mod migrate;
mod pull;
pub(in crate::store) mod triggers;

pub use admin::Admin;
pub(in crate::store) use pull::pull;

/// A database on a PostgreSQL server. There is none yet.
#[derive(Debug, Clone, Copy)]
pub enum Store {}
