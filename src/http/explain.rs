//! What mode `open` adds for developers: the report requested by the header `freshql-explain: 1`,
//! as `extensions.explain`. A report describes one moment: it is never stored, and the cache is
//! inspected but not changed. [`crate::graphql::explain`] decides what it contains.

use axum::response::Response;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{HeaderName, HeaderValue};

use super::failure::Failure;
use super::negotiate::MediaType;
use super::provenance::{CACHE_STATUS, SERVER_TIMING, server_timing};
use super::respond::{self, Representation};
use super::state::AppState;
use super::target::Target;
use crate::cache::LookupReport;
use crate::config::Mode;
use crate::dependency::{Mark, Version};
use crate::graphql::explain::{self, Cache, ChangeReport, Explanation};
use crate::graphql::{Answer, Asked, Code, GraphqlError, Variables};
use crate::store::{Search, StoreError};

/// Requests a report, with the value `1`.
pub(super) const EXPLAIN: HeaderName = HeaderName::from_static("freshql-explain");

/// Whether the request asks for a report and may have one.
pub(super) fn is_wanted(mode: Mode, headers: &HeaderMap) -> bool {
    mode == Mode::Open && headers.get(EXPLAIN).is_some_and(|value| value == "1")
}

/// Executes the query and adds the report to its answer. Preconditions are ignored: the answer is
/// needed to read the report.
pub(super) async fn answer(
    app: &AppState,
    media_type: MediaType,
    target: &Target<'_>,
    variables: &Variables,
    asked: Option<Asked<'_>>,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    // Inspect the cache first, before the execution can change it.
    let inspect = app.cache.inspect(target.key(app, variables, asked.as_ref()).0).await;
    let asked = match asked {
        Some(asked) => asked,
        None => target.asked_anonymously(app, variables)?,
    };
    let (answer, observation) = app.engine.observe(&asked).await?;
    let timing = explain::timing(&observation);
    let mut explanation =
        explain::explain(&app.engine, &asked, &answer, observation).await.map_err(failed)?;
    tell_of_public_rows_only(app, &mut explanation.latest_changes);
    explanation.cache = Some(cache(app, inspect).await.map_err(failed)?);

    let representation = Representation::new(&body(&answer, &explanation), None, None);
    let mut response = respond::unconditional(headers, media_type, &representation);
    response
        .headers_mut()
        .insert(CACHE_STATUS, HeaderValue::from_static("freshql; fwd=bypass; detail=explain"));
    response.headers_mut().insert(SERVER_TIMING, server_timing(&timing));
    Ok(response)
}

fn failed(error: StoreError) -> Failure {
    match error {
        StoreError::Overloaded => Failure::new(Code::Overloaded, error.to_string()),
        StoreError::Lost(_) => {
            Failure::new(Code::DatabaseUnavailable, "the database is not available at the moment")
        }
        _ => GraphqlError::internal(error).into(),
    }
}

async fn cache(app: &AppState, inspect: LookupReport) -> Result<Cache, StoreError> {
    let report = |status, why: &str, as_of: Option<Version>| Cache {
        status,
        why: why.to_owned(),
        stored_as_of: as_of.map(|version| version.0),
        changes: Vec::new(),
    };
    Ok(match inspect {
        LookupReport::Off => report("bypass", "the cache is off (cache_size is 0)", None),
        LookupReport::ChangeLogUnreadable => {
            report("bypass", "the change log cannot be read, so no stored answer is trusted", None)
        }
        LookupReport::Miss => {
            report("miss", "nothing is stored for this document, operation and variables", None)
        }
        LookupReport::Hit { as_of } => {
            report("hit", "nothing that the stored answer depends on has changed", as_of)
        }
        LookupReport::Stale { as_of, is_forgotten: true, .. } => report(
            "stale",
            "the stored answer is older than the oldest change still remembered",
            as_of,
        ),
        LookupReport::Stale { as_of: None, .. } => {
            report("stale", "something that the stored answer depends on has changed", None)
        }
        LookupReport::Stale { as_of: Some(as_of), marks, .. } => {
            stale(app, as_of, marks.to_vec()).await?
        }
    })
}

async fn stale(app: &AppState, as_of: Version, marks: Vec<Mark>) -> Result<Cache, StoreError> {
    let mut changes = explain::changes(&app.engine, marks.into(), Search::After(as_of)).await?;
    let is_any = !changes.is_empty();
    tell_of_public_rows_only(app, &mut changes);
    let why = match changes.first() {
        Some(first) => format!("change {} affects what the stored answer depends on", first.seq),
        None if is_any => "something that the stored answer depends on has changed".to_owned(),
        // The answer contains the change, but its computation began before the change was known.
        None => {
            "a dependency changed while the stored answer was being computed, or the record of its change was pruned".to_owned()
        }
    };
    Ok(Cache { status: "stale", why, stored_as_of: Some(as_of.0), changes })
}

/// The change log contains changes of all rows, readable or not. Changes of rows that not everybody
/// may read are left out.
fn tell_of_public_rows_only(app: &AppState, changes: &mut Vec<ChangeReport>) {
    let model = app.engine.model();
    changes.retain(|change| {
        model
            .entity_by_name(&change.entity)
            .is_some_and(|entity| model.is_read_by_everybody(entity))
    });
}

/// The answer's body, with the report among its extensions.
fn body(answer: &Answer, explanation: &Explanation) -> Bytes {
    // `{"data":…,"extensions":{"etag":"…"}}`, or with errors and without extensions.
    let (kept, before, after) =
        if answer.etag.is_some() { (2, ",", "}}") } else { (1, ",\"extensions\":{", "}}") };
    let mut body = Vec::with_capacity(answer.body.len() + 4096);
    body.extend_from_slice(&answer.body[..answer.body.len() - kept]);
    body.extend_from_slice(before.as_bytes());
    body.extend_from_slice(b"\"explain\":");
    serde_json::to_writer(&mut body, explanation).expect("a report is strings, numbers and JSON");
    body.extend_from_slice(after.as_bytes());
    body.into()
}
