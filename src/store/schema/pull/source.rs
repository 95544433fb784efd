//! What a database that others made consists of: its tables with everything that says what their
//! columns mean.

use super::gathered::Values;
use crate::model::Scalar;
use crate::store::error::AdminError;

/// Such a database, as it is at one moment. It is only read.
pub(in crate::store) trait Foreign {
    /// All tables and views, in the order in which they were made; without the database's and
    /// freshql's own.
    fn tables(&self) -> Result<Vec<Table>, AdminError>;
    /// Statements that make all that is there, where it is not there.
    fn baseline(&self) -> Result<Baseline, AdminError>;
    /// Looks at all rows; one summary for each column.
    fn values(&self, table: &Table) -> Result<Vec<Values>, AdminError>;
    /// How many rows have a value in this column that is no key of the other table.
    fn lost_rows(
        &self,
        table: &Table,
        column: &str,
        other: &Table,
        key: &str,
    ) -> Result<i64, AdminError>;
    /// Why the database does not run a statement, in its words. None: it would.
    fn refuses(&self, sql: &str) -> Option<String>;
}

/// A table, or what looks like one.
#[derive(Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: String,
    pub(in crate::store) kind: TableKind,
    /// As they are declared.
    pub(in crate::store) columns: Vec<Column>,
    pub(in crate::store) foreign_keys: Vec<ForeignKey>,
    /// Whole ones: neither partial nor over expressions.
    pub(in crate::store) indexes: Vec<Index>,
    /// The key is not the number of the row, but has an index of its own.
    pub(in crate::store) has_key_index: bool,
    /// Why it cannot be an entity, as far as its database knows.
    pub(in crate::store) unfit: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum TableKind {
    Table,
    WithoutRowid,
    View,
    Virtual,
}

#[derive(Debug)]
pub(in crate::store) struct Column {
    pub(in crate::store) name: String,
    /// As declared; may be empty.
    pub(in crate::store) sql_type: String,
    pub(in crate::store) not_null: bool,
    /// As it stands in the declaration.
    pub(in crate::store) default: Option<String>,
    /// Place in the primary key, from 1; 0 outside of it.
    pub(in crate::store) key: i64,
    pub(in crate::store) is_generated: bool,
    /// By which its texts are compared.
    pub(in crate::store) collation: String,
    /// What the database itself says of its values, where it holds columns to their types.
    pub(in crate::store) known: Option<Known>,
}

/// The type of a column whose values cannot be of another one.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Known {
    /// None where no type reads it.
    pub(in crate::store) scalar: Option<Scalar>,
    /// The enum that it is of: the name in the model, and its values.
    pub(in crate::store) values: Option<(String, Vec<String>)>,
    /// What stands behind the type: `@column(precision: 12, scale: 2)`.
    pub(in crate::store) directives: Vec<String>,
    pub(in crate::store) note: Option<String>,
}

#[derive(Debug)]
pub(in crate::store) struct ForeignKey {
    pub(in crate::store) columns: Vec<String>,
    pub(in crate::store) table: String,
    /// Of the first column; None stands for the other table's primary key.
    pub(in crate::store) target: Option<String>,
    pub(in crate::store) on_delete: String,
}

#[derive(Debug)]
pub(in crate::store) struct Index {
    pub(in crate::store) unique: bool,
    pub(in crate::store) columns: Vec<String>,
}

impl Column {
    /// Two texts are the same only if their bytes are. Answers depend on rows by the bytes of their
    /// keys and parts, so freshql looks rows up by no other column.
    pub(in crate::store) fn is_exact(&self) -> bool {
        self.collation.eq_ignore_ascii_case("BINARY")
    }
}

impl Table {
    pub(in crate::store) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The columns of the primary key, in its order.
    pub(in crate::store) fn key(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key
    }
}

/// Statements that make what is there.
pub(in crate::store) struct Baseline {
    pub(in crate::store) text: String,
    /// What they do not make, with SQLite's reason.
    pub(in crate::store) left_out: Vec<(String, String)>,
}
