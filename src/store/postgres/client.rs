//! A client for PostgreSQL that sends several statements in one **flight**: Bind and Execute for
//! each, and a single Sync. The server runs a flight as one transaction. So at REPEATABLE READ, all
//! its statements see the same snapshot, and the whole flight costs one round trip. Statements are
//! prepared in the flight that uses them first.
//!
//! - [`Connection::connect`] opens a session for a [`Role`]; [`Connection::flight`] runs statements
//!   with parameters; [`Connection::script`] runs a text of many statements, like `psql -1 -f`.
//! - A flight that its caller has abandoned leaves the connection [busy](Connection::is_busy):
//!   [`Connection::cancel_token`] stops the work on the server, and [`Connection::drain`] reads on
//!   until the next flight can begin.
//! - [`Blocking`] is for code that blocks.

mod blocking;
mod error;
mod rows;
mod startup;
mod statements;
mod stream;
mod tls;
mod wire;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::BufMut;
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend::{self, BindError};

pub use blocking::Blocking;
pub use error::{ClientError, ServerError};
pub use rows::{Cells, Format, Parameter, RowRef, Rows, int};
pub use startup::{Role, Session};
pub use statements::Analysed;

use self::error::fields;
use self::startup::unsendable;
use self::statements::{Name, Statements};
use self::stream::Stream;
use self::wire::Wire;
use crate::config::PostgresUrl;

/// One statement of a flight.
#[derive(Debug, Clone, Copy)]
pub struct Execute<'a> {
    /// Its text, with `$1`, `$2`, … and explicit types (`$1::bigint`). Each distinct text is
    /// prepared once.
    pub sql: &'a str,
    /// The parameters' values.
    pub parameters: &'a [Parameter<'a>],
    /// The format of its rows.
    pub format: Format,
}

impl<'a> Execute<'a> {
    /// Requests rows as text.
    pub fn text(sql: &'a str, parameters: &'a [Parameter<'a>]) -> Self {
        Self { sql, parameters, format: Format::Text }
    }

    /// Requests rows in binary format.
    pub fn binary(sql: &'a str, parameters: &'a [Parameter<'a>]) -> Self {
        Self { sql, parameters, format: Format::Binary }
    }
}

/// Whether the session is in a transaction started by BEGIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// It is not.
    Idle,
    /// It is.
    Open,
    /// It is, and a statement has failed, so only ROLLBACK is possible.
    Failed,
}

/// A connection to a server.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    statements: Statements,
    parameters: HashMap<String, String>,
    cancel: CancelToken,
    session: Session,
    /// What each transaction begins with, if anything.
    transaction_settings: Option<Arc<str>>,
    status: TransactionStatus,
    /// Syncs that have not been answered yet.
    syncs: u32,
    /// Whether their answers are ignored; they are read before anything else is sent.
    is_finishing: bool,
    /// Whether the connection can no longer be used.
    is_broken: bool,
}

/// Cancels what a connection is doing, whoever is using it.
#[derive(Debug, Clone)]
pub struct CancelToken {
    url: Arc<PostgresUrl>,
    key: (i32, i32),
}

impl CancelToken {
    /// Asks the server to cancel the running statement, which then fails with 57014. This has no
    /// effect if it has already ended.
    ///
    /// # Errors
    /// The server cannot be reached.
    pub async fn cancel(&self) -> Result<(), ClientError> {
        let limit = self.url.connect_timeout;
        let ask = async {
            let mut wire = Wire::new(Stream::connect(&self.url).await?);
            frontend::cancel_request(self.key.0, self.key.1, &mut wire.outbox);
            wire.send().await.map_err(ClientError::Lost)?;
            // The server closes the connection after it has passed the request on.
            match wire.message().await {
                Ok(_) | Err(ClientError::Lost(_)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        tokio::time::timeout(limit, ask)
            .await
            .unwrap_or(Err(ClientError::Late("cancelling a statement")))
    }
}

impl Connection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// The server cannot be reached, or rejects this user; the error says why.
    pub async fn connect(url: &PostgresUrl, session: Session) -> Result<Self, ClientError> {
        let open = async {
            let mut wire = Wire::new(Stream::connect(url).await?);
            let greeting = startup::start(&mut wire, url, &session).await?;
            Ok(Self {
                wire,
                statements: Statements::default(),
                parameters: greeting.parameters,
                cancel: CancelToken { url: Arc::new(url.clone()), key: greeting.key },
                session,
                transaction_settings: session.transaction_settings(url).map(Arc::from),
                status: TransactionStatus::Idle,
                syncs: 0,
                is_finishing: false,
                is_broken: false,
            })
        };
        let limit = url.connect_timeout;
        tokio::time::timeout(limit, open)
            .await
            .unwrap_or(Err(ClientError::Late("connecting to the database")))
    }

    /// The value of a parameter that the server reports: `server_version`, `in_hot_standby`, …
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Whether it leads to a standby. Unknown behind a pooler, which may reach any server.
    pub fn is_of_standby(&self) -> bool {
        !self.session.pooled && self.parameter("in_hot_standby") == Some("on")
    }

    /// How the session was set up.
    pub fn session(&self) -> Session {
        self.session
    }

    /// Whether a transaction is open.
    pub fn status(&self) -> TransactionStatus {
        if self.is_finishing { TransactionStatus::Idle } else { self.status }
    }

    /// Whether a flight was abandoned before its answer was read: see [`Self::drain`].
    pub fn is_busy(&self) -> bool {
        self.syncs > 0 && !self.is_finishing
    }

    /// Whether the connection can no longer be used.
    pub fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Whether the server has closed it, as far as that is known without waiting. After this check,
    /// a flight whose answer does not come may still have been executed.
    pub fn has_ended(&mut self) -> bool {
        self.is_broken |= self.syncs == 0 && self.wire.has_ended();
        self.is_broken
    }

    /// Cancels its running statement.
    pub fn cancel_token(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// When a prepared statement was analysed, if it has reported that.
    pub(super) fn analysed(&self, sql: &str) -> Option<Analysed> {
        self.statements.analysed(sql)
    }

    /// Records when a prepared statement was analysed.
    pub(super) fn note_analysed(&mut self, sql: &str, analysed: Analysed) {
        self.statements.note(sql, analysed);
    }

    /// Runs these statements in one round trip, outside of BEGIN as one transaction, and gives the
    /// rows of each.
    ///
    /// # Errors
    /// That of the first statement that fails; nothing of the flight was done then. (Within BEGIN,
    /// only ROLLBACK helps.)
    pub async fn flight(&mut self, executes: &[Execute<'_>]) -> Result<Vec<Rows>, ClientError> {
        let mut all: Vec<Rows> = executes.iter().map(|execute| Rows::new(execute.format)).collect();
        let affected = self.flight_into(executes, |number, cells| all[number].push(cells)).await?;
        all.iter_mut().zip(affected).for_each(|(rows, affected)| rows.affected = affected);
        Ok(all)
    }

    /// Runs one statement and returns its rows.
    ///
    /// # Errors
    /// Those of [`Self::flight`].
    pub async fn query(&mut self, execute: Execute<'_>) -> Result<Rows, ClientError> {
        let mut rows = Rows::new(execute.format);
        let affected = self.flight_into(&[execute], |_, cells| rows.push(cells)).await?;
        rows.affected = affected.first().copied().unwrap_or(0);
        Ok(rows)
    }

    /// Runs a flight like [`Self::flight`], but passes each row to `receive` directly from the
    /// socket's buffer, with the index of its statement. Returns the numbers in the statements'
    /// command tags.
    ///
    /// # Errors
    /// Those of [`Self::flight`], and whatever `receive` returns, which makes the connection
    /// unusable.
    pub async fn flight_into(
        &mut self,
        executes: &[Execute<'_>],
        mut receive: impl FnMut(usize, Cells<'_>) -> Result<(), ClientError>,
    ) -> Result<Vec<u64>, ClientError> {
        self.ready().await?;
        let could_repeat = self.status == TransactionStatus::Idle;
        let mut has_rows = false;
        let first = self
            .fly(executes, &mut |number, cells| {
                has_rows = true;
                receive(number, cells)
            })
            .await;
        match first {
            // A table was altered under a plan, or a pooler has switched the session: the prepared
            // statements no longer fit.
            Err((error, true)) if could_repeat && !has_rows && is_about_plans(&error) => {
                self.reset().await?;
                self.fly(executes, &mut receive).await.map_err(|(error, _)| error)
            }
            Err((error, _)) => Err(error),
            Ok(affected) => Ok(affected),
        }
    }

    /// Runs a text with any number of statements, without parameters; as one transaction, unless it
    /// contains BEGIN. Returns the rows of each, as text.
    ///
    /// # Errors
    /// Those of the server, with the position in the text.
    pub async fn script(&mut self, sql: &str) -> Result<Vec<Rows>, ClientError> {
        self.ready().await?;
        let begins = self.status == TransactionStatus::Idle && sql.starts_with("BEGIN");
        if let Some(settings) = self.transaction_settings.clone().filter(|_| begins) {
            let (begin, rest) = sql.split_at(sql.find(';').unwrap_or(sql.len()));
            let mut all = self.script_as_is(&format!("{begin}; {settings}{rest}")).await?;
            all.remove(1);
            return Ok(all);
        }
        self.script_as_is(sql).await
    }

    async fn script_as_is(&mut self, sql: &str) -> Result<Vec<Rows>, ClientError> {
        frontend::query(sql, &mut self.wire.outbox).map_err(unsendable)?;
        self.syncs += 1;
        let mut all = Vec::new();
        let mut rows = Rows::new(Format::Text);
        let mut wants_copy = false;
        loop {
            let result = self
                .receive(|tag, body| {
                    match tag {
                        b'D' => rows.push(Cells::read(body)?)?,
                        b'C' => {
                            rows.affected = affected(body);
                            all.push(std::mem::replace(&mut rows, Rows::new(Format::Text)));
                        }
                        b'G' => {
                            wants_copy = true;
                            return Ok(true);
                        }
                        // RowDescription, EmptyQueryResponse, and COPY TO STDOUT.
                        b'T' | b'I' | b'H' | b'd' | b'c' => {}
                        other => return Err(unexpected(other)),
                    }
                    Ok(false)
                })
                .await;
            if !std::mem::take(&mut wants_copy) {
                return result.map(|()| all);
            }
            frontend::copy_fail("there are no data to copy from", &mut self.wire.outbox)
                .map_err(unsendable)?;
        }
    }

    /// Reads the rest of the answer to an abandoned flight; afterwards, the connection is as good
    /// as new. An open transaction is rolled back.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn drain(&mut self) -> Result<(), ClientError> {
        let was_busy = self.is_busy();
        while self.syncs > 0 {
            match self.receive(|_, _| Ok(false)).await {
                Err(error) if self.is_broken => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.is_finishing = false;
        // It is unknown whether the flight's statements were prepared.
        if was_busy { self.reset().await } else { self.roll_back().await }
    }

    /// Rolls back an open transaction.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn roll_back(&mut self) -> Result<(), ClientError> {
        self.ready().await?;
        if self.status == TransactionStatus::Idle {
            Ok(())
        } else {
            self.script("ROLLBACK").await.map(drop)
        }
    }

    /// Ends the transaction without waiting for the answer; the next request waits for it, too.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn finish(&mut self) -> Result<(), ClientError> {
        self.ready().await?;
        if self.status != TransactionStatus::Idle {
            frontend::query("COMMIT", &mut self.wire.outbox).map_err(unsendable)?;
            self.syncs += 1;
            self.is_finishing = true;
            self.wire.send_now().await.map_err(ClientError::Lost)?;
        }
        Ok(())
    }

    /// Rolls back an open transaction, and prepares all statements again when they are used next.
    ///
    /// # Errors
    /// The connection is lost.
    pub async fn reset(&mut self) -> Result<(), ClientError> {
        self.roll_back().await?;
        self.statements.clear();
        if self.session.pooled { Ok(()) } else { self.script("DEALLOCATE ALL").await.map(drop) }
    }

    /// Sends Terminate, if that is possible without waiting.
    pub async fn close(mut self) {
        if !self.is_broken {
            frontend::terminate(&mut self.wire.outbox);
            let _ = tokio::time::timeout(std::time::Duration::from_secs(1), self.wire.send()).await;
        }
    }

    async fn ready(&mut self) -> Result<(), ClientError> {
        if self.is_finishing && self.syncs > 0 {
            self.receive(|_, _| Ok(false)).await?;
            self.is_finishing = false;
        }
        if self.is_broken || self.syncs > 0 {
            return Err(ClientError::Lost(std::io::ErrorKind::NotConnected.into()));
        }
        Ok(())
    }

    /// Sends a flight, with the transaction's settings if it begins one, and receives its answer.
    /// Errors come with a flag: whether a statement was used that had been prepared earlier.
    async fn fly(
        &mut self,
        executes: &[Execute<'_>],
        receive: &mut impl FnMut(usize, Cells<'_>) -> Result<(), ClientError>,
    ) -> Result<Vec<u64>, (ClientError, bool)> {
        let begins = self.status == TransactionStatus::Idle;
        let Some(settings) = self.transaction_settings.clone().filter(|_| begins) else {
            return self.fly_as_is(executes, receive).await;
        };
        // A transaction's isolation must be set before its first query.
        let at = usize::from(executes.first().is_some_and(|first| first.sql.starts_with("BEGIN")));
        let mut all = executes.to_vec();
        all.insert(at, Execute::text(&settings, &[]));
        let mut receive = |number: usize, cells: Cells<'_>| match number.cmp(&at) {
            Ordering::Less => receive(number, cells),
            Ordering::Equal => Ok(()),
            Ordering::Greater => receive(number - 1, cells),
        };
        match self.fly_as_is(&all, &mut receive).await {
            Ok(mut affected) => {
                affected.remove(at);
                Ok(affected)
            }
            Err((mut error, reused)) => {
                if let ClientError::Server(error) = &mut error {
                    let number = error.statement.map(|number| number - usize::from(number > at));
                    error.statement = number;
                }
                Err((error, reused))
            }
        }
    }

    async fn fly_as_is(
        &mut self,
        executes: &[Execute<'_>],
        receive: &mut impl FnMut(usize, Cells<'_>) -> Result<(), ClientError>,
    ) -> Result<Vec<u64>, (ClientError, bool)> {
        let length = self.wire.outbox.len();
        let mut parsed = Vec::new();
        if let Err(error) = self.write_flight(executes, &mut parsed) {
            self.wire.outbox.truncate(length);
            self.statements.forget(&parsed);
            return Err((error, false));
        }
        self.syncs += 1;
        let mut tags = Vec::with_capacity(executes.len());
        let mut prepared = 0;
        let mut result = self
            .receive(|tag, body| {
                match tag {
                    b'D' => receive(tags.len(), Cells::read(body)?)?,
                    b'C' | b'I' => tags.push(affected(body)),
                    b'1' => prepared += 1,
                    // BindComplete, CloseComplete, NoData.
                    b'2' | b'3' | b'n' => {}
                    other => return Err(unexpected(other)),
                }
                Ok(false)
            })
            .await;
        if let Err(ClientError::Server(error)) = &mut result {
            error.statement = (tags.len() < executes.len()).then_some(tags.len());
            self.statements.forget(parsed.get(prepared..).unwrap_or_default());
        }
        let reused = parsed.len() < executes.len() && !self.session.pooled;
        result.map(|()| tags).map_err(|error| (error, reused))
    }

    /// Writes a flight to the outbox; returns the names of statements that are parsed with it.
    fn write_flight(
        &mut self,
        executes: &[Execute<'_>],
        parsed: &mut Vec<Name>,
    ) -> Result<(), ClientError> {
        self.statements.begin();
        let mut names = Vec::with_capacity(executes.len());
        for execute in executes {
            // The unnamed statement is replaced by the next Parse.
            names.push((!self.session.pooled).then(|| self.statements.name(execute.sql)));
        }
        let out = &mut self.wire.outbox;
        for name in self.statements.surplus() {
            frontend::close(b'S', &name.to_string(), out).map_err(unsendable)?;
        }
        for (execute, name) in executes.iter().zip(names) {
            let text = name.map_or_else(String::new, |(name, _)| name.to_string());
            if name.is_none_or(|(_, is_new)| is_new) {
                parsed.extend(name.map(|(name, _)| name));
                frontend::parse(&text, execute.sql, [], out).map_err(unsendable)?;
            }
            bind(&text, execute, out)?;
            frontend::execute("", 0, out).map_err(unsendable)?;
        }
        frontend::sync(out);
        Ok(())
    }

    /// Receives messages until the server is ready again; handles those that can come at any time.
    async fn receive(
        &mut self,
        mut each: impl FnMut(u8, &[u8]) -> Result<bool, ClientError>,
    ) -> Result<(), ClientError> {
        let Self { wire, parameters, status, syncs, .. } = self;
        let mut error = None;
        let done = wire.exchange(|tag, body| {
            match tag {
                b'Z' => {
                    *status = match body {
                        b"T" => TransactionStatus::Open,
                        b"E" => TransactionStatus::Failed,
                        _ => TransactionStatus::Idle,
                    };
                    *syncs = syncs.saturating_sub(1);
                    return Ok(true);
                }
                b'E' => {
                    let said = ServerError::read(body);
                    let is_fatal = said.is_fatal;
                    error.get_or_insert(said);
                    return Ok(is_fatal);
                }
                b'S' => parameters.extend(startup::parameter(body)),
                b'N' => notice(body),
                b'A' => {}
                // After an error, only the end of the answer matters.
                _ if error.is_some() => {}
                _ => return each(tag, body),
            }
            Ok(false)
        });
        let result = done.await;
        // The server may have sent the reason before it closed the connection.
        let result = error.map_or(result, |error| Err(ClientError::Server(Box::new(error))));
        if let Err(error) = &result {
            self.is_broken |= error.server().is_none_or(|error| error.is_fatal);
        }
        result
    }
}

fn bind(name: &str, execute: &Execute<'_>, out: &mut bytes::BytesMut) -> Result<(), ClientError> {
    let formats = execute
        .parameters
        .iter()
        .map(|parameter| i16::from(matches!(parameter, Parameter::Binary(_))));
    let result = i16::from(execute.format == Format::Binary);
    let write = |parameter: &Parameter<'_>, out: &mut bytes::BytesMut| {
        match parameter {
            Parameter::Null => return Ok(IsNull::Yes),
            Parameter::Text(text) => out.put_slice(text.as_bytes()),
            Parameter::Binary(bytes) => out.put_slice(bytes),
        }
        Ok(IsNull::No)
    };
    let bound = frontend::bind("", name, formats, execute.parameters, write, [result], out);
    bound.map_err(|error| match error {
        BindError::Conversion(error) => ClientError::Unsendable(error.to_string()),
        BindError::Serialization(error) => unsendable(error),
    })
}

/// The number at the end of a command tag.
fn affected(body: &[u8]) -> u64 {
    let tag = body.split(|byte| *byte == 0).next().and_then(|tag| std::str::from_utf8(tag).ok());
    tag.and_then(|tag| tag.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

/// Whether the error comes from a prepared statement: "cached plan must not change result type", a
/// missing statement, or a duplicate name.
pub fn is_about_plans(error: &ClientError) -> bool {
    matches!(error.code(), "0A000" | "26000" | "42P05")
}

fn notice(body: &[u8]) {
    let mut message = "";
    for (field, value) in fields(body) {
        if field == b'M' {
            message = std::str::from_utf8(value).unwrap_or("");
        }
    }
    tracing::debug!(message, "the database notes");
}

fn unexpected(tag: u8) -> ClientError {
    ClientError::protocol(format!("unexpected message {:?}", char::from(tag)))
}
