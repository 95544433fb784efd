//! The contents of a foreign database: its tables, with everything that says what their columns
//! mean.

use super::gathered::Values;
use crate::model::Scalar;
use crate::store::error::AdminError;

/// A foreign database at one moment. It is only read.
pub(in crate::store) trait Foreign {
    /// All tables and views, in creation order, except system tables and freshql's own.
    fn tables(&self) -> Result<Vec<Table>, AdminError>;
    /// Statements that create everything that exists, unless it exists.
    fn baseline(&self) -> Result<Baseline, AdminError>;
    /// Reads all rows; returns one summary per column.
    fn values(&self, table: &Table) -> Result<Vec<Values>, AdminError>;
    /// The number of rows whose value in this column is not a key of the other table.
    fn lost_rows(
        &self,
        table: &Table,
        column: &str,
        other: &Table,
        key: &str,
    ) -> Result<i64, AdminError>;
    /// Why the database would not run a statement, in its words; None if it would.
    fn refuses(&self, sql: &str) -> Option<String>;
}

#[derive(Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: String,
    pub(in crate::store) kind: TableKind,
    /// In declaration order.
    pub(in crate::store) columns: Vec<Column>,
    pub(in crate::store) foreign_keys: Vec<ForeignKey>,
    /// Complete ones: neither partial nor over expressions.
    pub(in crate::store) indexes: Vec<Index>,
    /// The key is not the rowid, but has its own index.
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
    /// As written in the declaration.
    pub(in crate::store) default: Option<String>,
    /// The position in the primary key, from 1; 0 outside it.
    pub(in crate::store) key: i64,
    pub(in crate::store) is_generated: bool,
    /// The collation that compares its strings.
    pub(in crate::store) collation: String,
    /// What the database itself knows about its values, if it enforces column types.
    pub(in crate::store) known: Option<Known>,
}

/// The type of a column whose values cannot have another one.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Known {
    /// None if no type can read it.
    pub(in crate::store) scalar: Option<Scalar>,
    /// The enum: its name in the model, and its values.
    pub(in crate::store) values: Option<(String, Vec<String>)>,
    /// The directives after the type: `@column(precision: 12, scale: 2)`.
    pub(in crate::store) directives: Vec<String>,
    pub(in crate::store) note: Option<String>,
}

#[derive(Debug)]
pub(in crate::store) struct ForeignKey {
    pub(in crate::store) columns: Vec<String>,
    pub(in crate::store) table: String,
    /// The first referenced column; None means the other table's primary key.
    pub(in crate::store) target: Option<String>,
    pub(in crate::store) on_delete: String,
}

#[derive(Debug)]
pub(in crate::store) struct Index {
    pub(in crate::store) unique: bool,
    pub(in crate::store) columns: Vec<String>,
}

impl Column {
    /// Whether strings are equal only if their bytes are. Answers depend on rows by the bytes of
    /// their keys and parts, so freshql looks up rows by no other columns.
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

/// Statements that create what exists.
pub(in crate::store) struct Baseline {
    pub(in crate::store) text: String,
    /// What they do not create, with SQLite's reason.
    pub(in crate::store) left_out: Vec<(String, String)>,
}
