//! The operator's API: registers, lists and removes documents. It requires the admin token.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HeaderValue, LOCATION};
use http::request::Parts;
use http::{StatusCode, Uri};
use serde::Serialize;

use super::address::Address;
use super::parameters::read_body;
use super::problem::Problem;
use super::state::AppState;
use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::OperationKind;
use crate::persisted::documents::{RegisterError, RemoveError};
use crate::persisted::registered::rfc3339;
use crate::persisted::registry::RemovalRefused;
use crate::persisted::{Registered, Retired, Sha256Hash};
use crate::store::StoreError;

/// `PUT /q/{id}`: registers the body under its hash.
pub(super) async fn put(
    State(app): State<AppState>,
    _: Admin,
    address: Address,
    request: Request,
) -> Result<Response, Problem> {
    let id = id_of(&address)?;
    let (head, body) = request.into_parts();
    let body = read_body(&head, body).await?;
    let text: Arc<str> = std::str::from_utf8(&body)
        .map_err(|error| {
            Problem::new(StatusCode::BAD_REQUEST, format!("the document is not UTF-8: {error}"))
        })?
        .into();
    let actual = DocumentId::of(&text);
    if actual != id {
        let detail = format!("the body hashes to {actual}, which is not the id in the URL");
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }

    let new =
        app.current_documents().await.register(id, text, None).await.map_err(
            |error| match error {
                RegisterError::Invalid(errors) => {
                    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the document is invalid")
                        .with_errors(&errors)
                }
                error @ RegisterError::Taken(..) => {
                    Problem::new(StatusCode::CONFLICT, error.to_string())
                }
                RegisterError::Store(error) => failed(&error),
            },
        )?;
    let registered = app.registry.get(id).ok_or_else(|| no_such_document(id))?;
    let names = registered
        .document
        .iter()
        .flat_map(|document| document.operations())
        .filter_map(|operation| operation.name());
    tracing::info!(document = %id, operations = names.collect::<Vec<_>>().join(", "), new, "a document was registered");
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = json(status, &Listed::of(&registered, &app));
    if new {
        let location =
            HeaderValue::try_from(format!("/q/{id}")).expect("hex digits may stand in a header");
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// `GET /q`: all registered documents, ordered by id; with `?texts=true`, with their texts.
pub(super) async fn list(
    State(app): State<AppState>,
    _: Admin,
    uri: Uri,
) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct List<'a> {
        documents: Vec<Listed<'a>>,
    }
    let registered = app.current_documents().await.list().await.map_err(|error| failed(&error))?;
    let with_texts =
        uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "texts=true"));
    let listed = registered.iter().map(|registered| {
        let listed = Listed::of(registered, &app);
        if with_texts { listed.with_text() } else { listed }
    });
    Ok(json(StatusCode::OK, &List { documents: listed.collect() }))
}

/// `DELETE /q/{id}`: removes a document that was registered over the API.
pub(super) async fn delete(
    State(app): State<AppState>,
    _: Admin,
    address: Address,
) -> Result<Response, Problem> {
    let id = id_of(&address)?;
    match app.current_documents().await.remove(id).await {
        Ok(()) => {
            tracing::info!(document = %id, "a document was removed");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Err(RemoveError::Refused(RemovalRefused::Unknown)) => Err(no_such_document(id)),
        Err(RemoveError::Refused(RemovalRefused::InFiles(files))) => {
            let detail =
                format!("the document is in {}; remove it there and restart", files.join(", "));
            Err(Problem::new(StatusCode::CONFLICT, detail))
        }
        Err(RemoveError::Store(error)) => Err(failed(&error)),
    }
}

/// Proof that the request carries the admin token.
pub(super) struct Admin;

impl FromRequestParts<AppState> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Problem> {
        app.admin_token.check(&parts.headers).map(|()| Admin)
    }
}

/// A document as shown to the operator.
#[derive(Serialize)]
pub(super) struct Listed<'a> {
    #[serde(skip)]
    registered: &'a Registered,
    id: DocumentId,
    /// Only if requested.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    sha256: String,
    /// The names that manifests give it.
    aliases: Vec<String>,
    operations: Vec<ListedOperation<'a>>,
    /// The query files that contain it.
    files: &'a [String],
    stored: bool,
    /// When it left the query files, and until when it is still served.
    retired: Option<ListedRetired>,
    /// False if it is not valid with the current model.
    valid: bool,
}

#[derive(Serialize)]
struct ListedRetired {
    since: String,
    until: String,
}

#[derive(Serialize)]
struct ListedOperation<'a> {
    name: Option<&'a str>,
    kind: &'static str,
}

impl<'a> Listed<'a> {
    pub(super) fn of(registered: &'a Registered, app: &AppState) -> Self {
        let operations =
            registered.document.as_ref().map(|document| document.operations()).unwrap_or_default();
        let kind = |kind| match kind {
            OperationKind::Query => "query",
            OperationKind::Mutation => "mutation",
        };
        Self {
            registered,
            id: registered.id,
            text: None,
            sha256: Sha256Hash::of(&registered.text).to_string(),
            aliases: app.registry.aliases(registered.id),
            operations: operations
                .iter()
                .map(|o| ListedOperation { name: o.name(), kind: kind(o.kind()) })
                .collect(),
            files: &registered.files,
            stored: registered.stored,
            retired: registered.retired.map(|Retired { since, until }| ListedRetired {
                since: rfc3339(since),
                until: rfc3339(until),
            }),
            valid: registered.document.is_ok(),
        }
    }

    /// Includes the document's text.
    pub(super) fn with_text(self) -> Self {
        Self { text: Some(&self.registered.text), ..self }
    }
}

/// The admin API changes documents by id only: an alias would hide which document is changed.
fn id_of(address: &Address) -> Result<DocumentId, Problem> {
    match address.document() {
        Some(DocumentRef::Id(id)) if address.names_document_only() => Ok(id),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "the URL must be /q/ followed by the 64 hex digits of a blake3 hash",
        )),
    }
}

fn no_such_document(id: DocumentId) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("no document is registered under {id}"))
}

pub(super) fn failed(error: &StoreError) -> Problem {
    Problem::of_store("the admin API failed", error, StatusCode::INTERNAL_SERVER_ERROR)
}

pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("strings, numbers and booleans always serialise");
    (status, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}
