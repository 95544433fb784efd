//! Errors of a connection, and the server's errors for statements.

use std::fmt;
use std::io;

/// Why a connection could not be opened, or a flight failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server cannot be reached.
    #[error("cannot connect to {to}: {cause}")]
    Connect {
        /// Host and port, or the socket.
        to: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// TLS is not possible as the URL requires it.
    #[error("no TLS with {to}: {why}")]
    Tls {
        /// Host and port.
        to: String,
        /// Why.
        why: String,
    },
    /// The server requires a login that is not possible.
    #[error("{0}")]
    Login(String),
    /// The database is not one that freshql can work with.
    #[error("{0}")]
    Unsuitable(String),
    /// The connection broke. What was sent may have been executed.
    #[error("the connection to the database was lost: {0}")]
    Lost(#[source] io::Error),
    /// Something took too long; says what.
    #[error("{0} took too long")]
    Late(&'static str),
    /// The server sent something that is not in the protocol.
    #[error("the server does not follow the protocol: {0}")]
    Protocol(String),
    /// Something cannot be sent.
    #[error("cannot be sent: {0}")]
    Unsendable(String),
    /// The server refused.
    #[error("{0}")]
    Server(Box<ServerError>),
}

impl ClientError {
    /// The server's error, if it is one.
    pub fn server(&self) -> Option<&ServerError> {
        if let Self::Server(error) = self { Some(error) } else { None }
    }

    /// The server's code, or an empty string.
    pub fn code(&self) -> &str {
        self.server().map_or("", |error| &error.code)
    }

    pub(in crate::store::postgres) fn protocol(message: impl Into<String>) -> Self {
        Self::Protocol(message.into())
    }
}

/// An ErrorResponse. Its `Display` omits DETAIL, which may contain values of rows; that goes to the
/// debug log only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerError {
    /// SQLSTATE.
    pub code: String,
    /// The server's message, in its language.
    pub message: String,
    /// The server's hint.
    pub hint: Option<String>,
    /// The position in the statement's text, in characters from 1 on.
    pub position: Option<usize>,
    /// The table's schema.
    pub schema: Option<String>,
    /// The table that the error is about.
    pub table: Option<String>,
    /// The column that the error is about.
    pub column: Option<String>,
    /// The violated constraint.
    pub constraint: Option<String>,
    /// The context in the server's functions: PL/pgSQL's call stack.
    pub context: Option<String>,
    /// The index of the statement in its flight; None: at the end of the flight, when its
    /// transaction was committed.
    pub statement: Option<usize>,
    /// Whether the server has closed the connection.
    pub is_fatal: bool,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for ServerError {}

impl ServerError {
    /// Parses an ErrorResponse's fields: a letter and a string each.
    pub(super) fn read(body: &[u8]) -> Self {
        let mut error = Self::default();
        let mut detail = None;
        for (field, value) in fields(body) {
            let value = || String::from_utf8_lossy(value).into_owned();
            match field {
                // The severity in English; S is translated.
                b'V' => error.is_fatal = matches!(value().as_str(), "FATAL" | "PANIC"),
                b'C' => error.code = value(),
                b'M' => error.message = value(),
                b'D' => detail = Some(value()),
                b'H' => error.hint = Some(value()),
                b'P' => error.position = value().parse().ok(),
                b's' => error.schema = Some(value()),
                b't' => error.table = Some(value()),
                b'c' => error.column = Some(value()),
                b'n' => error.constraint = Some(value()),
                b'W' => error.context = Some(value()),
                _ => {}
            }
        }
        if let Some(detail) = detail {
            tracing::debug!(code = error.code, detail, "the database refused a statement");
        }
        error
    }
}

/// What opens and closes a value in a message, in the languages that servers speak.
const QUOTES: [char; 9] = ['"', '\'', '«', '»', '“', '”', '„', '「', '」'];

impl ServerError {
    /// The message and the code, without the values that the message quotes.
    pub fn without_values(&self) -> String {
        let message = &self.message;
        let shown = match (message.find(QUOTES), message.rfind(QUOTES)) {
            (Some(first), Some(last)) => {
                let rest = message[last..].trim_start_matches(QUOTES);
                format!("{}…{rest}", &message[..first])
            }
            _ => message.clone(),
        };
        format!("{shown} ({})", self.code)
    }
}

/// The fields of an ErrorResponse or a NoticeResponse.
pub(super) fn fields(mut body: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let (&field, rest) = body.split_first()?;
        let end = rest.iter().position(|byte| *byte == 0).filter(|_| field != 0)?;
        body = &rest[end + 1..];
        Some((field, &rest[..end]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_fields_and_shows_no_row() {
        let body =
            b"SFEHLER\0VERROR\0C23505\0Mduplicate key\0DKey (a)=(secret) already exists.\0tshops\0nshops_a_key\0\0";
        let error = ServerError::read(body);
        assert_eq!((error.code.as_str(), error.is_fatal), ("23505", false));
        assert_eq!(
            (error.table.as_deref(), error.constraint.as_deref()),
            (Some("shops"), Some("shops_a_key"))
        );
        assert!(!format!("{error} {error:?}").contains("secret"));
        let range = b"C22003\0Mvalue \"5\" or \"6\" is out of range for type smallint\0\0";
        let shown = ServerError::read(range).without_values();
        assert_eq!(shown, "value … is out of range for type smallint (22003)");
        assert!(ServerError::read(b"SFATAL\0VFATAL\0C57P01\0Mbye\0\0").is_fatal);
        // What breaks off says what there is.
        assert_eq!(ServerError::read(b"C40001\0Mhal").code, "40001");
    }
}
