//! Renders filters as conditions.

use sea_orm::sea_query::{Expr, ExprTrait, SelectStatement};

use super::Renderer;
use crate::model::Entity;
use crate::store::dialect::ROOT;
use crate::store::select::{Comparison, Filter, Quantifier, TextMatch, Visible};
use crate::store::statement::Type;

impl Renderer<'_> {
    pub(super) fn condition(
        &self,
        entity: &Entity,
        filter: &Filter,
        alias: &str,
        depth: usize,
    ) -> Expr {
        let all = |filters: &[Filter], join: fn(Expr, Expr) -> Expr| {
            let conditions = filters.iter().map(|f| self.condition(entity, f, alias, depth));
            conditions.reduce(join).expect("a conjunction or disjunction is never empty")
        };
        match filter {
            Filter::And(filters) => all(filters, |a, b| a.and(b)),
            Filter::Or(filters) => all(filters, |a, b| a.or(b)),
            Filter::Not(inner) => self.dialect.untrue(self.condition(entity, inner, alias, depth)),
            Filter::IsNull(id, true) => self.column(entity, *id, alias).is_null(),
            Filter::IsNull(id, false) => self.column(entity, *id, alias).is_not_null(),
            Filter::Compare { column: id, comparison, slot, case_insensitive } => {
                let left = self.folded(self.column(entity, *id, alias), *case_insensitive);
                let right = match case_insensitive {
                    true => self.parameter(*slot, Type::String),
                    false => self.value_of(entity, *id, *slot),
                };
                match comparison {
                    Comparison::Eq => left.eq(right),
                    Comparison::Neq if entity.column(*id).nullable => {
                        self.dialect.untrue(left.eq(right))
                    }
                    Comparison::Neq => left.ne(right),
                    Comparison::Lt => left.lt(right),
                    Comparison::Lte => left.lte(right),
                    Comparison::Gt => left.gt(right),
                    Comparison::Gte => left.gte(right),
                }
            }
            Filter::In { column: id, slot, negated, case_insensitive } => {
                let list = self.parameter(*slot, Type::List(entity.column(*id).scalar));
                let value = self.folded(self.column(entity, *id, alias), *case_insensitive);
                let within = self.dialect.is_one_of(value, list);
                if *negated { self.dialect.untrue(within) } else { within }
            }
            Filter::Text { column: id, search, slot, case_insensitive } => {
                let text = self.folded(self.column(entity, *id, alias), *case_insensitive);
                let string = |slot| self.parameter(slot, Type::String);
                match search {
                    TextMatch::Contains => {
                        self.dialect.contains(text, self.parameter(*slot, Type::Part))
                    }
                    TextMatch::StartsWith(None) => text.gte(string(*slot)),
                    TextMatch::StartsWith(Some(end)) => {
                        text.clone().gte(string(*slot)).and(text.lt(string(*end)))
                    }
                    TextMatch::EndsWith => self.dialect.ends_with(text, string(*slot)),
                }
            }
            Filter::Never => self.dialect.never(),
            Filter::ToOne(id, from, inner) => {
                let target = self.model.entity(from.entity());
                let inner_alias = format!("{ROOT}{}", depth + 1);
                let link = self
                    .column(target, target.key, &inner_alias)
                    .eq(self.column(entity, *id, alias));
                let matches = self.condition(target, inner, &inner_alias, depth + 1);
                Expr::exists(self.related(from, &inner_alias, depth + 1, link.and(matches)))
            }
            Filter::ToMany(from, id, quantifier, inner) => {
                let target = self.model.entity(from.entity());
                let inner_alias = format!("{ROOT}{}", depth + 1);
                let link = self
                    .column(target, *id, &inner_alias)
                    .eq(self.column(entity, entity.key, alias));
                let matches = self.condition(target, inner, &inner_alias, depth + 1);
                let found =
                    |c: Expr| self.related(from, &inner_alias, depth + 1, link.clone().and(c));
                match quantifier {
                    Quantifier::Some => Expr::exists(found(matches)),
                    Quantifier::None => Expr::not_exists(found(matches)),
                    Quantifier::Every => Expr::not_exists(found(self.dialect.untrue(matches))),
                }
            }
        }
    }

    /// The matching rows of another entity.
    fn related(&self, from: &Visible, alias: &str, depth: usize, on: Expr) -> SelectStatement {
        let mut select = self.visible(from, alias, depth);
        select.expr(Expr::cust("1")).and_where(on);
        select
    }

    fn folded(&self, string: Expr, case_insensitive: bool) -> Expr {
        if case_insensitive { self.dialect.folded(string) } else { string }
    }
}
