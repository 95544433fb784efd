//! The form of the report, in Rust and (through serde, in camelCase) in JSON.

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::document_id::DocumentId;

/// The whole report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Explanation {
    /// What was asked.
    pub question: QuestionReport,
    /// Its validator.
    pub etag: Etag,
    /// What the response cache did, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// What caches may do with the answer.
    pub policy: PolicyReport,
    /// What the answer depends on.
    pub depends_on: DependsOn,
    /// The latest changes to its dependencies, newest first, as far back as the change log reaches.
    pub latest_changes: Vec<ChangeReport>,
    /// In the order of their first run.
    pub sql: Vec<StatementReport>,
    /// Where the time was spent.
    pub milliseconds: Timing,
}

/// What was asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuestionReport {
    /// The document's id.
    pub document: DocumentId,
    /// None for an anonymous operation.
    pub operation: Option<String>,
    /// Canonical: sorted, defaults filled in.
    pub variables: Box<RawValue>,
    /// What the answer depends on of the viewer; None if everybody gets the same answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewReport>,
}

/// What an answer depends on of the viewer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ViewReport {
    /// In hex. Viewers with the same digest share their answers.
    pub digest: String,
    /// What the model's rules come down to.
    pub rules: Vec<RuleReport>,
}

/// What remains of an entity's rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RuleReport {
    /// The entity.
    pub entity: String,
    /// The access: `READ`, …
    pub operation: &'static str,
    /// Which rows: `every row`, `no row`, or a condition in the syntax of `where`.
    pub rows: String,
}

/// A validator, and where it comes from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Etag {
    /// As in `extensions.etag`: without quotes and coding. None if the answer has field errors.
    pub value: Option<String>,
    /// In addition to the question.
    pub derived_from: DerivedFrom,
}

/// What goes into an ETag in addition to the question.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DerivedFrom {
    /// The version of this release's answer format.
    pub rendering: u32,
    /// The database's epoch, in hex.
    pub epoch: String,
    /// The model's fingerprint, in hex.
    pub model: String,
    /// The number of rows read, each with its id and version; a row that was read twice counts
    /// twice.
    pub rows: usize,
    /// Entities of which a row was looked up and not found.
    pub missing: Vec<String>,
    /// In the order of the answer.
    pub lists: Vec<ListReport>,
    /// Each `totalCount`, in the order of the answer.
    pub totals: Vec<i64>,
    /// The number of values that no row's version covers.
    pub values: usize,
}

/// A list, as part of the ETag.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ListReport {
    /// Rows on the page.
    pub length: u64,
    /// None if it was not requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_next_page: Option<bool>,
    /// None if it was not requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_previous_page: Option<bool>,
}

/// What the response cache did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cache {
    /// `hit`, `miss`, `stale` or `bypass`.
    pub status: &'static str,
    /// The reason, in a sentence.
    pub why: String,
    /// The newest record of the change log that the stored answer reflects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stored_as_of: Option<i64>,
    /// The changes that made the stored answer stale, oldest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<ChangeReport>,
}

/// What caches may do.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PolicyReport {
    /// The header's value.
    pub cache_control: String,
    /// The header's value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cdn_cache_control: Option<String>,
    /// For each lifetime, the field that limited it: `name (line:column)`.
    pub decided_by: DecidedBy,
}

/// Fields as `name (line:column)`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DecidedBy {
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

/// What an answer depends on. Without duplicates, in reading order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DependsOn {
    /// The newest record of the change log that the execution could see; each version below is such
    /// a number.
    pub as_of: i64,
    /// Rows that were read or looked up.
    pub rows: Vec<RowReport>,
    /// Rows of an entity with a value in a column.
    pub parts: Vec<PartReport>,
    /// All rows of an entity.
    pub sets: Vec<SetReport>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowReport {
    /// Its type.
    pub entity: String,
    /// Its key.
    pub id: Json,
    /// None if the row does not exist.
    pub version: Option<i64>,
}

/// A part. Invalidated when a row enters or leaves it, and when a watched column changes in one of
/// its rows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PartReport {
    /// The entity of the rows.
    pub entity: String,
    /// The column that defines the part.
    pub column: String,
    /// Its value.
    pub value: Json,
    /// Columns that decide which rows of the part are listed and in what order.
    pub watching: Vec<String>,
}

/// A set. Invalidated when a row is inserted or deleted, and when a watched column changes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SetReport {
    /// The entity of the rows.
    pub entity: String,
    /// Columns that decide which rows are listed and in what order.
    pub watching: Vec<String>,
}

/// A record of the change log, and what it affected.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangeReport {
    /// Its number, which is the version that it gave the row.
    pub seq: i64,
    /// When it was written, in RFC 3339.
    pub at: String,
    /// `insert`, `update` or `delete`.
    pub op: &'static str,
    /// The type of the row.
    pub entity: String,
    /// Its key.
    pub id: Json,
    /// The columns that an update changed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// The affected dependencies, in words.
    pub touched: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StatementReport {
    /// Its text.
    pub text: String,
    /// How often it ran.
    pub runs: usize,
    /// How many rows all its runs returned.
    pub rows: usize,
    /// Time in the database.
    pub milliseconds: f64,
    /// Of the first runs, as passed to the database.
    pub parameters: Vec<Vec<Json>>,
}

/// Where the time was spent, in milliseconds.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timing {
    /// Until the snapshot was requested: plan and arguments.
    pub plan: f64,
    /// In the database.
    pub sql: f64,
    /// The rest of the execution: writing the answer, recording its dependencies.
    pub json: f64,
}
