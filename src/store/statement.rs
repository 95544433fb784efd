//! What a dialect makes of a query: text, and what a driver must know to send parameters and to
//! read rows.

use std::sync::Arc;

use crate::model::Scalar;

/// Names one parameter of a statement. Slot 0 is the parent: the key that a list is cut by, or that
/// a row is looked up by.
pub type Slot = u16;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// With numbered placeholders: `?1`, `$1`.
    pub sql: Arc<str>,
    /// By number, from 1 on: the slot that each parameter takes its value from, and what it is.
    pub parameters: Box<[Parameter]>,
    /// What the columns of its rows are.
    pub columns: Box<[Type]>,
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// Where its value stands.
    pub slot: Slot,
    /// What it is to the database.
    pub ty: Type,
}

/// The type of a parameter, or of a column of a result. The value itself is the model's; a driver
/// that keeps it otherwise converts it by this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A value of a column of this type.
    Scalar(Scalar),
    /// A value that a column of this type is given: the database reads it as whatever the column
    /// is.
    Written(Scalar),
    /// Any number of values of a column of this type, in one parameter.
    List(Scalar),
    /// A string that other strings are compared with, whatever the type of the column is.
    String,
    /// The part of a string that `contains` looks for.
    Part,
    /// The version of a row.
    Version,
    /// A number of rows, or the number of a parent in a batch.
    Number,
    /// Yes or no.
    Boolean,
}
