//! Rows that were fetched ahead, in memory, by the place of their query and by their parent.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::error::StoreError;
use super::select::Ask;
use super::source::{Parents, Row, Source};
use crate::model::Value;
use crate::model::scalar::ValueRef;

/// A fast hash, seeded at random because clients choose the keys.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// The rows of an answer.
#[derive(Debug)]
pub struct Fetched<R> {
    places: Map<usize, ByParent<R>>,
    rows: u64,
}

/// The rows of a query, with one map per kind of parent, so that a lookup copies nothing.
#[derive(Debug)]
struct ByParent<R> {
    null: Option<Vec<R>>,
    ints: Map<i64, Vec<R>>,
    reals: Map<u64, Vec<R>>,
    texts: Map<Arc<str>, Vec<R>>,
}

impl<R> Default for ByParent<R> {
    fn default() -> Self {
        Self { null: None, ints: Map::default(), reals: Map::default(), texts: Map::default() }
    }
}

impl<R> ByParent<R> {
    fn of(&self, parent: ValueRef<'_>) -> Option<&Vec<R>> {
        match parent {
            ValueRef::Null | ValueRef::Other(_) => self.null.as_ref(),
            ValueRef::Int(int) => self.ints.get(&int),
            ValueRef::Real(real) => self.reals.get(&real.to_bits()),
            ValueRef::Text(text) => self.texts.get(text),
        }
    }

    fn of_mut(&mut self, parent: &Value) -> &mut Vec<R> {
        match parent {
            Value::Null => self.null.get_or_insert_default(),
            Value::Int(int) => self.ints.entry(*int).or_default(),
            Value::Real(real) => self.reals.entry(real.to_bits()).or_default(),
            Value::Text(text) => self.texts.entry(text.clone()).or_default(),
        }
    }

    fn all(&self) -> impl Iterator<Item = &Vec<R>> {
        self.null
            .iter()
            .chain(self.ints.values())
            .chain(self.reals.values())
            .chain(self.texts.values())
    }
}

impl<R> Default for Fetched<R> {
    fn default() -> Self {
        Self { places: Map::default(), rows: 0 }
    }
}

impl<R: Row> Fetched<R> {
    /// Adds the result of a query: each row with the number of its parent, the rows of one parent
    /// in order. Parents without rows are recorded as such.
    pub(in crate::store) fn add(
        &mut self,
        place: usize,
        parents: &Parents,
        rows: impl IntoIterator<Item = (usize, R)>,
    ) {
        let by_parent = self.places.entry(place).or_default();
        for parent in parents.all() {
            by_parent.of_mut(parent);
        }
        let mut rows = rows.into_iter().peekable();
        while let Some((number, row)) = rows.next() {
            // The rows of one parent tend to be adjacent.
            let adjacent = std::iter::from_fn(|| rows.next_if(|(next, _)| *next == number));
            let of_parent = std::iter::once(row).chain(adjacent.map(|(_, row)| row));
            let counted = of_parent.inspect(|_| self.rows += 1);
            match parents.all().get(number) {
                Some(parent) => by_parent.of_mut(parent).extend(counted),
                None => counted.for_each(drop),
            }
        }
    }

    /// The number of rows fetched.
    pub fn rows_fetched(&self) -> u64 {
        self.rows
    }

    /// The rows of each parent at a place.
    pub fn at(&self, place: usize) -> impl Iterator<Item = &Vec<R>> {
        self.places.get(&place).into_iter().flat_map(ByParent::all)
    }

    fn of(&self, ask: &Ask<'_>) -> Result<&[R], StoreError> {
        let rows = self.places.get(&ask.place).and_then(|by_parent| by_parent.of(ask.parent));
        rows.map(Vec::as_slice).ok_or(StoreError::NotFetched)
    }
}

impl<R: Row> Source for Fetched<R> {
    type Row<'r> = R;

    fn rows<E: From<StoreError>>(
        &self,
        ask: Ask<'_>,
        each: impl FnMut(&R) -> Result<(), E>,
    ) -> Result<(), E> {
        self.of(&ask)?.iter().try_for_each(each)
    }

    fn integer(&self, ask: Ask<'_>) -> Result<i64, StoreError> {
        let value = self.of(&ask)?.first().map(|row| row.get(0));
        Ok(if let Some(ValueRef::Int(integer)) = value { integer } else { 0 })
    }

    /// The work is bounded by what was fetched.
    fn take_steps(&self, _: u32) -> Result<(), StoreError> {
        Ok(())
    }
}

/// What was fetched, which notes what of it is asked for.
pub(in crate::store) struct Noted<'f, R> {
    fetched: &'f Fetched<R>,
    asked: RefCell<HashSet<usize>>,
}

impl<'f, R: Row> Noted<'f, R> {
    pub(in crate::store) fn new(fetched: &'f Fetched<R>) -> Self {
        Self { fetched, asked: RefCell::default() }
    }

    /// The places that were asked for.
    pub(in crate::store) fn asked(self) -> HashSet<usize> {
        self.asked.into_inner()
    }
}

impl<R: Row> Source for Noted<'_, R> {
    type Row<'r> = R;

    fn rows<E: From<StoreError>>(
        &self,
        ask: Ask<'_>,
        each: impl FnMut(&R) -> Result<(), E>,
    ) -> Result<(), E> {
        self.asked.borrow_mut().insert(ask.place);
        self.fetched.rows(ask, each)
    }

    fn integer(&self, ask: Ask<'_>) -> Result<i64, StoreError> {
        self.asked.borrow_mut().insert(ask.place);
        self.fetched.integer(ask)
    }

    fn take_steps(&self, steps: u32) -> Result<(), StoreError> {
        self.fetched.take_steps(steps)
    }
}
