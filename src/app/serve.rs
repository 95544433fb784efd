//! Starts the server and its background tasks, and stops them.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::Request;
use axum::response::Response;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tower::Service;

use super::error::StartError;
use super::model_file::log_warnings;
use super::project::{self, Project};
use super::table::counted;
use super::{database, token};
use crate::config::{Config, CorsOrigins, Mode, Retention};
use crate::etag::RENDERING;
use crate::graphql::Engine;
use crate::http::{AppState, server, service};
use crate::identity::Authenticator;
use crate::persisted::{Documents, Registry, stored};
use crate::store::Store;

/// How long requests in progress may take to finish when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How often the change log is pruned.
const PRUNING: Duration = Duration::from_secs(60);

/// A running server.
pub struct RunningServer {
    /// The address on which it actually listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    /// Closed when the server has ended.
    store: Option<Store>,
}

/// Serves until the process is stopped.
///
/// # Errors
/// The server did not start, or failed.
pub async fn serve(config: Config) -> Result<(), StartError> {
    // Installed first, so that no signal is missed while the server starts.
    let stopped = stop_signal().context("cannot wait for signals")?;
    let running = start(config).await?;
    stopped.await;
    wind_down(running).await
}

/// Starts the server, and returns when it listens.
///
/// # Errors
/// Mistakes in the model or in query files, pending migrations, or an address that is taken.
pub async fn start(config: Config) -> Result<RunningServer, StartError> {
    start_release(RENDERING, config).await
}

/// Starts the server of a release with this [`RENDERING`].
///
/// # Errors
/// Those of [`start`].
pub async fn start_release(rendering: u32, config: Config) -> Result<RunningServer, StartError> {
    let authenticator = Arc::new(Authenticator::new(&token::to_serve(&config)?).context("[auth]")?);
    let (engine, registry) = open(&config, Opening::ToServe).await?;
    let engine = engine.of_release(rendering);
    let store = engine.store().clone();
    let app = AppState::new(&config, authenticator, engine, store.clone(), registry.clone());
    let app = app.context("cannot start threads")?;
    let (mode, operations) = (config.mode, registry.list());
    let maintenance = maintain(store.clone(), app.documents().clone(), config.clone());
    let operations: usize = operations
        .iter()
        .flat_map(|r| &r.document)
        .map(|document| document.operations().len())
        .sum();
    let registered = match registry.count_uncompiled() {
        0 => String::new(),
        documents => format!(" and {}", counted(documents, "registered document")),
    };
    let operations = counted(operations, "operation");
    tracing::info!("serving {operations}{registered} in mode {mode} from {}", config.database);
    let running =
        RunningServer { store: Some(store), ..listen(&config, service(app), maintenance).await? };
    let address = running.address;
    if config.cors_credentials && config.cors_origins == CorsOrigins::Any {
        tracing::warn!(
            "cors_credentials has no effect while cors_origins is `*`: browsers take no `*` with credentials"
        );
    }
    token::warn_of_plain_http(&config.auth);
    if mode == Mode::Open {
        if !address.ip().is_loopback() {
            tracing::warn!("in mode open, everybody who reaches {address} may run any operation");
        }
        let host =
            if address.ip().is_unspecified() { "localhost".to_owned() } else { running.host() };
        tracing::info!("the console is at http://{host}:{}/", address.port());
    }
    Ok(running)
}

/// Opens the engine on the project's database, with all registered documents. The database is not
/// touched if anything is wrong with the files.
pub(super) async fn open(
    config: &Config,
    opening: Opening,
) -> Result<(Engine, Arc<Registry>), StartError> {
    let project = match project::read(config).await {
        Ok(project) if project.mistakes.is_empty() => project,
        Ok(Project { mistakes, .. }) | Err(StartError::Mistakes(mistakes)) => {
            let migrations = database::mistakes_of_files(config)?;
            return Err(StartError::Mistakes([mistakes, migrations].concat()));
        }
        Err(error) => return Err(error),
    };
    log_warnings(&config.dir, &project.warnings);
    let prepare = {
        let (config, model) = (config.clone(), project.model.clone());
        move || database::prepare(&config, &model)
    };
    tokio::task::spawn_blocking(prepare).await.context("migrating panicked")??;
    assemble(config, project, opening).await
}

/// The purpose of opening a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// To serve the project: the documents of the query files are recorded, see [`stored::record`].
    ToServe,
    /// To inspect or try something: nothing is written.
    ToLook,
}

/// Like [`open`], for a database that is known to fit.
pub(super) async fn assemble(
    config: &Config,
    project: Project,
    opening: Opening,
) -> Result<(Engine, Arc<Registry>), StartError> {
    let Project { model, compiler, registry, .. } = project;
    let store = Store::open(&config.database, config.readers, &model)
        .await
        .with_context(|| config.database.to_string())?;
    let registry = Arc::new(registry);
    // Subscribe before anything is read: changes by other nodes from here on are reported.
    store.subscribe(registry.clone()).with_context(|| config.database.to_string())?;
    let Retention(retention) = config.document_retention;
    if opening == Opening::ToServe
        && let Err(error) = stored::record(&store, &registry, retention).await
    {
        // A full disk must not prevent the server from answering what it can.
        tracing::warn!(%error, "cannot record the documents of the query files: a document that leaves the files will not be served any longer");
    }
    let loaded = match opening {
        Opening::ToServe => stored::load(&store, &registry, retention).await,
        Opening::ToLook => stored::load_compiled(&compiler, &store, &registry, retention).await,
    };
    loaded.context("cannot load the registered documents")?;
    Ok((Engine::with_limits(compiler, store, config.limits.answer), registry))
}

/// Listens at this address from now on, and runs the background tasks.
pub(super) async fn listen<S>(
    config: &Config,
    front: S,
    beside: impl Future<Output = Infallible> + Send + 'static,
) -> Result<RunningServer, StartError>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let address = &config.listen;
    let listener = TcpListener::bind(address.as_str()).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr().context("the socket has no address")?;
    let (stop, stopped) = oneshot::channel::<()>();
    let server = {
        let config = config.clone();
        async move {
            // An error means that the handle was dropped, so nobody needs the server any more.
            let stopped = async { drop(stopped.await) };
            server::serve(listener, front, &config, stopped).await
        }
    };
    let server = tokio::spawn(async move {
        tokio::select! {
            ended = server => ended,
            never = beside => match never {},
        }
    });
    tracing::info!("listening on http://{address}");
    Ok(RunningServer { address, stop, server, store: None })
}

/// Compiles the registered documents, then periodically prunes the change log and deletes expired
/// documents, as long as it is polled.
pub(super) async fn maintain(store: Store, documents: Documents, config: Config) -> Infallible {
    documents.compile_all().await;
    let mut turns = tokio::time::interval(PRUNING);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        if let Err(error) = documents.expire().await {
            tracing::warn!(%error, "cannot forget the documents that left the query files");
        }
        match store.prune(config.change_log).await {
            Ok(0) => {}
            Ok(records) => tracing::debug!(records, "pruned the change log"),
            // Another program may hold the lock; the next turn is soon enough.
            Err(error) => tracing::warn!(%error, "cannot prune the change log"),
        }
    }
}

/// Lets requests in progress finish, unless the process is told to stop again.
pub(super) async fn wind_down(running: RunningServer) -> Result<(), StartError> {
    let again = stop_signal().context("cannot wait for signals")?;
    tracing::info!("stopping; requests in progress may finish; a second signal stops at once");
    tokio::select! {
        stopped = running.stop() => Ok(stopped?),
        () = again => {
            tracing::warn!("stopped at once; requests in progress were dropped");
            // The exit status that shells use for an interrupted process. Everything acknowledged
            // is already durable.
            std::process::exit(130)
        }
    }
}

impl RunningServer {
    fn host(&self) -> String {
        match self.address.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        }
    }

    /// Stops listening, lets requests in progress finish, closes the database when they have or
    /// after a while, and returns when everything is in the database file.
    ///
    /// # Errors
    /// The server had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        // An error means that the server has ended already; its task knows why.
        let _ = self.stop.send(());
        let abort = self.server.abort_handle();
        let ended = tokio::time::timeout(DRAIN, self.server).await;
        if ended.is_err() {
            tracing::warn!("requests did not end within {} s and are given up", DRAIN.as_secs());
            abort.abort();
        }
        if let Some(store) = self.store {
            store.close().await;
        }
        match ended {
            Ok(ended) => Ok(ended.context("the server panicked")?.context("the server failed")?),
            Err(_) => Ok(()),
        }
    }
}

/// Resolves when the process is told to stop.
#[cfg(not(unix))]
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

/// Resolves on SIGTERM or SIGINT.
#[cfg(unix)]
pub(super) fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
