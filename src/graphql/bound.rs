//! The arguments of one request as [`super::bind`] leaves them, and the statements that a list
//! keeps for them.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock};

use super::coerce::Write;
use super::cursor;
use super::rules::Grants;
use crate::dependency::Dependency;
use crate::model::{ColumnId, Value};
use crate::store::select::{List, ListQueries, SlotValue};

/// Shapes that a list keeps statements for; there are more only if a client varies its filters a
/// lot.
const SHAPES: usize = 32;

/// A plan's arguments, and what whoever asks may see.
#[derive(Debug, Clone)]
pub struct BoundPlan {
    /// By [`ListPlan::bound`](super::plan::ListPlan::bound) and its like.
    pub arguments: Vec<Arguments>,
    /// What the viewer may do.
    pub grants: Arc<Grants>,
}

/// The coerced arguments of one field.
#[derive(Debug, Clone)]
pub enum Arguments {
    /// Not bound yet.
    Open,
    /// A connection's.
    List(Arc<BoundList>),
    /// A look-up's; None where a value cannot be any row's.
    Keys(Option<Arc<BoundKeys>>),
    /// A write's.
    Write(Arc<BoundWrite>),
    /// Those of `node` and `nodes`: for each id the number of its row's plan, and the key.
    Nodes(Arc<[(usize, Value)]>),
}

/// The values by which one row is looked up.
#[derive(Debug)]
pub struct BoundKeys {
    /// Of the first column.
    pub first: Value,
    /// Of the others, as the slots take them, and of what the viewer's rules ask.
    pub others: Vec<SlotValue>,
    /// Of the last, which may be the first.
    pub last: Value,
}

impl BoundKeys {
    /// `rules`: the values that the condition on the entity's rows takes.
    pub(super) fn new(keys: Vec<Value>, rules: &[SlotValue]) -> Option<Self> {
        let (first, last) = (keys.first()?.clone(), keys.last()?.clone());
        let others = keys.into_iter().skip(1).map(SlotValue::One).chain(rules.iter().cloned());
        Some(Self { first, others: others.collect(), last })
    }
}

/// A connection's arguments, coerced, and the queries for them.
#[derive(Debug)]
pub struct BoundList {
    /// What is read.
    pub queries: Arc<ListQueries>,
    /// The values, from slot 1 on.
    pub values: Vec<SlotValue>,
    /// Rows of a page.
    pub size: usize,
    /// Of the rows: the plan's, then those of the ordering that cursors need.
    pub columns: Vec<ColumnId>,
    /// Where the ordering's columns are in the row.
    pub cursor: Vec<usize>,
    /// Names the ordering.
    pub ordering: cursor::OrderingId,
    /// What the list depends on besides its rows, if it is not cut by its parent.
    pub whole: Dependency,
    /// The columns that decide which rows it has and in what order.
    pub watching: Arc<[ColumnId]>,
    /// What its filter looks at in other entities.
    pub foreign: Vec<Dependency>,
}

/// A write's arguments, coerced.
#[derive(Debug)]
pub struct BoundWrite {
    /// The row's key; None where the argument cannot be any row's.
    pub key: Option<Value>,
    /// `id` as it was given, for messages.
    pub id: String,
    /// The columns that are set.
    pub(super) row: Vec<(ColumnId, Write)>,
    /// `expectedEtag`.
    pub expected_etag: Option<String>,
}

/// Queries by shape. A short list that is searched in order: a list in a document has few shapes.
#[derive(Default)]
pub struct ListShapes {
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
