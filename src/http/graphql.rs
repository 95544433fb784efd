//! `/graphql`: GraphQL over HTTP, with persisted documents under any of their names, automatic
//! persisted queries, and (in mode `open`) ad-hoc documents. This file decides which of them a
//! request may use; [`super::query`] runs them.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::failure::Failure;
use super::negotiate::MediaType;
use super::parameters::Parameters;
use super::query::{self, Url, find_registered, resembling, unreadable, valid};
use super::state::AppState;
use super::target::Target;
use crate::config::Mode;
use crate::document_id::{DocumentId, DocumentRef};
use crate::graphql::{Code, Document, GraphqlError};
use crate::persisted::{Registered, Sha256Hash};

/// `GET` and `HEAD /graphql`.
pub(super) async fn get(
    State(app): State<AppState>,
    media_type: MediaType,
    request: Request,
) -> Response {
    answer_get(&app, media_type, request)
        .await
        .unwrap_or_else(|failure| failure.into_response(media_type))
}

/// `POST /graphql`.
pub(super) async fn post(
    State(app): State<AppState>,
    media_type: MediaType,
    request: Request,
) -> Response {
    answer_post(&app, media_type, request)
        .await
        .unwrap_or_else(|failure| failure.into_response(media_type))
}

async fn answer_get(
    app: &AppState,
    media_type: MediaType,
    request: Request,
) -> Result<Response, Failure> {
    let url = Url::of(app, &request);
    let parameters = Parameters::from_query(request.uri().query())?;
    let found = find(app, &parameters).await?;
    let target = found.target(app, parameters.operation_name())?;
    query::read(app, media_type, target, parameters, request.headers(), url).await
}

async fn answer_post(
    app: &AppState,
    media_type: MediaType,
    request: Request,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let parameters = Parameters::from_body(&head, body).await?;
    let found = find(app, &parameters).await?;
    let target = found.target(app, parameters.operation_name())?;
    query::run(app, media_type, target, parameters, &head.headers).await
}

/// The document that a request asks to run.
enum RequestedDocument {
    /// Registered by the operator; it has its own URL.
    Trusted(Arc<Registered>),
    /// Sent by a client.
    Learned(Arc<Document>),
}

impl RequestedDocument {
    fn target(&self, app: &AppState, operation_name: Option<&str>) -> Result<Target<'_>, Failure> {
        let (document, is_registered) = match self {
            Self::Trusted(registered) => (valid(registered)?, true),
            Self::Learned(document) => (&**document, false),
        };
        let operation = document.operation(operation_name)?;
        if operation.introspects() && matches!(self, Self::Learned(_)) && !app.introspection {
            return Err(Failure::new(
                Code::Forbidden,
                "only registered documents may ask about the schema here",
            ));
        }
        Ok(Target { document, operation, is_registered })
    }
}

/// The names of a document take precedence in this order: the draft's, Apollo's, Relay's, others',
/// and finally the text.
async fn find(app: &AppState, parameters: &Parameters) -> Result<RequestedDocument, Failure> {
    if let Some(name) = &parameters.document_id {
        return registered(app, parameters, name).await;
    }
    if let Some(persisted) = PersistedQuery::of(parameters.extensions.as_ref())? {
        return automatic(app, parameters, &persisted).await;
    }
    if let Some(name) = parameters.doc_id.as_ref().or(parameters.id.as_ref()) {
        return registered(app, parameters, name).await;
    }
    match parameters.query.as_deref() {
        Some(text) if app.mode == Mode::Open => {
            let hash = Sha256Hash::of(text);
            match by_hash(app, hash).await? {
                Some(registered) => Ok(RequestedDocument::Trusted(registered)),
                None => Ok(RequestedDocument::Learned(
                    app.learned.learn(app.engine.compiler(), hash, text).await?,
                )),
            }
        }
        Some(_) => Err(only_registered()),
        None => Err(Failure::new(Code::BadRequest, "neither `query` nor `documentId` is given")),
    }
}

async fn registered(
    app: &AppState,
    parameters: &Parameters,
    name: &str,
) -> Result<RequestedDocument, Failure> {
    let found = find_registered(app, DocumentRef::parse(name), parameters.operation_name()).await;
    found.map(RequestedDocument::Trusted)
}

async fn by_hash(app: &AppState, hash: Sha256Hash) -> Result<Option<Arc<Registered>>, Failure> {
    app.current_documents().await.by_hash(hash).await.map_err(unreadable)
}

/// Apollo's automatic persisted queries, and the ids of Apollo's manifests, which clients send in
/// the same field. A miss is a 200 with an error, because that is how these clients know that they
/// must send the text.
async fn automatic(
    app: &AppState,
    parameters: &Parameters,
    persisted: &PersistedQuery,
) -> Result<RequestedDocument, Failure> {
    let (hash, text) = (persisted.hash()?, parameters.query.as_deref());
    // A document's own id is accepted like its sha256.
    let is_of = |text: &str| {
        hash == Some(Sha256Hash::of(text))
            || persisted.sha256_hash == DocumentId::of(text).to_string()
    };
    if text.is_some_and(|text| hash.is_some() && !is_of(text)) {
        return Err(Failure::new(
            Code::PersistedQueryHashMismatch,
            "provided sha does not match query",
        ));
    }
    let name = hash.map_or_else(|| persisted.sha256_hash.clone(), |hash| hash.to_string());
    if let Some(name) = DocumentRef::parse(&name)
        && let Some(registered) =
            app.current_documents().await.find(&name).await.map_err(unreadable)?
    {
        return Ok(RequestedDocument::Trusted(registered));
    }
    if app.mode == Mode::Trusted {
        return Err(match text {
            Some(_) => only_registered(),
            None => miss(
                app,
                parameters,
                Code::PersistedQueryNotSupported,
                "PersistedQueryNotSupported",
            ),
        });
    }
    let not_found =
        || miss(app, parameters, Code::PersistedQueryNotFound, "PersistedQueryNotFound");
    let Some(hash) = hash else {
        // An id from a manifest that nobody has registered, so there is no way to check what it
        // stands for.
        return Err(if text.is_some() { PersistedQuery::malformed() } else { not_found() });
    };
    let document = match text {
        Some(text) => app.learned.learn(app.engine.compiler(), hash, text).await?,
        None => app.learned.get(hash).ok_or_else(not_found)?,
    };
    Ok(RequestedDocument::Learned(document))
}

fn miss(app: &AppState, parameters: &Parameters, code: Code, message: &str) -> Failure {
    let error = resembling(app, parameters.operation_name(), GraphqlError::new(code, message));
    Failure::from(error).with_status(StatusCode::OK)
}

fn only_registered() -> Failure {
    Failure::new(
        Code::PersistedQueryRequired,
        "only registered documents run here; send a `documentId` instead of a query text",
    )
}

/// `extensions.persistedQuery`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    version: Option<u64>,
    sha256_hash: String,
}

impl PersistedQuery {
    fn of(extensions: Option<&Map<String, Value>>) -> Result<Option<Self>, Failure> {
        let Some(value) = extensions.and_then(|extensions| extensions.get("persistedQuery")) else {
            return Ok(None);
        };
        // An Option, because some clients send `null` for an absent value.
        Option::deserialize(value).map_err(|error| {
            Failure::new(
                Code::BadRequest,
                format!("`extensions.persistedQuery` cannot be read: {error}"),
            )
        })
    }

    /// None if it is not a hash: the ids in manifests may be anything.
    fn hash(&self) -> Result<Option<Sha256Hash>, Failure> {
        if self.version.unwrap_or(1) != 1 {
            return Err(Failure::new(Code::BadRequest, "Unsupported persisted query version"));
        }
        Ok(Sha256Hash::parse(&self.sha256_hash))
    }

    fn malformed() -> Failure {
        Failure::new(Code::BadRequest, "`sha256Hash` is not 64 hex digits")
    }
}
