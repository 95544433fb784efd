//! Random rules for random models: a viewer's answer agrees with a simple in-memory implementation
//! over the rows that the rules allow, wherever rows can appear: lookups, lists, counts, page
//! flags, relations, filters on relations.

use std::collections::HashMap;

use async_graphql_value::Value as Literal;
use async_graphql_value::{Name, indexmap::IndexMap};
use freshql::model::rules::{Access, Condition, Rule};
use freshql::model::{Entity, Model};
use freshql::question::View;
use freshql::viewer::{Claims, Viewer};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use crate::properties::{check_bookshop, check_models};
use crate::queries::{Draft, filter_json};
use crate::random_choices::{Choices, Tape};
use crate::reference::{Reference, Where};
use crate::rows::{Tables, any_tables};
use crate::shop::Shop;

/// Rows, rules, and queries.
#[derive(Debug)]
struct Case {
    rows: Tape,
    rules: Tape,
    questions: Vec<Tape>,
}

fn cases() -> impl Strategy<Value = Case> {
    let tapes =
        (Tape::strategy(0..1500), Tape::strategy(0..600), vec(Tape::strategy(0..500), 1..8));
    tapes.prop_map(|(rows, rules, questions)| Case { rows, rules, questions })
}

#[test]
fn a_viewer_sees_exactly_the_rows_that_the_rules_allow() {
    check_bookshop(100, cases(), are_answers_of_what_is_visible);
}

#[test]
fn a_viewer_of_any_model_sees_exactly_the_rows_that_the_rules_allow() {
    check_models(60, cases(), are_answers_of_what_is_visible);
}

/// A rule, with what the test knows about it.
struct Known {
    condition: Option<Where>,
    role: Option<&'static str>,
    authenticated: bool,
    claims: Vec<(String, Json)>,
}

/// A viewer.
struct Asker {
    viewer: Viewer,
    visible: Tables,
}

fn are_answers_of_what_is_visible(shop: &mut Shop, case: &Case) -> Result<(), TestCaseError> {
    let tables = any_tables(&shop.model, 12, &mut case.rows.choices());
    shop.fill(&tables);
    let mut draft = Draft::new(&shop.model, &tables, &case.rules);
    let mut model = Model::clone(&shop.model);
    let mut known: Vec<Vec<Known>> = Vec::new();
    for entity in &shop.model.entities {
        let rules: Vec<Known> =
            (0..1 + draft.choices.below(3)).map(|at| rule(&mut draft, entity, at)).collect();
        model.entities[usize::from(entity.id.0)].rules =
            rules.iter().map(|known| said(&shop.model, entity, known)).collect();
        known.push(rules);
    }
    model.has_rules = true;
    let askers: Vec<Asker> =
        (0..3).map(|_| asker(&shop.model, &tables, &known, &mut draft.choices)).collect();
    let engine = shop.engine_of(model);
    for tape in &case.questions {
        let mut draft = Draft::new(&shop.model, &tables, tape);
        let items = draft.root(3);
        let text = draft.document(&items);
        let variables = draft.variables.into();
        let mut by_etag: HashMap<String, String> = HashMap::new();
        let mut by_view: HashMap<View, String> = HashMap::new();
        for Asker { viewer, visible } in &askers {
            let (answer, view) =
                shop.run_as(&engine, &text, &variables, viewer).unwrap_or_else(|errors| {
                    panic!("{text}\n{variables}\n{errors:#?}");
                });
            let body = String::from_utf8(answer.body.to_vec()).unwrap();
            let etag = answer.etag.unwrap_or_else(|| panic!("{text}\n{body}")).to_string();
            let data =
                body.split(",\"extensions\":").next().unwrap().strip_prefix("{\"data\":").unwrap();
            let expected = Reference { model: &shop.model, tables: visible }.data(&items);
            prop_assert_eq!(data, &expected, "{}\n{}", &text, &variables);
            // One viewer's ETag yields a 304 for another only if the answers are identical.
            prop_assert_eq!(
                by_etag.entry(etag).or_insert_with(|| body.clone()),
                &body,
                "{}",
                &text
            );
            // A cache gives all viewers with the same view the same answer.
            prop_assert_eq!(
                by_view.entry(view).or_insert_with(|| body.clone()),
                &body,
                "{}",
                &text
            );
        }
    }
    Ok(())
}

fn rule(draft: &mut Draft<'_, '_>, entity: &Entity, at: usize) -> Known {
    let model = draft.model;
    let entity = model.entity(entity.id);
    let condition = draft.choices.chance(85).then(|| draft.filter(entity, 2));
    let role = draft.choices.chance(25).then(|| *draft.choices.of(&["a", "b"]));
    let mut claims = Vec::new();
    if let Some(condition) = &condition {
        let prefix = format!("{}{at}.", entity.name);
        let _ = literal(&filter_json(model, entity, condition), &prefix, &mut claims);
    }
    Known { condition, role, authenticated: draft.choices.chance(20), claims }
}

/// The rule as in a model: every value is a claim.
fn said(model: &Model, entity: &Entity, known: &Known) -> Rule {
    let condition = known.condition.as_ref().map(|condition| {
        let prefix =
            known.claims.first().map_or("", |(name, _)| name.split_inclusive('.').next().unwrap());
        let mut claims = Vec::new();
        let literal = literal(&filter_json(model, entity, condition), prefix, &mut claims);
        Condition { literal, claims: claims.into_iter().map(|(name, _)| name).collect() }
    });
    let role = known.role.map(str::to_owned);
    Rule {
        to: vec![Access::Read],
        role,
        authenticated: known.authenticated,
        condition,
        check: None,
        span: 0..0,
    }
}

fn literal(json: &Json, prefix: &str, claims: &mut Vec<(String, Json)>) -> Literal {
    const OPERATORS: [&str; 11] = [
        "eq",
        "neq",
        "in",
        "notIn",
        "lt",
        "lte",
        "gt",
        "gte",
        "contains",
        "startsWith",
        "endsWith",
    ];
    match json {
        Json::Object(members) => {
            let mut read = IndexMap::new();
            for (name, value) in members {
                let value = if OPERATORS.contains(&name.as_str()) && !value.is_object() {
                    let claim = format!("{prefix}c{}", claims.len());
                    claims.push((claim.clone(), value.clone()));
                    Literal::Variable(Name::new(claim))
                } else if name == "mode" {
                    Literal::Enum(Name::new("INSENSITIVE"))
                } else {
                    literal(value, prefix, claims)
                };
                read.insert(Name::new(name), value);
            }
            Literal::Object(read)
        }
        Json::Array(items) => {
            Literal::List(items.iter().map(|item| literal(item, prefix, claims)).collect())
        }
        Json::Bool(value) => Literal::Boolean(*value),
        other => panic!("{other} is no part of a condition"),
    }
}

/// A viewer with some of the roles and most of the claims, and what the rules allow them.
fn asker(model: &Model, tables: &Tables, known: &[Vec<Known>], choices: &mut Choices<'_>) -> Asker {
    let roles: Vec<&str> = ["a", "b"].into_iter().filter(|_| choices.chance(50)).collect();
    let mut claims = Map::new();
    claims.insert("roles".to_owned(), roles.clone().into());
    let mut held = Vec::new();
    for rules in known {
        let mut of_entity = Vec::new();
        for rule in rules {
            let mut has_all = true;
            for (name, value) in &rule.claims {
                if choices.chance(97) {
                    claims.insert(name.clone(), value.clone());
                } else {
                    has_all = false;
                }
            }
            of_entity.push(has_all && rule.role.is_none_or(|role| roles.contains(&role)));
        }
        held.push(of_entity);
    }
    let all = Reference { model, tables };
    let visible = model.entities.iter().zip(known).zip(&held).map(|((entity, rules), held)| {
        let is_visible = |row: &&Vec<freshql::model::Value>| {
            rules.iter().zip(held).any(|(rule, held)| {
                *held
                    && rule
                        .condition
                        .as_ref()
                        .is_none_or(|condition| all.matches(entity, row, condition))
            })
        };
        tables[usize::from(entity.id.0)].iter().filter(is_visible).cloned().collect()
    });
    let visible = visible.collect();
    Asker { viewer: Viewer::of(Claims::new(claims, Claims::ROLES)), visible }
}
