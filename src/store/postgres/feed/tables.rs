//! The state of a table, as far as a mutation's statements rely on it: how a statement detects by
//! itself that the table was altered, and whether a row stays as an UPDATE has left it until the
//! UPDATE has ended.
//!
//! A statement detects it in the same way as a check ([`super::definition`]): `'now'::timestamptz`
//! is a constant with the time when the statement was analysed, and PostgreSQL analyses it again
//! when anything that it names was altered. PostgreSQL determines that after it has locked the
//! table, and a statement that alters the table would have to wait for that lock.

use super::definition::Named;
use crate::model::Model;
use crate::store::postgres::catalogue::{Catalogue, FoundTable};
use crate::store::postgres::guarded::TableWatch;
use crate::store::postgres::triggers::{log_function, version_function};

/// A table of the model.
#[derive(Debug, Default)]
pub(in crate::store) struct TableState {
    /// None: not everything that the versions of the table's rows rely on can be named.
    pub(in crate::store) watch: Option<TableWatch>,
    /// Whether nobody else has triggers or rules on it, and no foreign key passes on changes to its
    /// rows.
    pub(in crate::store) is_plain: bool,
}

/// The states of the model's tables, in the order of its entities.
pub(super) fn states(catalogue: &Catalogue, model: &Model, named: &Named) -> Vec<TableState> {
    let state = |table: &str| catalogue.table(table).map(|found| state(catalogue, found, named));
    model.entities.iter().map(|entity| state(&entity.table).unwrap_or_default()).collect()
}

fn state(catalogue: &Catalogue, found: &FoundTable, named: &Named) -> TableState {
    let mut all = catalogue.descendants(found);
    all.push(found);
    TableState { watch: watch(catalogue, found, &all, named), is_plain: is_plain(catalogue, &all) }
}

fn watch(
    catalogue: &Catalogue,
    found: &FoundTable,
    all: &[&FoundTable],
    named: &Named,
) -> Option<TableWatch> {
    // Renaming an enum's value does not invalidate plans.
    if all.iter().any(|table| table.columns.iter().any(|column| column.kind == "e")) {
        return None;
    }
    let (version, log) = (version_function(&found.name), log_function(&found.name));
    let functions = [version.as_str(), log.as_str(), "_freshql_part"];
    if functions.iter().any(|name| catalogue.function(name).is_none()) {
        return None;
    }
    let log_table = catalogue.table("_freshql_change")?;
    let oids: Vec<String> = all
        .iter()
        .chain([&log_table])
        .map(|table| format!("'{}'::regclass::text", table.oid))
        .collect();
    let tables = oids.join(", ");
    let others: String = named
        .tables
        .iter()
        .chain(&named.functions)
        .map(|list| format!(" OR ARRAY[{list}]::text IS NULL"))
        .collect();
    let condition = format!(
        "CASE WHEN false THEN {version}() IS NULL OR {log}() IS NULL OR _freshql_part(NULL) IS NULL \
         OR ARRAY[{tables}] IS NULL{others} ELSE true END"
    );
    Some(TableWatch { condition: condition.into(), names_identity: named.is_everything() })
}

fn is_plain(catalogue: &Catalogue, all: &[&FoundTable]) -> bool {
    let is_ours = |table: &FoundTable| {
        let has_only_ours = table
            .triggers
            .iter()
            .all(|trigger| trigger.enabled == "D" || trigger.name.starts_with("zz_freshql_"));
        has_only_ours && !table.has_rules
    };
    // A column other than the key may be referred to and changed, and a key that is passed on fires
    // triggers elsewhere.
    let passes_on =
        catalogue.tables.iter().flat_map(|table| &table.constraints).any(|constraint| {
            constraint.definition.contains(" ON UPDATE ")
                && all.iter().any(|table| constraint.target == Some(table.oid))
        });
    all.iter().all(|table| is_ours(table)) && !passes_on
}
