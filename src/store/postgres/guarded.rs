//! Statements of a flight that is a whole mutation. Each looks itself whether it has done what it
//! says, and fails where it has not, so that nothing of the flight is kept. Why it has not is then
//! found out by statements that are not in a hurry.
//!
//! A mutation of one field that has found nothing to do does not fail, since every failure is a
//! line in the server's log: its statement gives 0. `pg_current_xact_id_if_assigned()` tells that
//! nothing at all was written, by a trigger neither: whoever writes, or locks a row, has got a
//! number.

use super::dialect::Postgres;
use crate::model::{Column, Entity, Model, Scalar};
use crate::store::render;
use crate::store::rendered::Guarded;
use crate::store::schema::layout::VERSION_COLUMN;
use crate::store::schema::layout::name::string_literal;
use crate::store::select::Shape;
use crate::store::statement::Statement;

/// Whether the database and its schema are those that the mutation was told for; the parameters'
/// numbers.
fn is_same(epoch: usize, history: usize) -> String {
    format!(
        "(SELECT value FROM _freshql_meta WHERE key = 'epoch') = ${epoch}::text \
         AND coalesce((SELECT value FROM _freshql_meta WHERE key = 'history'), '') = ${history}::text"
    )
}

/// 1 where this holds; where it does not, 0 if that may be (a parameter) and nothing was written,
/// or else a failure.
fn verdict(holds: &str, may_be_nothing: usize) -> String {
    format!(
        "CASE WHEN {holds} THEN 1 WHEN ${may_be_nothing}::boolean AND pg_current_xact_id_if_assigned() IS NULL THEN 0 \
         ELSE ('freshql: a row is not as a mutation expects it; the mutation is undone and looked into ' || \
         pg_backend_pid())::int END"
    )
}

/// The statement. Behind its own parameters it has those of every one: the database's epoch and
/// history, whether it may find nothing to do; and [`Guarded::Insert`] and [`Guarded::Gone`] the
/// key as the log has it.
pub(super) fn statement(model: &Model, entity: &Entity, guarded: &Guarded) -> Statement {
    let base = match guarded {
        Guarded::Insert(columns) => render::insert(model, &Postgres, entity, columns),
        Guarded::Update(columns, is_versioned) => {
            render::update(model, &Postgres, entity, columns, *is_versioned)
        }
        Guarded::Lock(is_versioned) => render::delete(model, &Postgres, entity, *is_versioned),
        Guarded::Delete | Guarded::Gone => render::delete(model, &Postgres, entity, false),
    };
    let own = base.parameters.len();
    let (same, may_be_nothing, key) = (is_same(own + 1, own + 2), own + 3, own + 4);
    let text = &base.sql;
    // The same rows, to look at.
    let rows = text.strip_prefix("DELETE FROM").unwrap_or_default();
    let sql = match guarded {
        Guarded::Insert(_) => {
            // The row has the key that it was given, and a version of now.
            let is_made = format!(
                "count(*) FILTER (WHERE \"w\".\"k\"::text = ${key}::text AND \"w\".\"v\" >= \
                 (date_part('epoch', statement_timestamp()) * 1000000)::bigint) = 1 AND {same}"
            );
            let verdict = verdict(&is_made, may_be_nothing);
            format!(
                "WITH \"w\"(\"k\", \"v\") AS ({text}, \"{VERSION_COLUMN}\") SELECT {verdict} FROM \"w\""
            )
        }
        Guarded::Update(..) => {
            let verdict = verdict(&format!("count(*) = 1 AND {same}"), may_be_nothing);
            format!("WITH \"w\" AS ({text} RETURNING 1) SELECT {verdict} FROM \"w\"")
        }
        Guarded::Lock(_) => {
            let verdict = verdict(&format!("count(*) = 1 AND {same}"), may_be_nothing);
            format!("SELECT {verdict} FROM (SELECT 1 FROM{rows} FOR UPDATE) AS \"w\"")
        }
        // What was not locked is not deleted either.
        Guarded::Delete => {
            let verdict = verdict(&format!("count(*) = 1 AND {same}"), may_be_nothing);
            format!(
                "WITH \"w\" AS ({text} AND pg_current_xact_id_if_assigned() IS NOT NULL RETURNING 1) \
                 SELECT {verdict} FROM \"w\""
            )
        }
        Guarded::Gone => {
            let is_gone = format!(
                "NOT EXISTS (SELECT 1 FROM{rows}) AND EXISTS (SELECT 1 FROM _freshql_change WHERE xid = \
                 pg_current_xact_id_if_assigned() AND entity = {} AND id = ${key}::text AND op = 'D') AND {same}",
                string_literal(&entity.name)
            );
            format!("SELECT {}", verdict(&is_gone, may_be_nothing))
        }
    };
    Statement { sql: sql.into(), parameters: base.parameters, columns: base.columns }
}

/// The query, as one that fails where its rows cannot be shown: where a row by its key is not
/// there, where a value is none of its type (somebody has loosened a column), where a row's strings
/// have more bytes than the last parameter says. None: that cannot be told by SQL.
pub(super) fn sound(model: &Model, shape: &Shape) -> Option<Statement> {
    let base = render::query(model, &Postgres, shape);
    let (entity, columns) = match shape {
        Shape::Row { from, columns, .. } => (model.entity(from.entity()), columns),
        Shape::Page { list, columns } => (model.entity(list.from.entity()), columns),
        Shape::Count(_) | Shape::AnyUpToAfter(_) | Shape::AnyFromBefore(_) => return Some(base),
    };
    if !entity.managed {
        return None;
    }
    let names: Vec<String> = (0..columns.len() + 2).map(|at| format!("\"c{at}\"")).collect();
    let mut conditions =
        vec!["\"q\".\"c0\" IS NOT NULL".to_owned(), "\"q\".\"c1\" IS NOT NULL".to_owned()];
    let mut lengths = vec!["0".to_owned()];
    // The version stands behind the key.
    for (name, id) in
        names[..1].iter().chain(&names[2..]).zip(std::iter::once(&entity.key).chain(columns))
    {
        let (column, value) = (entity.column(*id), format!("\"q\".{name}"));
        if column.sql_type.is_some() {
            return None;
        }
        if !column.nullable {
            conditions.push(format!("{value} IS NOT NULL"));
        }
        if matches!(column.scalar, Scalar::String | Scalar::IdText) {
            lengths.push(format!("coalesce(octet_length({value}), 0)"));
        }
        conditions.extend(holds(model, column, &value)?);
    }
    let names = names.join(", ");
    let most = base.parameters.len() + 1;
    conditions.push(format!("{} <= ${most}::bigint", lengths.join(" + ")));
    let row = match shape {
        Shape::Row { .. } => {
            format!(
                "(SELECT) AS \"one\" LEFT JOIN LATERAL ({}) AS \"q\"({names}) ON true",
                base.sql
            )
        }
        _ => format!("({}) AS \"q\"({names})", base.sql),
    };
    let sql = format!(
        "SELECT \"q\".* FROM {row} WHERE CASE WHEN {} THEN true WHEN pg_current_xact_id_if_assigned() IS NULL THEN true \
         ELSE ('freshql: a row cannot be shown as a mutation would leave it; the mutation is undone and looked into ' || \
         pg_backend_pid())::boolean END",
        conditions.join(" AND ")
    );
    Some(Statement { sql: sql.into(), ..base })
}

/// What makes every value of a column of ours one of its type, beside the column's own type; None:
/// SQL cannot tell.
#[expect(
    clippy::option_option,
    reason = "nothing to ask, and nothing that could be asked, are two things"
)]
fn holds(model: &Model, column: &Column, value: &str) -> Option<Option<String>> {
    let condition = match column.scalar {
        Scalar::IdInt
        | Scalar::BigInt
        | Scalar::Int
        | Scalar::Boolean
        | Scalar::IdUuid
        | Scalar::Uuid => None,
        Scalar::String | Scalar::IdText => None,
        Scalar::Float => Some(format!("{value} NOT IN ('NaN', 'Infinity', '-Infinity')")),
        Scalar::Decimal { .. } => Some(format!("{value} <> 'NaN'")),
        Scalar::DateTime => Some(format!(
            "{value} BETWEEN '0001-01-01 00:00:00+00'::timestamptz AND '9999-12-31 23:59:59.999999+00'::timestamptz"
        )),
        Scalar::Date => Some(format!("{value} BETWEEN '0001-01-01'::date AND '9999-12-31'::date")),
        Scalar::Enum(id) => {
            let names: Vec<String> =
                model.enum_type(id).values.iter().map(|(name, _)| string_literal(name)).collect();
            Some(format!("{value} IN ({})", names.join(", ")))
        }
        Scalar::Json => return None,
    };
    Some(condition.map(|condition| format!("({condition}) IS NOT FALSE")))
}
