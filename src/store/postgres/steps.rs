//! Mutations whose steps are known in advance, in as few flights as possible: one, if the answer
//! needs only one level of rows and cannot fail after the commit; otherwise a transaction, whose
//! last flight is its COMMIT.
//!
//! A statement that compares a version detects by itself whether the table was altered since the
//! last check ([`super::guarded`]). So no check is needed before it, unless the connection runs the
//! statement for the first time, or the table was altered.
//!
//! All of this is at READ COMMITTED: each statement sees what is committed when it begins, and
//! writes that follow the comparison of a version are protected by the row's lock. If anything is
//! not as expected, a statement of the flight fails ([`super::guarded`]), so nothing takes effect;
//! then [`super::transaction`] runs the mutation step by step, and reports why it fails.

mod flight;
mod step;

use std::sync::Arc;

use flight::{Call, Flight, Gives, Text, most_rows};

use super::ahead;
use super::client::{ClientError, Connection};
use super::error::spoils_pool;
use super::feed::{Feed, Schema};
use super::guarded;
use super::idempotency;
use super::values::{Encoded, KeptRow};
use crate::model::{Model, Value};
use crate::store::error::StoreError;
use crate::store::fetched::Fetched;
use crate::store::reading::Levels;
use crate::store::select::Shape;
use crate::store::source::{State, Wanted};
use crate::store::transaction::Writing;

/// The maximum number of bytes in an answer per byte of a row's strings: `\u0000`, and some for
/// names.
const BYTES_OF_BYTE: usize = 8;
/// The maximum number of bytes in an answer per row, in addition to its strings.
const BYTES_OF_ROW: usize = 8 << 10;

/// The outcome of a mutation.
pub(super) enum Outcome<T> {
    /// It is committed.
    Done(T),
    /// Nothing was written: something is not as its steps expect, or depends on the database's
    /// contents.
    InTheWay,
    /// Nothing was written: a check must first confirm the known state of the tables.
    Unchecked,
    /// Nothing was written: another transaction was in the way, and may have ended by now.
    Collided,
    /// It failed.
    Failed(StoreError),
}

/// What all mutations need.
pub(super) struct Frame<'s> {
    pub(super) model: &'s Model,
    pub(super) feed: &'s Feed,
    /// The known state of the database.
    pub(super) schema: &'s Arc<Schema>,
    /// Whether it was checked since the mutation arrived.
    pub(super) is_checked: bool,
    /// The statement that begins a transaction.
    pub(super) begin: &'static str,
    /// Whether every transaction must begin with it, because the session's defaults are not ours.
    pub(super) pooled: bool,
}

impl Frame<'_> {
    /// Whether the state of the tables is still the known one, as far as is known.
    fn is_current(&self) -> bool {
        Arc::ptr_eq(self.schema, &self.feed.schema())
    }

    /// Checks that, if the database can be checked.
    async fn is_confirmed(&self) -> bool {
        is_confirmed(self.feed, self.schema).await
    }
}

/// Whether, after a check, the state of the tables is still this one, as far as is known.
pub(super) async fn is_confirmed(feed: &Feed, schema: &Arc<Schema>) -> bool {
    if let Err(error) = feed.catch_up().await {
        tracing::debug!(%error, "a version was compared before it is known whether it still means the same");
    }
    Arc::ptr_eq(schema, &feed.schema())
}

/// Runs a mutation.
pub(super) async fn run<W: Writing>(
    connection: &mut Connection,
    frame: &Frame<'_>,
    writing: &W,
) -> Outcome<Result<W::Output, W::Error>> {
    let state = State { identity: frame.schema.identity, guard: frame.schema.guard.clone() };
    let Some(steps) = writing.steps(&state) else { return Outcome::InTheWay };
    let once = writing.once();
    let mut run =
        Run::new(connection, frame, steps.len() == 1 && once.is_none(), writing.most_bytes());
    if let Some(once) = once {
        run.push(Text::Fixed(idempotency::TAKE), Gives::Taken, |all| {
            all.extend(
                [once.key.to_owned(), idempotency::seconds(once.retention)].map(Encoded::Text),
            );
        });
    }
    for step in steps {
        if let Err(stop) = run.step(step).await {
            return run.stopped(stop).await;
        }
    }
    // If only the key of a new row had to be waited for, the answer's rows and the COMMIT can still
    // be sent together.
    let is_whole = run.is_sound && once.is_none() && !run.is_unconfirmed;
    if let Err(stop) = if is_whole { run.whole().await } else { run.flush().await } {
        return run.stopped(stop).await;
    }
    let output = match writing.finish(&state, &run.keys, &run.fetched) {
        Ok(output) => output,
        Err(error) if is_whole => {
            tracing::error!("a mutation was committed whose answer cannot be shown");
            return Outcome::Done(Err(error));
        }
        // It will fail again, and then report its error.
        Err(_) => return run.stopped(Stop::InTheWay).await,
    };
    if !is_whole {
        // Now nobody else can alter the table; somebody may have done so after the first check.
        if run.is_unconfirmed && !frame.is_confirmed().await {
            return run.stopped(Stop::Unchecked).await;
        }
        if let Some(once) = once {
            let seconds = idempotency::seconds(once.retention);
            run.push(Text::Fixed(idempotency::KEEP), Gives::Nothing, |all| {
                let (request, body) = (once.request.to_vec(), W::body(&output).to_vec());
                all.extend([
                    Encoded::Text(once.key.to_owned()),
                    Encoded::Binary(request),
                    Encoded::Binary(body),
                ]);
            });
            run.push(Text::Fixed(idempotency::FORGET), Gives::Nothing, |all| {
                all.push(Encoded::Text(seconds))
            });
        }
        run.push(Text::Fixed("COMMIT"), Gives::Nothing, |_| {});
        run.commits = true;
        if let Err(stop) = run.flush().await {
            return run.stopped(stop).await;
        }
    }
    Outcome::Done(Ok(output))
}

/// Why a mutation does not continue.
enum Stop {
    InTheWay,
    Unchecked,
    Said(ClientError),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Said(error)
    }
}

struct Run<'w, 'c> {
    connection: &'c mut Connection,
    frame: &'c Frame<'c>,
    flight: Flight<'w>,
    fetched: Fetched<KeptRow>,
    /// The keys of the steps' rows; NULL as long as the database has not given one.
    keys: Vec<Value>,
    /// Whether there is a single step, and nothing else.
    is_alone: bool,
    /// Whether a statement relies on when it was analysed, instead of a check.
    relies: bool,
    /// Whether a statement that compares a version relies on a check before it. It may then have to
    /// wait for a lock: only another check, before the commit, tells in which state of the table it
    /// was run.
    is_unconfirmed: bool,
    most_bytes: usize,
    /// The number of rows that the first level may have.
    rows: u64,
    /// Whether BEGIN was sent.
    is_open: bool,
    /// Whether the result can be shown, as far as statements were sent.
    is_sound: bool,
    /// Whether the flight ends the transaction.
    commits: bool,
}

impl<'w, 'c> Run<'w, 'c> {
    fn new(
        connection: &'c mut Connection,
        frame: &'c Frame<'c>,
        is_alone: bool,
        most_bytes: usize,
    ) -> Self {
        Self {
            connection,
            frame,
            flight: Flight::default(),
            fetched: Fetched::default(),
            keys: Vec::new(),
            is_alone,
            relies: false,
            is_unconfirmed: false,
            most_bytes,
            rows: 0,
            is_open: false,
            is_sound: true,
            commits: false,
        }
    }

    fn push(&mut self, text: Text<'w>, gives: Gives, parameters: impl FnOnce(&mut Vec<Encoded>)) {
        let mut all = Vec::new();
        parameters(&mut all);
        self.flight.push(Call { text, parameters: all, gives, is_bounded: false });
    }

    /// Reads the answer's rows: the first level together with what is to be sent anyway.
    async fn answer<L: Levels<'w>>(
        &mut self,
        mut wanted: Vec<Wanted<'w>>,
        mut answer: L,
    ) -> Result<(), Stop> {
        let mut is_first = true;
        loop {
            let goes_on = answer.may_go_on();
            if wanted.is_empty() {
                return Ok(());
            }
            let rows = self.rows + wanted.iter().map(most_rows).sum::<u64>();
            self.rows = rows;
            for wanted in wanted {
                self.query(wanted, is_first && !goes_on);
            }
            if is_first && !goes_on {
                self.is_sound &= rows <= answer.most_rows();
                return Ok(());
            }
            self.is_sound = false;
            self.flush().await?;
            if !goes_on {
                return Ok(());
            }
            if self.fetched.rows_fetched() > answer.most_rows() {
                return Err(Stop::InTheWay);
            }
            wanted = answer.next(&self.fetched);
            is_first = false;
        }
    }

    fn query(&mut self, wanted: Wanted<'w>, is_last: bool) {
        let model = self.frame.model;
        let sound =
            if is_last { wanted.query.sound(|shape| guarded::sound(model, shape)) } else { None };
        self.is_sound &= sound.is_some();
        let statement = sound.unwrap_or_else(|| ahead::statement(model, &wanted));
        let parameters = ahead::parameters(&wanted, statement);
        let is_bounded = sound.is_some()
            && matches!(wanted.query.shape(), Shape::Row { .. } | Shape::Page { .. });
        let gives = Gives::Rows(self.flight.want(wanted, statement));
        self.flight.push(Call {
            text: Text::Of(statement.sql.clone()),
            parameters,
            gives,
            is_bounded,
        });
    }

    /// Sends everything as the whole transaction.
    async fn whole(&mut self) -> Result<(), Stop> {
        self.commits = true;
        if self.frame.pooled || self.is_open {
            self.push(Text::Fixed("COMMIT"), Gives::Nothing, |_| {});
            return self.flush().await;
        }
        self.send(None).await
    }

    /// Sends everything so far, within a transaction.
    async fn flush(&mut self) -> Result<(), Stop> {
        if self.flight.is_empty() {
            return Ok(());
        }
        let begin = (!std::mem::replace(&mut self.is_open, true)).then_some(self.frame.begin);
        self.send(begin).await
    }

    async fn send(&mut self, begin: Option<&str>) -> Result<(), Stop> {
        let rows = usize::try_from(self.rows.max(1)).unwrap_or(usize::MAX);
        let most_bytes = (self.most_bytes / rows).saturating_sub(BYTES_OF_ROW) / BYTES_OF_BYTE;
        let flight = std::mem::take(&mut self.flight);
        let checks = || self.frame.feed.checks();
        let (fetched, keys) = (&mut self.fetched, &mut self.keys);
        let sent = flight.send(self.connection, begin, most_bytes, checks, fetched, keys);
        if sent.await? { Ok(()) } else { Err(Stop::InTheWay) }
    }

    async fn stopped<T>(&mut self, stop: Stop) -> Outcome<T> {
        let error = match stop {
            Stop::InTheWay | Stop::Unchecked => {
                // A flight that is a whole transaction reports that it had no effect before it is
                // committed.
                let _ = self.connection.roll_back().await;
                let is_unchecked = matches!(stop, Stop::Unchecked) || self.relies;
                return if is_unchecked { Outcome::Unchecked } else { Outcome::InTheWay };
            }
            Stop::Said(error) => error,
        };
        let is_lost = error.server().is_none_or(|error| error.is_fatal);
        if is_lost {
            // The server reports this while there are statements that it has not run: it has not
            // reached the commit.
            let is_before = error.server().is_some_and(|error| error.statement.is_some());
            return match self.commits && !is_before {
                true => Outcome::Failed(StoreError::Unknown(error.to_string())),
                false => Outcome::InTheWay,
            };
        }
        let _ = self.connection.roll_back().await;
        match error.code() {
            "40001" | "40P01" => Outcome::Collided,
            // A statement has noticed that its table was altered, and failed.
            "22P02" if self.relies => Outcome::Unchecked,
            code if spoils_pool(&error) || is_final(code) => Outcome::Failed(error.into()),
            _ => Outcome::InTheWay,
        }
    }
}

/// Whether running it step by step would have the same outcome.
fn is_final(code: &str) -> bool {
    matches!(code, "57014" | "55P03") || matches!(code.get(..2), Some("53" | "58"))
}
