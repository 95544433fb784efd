//! One state of the database, for reading.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

use rusqlite::{CachedStatement, Connection};

use super::dialect::Sqlite;
use super::feed::Feed;
use super::guard;
use super::meter::Meter;
use super::migrate;
use super::row::{StepRow, bind};
use crate::dependency::Version;
use crate::model::scalar::ValueRef;
use crate::model::{Model, Value};
use crate::store::error::StoreError;
use crate::store::guard::Guard;
use crate::store::render;
use crate::store::select::{Ask, PARENT, Slot, SlotValue};
use crate::store::source::{Row, Source, State};
use crate::store::sqlite::change_log;
use crate::store::statement::Statement;
use crate::store::trace::Trace;

/// The cost of a statement in steps, in addition to SQLite's own.
const STATEMENT_STEPS: u32 = 100;

/// One consistent state of the database, for reading.
pub struct Snapshot<'c> {
    connection: &'c Connection,
    meter: &'c Meter,
    feed: &'c Feed,
    /// The statements of this operation, by place in its plan: a relation's statement runs once per
    /// parent, and is looked up by its text only the first time.
    held: RefCell<Vec<Option<CachedStatement<'c>>>>,
    /// What ran, if it is being observed.
    trace: Option<RefCell<Trace>>,
}

impl<'c> Snapshot<'c> {
    pub(super) fn new(connection: &'c Connection, meter: &'c Meter, feed: &'c Feed) -> Self {
        Self { connection, meter, feed, held: RefCell::new(Vec::new()), trace: None }
    }

    /// The same state, from here on recording what runs. For diagnosis only, because it measures
    /// the time of each step.
    pub fn traced(&self) -> Self {
        Self {
            trace: Some(RefCell::default()),
            ..Self::new(self.connection, self.meter, self.feed)
        }
    }

    /// Why the operation was interrupted, if it had used up its allowance.
    pub(in crate::store) fn verdict(&self) -> Option<StoreError> {
        self.meter.verdict()
    }

    /// What has run since [`Self::traced`].
    pub fn trace(self) -> Trace {
        self.trace.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Identifies the database and the state of its schema; part of every validator.
    ///
    /// # Errors
    /// Those of the database; it was never migrated.
    pub fn epoch(&self) -> Result<[u8; 16], StoreError> {
        let epoch = migrate::epoch(self.connection)?;
        let epoch = epoch.ok_or_else(|| {
            StoreError::Corrupt("the database has no epoch: it was never migrated".to_owned())
        })?;
        Ok(guard::identity(&epoch, guard::schema_version(self.connection)?))
    }

    /// The epoch and the guard of this state.
    pub(in crate::store) fn state(&self) -> Result<State, StoreError> {
        Ok(State { identity: self.epoch()?, guard: self.guard()? })
    }

    /// How far versions can be trusted in this state.
    ///
    /// # Errors
    /// Those of the database.
    pub fn guard(&self) -> Result<Arc<Guard>, StoreError> {
        self.feed.guard_of(self.connection)
    }

    /// The newest record of the change log in this state.
    ///
    /// # Errors
    /// Those of the database.
    pub fn newest_change(&self) -> Result<Version, StoreError> {
        Ok(change_log::newest(self.connection)?)
    }

    /// Starts or stops counting its steps.
    pub(super) fn metered(&self, is_running: bool) {
        self.meter.run(is_running);
    }

    pub(super) fn model(&self) -> &'c Model {
        self.feed.model()
    }

    fn take(&self, place: usize, statement: &Statement) -> Result<CachedStatement<'c>, StoreError> {
        let mut held = self.held.borrow_mut();
        if held.len() <= place {
            held.resize_with(place + 1, || None);
        }
        match held[place].take() {
            Some(prepared) => Ok(prepared),
            None => Ok(self.connection.prepare_cached(&statement.sql)?),
        }
    }

    /// The connection, for the store's own statements.
    pub(in crate::store) fn connection(&self) -> &Connection {
        self.connection
    }
}

impl Source for Snapshot<'_> {
    type Row<'r> = StepRow<'r>;

    fn rows<E: From<StoreError>>(
        &self,
        ask: Ask<'_>,
        mut each: impl FnMut(&StepRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take_steps(STATEMENT_STEPS)?;
        let begun = self.trace.as_ref().map(|_| Instant::now());
        let statement = ask.query.statement(|shape| render::query(self.model(), &Sqlite, shape));
        let mut prepared = self.take(ask.place, statement)?;
        bind(&mut prepared, statement, |slot| value(&ask, slot)).map_err(StoreError::from)?;
        let mut rows = prepared.raw_query();
        match &self.trace {
            None => {
                while let Some(row) = rows.next().map_err(StoreError::from)? {
                    each(&StepRow(row))?;
                }
            }
            Some(trace) => {
                let mut begun = begun.unwrap_or_else(Instant::now);
                let ran = trace.borrow_mut().run(ask.place, statement, |slot| value(&ask, slot));
                while let Some(row) = rows.next().map_err(StoreError::from)? {
                    trace.borrow_mut().row(ran, begun.elapsed());
                    each(&StepRow(row))?;
                    // Processing the row, including the statements of relations, does not count as
                    // this statement's time.
                    begun = Instant::now();
                }
                trace.borrow_mut().end(ran, begun.elapsed());
            }
        }
        drop(rows);
        self.held.borrow_mut()[ask.place] = Some(prepared);
        Ok(())
    }

    fn integer(&self, ask: Ask<'_>) -> Result<i64, StoreError> {
        let mut result = 0;
        self.rows(ask, |row| {
            if let ValueRef::Int(integer) = row.get(0) {
                result = integer;
            }
            Ok::<_, StoreError>(())
        })?;
        Ok(result)
    }

    #[inline]
    fn take_steps(&self, steps: u32) -> Result<(), StoreError> {
        self.meter.take(steps)
    }
}

/// The value of a slot. A list is a JSON array, which SQLite turns into a table.
pub(super) fn value<'a>(ask: &Ask<'a>, slot: Slot) -> ValueRef<'a> {
    if slot == PARENT {
        return ask.parent;
    }
    match &ask.values[usize::from(slot) - 1] {
        SlotValue::One(value) => value.as_ref(),
        SlotValue::Many(list) => {
            ValueRef::Text(std::str::from_utf8(list.encoded(json_array)).unwrap_or_default())
        }
    }
}

pub(super) fn json_array(values: &[Value]) -> Vec<u8> {
    let items = values.iter().map(|value| match value {
        Value::Null => serde_json::Value::Null,
        Value::Int(value) => (*value).into(),
        Value::Real(value) => (*value).into(),
        Value::Text(text) => text.as_ref().into(),
    });
    serde_json::Value::Array(items.collect()).to_string().into_bytes()
}
