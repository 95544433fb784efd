//! Inspects a PostgreSQL database that others have created: its tables, their keys and indexes, and
//! which of them cannot be entities.

mod column;

use std::cell::RefCell;

use super::catalogue::{Catalogue, FoundColumn, FoundTable};
use super::client::{Blocking, ClientError, Execute, Session};
use crate::config::PostgresUrl;
use crate::store::error::AdminError;
use crate::store::schema::layout::SqlName;
use crate::store::schema::pull::gathered::Values;
use crate::store::schema::pull::source::{Baseline, Foreign, ForeignKey, Index, Table, TableKind};
use crate::store::schema::pull::{self, Pulled};

/// The first model for this database.
///
/// # Errors
/// It cannot be read.
pub(in crate::store) fn pull(url: &PostgresUrl) -> Result<Pulled, AdminError> {
    let mut connection = Blocking::connect(url, Session::for_commands(url))?;
    // What is read here must be consistent, even if others write in the meantime.
    connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
    let catalogue = Catalogue::read(&mut connection)?;
    pull::pull(&Server { catalogue, connection: RefCell::new(connection) })
}

struct Server {
    catalogue: Catalogue,
    connection: RefCell<Blocking>,
}

impl Server {
    fn number(&self, sql: &str, column: usize) -> Result<Option<i64>, ClientError> {
        let rows = self.connection.borrow_mut().query(Execute::text(sql, &[]))?;
        Ok(rows.first().and_then(|row| row.int(column)))
    }
}

impl Foreign for Server {
    fn tables(&self) -> Result<Vec<Table>, AdminError> {
        let is_theirs = |table: &&FoundTable| {
            let is_ours = table.name.starts_with("_freshql_");
            !is_ours && !table.is_partition
        };
        self.catalogue.tables.iter().filter(is_theirs).map(|found| self.table(found)).collect()
    }

    /// Unmanaged tables need no migration.
    fn baseline(&self) -> Result<Baseline, AdminError> {
        Ok(Baseline { text: String::new(), left_out: Vec::new() })
    }

    /// The types are sufficient.
    fn values(&self, table: &Table) -> Result<Vec<Values>, AdminError> {
        Ok(vec![Values::default(); table.columns.len()])
    }

    fn lost_rows(
        &self,
        table: &Table,
        column: &str,
        other: &Table,
        key: &str,
    ) -> Result<i64, AdminError> {
        let name = |table: &Table| {
            self.catalogue.table(&table.name).map(FoundTable::qualified).unwrap_or_default()
        };
        let is_valid = self.catalogue.table(&table.name).is_some_and(|found| {
            found
                .constraints
                .iter()
                .any(|key| key.kind == "f" && key.columns == [column] && key.is_valid)
        });
        if is_valid {
            return Ok(0);
        }
        let column = SqlName::new(column);
        let sql = format!(
            "SELECT count(*) FROM {} a WHERE a.{column} IS NOT NULL \
             AND NOT EXISTS (SELECT FROM {} b WHERE b.{} = a.{column})",
            name(table),
            name(other),
            SqlName::new(key),
        );
        Ok(self.number(&sql, 0)?.unwrap_or_default())
    }

    fn refuses(&self, _: &str) -> Option<String> {
        None
    }
}

impl Server {
    fn table(&self, found: &FoundTable) -> Result<Table, AdminError> {
        let key = found.key();
        let key_column = match key {
            [one] => found.column(one),
            _ => None,
        };
        let kind = if matches!(found.kind.as_str(), "v" | "m") {
            TableKind::View
        } else {
            TableKind::Table
        };
        let counts =
            key_column.is_some_and(|key| is_whole(key) && (key.is_identity || is_counted(key)));
        let mut columns = Vec::new();
        if kind == TableKind::Table {
            for column in &found.columns {
                columns.push(self.column(found, column)?);
            }
        }
        let indexes = found.indexes.iter().filter(|index| !index.is_primary && !index.is_partial);
        let whole = indexes.filter_map(|index| {
            let columns: Option<Vec<String>> = index.columns.iter().cloned().collect();
            Some(Index { unique: index.unique, columns: columns? })
        });
        Ok(Table {
            name: found.name.clone(),
            kind,
            columns,
            foreign_keys: found
                .constraints
                .iter()
                .filter(|c| c.kind == "f")
                .filter_map(|key| self.foreign_key(key))
                .collect(),
            indexes: whole.collect(),
            has_key_index: !counts,
            unfit: self.unfit(found, key_column),
        })
    }

    /// Why it cannot be an entity.
    fn unfit(&self, found: &FoundTable, key: Option<&FoundColumn>) -> Option<String> {
        if !found.is_visible {
            let schema = &found.schema;
            return Some(format!(
                "it is in the schema `{schema}`, where no unqualified name is looked for: \
                 `ALTER ROLE … SET search_path = …, {schema}` changes that"
            ));
        }
        if found.kind == "f" {
            return Some("it is a foreign table: nobody would see its rows change".to_owned());
        }
        if found.is_filtered {
            return Some(
                "row-level security applies to this role, and nobody would see when a policy shows other rows"
                    .to_owned(),
            );
        }
        if !found.parents.is_empty() && !found.is_partition {
            return Some("it inherits from another table".to_owned());
        }
        let descendants = self.catalogue.descendants(found);
        if descendants.iter().any(|heir| !heir.is_partition) {
            return Some(
                "others inherit from it, and nobody would see their rows change".to_owned(),
            );
        }
        if let Some(foreign) = descendants.iter().find(|part| part.kind == "f") {
            return Some(format!(
                "its partition `{}` is a foreign table: nobody would see its rows change",
                foreign.name
            ));
        }
        // Elsewhere, names are compared as SQLite does.
        let is_alike = |name: &str, other: &str| name != other && name.eq_ignore_ascii_case(other);
        let mut visible = self.catalogue.tables.iter().filter(|table| table.is_visible);
        if let Some(other) = visible.find(|other| is_alike(&found.name, &other.name)) {
            return Some(format!(
                "its name differs from that of `{}` only in upper and lower case",
                other.name
            ));
        }
        for column in &found.columns {
            let other = found.columns.iter().find(|other| is_alike(&column.name, &other.name));
            if let Some(other) = other {
                return Some(format!(
                    "the names of its columns `{}` and `{}` differ only in upper and lower case",
                    column.name, other.name
                ));
            }
        }
        let key = key?;
        let is_text = matches!(key.base.as_str(), "text" | "varchar") && key.is_compared_by_bytes();
        let fits = is_whole(key) || key.base == "uuid" || is_text;
        (!fits).then(|| format!("its primary key `{}` is {}", key.name, key.sql_type))
    }

    fn foreign_key(&self, key: &super::catalogue::FoundConstraint) -> Option<ForeignKey> {
        let table = self.catalogue.by_oid(key.target?)?;
        Some(ForeignKey {
            columns: key.columns.clone(),
            // A table of another schema may have the name of one that the model has.
            table: match table.is_visible {
                true => table.name.clone(),
                false => format!("{}.{}", table.schema, table.name),
            },
            target: key.target_columns.first().cloned(),
            on_delete: key.on_delete_sql().to_owned(),
        })
    }
}

fn is_whole(column: &FoundColumn) -> bool {
    matches!(column.base.as_str(), "int2" | "int4" | "int8")
}

/// `serial`.
fn is_counted(column: &FoundColumn) -> bool {
    column.default.as_deref().is_some_and(|default| default.starts_with("nextval("))
}
