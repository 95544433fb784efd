//! Maps a model to tables: which tables, columns, keys and indexes a database of this model has,
//! and their names. Types, SQL text and versions depend on the dialect: each driver has its own
//! `ddl` and `triggers`.

pub mod name;
#[cfg(test)]
pub(crate) mod test_models;

use std::collections::HashSet;

use crate::model::naming::snake_case;
use crate::model::{Column, ColumnId, DefaultValue, Entity, EntityId, Model, OnDelete, Scalar};

pub use name::SqlName;

/// The names of freshql's own tables that migrations create for every model.
pub(in crate::store) const SYSTEM_TABLE_NAMES: &[&str] = &[
    "_freshql_meta",
    "_freshql_change",
    "_freshql_document",
    "_freshql_alias",
    "_freshql_idempotency",
];

pub(in crate::store) const CHANGE_LOG: &str = "_freshql_change";

/// The table of the row versions of unmanaged tables. Its entry under the empty blob, which is not
/// the key of any row, is the version of all rows without an entry: those that have not changed
/// since freshql watches the table.
pub(in crate::store) const VERSIONS: &str = "_freshql_version";

/// The tables of a model.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Indexed by [`EntityId`].
    pub tables: Vec<Table>,
}

/// The table of an entity.
#[derive(Debug, Clone)]
pub struct Table {
    /// The entity of its rows.
    pub entity: EntityId,
    /// The entity's name, as in the change log.
    pub entity_name: String,
    /// Its name.
    pub name: SqlName,
    /// Whether the version is in a column of the table itself. Otherwise it is in
    /// `_freshql_version`, because another program owns the table.
    pub managed: bool,
    /// Indexed by [`ColumnId`]; without the version.
    pub columns: Vec<TableColumn>,
    /// The primary key.
    pub key: ColumnId,
    /// Unique ones first, each kind in the model's order. The primary key's own index is not
    /// included.
    pub indexes: Vec<TableIndex>,
}

/// A column of an entity's table.
#[derive(Debug, Clone)]
pub struct TableColumn {
    /// Its name.
    pub name: SqlName,
    /// The type of its values.
    pub scalar: Scalar,
    /// The values of an enum; empty for other scalars.
    pub enum_values: Vec<String>,
    /// `@column(type:)`, in place of the scalar's type.
    pub type_override: Option<String>,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Its value if an INSERT does not name it.
    pub default: Option<DefaultValue>,
    /// The row that it refers to.
    pub references: Option<ForeignKey>,
    /// Whether its values are recorded in the change log.
    pub part: bool,
    /// The names that it may have had before, of which an existing table has one.
    pub former_names: Vec<String>,
}

/// What a foreign key refers to.
#[derive(Debug, Clone)]
pub struct ForeignKey {
    /// The other table.
    pub table: SqlName,
    /// The other table's primary key.
    pub column: SqlName,
    /// What happens to this row when the other one is deleted.
    pub on_delete: OnDelete,
}

/// An index, or a unique constraint.
#[derive(Debug, Clone)]
pub struct TableIndex {
    /// Its name: `products_merchant_id_sku_key`, or `…_idx` for one that is not unique.
    pub name: SqlName,
    /// Whether no two rows may have the same values.
    pub unique: bool,
    /// The columns that the model names.
    pub columns: Vec<ColumnId>,
    /// Whether the primary key follows the columns. The key is the last term of every ordering, so
    /// a page of a list can be read from the index alone, without a sort, however many rows have
    /// the same values.
    pub with_key: bool,
}

impl Layout {
    /// The tables that this model needs.
    pub fn new(model: &Model) -> Self {
        // Tables and indexes share one namespace.
        let mut taken: HashSet<String> = model.entities.iter().map(|e| e.table.clone()).collect();
        Self {
            tables: model
                .entities
                .iter()
                .map(|entity| Table::new(model, entity, &mut taken))
                .collect(),
        }
    }

    /// The names that a column of a table may have had before.
    pub(in crate::store) fn former_names(&self, table: &str, column: &str) -> &[String] {
        let mut tables = self.tables.iter().filter(|known| known.name.as_str() == table);
        let found = tables
            .find_map(|table| table.columns.iter().find(|known| known.name.as_str() == column));
        found.map_or(&[], |column| &column.former_names)
    }

    /// The names of freshql's own tables that a database of this model needs.
    pub(in crate::store) fn system_tables(&self) -> Vec<&'static str> {
        let versions = self.tables.iter().any(|table| !table.managed).then_some(VERSIONS);
        SYSTEM_TABLE_NAMES.iter().copied().chain(versions).collect()
    }

    /// The tables ordered so that every foreign key refers to an earlier table, unless there is a
    /// cycle; otherwise in the model's order.
    pub fn in_dependency_order(&self) -> Vec<&Table> {
        let mut ordered: Vec<&Table> = Vec::with_capacity(self.tables.len());
        let mut waiting: Vec<&Table> = self.tables.iter().collect();
        while !waiting.is_empty() {
            let is_free = |table: &Table| {
                table.columns.iter().filter_map(|c| c.references.as_ref()).all(|reference| {
                    reference.table == table.name
                        || ordered.iter().any(|done| done.name == reference.table)
                })
            };
            // If all remaining tables are in a cycle, the first of them breaks it.
            let next = waiting.iter().position(|table| is_free(table)).unwrap_or(0);
            ordered.push(waiting.remove(next));
        }
        ordered
    }
}

impl Table {
    fn new(model: &Model, entity: &Entity, taken: &mut HashSet<String>) -> Self {
        let columns = entity.columns.iter().map(|column| TableColumn::new(model, column)).collect();
        let uniques = entity.uniques.iter().map(|unique| (true, &unique.columns));
        // An index that begins with the same columns and continues with the key returns the same
        // rows in the same order.
        let starts_one_of = |columns: &[ColumnId]| {
            let longer = [columns, &[entity.key]].concat();
            let all = entity
                .uniques
                .iter()
                .map(|unique| &unique.columns)
                .chain(entity.indexes.iter().map(|i| &i.columns));
            all.into_iter().any(|columns| columns.starts_with(&longer))
        };
        let plain = entity.indexes.iter().filter(|index| !starts_one_of(&index.columns));
        let plain = plain.map(|index| (false, &index.columns));
        let indexes = uniques
            .chain(plain)
            .map(|(unique, columns)| TableIndex {
                name: index_name(entity, columns, unique, taken),
                unique,
                columns: columns.clone(),
                // An integer key is SQLite's rowid, with which every index ends anyway.
                with_key: !unique
                    && !columns.contains(&entity.key)
                    && entity.column(entity.key).scalar != Scalar::IdInt,
            })
            .collect();
        Self {
            entity: entity.id,
            entity_name: entity.name.clone(),
            name: SqlName::new(&entity.table),
            managed: entity.managed,
            columns,
            key: entity.key,
            indexes,
        }
    }

    /// The column with this index.
    pub fn column(&self, id: ColumnId) -> &TableColumn {
        &self.columns[usize::from(id.0)]
    }

    /// The primary key's column.
    pub fn key_column(&self) -> &TableColumn {
        self.column(self.key)
    }

    /// The columns of an index in the database, including the key if it follows.
    pub fn index_columns<'a>(
        &'a self,
        index: &'a TableIndex,
    ) -> impl Iterator<Item = &'a TableColumn> {
        index
            .columns
            .iter()
            .map(|id| self.column(*id))
            .chain(index.with_key.then(|| self.key_column()))
    }
}

impl TableColumn {
    fn new(model: &Model, column: &Column) -> Self {
        let enum_values = match column.scalar {
            Scalar::Enum(id) => {
                model.enum_type(id).values.iter().map(|(name, _)| name.clone()).collect()
            }
            _ => Vec::new(),
        };
        let references = column.references.as_ref().map(|reference| {
            let target = model.entity(reference.target);
            ForeignKey {
                table: SqlName::new(&target.table),
                column: SqlName::new(&target.column(target.key).name),
                on_delete: reference.on_delete,
            }
        });
        Self {
            name: SqlName::new(&column.name),
            scalar: column.scalar,
            enum_values,
            type_override: column.sql_type.clone(),
            nullable: column.nullable,
            default: column.default.clone(),
            references,
            part: column.part,
            former_names: former_names(column),
        }
    }
}

/// As a field of the former name would call its column by default, and the name itself.
fn former_names(column: &Column) -> Vec<String> {
    let Some(name) = &column.renamed_from else { return Vec::new() };
    let default = snake_case(name);
    let of_a_relation = column.references.as_ref().map(|_| format!("{default}_id"));
    of_a_relation.into_iter().chain([default, name.clone()]).collect()
}

/// `products_merchant_id_sku_key`, as PostgreSQL would name it. If two tables would get the same
/// name (`a_b` + `c`, `a` + `b_c`), a hash distinguishes them.
fn index_name(
    entity: &Entity,
    columns: &[ColumnId],
    unique: bool,
    taken: &mut HashSet<String>,
) -> SqlName {
    let columns: Vec<&str> = columns.iter().map(|id| entity.column(*id).name.as_str()).collect();
    let [plain, hashed] = index_names(&entity.table, &columns, unique);
    let name = if taken.contains(plain.as_str()) { hashed } else { plain };
    taken.insert(name.as_str().to_owned());
    name
}

/// The names that an index of ours can have: the usual one, and the one with a hash.
pub(in crate::store) fn index_names(table: &str, columns: &[&str], unique: bool) -> [SqlName; 2] {
    let ending = if unique { "key" } else { "idx" };
    let hash = blake3::hash(format!("{table}\0{}", columns.join("\0")).as_bytes()).to_hex();
    let columns = columns.join("_");
    [
        SqlName::generated(format!("{table}_{columns}_{ending}")),
        SqlName::generated(format!("{table}_{columns}_{}_{ending}", &hash[..8])),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colliding_names_are_made_distinct() {
        let mut model = test_models::every_kind();
        model.entities[0].table = "a_b".to_owned();
        model.entities[0].columns[1].name = "c".to_owned();
        model.entities[2].table = "a".to_owned();
        model.entities[2].columns[1].name = "b_c".to_owned();
        model.entities[2].uniques =
            vec![crate::model::Unique { columns: vec![ColumnId(1)], lookup: String::new() }];
        let layout = Layout::new(&model);
        assert_eq!(layout.tables[0].indexes[0].name.as_str(), "a_b_c_key");
        let other = layout.tables[2].indexes[0].name.as_str();
        assert!(
            other.starts_with("a_b_c_") && other.ends_with("_key") && other.len() == 18,
            "{other}"
        );
    }

    #[test]
    fn tables_stand_after_those_that_they_point_to() {
        let mut model = test_models::every_kind();
        let order = |model: &Model| {
            Layout::new(model)
                .in_dependency_order()
                .iter()
                .map(|t| t.entity_name.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(order(&model), ["Folder", "Group", "Note"]);
        // A folder that refers to a note closes a cycle: the model's order applies.
        model.entities[0].columns[1].references =
            Some(crate::model::Reference { target: EntityId(2), on_delete: OnDelete::SetNull });
        assert_eq!(order(&model), ["Folder", "Group", "Note"]);
        model.entities[0].columns[1].references = None;
        model.entities[0].columns[3].references =
            Some(crate::model::Reference { target: EntityId(1), on_delete: OnDelete::SetNull });
        model.entities[1].columns[11].references = None;
        assert_eq!(order(&model), ["Group", "Folder", "Note"]);
    }
}
