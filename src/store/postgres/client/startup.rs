//! How a session starts: authentication, and the session's settings.

use std::collections::HashMap;
use std::time::Duration;

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::error::{ClientError, ServerError};
use super::wire::Wire;
use crate::config::PostgresUrl;

/// How the server reads and writes SQL and values.
const SYNTAX: [(&str, &str); 6] = [
    ("quote_all_identifiers", "off"),
    ("transform_null_equals", "off"),
    ("array_nulls", "on"),
    ("extra_float_digits", "1"),
    ("bytea_output", "hex"),
    ("IntervalStyle", "postgres"),
];

/// The purpose of a connection, which determines the settings of its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Reads answers: each flight is a read-only transaction at REPEATABLE READ.
    Read,
    /// Runs mutations, at READ COMMITTED.
    Write,
    /// Reads the change log: like [`Self::Read`], with plans that never depend on parameters.
    Check,
    /// Migrates and inspects tables: the server's own settings, without any timeout.
    Admin,
}

/// How a session is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Its purpose.
    pub role: Role,
    /// When the server ends a statement; the caller's own limit should be shorter. Not used for
    /// [`Role::Admin`].
    pub statement_timeout: Duration,
    /// Whether there is a pooler in transaction mode, which may run each transaction in another
    /// session: settings and prepared statements do not outlast a transaction.
    pub pooled: bool,
}

impl Session {
    /// A session with the default limit, directly with the server.
    pub fn new(role: Role) -> Self {
        Self { role, statement_timeout: Duration::from_secs(35), pooled: false }
    }

    /// A session for commands, pooled if the URL says so.
    pub fn for_commands(url: &PostgresUrl) -> Self {
        Self { pooled: url.pooled, ..Self::new(Role::Admin) }
    }

    /// The session's settings, by name.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            // These override what is set for the database or the role.
            ("client_encoding", "UTF8".to_owned()),
            ("TimeZone", "UTC".to_owned()),
            ("DateStyle", "ISO, YMD".to_owned()),
            ("standard_conforming_strings", "on".to_owned()),
        ];
        if self.pooled {
            // A pooler refuses the settings that it does not keep for each client.
            return settings;
        }
        settings.extend(SYNTAX.map(|(name, value)| (name, value.to_owned())));
        settings.extend(self.limits());
        // The pool closes what it does not need.
        settings.push(("idle_session_timeout", "0".to_owned()));
        let transactions = match self.role {
            Role::Admin => return settings,
            Role::Write => ("read committed", "off"),
            Role::Read | Role::Check => ("repeatable read", "on"),
        };
        settings.push(("default_transaction_isolation", transactions.0.to_owned()));
        settings.push(("default_transaction_read_only", transactions.1.to_owned()));
        settings
    }

    fn limits(&self) -> Vec<(&'static str, String)> {
        let milliseconds = match self.role {
            Role::Admin => 0,
            _ => self.statement_timeout.as_millis().max(1),
        };
        let mut limits = vec![
            ("jit", "off".to_owned()),
            ("statement_timeout", milliseconds.to_string()),
            ("idle_in_transaction_session_timeout", milliseconds.to_string()),
        ];
        if self.role == Role::Check {
            limits.push(("plan_cache_mode", "force_generic_plan".to_owned()));
        }
        limits
    }

    /// The statement that each transaction begins with, after BEGIN if it has one. Behind a pooler,
    /// the server's session may have been used by others, and may have begun before or after the
    /// settings of the role or the database were changed.
    pub(super) fn transaction_settings(&self, url: &PostgresUrl) -> Option<String> {
        if !self.pooled {
            return None;
        }
        let path = url.search_path.iter().map(|path| ("search_path", path.clone()));
        let mut settings: Vec<(&str, String)> = path.chain(self.limits()).collect();
        if self.role == Role::Admin {
            settings.extend(SYNTAX.map(|(name, value)| (name, value.to_owned())));
        }
        Some(local(&settings))
    }

    /// The statement that must come first in a transaction that reads definitions as text, if the
    /// session does not have these settings: they cost too much to be set in each transaction.
    pub fn syntax_settings(&self) -> Option<String> {
        let is_set = !self.pooled || self.role == Role::Admin;
        (!is_set).then(|| local(&SYNTAX.map(|(name, value)| (name, value.to_owned()))))
    }
}

/// Sets these until the end of the transaction.
fn local(settings: &[(&str, String)]) -> String {
    let set = settings.iter().map(|(name, value)| {
        format!("set_config('{name}', '{}', true)", value.replace('\'', "''"))
    });
    format!("SELECT {}", set.collect::<Vec<_>>().join(", "))
}

/// What the server reports at the start of a session.
#[derive(Debug, Default)]
pub(super) struct Greeting {
    /// By name.
    pub(super) parameters: HashMap<String, String>,
    /// The process id, and the secret that is needed to cancel its statements.
    pub(super) key: (i32, i32),
}

pub(super) async fn start(
    wire: &mut Wire,
    url: &PostgresUrl,
    session: &Session,
) -> Result<Greeting, ClientError> {
    // The environment variables that libpq reads.
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = url.user.clone().or_else(|| variable("PGUSER")).or_else(|| variable("USER"));
    let user =
        user.ok_or_else(|| ClientError::Login("the database's URL names no user".to_owned()))?;
    let password = url
        .password
        .as_ref()
        .map(|password| password.expose().to_owned())
        .or_else(|| variable("PGPASSWORD"));
    let settings = session.settings();
    let application = url.application_name.as_deref().unwrap_or("freshql");
    let mut parameters = vec![("user", user.as_str()), ("application_name", application)];
    parameters.extend(url.database.as_deref().map(|database| ("database", database)));
    parameters.extend(settings.iter().map(|(name, value)| (*name, value.as_str())));
    let search_path = url.search_path.as_deref().filter(|_| !session.pooled);
    parameters.extend(search_path.map(|path| ("search_path", path)));
    frontend::startup_message(parameters, &mut wire.outbox).map_err(unsendable)?;

    let mut greeting = Greeting::default();
    let mut scram = None;
    loop {
        let (tag, body) = wire.message().await?;
        match tag {
            b'R' => authenticate(wire, &body, &user, password.as_deref(), &mut scram)?,
            b'S' => greeting.parameters.extend(parameter(&body)),
            b'K' => {
                let number = |at: usize| {
                    body.get(at..at + 4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
                };
                greeting.key = (number(0).unwrap_or(0), number(4).unwrap_or(0));
            }
            b'E' => return Err(refused(ServerError::read(&body))),
            b'Z' => return Ok(greeting),
            // Notices, and negotiation of the protocol's version.
            b'N' | b'v' => {}
            other => {
                return Err(ClientError::protocol(format!(
                    "message {:?} at the start",
                    char::from(other)
                )));
            }
        }
    }
}

/// Servers know all of our settings. What rejects one as unsupported is a pooler.
fn refused(error: ServerError) -> ClientError {
    if error.code == "08P01" && error.message.starts_with("unsupported startup parameter") {
        return ClientError::Unsuitable(
            "the URL leads to a pooler, such as PgBouncer: add `pooler=transaction` to it"
                .to_owned(),
        );
    }
    ClientError::Server(Box::new(error))
}

/// Parses a ParameterStatus.
pub(super) fn parameter(body: &[u8]) -> Option<(String, String)> {
    let mut words =
        body.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    Some((words.next()?, words.next()?))
}

fn authenticate(
    wire: &mut Wire,
    body: &[u8],
    user: &str,
    password: Option<&str>,
    scram: &mut Option<ScramSha256>,
) -> Result<(), ClientError> {
    let (code, rest) =
        body.split_first_chunk().ok_or_else(|| ClientError::protocol("an empty message"))?;
    let secret = || {
        let message = "the database requires a password: write it into its URL, or set PGPASSWORD";
        password.map(str::as_bytes).ok_or_else(|| ClientError::Login(message.to_owned()))
    };
    let is_private = wire.stream.is_private();
    let exposed = |how: &str| match is_private {
        true => Ok(()),
        false => Err(ClientError::Login(format!(
            "the database requires the password {how}, which anybody on the way could read: use TLS (sslmode=require), or let \
             the server ask for scram-sha-256"
        ))),
    };
    let failed = |error: std::io::Error| {
        ClientError::Login(format!("the password cannot be verified: {error}"))
    };
    match i32::from_be_bytes(*code) {
        0 => {}
        3 => {
            exposed("in clear text")?;
            frontend::password_message(secret()?, &mut wire.outbox).map_err(unsendable)?;
        }
        5 => {
            exposed("as an MD5 hash")?;
            let salt =
                rest.first_chunk().ok_or_else(|| ClientError::protocol("a salt is missing"))?;
            let hash = md5_hash(user.as_bytes(), secret()?, *salt);
            frontend::password_message(hash.as_bytes(), &mut wire.outbox).map_err(unsendable)?;
        }
        10 => {
            if !rest.split(|byte| *byte == 0).any(|name| name == SCRAM_SHA_256.as_bytes()) {
                return Err(ClientError::Login(
                    "the database requires a login method that is not supported".to_owned(),
                ));
            }
            let exchange = scram.insert(ScramSha256::new(secret()?, ChannelBinding::unsupported()));
            frontend::sasl_initial_response(SCRAM_SHA_256, exchange.message(), &mut wire.outbox)
                .map_err(unsendable)?;
        }
        11 => {
            let exchange = scram
                .as_mut()
                .ok_or_else(|| ClientError::protocol("SASL goes on before it began"))?;
            exchange.update(rest).map_err(failed)?;
            frontend::sasl_response(exchange.message(), &mut wire.outbox).map_err(unsendable)?;
        }
        12 => {
            let exchange =
                scram.as_mut().ok_or_else(|| ClientError::protocol("SASL ends before it began"))?;
            // This verifies that the server knows the password, too.
            exchange.finish(rest).map_err(failed)?;
        }
        _ => {
            let message = "the database requires a login method that is not supported; scram-sha-256, md5 and password are";
            return Err(ClientError::Login(message.to_owned()));
        }
    }
    Ok(())
}

pub(super) fn unsendable(error: std::io::Error) -> ClientError {
    ClientError::Unsendable(error.to_string())
}
