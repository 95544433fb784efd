//! The schema of a database, whatever the driver: which tables a model needs, the folder of
//! migrations, what separates a database from a model, and the model of a database that others have
//! made.

pub mod difference;
pub mod layout;
pub mod migrations;
pub mod pull;
pub(in crate::store) mod section;
