//! Whether a row can be shown as an answer needs it, as a condition in SQL.

use crate::model::{Column, ColumnId, Entity, Model, Scalar};
use crate::store::postgres::dialect::Postgres;
use crate::store::render;
use crate::store::schema::layout::name::string_literal;
use crate::store::select::Shape;
use crate::store::statement::Statement;

/// For the server's log, if a row cannot be shown.
pub(super) const UNSOUND: &str = "'freshql: a row cannot be shown as a mutation would leave it; the mutation is rolled back \
                       and run step by step instead, by ' || pg_backend_pid()";

/// The condition that a row can be shown, with at most as many bytes as this parameter says; from
/// the expressions of its columns, key first. None: SQL cannot check that.
pub(super) fn is_sound(
    model: &Model,
    entity: &Entity,
    columns: &[(ColumnId, String)],
    most: usize,
) -> Option<String> {
    if !entity.managed {
        return None;
    }
    let mut conditions = Vec::new();
    let mut lengths = vec!["0".to_owned()];
    for (id, value) in columns {
        let column = entity.column(*id);
        if column.sql_type.is_some() {
            return None;
        }
        if !column.nullable {
            conditions.push(format!("{value} IS NOT NULL"));
        }
        if matches!(column.scalar, Scalar::String | Scalar::IdText) {
            lengths.push(format!("coalesce(octet_length({value}), 0)"));
        }
        conditions.extend(holds(model, column, value)?);
    }
    conditions.push(format!("{} <= ${most}::bigint", lengths.join(" + ")));
    Some(conditions.join(" AND "))
}

/// A variant of the query that fails if its rows cannot be shown: if a row selected by its key is
/// missing, a value is not valid for its type (somebody has relaxed a column), or a row's strings
/// have more bytes than the last parameter says. None: SQL cannot check that.
pub(in crate::store::postgres) fn sound(model: &Model, shape: &Shape) -> Option<Statement> {
    let base = render::query(model, &Postgres, shape);
    let (entity, columns) = match shape {
        Shape::Row { from, columns, .. } => (model.entity(from.entity()), columns),
        Shape::Page { list, columns } => (model.entity(list.from.entity()), columns),
        Shape::Count(_) | Shape::AnyUpToAfter(_) | Shape::AnyFromBefore(_) => return Some(base),
    };
    let names: Vec<String> = (0..columns.len() + 2).map(|at| format!("\"c{at}\"")).collect();
    // The version follows the key.
    let shown: Vec<(ColumnId, String)> = std::iter::once(&entity.key)
        .chain(columns)
        .zip(names[..1].iter().chain(&names[2..]))
        .map(|(id, name)| (*id, format!("\"q\".{name}")))
        .collect();
    let is_sound = is_sound(model, entity, &shown, base.parameters.len() + 1)?;
    let names = names.join(", ");
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
        "SELECT \"q\".* FROM {row} WHERE CASE WHEN \"q\".\"c0\" IS NOT NULL AND \"q\".\"c1\" IS NOT NULL AND {is_sound} \
         THEN true WHEN pg_current_xact_id_if_assigned() IS NULL THEN true ELSE ({UNSOUND})::boolean END"
    );
    Some(Statement { sql: sql.into(), ..base })
}

/// The condition, in addition to the column's type, that a value of a managed column is valid for
/// its scalar; None: SQL cannot check that.
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
