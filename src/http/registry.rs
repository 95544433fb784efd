//! `POST /q`: registers many documents at once, in the forms that client tools produce: a manifest
//! of Apollo, Relay or GraphQL code generator as JSON; or Relay's form `text=…`, whose answer is
//! the id that the Relay compiler writes into its artifacts.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use percent_encoding::percent_decode;
use serde::Serialize;
use serde_json::json;

use super::admin::{Admin, failed, json as answer};
use super::parameters::read_body;
use super::problem::Problem;
use super::state::AppState;
use crate::document_id::DocumentId;
use crate::graphql::GraphqlError;
use crate::persisted::documents::RegisterError;
use crate::persisted::manifest::{self, Entry};

/// A document that was refused.
#[derive(Serialize)]
struct Refused<'a> {
    /// Its name in the manifest.
    name: &'a str,
    id: DocumentId,
    errors: Vec<GraphqlError>,
    /// Why it is refused, if the document itself is valid.
    reason: Option<String>,
}

/// Handles `POST /q`.
pub(super) async fn post(
    State(app): State<AppState>,
    _: Admin,
    request: Request,
) -> Result<Response, Problem> {
    let media_type = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_form = match essence.as_str() {
        "application/json" => false,
        "application/x-www-form-urlencoded" => true,
        _ => {
            let detail = "send a manifest as application/json, or a form with `text` as application/x-www-form-urlencoded";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
        }
    };
    let (head, body) = request.into_parts();
    let body = read_body(&head, body).await?;
    let text = std::str::from_utf8(&body)
        .map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the body is not UTF-8"))?;
    if is_form { one(&app, text).await } else { many(&app, text).await }
}

/// Relay's form.
async fn one(app: &AppState, form: &str) -> Result<Response, Problem> {
    let given = form.split('&').find_map(|pair| pair.strip_prefix("text="));
    let given = given
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "the form has no `text`"))?
        .replace('+', " ");
    let text = percent_decode(given.as_bytes()).decode_utf8();
    let text: Arc<str> =
        text.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "`text` is not UTF-8"))?.into();
    let id = DocumentId::of(&text);
    match app.current_documents().await.register(id, text, None).await {
        Ok(new) => {
            tracing::info!(document = %id, new, "a document was registered");
            Ok(answer(if new { StatusCode::CREATED } else { StatusCode::OK }, &json!({ "id": id })))
        }
        Err(RegisterError::Invalid(errors)) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the document is invalid")
                .with_errors(&errors))
        }
        Err(error @ RegisterError::Taken(..)) => {
            Err(Problem::new(StatusCode::CONFLICT, error.to_string()))
        }
        Err(RegisterError::Store(error)) => Err(failed(&error)),
    }
}

/// A manifest. Valid documents are registered even if others are refused.
async fn many(app: &AppState, json: &str) -> Result<Response, Problem> {
    let entries =
        manifest::parse(json).map_err(|why| Problem::new(StatusCode::BAD_REQUEST, why))?;
    let (mut new, mut known, mut refused) = (0, 0, Vec::new());
    for Entry { alias, text } in &entries {
        let id = DocumentId::of(text);
        let (errors, reason) =
            match app.current_documents().await.register(id, text.clone(), Some(alias)).await {
                Ok(is_new) => {
                    if is_new {
                        new += 1
                    } else {
                        known += 1
                    }
                    continue;
                }
                Err(RegisterError::Invalid(errors)) => (errors, None),
                Err(error @ RegisterError::Taken(..)) => (Vec::new(), Some(error.to_string())),
                Err(RegisterError::Store(error)) => return Err(failed(&error)),
            };
        refused.push(Refused { name: alias, id, errors, reason });
    }
    tracing::info!(new, known, refused = refused.len(), "a manifest was registered");
    let status = if refused.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(answer(status, &json!({ "new": new, "known": known, "refused": refused })))
}
