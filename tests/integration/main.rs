//! All tests that need a running server, in one binary.

mod harness;

mod admin;
mod front_door;
mod graphql_over_http;
mod persisted_get;
mod writes;
