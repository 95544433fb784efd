//! Runs a case: through the whole server, on its own copy of the scratch database.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Method, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use super::cases::Case;
use super::scratch::{Copy, Scratch};
use crate::app::token;
use crate::config::{ByteSize, Config, Issuer, Mode, PartialConfig};
use crate::document_id::DocumentId;
use crate::graphql::observation::Observation;
use crate::graphql::{Answer, Compiler, Engine, Operation, OperationKind};
use crate::http::{AppState, Front, service};
use crate::identity::{Authenticator, Carrier};
use crate::model::Model;
use crate::model::diagnostic::suggest;
use crate::persisted::Registry;
use crate::store::Store;
use crate::viewer::Viewer;

/// Memory for cached answers: enough for those of one case.
const CACHE: u64 = 4 << 20;

/// What all cases share.
pub(super) struct Bench {
    config: Config,
    pub(super) model: Arc<Model>,
    compiler: Compiler,
    registry: Arc<Registry>,
    pub(super) scratch: Scratch,
}

impl Bench {
    /// Answers are those of production, whatever the project's mode.
    pub(super) fn new(
        config: &Config,
        model: Arc<Model>,
        compiler: Compiler,
        registry: Arc<Registry>,
        scratch: Scratch,
    ) -> Self {
        let defaults = Config::resolve(PartialConfig::default(), None);
        let config = Config {
            mode: Mode::Trusted,
            readers: 1,
            cache_size: ByteSize(CACHE),
            consistency: defaults.consistency,
            introspection: defaults.introspection,
            cors_origins: defaults.cors_origins,
            ..config.clone()
        };
        Self { config, model, compiler, registry, scratch }
    }

    /// A server with its own database.
    ///
    /// # Errors
    /// The database cannot be created.
    pub(super) async fn server(&self) -> anyhow::Result<Server> {
        let scratch = self.scratch.copy()?;
        let store = Store::open(&scratch.database, self.config.readers, &self.model)
            .await
            .context("cannot open the scratch database")?;
        let engine =
            Engine::with_limits(self.compiler.clone(), store.clone(), self.config.limits.answer);
        let issuers = token::for_tests(&self.config)?;
        let authenticator = Arc::new(Authenticator::new(&issuers).context("[auth]")?);
        let app = AppState::new(
            &self.config,
            authenticator.clone(),
            engine.clone(),
            store,
            self.registry.clone(),
        );
        let front = service(app.context("cannot start threads")?);
        Ok(Server {
            front,
            engine,
            scratch,
            issuers,
            authenticator,
            longest_url: self.config.limits.max_url_bytes,
        })
    }
}

/// A server for a single case.
pub(super) struct Server {
    front: Front,
    pub(super) engine: Engine,
    /// Who can sign the tokens of cases.
    issuers: Vec<Issuer>,
    authenticator: Arc<Authenticator>,
    longest_url: usize,
    /// Its database. Dropped last.
    pub(super) scratch: Copy,
}

/// A request with all placeholders filled in.
pub(super) struct CaseRequest<'a> {
    pub(super) operation: &'a Operation,
    pub(super) variables: Map<String, Value>,
    headers: HeaderMap,
    path: String,
    /// The viewer of the case.
    viewer: Viewer,
}

pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answered {
    pub(super) fn etag(&self) -> Option<&HeaderValue> {
        self.headers.get(http::header::ETAG)
    }
}

impl Server {
    /// Fills in what a case takes from the database: `[etag of Product 7]` is that row's current
    /// token.
    ///
    /// # Errors
    /// There is no such row, or a header is invalid.
    pub(super) async fn question<'a>(
        &self,
        operation: &'a Operation,
        case: &Case,
    ) -> anyhow::Result<CaseRequest<'a>> {
        let mut variables = Value::Object(case.variables.clone());
        self.fill_in(&mut variables).await?;
        let Value::Object(variables) = variables else { unreachable!("an object stays one") };
        let mut headers = HeaderMap::new();
        for (name, value) in &case.headers {
            let header: HeaderName =
                name.parse().with_context(|| format!("`{name}` is not the name of a header"))?;
            let mut value = Value::from(value.as_str());
            self.fill_in(&mut value).await?;
            let value = value
                .as_str()
                .unwrap_or_default()
                .parse()
                .with_context(|| format!("the header {name}"))?;
            headers.insert(header, value);
        }
        let mut viewer = Viewer::Anonymous;
        if let Some(claims) = &case.viewer {
            let token = token::for_case(&self.issuers, claims)?;
            viewer =
                self.authenticator.verify(&token, Carrier::Authorization).await.context("`as`")?;
            headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().context("the token")?);
        }
        let mut path = format!("/q/{}", operation.document_id());
        if let Some(name) = &case.operation {
            path.push_str(&format!("/{name}"));
        }
        Ok(CaseRequest { operation, variables, headers, path, viewer })
    }

    /// Sends the request; with an ETag, conditionally.
    ///
    /// # Errors
    /// The answer is incomplete.
    pub(super) async fn ask(
        &self,
        question: &CaseRequest<'_>,
        unless: Option<&HeaderValue>,
    ) -> anyhow::Result<Answered> {
        let variables = Value::Object(question.variables.clone()).to_string();
        let mut url = question.path.clone();
        if !question.variables.is_empty() {
            url.push_str(&format!(
                "?variables={}",
                utf8_percent_encode(&variables, NON_ALPHANUMERIC)
            ));
        }
        let by_get =
            question.operation.kind() == OperationKind::Query && url.len() <= self.longest_url;
        let mut request = match by_get {
            true => Request::builder().method(Method::GET).uri(url).body(Body::empty()),
            false => Request::builder()
                .method(Method::POST)
                .uri(&question.path)
                .header(CONTENT_TYPE, "application/json")
                .body(Body::from(json!({"variables": question.variables}).to_string())),
        }
        .context("the request has no URL")?;
        request.headers_mut().extend(question.headers.clone());
        if let Some(etag) = unless {
            request.headers_mut().insert(IF_NONE_MATCH, etag.clone());
        }
        let Ok(response) = self.front.clone().oneshot(request).await;
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.context("the answer breaks off")?;
        Ok(Answered { status: parts.status, headers: parts.headers, body })
    }

    /// Executes a query under observation, as the viewer of the case. None if it has errors, which
    /// the answer shows.
    pub(super) async fn observe(
        &self,
        question: &CaseRequest<'_>,
    ) -> Option<(Answer, Observation)> {
        let variables = question.operation.coerce_variables(&question.variables).ok()?;
        let asked = self.engine.ask(question.operation, &variables, &question.viewer).ok()?;
        self.engine.observe(&asked).await.ok()
    }

    /// The answer to a query that the tests themselves need.
    ///
    /// # Errors
    /// It has mistakes.
    pub(super) async fn value_of(&self, query: &str) -> anyhow::Result<Value> {
        let sentence = |errors: Vec<crate::graphql::GraphqlError>| {
            let messages: Vec<_> = errors.iter().map(|error| error.in_full()).collect();
            anyhow!(messages.join("; "))
        };
        let document = self
            .engine
            .compiler()
            .compile(DocumentId::of(query), query.into())
            .await
            .map_err(sentence)?;
        let operation = document.operation(None).map_err(|error| sentence(vec![error]))?;
        let variables = operation.coerce_variables(&Map::new()).map_err(sentence)?;
        let asked = self.engine.ask_as_operator(operation, &variables).map_err(sentence)?;
        let answer = self.engine.answer(&asked).await.map_err(sentence)?;
        serde_json::from_slice(&answer.body).context("an answer is JSON")
    }

    /// Replaces all placeholders in a value's strings.
    async fn fill_in(&self, value: &mut Value) -> anyhow::Result<()> {
        match value {
            Value::String(text) => {
                while let Some(placeholder) = Placeholder::first_in(text) {
                    let token = self.token(&placeholder).await?;
                    text.replace_range(placeholder.span, &token);
                }
            }
            Value::Array(items) => {
                for item in items {
                    Box::pin(self.fill_in(item)).await?;
                }
            }
            Value::Object(members) => {
                for member in members.values_mut() {
                    Box::pin(self.fill_in(member)).await?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    async fn token(&self, Placeholder { entity, key, .. }: &Placeholder) -> anyhow::Result<String> {
        let model = self.engine.model();
        let known = model.entity_by_name(entity).with_context(|| {
            let help = suggest(entity, model.entities.iter().map(|entity| entity.name.as_str()));
            let help = help.map(|help| format!("; {help}")).unwrap_or_default();
            format!("`[etag of {entity} …]`: there is no such type{help}")
        })?;
        let argument = &known.column(known.key).field;
        let query = format!(
            "{{ row: {}({argument}: {}) {{ etag }} }}",
            known.singular,
            Value::from(key.as_str())
        );
        let answer =
            self.value_of(&query).await.with_context(|| format!("`[etag of {entity} {key}]`"))?;
        let etag = answer.pointer("/data/row/etag").and_then(Value::as_str);
        Ok(etag
            .with_context(|| format!("`[etag of {entity} {key}]`: there is no such row"))?
            .to_owned())
    }
}

/// `[etag of Product 7]` in a text.
#[derive(Debug, PartialEq)]
struct Placeholder {
    span: std::ops::Range<usize>,
    entity: String,
    key: String,
}

impl Placeholder {
    fn first_in(text: &str) -> Option<Self> {
        const BEGINNING: &str = "[etag of ";
        let start = text.find(BEGINNING)?;
        let rest = &text[start + BEGINNING.len()..];
        let inner = &rest[..rest.find(']')?];
        let (entity, key) = inner.split_once(' ')?;
        let end = start + BEGINNING.len() + inner.len() + 1;
        Some(Self { span: start..end, entity: entity.to_owned(), key: key.trim().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_names_a_row() {
        let found = Placeholder::first_in(r#""[etag of Product a 7]", x"#).unwrap();
        assert_eq!(
            found,
            Placeholder { span: 1..22, entity: "Product".to_owned(), key: "a 7".to_owned() }
        );
        for text in ["", "[etag]", "[etag of Product]", "[etag of Product 7"] {
            assert_eq!(Placeholder::first_in(text), None, "{text}");
        }
    }
}
