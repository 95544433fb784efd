//! Reading, described without SQL: the shapes of look-ups and lists. A shape names its parameters
//! by slot and never holds a value, so equal shapes share one statement. What a filter means is
//! decided here; where its values come from is not known here, and how a database says it is its
//! dialect's business ([`super::dialect`]).

use std::sync::{Arc, OnceLock};

use super::statement::Statement;

use crate::model::scalar::ValueRef;
use crate::model::{ColumnId, EntityId, Order, Value};

pub use super::statement::Slot;

/// The parent's.
pub const PARENT: Slot = 0;

/// A string without regard to case. Character by character, so that a part of a string folds as it
/// does within the whole: `str::to_lowercase` writes a Greek sigma at the end of a word in another
/// way than within it.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// What stands in a slot.
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
    /// In the order in which they were given.
    pub values: Vec<Value>,
    /// As the driver sends them: the same for each parent that a statement runs for.
    encoded: OnceLock<Box<[u8]>>,
}

impl ValueList {
    /// These values.
    pub fn new(values: Vec<Value>) -> Self {
        Self { values, encoded: OnceLock::new() }
    }

    /// As the driver sends them.
    pub(in crate::store) fn encoded(&self, encode: impl FnOnce(&[Value]) -> Vec<u8>) -> &[u8] {
        self.encoded.get_or_init(|| encode(&self.values).into())
    }
}

/// What is asked: a query, and the values of its slots.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Where in the plan it stands. At one place it is always the same query.
    pub place: usize,
    /// What is read.
    pub query: &'a Query,
    /// The value of slot 0.
    pub parent: ValueRef<'a>,
    /// The values of the slots from 1 on.
    pub values: &'a [SlotValue],
}

/// A shape, and the statements that a driver has made of it.
#[derive(Debug)]
pub struct Query {
    shape: Shape,
    statement: OnceLock<Statement>,
    batch: OnceLock<Statement>,
    sound: OnceLock<Option<Statement>>,
}

impl Query {
    /// Nothing is rendered before it is asked for.
    pub fn new(shape: Shape) -> Self {
        Self { shape, statement: OnceLock::new(), batch: OnceLock::new(), sound: OnceLock::new() }
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

    /// The statement for one parent that fails where its rows cannot be shown. None: nobody can
    /// tell ahead.
    pub(in crate::store) fn sound(
        &self,
        render: impl FnOnce(&Shape) -> Option<Statement>,
    ) -> Option<&Statement> {
        self.sound.get_or_init(|| render(&self.shape)).as_ref()
    }

    /// The statement for many parents at once: each row begins with the number of its parent,
    /// counted from 0.
    pub(in crate::store) fn batch(&self, render: impl FnOnce(&Shape) -> Statement) -> &Statement {
        self.batch.get_or_init(|| render(&self.shape))
    }
}

/// The rows of an entity that a statement may see: the only thing that stands in a FROM, so that no
/// statement about an entity's rows can be written without saying which of them its reader may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Visible {
    entity: EntityId,
    only: Option<Box<Filter>>,
}

/// The rows of an entity that match `only`, the condition that its rules come down to; None: all.
pub fn visible(entity: EntityId, only: Option<Filter>) -> Visible {
    Visible { entity, only: only.map(Box::new) }
}

impl Visible {
    /// All rows, for statements whose rows no client sees: what a rule itself looks at, and what
    /// the store has to know.
    pub fn everything(entity: EntityId) -> Self {
        visible(entity, None)
    }

    /// Whose rows.
    pub fn entity(&self) -> EntityId {
        self.entity
    }

    /// Which of them; None: all.
    pub fn only(&self) -> Option<&Filter> {
        self.only.as_deref()
    }
}

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// The row whose `keys` have the values of slots 0, 1, …: key, version, then `columns`.
    Row {
        /// Among these.
        from: Visible,
        /// By which it is looked up.
        keys: Box<[ColumnId]>,
        /// What is read of it.
        columns: Box<[ColumnId]>,
    },
    /// The rows of a page: key, version, then `columns`.
    Page {
        /// Which rows.
        list: Arc<List>,
        /// What is read of them.
        columns: Box<[ColumnId]>,
    },
    /// How many rows the list has, on all its pages.
    Count(Arc<List>),
    /// Whether the list has a row at its `after` or in front of it.
    AnyUpToAfter(Arc<List>),
    /// Whether the list has a row at its `before` or behind it.
    AnyFromBefore(Arc<List>),
}

/// The queries about one list.
#[derive(Debug)]
pub struct ListQueries {
    /// The list.
    pub list: Arc<List>,
    /// A page of it.
    pub page: Query,
    /// How many rows all pages have.
    pub count: Query,
    /// Whether a row stands in front of this page. None: there is no `after`.
    pub any_in_front: Option<Query>,
    /// Whether a row stands behind this page. None: there is no `before`.
    pub any_behind: Option<Query>,
}

impl ListQueries {
    /// About this list; pages have these columns.
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
    /// Different; NULL is different from every value.
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

/// How a text is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// Anywhere.
    Contains,
    /// At the start. The second slot is the smallest text greater than all that start so, if there
    /// is one.
    StartsWith(Option<Slot>),
    /// At the end.
    EndsWith,
}

/// Which of the rows on the other side must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// One or more.
    Some,
    /// Each (true for none at all).
    Every,
    /// None.
    None,
}

/// A condition on a row. Two-valued: a comparison with NULL is false, and `Not` turns false into
/// true.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// All of them; never empty.
    And(Vec<Filter>),
    /// Any of them; never empty.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// A column and a value. `fold`: without regard to case; the value in the slot is folded
    /// already.
    Compare {
        /// Left side.
        column: ColumnId,
        /// How.
        comparison: Comparison,
        /// Right side.
        slot: Slot,
        /// Fold the column's case.
        fold: bool,
    },
    /// A column is NULL, or is not.
    IsNull(ColumnId, bool),
    /// A column is one of several values.
    In {
        /// The column.
        column: ColumnId,
        /// Holds the values.
        slot: Slot,
        /// Is none of them (true for NULL).
        negated: bool,
        /// Fold the column's case.
        fold: bool,
    },
    /// A search in text, never for the empty text.
    Text {
        /// The column.
        column: ColumnId,
        /// Where.
        search: TextMatch,
        /// The text.
        slot: Slot,
        /// Fold the column's case.
        fold: bool,
    },
    /// The row that a foreign key points to is among these and matches.
    ToOne(ColumnId, Visible, Box<Filter>),
    /// Those of these rows whose column points here.
    ToMany(Visible, ColumnId, Quantifier, Box<Filter>),
    /// No row at all.
    Never,
}

impl Filter {
    /// The same, with its slots counting from behind this one.
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
            Self::Compare { column, comparison, slot, fold } => {
                Self::Compare { column, comparison, slot: slot + behind, fold }
            }
            Self::In { column, slot, negated, fold } => {
                Self::In { column, slot: slot + behind, negated, fold }
            }
            Self::Text { column, search, slot, fold } => {
                let search = match search {
                    TextMatch::StartsWith(Some(end)) => TextMatch::StartsWith(Some(end + behind)),
                    other => other,
                };
                Self::Text { column, search, slot: slot + behind, fold }
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

/// A place in an ordering: for each term its slot, or None for NULL.
pub type Bound = Vec<Option<Slot>>;

/// The shape of a list: everything that its statement's text depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct List {
    /// Among these.
    pub from: Visible,
    /// Only those whose column has the value in slot 0.
    pub cut: Option<ColumnId>,
    /// Only those that match.
    pub filter: Option<Filter>,
    /// Ends with the key.
    pub order: Vec<(ColumnId, Order)>,
    /// Only those behind.
    pub after: Option<Bound>,
    /// Only those in front.
    pub before: Option<Bound>,
    /// From the end; the rows come in reverse.
    pub backward: bool,
    /// How many.
    pub limit: Slot,
}
