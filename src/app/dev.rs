//! `freshql dev`: serves in mode `open` from a scratch database and follows the project's files. A
//! version without mistakes replaces the previous one as a whole; mistakes are reported, and the
//! last version without any stays in service.

mod difference;
mod scratch;
mod watch;

use std::sync::{Arc, PoisonError, RwLock};

use anyhow::Context;
use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue};
use tower::ServiceExt;

use self::difference::Shape;
use self::scratch::Scratch;
use super::error::StartError;
use super::serve::{Opening, assemble, listen, stop_signal, wind_down};
use super::{project, token};
use crate::cache_control::NO_STORE;
use crate::causes::WithCauses;
use crate::config::{Config, Mode};
use crate::http::{AppState, service};
use crate::identity::Authenticator;
use crate::model::Diagnostic;
use crate::persisted::files;

/// A message to the developer.
#[derive(Debug)]
pub enum DevEvent<'a> {
    /// Complete lines.
    Text(&'a str),
    /// Mistakes, or what deserves a second look.
    Diagnostics(&'a [Diagnostic]),
}

/// Serves until the process is stopped, and reloads when files change.
///
/// # Errors
/// The address is taken, or the directory cannot be watched. Mistakes in files are reported, and
/// the server waits until they are fixed.
pub async fn dev(config: Config, tell: impl Fn(DevEvent<'_>)) -> Result<(), StartError> {
    // Installed first, so that no signal is missed while the server starts.
    let stopped = stop_signal().context("cannot wait for signals")?;
    let (config, mut token) = token::for_development(&config)?.unwrap_or((config, String::new()));
    let authenticator = Arc::new(Authenticator::new(&config.auth).context("[auth]")?);
    let mut watcher = watch::Watcher::start(&config.dir)?;
    let current = Current::default();
    let running = listen(&config, current.router(), std::future::pending()).await?;
    let mut last = None;
    let mut shape = None;
    tokio::pin!(stopped);
    loop {
        // Computed before the files are read: a change during the read is noticed the next time.
        let sources = watch::sources(&config.dir);
        if last != Some(sources) {
            last = Some(sources);
            match load(&config, &authenticator, shape.is_none()).await {
                Ok(project) => {
                    // Swap first, so that the message is true.
                    current.swap(project.routes);
                    tell(DevEvent::Text(&project.shape.told_after(
                        shape.as_ref(),
                        &running.address,
                        &project.note,
                    )));
                    if !project.warnings.is_empty() {
                        tell(DevEvent::Diagnostics(&project.warnings));
                    }
                    shape = Some(project.shape);
                    // Only once: it stays valid.
                    tell(DevEvent::Text(&std::mem::take(&mut token)));
                }
                Err(error) => {
                    match &error {
                        StartError::Mistakes(mistakes) => tell(DevEvent::Diagnostics(mistakes)),
                        StartError::Other(error) => tell(DevEvent::Text(&format!(
                            "error: {}\n",
                            WithCauses(error.as_ref())
                        ))),
                        StartError::Reported => {}
                    }
                    let consequence = match &shape {
                        Some(_) => "the last version without mistakes is still being served\n",
                        None => "nothing is served until this is fixed\n",
                    };
                    tell(DevEvent::Text(consequence));
                }
            }
        }
        tokio::select! {
            () = &mut stopped => break,
            () = watcher.changed() => {}
        }
    }
    wind_down(running).await
}

/// A version of the project without mistakes.
struct Project {
    routes: Router,
    shape: Shape,
    warnings: Vec<Diagnostic>,
    /// A line about the scratch database, or empty.
    note: String,
}

/// Reads everything again. `is_first`: nothing is served yet, so old scratch databases can be
/// deleted.
async fn load(
    config: &Config,
    authenticator: &Arc<Authenticator>,
    is_first: bool,
) -> Result<Project, StartError> {
    let mut project = project::read(config).await?;
    if !project.mistakes.is_empty() {
        return Err(StartError::Mistakes(project.mistakes));
    }
    let (model, sdl) = (project.model.clone(), project.compiler.sdl().to_owned());
    let mut warnings = std::mem::take(&mut project.warnings);
    let prepare = {
        let (config, model) = (config.clone(), model.clone());
        move || scratch::prepare(&config, &model, is_first)
    };
    let Scratch { database, note } =
        tokio::task::spawn_blocking(prepare).await.context("preparing panicked")??;
    let config = Config { database, mode: Mode::Open, ..config.clone() };
    let (engine, registry) = assemble(&config, project, Opening::ToLook).await?;
    let registered = registry.list();
    warnings.extend(files::lint(&model, &registry));
    let store = engine.store().clone();
    let app = AppState::new(&config, authenticator.clone(), engine, store, registry)
        .context("cannot start threads")?;
    let routes = Router::new().fallback_service(service(app));
    Ok(Project { routes, shape: Shape::new(sdl, &registered), warnings, note })
}

/// The version in service.
#[derive(Clone, Default)]
struct Current(Arc<RwLock<Option<Router>>>);

impl Current {
    /// From now on, requests are answered by these routes; those in progress keep their routes.
    fn swap(&self, routes: Router) {
        let old = self.0.write().unwrap_or_else(PoisonError::into_inner).replace(routes);
        // Closing a database takes a moment, and requests should not wait for the lock meanwhile.
        drop(old);
    }

    fn router(&self) -> Router {
        let current = self.clone();
        let answer = move |request: Request| {
            let routes = current.0.read().unwrap_or_else(PoisonError::into_inner).clone();
            async move {
                match routes {
                    Some(routes) => routes.oneshot(request).await,
                    None => Ok(nothing_yet()),
                }
            }
        };
        Router::new().fallback_service(tower::service_fn(answer))
    }
}

fn nothing_yet() -> Response {
    let text = "The project has mistakes, and nothing is served until they are fixed: see where `freshql dev` runs.\n";
    let mut response = (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(NO_STORE));
    response
}
