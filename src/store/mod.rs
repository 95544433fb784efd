//! stub
/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {}
