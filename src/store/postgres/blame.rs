//! Finds the cause in the database's own schema (a constraint, trigger or rule) after a write was
//! refused or had no effect. It reads the catalogue, so it is only used after a failure, never for
//! every write.

use super::client::{ClientError, Execute, Parameter, Rows, ServerError};
use super::pool::Lease;
use super::values::{Encoded, encode};
use crate::model::{Column, Value};
use crate::store::error::{Columns, Constraint};
use crate::store::schema::layout::SqlName;
use crate::store::statement::Type;
use crate::store::transaction::{RefusedValue, WhyRefused};

/// What a statement does to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Insert,
    Update,
    Delete,
}

/// A value that is written to a column.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written<'a> {
    pub(super) column: &'a Column,
    pub(super) value: &'a Value,
}

impl Written<'_> {
    fn encoded(&self) -> Encoded {
        encode(self.value.as_ref(), Type::Written(self.column.scalar))
    }
}

/// Resolves a table's unqualified name, as statements do.
const TABLE: &str = "to_regclass(quote_ident($1::text))";

/// The constraint with the columns that it covers.
pub(super) async fn named(
    lease: &mut Lease,
    constraint: Constraint,
    error: &ServerError,
    table: &str,
    key: Option<Written<'_>>,
    written: &[Written<'_>],
) -> Result<Constraint, ClientError> {
    let (name, of) =
        (error.constraint.as_deref().unwrap_or_default(), error.table.as_deref().unwrap_or(table));
    let schema = error.schema.as_deref().unwrap_or_default();
    Ok(match constraint {
        Constraint::Unique(_) => {
            let sql = "SELECT attribute.attname::text FROM pg_index AS index
                 JOIN pg_class AS class ON class.oid = index.indexrelid
                 JOIN pg_namespace AS schema ON schema.oid = class.relnamespace,
                 unnest(index.indkey::smallint[]) WITH ORDINALITY AS part(number, place)
                 JOIN pg_attribute AS attribute ON attribute.attnum = part.number
               WHERE attribute.attrelid = index.indrelid AND class.relname = $1::text AND schema.nspname = $2::text
                 AND part.place <= index.indnkeyatts ORDER BY part.place";
            let rows = query(lease, sql, &[Parameter::Text(name), Parameter::Text(schema)]).await?;
            Constraint::Unique(Columns { table: of.to_owned(), names: strings(&rows) })
        }
        Constraint::Check(_) if !name.is_empty() => {
            let sql = "SELECT pg_get_expr(conbin, conrelid) FROM pg_constraint JOIN pg_class ON pg_class.oid = conrelid
               WHERE conname = $1::text AND relname = $2::text AND contype = 'c'";
            let rows = query(lease, sql, &[Parameter::Text(name), Parameter::Text(of)]).await?;
            Constraint::Check(strings(&rows).pop().unwrap_or_default())
        }
        Constraint::ForeignKey(_) => {
            Constraint::ForeignKey(dangling(lease, table, key, written).await?)
        }
        other => other,
    })
}

/// Those of these columns whose new values would make a row refer to one that does not exist. The
/// row may exist already, with this key. All foreign keys of the table count, whatever the model
/// says.
async fn dangling(
    lease: &mut Lease,
    table: &str,
    key: Option<Written<'_>>,
    written: &[Written<'_>],
) -> Result<Vec<String>, ClientError> {
    let sql = format!(
        "SELECT key.oid::text, confrelid::regclass::text, here.attname::text, there.attname::text,
           (confrelid = conrelid)::text FROM pg_constraint AS key,
           unnest(key.conkey, key.confkey) WITH ORDINALITY AS pair(here, there, place)
           JOIN pg_attribute AS here ON here.attnum = pair.here JOIN pg_attribute AS there ON there.attnum = pair.there
         WHERE key.contype = 'f' AND key.conrelid = {TABLE} AND here.attrelid = key.conrelid
           AND there.attrelid = key.confrelid ORDER BY key.oid, pair.place"
    );
    let rows = query(lease, &sql, &[Parameter::Text(table)]).await?;
    let mut references: Vec<Reference> = Vec::new();
    for row in rows.iter() {
        let pair = (row.string(2), row.string(3));
        match references.last_mut().filter(|last| last.id == row.string(0)) {
            Some(last) => last.columns.push(pair),
            None => references.push(Reference {
                id: row.string(0),
                table: row.string(1),
                is_own: row.is(4) || row.text(4) == Some("true"),
                columns: vec![pair],
            }),
        }
    }
    let new = |column: &str| written.iter().find(|written| written.column.name == column);
    let mut dangling: Vec<&str> = Vec::new();
    for Reference { table: target, is_own, columns, .. } in &references {
        let here: Vec<&str> = columns
            .iter()
            .filter_map(|(from, _)| new(from).map(|w| w.column.name.as_str()))
            .collect();
        if here.is_empty() {
            continue;
        }
        let mut values = Vec::new();
        for (from, _) in columns {
            values.push(match (new(from), &key) {
                (Some(written), _) => written.encoded(),
                (None, Some(key)) => current(lease, table, from, key).await?,
                (None, None) => Encoded::Null,
            });
        }
        // A new row may refer to itself.
        let is_itself = *is_own
            && columns
                .iter()
                .zip(&values)
                .all(|((_, to), value)| new(to).is_some_and(|own| own.encoded() == *value));
        if !is_itself
            && !values.contains(&Encoded::Null)
            && !is_there(lease, target, columns, &values).await?
        {
            dangling.extend(here);
        }
    }
    // In the order in which they were given.
    let names = written.iter().map(|written| written.column.name.as_str());
    Ok(names.filter(|name| dangling.contains(name)).map(str::to_owned).collect())
}

/// A foreign key: the other table, and the columns on both sides.
struct Reference {
    id: String,
    table: String,
    is_own: bool,
    columns: Vec<(String, String)>,
}

async fn current(
    lease: &mut Lease,
    table: &str,
    column: &str,
    key: &Written<'_>,
) -> Result<Encoded, ClientError> {
    let (column, table, by) =
        (SqlName::new(column), SqlName::new(table), SqlName::new(&key.column.name));
    let sql = format!("SELECT {column}::text FROM {table} WHERE {by} = $1");
    let value = key.encoded();
    let rows = query(lease, &sql, &[value.parameter()]).await?;
    let text = rows.first().and_then(|row| row.text(0).map(str::to_owned));
    Ok(text.map_or(Encoded::Null, Encoded::Text))
}

async fn is_there(
    lease: &mut Lease,
    table: &str,
    columns: &[(String, String)],
    values: &[Encoded],
) -> Result<bool, ClientError> {
    let same =
        columns.iter().enumerate().map(|(i, (_, to))| format!("{} = ${}", SqlName::new(to), i + 1));
    let sql = format!("SELECT 1 FROM {table} WHERE {}", same.collect::<Vec<_>>().join(" AND "));
    let values: Vec<Parameter<'_>> = values.iter().map(Encoded::parameter).collect();
    Ok(!query(lease, &sql, &values).await?.is_empty())
}

/// Those of these columns, with their types, that do not take their values: the others do, in a
/// statement of their own that writes nothing. Each failure costs the savepoint's changes.
pub(super) async fn unfit(
    lease: &mut Lease,
    error: &ServerError,
    table: &str,
    written: &[Written<'_>],
) -> Result<RefusedValue, ClientError> {
    let sql = format!(
        "SELECT attname::text, format_type(atttypid, atttypmod),
           (attgenerated <> '' OR attidentity = 'a')::text FROM pg_attribute
         WHERE attrelid = {TABLE} AND attnum > 0 AND NOT attisdropped"
    );
    let rows = query(lease, &sql, &[Parameter::Text(table)]).await?;
    // A function reads a value as the column would; unlike a cast, it does not cut it to length.
    let sql = format!(
        "SELECT 1 FROM jsonb_populate_record(NULL::{}, jsonb_build_object($1::text, $2::text))",
        SqlName::new(table)
    );
    let mut columns = Vec::new();
    for written in written {
        let name = &written.column.name;
        let Some(found) = rows.iter().find(|row| row.text(0) == Some(name)) else { continue };
        let is_refused = match (error.code.as_str(), written.encoded()) {
            ("428C9", _) => found.text(2) == Some("true"),
            (code, Encoded::Text(text)) => {
                let parameters = [Parameter::Text(name), Parameter::Text(&text)];
                let tried = query(lease, &sql, &parameters).await;
                if tried.is_err() {
                    lease.connection().script("ROLLBACK TO SAVEPOINT before_it").await?;
                }
                tried.is_err_and(|error| error.code() == code)
            }
            _ => false,
        };
        if is_refused {
            columns.push((name.clone(), found.string(1)));
        }
    }
    let why = match error.code.as_str() {
        "22001" => WhyRefused::TooLong,
        "22003" | "22008" => WhyRefused::OutOfRange,
        "22P02" | "22007" => WhyRefused::Malformed,
        "428C9" => WhyRefused::Computed,
        _ => WhyRefused::Other,
    };
    Ok(RefusedValue { columns, why, message: error.without_values() })
}

/// The user-defined triggers that this statement on the table fires, and whether a rule rewrites
/// it.
pub(super) async fn interfering(
    lease: &mut Lease,
    table: &str,
    event: Event,
) -> Result<(Vec<String>, bool), ClientError> {
    // The bits of pg_trigger.tgtype, and the codes of pg_rewrite.ev_type (`pg_trigger.h`,
    // `pg_rewrite.h`).
    let (bit, kind) = match event {
        Event::Insert => (4, "3"),
        Event::Update => (16, "2"),
        Event::Delete => (8, "4"),
    };
    let sql = format!(
        "SELECT tgname::text FROM pg_trigger WHERE tgrelid = {TABLE} AND NOT tgisinternal AND tgtype & {bit} <> 0
           AND tgenabled <> 'D' AND tgname NOT LIKE 'zz\\_freshql\\_%' ORDER BY tgname"
    );
    let triggers = strings(&query(lease, &sql, &[Parameter::Text(table)]).await?);
    let sql = format!(
        "SELECT 1 FROM pg_rewrite WHERE ev_class = {TABLE} AND ev_type = '{kind}' AND is_instead"
    );
    let by_rule = !query(lease, &sql, &[Parameter::Text(table)]).await?.is_empty();
    Ok((triggers, by_rule))
}

/// The triggers of the table whose functions appear in this error's call stack.
pub(super) async fn broken(
    lease: &mut Lease,
    table: &str,
    error: &ServerError,
) -> Result<Vec<String>, ClientError> {
    let sql = format!(
        "SELECT tgname::text FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid WHERE tgrelid = {TABLE}
           AND NOT tgisinternal AND tgname NOT LIKE 'zz\\_freshql\\_%' AND strpos($2::text, proname || '(') > 0 ORDER BY 1"
    );
    let context = error.context.as_deref().unwrap_or_default();
    Ok(strings(&query(lease, &sql, &[Parameter::Text(table), Parameter::Text(context)]).await?))
}

async fn query(
    lease: &mut Lease,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Rows, ClientError> {
    lease.connection().query(Execute::text(sql, parameters)).await
}

fn strings(rows: &Rows) -> Vec<String> {
    rows.iter().map(|row| row.string(0)).collect()
}
