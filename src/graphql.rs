//! What an operation means: documents are validated against the generated schema, compiled into
//! plans, and run against the store. The floors above use what this file exports. To read the code,
//! start with `engine.rs`, then follow the order below.

pub(crate) mod error;

pub(crate) mod access;
mod argument;
mod bind;
mod bound;
mod coerce;
pub(crate) mod compile;
mod compiler;
mod condition;
pub mod cursor;
mod decider;
pub(crate) mod document;
pub(crate) mod engine;
pub(crate) mod explain;
mod fetch;
pub(crate) mod lint;
pub(crate) mod observation;
mod parsed;
pub(crate) mod plan;
pub(crate) mod reach;
pub(crate) mod read;
mod residual;
mod rules;
mod shown;
mod unreadable;
mod watch;
pub(crate) mod write;

pub(crate) mod connection;
pub(crate) mod definition;
pub(crate) mod inputs;
pub(crate) mod introspect;
pub(crate) mod schema;
pub(crate) mod sdl;
mod selections;
mod typename;
pub(crate) mod types;
mod uses;
pub(crate) mod validate;
mod variables;
mod verdict;

#[cfg(test)]
mod fixture;

pub use argument::Variables;
pub use compiler::Compiler;
pub use document::{Document, Operation, OperationKind};
pub use engine::{Answer, Asked, Engine, Once};
pub use error::{Code, GraphqlError, PathSegment};
pub use schema::SchemaError;
