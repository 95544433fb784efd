//! Reading, as SQL: shapes of lists and look-ups to statement text. A shape names its parameters by slot and never holds
//! a value, so equal shapes share one text and one prepared statement. What a filter means is decided here; where its
//! values come from is not known here.

use std::sync::Arc;

use sea_orm::sea_query::{
    Alias, Asterisk, Expr, ExprTrait, Func, IntoColumnRef, IntoIden, NullOrdering, Order as Direction, Query,
    SelectStatement, SqliteQueryBuilder, Value as SeaValue,
};

use super::sqlite::triggers::version_expression;
use crate::model::{ColumnId, Entity, EntityId, Model, Order};

/// Names one parameter of a statement. Slot 0 of a relation's list is the parent's key.
pub type Slot = u16;

/// The column that every table has beside the model's.
pub const VERSION_COLUMN: &str = "_version";

/// A SQL function of ours, [`fold`]: SQLite's `lower` only knows ASCII.
pub const FOLD_FUNCTION: &str = "_freshql_fold";

/// A text without regard to case. Character by character, so that a part of a text folds as it does within the whole:
/// `str::to_lowercase` writes a Greek sigma at the end of a word in another way than within it.
pub fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect()
}

/// Statement text, and for each of its parameters in turn the slot that it takes its value from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// With `?` for parameters.
    pub sql: Arc<str>,
    /// One for each `?`.
    pub slots: Box<[Slot]>,
}

/// How a column is compared with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Different; NULL is different from every value.
    Neq,
    /// Less.
    Lt,
    /// Less or equal.
    Lte,
    /// Greater.
    Gt,
    /// Greater or equal.
    Gte,
}

/// How a text is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// Anywhere.
    Contains,
    /// At the start. The second slot is the smallest text greater than all that start so, if there is one.
    StartsWith(Option<Slot>),
    /// At the end.
    EndsWith,
}

/// Which of the rows on the other side must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// One or more.
    Some,
    /// Each (true for none at all).
    Every,
    /// None.
    None,
}

/// A condition on a row. Two-valued: a comparison with NULL is false, and `Not` turns false into true.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Filter {
    /// All of them; never empty.
    And(Vec<Filter>),
    /// Any of them; never empty.
    Or(Vec<Filter>),
    /// Not this.
    Not(Box<Filter>),
    /// A column and a value. `fold`: without regard to case; the value in the slot is folded already.
    Compare {
        /// Left side.
        column: ColumnId,
        /// How.
        comparison: Comparison,
        /// Right side.
        slot: Slot,
        /// Fold the column's case.
        fold: bool,
    },
    /// A column is NULL, or is not.
    IsNull(ColumnId, bool),
    /// A column is one of the values of a JSON array.
    In {
        /// The column.
        column: ColumnId,
        /// Holds the JSON array.
        slot: Slot,
        /// Is none of them (true for NULL).
        negated: bool,
        /// Fold the column's case.
        fold: bool,
    },
    /// A search in text, never for the empty text.
    Text {
        /// The column.
        column: ColumnId,
        /// Where.
        search: TextMatch,
        /// The text.
        slot: Slot,
        /// Fold the column's case.
        fold: bool,
    },
    /// The row that a foreign key points to exists and matches.
    ToOne(ColumnId, Box<Filter>),
    /// The rows of an entity whose column points here.
    ToMany(EntityId, ColumnId, Quantifier, Box<Filter>),
}

/// A place in an ordering: for each term its slot, or None for NULL.
pub type Bound = Vec<Option<Slot>>;

/// The shape of a list: everything that its statement's text depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct List {
    /// Whose rows.
    pub entity: EntityId,
    /// Only those whose column has the value in slot 0.
    pub cut: Option<ColumnId>,
    /// Only those that match.
    pub filter: Option<Filter>,
    /// Ends with the key.
    pub order: Vec<(ColumnId, Order)>,
    /// Only those behind.
    pub after: Option<Bound>,
    /// Only those in front.
    pub before: Option<Bound>,
    /// From the end; the rows come in reverse.
    pub backward: bool,
    /// How many.
    pub limit: Slot,
}

/// The rows of a page: key, version, then `columns`.
pub fn page(model: &Model, list: &List, columns: &[ColumnId]) -> Statement {
    let entity = model.entity(list.entity);
    let mut select = rows(entity, columns);
    restrict(model, list, &mut select);
    for (bound, reverse) in [(&list.after, false), (&list.before, true)] {
        if let Some(bound) = bound {
            select.and_where(beyond(entity, &list.order, bound, reverse, false));
        }
    }
    for (column, order) in &list.order {
        let descending = order.descending != list.backward;
        let direction = if descending { Direction::Desc } else { Direction::Asc };
        if entity.column(*column).nullable {
            let nulls_first = order.nulls_first != list.backward;
            let nulls = if nulls_first { NullOrdering::First } else { NullOrdering::Last };
            select.order_by_with_nulls(column_ref(entity, *column, ROOT), direction, nulls);
        } else {
            select.order_by(column_ref(entity, *column, ROOT), direction);
        }
    }
    select.limit(u64::from(list.limit));
    finish(&select)
}

/// How many rows the list has, on all its pages.
pub fn count(model: &Model, list: &List) -> Statement {
    let mut select = Query::select();
    select
        .expr(Func::count(Expr::col(Asterisk)))
        .from_as(Alias::new(&model.entity(list.entity).table), Alias::new(ROOT));
    restrict(model, list, &mut select);
    finish(&select)
}

/// Whether the list has a row at `after` or in front of it.
pub fn any_up_to(model: &Model, list: &List, after: &Bound) -> Statement {
    any(model, list, after, true)
}

/// Whether the list has a row at `before` or behind it.
pub fn any_from(model: &Model, list: &List, before: &Bound) -> Statement {
    any(model, list, before, false)
}

fn any(model: &Model, list: &List, bound: &Bound, reverse: bool) -> Statement {
    let entity = model.entity(list.entity);
    let mut select = Query::select();
    select.expr(Expr::cust("1")).from_as(Alias::new(&entity.table), Alias::new(ROOT));
    restrict(model, list, &mut select);
    select.and_where(beyond(entity, &list.order, bound, reverse, true));
    let mut exists = Query::select();
    exists.expr(Expr::exists(select));
    finish(&exists)
}

/// The row whose `keys` have the values of slots 0, 1, …: key, version, then `columns`.
pub fn by_columns(entity: &Entity, keys: &[ColumnId], columns: &[ColumnId]) -> Statement {
    let mut select = rows(entity, columns);
    for (slot, key) in keys.iter().enumerate() {
        select.and_where(column(entity, *key, ROOT).eq(parameter(slot as Slot)));
    }
    finish(&select)
}

/// The alias of the outermost table.
const ROOT: &str = "t";

fn rows(entity: &Entity, columns: &[ColumnId]) -> SelectStatement {
    let mut select = Query::select();
    select.column(column_ref(entity, entity.key, ROOT));
    if entity.managed {
        select.column((Alias::new(ROOT), Alias::new(VERSION_COLUMN)));
    } else {
        select.expr(Expr::cust(version_expression(&entity.name, ROOT, &entity.column(entity.key).name)));
    }
    for id in columns {
        select.column(column_ref(entity, *id, ROOT));
    }
    select.from_as(Alias::new(&entity.table), Alias::new(ROOT));
    select
}

fn restrict(model: &Model, list: &List, select: &mut SelectStatement) {
    let entity = model.entity(list.entity);
    if let Some(cut) = list.cut {
        select.and_where(column(entity, cut, ROOT).eq(parameter(0)));
    }
    if let Some(filter) = &list.filter {
        select.and_where(condition(model, entity, filter, ROOT, 0));
    }
}

fn condition(model: &Model, entity: &Entity, filter: &Filter, alias: &str, depth: usize) -> Expr {
    let all = |filters: &[Filter], join: fn(Expr, Expr) -> Expr| {
        let conditions = filters.iter().map(|f| condition(model, entity, f, alias, depth));
        conditions.reduce(join).expect("a conjunction or disjunction is never empty")
    };
    match filter {
        Filter::And(filters) => all(filters, |a, b| a.and(b)),
        Filter::Or(filters) => all(filters, |a, b| a.or(b)),
        Filter::Not(inner) => untrue(condition(model, entity, inner, alias, depth)),
        Filter::IsNull(id, true) => column(entity, *id, alias).is_null(),
        Filter::IsNull(id, false) => column(entity, *id, alias).is_not_null(),
        Filter::Compare { column: id, comparison, slot, fold } => {
            let left = folded(column(entity, *id, alias), *fold);
            let right = parameter(*slot);
            match comparison {
                Comparison::Eq => left.eq(right),
                Comparison::Neq if entity.column(*id).nullable => untrue(left.eq(right)),
                Comparison::Neq => left.ne(right),
                Comparison::Lt => left.lt(right),
                Comparison::Lte => left.lte(right),
                Comparison::Gt => left.gt(right),
                Comparison::Gte => left.gte(right),
            }
        }
        Filter::In { column: id, slot, negated, fold } => {
            let mut values = Query::select();
            values
                .column(Alias::new("value"))
                .from_function(Func::cust(Alias::new("json_each")).arg(parameter(*slot)), Alias::new("v"));
            let within = folded(column(entity, *id, alias), *fold).in_subquery(values);
            if *negated { untrue(within) } else { within }
        }
        Filter::Text { column: id, search, slot, fold } => {
            let text = folded(column(entity, *id, alias), *fold);
            match search {
                TextMatch::Contains => call("instr", [text, parameter(*slot)]).gt(Expr::cust("0")),
                TextMatch::StartsWith(None) => text.gte(parameter(*slot)),
                TextMatch::StartsWith(Some(end)) => text.clone().gte(parameter(*slot)).and(text.lt(parameter(*end))),
                TextMatch::EndsWith => {
                    let length = call("length", [parameter(*slot)]);
                    call("substr", [text, Expr::cust("0").sub(length)]).eq(parameter(*slot))
                }
            }
        }
        Filter::ToOne(id, inner) => {
            let reference = entity.column(*id).references.as_ref().expect("a to-one filter stands on a foreign key");
            let target = model.entity(reference.target);
            let inner_alias = format!("{ROOT}{}", depth + 1);
            let link = column(target, target.key, &inner_alias).eq(column(entity, *id, alias));
            Expr::exists(related(
                target,
                &inner_alias,
                link.and(condition(model, target, inner, &inner_alias, depth + 1)),
            ))
        }
        Filter::ToMany(target, id, quantifier, inner) => {
            let target = model.entity(*target);
            let inner_alias = format!("{ROOT}{}", depth + 1);
            let link = column(target, *id, &inner_alias).eq(column(entity, entity.key, alias));
            let matches = condition(model, target, inner, &inner_alias, depth + 1);
            let found = |c: Expr| related(target, &inner_alias, link.clone().and(c));
            match quantifier {
                Quantifier::Some => Expr::exists(found(matches)),
                Quantifier::None => Expr::not_exists(found(matches)),
                Quantifier::Every => Expr::not_exists(found(untrue(matches))),
            }
        }
    }
}

fn related(target: &Entity, alias: &str, on: Expr) -> SelectStatement {
    let mut select = Query::select();
    select.expr(Expr::cust("1")).from_as(Alias::new(&target.table), Alias::new(alias)).and_where(on);
    select
}

/// False or NULL. Not `IS NOT TRUE`: where a column is called `true`, SQLite takes the word for the column.
fn untrue(condition: Expr) -> Expr {
    condition.is_not(Expr::cust("1"))
}

fn folded(text: Expr, fold: bool) -> Expr {
    if fold { call(FOLD_FUNCTION, [text]) } else { text }
}

fn call<const N: usize>(name: &'static str, arguments: [Expr; N]) -> Expr {
    Func::cust(Alias::new(name)).args(arguments).into()
}

/// The rows that stand behind `bound` in this ordering (`reverse`: in front of it), that row itself too if `inclusive`.
/// Lexicographic: equal in the first terms and beyond in the next.
fn beyond(entity: &Entity, order: &[(ColumnId, Order)], bound: &Bound, reverse: bool, inclusive: bool) -> Expr {
    let term = |i: usize| column(entity, order[i].0, ROOT);
    let nullable = |i: usize| entity.column(order[i].0).nullable;
    let ascending = |i: usize| order[i].1.descending == reverse;
    let compare = |left: Expr, ascending: bool, or_equal: bool, right: Expr| match (ascending, or_equal) {
        (true, false) => left.gt(right),
        (true, true) => left.gte(right),
        (false, false) => left.lt(right),
        (false, true) => left.lte(right),
    };
    let uniform = (0..order.len()).all(|i| !nullable(i) && ascending(i) == ascending(0));
    if uniform {
        let values: Vec<Expr> =
            bound.iter().map(|slot| parameter(slot.expect("a column without NULLs has no NULL"))).collect();
        if values.len() == 1 {
            return compare(term(0), ascending(0), inclusive, parameter(bound[0].expect("as above")));
        }
        let terms: Vec<Expr> = (0..order.len()).map(term).collect();
        return compare(Expr::tuple(terms), ascending(0), inclusive, Expr::tuple(values));
    }
    let strictly = |i: usize| -> Option<Expr> {
        let nulls_behind = order[i].1.nulls_first == reverse;
        match bound[i] {
            Some(slot) => {
                let behind = compare(term(i), ascending(i), false, parameter(slot));
                Some(if nullable(i) && nulls_behind { behind.or(term(i).is_null()) } else { behind })
            }
            None if nulls_behind => None,
            None => Some(term(i).is_not_null()),
        }
    };
    let equal = |i: usize| match bound[i] {
        Some(slot) => term(i).eq(parameter(slot)),
        None => term(i).is_null(),
    };
    let mut alternatives = Vec::new();
    for i in 0..order.len() {
        if let Some(behind) = strictly(i) {
            alternatives.push((0..i).map(equal).chain([behind]).reduce(|a, b| a.and(b)).expect("one term at least"));
        }
    }
    if inclusive {
        alternatives.push((0..order.len()).map(equal).reduce(|a, b| a.and(b)).expect("one term at least"));
    }
    let any = alternatives.into_iter().reduce(|a, b| a.or(b)).unwrap_or_else(|| Expr::cust("0"));
    match bound[0] {
        // Says what the disjunction implies, so that an index on the first term is searched, not scanned.
        Some(slot) if !nullable(0) => compare(term(0), ascending(0), true, parameter(slot)).and(any),
        _ => any,
    }
}

fn column_ref(entity: &Entity, id: ColumnId, alias: &str) -> impl IntoColumnRef + use<> {
    (Alias::new(alias).into_iden(), Alias::new(&entity.column(id).name).into_iden())
}

fn column(entity: &Entity, id: ColumnId, alias: &str) -> Expr {
    Expr::col(column_ref(entity, id, alias))
}

/// Stands for the value in this slot until [`finish`] reads the slots off again.
pub(super) fn parameter(slot: Slot) -> Expr {
    Expr::val(i64::from(slot))
}

fn finish(select: &SelectStatement) -> Statement {
    let (sql, values) = select.build(SqliteQueryBuilder);
    statement(sql, values)
}

/// Reads the slots off the values that sea-query gathered: each parameter was built with its slot as value.
pub(super) fn statement(sql: String, values: sea_orm::sea_query::Values) -> Statement {
    let slots = values.0.into_iter().map(|value| match value {
        SeaValue::BigInt(Some(slot)) => slot as Slot,
        SeaValue::BigUnsigned(Some(slot)) => slot as Slot,
        other => unreachable!("a statement is built from slots only, found {other:?}"),
    });
    Statement { sql: sql.into(), slots: slots.collect() }
}
