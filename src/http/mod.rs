//! The front door: speaks HTTP, decides nothing about data. This file has all routes and all that surrounds every
//! handler; statuses are in [`failure`] and [`respond`], the persisted GET is in [`query`].

mod admin;
mod aside;
pub mod console;
mod explain;
mod failure;
mod front;
mod graphql;
mod health;
mod negotiate;
mod parameters;
mod piece;
mod problem;
mod query;
mod respond;

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_LOCATION, CONTENT_TYPE, ETAG, HeaderName};
use http::header::{HeaderValue, IF_MATCH, IF_NONE_MATCH, LOCATION, VARY};
use http::{Method, StatusCode, Uri};
use tower::Layer;
use tower::util::{Either, option_layer};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use self::admin::AdminToken;
use self::aside::Aside;
pub use self::front::Front;

use self::failure::Failure;
use self::health::Sdl;
use self::negotiate::MediaType;
use self::problem::Problem;
use self::respond::{Policies, Representation};
use crate::cache::ResponseCache;
use crate::cache_control::NO_STORE;
use crate::config::{Config, CorsOrigins, Limits, Mode};
use crate::graphql::{Code, Engine};
use crate::persisted::{Learned, Registry};
use crate::store::Store;

/// The handles that requests work with. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    engine: Engine,
    store: Store,
    registry: Arc<Registry>,
    learned: Arc<Learned>,
    cache: Arc<ResponseCache<Representation>>,
    policies: Arc<Policies>,
    sdl: Sdl,
    mode: Mode,
    limits: Limits,
    admin_token: AdminToken,
    aside: Arc<Aside>,
}

impl AppState {
    /// Takes of the configuration what requests need.
    ///
    /// # Errors
    /// Threads cannot be started.
    pub fn new(config: &Config, engine: Engine, store: Store, registry: Registry) -> std::io::Result<Self> {
        Ok(Self {
            cache: Arc::new(ResponseCache::new(store.clone(), config.cache_size.0, config.consistency)),
            policies: Arc::default(),
            sdl: Sdl::new(engine.compiler().sdl()),
            engine,
            store,
            registry: Arc::new(registry),
            learned: Arc::new(Learned::default()),
            mode: config.mode,
            limits: config.limits,
            admin_token: AdminToken::new(config.admin_token.as_ref()),
            aside: Arc::new(Aside::start()?),
        })
    }

    /// The trusted documents.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }
}

/// The whole server: all routes, what surrounds them, and what stands in front of them.
pub fn service(app: AppState, cors: &CorsOrigins) -> Either<Cors<Front>, Front> {
    option_layer(cors_layer(cors)).layer(Front::new(app.clone(), vary(cors), router(app, cors)))
}

/// All routes, with what surrounds them.
fn router(app: AppState, cors: &CorsOrigins) -> Router {
    let routes = Router::new()
        .route("/q", get(admin::list))
        .route("/q/{id}", get(query::get).post(query::post).put(admin::put).delete(admin::delete))
        .route("/q/{id}/{operation_name}", get(query::get).post(query::post))
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/schema.graphql", get(health::schema))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    let routes = if app.mode == Mode::Open { routes.merge(console::router()) } else { routes };
    let routes = routes
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(middleware::from_fn_with_state(app.clone(), aside::take))
        // The last of these is the outermost. A panic is caught first, so that its answer too has the headers below.
        .layer(DefaultBodyLimit::max(app.limits.max_body_bytes))
        .layer(middleware::from_fn_with_state(app.limits, limit))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(SetResponseHeaderLayer::if_not_present(CACHE_CONTROL, HeaderValue::from_static(NO_STORE)))
        .layer(SetResponseHeaderLayer::if_not_present(VARY, vary(cors)));
    routes.with_state(app)
}

/// One line, the same on every answer, for caches choose by it among what they have stored. nginx reads the last line only.
fn vary(cors: &CorsOrigins) -> HeaderValue {
    HeaderValue::from_static(match cors {
        // The answer repeats the request's origin only where there are several to choose from.
        CorsOrigins::Listed(origins) if origins.len() > 1 => "Accept, Accept-Encoding, Origin",
        CorsOrigins::Listed(_) | CorsOrigins::Any => "Accept, Accept-Encoding",
    })
}

/// What pages of other origins may do; None where there are none.
fn cors_layer(cors: &CorsOrigins) -> Option<CorsLayer> {
    let origins = match cors {
        CorsOrigins::Any => AllowOrigin::any(),
        CorsOrigins::Listed(origins) => {
            let mut values = origins.iter().filter_map(|origin| HeaderValue::try_from(origin.as_str()).ok());
            match (values.next()?, values.next()) {
                (only, None) => AllowOrigin::exact(only),
                (first, Some(second)) => AllowOrigin::list([first, second].into_iter().chain(values)),
            }
        }
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([ACCEPT, AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH, explain::EXPLAIN])
        .expose_headers([ETAG, CONTENT_LOCATION, LOCATION, HeaderName::from_static("retry-after")])
        .max_age(std::time::Duration::from_secs(86_400))
        // `Vary` is ours to say, in one line.
        .vary([]);
    Some(layer)
}

/// How long a URL may be, and how long a request may take.
async fn limit(State(limits): State<Limits>, request: Request, next: Next) -> Response {
    if url_length(request.uri()) > limits.max_url_bytes {
        let detail = "the URL is too long; send the variables in the body of a POST";
        return Problem::new(StatusCode::URI_TOO_LONG, detail).into_response();
    }
    let media_type = negotiate::media_type(request.headers()).unwrap_or(MediaType::Json);
    match tokio::time::timeout(limits.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::new(Code::Timeout, "the request took too long").into_response(media_type),
    }
}

fn url_length(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |path_and_query| path_and_query.as_str().len())
}

async fn not_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing at this URL")
}

/// The router adds `Allow`.
async fn method_not_allowed() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the resource at this URL does not have this method")
}

/// A bug of ours: it is told to the log, and to the client by an id only.
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response {
    let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    let incident = failure::incident();
    tracing::error!(incident, cause = message.unwrap_or("unknown"), "a request's handler panicked");
    Problem::internal(&incident).into_response()
}
