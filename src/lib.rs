//! freshql serves persisted GraphQL queries over a SQL database and stamps every answer with an ETag that is derived
//! from the versions of the rows that it read.
//!
//! The modules stand in floors; a module imports only from floors below its own (`tests/integration/floors.rs` keeps it
//! so). Read them in this order: the words, the pure rules, the store, GraphQL, the policy, the front door.

// Floor 0: words. They know nobody.
pub mod config;
pub mod document_id;
pub mod json;
pub mod model;
pub mod syntax;
pub mod touch;

// Floor 1: pure rules. No I/O, no async, no HTTP framework.
pub mod cache_control;
pub mod clock;
pub mod conditional;
pub mod etag;
pub mod question;

// Floor 2: rows in, rows out, what changed.
pub mod store;

// Floor 3: what an operation means.
pub mod graphql;

// Floor 4: which document, which stored answer.
pub mod cache;
pub mod persisted;

// Floor 5: the front door.
pub mod app;
pub mod http;
