//! What ran against the database for one operation: each statement's text, how often, with which
//! parameters, how many rows, how long. Parameters are data: whoever holds a trace must not log it.

use std::sync::Arc;
use std::time::Duration;

use super::select::Slot;
use super::statement::Statement;
use crate::model::Value;
use crate::model::scalar::ValueRef;

/// Of how many runs of a statement the parameters are kept.
const KEPT: usize = 10;

/// What ran, in the order of the first run of each statement.
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
    /// How many rows all its runs gave.
    pub rows: usize,
    /// In SQLite, without what was done with the rows.
    pub time: Duration,
    /// Of the first runs.
    pub parameters: Vec<Vec<Value>>,
}

impl Trace {
    /// What ran.
    pub fn into_ran(self) -> Vec<Ran> {
        self.ran
    }

    /// A run begins; gives the number by which its rows are told.
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

    /// A row came, after this time.
    pub(super) fn row(&mut self, number: usize, after: Duration) {
        self.ran[number].rows += 1;
        self.ran[number].time += after;
    }

    /// There are no more rows, which took this time to find out.
    pub(super) fn end(&mut self, number: usize, after: Duration) {
        self.ran[number].time += after;
    }
}
