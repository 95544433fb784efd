//! Versions of rows in unmanaged tables: they are in `_freshql_version`, where the log trigger
//! writes them. A row without an entry has the version that all rows without an entry share.

use super::expressions::{NOW, VARIABLES, came_or_went, differs, entity, rows_differ, updated};
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table};

/// The name of the entry for all rows of an entity without one of their own. No entity can have
/// this name: GraphQL names have no slash.
pub(in crate::store) fn base_entity(entity: &str) -> String {
    format!("/{entity}")
}

pub(super) fn log_body(table: &Table) -> String {
    let entity = entity(table);
    let key = &table.key_column().name;
    format!(
        "
{VARIABLES}
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    INSERT INTO _freshql_change (entity, op) VALUES ({entity}, 'T');
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' AND NOT ({differ}) THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' AND NOT {rekeyed} THEN
      {updated}
  ELSE
    -- Another key is another row: one goes, one comes.
    IF TG_OP <> 'INSERT' THEN
      {deleted}
      DELETE FROM _freshql_version WHERE entity = {entity} AND key = OLD.{key}::text;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      {inserted}
    END IF;
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO _freshql_version AS kept (entity, key, version) VALUES ({entity}, NEW.{key}::text,
      greatest({NOW}, (SELECT version + 1 FROM _freshql_version WHERE entity = {base} AND key = '')))
      ON CONFLICT (entity, key) DO UPDATE SET version = greatest(kept.version + 1, excluded.version);
  END IF;
  RETURN NULL;
END ",
        differ = rows_differ(table),
        rekeyed = differs(table.key_column()),
        updated = updated(table),
        deleted = came_or_went(table, 'D', "OLD"),
        inserted = came_or_went(table, 'I', "NEW"),
        base = string_literal(&base_entity(&table.entity_name)),
    )
}

/// Gives every row a new version: this costs the same for one row and for a million.
pub(in crate::store) fn renew_statements(table: &Table) -> Vec<String> {
    let entity = entity(table);
    let base = string_literal(&base_entity(&table.entity_name));
    vec![
        format!("INSERT INTO _freshql_change (entity, op) VALUES ({entity}, 'T');"),
        format!(
            "INSERT INTO _freshql_version AS kept (entity, key, version)\n  SELECT {base}, '', greatest({NOW}, \
             (SELECT max(version) + 1 FROM _freshql_version WHERE entity IN ({entity}, {base})))\n  \
             ON CONFLICT (entity, key) DO UPDATE SET version = greatest(kept.version + 1, excluded.version);"
        ),
        format!("DELETE FROM _freshql_version WHERE entity = {entity};"),
    ]
}

/// The version of a row of an unmanaged table. `row` is the row's name in the statement.
pub(in crate::store) fn version_expression(entity: &str, row: &str, key: &str) -> String {
    let base = string_literal(&base_entity(entity));
    let (entity, row, key) = (string_literal(entity), SqlName::new(row), SqlName::new(key));
    format!(
        "coalesce((SELECT version FROM _freshql_version WHERE entity = {entity} AND key = {row}.{key}::text), \
         (SELECT version FROM _freshql_version WHERE entity = {base} AND key = ''))"
    )
}
