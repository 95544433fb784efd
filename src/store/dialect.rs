//! How one database's SQL differs from another's, where queries and mutations become statements
//! ([`super::render`]).

use sea_orm::sea_query::{
    DeleteStatement, Expr, InsertStatement, SelectStatement, UpdateStatement,
};

use super::statement::Type;
use crate::model::{Column, Entity};

/// The alias of the outermost table.
pub(in crate::store) const ROOT: &str = "t";
/// The alias of the parents in a batch. They have two columns.
pub(in crate::store) const PARENTS: &str = "k";
/// The column with a parent's number, from 0.
pub(in crate::store) const PARENT_NUMBER: &str = "key";
/// The column with the parent itself.
pub(in crate::store) const PARENT_VALUE: &str = "value";

/// A query for many parents, which the dialect assembles: its rows begin with [`PARENT_NUMBER`].
/// The parents come from a single parameter, as [`PARENTS`].
pub(in crate::store) struct Batch {
    /// The parameter's placeholder.
    pub(in crate::store) parents: String,
    /// What to read for each parent.
    pub(in crate::store) of_each: OfEach,
}

/// What a batch reads for each parent.
pub(in crate::store) enum OfEach {
    /// One value: the query returns one row with one column.
    Value(Box<SelectStatement>),
    /// Rows.
    Rows {
        /// The query for one parent, and the placeholder of its limit, for a database with LATERAL.
        of_one: Box<SelectStatement>,
        /// The limit's placeholder.
        limit: Option<String>,
        /// For a database without LATERAL: the query for all parents, which only lacks its tables,
        /// [`PARENTS`] and this one as `t`.
        of_all: Box<SelectStatement>,
        /// The name of the table.
        table: String,
    },
}

/// A database's SQL.
pub(in crate::store) trait Dialect {
    /// Renders a query.
    fn select(&self, statement: &SelectStatement) -> String;
    /// Renders an insertion.
    fn insert(&self, statement: &InsertStatement) -> String;
    /// Renders an update.
    fn update(&self, statement: &UpdateStatement) -> String;
    /// Renders a deletion.
    fn delete(&self, statement: &DeleteStatement) -> String;
    /// The placeholder of the parameter with this number, from 1.
    fn placeholder(&self, number: usize, ty: Type) -> String;
    /// A column that is compared with columns or parameters, or ordered by: strings by their bytes.
    fn compared(&self, entity: &Entity, column: &Column, value: Expr) -> Expr;
    /// A column whose values are read.
    fn read(&self, entity: &Entity, column: &Column, value: Expr) -> Expr;
    /// The version of the row that `alias` names in the statement.
    fn version(&self, entity: &Entity, alias: &str) -> Expr;
    /// A string folded for case-insensitive comparison, as [`super::select::fold_case`] does.
    fn folded(&self, string: Expr) -> Expr;
    /// Whether a value is one of those in a parameter of type [`Type::List`].
    fn is_one_of(&self, value: Expr, list: Expr) -> Expr;
    /// Whether a string contains a parameter of type [`Type::Part`].
    fn contains(&self, string: Expr, part: Expr) -> Expr;
    /// Whether a string ends with a parameter of type [`Type::String`].
    fn ends_with(&self, string: Expr, end: Expr) -> Expr;
    /// True if the condition is false or NULL.
    fn untrue(&self, condition: Expr) -> Expr;
    /// A condition that is never true.
    fn never(&self) -> Expr;
    /// Renders a query for many parents at once. Each row begins with the number of its parent,
    /// from 0; the rows of one parent come in list order.
    fn batch(&self, batch: Batch) -> String;
}
