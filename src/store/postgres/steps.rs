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

use std::sync::Arc;

use flight::{Call, Flight, Gives, Text, Values, most_rows};

use super::ahead;
use super::client::{Analysed, ClientError, Connection};
use super::error::spoils_pool;
use super::feed::{Feed, Schema};
use super::guarded::{self, Guarded, GuardedStatement};
use super::idempotency;
use super::transaction::id_text;
use super::values::{Encoded, KeptRow, encode};
use crate::dependency::Version;
use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, Entity, Model, Value};
use crate::store::error::StoreError;
use crate::store::fetched::Fetched;
use crate::store::reading::Levels;
use crate::store::select::Shape;
use crate::store::source::{State, Wanted};
use crate::store::statement::Statement;
use crate::store::steps::{Change, Step};
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
    pub(super) schema: &'s Schema,
    /// Whether it was checked since the mutation arrived.
    pub(super) is_checked: bool,
    /// The statements that begin a transaction.
    pub(super) begin: &'s [String],
    /// Whether settings do not outlast a transaction, so that every transaction must begin with
    /// them.
    pub(super) pooled: bool,
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
    let keys: Vec<Value> = steps.iter().map(|step| step.key.clone()).collect();
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
    let is_whole = !run.is_open && run.is_sound && once.is_none();
    if let Err(stop) = if is_whole { run.whole().await } else { run.flush().await } {
        return run.stopped(stop).await;
    }
    let output = match writing.finish(&state, &keys, &run.fetched) {
        Ok(output) => output,
        Err(error) if is_whole => {
            tracing::error!("a mutation was committed whose answer cannot be shown");
            return Outcome::Done(Err(error));
        }
        // It will fail again, and then report its error.
        Err(_) => return run.stopped(Stop::InTheWay).await,
    };
    if !is_whole {
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
    /// Whether there is a single step, and nothing else.
    is_alone: bool,
    /// Whether a statement relies on when it was analysed, instead of a check.
    relies: bool,
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
            is_alone,
            relies: false,
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

    async fn step<L: Levels<'w>>(&mut self, step: Step<'_, L>) -> Result<(), Stop> {
        let Step { entity, key, change, mut answer } = step;
        let of_version = |expected: Option<Version>| {
            expected.map_or(ValueRef::Null, |version| ValueRef::Int(version.0))
        };
        let columns = |row: &[(ColumnId, Value)]| row.iter().map(|(id, _)| *id).collect();
        match change {
            Change::Insert(row) => {
                let values = Values { entity, key: &key, version: ValueRef::Null, row: &row };
                self.guarded(&values, Guarded::Insert(columns(&row)))?;
                let first = answer.next(&self.fetched);
                self.answer(first, answer).await
            }
            Change::Update(expected, row) => {
                let version = of_version(expected);
                let values = Values { entity, key: &key, version, row: &row };
                let (columns, is_versioned) = (columns(&row), expected.is_some());
                let mut first = answer.next(&self.fetched);
                if let Some(read) = self.only_row(entity, &first)
                    && !answer.may_go_on()
                    && first[0]
                        .query
                        .sound(|shape| guarded::sound(self.frame.model, shape))
                        .is_some()
                    && answer.most_rows() > 0
                {
                    let whole = Guarded::Whole(columns, is_versioned, read);
                    return self.whole_row(&values, whole, first.remove(0));
                }
                self.guarded(&values, Guarded::Update(columns, is_versioned))?;
                self.answer(first, answer).await
            }
            Change::Delete(expected) => {
                let version = of_version(expected);
                let values = Values { entity, key: &key, version, row: &[] };
                self.guarded(&values, Guarded::Lock(expected.is_some()))?;
                let first = answer.next(&self.fetched);
                self.answer(first, answer).await?;
                self.guarded(&values, Guarded::Delete)?;
                self.guarded(&values, Guarded::Gone)
            }
        }
    }

    /// The columns of the row that the answer needs, if it needs nothing else, and if the statement
    /// that changes the row can return them: nothing changes the row after that statement, and this
    /// is known, or the statement will notice if it is wrong.
    fn only_row(&self, entity: &Entity, first: &[Wanted<'w>]) -> Option<Vec<ColumnId>> {
        let [wanted] = first else { return None };
        let Shape::Row { from, keys, columns } = wanted.query.shape() else { return None };
        let is_known = self.can_notice(entity) || self.frame.is_checked;
        let is_by_key =
            from.entity() == entity.id && from.only().is_none() && **keys == [entity.key];
        let is_plain = self.is_alone && self.frame.schema.is_plain(entity.id);
        (is_known && is_by_key && is_plain).then(|| columns.to_vec())
    }

    /// Whether a statement can notice that the entity's table was altered.
    fn can_notice(&self, entity: &Entity) -> bool {
        // A statement that is not prepared is analysed every time.
        !self.frame.pooled && self.frame.schema.watch(entity.id).is_some()
    }

    fn guarded(&mut self, values: &Values<'_>, guarded: Guarded) -> Result<(), Stop> {
        let kept = self.statement(values.entity, &guarded);
        let Some(statement) = &*kept else { return Err(Stop::InTheWay) };
        let gives = if statement.analysed { Gives::Analysed } else { Gives::Verdict };
        self.call(values, &guarded, statement, gives)
    }

    /// Changes a row by the statement that also gives it.
    fn whole_row(
        &mut self,
        values: &Values<'_>,
        whole: Guarded,
        wanted: Wanted<'w>,
    ) -> Result<(), Stop> {
        let kept = self.statement(values.entity, &whole);
        let Some(statement) = &*kept else { return Err(Stop::InTheWay) };
        self.rows = 1;
        let read = ahead::statement(self.frame.model, &wanted);
        let gives = Gives::Whole(self.flight.want(wanted, read), statement.analysed);
        self.call(values, &whole, statement, gives)
    }

    fn statement(&self, entity: &Entity, guarded: &Guarded) -> Arc<Option<GuardedStatement>> {
        let schema = self.frame.schema;
        let watch = schema.watch(entity.id).filter(|_| self.can_notice(entity));
        let render = || guarded::statement(self.frame.model, entity, guarded, watch);
        schema.statements.get(entity.id, guarded.clone(), render)
    }

    fn call(
        &mut self,
        values: &Values<'_>,
        guarded: &Guarded,
        statement: &GuardedStatement,
        gives: Gives,
    ) -> Result<(), Stop> {
        let schema = self.frame.schema;
        let GuardedStatement { statement: Statement { sql, parameters, .. }, .. } = statement;
        let own = parameters.iter().map(|place| encode(values.of(place.slot), place.ty));
        let mut all: Vec<Encoded> = own.collect();
        all.push(Encoded::Text(schema.epoch.clone()));
        all.push(Encoded::Text(schema.history.clone()));
        if statement.may_be_nothing {
            all.push(Encoded::Binary(vec![u8::from(self.is_alone)]));
        }
        let analysed = self.analysed(guarded, statement)?;
        all.extend(statement.analysed.then_some(analysed));
        all.extend(statement.key.then(|| Encoded::Text(id_text(values.key))));
        self.flight.push(Call {
            text: Text::Of(sql.clone()),
            parameters: all,
            gives,
            is_bounded: statement.most_bytes,
        });
        Ok(())
    }

    /// When a statement was analysed while the table that it relies on was in the known state: a
    /// later check has ended, so all alterations until then are known, and the statement notices
    /// later ones. NULL if a check replaces this.
    fn analysed(
        &mut self,
        guarded: &Guarded,
        statement: &GuardedStatement,
    ) -> Result<Encoded, Stop> {
        let is_known = |analysed: &Analysed| self.frame.feed.has_checked_since(analysed.checks);
        let kept = self.connection.analysed(&statement.statement.sql);
        match kept.filter(|analysed| statement.analysed && is_known(analysed)) {
            Some(analysed) if !self.frame.is_checked => {
                self.relies = true;
                Ok(Encoded::Binary(analysed.at.to_be_bytes().to_vec()))
            }
            _ if self.frame.is_checked || !guarded::rests_on_table(guarded) => Ok(Encoded::Null),
            _ => Err(Stop::Unchecked),
        }
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
        if self.frame.pooled {
            self.push(Text::Fixed("COMMIT"), Gives::Nothing, |_| {});
            return self.flush().await;
        }
        self.send(0).await
    }

    /// Sends everything so far, within a transaction.
    async fn flush(&mut self) -> Result<(), Stop> {
        if self.flight.is_empty() {
            return Ok(());
        }
        let begin =
            if std::mem::replace(&mut self.is_open, true) { 0 } else { self.frame.begin.len() };
        self.send(begin).await
    }

    async fn send(&mut self, begin: usize) -> Result<(), Stop> {
        let rows = usize::try_from(self.rows.max(1)).unwrap_or(usize::MAX);
        let most_bytes = (self.most_bytes / rows).saturating_sub(BYTES_OF_ROW) / BYTES_OF_BYTE;
        let (flight, begin) = (std::mem::take(&mut self.flight), &self.frame.begin[..begin]);
        let checks = || self.frame.feed.checks();
        let sent = flight.send(self.connection, begin, most_bytes, checks, &mut self.fetched);
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
            code if spoils_pool(&error) || is_final(code) => Outcome::Failed(error.into()),
            _ => Outcome::InTheWay,
        }
    }
}

/// Whether running it step by step would have the same outcome.
fn is_final(code: &str) -> bool {
    matches!(code, "57014" | "55P03") || matches!(code.get(..2), Some("53" | "58"))
}
