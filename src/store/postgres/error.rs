//! Converts PostgreSQL's errors to the store's: by SQLSTATE, never by message.

use super::client::ClientError;
use crate::store::error::{Columns, Constraint, StoreError};

impl From<ClientError> for StoreError {
    fn from(error: ClientError) -> Self {
        let server = match error {
            ClientError::Server(server) => server,
            ClientError::Unsendable(_) => return Self::TooLarge,
            ClientError::Protocol(_) => return Self::Database(error.into()),
            error => return Self::Lost(unreachable_because(&error)),
        };
        let table = || server.table.clone().unwrap_or_default();
        match server.code.as_str() {
            "57014" => Self::Late,
            "55P03" => Self::Overloaded,
            "40001" | "40P01" => Self::RolledBack,
            "25006" => Self::Unwritable("the server takes no writes".to_owned()),
            "53100" => Self::Unwritable("the server's disk is full".to_owned()),
            "23505" => {
                Self::Constraint(Constraint::Unique(Columns { table: table(), names: Vec::new() }))
            }
            "23503" => Self::Constraint(Constraint::ForeignKey(Vec::new())),
            "23502" => {
                let names = server.column.clone().into_iter().collect();
                Self::Constraint(Constraint::NotNull(Columns { table: table(), names }))
            }
            // A user-defined rule: a check, an exclusion, or RAISE in a trigger.
            "23514" | "23P01" | "P0001" => {
                Self::Constraint(Constraint::Check(server.constraint.clone().unwrap_or_default()))
            }
            // A table, a limit of the server's.
            "54000" | "54001" | "54011" | "54023" => Self::TooLarge,
            "428C9" => Self::Value(server.without_values()),
            code => match &code[..2.min(code.len())] {
                "22" => Self::Value(server.without_values()),
                "08" | "53" | "28" | "3D" | "57" => Self::Lost(outage(&server.code)),
                _ => Self::Database(server),
            },
        }
    }
}

/// Why the server does not answer, in our own words: readiness shows it to everybody, so it names
/// neither the server's address nor what the server says.
pub(super) fn unreachable_because(error: &ClientError) -> String {
    match error {
        ClientError::Server(server) => outage(&server.code),
        ClientError::Connect { .. } => "the database server cannot be reached".to_owned(),
        ClientError::Tls { .. } => {
            "the database server cannot be reached by TLS as its URL asks".to_owned()
        }
        ClientError::Lost(_) => "the connection to the database was lost".to_owned(),
        ClientError::Protocol(_) => "the database server does not follow the protocol".to_owned(),
        ClientError::Login(_)
        | ClientError::Unsuitable(_)
        | ClientError::Late(_)
        | ClientError::Unsendable(_) => error.to_string(),
    }
}

/// What an error with this SQLSTATE says about the server.
fn outage(code: &str) -> String {
    let why = match code {
        "53300" => "takes no more connections",
        "53100" => "has no space on its disk",
        "53200" => "has no memory left",
        "57P01" | "57P02" => "is shutting down",
        "57P03" => "is starting, or shutting down",
        _ => match code.get(..2) {
            Some("28") => "refuses the login",
            Some("3D") => "has no such database",
            _ => return format!("the database server reports an error (SQLSTATE {code})"),
        },
    };
    format!("the database server {why}")
}

/// Whether open connections are useless: the server is shutting down, starting, or has become
/// read-only.
pub(super) fn spoils_pool(error: &ClientError) -> bool {
    match error {
        ClientError::Server(server) => {
            matches!(server.code.as_str(), "57P01" | "57P02" | "57P03" | "25006")
        }
        ClientError::Lost(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::postgres::client::ServerError;

    #[test]
    fn readiness_says_in_our_words_what_is_wrong_with_the_server() {
        for (code, expected) in [
            ("53300", "the database server takes no more connections"),
            ("53100", "the database server has no space on its disk"),
            ("53200", "the database server has no memory left"),
            ("57P01", "the database server is shutting down"),
            ("57P02", "the database server is shutting down"),
            ("57P03", "the database server is starting, or shutting down"),
            ("28P01", "the database server refuses the login"),
            ("28000", "the database server refuses the login"),
            ("3D000", "the database server has no such database"),
            ("08006", "the database server reports an error (SQLSTATE 08006)"),
            ("53400", "the database server reports an error (SQLSTATE 53400)"),
            ("", "the database server reports an error (SQLSTATE )"),
        ] {
            let error = || {
                let message = "role \"hush\" at 10.0.0.7: SELECT hush".to_owned();
                let server =
                    ServerError { code: code.to_owned(), message, ..ServerError::default() };
                ClientError::Server(Box::new(server))
            };
            assert_eq!(unreachable_because(&error()), expected);
            // A request that fails in this way says the same.
            if matches!(code.get(..2), Some("08" | "28" | "3D" | "53" | "57")) && code != "53100" {
                let StoreError::Lost(why) = StoreError::from(error()) else { panic!("{code}") };
                assert_eq!(why, expected);
            }
        }
        let to = || "db.internal:5432".to_owned();
        for (error, expected) in [
            (
                ClientError::Tls { to: to(), why: "hush".to_owned() },
                "the database server cannot be reached by TLS as its URL asks",
            ),
            (
                ClientError::Lost(std::io::Error::other("hush")),
                "the connection to the database was lost",
            ),
            (
                ClientError::Protocol("hush".to_owned()),
                "the database server does not follow the protocol",
            ),
        ] {
            assert_eq!(unreachable_because(&error), expected);
        }
    }
}
