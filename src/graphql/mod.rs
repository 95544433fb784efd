//! What an operation means: documents are validated against the generated schema, compiled into plans, and run against
//! the store. This file is the face that the floors above see; read on in `engine.rs`, then in the order below.

pub mod error;

mod bind;
mod coerce;
mod compile;
mod cursor;
mod document;
mod engine;
mod plan;
mod read;
mod write;

mod connection;
mod definition;
mod inputs;
mod introspect;
mod schema;
mod sdl;
mod types;
mod validate;

#[cfg(test)]
mod fixture;

pub use coerce::Variables;
pub use document::{Document, Kind, Operation};
pub use engine::{Answer, Compiler, Engine};
pub use error::{Code, GraphqlError, PathSegment};
pub use schema::SchemaError;
