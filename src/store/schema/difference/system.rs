//! What freshql's own tables lack if an earlier release created them.

use crate::store::schema::layout::SYSTEM_TABLE_NAMES;
use crate::store::schema::section::Section;
use crate::store::sqlite::catalogue::Catalogue;
use crate::store::sqlite::catalogue::definition::Definition;
use crate::store::sqlite::ddl::system_table;

/// The columns that freshql's own tables in this database lack: the table and the column's name.
pub(in crate::store) fn system_columns(catalogue: &Catalogue) -> Vec<(&'static str, String)> {
    let mut missing = Vec::new();
    for name in SYSTEM_TABLE_NAMES {
        let Some(found) = catalogue.table(name) else { continue };
        let wanted = definition(&system_table(name)).columns.into_iter().map(|column| column.name);
        missing.extend(
            wanted.filter(|column| found.column(column).is_none()).map(|column| (*name, column)),
        );
    }
    missing
}

/// The table that the first statement of a section creates.
fn definition(section: &Section) -> Definition {
    section.statements.first().map(|create| Definition::parse(create)).unwrap_or_default()
}

/// The statements that add what freshql's own tables lack. `system_table` belongs to the dialect.
pub(in crate::store) fn add_system_columns(
    missing: &[(&'static str, String)],
    system_table: fn(&str) -> Section,
) -> Vec<String> {
    let add = |(table, name): &(&str, String)| {
        let definition = definition(&system_table(table));
        Some(format!("ALTER TABLE {table} ADD COLUMN {name} {};", definition.column(name)?.text()))
    };
    missing.iter().filter_map(add).collect()
}
