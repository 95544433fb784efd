//! The tests that see freshql from outside, in one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;
mod library;

mod admin;
mod commands;
mod concurrency;
mod demo;
mod durability;
mod explain;
mod freshness;
mod front_door;
mod graphql_over_http;
mod persisted_get;
mod writes;
