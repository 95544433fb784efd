//! Fetches rows ahead, as other databases need it. SQLite is faster when it is asked for each row
//! as the row is written. This path exists for comparison, and for the test that reads everything
//! both ways.

use rusqlite::CachedStatement;

use super::dialect;
use super::row::{Parameter, StepRow};
use super::snapshot::{Snapshot, json_array, value};
use crate::model::scalar::ValueRef;
use crate::store::error::StoreError;
use crate::store::fetched::Fetched;
use crate::store::reading::Levels;
use crate::store::select::{Ask, PARENT};
use crate::store::source::{Kept, Parents, Row, Wanted, keep};

/// A row in memory.
#[derive(Debug)]
pub(in crate::store) struct KeptRow(Vec<Kept>);

impl Row for KeptRow {
    fn get(&self, index: usize) -> ValueRef<'_> {
        Row::get(self.0.as_slice(), index)
    }
}

impl Snapshot<'_> {
    /// All rows that an answer needs: one statement for each query of a level.
    pub(in crate::store) fn fetch<'l>(
        &self,
        mut levels: impl Levels<'l>,
    ) -> Result<Fetched<KeptRow>, StoreError> {
        let mut fetched = Fetched::default();
        loop {
            let wanted = levels.next(&fetched);
            if wanted.is_empty() {
                return Ok(fetched);
            }
            for wanted in wanted {
                let rows = self.fetch_one(
                    &wanted,
                    levels.most_rows() - fetched.rows_fetched().min(levels.most_rows()),
                )?;
                fetched.add(wanted.place, &wanted.parents, rows);
            }
        }
    }

    fn fetch_one(
        &self,
        wanted: &Wanted<'_>,
        most: u64,
    ) -> Result<Vec<(usize, KeptRow)>, StoreError> {
        let ask = Ask {
            place: wanted.place,
            query: wanted.query,
            parent: ValueRef::Null,
            values: wanted.values,
        };
        let statement = match &wanted.parents {
            Parents::One(_) => wanted.query.statement(|shape| dialect::query(self.model(), shape)),
            Parents::Many(_) => wanted.query.batch(|shape| dialect::batch(self.model(), shape)),
        };
        let list;
        let parents = match &wanted.parents {
            Parents::One(parent) => parent.as_ref(),
            Parents::Many(parents) => {
                list = String::from_utf8(json_array(parents)).unwrap_or_default();
                ValueRef::Text(&list)
            }
        };
        let mut prepared: CachedStatement<'_> = self.connection().prepare_cached(&statement.sql)?;
        for (i, parameter) in statement.parameters.iter().enumerate() {
            let value =
                if parameter.slot == PARENT { parents } else { value(&ask, parameter.slot) };
            prepared.raw_bind_parameter(i + 1, Parameter(value))?;
        }
        // The first column of a batch is the number of the parent.
        let first = usize::from(matches!(wanted.parents, Parents::Many(_)));
        let width = statement.columns.len();
        let (mut rows, mut found) = (prepared.raw_query(), Vec::new());
        while let Some(row) = rows.next()? {
            let row = StepRow(row);
            let number = match row.get(0) {
                ValueRef::Int(number) if first == 1 => {
                    usize::try_from(number).unwrap_or(usize::MAX)
                }
                _ => 0,
            };
            found.push((
                number,
                KeptRow((first..width).map(|index| keep(row.get(index))).collect()),
            ));
            if found.len() as u64 > most {
                break;
            }
        }
        Ok(found)
    }
}
