//! The report's form, in Rust and (by serde, in camelCase) in JSON.

use serde::Serialize;
use serde_json::Value as Json;
use serde_json::value::RawValue;

use crate::document_id::DocumentId;

/// The whole report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked.
    pub question: QuestionReport,
    /// Its validator.
    pub etag: Etag,
    /// What a response cache had to say, where one was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Cache>,
    /// What caches may do with the answer.
    pub policy: PolicyReport,
    /// What it hangs on.
    pub depends_on: DependsOn,
    /// The latest changes of what it hangs on, the newest first; as far back as the change log is
    /// kept.
    pub latest_changes: Vec<ChangeReport>,
    /// In the order of their first run.
    pub sql: Vec<StatementReport>,
    /// Where the time went.
    pub milliseconds: Timing,
}

/// What was asked.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuestionReport {
    /// The document's id.
    pub document: DocumentId,
    /// None for an anonymous operation.
    pub operation: Option<String>,
    /// Canonical: sorted, defaults filled in.
    pub variables: Box<RawValue>,
    /// As far as the answer depends on who asks; None: everybody gets the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewReport>,
}

/// What an answer depends on of who asks.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ViewReport {
    /// In hex. Viewers with the same share their answers.
    pub digest: String,
    /// What the model's rules come down to.
    pub rules: Vec<RuleReport>,
}

/// What is left of an entity's rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleReport {
    /// Whose rows.
    pub entity: String,
    /// What is done with them: `READ`, …
    pub operation: &'static str,
    /// Which of them: `every row`, `no row`, or a condition in the words of `where`.
    pub rows: String,
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
    /// The newest record of the change log that the execution could see; each version below is one
    /// such number.
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

/// A part: changed when a row comes into it or leaves it, and when a watched column of one of its
/// rows changes.
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
