//! The store: rows in, rows out, what changed. This module is the contract that the floors above
//! use, and it is neutral: everything specific to one database is in a driver's folder, [`sqlite`]
//! or [`postgres`]. [`schema`] deals with tables and migrations.
//!
//! - Reading: a [`Query`] says what to read, a driver's dialect ([`dialect`], [`render`]) makes a
//!   statement of it, and a [`Source`] returns its rows, one by one or fetched ahead by [`Levels`].
//! - Writing: a [`Transaction`] executes a mutation; a [`Refusal`] says why it did not.
//! - Changes: [`feed`] reports every commit to its subscribers; [`Guard`] says whether versions can
//!   be trusted.

pub mod admin;
pub(crate) mod backup;
pub mod change_log;
mod dialect;
mod documents;
mod drivers;
pub(crate) mod error;
pub(crate) mod feed;
pub(crate) mod fetched;
mod guard;
pub mod postgres;
pub(crate) mod reading;
mod render;
mod rendered;
pub mod schema;
mod scratch;
pub mod select;
pub(crate) mod source;
pub mod sqlite;
pub(crate) mod statement;
pub(crate) mod steps;
pub(crate) mod trace;
pub(crate) mod transaction;

pub use admin::Admin;
pub use change_log::{Record, Search};
pub use documents::{DocumentSource, NameTaken, NewDocument, StoredDocument};
pub use drivers::Store;
pub use error::{Constraint, StoreError};
pub use feed::{Batch, FeedEvent, Position, Subscriber};
pub use fetched::Fetched;
pub use guard::{Guard, REMEDY};
pub use reading::{Levels, Reading};
pub use scratch::{ScratchDatabases, shape};
pub use select::{Ask, ListQueries, Query, Shape, Slot, SlotValue};
pub use source::{Kept, Observed, Parents, Row, Source, State, Wanted, keep};
pub use statement::Statement;
pub use steps::{Allowed, Change, Condition, Expects, OnceOnly, Rules, Step};
pub use transaction::{
    KeptAnswer, NoEffect, Refusal, RefusedValue, Transaction, WhyRefused, Writing,
};
