//! Describes reading without SQL: the shapes of lookups and lists. A shape refers to its parameters
//! by slot and never contains a value, so equal shapes share one statement. This file defines what
//! a filter means; how a database expresses it is up to its dialect ([`super::dialect`]).

use std::sync::{Arc, OnceLock};

use super::statement::Statement;

use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, EntityId, Order, Value};

pub use super::statement::Slot;

/// The parent's slot.
pub const PARENT: Slot = 0;

/// Folds a string for case-insensitive comparison. It works character by character, so that a
/// substring folds the same way as within the whole: `str::to_lowercase` treats a Greek sigma at
/// the end of a word differently.
pub fn fold_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// The contents of a slot.
#[derive(Debug, Clone)]
pub enum SlotValue {
    /// A value.
    One(Value),
    /// The values of an `in`.
    Many(Arc<ValueList>),
}

/// Several values in one parameter.
#[derive(Debug)]
pub struct ValueList {
    /// In the given order.
    pub values: Vec<Value>,
    /// The driver's encoding: the same for each parent for which a statement runs.
    encoded: OnceLock<Box<[u8]>>,
}

impl ValueList {
    /// These values.
    pub fn new(values: Vec<Value>) -> Self {
        Self { values, encoded: OnceLock::new() }
    }

    /// The driver's encoding.
    pub(in crate::store) fn encoded(&self, encode: impl FnOnce(&[Value]) -> Vec<u8>) -> &[u8] {
        self.encoded.get_or_init(|| encode(&self.values).into())
    }
}

/// A query with the values of its slots.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Its place in the plan. One place always has the same query.
    pub place: usize,
    /// What to read.
    pub query: &'a Query,
    /// The value of slot 0.
    pub parent: ValueRef<'a>,
    /// The values of the slots from 1 on.
    pub values: &'a [SlotValue],
}

/// A shape, with the statements that a driver has rendered for it.
#[derive(Debug)]
pub struct Query {
    shape: Shape,
    statement: OnceLock<Statement>,
    batch: OnceLock<Statement>,
    sound: OnceLock<Option<Statement>>,
    observing: OnceLock<Option<Statement>>,
}

impl Query {
    /// Statements are rendered on first use.
    pub fn new(shape: Shape) -> Self {
        Self {
            shape,
            statement: OnceLock::new(),
            batch: OnceLock::new(),
            sound: OnceLock::new(),
            observing: OnceLock::new(),
        }
    }

    /// What it reads.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The statement for one parent.
    pub(in crate::store) fn statement(
        &self,
        render: impl FnOnce(&Shape) -> Statement,
    ) -> &Statement {
        self.statement.get_or_init(|| render(&self.shape))
    }

    /// The statement for one parent that fails if its rows cannot be shown. None if that cannot be
    /// known ahead.
    pub(in crate::store) fn sound(
        &self,
        render: impl FnOnce(&Shape) -> Option<Statement>,
    ) -> Option<&Statement> {
        self.sound.get_or_init(|| render(&self.shape)).as_ref()
    }

    /// The statement for one parent that also returns which state of the database it sees. None if
    /// that takes another statement.
    pub(in crate::store) fn observing(
        &self,
        render: impl FnOnce(&Shape) -> Option<Statement>,
    ) -> Option<&Statement> {
        self.observing.get_or_init(|| render(&self.shape)).as_ref()
    }

    /// The statement for many parents at once: each row begins with the number of its parent, from
    /// 0.
    pub(in crate::store) fn batch(&self, render: impl FnOnce(&Shape) -> Statement) -> &Statement {
        self.batch.get_or_init(|| render(&self.shape))
    }
}

/// The rows of an entity that a statement may see. Nothing else can be put into a FROM clause, so
/// no statement about an entity's rows can be written without saying which of them its reader may
/// see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Visible {
    entity: EntityId,
    only: Option<Box<Filter>>,
}

/// The rows of an entity that match `only`, the condition that its rules come down to; None: all
/// rows.
pub fn visible(entity: EntityId, only: Option<Filter>) -> Visible {
    Visible { entity, only: only.map(Box::new) }
}

impl Visible {
    /// All rows, for statements whose rows no client sees: what a rule reads, and what the store
    /// itself needs.
    pub fn everything(entity: EntityId) -> Self {
        visible(entity, None)
    }

    /// The entity of the rows.
    pub fn entity(&self) -> EntityId {
        self.entity
    }

    /// The condition that they match; None: all rows.
    pub fn only(&self) -> Option<&Filter> {
        self.only.as_deref()
    }
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// The row whose `keys` have the values of slots 0, 1, …: key, version, then `columns`.
    Row {
        /// The visible rows.
        from: Visible,
        /// The columns that identify the row.
        keys: Box<[ColumnId]>,
        /// The columns to read.
        columns: Box<[ColumnId]>,
    },
    /// The rows of a page: key, version, then `columns`.
    Page {
        /// The list.
        list: Arc<List>,
        /// The columns to read.
        columns: Box<[ColumnId]>,
    },
    /// The number of rows on all pages of the list.
    Count(Arc<List>),
    /// Whether the list has a row at its `after` position or before it.
    AnyUpToAfter(Arc<List>),
    /// Whether the list has a row at its `before` position or after it.
    AnyFromBefore(Arc<List>),
}

/// The queries about one list.
#[derive(Debug)]
pub struct ListQueries {
    /// The list.
    pub list: Arc<List>,
    /// A page of it.
    pub page: Query,
    /// The number of rows on all pages.
    pub count: Query,
    /// Whether a row precedes this page. None if there is no `after`.
    pub any_in_front: Option<Query>,
    /// Whether a row follows this page. None if there is no `before`.
    pub any_behind: Option<Query>,
}

impl ListQueries {
    /// The queries about this list; pages have these columns.
    pub fn new(list: List, columns: &[ColumnId]) -> Self {
        let list = Arc::new(list);
        let query = |shape: fn(Arc<List>) -> Shape| Query::new(shape(list.clone()));
        Self {
            page: Query::new(Shape::Page { list: list.clone(), columns: columns.into() }),
            count: query(Shape::Count),
            any_in_front: list.after.is_some().then(|| query(Shape::AnyUpToAfter)),
            any_behind: list.before.is_some().then(|| query(Shape::AnyFromBefore)),
            list,
        }
    }
}

/// How a column is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal; NULL is not equal to any value.
    Neq,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
}

/// How a string is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// Anywhere.
    Contains,
    /// At the start. The second slot is the smallest string greater than all that start this way,
    /// if there is one.
    StartsWith(Option<Slot>),
    /// At the end.
    EndsWith,
}

/// Which of the related rows must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// At least one.
    Some,
    /// Each (true if there are none).
    Every,
    /// None.
    None,
}

/// A condition on a row. It has two truth values: a comparison with NULL is false, and `Not` turns
/// false into true.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// All of them; never empty.
    And(Vec<Filter>),
    /// Any of them; never empty.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// Compares a column with a value. If it is case-insensitive, the value in the slot is already
    /// folded.
    Compare {
        /// Left side.
        column: ColumnId,
        /// The operator.
        comparison: Comparison,
        /// Right side.
        slot: Slot,
        /// Whether to fold the case of the column.
        case_insensitive: bool,
    },
    /// Whether a column is NULL (true) or not (false).
    IsNull(ColumnId, bool),
    /// Whether a column has one of several values.
    In {
        /// The column.
        column: ColumnId,
        /// The slot of the values.
        slot: Slot,
        /// Whether it must be none of them (true for NULL).
        negated: bool,
        /// Whether to fold the case of the column.
        case_insensitive: bool,
    },
    /// A search in a string, never for the empty string.
    Text {
        /// The column.
        column: ColumnId,
        /// Where to search.
        search: TextMatch,
        /// The slot of the string to find.
        slot: Slot,
        /// Whether to fold the case of the column.
        case_insensitive: bool,
    },
    /// The row that a foreign key refers to is visible and matches.
    ToOne(ColumnId, Visible, Box<Filter>),
    /// How many of the visible rows whose column refers to this row match.
    ToMany(Visible, ColumnId, Quantifier, Box<Filter>),
    /// No row at all.
    Never,
}

impl Filter {
    /// The same filter, with its slots numbered after this one.
    #[must_use]
    pub fn shifted(self, behind: Slot) -> Self {
        let all =
            |filters: Vec<Self>| filters.into_iter().map(|filter| filter.shifted(behind)).collect();
        let visible = |rows: Visible| Visible {
            only: rows.only.map(|only| Box::new(only.shifted(behind))),
            ..rows
        };
        match self {
            Self::And(filters) => Self::And(all(filters)),
            Self::Or(filters) => Self::Or(all(filters)),
            Self::Not(inner) => Self::Not(Box::new(inner.shifted(behind))),
            Self::Compare { column, comparison, slot, case_insensitive } => {
                Self::Compare { column, comparison, slot: slot + behind, case_insensitive }
            }
            Self::In { column, slot, negated, case_insensitive } => {
                Self::In { column, slot: slot + behind, negated, case_insensitive }
            }
            Self::Text { column, search, slot, case_insensitive } => {
                let search = match search {
                    TextMatch::StartsWith(Some(end)) => TextMatch::StartsWith(Some(end + behind)),
                    other => other,
                };
                Self::Text { column, search, slot: slot + behind, case_insensitive }
            }
            Self::ToOne(column, from, inner) => {
                Self::ToOne(column, visible(from), Box::new(inner.shifted(behind)))
            }
            Self::ToMany(from, column, quantifier, inner) => {
                Self::ToMany(visible(from), column, quantifier, Box::new(inner.shifted(behind)))
            }
            Self::IsNull(..) | Self::Never => self,
        }
    }
}

/// A position in an ordering: the slot of each term, or None for NULL.
pub type Bound = Vec<Option<Slot>>;

/// The shape of a list: everything that determines the text of its statement.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct List {
    /// The visible rows.
    pub from: Visible,
    /// Only rows whose column has the value in slot 0.
    pub cut: Option<ColumnId>,
    /// Only rows that match.
    pub filter: Option<Filter>,
    /// The last term is the key.
    pub order: Vec<(ColumnId, Order)>,
    /// Only rows after this position.
    pub after: Option<Bound>,
    /// Only rows before this position.
    pub before: Option<Bound>,
    /// From the end; the rows come in reverse.
    pub backward: bool,
    /// The slot of the maximum number of rows.
    pub limit: Slot,
}
