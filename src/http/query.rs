//! Persisted queries at their own URLs: `/q/{id}` and `/q/{id}/{operationName}`.
//!
//! Read it from top to bottom: [`answer_get`] is the life of a persisted GET. It decides nothing
//! about data; each step calls a lower floor.

use std::sync::{Arc, OnceLock};

use axum::extract::{Request, State};
use axum::response::Response;
use http::header::{HeaderValue, IF_MATCH};
use http::{HeaderMap, Method};

use super::address::Address;
use super::cors::Place;
use super::explain;
use super::failure::Failure;
use super::negotiate::{self, MediaType};
use super::parameters::Parameters;
use super::problem::Problem;
use super::provenance::Provenance;
use super::respond::{self, Representation};
use super::state::AppState;
use super::target::Target;
use super::{access, once, viewer};
use crate::cache::{self, Executed, Stored};
use crate::conditional::IfMatch;
use crate::config::Mode;
use crate::document_id::DocumentRef;
use crate::graphql::explain::timing as observed_time;
use crate::graphql::{Asked, Code, Document, GraphqlError, OperationKind, Variables};
use crate::persisted::Registered;
use crate::store::StoreError;
use crate::viewer::Viewer;

/// `GET` and `HEAD /q/{id}[/{operationName}]`.
pub(super) async fn get(
    State(app): State<AppState>,
    address: Address,
    request: Request,
) -> Response {
    // Storable answers have the same media type for everybody; errors, which are never stored, use
    // the type that the client prefers.
    let for_errors = negotiate::media_type_or_json(request.headers());
    answer_get(&app, &address, request)
        .await
        .unwrap_or_else(|failure| failure.into_response(for_errors))
}

/// `POST /q/{id}[/{operationName}]`.
pub(super) async fn post(
    State(app): State<AppState>,
    media_type: MediaType,
    address: Address,
    request: Request,
) -> Response {
    answer_post(&app, media_type, &address, request)
        .await
        .unwrap_or_else(|failure| failure.into_response(media_type))
}

async fn answer_get(
    app: &AppState,
    address: &Address,
    request: Request,
) -> Result<Response, Failure> {
    // Which document, and which of its operations.
    let url = Url::of(app, &request);
    let parameters = Parameters::from_query(request.uri().query())?;
    let registered = find(app, address, &parameters).await?;
    let document = valid(&registered)?;
    let operation = document.operation(address.operation(&parameters)?)?;

    // Which question exactly, then the answer, then its preconditions.
    let target = Target { document, operation, is_registered: true };
    read(app, MediaType::Json, target, parameters, request.headers(), url).await
}

async fn answer_post(
    app: &AppState,
    media_type: MediaType,
    address: &Address,
    request: Request,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let parameters = Parameters::from_body(&head, body).await?;
    let registered = find(app, address, &parameters).await?;
    let document = valid(&registered)?;
    let operation = document.operation(address.operation(&parameters)?)?;
    run(
        app,
        media_type,
        Target { document, operation, is_registered: true },
        parameters,
        &head.headers,
    )
    .await
}

/// Answers a GET or HEAD: executes, then evaluates the preconditions against the ETag of what was
/// read.
pub(super) async fn read(
    app: &AppState,
    media_type: MediaType,
    target: Target<'_>,
    parameters: Parameters,
    headers: &HeaderMap,
    url: Option<Url<'_>>,
) -> Result<Response, Failure> {
    if target.operation.kind() == OperationKind::Mutation {
        return Err(Problem::method_not_allowed("POST", "a mutation is run by POST").into());
    }
    let variables = target.operation.coerce_variables(&parameters.variables.unwrap_or_default())?;
    let asked = target.asked(app, &variables, headers).await?;
    if explain::is_wanted(app.mode, headers) {
        return explain::answer(app, media_type, &target, &variables, asked, headers).await;
    }
    let is_private = asked.is_some();
    let (key, canonical_url) = target.key(app, &variables, asked.as_ref());
    let is_checked = url.is_some_and(|url| url.is_checked);
    let (stored, provenance) =
        answer(app, &target, key, canonical_url.as_deref(), &variables, asked, is_checked)
            .await
            .map_err(|errors| Failure::of(target.operation, errors))?;
    if let Some(url) = url {
        // An answer that depends on the viewer is found again only by the URL together with the
        // token.
        let token =
            if is_private { viewer::known_token(app, headers).map(Some) } else { Some(None) };
        if let Some(token) = token {
            app.cache.remember_url(url.text, token, key, &stored, url.generation);
        }
    }
    let coding = stored.value.coding(headers);
    if stored.value.is_slow(coding) {
        let stored = stored.clone();
        // If the task fails, the answer is compressed inline below.
        let _ = tokio::task::spawn_blocking(move || drop(stored.value.coded(coding).clone())).await;
    }
    let mut response = respond::conditional(headers, media_type, &stored.value)?;
    if is_private {
        viewer::tell_private(app, url.map_or(Place::Other, |url| url.place()), &mut response);
    }
    provenance.tell(app.mode, &mut response);
    access::note(&mut response, &provenance, target.operation.name());
    Ok(response)
}

/// The URL of a GET, and the generation of documents when its resolution began.
#[derive(Clone, Copy)]
pub(super) struct Url<'a> {
    text: &'a str,
    generation: u64,
    /// The clock has caught up since the request arrived.
    is_checked: bool,
}

/// A request extension: the clock has caught up since the request arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked;

impl<'a> Url<'a> {
    /// The resource of a GET or HEAD to this URL.
    fn place(self) -> Place {
        Place::of(&Method::GET, self.text.split('?').next().unwrap_or_default())
    }

    /// Call this before anything is looked up by the URL.
    pub(super) fn of(app: &AppState, request: &'a Request) -> Option<Self> {
        let text = request.uri().path_and_query()?.as_str();
        let is_checked = request.extensions().get::<Checked>().is_some();
        Some(Self { text, generation: app.registry.generation(), is_checked })
    }
}

/// Answers a POST: mutations, and queries whose variables are too long for a URL.
pub(super) async fn run(
    app: &AppState,
    media_type: MediaType,
    target: Target<'_>,
    parameters: Parameters,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let variables = target.operation.coerce_variables(&parameters.variables.unwrap_or_default())?;
    match target.operation.kind() {
        OperationKind::Query if explain::is_wanted(app.mode, headers) => {
            let asked = target.asked(app, &variables, headers).await?;
            explain::answer(app, media_type, &target, &variables, asked, headers).await
        }
        OperationKind::Query => {
            let asked = target.asked(app, &variables, headers).await?;
            let (key, canonical_url) = target.key(app, &variables, asked.as_ref());
            let (stored, provenance) =
                answer(app, &target, key, canonical_url.as_deref(), &variables, asked, false)
                    .await
                    .map_err(|errors| Failure::of(target.operation, errors))?;
            let mut response = respond::unconditional(headers, media_type, &stored.value);
            provenance.tell(app.mode, &mut response);
            access::note(&mut response, &provenance, target.operation.name());
            Ok(response)
        }
        OperationKind::Mutation => {
            let if_match =
                IfMatch::parse(headers.get_all(IF_MATCH).iter().map(HeaderValue::as_bytes))
                    .map_err(|error| {
                        Failure::new(Code::BadRequest, format!("If-Match is {error}"))
                    })?;
            let asked = match target.asked(app, &variables, headers).await? {
                Some(asked) => asked,
                None => target.asked_anonymously(app, &variables)?,
            };
            let once = once::of(headers, &asked.question(), app.idempotency_retention)?;
            let _turn = once.as_ref().map(|once| app.under_way.begin(&once.key)).transpose()?;
            let answer = app.engine.mutate_once(&asked, if_match, once).await;
            let answer = answer.map_err(|errors| Failure::of(target.operation, errors))?;
            let representation = Representation::new(&answer.body, None, None);
            Ok(respond::unconditional(headers, media_type, &representation))
        }
    }
}

/// The answer to a question, stored or executed.
async fn answer(
    app: &AppState,
    target: &Target<'_>,
    key: cache::Key,
    canonical_url: Option<&str>,
    variables: &Variables,
    asked: Option<Asked<'_>>,
    is_checked: bool,
) -> Result<(Arc<Stored<Representation>>, Provenance), Vec<GraphqlError>> {
    // Used only in development: see `explain.rs`.
    let timing = OnceLock::new();
    let is_private = asked.is_some();
    let asked = &asked;
    let execute = || async {
        // A public answer is executed for the anonymous viewer.
        let anonymous = match asked {
            Some(_) => None,
            None => Some(app.engine.ask(target.operation, variables, &Viewer::Anonymous)?),
        };
        let asked = anonymous.as_ref().or(asked.as_ref()).expect("one of them is there");
        let (answer, as_of) = if app.mode == Mode::Open {
            let (answer, observation) = app.engine.observe(asked).await?;
            // There is at most one execution.
            let _ = timing.set(observed_time(&observation));
            (answer, Some(observation.as_of))
        } else {
            (app.engine.answer(asked).await?, None)
        };
        let dependencies = answer.etag.is_some().then_some(answer.dependencies);
        let etag = answer.etag.map(|etag| (etag, app.policies.of(answer.policy)));
        let value = Representation::new(&answer.body, etag, canonical_url).for_viewers(is_private);
        Ok::<_, Vec<GraphqlError>>(Executed { weight: value.weight(), dependencies, value, as_of })
    };
    let (stored, source) = app.cache.answer(key, is_checked, execute).await?;
    Ok((stored, Provenance { source, timing: timing.into_inner() }))
}

/// The document that the path names.
async fn find(
    app: &AppState,
    address: &Address,
    parameters: &Parameters,
) -> Result<Arc<Registered>, Failure> {
    let operation_name = address.operation_name.as_deref().or(parameters.operation_name());
    find_registered(app, address.document(), operation_name).await
}

/// The document that a request names, if a document can have that name.
pub(super) async fn find_registered(
    app: &AppState,
    name: Option<DocumentRef>,
    operation_name: Option<&str>,
) -> Result<Arc<Registered>, Failure> {
    let found = match name {
        // Files take precedence over documents that others register or remove, so there is no need
        // to catch up first.
        Some(name) => match app.registry.find_in_files(&name) {
            Some(registered) => Some(registered),
            None => app.current_documents().await.find(&name).await.map_err(unreadable)?,
        },
        None => None,
    };
    found.ok_or_else(|| not_found(app, operation_name).into())
}

/// The registered documents cannot be read.
pub(super) fn unreadable(error: StoreError) -> Failure {
    if matches!(error, StoreError::Overloaded) {
        return Failure::new(
            Code::Overloaded,
            "too many requests are waiting for the database; try again",
        );
    }
    let message = "the database does not answer; try again";
    GraphqlError::new(Code::DatabaseUnavailable, message).because(DocumentsUnreadable(error)).into()
}

#[derive(Debug, thiserror::Error)]
#[error("cannot read the registered documents: {0}")]
struct DocumentsUnreadable(#[source] StoreError);

/// The document, ready to run. One that was registered over the API may have become invalid with a
/// later model.
pub(super) fn valid(registered: &Registered) -> Result<&Document, Failure> {
    registered.document.as_ref().map_err(|errors| {
        let mut errors = errors.clone();
        for error in &mut errors {
            error.message =
                format!("the registered document is no longer valid: {}", error.message);
        }
        errors.into()
    })
}

/// No document has this id. If a registered operation has the same name, the client was probably
/// built from another version of it; the error mentions that document's id.
fn not_found(app: &AppState, operation_name: Option<&str>) -> GraphqlError {
    let error =
        GraphqlError::new(Code::PersistedQueryNotFound, "no document is registered under this id");
    resembling(app, operation_name, error)
}

/// The error with the id of the document that was probably meant.
pub(super) fn resembling(
    app: &AppState,
    operation_name: Option<&str>,
    error: GraphqlError,
) -> GraphqlError {
    match operation_name.and_then(|name| app.registry.resembling(name)) {
        Some(id) => error.with("registeredId", &id.to_string()),
        None => error,
    }
}
