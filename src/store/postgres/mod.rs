//! PostgreSQL is not served yet, and so there is no way to open one. What there is: the migrations for it, which `migrate new`
//! writes beside those for SQLite.

pub mod client;
pub(in crate::store) mod ddl;
pub(in crate::store) mod difference;
pub(in crate::store) mod triggers;

/// A database on a PostgreSQL server. There is none yet.
#[derive(Debug, Clone, Copy)]
pub enum Store {}
