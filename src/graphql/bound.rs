//! The arguments of one request as bound by [`super::bind`], and the statements that a list keeps
//! for them.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use super::coerce::Write;
use super::cursor;
use super::rules::Grants;
use crate::dependency::Dependency;
use crate::model::{ColumnId, Value};
use crate::store::select::{List, ListQueries, SlotValue};

/// How many shapes a list keeps statements for. A client exceeds it only by varying its filters a
/// lot.
const SHAPES: usize = 32;

/// A plan's arguments, and what the viewer may see.
#[derive(Debug, Clone)]
pub(crate) struct BoundPlan {
    /// Indexed by [`ListPlan::bound`](super::plan::ListPlan::bound) and its equivalents.
    pub arguments: Vec<Arguments>,
    /// What the viewer may do.
    pub grants: Arc<Grants>,
}

/// The coerced arguments of one field.
#[derive(Debug, Clone)]
pub(crate) enum Arguments {
    /// Not bound yet.
    Open,
    /// Of a connection.
    List(Arc<BoundList>),
    /// Of a lookup; None if a value cannot occur in any row.
    Keys(Option<Arc<BoundKeys>>),
    /// Of a write.
    Write(Arc<BoundWrite>),
    /// Of `node` and `nodes`: for each id the index of its row's plan, and the key.
    Nodes(Arc<[(usize, Value)]>),
}

/// The values that identify one row.
#[derive(Debug)]
pub(crate) struct BoundKeys {
    /// Of the first column.
    pub first: Value,
    /// Of the other columns, as the slots take them, followed by the values of the viewer's rules.
    pub others: Vec<SlotValue>,
    /// Of the last column, which may be the first.
    pub last: Value,
}

impl BoundKeys {
    /// `rules`: the values of the condition on the entity's rows.
    pub(super) fn new(keys: Vec<Value>, rules: &[SlotValue]) -> Option<Self> {
        let (first, last) = (keys.first()?.clone(), keys.last()?.clone());
        let others = keys.into_iter().skip(1).map(SlotValue::One).chain(rules.iter().cloned());
        Some(Self { first, others: others.collect(), last })
    }
}

/// A connection's arguments, coerced, and the queries for them.
#[derive(Debug)]
pub(crate) struct BoundList {
    /// What is read.
    pub queries: Arc<ListQueries>,
    /// The values of the slots, from slot 1 on.
    pub values: Vec<SlotValue>,
    /// The page size, in rows.
    pub size: usize,
    /// The columns of a row: those of the plan, then those that cursors need.
    pub columns: Vec<ColumnId>,
    /// The indices of the ordering's columns in the row.
    pub cursor: Vec<usize>,
    /// Identifies the ordering.
    pub ordering: cursor::OrderingId,
    /// What the list depends on besides its rows, if it is not restricted to its parent.
    pub whole: Dependency,
    /// The columns that decide which rows it contains and in what order.
    pub watching: Arc<[ColumnId]>,
    /// Dependencies of its filter on other entities.
    pub foreign: Vec<Dependency>,
}

/// A write's arguments, coerced.
#[derive(Debug)]
pub(crate) struct BoundWrite {
    /// The row's key; None if the argument cannot be the key of any row.
    pub key: Option<Value>,
    /// `id` as given, for messages.
    pub id: String,
    pub(super) row: Vec<(ColumnId, Write)>,
    /// `expectedEtag`.
    pub expected_etag: Option<String>,
}

/// Queries by shape. Searched linearly: a list in a document has few shapes.
#[derive(Default)]
pub(crate) struct ListShapes {
    pub(super) fixed: OnceLock<Arc<BoundList>>,
    seen: Mutex<Vec<(Vec<ColumnId>, Arc<ListQueries>)>>,
}

impl fmt::Debug for ListShapes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ListShapes")
    }
}

impl ListShapes {
    pub(super) fn queries(&self, list: List, columns: &[ColumnId]) -> Arc<ListQueries> {
        let mut seen = self.seen.lock().expect("nothing panics while it holds this lock");
        if let Some((_, queries)) =
            seen.iter().find(|(known, queries)| *queries.list == list && known == columns)
        {
            return queries.clone();
        }
        let queries = Arc::new(ListQueries::new(list, columns));
        if seen.len() == SHAPES {
            seen.remove(0);
        }
        seen.push((columns.to_vec(), queries.clone()));
        queries
    }
}
