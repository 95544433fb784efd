//! `GET /graphiql/operations`: the registered documents with their texts and their `freshql test`
//! cases, from which the console makes its list and its first tab. Exists in mode `open` only,
//! where any client may run any document.

use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::Value as Json;

use crate::http::admin::{self, Listed, failed};
use crate::http::problem::Problem;
use crate::http::state::AppState;
use crate::persisted::files::{CASES, DIRECTORY};

#[derive(Serialize)]
struct Operations<'a> {
    documents: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    listed: Listed<'a>,
    /// The cases by name, as in the file. They only prefill variables, so a file that does not
    /// parse is ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<Json>,
}

/// Handles `GET /graphiql/operations`.
pub(in crate::http) async fn operations(State(app): State<AppState>) -> Result<Response, Problem> {
    let registered = app.current_documents().await.list().await.map_err(|error| failed(&error))?;
    let mut documents = Vec::with_capacity(registered.len());
    for document in &registered {
        let listed = Listed::of(document, &app).with_text();
        let cases = match document.files.first().and_then(|file| cases_file(&app.dir, file)) {
            Some(path) => read(path).await,
            None => None,
        };
        documents.push(Shown { listed, cases });
    }
    Ok(admin::json(StatusCode::OK, &Operations { documents }))
}

/// `queries/ProductPage.cases.json` for `queries/ProductPage.graphql`. Documents of a manifest have
/// no cases.
fn cases_file(dir: &Path, file: &str) -> Option<PathBuf> {
    let name = Path::new(file).file_name()?.to_str()?.strip_suffix(".graphql")?;
    Some(dir.join(DIRECTORY).join(format!("{name}{CASES}")))
}

async fn read(path: PathBuf) -> Option<Json> {
    let text = tokio::task::spawn_blocking(|| std::fs::read(path)).await.ok()?.ok()?;
    serde_json::from_slice(&text).ok()
}
