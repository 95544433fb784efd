//! Errors, in words that a client may read. The HTTP status is up to [`crate::http`], and depends
//! on [`Code`] alone. What a client must not read is an error's [cause](Cause), which is never
//! serialised.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use async_graphql::Pos;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;

use crate::causes::WithCauses;

/// The maximum number of errors reported for one request.
pub(crate) const MAX_ERRORS: usize = 100;

/// Longer messages are truncated: they quote what the client has sent, which may be long.
const MAX_MESSAGE_CHARS: usize = 240;

/// Truncates errors to a useful length, however many and long they are.
pub(crate) fn shorten(errors: &mut Vec<GraphqlError>) {
    errors.truncate(MAX_ERRORS);
    errors.iter_mut().for_each(|error| cut(&mut error.message));
}

/// Truncates a message.
pub(crate) fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_MESSAGE_CHARS) {
        text.truncate(end);
        text.push('…');
    }
}

/// `extensions.code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// Malformed JSON or parameters.
    BadRequest,
    /// The document does not parse.
    GraphqlParseFailed,
    /// The document is invalid.
    GraphqlValidationFailed,
    /// The operation is unknown or ambiguous.
    OperationResolutionFailure,
    /// Variables or arguments do not coerce.
    BadUserInput,
    /// No document is registered under this id.
    PersistedQueryNotFound,
    /// The server does not accept automatic persisted queries.
    PersistedQueryNotSupported,
    /// Hash and text of an automatic persisted query differ.
    PersistedQueryHashMismatch,
    /// Only registered documents may run.
    PersistedQueryRequired,
    /// A valid token is required.
    Unauthenticated,
    /// The token cannot be verified at the moment: the keys of an identity provider cannot be
    /// fetched.
    AuthenticationUnavailable,
    /// The viewer may not do this.
    Forbidden,
    /// A mutation's row does not exist.
    NotFound,
    /// A unique, foreign key or check constraint is violated.
    Conflict,
    /// `expectedEtag` or `If-Match` does not match.
    PreconditionFailed,
    /// `expectedEtag` is required.
    PreconditionRequired,
    /// The `Idempotency-Key` was used for a different request.
    IdempotencyKeyReused,
    /// A request with the same `Idempotency-Key` is still in progress.
    IdempotencyKeyInUse,
    /// Too deep or too costly.
    QueryTooComplex,
    /// Too slow.
    Timeout,
    /// Too busy.
    Overloaded,
    /// The database is in a state that does not allow an answer; its operator must fix it.
    DatabaseUnavailable,
    /// A bug or a failure in the server.
    InternalServerError,
}

impl Code {
    /// The code as clients see it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadRequest => "BAD_REQUEST",
            Self::GraphqlParseFailed => "GRAPHQL_PARSE_FAILED",
            Self::GraphqlValidationFailed => "GRAPHQL_VALIDATION_FAILED",
            Self::OperationResolutionFailure => "OPERATION_RESOLUTION_FAILURE",
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            Self::PersistedQueryHashMismatch => "PERSISTED_QUERY_HASH_MISMATCH",
            Self::PersistedQueryRequired => "PERSISTED_QUERY_REQUIRED",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::AuthenticationUnavailable => "AUTHENTICATION_UNAVAILABLE",
            Self::Forbidden => "FORBIDDEN",
            Self::NotFound => "NOT_FOUND",
            Self::Conflict => "CONFLICT",
            Self::PreconditionFailed => "PRECONDITION_FAILED",
            Self::PreconditionRequired => "PRECONDITION_REQUIRED",
            Self::IdempotencyKeyReused => "IDEMPOTENCY_KEY_REUSED",
            Self::IdempotencyKeyInUse => "IDEMPOTENCY_KEY_IN_USE",
            Self::QueryTooComplex => "QUERY_TOO_COMPLEX",
            Self::Timeout => "TIMEOUT",
            Self::Overloaded => "OVERLOADED",
            Self::DatabaseUnavailable => "DATABASE_UNAVAILABLE",
            Self::InternalServerError => "INTERNAL_SERVER_ERROR",
        }
    }
}

/// A step from the root of the answer to the field that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathSegment {
    /// A response key.
    Key(String),
    /// An index of a list.
    Index(usize),
}

/// Why something failed that is not the client's fault. It may quote SQL, so only the log and the
/// commands of the program show it.
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn Error + Send + Sync>);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        WithCauses(&*self.0).fmt(f)
    }
}

/// One entry of `errors`.
#[derive(Debug, Clone)]
pub struct GraphqlError {
    /// For people. Clients read it.
    pub message: String,
    /// Line and column in the document, from 1.
    pub locations: Vec<(usize, usize)>,
    /// Empty if the error belongs to no field.
    pub path: Vec<PathSegment>,
    /// For programs.
    pub code: Code,
    /// The rest of `extensions`, in this order, each value as JSON text.
    pub extensions: Vec<(&'static str, Box<RawValue>)>,
    /// Never sent to a client: the HTTP layer takes it out and logs it.
    pub cause: Option<Cause>,
}

impl GraphqlError {
    /// An error without location or path.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            locations: Vec::new(),
            path: Vec::new(),
            code,
            extensions: Vec::new(),
            cause: None,
        }
    }

    /// An internal error.
    pub fn internal(cause: impl Error + Send + Sync + 'static) -> Self {
        Self::new(Code::InternalServerError, "internal server error").because(cause)
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn because(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Cause(Arc::new(cause)));
        self
    }

    /// The message with its cause, for the person who runs a command.
    pub fn in_full(&self) -> String {
        match &self.cause {
            Some(cause) => format!("{}: {cause}", self.message),
            None => self.message.clone(),
        }
    }

    /// A validation rule is violated at this position.
    pub(super) fn invalid(pos: Pos, message: impl Into<String>) -> Self {
        Self::new(Code::GraphqlValidationFailed, message).at(pos.line, pos.column)
    }

    /// A validation limit is exceeded at this position.
    pub(super) fn too_complex(pos: Pos, message: impl Into<String>) -> Self {
        Self::new(Code::QueryTooComplex, message).at(pos.line, pos.column)
    }

    /// Adds a line and column of the document.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.locations.push((line, column));
        self
    }

    /// Sets the path.
    #[must_use]
    pub fn with_path(mut self, path: Vec<PathSegment>) -> Self {
        self.path = path;
        self
    }

    /// Adds a member to `extensions`.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &impl Serialize) -> Self {
        let raw = serde_json::value::to_raw_value(value)
            .expect("what we put into extensions has string keys only");
        self.extensions.push((name, raw));
        self
    }
}

impl Serialize for PathSegment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(key) => serializer.serialize_str(key),
            Self::Index(index) => serializer.serialize_u64(*index as u64),
        }
    }
}

impl Serialize for GraphqlError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Location((usize, usize));
        impl Serialize for Location {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("line", &self.0.0)?;
                map.serialize_entry("column", &self.0.1)?;
                map.end()
            }
        }
        struct Extensions<'a>(&'a GraphqlError);
        impl Serialize for Extensions<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("code", self.0.code.as_str())?;
                for (name, value) in &self.0.extensions {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("message", &self.message)?;
        if !self.locations.is_empty() {
            let locations: Vec<_> = self.locations.iter().copied().map(Location).collect();
            map.serialize_entry("locations", &locations)?;
        }
        if !self.path.is_empty() {
            map.serialize_entry("path", &self.path)?;
        }
        map.serialize_entry("extensions", &Extensions(self))?;
        map.end()
    }
}
