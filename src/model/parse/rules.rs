//! `@allow`: for which accesses, for whom, and on which rows. A condition has the syntax of a
//! `where` argument, and every part of it is checked here at its position: a rule that does not
//! mean what it seems to mean is worse than none.

mod condition;

use self::condition::Reader;
use super::definitions::{Definitions, EntityDefinition};
use super::directives::{Directives, Use};
use super::report::Report;
use crate::model::rules::{Access, Condition, Rule};
use crate::model::{Entity, FieldKind};

/// Adds the rules of all entities and fields. Call this once all fields exist.
pub(super) fn add(report: &mut Report<'_>, definitions: &Definitions<'_>, entities: &mut [Entity]) {
    for definition in &definitions.entities {
        let at = usize::from(definition.id.0);
        let rules = of_entity(report, definitions, definition, entities);
        entities[at].rules = rules;
        for draft in &definition.fields {
            let rules = of_field(report, &draft.directives);
            // A relation's foreign key reveals as much as the referenced row.
            let same = [draft.name.to_owned(), format!("{}Id", draft.name)];
            let is_relation =
                |field: &crate::model::Field| matches!(field.kind, FieldKind::ToOne { .. });
            let is_to_one = entities[at]
                .fields
                .iter()
                .any(|field| field.name == draft.name && is_relation(field));
            for field in &mut entities[at].fields {
                if field.name == same[0] || (is_to_one && field.name == same[1]) {
                    field.rules.clone_from(&rules);
                }
            }
        }
        refuse_ordering(report, definition, &entities[at]);
    }
}

/// Reports a default ordering by a restricted field: lists use that order by default, and their
/// cursors contain the field's value.
fn refuse_ordering(report: &mut Report<'_>, definition: &EntityDefinition<'_>, entity: &Entity) {
    let order = definition.directives.get("entity").and_then(|used| used.literal("orderBy"));
    let Some((_, span)) = order else { return };
    for (column, _) in &entity.order_by {
        let closed = |rule: &&Rule| rule.is_about(Access::Read) && rule.is_open();
        let rules = entity.rules_of(*column);
        if !rules.is_empty() && !rules.iter().any(|rule| closed(&rule)) {
            let name = &entity.column(*column).field;
            let message = format!(
                "lists of `{}` cannot be ordered by `{name}`, which not everybody may read",
                entity.name
            );
            report.wrong(
                report.word_in(&span, name),
                message,
                "order by another field: the order reveals its values",
            );
        }
    }
}

fn of_entity(
    report: &mut Report<'_>,
    definitions: &Definitions<'_>,
    definition: &EntityDefinition<'_>,
    entities: &[Entity],
) -> Vec<Rule> {
    let mut rules = Vec::new();
    for used in definition.directives.all("allow") {
        let mut rule = head(report, used);
        let entity = &entities[usize::from(definition.id.0)];
        let mut read = |name: &str| {
            let (literal, span) = used.literal(name)?;
            let mut reader = Reader {
                report,
                enums: &definitions.enums,
                entities,
                span: span.clone(),
                claims: Vec::new(),
            };
            let literal = reader.condition(entity, literal)?;
            Some(Condition { literal, claims: reader.claims })
        };
        (rule.condition, rule.check) = (read("where"), read("check"));
        if let Some((_, span)) = used.literal("check")
            && !rule.to.iter().any(|access| matches!(access, Access::Create | Access::Update))
        {
            let message =
                "`check` is about rows that were written, and this rule allows no writing";
            report.wrong(span, message, "remove it, or add CREATE or UPDATE to `to`");
        }
        rules.push(rule);
    }
    rules
}

fn of_field(report: &mut Report<'_>, directives: &Directives<'_>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for used in directives.all("allow") {
        for name in ["where", "check"] {
            if let Some((_, span)) = used.literal(name) {
                let message = format!(
                    "`{name}` does not belong on a field: whether a field may be read does not depend on the row"
                );
                report.wrong(
                    span,
                    message,
                    "ask for a `role` or `authenticated: true`, or put the rule on the type",
                );
            }
        }
        rules.push(head(report, used));
    }
    rules
}

/// Everything except the conditions.
fn head(report: &mut Report<'_>, used: &Use<'_>) -> Rule {
    let mut to: Vec<Access> = Access::ALL.to_vec();
    if let Some((words, span)) = used.choices("to") {
        to = Access::ALL.into_iter().filter(|access| words.contains(&access.name())).collect();
        if to.is_empty() {
            report.wrong(
                span,
                "`to` is empty: this rule allows nothing",
                "leave it out to allow everything",
            );
        }
    }
    let role = used.string("role").map(|(role, span)| {
        if role.is_empty() || role.starts_with('$') {
            report.wrong(
                span,
                format!("`{role}` is not the name of a role"),
                "write a role as tokens name it, such as \"editor\"",
            );
        }
        role.to_owned()
    });
    let authenticated = used.boolean("authenticated").is_some_and(|(on, _)| on);
    Rule { to, role, authenticated, condition: None, check: None, span: used.span.clone() }
}
