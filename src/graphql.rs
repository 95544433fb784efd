//! What an operation means: documents are validated against the generated schema, compiled into
//! plans, and run against the store. The floors above use what this file exports. To read the code,
//! start with `engine.rs`, then follow the order below.

pub mod error;

pub mod access;
mod argument;
mod bind;
mod bound;
mod coerce;
pub mod compile;
mod condition;
pub mod cursor;
mod decider;
pub mod document;
pub mod engine;
pub mod explain;
mod fetch;
pub mod lint;
pub mod observation;
mod parsed;
pub mod plan;
pub mod reach;
pub mod read;
mod residual;
mod rules;
mod shown;
mod watch;
pub mod write;

pub mod connection;
pub mod definition;
pub mod inputs;
pub mod introspect;
pub mod schema;
pub mod sdl;
mod selections;
mod typename;
pub mod types;
mod uses;
pub mod validate;
mod variables;
mod verdict;

#[cfg(test)]
mod fixture;

pub use argument::Variables;
pub use document::{Document, Operation, OperationKind};
pub use engine::{Answer, Asked, Compiler, Engine, Once};
pub use error::{Code, GraphqlError, PathSegment};
pub use schema::SchemaError;
