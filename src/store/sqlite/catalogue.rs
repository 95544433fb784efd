//! The schema of a SQLite database, as listed in its catalogue: tables, columns, keys, indexes,
//! triggers. It compares nothing, and everything that asks for a schema asks here: the difference,
//! the check, `pull`. SQLite's names are case-insensitive, so lookups here are, too.

pub(in crate::store) mod authors;
pub(in crate::store) mod definition;
pub(in crate::store) mod keys;
pub(in crate::store) mod recognise;

use std::collections::BTreeMap;

use rusqlite::Connection;

use self::definition::{Definition, Kind};
use super::words::words;
use crate::model::parse::sql_names::VERSION_COLUMN;

/// The schema of a database, without SQLite's own tables.
#[derive(Debug, Default)]
pub(in crate::store) struct Catalogue {
    /// In creation order.
    pub(in crate::store) tables: Vec<FoundTable>,
    /// In creation order.
    pub(in crate::store) views: Vec<FoundView>,
}

/// A view. Its columns may be unknown: it may read from a table that no longer exists.
#[derive(Debug)]
pub(in crate::store) struct FoundView {
    pub(in crate::store) name: String,
    /// How many of the tables are older.
    pub(in crate::store) tables_before: usize,
}

#[derive(Debug)]
pub(in crate::store) struct FoundTable {
    pub(in crate::store) name: String,
    pub(in crate::store) kind: FoundKind,
    /// The statement that would create it as it is now, parsed.
    pub(in crate::store) definition: Definition,
    pub(in crate::store) columns: Vec<FoundColumn>,
    pub(in crate::store) foreign_keys: Vec<FoundForeignKey>,
    pub(in crate::store) indexes: Vec<FoundIndex>,
    pub(in crate::store) triggers: Vec<FoundTrigger>,
}

/// How SQLite stores a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum FoundKind {
    Rowid,
    WithoutRowid,
    /// Another program's module has its rows.
    Virtual,
    /// A virtual table keeps its rows here.
    Shadow,
}

#[derive(Debug)]
pub(in crate::store) struct FoundColumn {
    pub(in crate::store) name: String,
    /// As declared.
    pub(in crate::store) sql_type: String,
    pub(in crate::store) not_null: bool,
    /// As written in the declaration.
    pub(in crate::store) default: Option<String>,
    /// The position in the primary key, from 1; 0 outside it.
    pub(in crate::store) key: i64,
    /// Whether SQLite computes it.
    pub(in crate::store) is_generated: bool,
    /// The collation that compares its values.
    pub(in crate::store) collation: String,
}

/// A foreign key over one or more columns.
#[derive(Debug)]
pub(in crate::store) struct FoundForeignKey {
    pub(in crate::store) columns: Vec<String>,
    pub(in crate::store) table: String,
    /// The first referenced column; None means the other table's primary key.
    pub(in crate::store) target: Option<String>,
    pub(in crate::store) on_delete: String,
}

#[derive(Debug)]
pub(in crate::store) struct FoundIndex {
    pub(in crate::store) name: String,
    pub(in crate::store) unique: bool,
    /// Whether it is the primary key's.
    pub(in crate::store) is_primary: bool,
    /// Whether it has a WHERE clause.
    pub(in crate::store) is_partial: bool,
    /// None for an expression.
    pub(in crate::store) columns: Vec<Option<String>>,
    /// The collation of each column.
    pub(in crate::store) collations: Vec<String>,
    /// The statement that created it; None if a constraint of the table did.
    pub(in crate::store) sql: Option<String>,
}

#[derive(Debug)]
pub(in crate::store) struct FoundTrigger {
    pub(in crate::store) name: String,
    pub(in crate::store) sql: String,
}

impl Catalogue {
    pub(in crate::store) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare(
            "SELECT type, name, tbl_name, ifnull(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             ORDER BY rowid",
        )?;
        let things: Vec<(String, String, String, String)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
            .collect::<Result<_, _>>()?;
        let mut catalogue = Self::default();
        let kinds = kinds(connection)?;
        for (kind, name, _, sql) in &things {
            match kind.as_str() {
                "table" => {}
                "view" => {
                    let tables_before = catalogue.tables.len();
                    catalogue.views.push(FoundView { name: name.clone(), tables_before });
                    continue;
                }
                _ => continue,
            }
            let kind = kinds.get(name).copied().unwrap_or(FoundKind::Rowid);
            let of_this = |kind: &str, thing: &&(String, String, String, String)| {
                thing.0 == kind && thing.2.eq_ignore_ascii_case(name)
            };
            let triggers = things.iter().filter(|thing| of_this("trigger", thing));
            catalogue.tables.push(FoundTable {
                columns: match columns(connection, name) {
                    // Its module may be unknown here.
                    Err(_) if kind == FoundKind::Virtual => Vec::new(),
                    columns => columns?,
                },
                kind,
                foreign_keys: foreign_keys(connection, name)?,
                indexes: indexes(connection, name)?,
                triggers: triggers
                    .map(|t| FoundTrigger { name: t.1.clone(), sql: t.3.clone() })
                    .collect(),
                definition: Definition::parse(sql),
                name: name.clone(),
            });
        }
        Ok(catalogue)
    }

    pub(in crate::store) fn table(&self, name: &str) -> Option<&FoundTable> {
        self.tables.iter().find(|table| table.name.eq_ignore_ascii_case(name))
    }
}

/// The name of the constraint that marks a table that existed before freshql.
pub(in crate::store) const ADOPTED: &str = "adopted";

impl FoundTable {
    /// Whether it existed before freshql, as marked by the version column that a migration has
    /// added. It keeps the types, rules and defaults of its authors, as long as the model's values
    /// fit.
    pub(in crate::store) fn is_adopted(&self) -> bool {
        let Some(version) = self.definition.column(VERSION_COLUMN) else { return false };
        let mark = words(&format!("CONSTRAINT {ADOPTED} NOT NULL"));
        version.of(Kind::NotNull).any(|clause| words(&clause.text) == mark)
    }

    pub(in crate::store) fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// The foreign key over this column alone.
    pub(in crate::store) fn foreign_key(&self, column: &str) -> Option<&FoundForeignKey> {
        self.foreign_keys
            .iter()
            .find(|key| matches!(&key.columns[..], [one] if one.eq_ignore_ascii_case(column)))
    }
}

impl FoundColumn {
    /// Whether `a` differs from `A`.
    pub(in crate::store) fn is_compared_by_bytes(&self) -> bool {
        self.collation.eq_ignore_ascii_case("BINARY")
    }

    /// Whether a row can be created without a value for this column.
    pub(in crate::store) fn may_be_left_out(&self) -> bool {
        !self.not_null || self.default.is_some() || self.is_generated
    }
}

impl FoundIndex {
    /// Whether it serves as an index over these columns of a table with this key: it begins with
    /// them, and continues with the key, which is the last term of every ordering (every index ends
    /// with the rowid). A unique index must have exactly these columns, in any order.
    pub(in crate::store) fn covers(&self, columns: &[&str], key: &str, unique: bool) -> bool {
        let same = |found: &Option<String>, wanted: &str| {
            found.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(wanted))
        };
        if self.is_partial || self.columns.len() < columns.len() {
            return false;
        }
        if unique {
            let is_wanted =
                |found: &Option<String>| columns.iter().any(|wanted| same(found, wanted));
            return self.unique
                && self.columns.len() == columns.len()
                && self.columns.iter().all(is_wanted);
        }
        self.columns.iter().zip(columns).all(|(found, wanted)| same(found, wanted))
            && self.columns.get(columns.len()).is_none_or(|next| same(next, key))
    }
}

fn kinds(connection: &Connection) -> rusqlite::Result<BTreeMap<String, FoundKind>> {
    let sql = "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main'";
    let mut statement = connection.prepare(sql)?;
    let kinds = statement.query_map([], |row| {
        let kind = match (row.get::<_, String>(1)?.as_str(), row.get(2)?) {
            ("virtual", _) => FoundKind::Virtual,
            ("shadow", _) => FoundKind::Shadow,
            (_, true) => FoundKind::WithoutRowid,
            (_, false) => FoundKind::Rowid,
        };
        Ok((row.get(0)?, kind))
    })?;
    kinds.collect()
}

fn columns(connection: &Connection, table: &str) -> rusqlite::Result<Vec<FoundColumn>> {
    let sql = "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?)";
    let mut statement = connection.prepare(sql)?;
    let columns = statement.query_map([table], |row| {
        let name: String = row.get(0)?;
        let (_, collation, ..) = connection.column_metadata(None, table, name.as_str())?;
        Ok(FoundColumn {
            collation: collation
                .map_or("BINARY".into(), |name| name.to_string_lossy())
                .into_owned(),
            name,
            sql_type: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            is_generated: row.get::<_, i64>(5)? > 0,
        })
    })?;
    columns.collect()
}

fn foreign_keys(connection: &Connection, table: &str) -> rusqlite::Result<Vec<FoundForeignKey>> {
    let sql = "SELECT seq, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq";
    let mut statement = connection.prepare(sql)?;
    let mut rows = statement.query([table])?;
    let mut keys: Vec<FoundForeignKey> = Vec::new();
    while let Some(row) = rows.next()? {
        let column: String = row.get(2)?;
        match keys.last_mut() {
            Some(key) if row.get::<_, i64>(0)? > 0 => key.columns.push(column),
            _ => keys.push(FoundForeignKey {
                columns: vec![column],
                table: row.get(1)?,
                target: row.get(3)?,
                on_delete: row.get(4)?,
            }),
        }
    }
    Ok(keys)
}

fn indexes(connection: &Connection, table: &str) -> rusqlite::Result<Vec<FoundIndex>> {
    let mut list = connection.prepare(
        "SELECT list.name, \"unique\", partial, sql, origin = 'pk' FROM pragma_index_list(?) list \
         LEFT JOIN sqlite_schema made ON made.type = 'index' AND made.name = list.name ORDER BY made.rowid",
    )?;
    let mut columns = connection
        .prepare("SELECT name, coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno")?;
    let mut rows = list.query([table])?;
    let mut indexes = Vec::new();
    while let Some(row) = rows.next()? {
        let name: String = row.get(0)?;
        let terms = columns.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (columns, collations) = terms.collect::<Result<Vec<_>, _>>()?.into_iter().unzip();
        indexes.push(FoundIndex {
            columns,
            collations,
            name,
            unique: row.get(1)?,
            is_partial: row.get(2)?,
            sql: row.get(3)?,
            is_primary: row.get(4)?,
        });
    }
    Ok(indexes)
}
