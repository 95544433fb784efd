//! The tests that see freshql from outside, in one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bookshop;
mod harness;
mod library;
mod queries;
mod reference;

mod admin;
mod commands;
mod concurrency;
mod demo;
mod demo_answers;
mod durability;
mod explain;
mod floors;
mod freshness;
mod front_door;
mod graphql_over_http;
mod hostile;
mod mutations;
mod outside;
mod persisted_get;
mod reads;
mod statements;
mod writes;
