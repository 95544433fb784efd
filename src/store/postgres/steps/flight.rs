//! The statements of a mutation that are sent together, and what is done with their rows.

use std::ops::Deref;
use std::sync::Arc;

use crate::dependency::Version;
use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, Entity, Value};
use crate::store::fetched::Fetched;
use crate::store::postgres::ahead;
use crate::store::postgres::client::{
    Analysed, Cells, ClientError, Connection, Execute, Parameter, int,
};
use crate::store::postgres::values::{Encoded, KeptRow, Table};
use crate::store::render::{FIRST_VALUE_SLOT, KEY_SLOT, VERSION_SLOT};
use crate::store::select::{Shape, Slot, SlotValue};
use crate::store::source::{Parents, Wanted};
use crate::store::statement::Statement;

/// A statement's text.
#[derive(Clone)]
pub(super) enum Text<'w> {
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

/// What a statement returns.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives {
    Nothing,
    /// 1, or 0 if there was nothing to do.
    Verdict,
    /// One row, if the mutation's key is new.
    Taken,
    /// A verdict, and when the statement was analysed.
    Analysed,
    /// The rows of the query with this number.
    Rows(usize),
    /// A verdict, when the statement was analysed (if true), and the rows of the query with this
    /// number.
    Whole(usize, bool),
    /// A verdict, and the key of this step's new row.
    Key(usize),
    /// As [`Self::Whole`], for this step's new row.
    New(usize, bool, usize),
}

impl Gives {
    /// Whether it reports that something was done.
    fn is_counted(self) -> bool {
        !matches!(self, Self::Nothing | Self::Rows(_))
    }
}

/// A statement's values, and the row that it writes.
pub(super) struct Values<'v> {
    pub(super) entity: &'v Entity,
    pub(super) key: &'v Value,
    pub(super) version: ValueRef<'v>,
    pub(super) row: &'v [(ColumnId, Value)],
    /// The versions that it may have.
    pub(super) versions: &'v [Version],
    /// What rules require.
    pub(super) rules: &'v [SlotValue],
}

impl<'v> Values<'v> {
    pub(super) fn new(entity: &'v Entity, key: &'v Value, row: &'v [(ColumnId, Value)]) -> Self {
        Self { entity, key, version: ValueRef::Null, row, versions: &[], rules: &[] }
    }

    pub(super) fn of(&self, slot: Slot) -> ValueRef<'_> {
        match slot {
            KEY_SLOT => self.key.as_ref(),
            VERSION_SLOT => self.version,
            slot => self.row[usize::from(slot - FIRST_VALUE_SLOT)].1.as_ref(),
        }
    }
}

/// A statement with its parameters.
pub(super) struct Call<'w> {
    pub(super) text: Text<'w>,
    pub(super) parameters: Vec<Encoded>,
    pub(super) gives: Gives,
    /// Whether its last parameter is the maximum number of bytes in a row's strings, which is known
    /// after all rows have been counted.
    pub(super) is_bounded: bool,
}

/// The statements.
#[derive(Default)]
pub(super) struct Flight<'w> {
    calls: Vec<Call<'w>>,
    wanted: Vec<(Wanted<'w>, &'w Statement)>,
}

impl<'w> Flight<'w> {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    pub(super) fn push(&mut self, call: Call<'w>) {
        self.calls.push(call);
    }

    /// Adds a query whose rows a statement with these columns returns; returns its number.
    pub(super) fn want(&mut self, wanted: Wanted<'w>, statement: &'w Statement) -> usize {
        self.wanted.push((wanted, statement));
        self.wanted.len() - 1
    }

    /// Sends everything, after this statement. `most_bytes`: the limit for a row's strings.
    /// `checks`: how many have begun. False: a statement did not have its effect.
    pub(super) async fn send(
        mut self,
        connection: &mut Connection,
        begin: Option<&str>,
        most_bytes: usize,
        checks: impl Fn() -> u64,
        fetched: &mut Fetched<KeptRow>,
        keys: &mut [Value],
    ) -> Result<bool, ClientError> {
        let bytes = i64::try_from(most_bytes).unwrap_or(i64::MAX).to_be_bytes();
        for call in self.calls.iter_mut().filter(|call| call.is_bounded) {
            call.parameters.push(Encoded::Binary(bytes.to_vec()));
        }
        let Self { calls, mut wanted } = self;
        let parameters: Vec<Vec<Parameter<'_>>> = calls
            .iter()
            .map(|call| call.parameters.iter().map(Encoded::parameter).collect())
            .collect();
        let begin = begin.map(|sql| Execute::binary(sql, &[]));
        let first = usize::from(begin.is_some());
        let own = calls
            .iter()
            .zip(&parameters)
            .map(|(call, parameters)| Execute::binary(&call.text, parameters));
        let executes: Vec<Execute<'_>> = begin.into_iter().chain(own).collect();
        let mut tables: Vec<Table> = wanted.iter().map(|_| Table::default()).collect();
        let mut done = 0;
        let mut analysed: Vec<(usize, i64)> = Vec::new();
        let expected = calls.iter().filter(|call| call.gives.is_counted()).count();
        let receive = |number: usize, mut cells: Cells<'_>| {
            let Some(call) = number.checked_sub(first).and_then(|number| calls.get(number)) else {
                return Ok(());
            };
            match call.gives {
                Gives::Nothing => {}
                Gives::Taken => done += 1,
                Gives::Verdict
                | Gives::Analysed
                | Gives::Whole(..)
                | Gives::Key(_)
                | Gives::New(..) => {
                    done += cells.next_cell()?.and_then(int).unwrap_or(0);
                }
                Gives::Rows(_) => {}
            }
            if matches!(
                call.gives,
                Gives::Analysed | Gives::Whole(_, true) | Gives::New(_, true, _)
            ) {
                let at = cells.next_cell()?.and_then(int);
                analysed.extend(at.map(|at| (number - first, at)));
            }
            match call.gives {
                Gives::Rows(at) | Gives::Whole(at, _) | Gives::New(at, ..) => {
                    tables[at].push(&wanted[at].1.columns, cells)?;
                }
                Gives::Key(step) => {
                    // A key that the database gives is an integer.
                    let key = cells.next_cell()?.and_then(int);
                    keys[step] = key.map_or(Value::Null, Value::Int);
                }
                _ => {}
            }
            Ok(())
        };
        connection.flight_into(&executes, receive).await?;
        let checks = checks();
        for (call, at) in analysed {
            let text = &calls[call].text;
            if connection.analysed(text).is_none_or(|known| known.at != at) {
                connection.note_analysed(text, Analysed { at, checks });
            }
        }
        if usize::try_from(done) != Ok(expected) {
            return Ok(false);
        }
        // Until here, nothing was known of these rows' keys.
        for call in &calls {
            if let Gives::New(at, _, step) = call.gives {
                keys[step] = tables[at].get(0, 0).to_value();
                wanted[at].0.parents = Parents::One(keys[step].clone());
            }
        }
        for ((wanted, _), table) in wanted.iter().zip(tables) {
            ahead::keep(fetched, wanted, table);
        }
        Ok(true)
    }
}

/// How many rows and lists a query of the first level may add to an answer.
pub(super) fn most_rows(wanted: &Wanted<'_>) -> u64 {
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
