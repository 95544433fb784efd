//! A mutation that was told ahead, in as few flights as it takes: one, if its answer needs no
//! second level of rows and cannot fail any more when it has been committed; else a transaction,
//! whose last flight is its COMMIT.
//!
//! All at READ COMMITTED: each statement sees what stands when it begins, and what is written
//! behind a version that was compared is behind a row's lock. Whatever is not as it should be makes
//! a statement of the flight fail ([`super::guarded`]), so that nothing is kept; then
//! [`super::transaction`] does the mutation step by step, and says why it cannot be done.

use std::ops::Deref;
use std::sync::Arc;

use super::ahead;
use super::client::{Cells, ClientError, Connection, Execute, Parameter, int};
use super::error::spoils_pool;
use super::feed::Schema;
use super::guarded;
use super::idempotency;
use super::transaction::id_text;
use super::values::{Encoded, KeptRow, Table, encode};
use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, Entity, Model, Value};
use crate::store::error::StoreError;
use crate::store::fetched::Fetched;
use crate::store::reading::Levels;
use crate::store::render::{FIRST_VALUE_SLOT, KEY_SLOT, VERSION_SLOT};
use crate::store::rendered::{Guarded, Purpose, Rendered};
use crate::store::select::{Shape, Slot, SlotValue};
use crate::store::source::{State, Wanted};
use crate::store::statement::Statement;
use crate::store::steps::{Change, Step};
use crate::store::transaction::Writing;

/// Bytes of an answer for each byte of a row's strings, at most: `\u0000`, and something for the
/// names.
const BYTES_OF_BYTE: usize = 8;
/// Bytes of an answer for each row beside its strings, at most.
const BYTES_OF_ROW: usize = 8 << 10;

/// What a mutation came to.
pub(super) enum Outcome<T> {
    /// It is committed.
    Done(T),
    /// Nothing was written: something is not as its steps expect it, or depends on what the
    /// database has.
    InTheWay,
    /// Nothing was written: another transaction was in the way, and may be gone by now.
    Collided,
    /// It failed.
    Failed(StoreError),
}

/// What all mutations need.
pub(super) struct Frame<'s> {
    pub(super) model: &'s Model,
    pub(super) rendered: &'s Rendered,
    /// The state of the database that is known.
    pub(super) schema: &'s Schema,
    /// What begins a transaction.
    pub(super) begin: &'s [String],
    /// Nothing is set up for longer than a transaction, so that none goes without a beginning.
    pub(super) pooled: bool,
}

/// Does it.
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
        // It will fail again, and then its error is told.
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

/// Why a mutation does not go on.
enum Stop {
    InTheWay,
    Said(ClientError),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        Self::Said(error)
    }
}

/// A statement's text.
enum Text<'w> {
    Of(Arc<str>),
    Fixed(&'w str),
}

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Of(text) => text,
            Self::Fixed(text) => text,
        }
    }
}

/// What becomes of a statement's rows.
#[derive(Debug, Clone, Copy)]
enum Gives {
    Nothing,
    /// 1, or 0 where there was nothing to do.
    Verdict,
    /// One, if the key of the mutation is new.
    Taken,
    /// Those of the query with this number.
    Rows(usize),
}

struct Call<'w> {
    text: Text<'w>,
    parameters: Vec<Encoded>,
    gives: Gives,
    /// Its last parameter is how many bytes of strings a row may have, which is known when all rows
    /// are.
    is_bounded: bool,
}

struct Run<'w, 'c> {
    connection: &'c mut Connection,
    frame: &'c Frame<'c>,
    calls: Vec<Call<'w>>,
    wanted: Vec<(Wanted<'w>, &'w Statement)>,
    fetched: Fetched<KeptRow>,
    /// The parameters of whether the database is the same, and whether there may be nothing to do.
    common: [Encoded; 3],
    most_bytes: usize,
    /// Rows that the first level may have.
    rows: u64,
    /// BEGIN was sent.
    is_open: bool,
    /// What was committed could be shown, as far as statements were sent.
    is_sound: bool,
    /// The flight ends the transaction.
    commits: bool,
}

impl<'w, 'c> Run<'w, 'c> {
    fn new(
        connection: &'c mut Connection,
        frame: &'c Frame<'c>,
        may_be_nothing: bool,
        most_bytes: usize,
    ) -> Self {
        let common = [
            Encoded::Text(frame.schema.epoch.clone()),
            Encoded::Text(frame.schema.history.clone()),
            Encoded::Binary(vec![u8::from(may_be_nothing)]),
        ];
        Self {
            connection,
            frame,
            calls: Vec::new(),
            wanted: Vec::new(),
            fetched: Fetched::default(),
            common,
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
        self.calls.push(Call { text, parameters: all, gives, is_bounded: false });
    }

    async fn step<L: Levels<'w>>(&mut self, step: Step<'_, L>) -> Result<(), Stop> {
        let Step { entity, key, change, answer } = step;
        match change {
            Change::Insert(row) => {
                let columns = row.iter().map(|(id, _)| *id).collect();
                self.guarded(entity, &key, Guarded::Insert(columns), ValueRef::Null, &row);
                self.answer(answer).await
            }
            Change::Update(expected, row) => {
                let columns = row.iter().map(|(id, _)| *id).collect();
                let version = expected.map_or(ValueRef::Null, |version| ValueRef::Int(version.0));
                self.guarded(
                    entity,
                    &key,
                    Guarded::Update(columns, expected.is_some()),
                    version,
                    &row,
                );
                self.answer(answer).await
            }
            Change::Delete(expected) => {
                let version = expected.map_or(ValueRef::Null, |version| ValueRef::Int(version.0));
                self.guarded(entity, &key, Guarded::Lock(expected.is_some()), version, &[]);
                self.answer(answer).await?;
                self.guarded(entity, &key, Guarded::Delete, ValueRef::Null, &[]);
                self.guarded(entity, &key, Guarded::Gone, ValueRef::Null, &[]);
                Ok(())
            }
        }
    }

    fn guarded(
        &mut self,
        entity: &Entity,
        key: &Value,
        guarded: Guarded,
        version: ValueRef<'_>,
        row: &[(ColumnId, Value)],
    ) {
        let render = || guarded::statement(self.frame.model, entity, &guarded);
        let statement =
            self.frame.rendered.get(entity.id, Purpose::Guarded(guarded.clone()), render);
        let value = |slot: Slot| match slot {
            KEY_SLOT => key.as_ref(),
            VERSION_SLOT => version,
            slot => row[usize::from(slot - FIRST_VALUE_SLOT)].1.as_ref(),
        };
        let own = statement.parameters.iter().map(|place| encode(value(place.slot), place.ty));
        let id = matches!(guarded, Guarded::Insert(_) | Guarded::Gone)
            .then(|| Encoded::Text(id_text(key)));
        let parameters = own.chain(self.common.iter().cloned()).chain(id).collect();
        self.calls.push(Call {
            text: Text::Of(statement.sql.clone()),
            parameters,
            gives: Gives::Verdict,
            is_bounded: false,
        });
    }

    /// Reads for the answer: the first level together with what was to be sent anyway.
    async fn answer<L: Levels<'w>>(&mut self, mut answer: L) -> Result<(), Stop> {
        let mut wanted = answer.next(&self.fetched);
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
        let gives = Gives::Rows(self.wanted.len());
        self.calls.push(Call {
            text: Text::Of(statement.sql.clone()),
            parameters,
            gives,
            is_bounded,
        });
        self.wanted.push((wanted, statement));
    }

    /// Sends what there is as the whole transaction.
    async fn whole(&mut self) -> Result<(), Stop> {
        self.commits = true;
        if self.frame.pooled {
            self.push(Text::Fixed("COMMIT"), Gives::Nothing, |_| {});
            return self.flush().await;
        }
        self.send(0).await
    }

    /// Sends what there is, within a transaction.
    async fn flush(&mut self) -> Result<(), Stop> {
        if self.calls.is_empty() {
            return Ok(());
        }
        let begin =
            if std::mem::replace(&mut self.is_open, true) { 0 } else { self.frame.begin.len() };
        self.send(begin).await
    }

    async fn send(&mut self, begin: usize) -> Result<(), Stop> {
        let (mut calls, wanted) =
            (std::mem::take(&mut self.calls), std::mem::take(&mut self.wanted));
        let rows = usize::try_from(self.rows.max(1)).unwrap_or(usize::MAX);
        let bytes = (self.most_bytes / rows).saturating_sub(BYTES_OF_ROW) / BYTES_OF_BYTE;
        let bytes =
            Encoded::Binary(i64::try_from(bytes).unwrap_or(i64::MAX).to_be_bytes().to_vec());
        for call in calls.iter_mut().filter(|call| call.is_bounded) {
            call.parameters.push(bytes.clone());
        }
        let parameters: Vec<Vec<Parameter<'_>>> = calls
            .iter()
            .map(|call| call.parameters.iter().map(Encoded::parameter).collect())
            .collect();
        let begin = self.frame.begin[..begin].iter().map(|sql| Execute::binary(sql, &[]));
        let first = begin.len();
        let own = calls
            .iter()
            .zip(&parameters)
            .map(|(call, parameters)| Execute::binary(&call.text, parameters));
        let executes: Vec<Execute<'_>> = begin.chain(own).collect();
        let mut tables: Vec<Table> = wanted.iter().map(|_| Table::default()).collect();
        let mut done = 0;
        let expected =
            calls.iter().filter(|call| matches!(call.gives, Gives::Verdict | Gives::Taken)).count();
        let receive = |number: usize, mut cells: Cells<'_>| {
            let Some(call) = number.checked_sub(first).and_then(|number| calls.get(number)) else {
                return Ok(());
            };
            match call.gives {
                Gives::Nothing => {}
                Gives::Taken => done += 1,
                Gives::Verdict => done += cells.next_cell()?.and_then(int).unwrap_or(0),
                Gives::Rows(at) => tables[at].push(&wanted[at].1.columns, cells)?,
            }
            Ok(())
        };
        self.connection.flight_into(&executes, receive).await?;
        if usize::try_from(done) != Ok(expected) {
            return Err(Stop::InTheWay);
        }
        for ((wanted, _), table) in wanted.iter().zip(tables) {
            ahead::keep(&mut self.fetched, wanted, table);
        }
        Ok(())
    }

    async fn stopped<T>(&mut self, stop: Stop) -> Outcome<T> {
        let error = match stop {
            Stop::InTheWay => {
                // What a flight that was a whole transaction did not do, it says before that is
                // committed.
                let _ = self.connection.roll_back().await;
                return Outcome::InTheWay;
            }
            Stop::Said(error) => error,
        };
        let is_lost = error.server().is_none_or(|error| error.is_fatal);
        if is_lost {
            // The server says so while statements are left that it has not run: it has not come to
            // the commit.
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

/// Whether it would come to the same if it were done step by step.
fn is_final(code: &str) -> bool {
    matches!(code, "57014" | "55P03") || matches!(code.get(..2), Some("53" | "58"))
}

/// How many rows and lists a query of the first level may add to an answer.
fn most_rows(wanted: &Wanted<'_>) -> u64 {
    match wanted.query.shape() {
        Shape::Page { list, .. } => {
            match wanted.values.get(usize::from(list.limit).wrapping_sub(1)) {
                Some(SlotValue::One(Value::Int(limit))) => {
                    u64::try_from(*limit).unwrap_or(0).saturating_add(1)
                }
                _ => u64::MAX / 4,
            }
        }
        Shape::Row { .. } | Shape::Count(_) | Shape::AnyUpToAfter(_) | Shape::AnyFromBefore(_) => 1,
    }
}
