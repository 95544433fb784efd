//! A look at the schema: which state it is in, and whether the triggers and columns that keep versions stand.

use std::sync::Arc;

use super::Schema;
use crate::model::Model;
use crate::store::guard::{Guard, newer};
use crate::store::postgres::catalogue::{self, Catalogue};
use crate::store::postgres::client::{ClientError, Connection, Execute, Rows};
use crate::store::postgres::migrate::check::{self, Facts};
use crate::store::postgres::migrate::mend::Exactness;
use crate::store::postgres::migrate::{APPLIED, META, applied_of, identity};
use crate::store::schema::migrations::Applied;

/// What was found.
pub(super) struct Looked {
    /// None where the database was never migrated.
    pub(super) schema: Option<Schema>,
    /// What the catalogue comes to.
    pub(super) print: i64,
}

/// A number that changes when anything does on which versions rest: tables, columns, partitions, triggers, functions of ours.
/// It costs the server about as much as a small answer.
pub(super) const PRINT: &str = "SELECT coalesce(sum(hashtextextended(thing, 0))::numeric % 9223372036854775807, 0)::bigint FROM (
  SELECT concat_ws(' ', 'c', oid, relname, relnamespace, relkind, relpersistence, relispartition) AS thing FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace, 'information_schema'::regnamespace)
      AND relpersistence <> 't'
  UNION ALL SELECT concat_ws(' ', 'a', attrelid, attnum, attname, atttypid, atttypmod, attcollation, attnotnull, attgenerated)
    FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND NOT attisdropped AND c.relkind IN ('r', 'p')
      AND c.relpersistence <> 't'
      AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace, 'information_schema'::regnamespace)
  UNION ALL SELECT concat_ws(' ', 'i', inhrelid, inhparent) FROM pg_inherits
  UNION ALL SELECT concat_ws(' ', 'g', oid, tgrelid, tgname, tgenabled, tgtype, tgfoid) FROM pg_trigger WHERE NOT tgisinternal
  UNION ALL SELECT concat_ws(' ', 'p', oid, md5(prosrc), prosecdef, proconfig) FROM pg_proc
    WHERE proname LIKE '\\_freshql\\_%') AS things";

/// What the database has of migrations.
pub(super) async fn applied(connection: &mut Connection) -> Result<Vec<Applied>, ClientError> {
    match connection.query(Execute::text(APPLIED, &[])).await {
        Ok(rows) => Ok(rows.iter().map(|row| applied_of(&row)).collect()),
        // None was ever applied by a command of ours.
        Err(error) if error.code() == "42P01" => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Looks. `history` is what had been applied when this server started: what came later belongs to another model.
pub(super) async fn look(
    connection: &mut Connection,
    model: &Model,
    history: &[Applied],
) -> Result<Looked, ClientError> {
    // First: what changes meanwhile shows as a difference the next time.
    let print = connection.query(Execute::binary(PRINT, &[])).await?;
    let print = print.first().and_then(|row| row.int(0)).unwrap_or_default();
    let statements = catalogue::statements();
    let flight: Vec<Execute<'_>> = statements.iter().map(|sql| Execute::text(sql, &[])).collect();
    let catalogue = Catalogue::of(&connection.flight(&flight).await?);
    let facts = match catalogue.table("_freshql_version") {
        Some(_) => {
            let rows = connection.query(Execute::text(check::BASES, &[])).await?;
            Facts { bases: rows.iter().map(|row| row.string(0)).collect() }
        }
        None => Facts::default(),
    };
    let meta = match catalogue.table("_freshql_meta") {
        Some(_) => Some(connection.query(Execute::text(META, &[])).await?),
        None => None,
    };
    let applied = applied(connection).await?;
    // In a rolling deploy somebody migrates while servers of the release before still run: what their model needs may stand
    // as before, and triggers do more than they know of.
    let unguarded = match newer(&applied, history) {
        Some(reason) if !applied.starts_with(history) => vec![Some(reason); model.entities.len()],
        Some(_) => check::unguarded(&catalogue, &facts, model, Exactness::AtLeast),
        None => check::unguarded(&catalogue, &facts, model, Exactness::Exact),
    };
    let schema = meta
        .as_ref()
        .and_then(identity_of)
        .map(|identity| Schema { identity, guard: Arc::new(Guard::new(print, unguarded)) });
    Ok(Looked { schema, print })
}

fn identity_of(meta: &Rows) -> Option<[u8; 16]> {
    let row = meta.first()?;
    identity(row.text(0), row.text(1))
}
