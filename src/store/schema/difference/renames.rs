//! Fields that the model says were renamed (`@renamedFrom`): their columns are renamed before
//! anything else is compared, so that they keep their values.

use super::changes::{is_ours, made_for};
use super::notes;
use crate::store::postgres;
use crate::store::schema::layout::{Layout, SqlName, Table, TableColumn};
use crate::store::schema::section::Section;
use crate::store::sqlite::catalogue::{Catalogue, FoundIndex, FoundTable};

/// A column that gets another name.
pub(in crate::store) struct Rename<'a> {
    pub(in crate::store) table: &'a Table,
    pub(in crate::store) column: &'a TableColumn,
    found: &'a FoundTable,
    /// Its name so far.
    pub(in crate::store) former: &'a str,
    /// The column as it is, under its new name.
    was: TableColumn,
}

/// The columns that are there under a former name only.
pub(in crate::store) fn renames<'a>(
    catalogue: &'a Catalogue,
    layout: &'a Layout,
) -> Vec<Rename<'a>> {
    let mut renames: Vec<Rename<'a>> = Vec::new();
    for table in layout.tables.iter().filter(|table| table.managed) {
        let Some(found) = catalogue.table(table.name.as_str()) else { continue };
        for column in &table.columns {
            if found.column(column.name.as_str()).is_some() {
                continue;
            }
            let is_free = |former: &str| {
                let is = |name: &str| name.eq_ignore_ascii_case(former);
                table.columns.iter().all(|column| !is(column.name.as_str()))
                    && renames
                        .iter()
                        .all(|other| other.table.name != table.name || !is(other.former))
            };
            let has = column.former_names.iter().find_map(|former| found.column(former));
            let Some(has) = has.filter(|has| is_free(&has.name)) else { continue };
            let (scalar, enum_values) = made_for(catalogue, found, has);
            let was = TableColumn {
                scalar,
                enum_values,
                references: column
                    .references
                    .clone()
                    .filter(|_| found.foreign_key(&has.name).is_some()),
                ..column.clone()
            };
            renames.push(Rename { table, column, found, former: &has.name, was });
        }
    }
    renames
}

impl Rename<'_> {
    /// Those of freshql's own indexes that are named after the column: they come back under names
    /// of the new one.
    fn indexes(&self) -> impl Iterator<Item = &FoundIndex> {
        let has = |index: &FoundIndex| {
            let mut names = index.columns.iter().flatten();
            names.any(|name| name.eq_ignore_ascii_case(self.former))
        };
        self.found.indexes.iter().filter(move |index| has(index) && is_ours(index, self.found))
    }

    fn column(&self) -> String {
        let former = SqlName::new(self.former);
        format!("ALTER TABLE {} RENAME COLUMN {former} TO {};", self.table.name, self.column.name)
    }

    /// PostgreSQL's constraints are named after the column, too.
    fn constraints(&self) -> Vec<String> {
        if self.found.is_adopted() {
            return Vec::new();
        }
        postgres::difference::renamed_constraints(self.table, self.former, &self.was)
    }
}

/// Drops the indexes that are named after one or more of the columns.
fn dropped_indexes(renames: &[Rename<'_>], if_exists: &str) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    for index in renames.iter().flat_map(Rename::indexes) {
        let drop = format!("DROP INDEX {if_exists}{};", SqlName::new(&index.name));
        if !statements.contains(&drop) {
            statements.push(drop);
        }
    }
    statements
}

/// The statements for SQLite.
pub(in crate::store) fn in_sqlite(renames: &[Rename<'_>]) -> Option<Section> {
    let mut statements = dropped_indexes(renames, "");
    statements.extend(renames.iter().map(Rename::column));
    notes::section(HEADING, statements)
}

/// The statements for PostgreSQL.
pub(in crate::store) fn in_postgres(renames: &[Rename<'_>]) -> Option<Section> {
    let mut statements = dropped_indexes(renames, "IF EXISTS ");
    statements.extend(
        renames.iter().flat_map(|rename| [rename.column()].into_iter().chain(rename.constraints())),
    );
    notes::section(HEADING, statements)
}

const HEADING: &str = "Renamed fields: their columns keep their values.";
