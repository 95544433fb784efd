//! What ran against the database for one operation: each statement's text, how often it ran, with
//! which parameters, how many rows it returned and how long it took. Parameters are data: a trace
//! must not be logged.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::select::Slot;
use super::statement::Statement;
use crate::model::Value;
use crate::model::scalar::ValueRef;

/// The number of runs of a statement whose parameters are kept.
const KEPT: usize = 10;

/// What ran, in the order of each statement's first run.
#[derive(Debug, Default)]
pub struct Trace {
    ran: Vec<Ran>,
}

/// A statement at one place of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Ran {
    place: usize,
    /// With numbered placeholders.
    pub sql: Arc<str>,
    /// How often it ran.
    pub runs: usize,
    /// Whether the answer reads its rows. If rows are fetched ahead, a statement may run in vain.
    pub is_needed: bool,
    /// How many rows all its runs returned.
    pub rows: usize,
    /// Time in the database, without processing the rows.
    pub time: Duration,
    /// The parameters of the first runs.
    pub parameters: Vec<Vec<Value>>,
}

impl Trace {
    /// What ran.
    pub fn into_ran(self) -> Vec<Ran> {
        self.ran
    }

    /// Records that the answer reads the rows of these places, and of no others.
    pub(super) fn needed(&mut self, places: &HashSet<usize>) {
        self.ran.iter_mut().for_each(|ran| ran.is_needed = places.contains(&ran.place));
    }

    /// Starts a run; returns the number that identifies it when its rows are recorded.
    pub(super) fn run<'p>(
        &mut self,
        place: usize,
        statement: &Statement,
        value: impl Fn(Slot) -> ValueRef<'p>,
    ) -> usize {
        let number = self.ran.iter().position(|ran| ran.place == place).unwrap_or_else(|| {
            let sql = statement.sql.clone();
            self.ran.push(Ran {
                place,
                sql,
                runs: 0,
                is_needed: true,
                rows: 0,
                time: Duration::ZERO,
                parameters: Vec::new(),
            });
            self.ran.len() - 1
        });
        let ran = &mut self.ran[number];
        ran.runs += 1;
        if ran.parameters.len() < KEPT {
            ran.parameters.push(
                statement
                    .parameters
                    .iter()
                    .map(|parameter| value(parameter.slot).to_value())
                    .collect(),
            );
        }
        number
    }

    /// Records a row, which took this long.
    pub(super) fn row(&mut self, number: usize, after: Duration) {
        self.ran[number].rows += 1;
        self.ran[number].time += after;
    }

    /// Records the end of the rows, which took this long to detect.
    pub(super) fn end(&mut self, number: usize, after: Duration) {
        self.ran[number].time += after;
    }
}
