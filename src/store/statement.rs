//! What a dialect makes of a query: the text, and what a driver must know to send parameters and to
//! read rows.

use std::sync::Arc;

use crate::model::Scalar;

/// Identifies a parameter of a statement. Slot 0 is the parent: the key that restricts a list, or
/// by which a row is looked up.
pub type Slot = u16;

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// With numbered placeholders: `?1`, `$1`.
    pub sql: Arc<str>,
    /// Indexed by number, from 1: the slot and type of each parameter.
    pub parameters: Box<[Parameter]>,
    /// The types of the columns of its rows.
    pub columns: Box<[Type]>,
}

/// A parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parameter {
    /// The slot of its value.
    pub slot: Slot,
    /// Its type in the database.
    pub ty: Type,
}

/// The type of a parameter, or of a column of a result. Values are the model's; a driver with
/// another representation converts them by this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A value of a column of this type.
    Scalar(Scalar),
    /// A value that is assigned to a column of this type: the database converts it to the column's
    /// actual type.
    Written(Scalar),
    /// Any number of values of a column of this type, in a single parameter.
    List(Scalar),
    /// A string to compare with other strings, whatever the type of the column.
    String,
    /// The substring that `contains` looks for.
    Part,
    /// The version of a row.
    Version,
    /// A number of rows, or the number of a parent in a batch.
    Number,
    /// A boolean.
    Boolean,
}
