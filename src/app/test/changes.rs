//! Tests that the ETag of an answer behaves as it should: it stays the same when the request is
//! repeated, a change of a row that the answer read gives a new one, and a change of any other row
//! does not. The rows are changed as another program would.

use std::collections::HashSet;

use anyhow::Context;
use http::StatusCode;
use http::header::HeaderValue;

use super::asking::{CaseRequest, Server};
use crate::dependency::Dependency;
use crate::etag::Ingredient;
use crate::graphql::Answer;
use crate::graphql::observation::Observation;
use crate::model::{ColumnId, Entity, EntityId, Value};
use crate::store::Admin;

/// How many rows of a table to search for one that the answer does not depend on.
const LOOKED_AT: usize = 10_000;

/// What is wrong with an answer's ETag.
///
/// # Errors
/// The database cannot be written.
pub(super) async fn problems(
    server: &Server,
    question: &CaseRequest<'_>,
    etag: &HeaderValue,
    observed: &(Answer, Observation),
) -> anyhow::Result<Vec<String>> {
    let (answer, observation) = observed;
    let mut problems = Vec::new();
    let executed = answer.etag.as_ref().map(|etag| etag.as_str().to_owned()).unwrap_or_default();
    if !etag.to_str().unwrap_or_default().starts_with(&format!("\"{executed}")) {
        problems.push(format!(
            "executed twice, the query has two ETags: {} and \"{executed}\"",
            shown(etag)
        ));
    }
    let again = server.ask(question, Some(etag)).await?;
    if again.status != StatusCode::NOT_MODIFIED {
        problems.push(format!(
            "asked again with its own ETag {}, the server answers {} and not 304",
            shown(etag),
            again.status
        ));
    }
    let mut admin =
        Admin::open(&server.scratch.database).context("cannot open the scratch database")?;
    let model = server.engine.model();
    let mut etag = etag.clone();
    for entity in &model.entities {
        let Some(change) = change_one_of_others(&mut admin, entity, answer)? else { continue };
        let asked = server.ask(question, Some(&etag)).await?;
        if asked.status != StatusCode::NOT_MODIFIED && !change.has_consequences {
            let other = asked.etag().map_or("none".to_owned(), shown);
            problems.push(format!(
                "the ETag changes (to {other}) when {}, which the answer does not depend on",
                change.text
            ));
        }
        etag = asked.etag().cloned().unwrap_or(etag);
    }
    for (entity, key) in first_rows(&observation.ingredients) {
        // An earlier change may have brought other rows to the page.
        let Some((_, now)) = server.observe(question).await else { break };
        let is_read = |ingredient: &Ingredient| matches!(ingredient, Ingredient::Row(e, k, _) if *e == entity && *k == key);
        if !now.ingredients.iter().any(is_read) {
            continue;
        }
        let entity = model.entity(entity);
        let columns: Vec<ColumnId> = entity.column_ids().collect();
        let Some(change) = change(&mut admin, entity, &columns, &key)? else { continue };
        let asked = server.ask(question, Some(&etag)).await?;
        if asked.status == StatusCode::NOT_MODIFIED {
            problems.push(format!(
                "the ETag stays when {}, which the answer was read from",
                change.text
            ));
        }
        etag = asked.etag().cloned().unwrap_or(etag);
    }
    Ok(problems)
}

fn shown(etag: &HeaderValue) -> String {
    String::from_utf8_lossy(etag.as_bytes()).into_owned()
}

/// The first row of each entity that an answer read.
fn first_rows(ingredients: &[Ingredient]) -> Vec<(EntityId, Value)> {
    let mut rows: Vec<(EntityId, Value)> = Vec::new();
    for ingredient in ingredients {
        if let Ingredient::Row(entity, key, _) = ingredient
            && rows.iter().all(|(known, _)| known != entity)
        {
            rows.push((*entity, key.clone()));
        }
    }
    rows
}

/// A change that was made.
struct Change {
    /// `Product 7 gets another price`
    text: String,
    /// Whether more than one row changed, because triggers of the tables' authors did something
    /// else.
    has_consequences: bool,
}

/// Changes a row of this entity that the answer does not depend on, if there is one.
fn change_one_of_others(
    admin: &mut Admin,
    entity: &Entity,
    answer: &Answer,
) -> anyhow::Result<Option<Change>> {
    let (mut rows, mut watched) = (HashSet::new(), HashSet::new());
    for dependency in
        answer.dependencies.all.iter().filter(|dependency| dependency.entity() == entity.id)
    {
        match dependency {
            Dependency::Row(_, key) => drop(rows.insert(text_of(key))),
            Dependency::Part { watching, .. } | Dependency::Set { watching, .. } => {
                watched.extend(watching.iter().copied())
            }
        }
    }
    let columns: Vec<ColumnId> = entity
        .column_ids()
        .filter(|id| !watched.contains(id) && !entity.column(*id).part)
        .collect();
    match admin.keys(entity, LOOKED_AT)?.iter().find(|key| !rows.contains(&text_of(key))) {
        Some(key) => change(admin, entity, &columns, key),
        None => Ok(None),
    }
}

/// Changes one of these columns of a row, if the database allows it.
fn change(
    admin: &mut Admin,
    entity: &Entity,
    columns: &[ColumnId],
    key: &Value,
) -> anyhow::Result<Option<Change>> {
    // A lookup by a unique column identifies its row by that value, so change such columns last.
    let is_unique = |id: &ColumnId| entity.uniques.iter().any(|unique| unique.columns.contains(id));
    let mut columns: Vec<ColumnId> =
        columns.iter().copied().filter(|id| *id != entity.key).collect();
    columns.sort_by_key(is_unique);
    for id in columns.into_iter().filter(|id| entity.column(*id).references.is_none()) {
        // A constraint may forbid the value: try another column.
        let Some(records) = admin.alter_row(entity, key, id)? else { continue };
        let text =
            format!("{} {} gets another {}", entity.name, text_of(key), entity.column(id).field);
        return Ok(Some(Change { text, has_consequences: records > 1 }));
    }
    Ok(None)
}

fn text_of(key: &Value) -> String {
    match key {
        Value::Null => "null".to_owned(),
        Value::Int(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(text) => text.to_string(),
    }
}
