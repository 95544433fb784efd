//! All tests that need a running server or a database, in one binary.

mod harness;
mod library;

mod admin;
mod freshness;
mod front_door;
mod graphql_over_http;
mod persisted_get;
mod writes;
