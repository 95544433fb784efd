//! The schema of a database, independent of the driver: the tables that a model needs, the folder
//! of migrations, the difference between a database and a model, and a first model for an existing
//! database.

pub mod difference;
pub mod layout;
pub mod migrations;
pub mod pull;
pub(in crate::store) mod section;
pub(in crate::store) mod words;
