//! Inspects the schema: which state it is in, and whether the triggers and columns that maintain
//! versions are intact.

use std::sync::Arc;

use super::definition::{self, Named, Watch};
use super::known::Schema;
use super::tables::{self, TableState};
use crate::model::Model;
use crate::store::guard::{Guard, newer};
use crate::store::postgres::catalogue::{self, Catalogue};
use crate::store::postgres::client::{ClientError, Connection, Execute, Rows};
use crate::store::postgres::migrate::check::{self, Facts};
use crate::store::postgres::migrate::mend::Exactness;
use crate::store::postgres::migrate::{APPLIED, META, applied_of, identity};
use crate::store::schema::migrations::Applied;

/// The result.
pub(super) struct Looked {
    /// None if the database was never migrated.
    pub(super) schema: Option<Schema>,
    /// The definition's print.
    pub(super) print: i64,
    /// What else decides how tables are served and written: [`definition::AROUND`].
    pub(super) around: i64,
    /// The columns that tell when it changes.
    pub(super) watch: Watch,
}

/// Why no version is trusted if the change cannot be recorded.
const UNKEPT: &str = "tables, triggers or functions were altered, and the server could not write that to `_freshql_meta` and \
                      `_freshql_change`: grant its role INSERT and UPDATE there";

/// The applied migrations.
pub(super) async fn applied(connection: &mut Connection) -> Result<Vec<Applied>, ClientError> {
    match connection.query(Execute::text(APPLIED, &[])).await {
        Ok(rows) => Ok(rows.iter().map(|row| applied_of(&row)).collect()),
        // None was ever applied by freshql.
        Err(error) if error.code() == "42P01" => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Inspects the schema. `history`: the migrations that were applied when this server started; later
/// ones belong to another model.
pub(super) async fn look(
    connection: &mut Connection,
    model: &Model,
    history: &[Applied],
) -> Result<Looked, ClientError> {
    // First, so that a later change shows as a difference next time.
    let mut print = definition::print(connection).await?;
    let around = connection.query(Execute::binary(definition::AROUND, &[])).await?;
    let around = definition::print_in(&around);
    let named = Named::of(&connection.query(Execute::text(definition::NAMES, &[])).await?);
    let (settings, statements) = (connection.session().syntax_settings(), catalogue::statements());
    let all = settings.iter().chain(&statements);
    let flight: Vec<Execute<'_>> = all.map(|sql| Execute::text(sql, &[])).collect();
    let rows = connection.flight(&flight).await?;
    let catalogue = Catalogue::of(&rows[usize::from(settings.is_some())..]);
    let facts = match catalogue.table("_freshql_version") {
        Some(_) => {
            let rows = connection.query(Execute::text(check::BASES, &[])).await?;
            Facts { bases: rows.iter().map(|row| row.string(0)).collect() }
        }
        None => Facts::default(),
    };
    let (mut meta, mut is_kept) = (None, true);
    if catalogue.table("_freshql_meta").is_some() {
        is_kept = keep(connection, &mut print).await?;
        meta = Some(connection.query(Execute::text(META, &[])).await?);
    }
    let applied = applied(connection).await?;
    // In a rolling deploy, migrations are applied while servers of the previous release still run:
    // the objects that their model needs may be unchanged, and triggers may do more.
    let unguarded = match newer(&applied, history) {
        _ if !is_kept => vec![Some(UNKEPT.to_owned()); model.entities.len()],
        Some(reason) if !applied.starts_with(history) => vec![Some(reason); model.entities.len()],
        Some(reason) => check::unguarded(&catalogue, &facts, model, Exactness::AtLeast)
            .into_iter()
            .map(|lack| lack.map(|lack| format!("{lack}; {reason}")))
            .collect(),
        None => check::unguarded(&catalogue, &facts, model, Exactness::Exact),
    };
    let tables = tables::states(&catalogue, model, &named).into();
    let schema = meta.as_ref().and_then(|meta| schema(meta, Guard::new(print, unguarded), tables));
    Ok(Looked { schema, print, around, watch: Watch::of(&named) })
}

/// Ensures that the history belongs to the definition with this print, or to its current one. False
/// if that cannot be recorded.
async fn keep(connection: &mut Connection, print: &mut i64) -> Result<bool, ClientError> {
    for _ in 0..3 {
        let kept = connection.query(Execute::text(definition::KEPT, &[])).await?;
        if kept.first().and_then(|row| row.int(0)) == Some(*print) {
            return Ok(true);
        }
        match definition::renew(connection).await {
            Ok(()) => {
                tracing::info!("tables, triggers or functions were altered; all ETags are new")
            }
            Err(error) if connection.is_broken() => return Err(error),
            Err(error) => {
                tracing::error!(%error, "cannot write down that tables, triggers or functions were altered");
                return Ok(false);
            }
        }
        *print = definition::print(connection).await?;
    }
    Ok(false)
}

fn schema(meta: &Rows, guard: Guard, tables: Arc<[TableState]>) -> Option<Schema> {
    let row = meta.first()?;
    let identity = identity(row.text(0), row.text(1))?;
    let (epoch, history, guard) = (row.string(0), row.string(1), Arc::new(guard));
    Some(Schema { identity, epoch, history, guard, tables, statements: Arc::default() })
}
