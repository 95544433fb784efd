//! The tests that see freshql from outside, in one binary.

mod harness;

mod admin;
mod demo;
mod front_door;
mod graphql_over_http;
mod persisted_get;
mod writes;
