//! freshql serves persisted GraphQL queries over a SQL database. It stamps every answer with an
//! ETag that is derived from the versions of the rows that the answer read.
//!
//! **Where a 304 is decided:** [`conditional::evaluate`], a pure function that follows RFC 9110
//! §13.2.2 step by step. Whether the stored answer behind that ETag still holds is decided by
//! [`clock::Clock::is_unchanged`].
//!
//! # Layout
//!
//! The modules form floors. A module imports only from floors below its own, and the files within a
//! module never import each other in a circle. `tests/integration/floors.rs` and `circles.rs` check
//! both rules.
//!
//! | floor | modules | responsible for |
//! | --- | --- | --- |
//! | 5 front door | [`app`], [`http`] | HTTP and processes; nothing about data |
//! | 4 policy | [`cache`], [`persisted`], [`identity`] | which stored answer, which document, who is asking |
//! | 3 GraphQL | [`graphql`] | what an operation means: `document` → `compile` → `bind` → `read` or `write` |
//! | 2 store | [`store`], [`outbound`] | rows in, rows out, what changed; tables, triggers, migrations; requests to other servers |
//! | 1 pure rules | [`etag`], [`conditional`], [`cache_control`], [`clock`], [`question`], [`viewer`] | decisions without I/O, async or an HTTP framework |
//! | 0 vocabulary | [`model`], [`syntax`], [`json`], [`document_id`], [`dependency`], [`causes`], [`config`] | types that all floors above share |
//!
//! `docs/architecture.md` follows a GET and a write through them.
//!
//! # Glossary
//!
//! | word | meaning |
//! | --- | --- |
//! | document, document id | the text of a GraphQL request document; `blake3` of its exact bytes, 64 lower-case hex digits |
//! | question | document, operation, canonical variables and view: everything an answer depends on besides the data |
//! | viewer | the one who asks: anonymous, or the claims of a verified token |
//! | view | the part of the viewer that an answer depends on: a digest of the conditions that the model's rules come down to |
//! | plan | an operation compiled against the model: which SQL to run at each level, how to write the JSON |
//! | place | the index of a statement in a plan; a snapshot prepares each one once |
//! | slot | the index of a parameter in a statement; slot 0 is the parent's key |
//! | version | when a row last changed, on the database's one clock, which is never reset |
//! | change log | the table in which triggers record every change, in the transaction that makes it |
//! | external writer | anyone who writes to the database without going through this server: the `sqlite3` shell, another program |
//! | dependency | what an answer depends on: a row, a part, or a set |
//! | part | the rows of one entity that share a value in one column, such as the products of one merchant |
//! | set | all rows of one entity |
//! | cut | the column and value that restrict a list to a part |
//! | mark | one aspect of a dependency or of a change, hashed to 64 bits; a change that has a mark of an answer makes it stale |
//! | revision | this node's count of applied changes; an answer is computed at one and verified at later ones |
//! | ETag | the validator of one HTTP response |
//! | entity etag | the token of one row at one version: the field `etag`, the argument `expectedEtag` |

// Floor 0: vocabulary. It imports from no other floor.
pub mod causes;
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

// Floor 2: rows in, rows out, what changed. `store` is the contract, with one folder per driver.
// `outbound` sends requests to other servers.
pub(crate) mod outbound;
pub mod store;

// Floor 3: what an operation means.
pub mod graphql;

// Floor 4: which document, which stored answer, who is asking.
pub mod cache;
pub mod identity;
pub mod persisted;

// Floor 5: the front door.
pub mod app;
pub(crate) mod http;
