//! PostgreSQL is not served yet. What there is: the migrations for it, which `migrate new` writes beside those for SQLite.

pub(in crate::store) mod ddl;
pub(in crate::store) mod difference;
pub(in crate::store) mod triggers;
