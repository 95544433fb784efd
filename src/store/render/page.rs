//! Renders the pages of a list: which rows it has, in which order, and where a page begins and ends.

use sea_orm::sea_query::{
    Expr, ExprTrait, NullOrdering, Order as Direction, Query, SelectStatement,
};

use super::Renderer;
use crate::model::{ColumnId, Entity, Order};
use crate::store::dialect::ROOT;
use crate::store::select::{Bound, List, PARENT, Slot};

impl Renderer<'_> {
    pub(super) fn page(&self, select: &mut SelectStatement, list: &List, alias: &str) {
        self.restrict(select, list, alias);
        let entity = self.model.entity(list.from.entity());
        for (bound, reverse) in [(&list.after, false), (&list.before, true)] {
            if let Some(bound) = bound {
                select.and_where(self.beyond(entity, &list.order, bound, alias, reverse, false));
            }
        }
        self.order(select, list, alias);
    }

    pub(super) fn restrict(&self, select: &mut SelectStatement, list: &List, alias: &str) {
        let entity = self.model.entity(list.from.entity());
        if let Some(cut) = list.cut {
            select
                .and_where(self.column(entity, cut, alias).eq(self.value_of(entity, cut, PARENT)));
        }
        if let Some(filter) = &list.filter {
            select.and_where(self.condition(entity, filter, alias, 0));
        }
    }

    pub(super) fn order(&self, select: &mut SelectStatement, list: &List, alias: &str) {
        let entity = self.model.entity(list.from.entity());
        for (column, order) in &list.order {
            let descending = order.descending != list.backward;
            let direction = if descending { Direction::Desc } else { Direction::Asc };
            let term = self.column(entity, *column, alias);
            if entity.column(*column).nullable {
                let nulls_first = order.nulls_first != list.backward;
                let nulls = if nulls_first { NullOrdering::First } else { NullOrdering::Last };
                select.order_by_expr_with_nulls(term, direction, nulls);
            } else {
                select.order_by_expr(term, direction);
            }
        }
    }

    pub(super) fn any(&self, list: &List, bound: Option<&Bound>, reverse: bool) -> SelectStatement {
        let entity = self.model.entity(list.from.entity());
        let mut select = self.visible(&list.from, ROOT, 0);
        select.expr(Expr::cust("1"));
        self.restrict(&mut select, list, ROOT);
        if let Some(bound) = bound {
            select.and_where(self.beyond(entity, &list.order, bound, ROOT, reverse, true));
        }
        let mut exists = Query::select();
        exists.expr(Expr::exists(select));
        exists
    }

    /// The rows after `bound` in this ordering (before it if `reverse`), including that row if
    /// `inclusive`. Lexicographic: equal in the first terms and greater in the next.
    fn beyond(
        &self,
        entity: &Entity,
        order: &[(ColumnId, Order)],
        bound: &Bound,
        alias: &str,
        reverse: bool,
        inclusive: bool,
    ) -> Expr {
        let term = |i: usize| self.column(entity, order[i].0, alias);
        let value = |i: usize, slot: Slot| self.value_of(entity, order[i].0, slot);
        let nullable = |i: usize| entity.column(order[i].0).nullable;
        let ascending = |i: usize| order[i].1.descending == reverse;
        let compare = |left: Expr, ascending: bool, or_equal: bool, right: Expr| match (
            ascending, or_equal,
        ) {
            (true, false) => left.gt(right),
            (true, true) => left.gte(right),
            (false, false) => left.lt(right),
            (false, true) => left.lte(right),
        };
        let uniform = (0..order.len()).all(|i| !nullable(i) && ascending(i) == ascending(0));
        if uniform {
            let slots = bound.iter().map(|slot| slot.expect("a column without NULLs has no NULL"));
            let mut values: Vec<Expr> = slots.enumerate().map(|(i, slot)| value(i, slot)).collect();
            if let [_] = values[..] {
                return compare(term(0), ascending(0), inclusive, values.remove(0));
            }
            let terms: Vec<Expr> = (0..order.len()).map(term).collect();
            return compare(Expr::tuple(terms), ascending(0), inclusive, Expr::tuple(values));
        }
        let strictly = |i: usize| -> Option<Expr> {
            let nulls_behind = order[i].1.nulls_first == reverse;
            match bound[i] {
                Some(slot) => {
                    let behind = compare(term(i), ascending(i), false, value(i, slot));
                    Some(if nullable(i) && nulls_behind {
                        behind.or(term(i).is_null())
                    } else {
                        behind
                    })
                }
                None if nulls_behind => None,
                None => Some(term(i).is_not_null()),
            }
        };
        let equal = |i: usize| match bound[i] {
            Some(slot) => term(i).eq(value(i, slot)),
            None => term(i).is_null(),
        };
        let mut alternatives = Vec::new();
        for i in 0..order.len() {
            if let Some(behind) = strictly(i) {
                alternatives.push(
                    (0..i)
                        .map(equal)
                        .chain([behind])
                        .reduce(|a, b| a.and(b))
                        .expect("one term at least"),
                );
            }
        }
        if inclusive {
            alternatives.push(
                (0..order.len()).map(equal).reduce(|a, b| a.and(b)).expect("one term at least"),
            );
        }
        let any =
            alternatives.into_iter().reduce(|a, b| a.or(b)).unwrap_or_else(|| self.dialect.never());
        match bound[0] {
            // The disjunction implies this condition. Stating it lets the database search an index
            // on the first term instead of scanning it.
            Some(slot) if !nullable(0) => {
                compare(term(0), ascending(0), true, value(0, slot)).and(any)
            }
            _ => any,
        }
    }
}
