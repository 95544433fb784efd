//! The tests that see freshql from outside, in one binary.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod authors;
mod books;
mod bookshop;
mod choices;
mod harness;
mod library;
mod names;
mod node;
mod properties;
mod queries;
mod random_change;
mod random_model;
mod random_sdl;
mod random_write;
mod reference;
mod rows;
mod shop;

mod admin;
mod adoption;
mod cache;
mod cache_over_http;
mod cache_sharing;
mod cache_trouble;
mod comfort;
mod commands;
mod concurrency;
mod connections;
mod demo;
mod demo_answers;
mod difference;
mod durability;
mod explain;
mod floors;
mod freshness;
mod front_door;
mod graphql_js;
mod graphql_over_http;
mod hostile;
mod limits;
mod logs;
mod mistakes;
mod mutations;
mod one_question;
mod outside;
mod persisted_get;
mod postgres;
mod railway;
mod reads;
mod retired;
mod statements;
mod unmanaged;
mod versions;
mod writes;
