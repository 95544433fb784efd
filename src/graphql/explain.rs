//! Why an answer is as it is, as data: what it depends on and at which versions, what its ETag is derived from, which
//! changes touched it, what ran. Everything in it is of one execution, in one snapshot. It holds data of the database, so it
//! is for whoever may see those: the operator, and clients in mode `open`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use super::coerce::Variables;
use super::document::Operation;
use super::engine::{Answer, Engine};
use super::plan::{Decider, Deciders};
use crate::document_id::DocumentId;
use crate::etag::{Ingredient, RENDERING};
use crate::model::{ColumnId, Entity, EntityId, Model, Value};
use crate::store::change_log::{Op, Spot};
use crate::store::trace::Ran;
use crate::store::{Record, Search, StoreError};
use crate::touch::{Dependency, Mark, Version};

/// How many changes are told.
const CHANGES: usize = 10;

/// What comes to light when a query runs under observation.
#[derive(Debug, Default)]
pub struct Observation {
    /// Until the snapshot was asked for.
    pub planning: Duration,
    /// From the snapshot to the last byte.
    pub running: Duration,
    /// What ran in it.
    pub statements: Vec<Ran>,
    /// What the ETag is derived from, beside the question.
    pub ingredients: Vec<Ingredient>,
    /// The newest record of the change log that the snapshot holds.
    pub as_of: Version,
    /// Which fields made the cache policy.
    pub deciders: Deciders,
}

/// The whole report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked.
    pub question: Question,
    /// Its validator.
    pub etag: Etag,
    /// What a response cache had to say, where one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// What caches may do with the answer.
    pub policy: PolicyReport,
    /// What it hangs on.
    pub depends_on: DependsOn,
    /// The latest changes of what it hangs on, the newest first; as far back as the change log is kept.
    pub latest_changes: Vec<ChangeReport>,
    /// In the order of their first run.
    pub sql: Vec<StatementReport>,
    /// Where the time went.
    pub milliseconds: Timing,
}

/// What was asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The document's id.
    pub document: DocumentId,
    /// None for an anonymous operation.
    pub operation: Option<String>,
    /// Canonical: sorted, defaults filled in.
    pub variables: Box<RawValue>,
}

/// A validator, and where it comes from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Etag {
    /// As in `extensions.etag`: without quotes and coding. None where the answer has field errors.
    pub value: Option<String>,
    /// Beside the question.
    pub derived_from: DerivedFrom,
}

/// What goes into an ETag beside the question.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DerivedFrom {
    /// The version of how this release writes answers.
    pub rendering: u32,
    /// The database's, in hex.
    pub epoch: String,
    /// The model's fingerprint, in hex.
    pub model: String,
    /// How many rows were read, each with its id and version; one that was read twice counts twice.
    pub rows: usize,
    /// Entities of which a row was looked up that is not there.
    pub missing: Vec<String>,
    /// In the order of the answer.
    pub lists: Vec<ListReport>,
    /// Each `totalCount`, in the order of the answer.
    pub totals: Vec<i64>,
    /// How many values went in that are no row's.
    pub values: usize,
}

/// A list, as the ETag knows it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListReport {
    /// Rows on the page.
    pub length: u64,
    /// None where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_next_page: Option<bool>,
    /// None where it was not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_previous_page: Option<bool>,
}

/// What a response cache had to say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cache {
    /// `hit`, `miss`, `stale` or `bypass`.
    pub status: &'static str,
    /// In a sentence.
    pub why: String,
    /// The newest record of the change log that the stored answer knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_as_of: Option<i64>,
    /// What made the stored answer stale, the oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeReport>,
}

/// What caches may do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// The header's value.
    pub cache_control: String,
    /// The header's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn_cache_control: Option<String>,
    /// By lifetime, the field that made it as short as it is: `name (line:column)`.
    pub decided_by: DecidedBy,
}

/// Fields as `name (line:column)`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DecidedBy {
    /// Of `max-age`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<String>,
    /// Of `s-maxage`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_max_age: Option<String>,
    /// Of `stale-while-revalidate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_while_revalidate: Option<String>,
    /// Of `private`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private: Option<String>,
}

/// What an answer hangs on. Each once, in the order of reading.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DependsOn {
    /// The newest record of the change log that the execution could see; each version below is one such number.
    pub as_of: i64,
    /// Rows that were read, or looked up.
    pub rows: Vec<RowReport>,
    /// Rows of an entity with a value in a column.
    pub parts: Vec<PartReport>,
    /// All rows of an entity.
    pub sets: Vec<SetReport>,
}

/// A row.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowReport {
    /// Its type.
    pub entity: String,
    /// Its key.
    pub id: Json,
    /// None if it is not there.
    pub version: Option<i64>,
}

/// A part: changed when a row comes into it or leaves it, and when a watched column of one of its rows changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PartReport {
    /// Whose rows.
    pub entity: String,
    /// The column that cuts.
    pub column: String,
    /// Its value.
    pub value: Json,
    /// Columns that decide which rows of the part are listed, and in what order.
    pub watching: Vec<String>,
}

/// A set: changed when a row comes or goes, and when a watched column changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetReport {
    /// Whose rows.
    pub entity: String,
    /// Columns that decide which rows are listed, and in what order.
    pub watching: Vec<String>,
}

/// A record of the change log, and what of an answer it touched.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeReport {
    /// Its number: the version that it gave the row.
    pub seq: i64,
    /// When it was written, in RFC 3339.
    pub at: String,
    /// `insert`, `update` or `delete`.
    pub op: &'static str,
    /// Whose row.
    pub entity: String,
    /// Its key.
    pub id: Json,
    /// Of an update: which columns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// In words.
    pub touched: Vec<String>,
}

/// A statement.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatementReport {
    /// Its text.
    pub text: String,
    /// How often it ran.
    pub runs: usize,
    /// How many rows all its runs gave.
    pub rows: usize,
    /// In SQLite.
    pub milliseconds: f64,
    /// Of the first runs, as SQLite got them.
    pub parameters: Vec<Vec<Json>>,
}

/// Where the time went, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timing {
    /// Until the snapshot was asked for: plan and arguments.
    pub plan: f64,
    /// In SQLite.
    pub sql: f64,
    /// The rest of the execution: writing the answer, noting what it hangs on.
    pub json: f64,
}

impl Observation {
    /// Where the time went.
    pub fn timing(&self) -> Timing {
        let sql = self.statements.iter().map(|ran| ran.time).sum();
        Timing {
            plan: milliseconds(self.planning),
            sql: milliseconds(sql),
            json: milliseconds(self.running.saturating_sub(sql)),
        }
    }
}

/// To a microsecond, which is as much as these times mean.
fn milliseconds(time: Duration) -> f64 {
    time.as_micros() as f64 / 1000.0
}

/// Reports on an execution.
///
/// # Errors
/// The change log cannot be read.
pub async fn explain(
    engine: &Engine,
    operation: &Operation,
    variables: &Variables,
    answer: &Answer,
    observation: Observation,
) -> Result<Explanation, StoreError> {
    let model = engine.model();
    let milliseconds = observation.timing();
    let latest_changes = changes(engine, answer.touched.marks().into(), Search::Latest).await?;
    let variables = RawValue::from_string(variables.canonical().to_owned());
    let question = Question {
        document: operation.document_id(),
        operation: operation.name().map(str::to_owned),
        variables: variables.expect("canonical variables are JSON"),
    };
    let etag = Etag {
        value: answer.etag.map(|etag| etag.as_str().to_owned()),
        derived_from: derived_from(engine, &observation.ingredients),
    };
    let (policy, deciders) = (answer.policy, &observation.deciders);
    let [max_age, shared_max_age, stale_while_revalidate] = deciders.lifetimes.each_ref().map(place);
    let decided_by = DecidedBy { max_age, shared_max_age, stale_while_revalidate, private: place(&deciders.private) };
    let policy = PolicyReport {
        cache_control: policy.cache_control(),
        cdn_cache_control: policy.cdn_cache_control(),
        decided_by,
    };
    let depends_on = depends_on(model, &answer.touched.dependencies, &observation);
    let sql = observation.statements.into_iter().map(statement).collect();
    Ok(Explanation { question, etag, cache: None, policy, depends_on, latest_changes, sql, milliseconds })
}

/// The changes that left one of these marks (sorted), and what they touched.
///
/// # Errors
/// The change log cannot be read.
pub async fn changes(engine: &Engine, marks: Arc<[Mark]>, search: Search) -> Result<Vec<ChangeReport>, StoreError> {
    let records = engine.store().touching(engine.model(), marks.clone(), search, CHANGES).await?;
    Ok(records.iter().map(|record| change(engine.model(), record, &marks)).collect())
}

fn place(decider: &Option<Decider>) -> Option<String> {
    let Decider { field, position: (line, column) } = decider.as_ref()?;
    Some(format!("{field} ({line}:{column})"))
}

fn derived_from(engine: &Engine, ingredients: &[Ingredient]) -> DerivedFrom {
    let model = engine.model();
    let mut derived = DerivedFrom {
        rendering: RENDERING,
        epoch: hex::encode(engine.store().epoch()),
        model: hex::encode(model.fingerprint),
        rows: 0,
        missing: Vec::new(),
        lists: Vec::new(),
        totals: Vec::new(),
        values: 0,
    };
    for ingredient in ingredients {
        match ingredient {
            Ingredient::Row(..) => derived.rows += 1,
            Ingredient::Missing(entity) => derived.missing.push(model.entity(*entity).name.clone()),
            Ingredient::List { length, has_next_page, has_previous_page } => derived.lists.push(ListReport {
                length: *length,
                has_next_page: *has_next_page,
                has_previous_page: *has_previous_page,
            }),
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
    let mut report = DependsOn { as_of: observation.as_of.0, rows: Vec::new(), parts: Vec::new(), sets: Vec::new() };
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
                report.rows.push(RowReport { entity: entity.name.clone(), id: key(model, entity, id), version });
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
                report.sets.push(SetReport { entity: entity.name.clone(), watching: fields(entity, watching) });
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
    // An update that left a column as it was names the part twice.
    touched.dedup();
    let (op, columns) = match &change.op {
        Op::Insert => ("insert", Vec::new()),
        Op::Update(columns) => ("update", fields(entity, columns)),
        Op::Delete => ("delete", Vec::new()),
    };
    let at = jiff::Timestamp::from_second(record.at).map_or_else(|_| record.at.to_string(), |at| at.to_string());
    let id = key(model, entity, &change.id);
    ChangeReport { seq: change.seq.0, at, op, entity: entity.name.clone(), id, columns, touched }
}

fn words(model: &Model, entity: EntityId, spot: Spot<'_>) -> String {
    let entity = model.entity(entity);
    let part = |column, value| {
        format!("the part {}.{} = {}", entity.name, field(entity, column), json(model, entity, column, value))
    };
    match spot {
        Spot::Row => "the row".to_owned(),
        Spot::Set => format!("the set {}", entity.name),
        Spot::ColumnInSet(watched) => format!("{} in the set {}", field(entity, watched), entity.name),
        Spot::Part(column, value) => part(column, value),
        Spot::ColumnInPart(column, value, watched) => format!("{} in {}", field(entity, watched), part(column, value)),
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
    // What a stranger wrote against the column's type is shown as it is: this report is for finding such things.
    written.ok().and_then(|()| serde_json::from_slice(&text).ok()).unwrap_or_else(|| raw(value))
}

/// The value as the database has it.
fn raw(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Int(value) => (*value).into(),
        Value::Real(value) => (*value).into(),
        Value::Text(text) => Json::String(text.to_string()),
    }
}
