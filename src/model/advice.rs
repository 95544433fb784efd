//! Rules that are valid but deserve a second look: the existence of an unreadable row may leak, a
//! condition may make every read slow, and one rule may permit what another forbids.

use async_graphql_value::Value as Literal;

use super::rules::{Access, Condition, Rule};
use crate::model::{ColumnId, Diagnostic, Entity, EntityId, FieldKind, Model, OnDelete};

/// What a condition depends on.
#[derive(Default)]
struct Looks {
    /// Columns of the entity itself that are compared for equality.
    equal: Vec<ColumnId>,
    /// Foreign keys of the entity whose rows the condition reads.
    through: Vec<ColumnId>,
    /// Entities reached through relations.
    reached: Vec<EntityId>,
}

impl Looks {
    fn of<'r>(
        model: &Model,
        entity: &Entity,
        conditions: impl Iterator<Item = &'r Condition>,
    ) -> Self {
        let mut looks = Self::default();
        conditions.for_each(|condition| looks.look(model, entity, &condition.literal, true));
        looks
    }

    fn look(&mut self, model: &Model, entity: &Entity, literal: &Literal, is_own: bool) {
        let members = match literal {
            Literal::Object(members) => members,
            Literal::List(items) => {
                return items.iter().for_each(|item| self.look(model, entity, item, is_own));
            }
            _ => return,
        };
        for (name, value) in members {
            if matches!(name.as_str(), "and" | "or" | "not") {
                self.look(model, entity, value, is_own);
                continue;
            }
            let kind = entity
                .fields
                .iter()
                .find(|field| field.name == name.as_str())
                .map(|field| field.kind);
            match kind {
                Some(FieldKind::Scalar(column)) => self.compare(column, value, is_own),
                Some(FieldKind::ToOne { column, target }) => {
                    // A condition on the key of the referenced row is one on the foreign key.
                    let key = &model.entity(target).column(model.entity(target).key).field;
                    match value {
                        Literal::Object(inner)
                            if inner.len() == 1 && inner.contains_key(key.as_str()) =>
                        {
                            self.compare(column, &inner[key.as_str()], is_own);
                        }
                        value => {
                            if is_own {
                                self.through.push(column);
                            }
                            self.reach(model, target, value);
                        }
                    }
                }
                Some(FieldKind::ToMany { target, .. }) => {
                    if let Literal::Object(quantified) = value {
                        quantified.values().for_each(|inner| self.reach(model, target, inner));
                    }
                }
                None => {}
            }
        }
    }

    fn compare(&mut self, column: ColumnId, operators: &Literal, is_own: bool) {
        let Literal::Object(operators) = operators else { return };
        if is_own && operators.keys().any(|operator| matches!(operator.as_str(), "eq" | "in")) {
            self.equal.push(column);
        }
    }

    fn reach(&mut self, model: &Model, target: EntityId, literal: &Literal) {
        self.reached.push(target);
        self.look(model, model.entity(target), literal, false);
    }
}

/// Everything about the model's rules that deserves a second look.
pub(crate) fn advice(model: &Model, file: &str) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if !model.has_rules {
        return found;
    }
    for entity in &model.entities {
        telling_uniques(model, entity, file, &mut found);
        cascades(model, entity, file, &mut found);
        for rule in &entity.rules {
            slow_conditions(model, entity, rule, file, &mut found);
            closed_reaches(model, entity, rule, file, &mut found);
        }
    }
    found
}

/// A conflict tells the writer that another row has the value.
fn telling_uniques(model: &Model, entity: &Entity, file: &str, found: &mut Vec<Diagnostic>) {
    let of = |access| entity.rules.iter().filter(move |rule: &&Rule| rule.is_about(access));
    if model.is_open(entity.id, Access::Read)
        || of(Access::Create).chain(of(Access::Update)).next().is_none()
    {
        return;
    }
    let ruled =
        Looks::of(model, entity, of(Access::Read).filter_map(|rule| rule.condition.as_ref())).equal;
    // A viewer who may write only certain values cannot probe others.
    let is_confined = |columns: &[ColumnId]| {
        let mut writing =
            of(Access::Create).chain(of(Access::Update)).filter(|rule| rule.role.is_none());
        writing.all(|rule| {
            let looks = Looks::of(
                model,
                entity,
                rule.check.as_ref().or(rule.condition.as_ref()).into_iter(),
            );
            looks.equal.iter().chain(&looks.through).any(|column| columns.contains(column))
        })
    };
    for unique in &entity.uniques {
        let is_written = unique.columns.iter().any(|id| !entity.column(*id).readonly);
        let is_ruled = unique.columns.iter().any(|column| ruled.contains(column))
            || is_confined(&unique.columns);
        if ruled.is_empty() || !is_written || is_ruled {
            continue;
        }
        let fields: Vec<&str> =
            unique.columns.iter().map(|id| entity.column(*id).field.as_str()).collect();
        let message = format!(
            "a conflict tells whoever writes a `{}` whether {} is taken, even by a row that they may not read",
            entity.name,
            fields.join(" and ")
        );
        let by = &entity.column(ruled[0]).field;
        let help = format!(
            "if that reveals too much, make it unique together with the column that separates the viewers, such as `{by}`"
        );
        found.push(Diagnostic::warning(file, entity.span.clone(), message).with_help(help));
    }
}

/// A condition that no index narrows is evaluated for every row.
fn slow_conditions(
    model: &Model,
    entity: &Entity,
    rule: &Rule,
    file: &str,
    found: &mut Vec<Diagnostic>,
) {
    let Some(condition) = rule.condition.as_ref().filter(|condition| !condition.claims.is_empty())
    else {
        return;
    };
    let firsts = entity
        .uniques
        .iter()
        .map(|unique| &unique.columns)
        .chain(entity.indexes.iter().map(|index| &index.columns));
    let firsts: Vec<ColumnId> = firsts.filter_map(|columns| columns.first().copied()).collect();
    for id in Looks::of(model, entity, std::iter::once(condition)).equal {
        if id != entity.key && !firsts.contains(&id) {
            let field = &entity.column(id).field;
            let message = format!("this rule reads `{}.{field}`, which has no index", entity.name);
            let help = format!(
                "each list of `{}` evaluates it for every row; give `{field}` an `@index`",
                entity.plural
            );
            found.push(Diagnostic::warning(file, rule.span.clone(), message).with_help(help));
        }
    }
}

/// The result of a rule reveals something about what it reads.
fn closed_reaches(
    model: &Model,
    entity: &Entity,
    rule: &Rule,
    file: &str,
    found: &mut Vec<Diagnostic>,
) {
    let mut reached = Looks::of(model, entity, rule.condition.iter().chain(&rule.check)).reached;
    reached.sort_unstable();
    reached.dedup();
    for target in reached.into_iter().filter(|target| *target != entity.id) {
        let target = model.entity(target);
        let is_for_its_viewer = |other: &Rule| {
            other.is_about(Access::Read)
                && other.role.as_ref().is_none_or(|role| rule.role.as_ref() == Some(role))
        };
        if !target.rules.iter().any(is_for_its_viewer) {
            let message = format!(
                "this rule reads `{}`, which the viewers that it admits may not read",
                target.name
            );
            let help = "rules see every row, so their result reveals something about rows that are otherwise hidden".to_owned();
            found.push(Diagnostic::warning(file, rule.span.clone(), message).with_help(help));
        }
    }
}

/// Deleting a row deletes the rows that cascade.
fn cascades(model: &Model, entity: &Entity, file: &str, found: &mut Vec<Diagnostic>) {
    for column in &entity.columns {
        let Some(reference) =
            column.references.as_ref().filter(|it| it.on_delete == OnDelete::Cascade)
        else {
            continue;
        };
        let parent = model.entity(reference.target);
        if model.is_open(entity.id, Access::Delete) {
            continue;
        }
        let deletes = |rule: &&Rule| rule.is_about(Access::Delete);
        let covers = |upper: &Rule| {
            entity.rules.iter().filter(deletes).any(|lower| {
                lower.condition.is_none()
                    && (lower.role.is_none() || lower.role == upper.role)
                    && (!lower.authenticated || upper.asks_viewer())
            })
        };
        if parent.rules.iter().filter(deletes).any(|upper| !covers(upper)) {
            let message = format!(
                "deleting a `{}` also deletes its `{}` rows, which the rules of `{}` do not allow everybody",
                parent.name, entity.name, entity.name
            );
            let help = format!(
                "make `{}` RESTRICT, or allow DELETE of `{}` to the same viewers",
                column.field, entity.name
            );
            found.push(Diagnostic::warning(file, entity.span.clone(), message).with_help(help));
        }
    }
}
