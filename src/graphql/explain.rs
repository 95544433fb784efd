//! Explains an answer, as data: what it depends on and at which versions, what its ETag is derived
//! from, which changes affected it, and what ran. The report contains data of the database, so only
//! the operator and clients in mode `open` may see it.

mod report;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::decider::Decider;
use super::engine::{Answer, Asked, Engine};
use super::observation::Observation;
use crate::dependency::{Dependency, Mark};
use crate::etag::Ingredient;
use crate::model::{ColumnId, Entity, EntityId, Model, Value};
use crate::question::{Question, View};
use crate::store::change_log::{Op, Spot};
use crate::store::trace::Ran;
use crate::store::{Record, Search, StoreError};

pub(crate) use report::{
    Cache, ChangeReport, DecidedBy, DependsOn, DerivedFrom, Etag, Explanation, ListReport,
    PartReport, PolicyReport, QuestionReport, RowReport, RuleReport, SetReport, StatementReport,
    Timing, ViewReport,
};

/// How many changes to report.
const CHANGES: usize = 10;

/// Where the time was spent.
pub(crate) fn timing(observation: &Observation) -> Timing {
    let sql = observation.statements.iter().map(|ran| ran.time).sum();
    Timing {
        plan: milliseconds(observation.planning),
        sql: milliseconds(sql),
        json: milliseconds(observation.running.saturating_sub(sql)),
    }
}

/// Rounded to a microsecond; these times are no more accurate.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Reports on an execution.
///
/// # Errors
/// The change log cannot be read.
pub(crate) async fn explain(
    engine: &Engine,
    asked: &Asked<'_>,
    answer: &Answer,
    observation: Observation,
) -> Result<Explanation, StoreError> {
    let model = engine.model();
    let milliseconds = timing(&observation);
    let latest_changes =
        changes(engine, answer.dependencies.marks().into(), Search::Latest).await?;
    let Question { document, operation, variables, view } = asked.question();
    let question = QuestionReport {
        document,
        operation: operation.map(str::to_owned),
        variables: RawValue::from_string(variables.to_owned())
            .expect("canonical variables are JSON"),
        view: match view {
            View::Public => None,
            View::Private(digest) => {
                Some(ViewReport { digest: hex::encode(digest), rules: rules(model, asked) })
            }
        },
    };
    let etag = Etag {
        value: answer.etag.map(|etag| etag.as_str().to_owned()),
        derived_from: derived_from(engine, &observation),
    };
    let (policy, deciders) = (answer.policy, &observation.deciders);
    let [max_age, shared_max_age, stale_while_revalidate] =
        deciders.lifetimes.each_ref().map(place);
    let decided_by = DecidedBy {
        max_age,
        shared_max_age,
        stale_while_revalidate,
        private: place(&deciders.private),
    };
    let policy = PolicyReport {
        cache_control: policy.cache_control(),
        cdn_cache_control: policy.cdn_cache_control(),
        decided_by,
    };
    let depends_on = depends_on(model, &answer.dependencies.all, &observation);
    let sql = observation.statements.into_iter().map(statement).collect();
    Ok(Explanation {
        question,
        etag,
        cache: None,
        policy,
        depends_on,
        latest_changes,
        sql,
        milliseconds,
    })
}

/// The changes that have one of these marks (sorted), and what they affected.
///
/// # Errors
/// The change log cannot be read.
pub(crate) async fn changes(
    engine: &Engine,
    marks: Arc<[Mark]>,
    search: Search,
) -> Result<Vec<ChangeReport>, StoreError> {
    let records = engine.store().touching(engine.model(), marks.clone(), search, CHANGES).await?;
    Ok(records.iter().map(|record| change(engine.model(), record, &marks)).collect())
}

/// What the rules come down to for this viewer.
fn rules(model: &Model, asked: &Asked<'_>) -> Vec<RuleReport> {
    let rules = asked.rules().into_iter().map(|(entity, access, rows)| RuleReport {
        entity: model.entity(entity).name.clone(),
        operation: access.name(),
        rows,
    });
    rules.collect()
}

fn place(decider: &Option<Decider>) -> Option<String> {
    decider.as_ref().map(Decider::to_string)
}

fn derived_from(engine: &Engine, observation: &Observation) -> DerivedFrom {
    let model = engine.model();
    let mut derived = DerivedFrom {
        rendering: engine.rendering(),
        epoch: hex::encode(observation.epoch),
        model: hex::encode(model.fingerprint),
        rows: 0,
        missing: Vec::new(),
        lists: Vec::new(),
        totals: Vec::new(),
        values: 0,
    };
    for ingredient in &observation.ingredients {
        match ingredient {
            Ingredient::Row(..) => derived.rows += 1,
            Ingredient::Missing(entity) => derived.missing.push(model.entity(*entity).name.clone()),
            Ingredient::List { length, has_next_page, has_previous_page } => {
                derived.lists.push(ListReport {
                    length: *length,
                    has_next_page: *has_next_page,
                    has_previous_page: *has_previous_page,
                })
            }
            Ingredient::Total(count) => derived.totals.push(*count),
            Ingredient::Value(_) => derived.values += 1,
        }
    }
    derived
}

fn depends_on(model: &Model, dependencies: &[Dependency], observation: &Observation) -> DependsOn {
    let versions = observation.ingredients.iter().filter_map(|ingredient| match ingredient {
        Ingredient::Row(entity, id, version) => Some((Mark::row(*entity, id), version.0)),
        _ => None,
    });
    let versions: HashMap<Mark, i64> = versions.collect();
    let mut seen = HashSet::new();
    let mut report = DependsOn {
        as_of: observation.as_of.0,
        rows: Vec::new(),
        parts: Vec::new(),
        sets: Vec::new(),
    };
    for dependency in dependencies {
        let mut marks = Vec::new();
        dependency.marks(|mark| marks.push(mark));
        if !seen.insert(marks) {
            continue;
        }
        match dependency {
            Dependency::Row(entity, id) => {
                let version = versions.get(&Mark::row(*entity, id)).copied();
                let entity = model.entity(*entity);
                report.rows.push(RowReport {
                    entity: entity.name.clone(),
                    id: key(model, entity, id),
                    version,
                });
            }
            Dependency::Part { entity, column, value, watching } => {
                let entity = model.entity(*entity);
                report.parts.push(PartReport {
                    entity: entity.name.clone(),
                    column: field(entity, *column),
                    value: json(model, entity, *column, value),
                    watching: fields(entity, watching),
                });
            }
            Dependency::Set { entity, watching } => {
                let entity = model.entity(*entity);
                report.sets.push(SetReport {
                    entity: entity.name.clone(),
                    watching: fields(entity, watching),
                });
            }
        }
    }
    report
}

fn change(model: &Model, record: &Record, marks: &[Mark]) -> ChangeReport {
    let change = &record.change;
    let entity = model.entity(change.entity);
    let mut touched = Vec::new();
    change.spots(|spot, mark| {
        if marks.binary_search(&mark).is_ok() {
            touched.push(words(model, change.entity, spot));
        }
    });
    // An update that did not change the column names the part twice.
    touched.dedup();
    let (op, columns) = match &change.op {
        _ if change.is_of_everything() => ("all rows", Vec::new()),
        Op::Insert => ("insert", Vec::new()),
        Op::Update(columns) => ("update", fields(entity, columns)),
        Op::Delete => ("delete", Vec::new()),
    };
    let at = jiff::Timestamp::from_second(record.at)
        .map_or_else(|_| record.at.to_string(), |at| at.to_string());
    let id = key(model, entity, &change.id);
    ChangeReport { seq: change.seq.0, at, op, entity: entity.name.clone(), id, columns, touched }
}

fn words(model: &Model, entity: EntityId, spot: Spot<'_>) -> String {
    let entity = model.entity(entity);
    let part = |column, value| {
        format!(
            "the part {}.{} = {}",
            entity.name,
            field(entity, column),
            json(model, entity, column, value)
        )
    };
    match spot {
        Spot::Everything => "all rows".to_owned(),
        Spot::Row => "the row".to_owned(),
        Spot::Set => format!("the set {}", entity.name),
        Spot::ColumnInSet(watched) => {
            format!("{} in the set {}", field(entity, watched), entity.name)
        }
        Spot::Part(column, value) => part(column, value),
        Spot::AnyPart(column) => {
            format!("{} whose {} is unreadable", entity.name, field(entity, column))
        }
        Spot::ColumnInPart(column, value, watched) => {
            format!("{} in {}", field(entity, watched), part(column, value))
        }
    }
}

fn statement(ran: Ran) -> StatementReport {
    let parameters = ran.parameters.iter().map(|values| values.iter().map(raw).collect());
    StatementReport {
        text: ran.sql.to_string(),
        runs: ran.runs,
        rows: ran.rows,
        milliseconds: milliseconds(ran.time),
        parameters: parameters.collect(),
    }
}

fn field(entity: &Entity, column: ColumnId) -> String {
    entity.column(column).field.clone()
}

fn fields(entity: &Entity, columns: &[ColumnId]) -> Vec<String> {
    columns.iter().map(|column| field(entity, *column)).collect()
}

fn key(model: &Model, entity: &Entity, id: &Value) -> Json {
    json(model, entity, entity.key, id)
}

/// The value as clients see it.
fn json(model: &Model, entity: &Entity, column: ColumnId, value: &Value) -> Json {
    let mut text = Vec::new();
    let written = entity.column(column).scalar.write_json(model, value.as_ref(), &mut text);
    // A value that an external writer stored against the column's type is shown as it is: the
    // report helps to find such values.
    written.ok().and_then(|()| serde_json::from_slice(&text).ok()).unwrap_or_else(|| raw(value))
}

/// The value as stored in the database.
fn raw(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(value) => (*value).into(),
        Value::Real(value) => (*value).into(),
        Value::Text(text) => Json::String(text.to_string()),
    }
}
