//! Tests that see freshql from outside, in one binary. Each file is named for the behaviour that
//! its tests establish; shared code is in `support/`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

// Shared by the tests: harnesses, models, generators, and a simple implementation to compare with.
#[path = "support/blog.rs"]
mod blog;
#[path = "support/books.rs"]
mod books;
#[path = "support/bookshop.rs"]
mod bookshop;
#[path = "support/database.rs"]
mod database;
#[path = "support/harness.rs"]
mod harness;
#[path = "support/library.rs"]
mod library;
#[path = "support/lifetimes.rs"]
mod lifetimes;
#[path = "support/newsroom.rs"]
mod newsroom;
#[path = "support/node.rs"]
mod node;
#[path = "support/openid.rs"]
mod openid;
#[path = "support/plans.rs"]
mod plans;
#[path = "support/postgres.rs"]
mod postgres;
#[path = "support/program.rs"]
mod program;
#[path = "support/properties.rs"]
mod properties;
#[path = "support/proxy.rs"]
mod proxy;
#[path = "support/pulled.rs"]
mod pulled;
#[path = "support/queries.rs"]
mod queries;
#[path = "support/random_change.rs"]
mod random_change;
#[path = "support/random_choices.rs"]
mod random_choices;
#[path = "support/random_model.rs"]
mod random_model;
#[path = "support/random_sdl.rs"]
mod random_sdl;
#[path = "support/random_write.rs"]
mod random_write;
#[path = "support/reference.rs"]
mod reference;
#[path = "support/rows.rs"]
mod rows;
#[path = "support/shop.rs"]
mod shop;
#[path = "support/tls.rs"]
mod tls;
#[path = "support/wiretap.rs"]
mod wiretap;

mod admin;
mod adoption;
mod audits;
mod authors;
mod backups;
mod both_databases;
mod cache;
mod cache_over_http;
mod cache_sharing;
mod cache_trouble;
mod circles;
mod clients;
mod cluster;
mod commands;
mod concurrency;
mod connections;
mod demo;
mod demo_answers;
mod difference;
mod doors;
mod durability;
mod explain;
mod floors;
mod freshness;
mod front_door;
mod global_ids;
mod graphql_js;
mod graphql_over_http;
mod hostile_input;
mod idempotency;
mod identity_providers;
mod incidents;
mod init_and_dev;
mod installed_program;
mod limits;
mod logs;
mod mistakes;
mod moved_files;
mod mutations;
mod names;
mod nodes;
mod one_question;
mod other_programs_databases;
mod pages_about_caches;
mod persisted_get;
mod postgres_admin;
mod postgres_authors;
mod postgres_client;
mod postgres_ddl;
mod postgres_faults;
mod postgres_feed;
mod postgres_flights;
mod postgres_log;
mod postgres_mutations;
mod postgres_row_security;
mod postgres_rules;
mod postgres_settings;
mod proxied_nodes;
mod proxies;
mod pulled_databases;
mod pulled_programs;
mod railway;
mod reads;
mod refused_values;
mod registries;
mod releases;
mod renamed_fields;
mod renderings;
mod repair_killed;
mod retired;
mod rules;
mod rules_and_caches;
mod rules_and_commands;
mod rules_example;
mod rules_of_any_model;
mod rules_of_writing;
mod rules_under_load;
mod schema_changes_under_way;
mod scratch_databases;
mod settings;
mod snapshots;
mod statements;
mod tokens;
mod unmanaged;
mod unreadable_values;
mod unwritable;
mod updated_at;
mod versions;
mod writes;
