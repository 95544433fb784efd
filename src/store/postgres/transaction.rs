//! Writes step by step, in a transaction at READ COMMITTED: row locks ensure that a compared
//! version stays current. Each statement that may fail follows a savepoint, so that the cause of a
//! failure can be looked up together with what the mutation has written before.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use super::ahead;
use super::blame::{self, Written};
use super::client::{ClientError, Execute, Parameter, Rows, ServerError, TransactionStatus};
use super::dialect::Postgres;
use super::error::spoils_pool;
use super::idempotency;
use super::migrate;
use super::pool::Lease;
use super::sequence;
use super::values::{Encoded, KeptRow, Table, encode};
use crate::dependency::Version;
use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, DefaultValue, Entity, Model, Value};
use crate::store::dialect::ROOT;
use crate::store::error::{Constraint, StoreError};
use crate::store::fetched::Fetched;
use crate::store::guard::Guard;
use crate::store::reading::Levels;
use crate::store::render::{self, FIRST_VALUE_SLOT, KEY_SLOT, VERSION_SLOT};
use crate::store::rendered::{Purpose, Rendered};
use crate::store::select::{Shape, Slot, Visible};
use crate::store::source::State;
use crate::store::statement::Statement;
use crate::store::transaction::{self, KeptAnswer, NoEffect, Refusal};

/// The server's time, as in versions.
const NOW: &str = "SELECT (date_part('epoch', clock_timestamp()) * 1000000)::bigint";

/// What happened to a transaction, in addition to its mutation's result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Fate {
    /// Whether another transaction got in the way: 40001, 40P01.
    pub(super) collided: bool,
    /// Whether the connection broke, so that nothing was written.
    pub(super) lost: bool,
    /// Whether it has an Idempotency-Key: running it again finds out what happened to it.
    pub(super) is_once: bool,
}

/// A transaction.
pub(super) struct Transaction<'s> {
    lease: Mutex<Lease>,
    model: &'s Model,
    rendered: &'s Rendered,
    guard: Arc<Guard>,
    /// The statement that begins it.
    begin: &'static str,
    has_begun: Cell<bool>,
    fate: Cell<Fate>,
}

/// A row at one moment.
struct RowState {
    version: Version,
    values: Vec<Value>,
}

impl<'s> Transaction<'s> {
    pub(super) fn new(
        lease: Lease,
        model: &'s Model,
        rendered: &'s Rendered,
        guard: Arc<Guard>,
        begin: &'static str,
    ) -> Self {
        let (has_begun, fate) = (Cell::new(false), Cell::default());
        Self { lease: Mutex::new(lease), model, rendered, guard, begin, has_begun, fate }
    }

    pub(super) fn fate(&self) -> Fate {
        self.fate.get()
    }

    fn note(&self, change: impl FnOnce(&mut Fate)) {
        let mut fate = self.fate.get();
        change(&mut fate);
        self.fate.set(fate);
    }

    fn failed(&self, error: &ClientError) {
        self.note(|fate| {
            fate.collided |= matches!(error.code(), "40001" | "40P01");
            fate.lost |= spoils_pool(error);
        });
    }

    /// Commits.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] if the connection broke and it is unknown whether the transaction
    /// was committed; a deferred constraint; or why it was rolled back.
    pub(super) async fn commit(&self) -> Result<(), StoreError> {
        if !self.has_begun.get() {
            return Ok(());
        }
        let mut lease = self.lease.lock().await;
        let connection = lease.connection();
        if connection.status() != TransactionStatus::Open {
            return Err(StoreError::RolledBack);
        }
        match connection.script("COMMIT").await {
            Ok(_) => Ok(()),
            Err(error) if error.server().is_none_or(|error| error.is_fatal) => {
                Err(StoreError::Unknown(error.to_string()))
            }
            Err(error) => {
                self.failed(&error);
                Err(error.into())
            }
        }
    }

    /// Rolls it back. If the connection is lost, so is the transaction.
    pub(super) async fn roll_back(&self) {
        let mut lease = self.lease.lock().await;
        if let Err(error) = lease.connection().roll_back().await {
            self.failed(&error);
        }
    }

    /// Runs statements; the first ones follow the one that begins the transaction.
    async fn flight(&self, executes: &[Execute<'_>]) -> Result<Vec<Rows>, ClientError> {
        let mut lease = self.lease.lock().await;
        let begin = (!self.has_begun.replace(true)).then(|| Execute::text(self.begin, &[]));
        let all: Vec<Execute<'_>> = begin.into_iter().chain(executes.iter().copied()).collect();
        let result = lease.connection().flight(&all).await;
        let mut rows = result.inspect_err(|error| self.failed(error))?;
        Ok(rows.split_off(usize::from(begin.is_some())))
    }

    fn statement(
        &self,
        entity: &Entity,
        purpose: Purpose,
        render: impl FnOnce() -> Statement,
    ) -> Arc<Statement> {
        self.rendered.get(entity.id, purpose, render)
    }

    /// The statement that reads a row's version and these columns.
    fn state_of(&self, entity: &Entity, columns: &[ColumnId]) -> Arc<Statement> {
        let from = Visible::everything(entity.id);
        let shape = || Shape::Row { from, keys: [entity.key].into(), columns: columns.into() };
        self.statement(entity, Purpose::State(columns.to_vec()), || {
            render::query(self.model, &Postgres, &shape())
        })
    }

    /// The state of a row, which from then on nobody else can change.
    async fn locked(
        &self,
        entity: &Entity,
        key: &Value,
        columns: &[ColumnId],
    ) -> Result<Option<RowState>, StoreError> {
        let statement = self.state_of(entity, columns);
        let key = bound(&statement, |_| key.as_ref());
        let parameters = parameters(&key);
        // A statement that has waited for a lock may still read what was there before.
        let lock = format!("{} FOR UPDATE OF \"{}\"", statement.sql, ROOT);
        let all =
            [Execute::binary(&lock, &parameters), Execute::binary(&statement.sql, &parameters)];
        let rows = self.flight(&all).await?;
        Ok(row_state(&statement, &rows[1], columns.len()))
    }

    /// Runs a statement that may have no effect, followed by separate statements that tell whether
    /// it did.
    async fn write(
        &self,
        entity: &Entity,
        key: Option<&Value>,
        row: &[(ColumnId, Value)],
        executes: &[Execute<'_>],
    ) -> Result<Vec<Rows>, Refusal> {
        let all: Vec<Execute<'_>> = std::iter::once(Execute::text("SAVEPOINT before_it", &[]))
            .chain(executes.iter().copied())
            .chain([Execute::text("RELEASE SAVEPOINT before_it", &[])])
            .collect();
        match self.flight(&all).await {
            Ok(mut rows) => {
                rows.remove(0);
                Ok(rows)
            }
            Err(ClientError::Server(error)) => Err(self.refused(*error, entity, key, row).await),
            Err(error) => Err(Refusal::Store(error.into())),
        }
    }

    /// Why a statement that writes to the entity's table has failed.
    async fn refused(
        &self,
        error: ServerError,
        entity: &Entity,
        key: Option<&Value>,
        row: &[(ColumnId, Value)],
    ) -> Refusal {
        let written: Vec<Written<'_>> =
            row.iter().map(|(id, value)| Written { column: entity.column(*id), value }).collect();
        // A BEFORE trigger has written to the very row.
        if error.code == "27000" {
            let event = if row.is_empty() { blame::Event::Delete } else { blame::Event::Update };
            return self.without_effect(entity, event, NoEffect::Ignored).await;
        }
        let is_of_a_function =
            error.context.as_ref().is_some_and(|context| context.contains("PL/pgSQL"));
        let constraint = match StoreError::from(ClientError::Server(Box::new(error.clone()))) {
            StoreError::Constraint(constraint) => constraint,
            StoreError::Value(_) if !is_of_a_function => {
                let found = self
                    .blame(async |lease| blame::unfit(lease, &error, &entity.table, &written).await)
                    .await;
                return match found {
                    Ok(found) => Refusal::Value(found),
                    Err(error) => Refusal::Store(error.into()),
                };
            }
            // Raised by a user-defined PL/pgSQL function.
            StoreError::Database(_) | StoreError::Value(_) if is_of_a_function => {
                let triggers = self
                    .blame(async |lease| blame::broken(lease, &entity.table, &error).await)
                    .await;
                return match triggers {
                    Ok(triggers) if !triggers.is_empty() => {
                        // What a trigger cannot convert may come from a row.
                        let message = match error.code.starts_with("22") {
                            true => error.without_values(),
                            false => error.message,
                        };
                        Refusal::BrokenTriggers { triggers, message }
                    }
                    _ => Refusal::Store(StoreError::Statement(error.to_string())),
                };
            }
            other => return Refusal::Store(other),
        };
        let key = key.map(|value| Written { column: entity.column(entity.key), value });
        let named = self
            .blame(async |lease| {
                blame::named(lease, constraint.clone(), &error, &entity.table, key, &written).await
            })
            .await;
        if let Ok(Constraint::Unique(columns)) = &named
            && self.is_counted_key(entity, row, &columns.names)
            && self
                .blame(async |lease| sequence::move_on(lease, entity).await)
                .await
                .is_ok_and(|moved| moved)
        {
            // When run again, it gets an unused key.
            self.note(|fate| fate.collided = true);
        }
        Refusal::Constraint(named.unwrap_or(constraint))
    }

    /// Whether these are the columns of a generated key, and the row was not given one.
    fn is_counted_key(
        &self,
        entity: &Entity,
        row: &[(ColumnId, Value)],
        columns: &[String],
    ) -> bool {
        let key = entity.column(entity.key);
        key.default == Some(DefaultValue::Autoincrement)
            && columns.len() == 1
            && columns[0] == key.name
            && row.iter().all(|(column, _)| *column != entity.key)
    }

    /// Looks something up, together with what the mutation has written before the failed statement.
    async fn blame<T>(
        &self,
        look: impl AsyncFnOnce(&mut Lease) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut lease = self.lease.lock().await;
        if lease.connection().status() == TransactionStatus::Failed {
            lease.connection().script("ROLLBACK TO SAVEPOINT before_it").await?;
        }
        look(&mut lease).await
    }

    async fn without_effect(
        &self,
        entity: &Entity,
        event: blame::Event,
        effect: NoEffect,
    ) -> Refusal {
        let found =
            self.blame(async |lease| blame::interfering(lease, &entity.table, event).await).await;
        match found {
            Ok((triggers, by_rule)) => Refusal::NoEffect { effect, triggers, by_rule },
            Err(error) => Refusal::Store(error.into()),
        }
    }

    /// Whether this entity's versions may miss a change, so that values must be compared.
    fn must_look(&self, entity: &Entity) -> bool {
        self.guard.why_not(entity.id).is_some()
    }
}

impl transaction::Transaction for Transaction<'_> {
    type Source = Fetched<KeptRow>;

    async fn state(&self) -> Result<State, StoreError> {
        let rows = self.flight(&[Execute::text(migrate::META, &[])]).await?;
        Ok(State { identity: migrate::identity_in(&rows[0])?, guard: self.guard.clone() })
    }

    async fn insert(&self, entity: &Entity, row: &[(ColumnId, Value)]) -> Result<Value, Refusal> {
        let columns: Vec<ColumnId> = row.iter().map(|(id, _)| *id).collect();
        let render = || render::insert(self.model, &Postgres, entity, &columns);
        let statement = self.statement(entity, Purpose::Insert(columns.clone()), render);
        let values = bound(&statement, |slot| row[usize::from(slot - FIRST_VALUE_SLOT)].1.as_ref());
        let now = Execute::binary(NOW, &[]);
        let parameters = parameters(&values);
        let insert = Execute::binary(&statement.sql, &parameters);
        let rows = self.write(entity, None, row, &[now, insert]).await?;
        let now = rows[0].first().and_then(|row| row.int(0)).unwrap_or(0);
        let key = table(&statement, &rows[1]).get(0, 0).to_value();
        if key == Value::Null {
            return Err(self.without_effect(entity, blame::Event::Insert, NoEffect::Ignored).await);
        }
        let state = self.state_of(entity, &[]);
        let by_key = bound(&state, |_| key.as_ref());
        let rows = self.flight(&[Execute::binary(&state.sql, &self::parameters(&by_key))]).await;
        let rows = rows.map_err(|error| Refusal::Store(error.into()))?;
        match row_state(&state, &rows[0], 0) {
            None => Err(self.without_effect(entity, blame::Event::Insert, NoEffect::Undone).await),
            Some(found) if found.version.0 < now => {
                Err(self.without_effect(entity, blame::Event::Insert, NoEffect::Unversioned).await)
            }
            Some(_) => Ok(key),
        }
    }

    async fn update(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
        row: &[(ColumnId, Value)],
    ) -> Result<(), Refusal> {
        let others: Vec<ColumnId> = entity.column_ids().filter(|id| *id != entity.key).collect();
        let must_look = self.must_look(entity);
        // If versions are in another table, a statement that waits for a row's lock sees an old
        // one.
        let before = match must_look || (!entity.managed && expected.is_some()) {
            true => {
                let before = self.locked(entity, key, &others).await?.ok_or(Refusal::Absent)?;
                if expected.is_some_and(|expected| expected != before.version) {
                    return Err(Refusal::Absent);
                }
                Some(before)
            }
            false => None,
        };
        let columns: Vec<ColumnId> = row.iter().map(|(id, _)| *id).collect();
        let is_versioned = expected.is_some() && before.is_none();
        let render = || render::update(self.model, &Postgres, entity, &columns, is_versioned);
        let statement =
            self.statement(entity, Purpose::Update(columns.clone(), is_versioned), render);
        let values = bound(&statement, |slot| match slot {
            KEY_SLOT => key.as_ref(),
            VERSION_SLOT => version(expected),
            slot => row[usize::from(slot - FIRST_VALUE_SLOT)].1.as_ref(),
        });
        let read: &[ColumnId] = if must_look { &others } else { &[] };
        let state = self.state_of(entity, read);
        let by_key = bound(&state, |_| key.as_ref());
        let (values, by_key) = (parameters(&values), parameters(&by_key));
        let all = [Execute::binary(&statement.sql, &values), Execute::binary(&state.sql, &by_key)];
        let rows = self.write(entity, Some(key), row, &all).await?;
        let after = row_state(&state, &rows[1], read.len());
        let effect = match (rows[0].affected, after, before) {
            (0, None, _) => return Err(Refusal::Absent),
            (0, Some(found), _) if expected.is_some_and(|expected| expected != found.version) => {
                return Err(Refusal::Absent);
            }
            (0, Some(_), _) => NoEffect::Ignored,
            (_, None, _) => NoEffect::Undone,
            (_, Some(after), Some(before))
                if must_look
                    && before.version == after.version
                    && before.values != after.values =>
            {
                NoEffect::Unversioned
            }
            _ => return Ok(()),
        };
        Err(self.without_effect(entity, blame::Event::Update, effect).await)
    }

    async fn delete(
        &self,
        entity: &Entity,
        key: &Value,
        expected: Option<Version>,
    ) -> Result<(), Refusal> {
        let mut is_versioned = expected.is_some();
        if is_versioned && !entity.managed {
            let found = self.locked(entity, key, &[]).await?.ok_or(Refusal::Absent)?;
            if expected != Some(found.version) {
                return Err(Refusal::Absent);
            }
            is_versioned = false;
        }
        let render = || render::delete(self.model, &Postgres, entity, is_versioned);
        let statement = self.statement(entity, Purpose::Delete(is_versioned), render);
        let values =
            bound(
                &statement,
                |slot| if slot == KEY_SLOT { key.as_ref() } else { version(expected) },
            );
        let state = self.state_of(entity, &[]);
        let by_key = bound(&state, |_| key.as_ref());
        let logged = "SELECT 1 FROM _freshql_change WHERE xid = pg_current_xact_id() AND entity = $1::text \
                      AND id = $2::text AND op = 'D' LIMIT 1";
        let id = id_text(key);
        let name_and_id = [Parameter::Text(&entity.name), Parameter::Text(&id)];
        let (values, by_key) = (parameters(&values), parameters(&by_key));
        let all = [
            Execute::binary(&statement.sql, &values),
            Execute::binary(&state.sql, &by_key),
            Execute::binary(logged, &name_and_id),
        ];
        let rows = self.write(entity, Some(key), &[], &all).await?;
        let after = row_state(&state, &rows[1], 0);
        let effect = match (rows[0].affected, after) {
            (0, None) => return Err(Refusal::Absent),
            (0, Some(found)) if expected.is_some_and(|expected| expected != found.version) => {
                return Err(Refusal::Absent);
            }
            (0, Some(_)) => NoEffect::Ignored,
            (_, Some(_)) => NoEffect::Undone,
            (_, None) if rows[2].is_empty() => NoEffect::Unversioned,
            (_, None) => return Ok(()),
        };
        Err(self.without_effect(entity, blame::Event::Delete, effect).await)
    }

    async fn read<'l, T>(
        &self,
        levels: impl Levels<'l>,
        read: impl FnOnce(&Fetched<KeptRow>) -> T,
    ) -> Result<T, StoreError> {
        let fetched = {
            let mut lease = self.lease.lock().await;
            ahead::within(lease.connection(), self.model, levels).await
        };
        let fetched = fetched.inspect_err(|error| self.failed(error))?;
        Ok(read(&fetched))
    }

    async fn lock(&self, entity: &Entity, key: &Value) -> Result<Option<Version>, StoreError> {
        Ok(self.locked(entity, key, &[]).await?.map(|state| state.version))
    }

    async fn kept_answer(
        &self,
        key: &str,
        retention: Duration,
    ) -> Result<Option<KeptAnswer>, StoreError> {
        self.note(|fate| fate.is_once = true);
        let seconds = idempotency::seconds(retention);
        let parameters = [Parameter::Text(key), Parameter::Text(&seconds)];
        let rows = self.flight(&[Execute::binary(idempotency::TAKE, &parameters)]).await?;
        if !rows[0].is_empty() {
            return Ok(None);
        }
        let rows =
            self.flight(&[Execute::binary(idempotency::FIND, &[Parameter::Text(key)])]).await?;
        Ok(idempotency::kept(&rows[0]))
    }

    async fn keep_answer(
        &self,
        key: &str,
        request: &[u8],
        answer: &[u8],
        retention: Duration,
    ) -> Result<(), StoreError> {
        let parameters =
            [Parameter::Text(key), Parameter::Binary(request), Parameter::Binary(answer)];
        let seconds = idempotency::seconds(retention);
        let kept = [Parameter::Text(&seconds)];
        let all = [
            Execute::binary(idempotency::KEEP, &parameters),
            Execute::binary(idempotency::FORGET, &kept),
        ];
        Ok(self.flight(&all).await.map(drop)?)
    }
}

/// A key as the log has it.
pub(super) fn id_text(key: &Value) -> String {
    match key {
        Value::Null => String::new(),
        Value::Int(int) => int.to_string(),
        Value::Real(real) => format!("{real:?}"),
        Value::Text(text) => text.to_string(),
    }
}

fn version(expected: Option<Version>) -> ValueRef<'static> {
    expected.map_or(ValueRef::Null, |version| ValueRef::Int(version.0))
}

/// The values of a statement's parameters.
fn bound<'p>(statement: &Statement, value: impl Fn(Slot) -> ValueRef<'p>) -> Vec<Encoded> {
    statement.parameters.iter().map(|place| encode(value(place.slot), place.ty)).collect()
}

fn parameters(encoded: &[Encoded]) -> Vec<Parameter<'_>> {
    encoded.iter().map(Encoded::parameter).collect()
}

/// A statement's rows, in the model's storage form.
fn table(statement: &Statement, rows: &Rows) -> Table {
    let mut table = Table::default();
    for row in rows.iter() {
        table.take(&statement.columns, |column| row.bytes(column));
    }
    table
}

fn row_state(statement: &Statement, rows: &Rows, columns: usize) -> Option<RowState> {
    let table = table(statement, rows);
    if table.len() == 0 {
        return None;
    }
    let version = match table.get(0, 1) {
        ValueRef::Int(version) => Version(version),
        _ => Version(0),
    };
    let values = (2..columns + 2).map(|column| table.get(0, column).to_value()).collect();
    Some(RowState { version, values })
}
