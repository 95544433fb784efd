//! Versions of rows whose tables are somebody else's: they stand in `_freshql_version`, and the
//! trigger that writes the record puts them there. A row that has no entry has the version of all
//! rows that have none.

use super::expressions::{NOW, VARIABLES, came_or_went, differs, entity, rows_differ, updated};
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table};

/// Under this name stands the version of all rows of an entity without one of their own. No entity
/// can have it: no name in GraphQL has a slash.
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

/// Give every row a new version: a million rows cost no more than one.
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

/// The version of a row of a table that is somebody else's. `row` names it in the statement.
pub(in crate::store) fn version_expression(entity: &str, row: &str, key: &str) -> String {
    let base = string_literal(&base_entity(entity));
    let (entity, row, key) = (string_literal(entity), SqlName::new(row), SqlName::new(key));
    format!(
        "coalesce((SELECT version FROM _freshql_version WHERE entity = {entity} AND key = {row}.{key}::text), \
         (SELECT version FROM _freshql_version WHERE entity = {base} AND key = ''))"
    )
}
