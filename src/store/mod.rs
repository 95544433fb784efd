//! stub
pub mod change_log;
pub mod layout;
pub mod migrate;
pub mod triggers;
/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {}
