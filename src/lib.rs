//! freshql serves persisted GraphQL queries over a SQL database. It stamps every answer with an
//! ETag that is derived from the versions of the rows that the answer read.
//!
//! **Where a 304 is decided:** [`conditional::evaluate`], a pure function that follows RFC 9110
//! §13.2.2 step by step. Whether the stored answer whose ETag it compares still holds is decided by
//! [`clock::Clock::is_unchanged`].
//!
//! # Layout
//!
//! The modules are ordered in floors. A module imports only from floors below its own; files within
//! a module do not import each other in a circle. `tests/integration/floors.rs` and `circles.rs`
//! check both.
//!
//! | floor | modules | responsible for |
//! | --- | --- | --- |
//! | 5 front door | [`app`], [`http`] | HTTP and processes; nothing about data |
//! | 4 policy | [`cache`], [`persisted`], [`identity`] | which stored answer, which document, who asks |
//! | 3 GraphQL | [`graphql`] | what an operation means: `document` → `compile` → `bind` → `read` or `write` |
//! | 2 store | [`store`], [`outbound`] | rows in, rows out, what changed; tables, triggers, migrations; asking other servers |
//! | 1 pure rules | [`etag`], [`conditional`], [`cache_control`], [`clock`], [`question`], [`viewer`] | decisions without I/O, async or an HTTP framework |
//! | 0 words | [`model`], [`syntax`], [`json`], [`document_id`], [`dependency`], [`config`] | types that everything above speaks in |
//!
//! `docs/architecture.md` follows a GET and a write through them.
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | document, document id | the text of a GraphQL request document; `blake3` of its exact bytes, 64 lower-case hex digits |
//! | question | document, operation, canonical variables and view: all that an answer depends on besides the data |
//! | viewer | who asks: anonymous, or the claims of a verified token |
//! | view | what an answer depends on of the viewer: the conditions that the model's rules come down to, as a digest |
//! | plan | an operation compiled against the model: what SQL to run on each level, how to write the JSON |
//! | place | the number of a statement in a plan; a snapshot prepares each place once |
//! | slot | the number of a parameter in a statement; slot 0 is the parent's key |
//! | version | a row's last change on the database's one clock, which is never reset |
//! | change log | the table in which triggers record every change, in the transaction that makes it |
//! | external writer | whoever writes to the database past this server: the `sqlite3` shell, another program |
//! | dependency | what an answer depends on: a row, a part, or a set |
//! | part | the rows of one entity that share a value in one column, such as the products of one merchant |
//! | set | all rows of one entity |
//! | cut | the column and value that confine a list to a part |
//! | mark | a dependency or a change, hashed to 64 bits; an answer is stale when a change has one of its marks |
//! | revision | this node's count of applied changes; an answer is computed at one and verified at later ones |
//! | ETag | the validator of one HTTP response |
//! | entity etag | the token of one row at one version: the field `etag`, the argument `expectedEtag` |

// Floor 0: words. They know nobody.
pub mod config;
pub mod dependency;
pub mod document_id;
pub mod json;
pub mod model;
pub mod syntax;

// Floor 1: pure rules. No I/O, no async, no HTTP framework.
pub(crate) mod cache_control;
pub mod clock;
pub mod conditional;
pub mod etag;
pub mod question;
pub mod viewer;

// Floor 2: rows in, rows out, what changed. `store` is the contract; each driver has a folder in
// it. `outbound` asks others.
pub(crate) mod outbound;
pub mod store;

// Floor 3: what an operation means.
pub mod graphql;

// Floor 4: which document, which stored answer, who asks.
pub mod cache;
pub mod identity;
pub mod persisted;

// Floor 5: the front door.
pub mod app;
pub(crate) mod http;
