//! Fetches rows ahead: one statement per query of a level, and one flight per level. If an answer
//! has a single level, its flight is the whole transaction; otherwise, the first flight begins a
//! transaction and the last one ends it.

use std::time::{Duration, Instant};

use super::change_log;
use super::client::{Cells, ClientError, Connection, Execute, Parameter, int};
use super::dialect::Postgres;
use super::feed::Snapshot;
use super::values::{Encoded, KeptRow, Table, array, encode};
use crate::dependency::Version;
use crate::model::Model;
use crate::model::scalar::ValueRef;
use crate::store::fetched::Fetched;
use crate::store::reading::Levels;
use crate::store::render;
use crate::store::select::{PARENT, Shape, Slot, SlotValue};
use crate::store::source::{Parents, Wanted};
use crate::store::statement::{Parameter as Place, Statement, Type};
use crate::store::trace::Trace;

/// The transactions that a flight sees. Whoever knows of all of them also knows the state of the
/// schema, since every change to it leaves a record in the change log. And when this server was
/// started: a standby, or a former primary server, knows other transactions by the same numbers.
const SNAPSHOT: &str = "SELECT pg_current_snapshot(), pg_postmaster_start_time()";

/// How many columns of [`SNAPSHOT`] end each row of an [`observing`] statement.
const SNAPSHOT_COLUMNS: usize = 2;

/// The state of the database that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The transactions that it includes.
    pub(super) snapshot: Snapshot,
    /// When its server was started.
    pub(super) server: i64,
    /// The newest record of the change log, if it was requested.
    pub(super) newest: Version,
}

/// The statements that begin a transaction.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Sent first if there is only one flight. None: nothing.
    pub(super) alone: Option<&'static str>,
    /// Sent first if there are several flights.
    pub(super) begin: &'static str,
}

/// Reads everything that an answer needs from one state of the database; returns which.
pub(super) async fn snapshot<'l>(
    connection: &mut Connection,
    model: &Model,
    frame: &Frame,
    mut levels: impl Levels<'l>,
    trace: Option<&mut Trace>,
) -> Result<(Fetched<KeptRow>, Seen), ClientError> {
    let mut reading = Run { model, most: levels.most_rows(), fetched: Fetched::default(), trace };
    let mut seen = Seen::default();
    let (mut is_first, mut is_open) = (true, false);
    loop {
        let wanted = levels.next(&reading.fetched);
        let goes_on = levels.may_go_on();
        if wanted.is_empty() && !is_first {
            break;
        }
        let mut around = Around::default();
        if is_first {
            is_open = goes_on || frame.alone.is_some();
            around.before = if goes_on { Some(frame.begin) } else { frame.alone };
            around.state = Some(&mut seen);
        }
        if is_open && !goes_on {
            around.after = Some("COMMIT");
            is_open = false;
        }
        let has_all = reading.level(connection, wanted, around).await?;
        is_first = false;
        if !goes_on || !has_all {
            break;
        }
    }
    if is_open {
        connection.finish().await?;
    }
    Ok((reading.fetched, seen))
}

/// Reads everything that an answer needs within an open transaction.
pub(super) async fn within<'l>(
    connection: &mut Connection,
    model: &Model,
    mut levels: impl Levels<'l>,
) -> Result<Fetched<KeptRow>, ClientError> {
    let mut reading =
        Run { model, most: levels.most_rows(), fetched: Fetched::default(), trace: None };
    loop {
        let wanted = levels.next(&reading.fetched);
        if wanted.is_empty() {
            return Ok(reading.fetched);
        }
        let goes_on = levels.may_go_on();
        let has_all = reading.level(connection, wanted, Around::default()).await?;
        if !goes_on || !has_all {
            return Ok(reading.fetched);
        }
    }
}

/// The statements around a flight's queries.
#[derive(Default)]
struct Around<'a> {
    before: Option<&'static str>,
    state: Option<&'a mut Seen>,
    after: Option<&'static str>,
}

struct Run<'a, 't> {
    model: &'a Model,
    most: u64,
    fetched: Fetched<KeptRow>,
    trace: Option<&'t mut Trace>,
}

impl Run<'_, '_> {
    /// Reads a level. False: it has more rows than the answer may have. Then none of them is kept,
    /// so the answer's reader notices what is missing.
    async fn level(
        &mut self,
        connection: &mut Connection,
        wanted: Vec<Wanted<'_>>,
        around: Around<'_>,
    ) -> Result<bool, ClientError> {
        let mut seen = around.state;
        let mut statements: Vec<&Statement> =
            wanted.iter().map(|wanted| statement(self.model, wanted)).collect();
        // The query whose rows tell the snapshot, if there is one.
        let mut told_by = None;
        if seen.is_some() && self.trace.is_none() {
            let all = wanted.iter().map(|wanted| observing(self.model, wanted));
            told_by = all.enumerate().find_map(|(at, statement)| Some((at, statement?)));
        }
        if let Some((at, statement)) = told_by {
            statements[at] = statement;
        }
        let encoded: Vec<Vec<Encoded>> =
            wanted.iter().zip(&statements).map(|(w, s)| parameters(w, s)).collect();
        let parameters: Vec<Vec<Parameter<'_>>> =
            encoded.iter().map(|all| all.iter().map(Encoded::parameter).collect()).collect();
        let mut executes: Vec<Execute<'_>> =
            around.before.iter().map(|sql| Execute::binary(sql, &[])).collect();
        let first = executes.len();
        let queries = statements.iter().zip(&parameters);
        executes.extend(
            queries.map(|(statement, parameters)| Execute::binary(&statement.sql, parameters)),
        );
        let state_at = executes.len();
        let is_apart = seen.is_some() && told_by.is_none();
        executes.extend(is_apart.then(|| Execute::binary(SNAPSHOT, &[])));
        let observed = seen.is_some() && self.trace.is_some();
        executes.extend(observed.then(|| Execute::text(change_log::NEWEST, &[])));
        executes.extend(around.after.map(|sql| Execute::binary(sql, &[])));

        let mut tables: Vec<Table> = statements.iter().map(|_| Table::default()).collect();
        let most = self.most.saturating_sub(self.fetched.rows_fetched());
        let mut count = 0;
        // When the last row of each statement arrived.
        let begun = self.trace.is_some().then(Instant::now);
        let mut times = vec![Duration::ZERO; tables.len()];
        let receive = |number: usize, cells: Cells<'_>| {
            let Some(at) = number.checked_sub(first) else { return Ok(()) };
            let Some(table) = tables.get_mut(at) else {
                match &mut seen {
                    Some(seen) if number == state_at => seen.note(cells)?,
                    Some(seen) if number == state_at + 1 => seen.newest = newest(cells)?,
                    _ => {}
                }
                return Ok(());
            };
            if let Some(seen) = seen.as_mut().filter(|_| told_by.is_some_and(|(by, _)| by == at)) {
                seen.note(cells.last(SNAPSHOT_COLUMNS)?)?;
                // Without a row, its key is NULL.
                if cells.is_next_null() {
                    return Ok(());
                }
            }
            if let Some(begun) = begun {
                times[at] = begun.elapsed();
            }
            count += 1;
            if count <= most { table.push(&statements[at].columns, cells) } else { Ok(()) }
        };
        connection.flight_into(&executes, receive).await?;

        if let Some(trace) = self.trace.as_deref_mut() {
            let mut before = Duration::ZERO;
            for (at, wanted) in wanted.iter().enumerate() {
                let ran = trace.run(wanted.place, statements[at], |slot| traced(wanted, slot));
                (0..tables[at].len()).for_each(|_| trace.row(ran, Duration::ZERO));
                trace.end(ran, times[at].saturating_sub(before));
                before = times[at];
            }
        }
        if count > most {
            return Ok(false);
        }
        for (wanted, table) in wanted.iter().zip(tables) {
            keep(&mut self.fetched, wanted, table);
        }
        Ok(true)
    }
}

/// Adds rows to those already fetched.
pub(super) fn keep(fetched: &mut Fetched<KeptRow>, wanted: &Wanted<'_>, table: Table) {
    let first = usize::from(matches!(wanted.parents, Parents::Many(_)));
    let table = std::sync::Arc::new(table);
    let rows = (0..table.len()).map(|row| {
        let parent = match table.get(row, 0) {
            ValueRef::Int(number) if first == 1 => usize::try_from(number).unwrap_or(usize::MAX),
            _ => 0,
        };
        (parent, KeptRow { table: table.clone(), row, first })
    });
    fetched.add(wanted.place, &wanted.parents, rows);
}

pub(super) fn statement<'w>(model: &Model, wanted: &Wanted<'w>) -> &'w Statement {
    match &wanted.parents {
        Parents::One(_) => wanted.query.statement(|shape| render::query(model, &Postgres, shape)),
        Parents::Many(_) => wanted.query.batch(|shape| render::batch(model, &Postgres, shape)),
    }
}

/// The statement for a row by its key that also does [`SNAPSHOT`]'s work, which takes the server
/// several times as long in a statement of its own. It always returns a row; if the one that it
/// looks for does not exist, the columns before the snapshot are NULL.
fn observing<'w>(model: &Model, wanted: &Wanted<'w>) -> Option<&'w Statement> {
    let Parents::One(_) = &wanted.parents else { return None };
    wanted.query.observing(|shape| {
        let Shape::Row { .. } = shape else { return None };
        let row = render::query(model, &Postgres, shape);
        let sql = format!(
            r#"SELECT "row".*, "seen".* FROM ({SNAPSHOT}) AS "seen" LEFT JOIN ({}) AS "row" ON true"#,
            row.sql
        );
        Some(Statement { sql: sql.into(), ..row })
    })
}

impl Seen {
    /// Takes the columns of [`SNAPSHOT`].
    fn note(&mut self, mut cells: Cells<'_>) -> Result<(), ClientError> {
        let snapshot = cells.next_cell()?.and_then(Snapshot::read);
        let server = cells.next_cell()?.and_then(int);
        let seen = snapshot.zip(server);
        (self.snapshot, self.server) =
            seen.ok_or_else(|| ClientError::protocol("an invalid snapshot"))?;
        Ok(())
    }
}

fn newest(mut cells: Cells<'_>) -> Result<Version, ClientError> {
    let text = cells.next_cell()?.and_then(|cell| std::str::from_utf8(cell).ok());
    Ok(Version(text.and_then(|text| text.parse().ok()).unwrap_or_default()))
}

/// The values of the statement's parameters.
pub(super) fn parameters(wanted: &Wanted<'_>, statement: &Statement) -> Vec<Encoded> {
    statement.parameters.iter().map(|place| parameter(wanted, place)).collect()
}

fn parameter(wanted: &Wanted<'_>, place: &Place) -> Encoded {
    if place.slot == PARENT {
        return match (&wanted.parents, place.ty) {
            (Parents::One(parent), ty) => encode(parent.as_ref(), ty),
            (Parents::Many(parents), Type::List(scalar)) => Encoded::Binary(array(
                parents.iter().map(crate::model::Value::as_ref),
                scalar,
                true,
            )),
            (Parents::Many(_), _) => Encoded::Null,
        };
    }
    slot_value(&wanted.values[usize::from(place.slot) - 1], place.ty)
}

/// The contents of a slot as a parameter of this type.
pub(super) fn slot_value(value: &SlotValue, ty: Type) -> Encoded {
    match (value, ty) {
        (SlotValue::One(value), ty) => encode(value.as_ref(), ty),
        (SlotValue::Many(list), Type::List(scalar)) => {
            let bytes = list.encoded(|values| {
                array(values.iter().map(crate::model::Value::as_ref), scalar, false)
            });
            Encoded::Binary(bytes.to_vec())
        }
        (SlotValue::Many(_), _) => Encoded::Null,
    }
}

/// A parameter for display: of several values, the first.
fn traced<'w>(wanted: &'w Wanted<'_>, slot: Slot) -> ValueRef<'w> {
    if slot == PARENT {
        return wanted.parents.all().first().map_or(ValueRef::Null, |parent| parent.as_ref());
    }
    match &wanted.values[usize::from(slot) - 1] {
        SlotValue::One(value) => value.as_ref(),
        SlotValue::Many(list) => list.values.first().map_or(ValueRef::Null, |value| value.as_ref()),
    }
}
