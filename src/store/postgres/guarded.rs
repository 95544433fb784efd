//! The statements of a flight that is a whole mutation. Each checks its own effect, and fails if
//! that is not as expected, so that the whole flight has no effect. Then separate statements, which
//! may take their time, find out the reason.
//!
//! If a mutation of a single field finds nothing to do, it does not fail, since every failure is a
//! line in the server's log: its statement returns 0. `pg_current_xact_id_if_assigned()` shows that
//! nothing at all was written, not even by a trigger: a transaction that writes or locks a row gets
//! a number.
//!
//! A statement that compares a version or returns the row itself also relies on the known state of
//! its table (`feed/tables.rs`). One of its parameters says when it was analysed while the table
//! was in that state; if it has been analysed again since, it changes nothing.

use super::dialect::Postgres;
use crate::model::{Column, ColumnId, Entity, Model, Scalar};
use crate::store::render;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, VERSION_COLUMN};
use crate::store::select::Shape;
use crate::store::statement::Statement;

/// When the statement was analysed.
const ANALYSED: &str = "'now'::timestamptz";

/// For the server's log, if a row cannot be shown.
const UNSOUND: &str = "'freshql: a row cannot be shown as a mutation would leave it; the mutation is rolled back \
                       and run step by step instead, by ' || pg_backend_pid()";

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum Guarded {
    /// Sets these columns of a new row.
    Insert(Vec<ColumnId>),
    /// Sets these columns of a row; at one version only, or at any.
    Update(Vec<ColumnId>, bool),
    /// Updates, and returns these columns of the resulting row.
    Whole(Vec<ColumnId>, bool, Vec<ColumnId>),
    /// Locks a row that is to be deleted; at one version only, or at any.
    Lock(bool),
    /// Deletes it.
    Delete,
    /// Checks that it is gone.
    Gone,
}

/// A statement, and which additional parameters follow its own, in this order.
#[derive(Debug)]
pub(in crate::store) struct GuardedStatement {
    pub(super) statement: Statement,
    /// Following the database's epoch and history: whether it may find nothing to do. It returns 1,
    /// or 0 if it has found nothing to do.
    pub(super) may_be_nothing: bool,
    /// When it was analysed while the table was in the known state; NULL: this does not matter.
    /// After its verdict, it returns when it was analysed.
    pub(super) analysed: bool,
    /// The key as the log has it.
    pub(super) key: bool,
    /// The maximum number of bytes in the row's strings. It returns the row, after everything else.
    pub(super) most_bytes: bool,
}

/// Whether a statement relies on the known state of its table.
pub(super) fn rests_on_table(guarded: &Guarded) -> bool {
    match guarded {
        Guarded::Update(_, is_versioned) | Guarded::Lock(is_versioned) => *is_versioned,
        Guarded::Whole(..) => true,
        Guarded::Insert(_) | Guarded::Delete | Guarded::Gone => false,
    }
}

/// The numbers of the parameters that follow a statement's own.
struct Numbers {
    epoch: usize,
    history: usize,
    may_be_nothing: usize,
    analysed: usize,
    key: usize,
}

impl Numbers {
    /// Whether the database and its schema are those that the mutation was planned for.
    fn is_same(&self) -> String {
        format!(
            "(SELECT value FROM _freshql_meta WHERE key = 'epoch') = ${}::text \
             AND coalesce((SELECT value FROM _freshql_meta WHERE key = 'history'), '') = ${}::text",
            self.epoch, self.history
        )
    }

    /// 1 if the condition holds; otherwise 0 if that is allowed and nothing was written, or a
    /// failure.
    fn verdict(&self, holds: &str) -> String {
        format!(
            "CASE WHEN {holds} THEN 1 WHEN ${}::boolean AND pg_current_xact_id_if_assigned() IS NULL THEN 0 \
             ELSE ('freshql: a row is not as a mutation expects it; the mutation is rolled back \
             and run step by step instead, by ' || \
             pg_backend_pid())::int END",
            self.may_be_nothing
        )
    }
}

/// The statement. `watch`: a condition with which it notices that the table was altered. None: SQL
/// cannot check whether the row can be shown.
pub(super) fn statement(
    model: &Model,
    entity: &Entity,
    guarded: &Guarded,
    watch: Option<&str>,
) -> Option<GuardedStatement> {
    let base = match guarded {
        Guarded::Insert(columns) => render::insert(model, &Postgres, entity, columns),
        Guarded::Update(columns, is_versioned) | Guarded::Whole(columns, is_versioned, _) => {
            render::update(model, &Postgres, entity, columns, *is_versioned)
        }
        Guarded::Lock(is_versioned) => render::delete(model, &Postgres, entity, *is_versioned),
        Guarded::Delete | Guarded::Gone => render::delete(model, &Postgres, entity, false),
    };
    let own = base.parameters.len();
    let watch = watch.filter(|_| rests_on_table(guarded));
    let is_whole = matches!(guarded, Guarded::Whole(..));
    let behind = own + 3 + usize::from(!is_whole);
    let numbers = Numbers {
        epoch: own + 1,
        history: own + 2,
        may_be_nothing: own + 3,
        analysed: behind,
        key: behind,
    };
    let (known, analysed) = match watch {
        Some(watch) => {
            let number = numbers.analysed;
            let known =
                format!(" AND coalesce(${number}::timestamptz = {ANALYSED}, true) AND {watch}");
            (known, format!(", {ANALYSED}"))
        }
        None => (String::new(), String::new()),
    };
    let (text, same) = (&base.sql, numbers.is_same());
    // The same rows, to check them.
    let rows = text.strip_prefix("DELETE FROM").unwrap_or_default();
    let sql = match guarded {
        Guarded::Insert(_) => {
            // The row has the given key, and a current version.
            let verdict = numbers.verdict(&format!(
                "count(*) FILTER (WHERE \"w\".\"k\"::text = ${}::text AND \"w\".\"v\" >= \
                 (date_part('epoch', statement_timestamp()) * 1000000)::bigint) = 1 AND {same}",
                numbers.key
            ));
            format!(
                "WITH \"w\"(\"k\", \"v\") AS ({text}, \"{VERSION_COLUMN}\") SELECT {verdict} FROM \"w\""
            )
        }
        Guarded::Update(..) => {
            let verdict = numbers.verdict(&format!("count(*) = 1 AND {same}"));
            format!(
                "WITH \"w\" AS ({text}{known} RETURNING 1) SELECT {verdict}{analysed} FROM \"w\""
            )
        }
        Guarded::Whole(_, _, columns) => {
            let names: Vec<(ColumnId, String)> = std::iter::once(&entity.key)
                .chain(columns)
                .map(|id| (*id, SqlName::new(&entity.column(*id).name).to_string()))
                .collect();
            let is_sound = is_sound(model, entity, &names, behind + usize::from(watch.is_some()))?;
            let others: String = names[1..].iter().map(|(_, name)| format!(", {name}")).collect();
            format!(
                "{text}{known} AND {same} RETURNING CASE WHEN {is_sound} THEN 1 ELSE ({UNSOUND})::int END{analysed}, \
                 {}, \"{VERSION_COLUMN}\"{others}",
                names[0].1
            )
        }
        Guarded::Lock(_) => {
            let verdict = numbers.verdict(&format!("count(*) = 1 AND {same}"));
            format!(
                "SELECT {verdict}{analysed} FROM (SELECT 1 FROM{rows}{known} FOR UPDATE) AS \"w\""
            )
        }
        // A row that was not locked is not deleted, either.
        Guarded::Delete => {
            let verdict = numbers.verdict(&format!("count(*) = 1 AND {same}"));
            format!(
                "WITH \"w\" AS ({text} AND pg_current_xact_id_if_assigned() IS NOT NULL RETURNING 1) \
                 SELECT {verdict} FROM \"w\""
            )
        }
        Guarded::Gone => {
            let is_gone = format!(
                "NOT EXISTS (SELECT 1 FROM{rows}) AND EXISTS (SELECT 1 FROM _freshql_change WHERE xid = \
                 pg_current_xact_id_if_assigned() AND entity = {} AND id = ${}::text AND op = 'D') AND {same}",
                string_literal(&entity.name),
                numbers.key
            );
            format!("SELECT {}", numbers.verdict(&is_gone))
        }
    };
    Some(GuardedStatement {
        statement: Statement { sql: sql.into(), ..base },
        may_be_nothing: !is_whole,
        analysed: watch.is_some(),
        key: matches!(guarded, Guarded::Insert(_) | Guarded::Gone),
        most_bytes: is_whole,
    })
}

/// The condition that a row can be shown, with at most as many bytes as this parameter says; from
/// the expressions of its columns, key first. None: SQL cannot check that.
fn is_sound(
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
pub(super) fn sound(model: &Model, shape: &Shape) -> Option<Statement> {
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
