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
//! was in that state; if it has been analysed again since, it changes nothing. So the statement that
//! is a whole mutation ([`Guarded::Whole`]) need not look up the database's epoch and history, if it
//! names what renews them; they were compared when the connection ran it first.

mod rules;
mod sound;

use std::sync::Arc;

pub(in crate::store) use rules::Required;
pub(super) use rules::{after, before};
pub(super) use sound::sound;
use sound::{UNSOUND, is_sound};

use super::dialect::Postgres;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{ColumnId, Entity, Model};
use crate::store::render;
use crate::store::schema::layout::SqlName;
use crate::store::schema::layout::name::string_literal;
use crate::store::statement::{Parameter, Statement};

/// When the statement was analysed.
const ANALYSED: &str = "'now'::timestamptz";

/// For the server's log, if anything is not as expected.
const UNEXPECTED: &str = "'freshql: a row is not as a mutation expects it; the mutation is rolled back \
                          and run step by step instead, by ' || pg_backend_pid()";

/// The condition that a transaction has locked or written something.
const LOCKED: &str = " AND pg_current_xact_id_if_assigned() IS NOT NULL";

/// What a statement does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::store) enum Guarded {
    /// Fails if the database or its schema is another than the mutation was planned for.
    Same,
    /// Sets these columns of a new row.
    Insert(Vec<ColumnId>),
    /// Sets these columns of a new row to which the database gives a key; returns the key, or the
    /// row with these columns.
    New(Vec<ColumnId>, Option<Vec<ColumnId>>),
    /// Sets these columns of a row; at one version only, or at any.
    Update(Vec<ColumnId>, bool),
    /// Sets these columns of a row that is locked.
    UpdateLocked(Vec<ColumnId>),
    /// Updates, and returns these columns of the resulting row.
    Whole(Vec<ColumnId>, bool, Vec<ColumnId>),
    /// Locks a row that is to be changed, at these versions, if this holds. A row that had to be
    /// waited for may have changed meanwhile, so the condition must be checked again.
    Lock(At, Required),
    /// Checks what must hold before the change of a row.
    Before(Required),
    /// Checks what must hold before a row is created.
    BeforeNew(Required),
    /// Checks what must hold after it.
    After(Required),
    /// Deletes it.
    Delete,
    /// Checks that it is gone.
    Gone,
}

/// How a statement notices that its table was altered.
#[derive(Debug, Clone)]
pub(in crate::store) struct TableWatch {
    /// A condition that is always true. It names everything that the versions of the table's rows
    /// rely on, and whatever else a check names.
    pub(in crate::store) condition: Arc<str>,
    /// Whether what renews the state of the schema makes PostgreSQL analyse the statement again.
    /// Little is left that does not, such as editing `_freshql_meta` by hand or adding a function to
    /// ours. It changes no row; until the next check, answers have tokens that it will refuse.
    pub(in crate::store) names_identity: bool,
}

/// At which versions a row is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::store) enum At {
    Any,
    One,
    Several,
}

/// A statement, and which additional parameters follow its own, in this order.
#[derive(Debug)]
pub(in crate::store) struct GuardedStatement {
    pub(super) statement: Statement,
    /// The database's epoch and history.
    pub(super) identity: bool,
    /// Whether it may find nothing to do. It returns 1, or 0 if it has found nothing to do.
    pub(super) may_be_nothing: bool,
    /// When it was analysed while the table was in the known state; NULL: this does not matter.
    /// After its verdict, it returns when it was analysed.
    pub(super) analysed: bool,
    /// The key as the log has it.
    pub(super) key: bool,
    /// The versions that the row may have.
    pub(super) versions: bool,
    /// The values of what rules require.
    pub(super) rules: Box<[Parameter]>,
    /// The maximum number of bytes in the row's strings. It returns the row, after everything else.
    pub(super) most_bytes: bool,
}

/// Whether a statement compares a version.
pub(super) fn compares_version(guarded: &Guarded) -> bool {
    match guarded {
        Guarded::Update(_, is_versioned) | Guarded::Whole(_, is_versioned, _) => *is_versioned,
        Guarded::Lock(at, _) => *at != At::Any,
        _ => false,
    }
}

/// Whether a statement relies on the known state of its table.
pub(super) fn rests_on_table(guarded: &Guarded) -> bool {
    match guarded {
        Guarded::Update(_, is_versioned) => *is_versioned,
        Guarded::Lock(at, _) => *at != At::Any,
        Guarded::Whole(..) => true,
        Guarded::New(_, returned) => returned.is_some(),
        Guarded::Same
        | Guarded::Insert(_)
        | Guarded::UpdateLocked(_)
        | Guarded::Before(_)
        | Guarded::BeforeNew(_)
        | Guarded::After(_)
        | Guarded::Delete
        | Guarded::Gone => false,
    }
}

/// The numbers of the parameters that follow a statement's own.
struct Numbers {
    epoch: usize,
    history: usize,
    may_be_nothing: Option<usize>,
    analysed: usize,
    key: usize,
    versions: usize,
    /// Of rules, these and the next ones.
    rules: usize,
}

impl Numbers {
    fn new(own: usize, guarded: &Guarded, is_watched: bool, has_identity: bool) -> Self {
        let always = matches!(
            guarded,
            Guarded::Same | Guarded::Whole(..) | Guarded::New(_, None) | Guarded::BeforeNew(_)
        );
        let before = own + if has_identity { 2 } else { 0 };
        let analysed = before + 1 + usize::from(!always);
        let key = analysed + usize::from(is_watched);
        let versions = key + usize::from(has_key(guarded));
        Self {
            epoch: own + 1,
            history: own + 2,
            may_be_nothing: (!always).then_some(before + 1),
            analysed,
            key,
            versions,
            rules: versions + usize::from(matches!(guarded, Guarded::Lock(At::Several, _))),
        }
    }

    /// Whether the database and its schema are those that the mutation was planned for.
    fn is_same(&self) -> String {
        format!(
            "(SELECT value FROM _freshql_meta WHERE key = 'epoch') = ${}::text \
             AND coalesce((SELECT value FROM _freshql_meta WHERE key = 'history'), '') = ${}::text",
            self.epoch, self.history
        )
    }

    /// With what a statement notices that its table was altered, and returns when it was analysed.
    fn notices(&self, watch: Option<&str>) -> (String, String) {
        let Some(watch) = watch else { return (String::new(), String::new()) };
        let number = self.analysed;
        let known = format!(" AND coalesce(${number}::timestamptz = {ANALYSED}, true) AND {watch}");
        (known, format!(", {ANALYSED}"))
    }

    /// 1 if the condition holds; otherwise 0 if that is allowed and nothing was written, or a
    /// failure.
    fn verdict(&self, holds: &str) -> String {
        let nothing = self.may_be_nothing.map(|number| {
            format!(" WHEN ${number}::boolean AND pg_current_xact_id_if_assigned() IS NULL THEN 0")
        });
        format!(
            "CASE WHEN {holds} THEN 1{} ELSE ({UNEXPECTED})::int END",
            nothing.unwrap_or_default()
        )
    }
}

fn has_key(guarded: &Guarded) -> bool {
    matches!(guarded, Guarded::Insert(_) | Guarded::Gone)
}

/// The statement without its conditions.
fn base(model: &Model, entity: &Entity, guarded: &Guarded) -> Statement {
    match guarded {
        Guarded::Insert(columns) | Guarded::New(columns, _) => {
            render::insert(model, &Postgres, entity, columns)
        }
        Guarded::Update(columns, is_versioned) | Guarded::Whole(columns, is_versioned, _) => {
            render::update(model, &Postgres, entity, columns, *is_versioned)
        }
        Guarded::UpdateLocked(columns) => render::update(model, &Postgres, entity, columns, false),
        Guarded::Lock(at, _) => render::delete(model, &Postgres, entity, *at == At::One),
        Guarded::Delete | Guarded::Gone => render::delete(model, &Postgres, entity, false),
        Guarded::Same | Guarded::Before(_) | Guarded::BeforeNew(_) | Guarded::After(_) => {
            Statement { sql: "".into(), parameters: Box::default(), columns: Box::default() }
        }
    }
}

/// Whether a statement with this watch does not look up which database this is.
pub(super) fn omits_identity(guarded: &Guarded, watch: Option<&TableWatch>) -> bool {
    matches!(guarded, Guarded::Whole(..)) && watch.is_some_and(|watch| watch.names_identity)
}

/// The statement. `watch`: how it notices that its table was altered. None: SQL cannot check whether
/// the row can be shown.
pub(super) fn statement(
    model: &Model,
    entity: &Entity,
    guarded: &Guarded,
    watch: Option<&TableWatch>,
) -> Option<GuardedStatement> {
    let base = base(model, entity, guarded);
    let watch = watch.filter(|_| rests_on_table(guarded));
    let has_identity = !omits_identity(guarded, watch);
    let watch = watch.map(|watch| &*watch.condition);
    let numbers = Numbers::new(base.parameters.len(), guarded, watch.is_some(), has_identity);
    let (known, analysed) = numbers.notices(watch);
    let (text, same) = (&base.sql, numbers.is_same());
    // The same rows, to check them.
    let rows = text.strip_prefix("DELETE FROM").unwrap_or_default();
    let one = numbers.verdict(&format!("count(*) = 1 AND {same}"));
    let is_new = |version: &str| {
        format!("{version} >= (date_part('epoch', statement_timestamp()) * 1000000)::bigint")
    };
    let returned = |columns: &[ColumnId], holds: &str| -> Option<String> {
        let names = names(entity, columns);
        let is_sound = is_sound(model, entity, &names, numbers.rules)?;
        let others: String = names[1..].iter().map(|(_, name)| format!(", {name}")).collect();
        Some(format!(
            "RETURNING CASE WHEN {holds}{is_sound} THEN 1 ELSE ({UNSOUND})::int END{analysed}, {}, \"{VERSION_COLUMN}\"{others}",
            names[0].1
        ))
    };
    let mut rules = Box::default();
    let sql = match guarded {
        Guarded::Same => format!("SELECT {}", numbers.verdict(&same)),
        Guarded::Insert(_) => {
            // The row has the given key, and a current version.
            let verdict = numbers.verdict(&format!(
                "count(*) FILTER (WHERE \"w\".\"k\"::text = ${}::text AND {}) = 1 AND {same}",
                numbers.key,
                is_new("\"w\".\"v\"")
            ));
            format!(
                "WITH \"w\"(\"k\", \"v\") AS ({text}, \"{VERSION_COLUMN}\") SELECT {verdict} FROM \"w\""
            )
        }
        Guarded::New(_, read) => {
            let is_new = is_new(&format!("\"{VERSION_COLUMN}\""));
            let returned = match read {
                Some(columns) => Some(returned(columns, &format!("{is_new} AND "))?),
                None => None,
            };
            let verdict = |holds: &str| numbers.verdict(&format!("{holds}{same}{known}"));
            new_row(text, returned, &is_new, verdict)?
        }
        Guarded::Update(..) => {
            format!("WITH \"w\" AS ({text}{known} RETURNING 1) SELECT {one}{analysed} FROM \"w\"")
        }
        Guarded::Whole(_, _, columns) => {
            let same = if has_identity { format!(" AND {same}") } else { String::new() };
            format!("{text}{known}{same} {}", returned(columns, "")?)
        }
        Guarded::Lock(at, required) => {
            let several = match at {
                At::Several => {
                    format!(" AND \"{VERSION_COLUMN}\" = ANY (${}::bigint[])", numbers.versions)
                }
                At::Any | At::One => String::new(),
            };
            let conditions = required.conditions(model, numbers.rules - 1);
            let holds = match required.is_empty() {
                true => String::new(),
                false => format!(" AND {}", conditions.holds()),
            };
            rules = conditions.parameters;
            format!(
                "SELECT {one}{analysed} FROM (SELECT 1 FROM{rows}{several}{known}{holds} FOR UPDATE) AS \"w\""
            )
        }
        Guarded::Before(required) | Guarded::BeforeNew(required) | Guarded::After(required) => {
            let conditions = required.conditions(model, numbers.rules - 1);
            let verdict = |holds: &str| numbers.verdict(&format!("{holds} AND {same}"));
            let sql = match guarded {
                Guarded::After(_) => conditions.after(verdict),
                _ => conditions.before(verdict),
            };
            rules = conditions.parameters;
            sql
        }
        // A row that was not locked is not changed, either.
        Guarded::UpdateLocked(_) | Guarded::Delete => {
            format!("WITH \"w\" AS ({text}{LOCKED} RETURNING 1) SELECT {one} FROM \"w\"")
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
        identity: has_identity,
        may_be_nothing: numbers.may_be_nothing.is_some(),
        analysed: watch.is_some(),
        key: has_key(guarded),
        versions: matches!(guarded, Guarded::Lock(At::Several, _)),
        rules,
        most_bytes: matches!(guarded, Guarded::Whole(..) | Guarded::New(_, Some(_))),
    })
}

/// Creates a row to which the database gives a key, and returns what of it is `returned`, or else
/// its key.
fn new_row(
    insert: &str,
    returned: Option<String>,
    is_new: &str,
    verdict: impl Fn(&str) -> String,
) -> Option<String> {
    let (insert, key) = insert.rsplit_once(" RETURNING ")?;
    let Some(returned) = returned else {
        return Some(format!("{insert} RETURNING {}, {key}", verdict(&format!("{is_new} AND "))));
    };
    // Only a SELECT can create nothing.
    let (insert, values) = insert.split_once(" VALUES (")?;
    let values = values.strip_suffix(')')?;
    Some(format!("{insert} SELECT {values} WHERE ({}) = 1 {returned}", verdict("")))
}

/// A row's key and these columns, with their expressions.
fn names(entity: &Entity, columns: &[ColumnId]) -> Vec<(ColumnId, String)> {
    std::iter::once(&entity.key)
        .chain(columns)
        .map(|id| (*id, SqlName::new(&entity.column(*id).name).to_string()))
        .collect()
}
