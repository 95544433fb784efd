//! Wires the parts together: configuration, model, store, documents, HTTP; starts and stops the server. It also has what
//! the commands beside `serve` do.

mod adopt;
mod backup;
mod check;
mod database;
mod dev;
mod explain;
mod health;
mod init;
pub mod log;
mod manifest;
mod project;
mod queries;
mod remote;
mod seed;
mod test;
mod token;

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
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

use crate::config::{Config, CorsOrigins, FILE_NAME, FileConfig, Ids, Mode, Overrides, Retention};
use crate::graphql::{Compiler, Engine};
use crate::http::{AppState, server, service};
use crate::identity::Authenticator;
use crate::model::parse::parse;
use crate::model::{Diagnostic, Model, Parsed, advice};
use crate::persisted::{Documents, Registry, stored};
use crate::store::Store;

use self::project::Project;

pub use adopt::model_pull;
pub use backup::{backup, restore};
pub use check::{CheckReport, check, with_the_rest};
pub use database::{MigrationStatus, Repaired, migrate_new, migrate_repair, migrate_status, migrate_up};
pub use dev::{DevEvent, dev};
pub use explain::{ExplainRequest, explain};
pub use health::health;
pub use init::init;
pub use manifest::{Manifest, manifest, write as write_manifest};
pub use queries::queries;
pub use remote::{Pushed, Remote, broken, push};
pub use test::{TestOptions, test};
pub use token::{Minted, token};

/// The file in the project's directory that holds the model.
const MODEL_FILE: &str = "schema.graphql";

/// How long requests that are under way may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How often the change log is looked over for what need not be kept.
const PRUNING: Duration = Duration::from_secs(60);

/// Why a command failed, or the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Mistakes in files that the user wrote: all of them, each with its place.
    #[error("{} mistakes in the project's files", .0.len())]
    Mistakes(Vec<Diagnostic>),
    /// What the command was to find out, and has told already: tests fail, a document is refused.
    #[error("the command has found what it looks for")]
    Told,
    /// Anything else.
    #[error(transparent)]
    Other(#[from] anyhow::Error),
}

impl StartError {
    fn mistakes(self) -> Result<Vec<Diagnostic>, Self> {
        match self {
            Self::Mistakes(mistakes) => Ok(mistakes),
            other @ (Self::Told | Self::Other(_)) => Err(other),
        }
    }
}

/// A server that listens.
pub struct RunningServer {
    /// Where it really listens.
    pub address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
    /// Closed when the server has ended.
    store: Option<Store>,
}

/// Reads `freshql.toml` and resolves the configuration.
///
/// # Errors
/// The file's mistakes.
pub fn configure(overrides: Overrides) -> Result<Config, StartError> {
    let path = within(overrides.dir(), FILE_NAME);
    let name = path.display().to_string();
    let file = match std::fs::read_to_string(&path) {
        Ok(text) => Some(FileConfig::parse(&name, &text).map_err(StartError::Mistakes)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(anyhow::Error::new(error).context(name).into()),
    };
    let mut config = Config::resolve(overrides, file);
    token::read_secrets(&mut config)?;
    Ok(config)
}

/// Serves until the process is told to stop.
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

/// Starts the server and returns when it listens.
///
/// # Errors
/// Mistakes in the model or in query files, pending migrations, an address that is taken.
pub async fn start(config: Config) -> Result<RunningServer, StartError> {
    let authenticator = Arc::new(Authenticator::new(&token::to_serve(&config)?).context("[auth]")?);
    let (engine, registry) = open(&config, Opening::ToServe).await?;
    let store = engine.store().clone();
    let app = AppState::new(&config, authenticator, engine, store.clone(), registry.clone());
    let app = app.context("cannot start threads")?;
    let (mode, operations) = (config.mode, registry.list());
    let maintenance = maintain(store.clone(), app.documents().clone(), config.clone());
    let operations: usize =
        operations.iter().flat_map(|r| &r.document).map(|document| document.operations().len()).sum();
    let registered = match registry.count_uncompiled() {
        0 => String::new(),
        documents => format!(" and {documents} registered documents"),
    };
    tracing::info!("serving {operations} operations{registered} in mode {mode} from {}", config.database);
    let running = RunningServer { store: Some(store), ..listen(&config, service(app), maintenance).await? };
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
        let host = if address.ip().is_unspecified() { "localhost".to_owned() } else { running.host() };
        tracing::info!("the console is at http://{host}:{}/", address.port());
    }
    Ok(running)
}

/// What answers: the engine on the project's database, and all registered documents. The database is not touched while
/// anything is wrong with the files.
async fn open(config: &Config, opening: Opening) -> Result<(Engine, Arc<Registry>), StartError> {
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

/// What a database is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    /// To serve the project: the documents of the query files are written down, see [`stored::record`].
    ToServe,
    /// To look, or to try something: this writes nothing.
    ToLook,
}

/// The same, for a database that fits.
async fn assemble(config: &Config, project: Project, opening: Opening) -> Result<(Engine, Arc<Registry>), StartError> {
    let Project { model, compiler, registry, .. } = project;
    let store =
        Store::open(&config.database, config.readers, &model).await.with_context(|| config.database.to_string())?;
    let registry = Arc::new(registry);
    // Before anything is read: what another node changes from here on is told.
    store.subscribe(registry.clone()).with_context(|| config.database.to_string())?;
    let Retention(retention) = config.document_retention;
    if opening == Opening::ToServe
        && let Err(error) = stored::record(&store, &registry, retention).await
    {
        // A disk that is full does not keep the server from answering what it can.
        tracing::warn!(%error, "cannot write down the documents of the query files: one that leaves them is gone at once");
    }
    let loaded = match opening {
        Opening::ToServe => stored::load(&store, &registry, retention).await,
        Opening::ToLook => stored::load_compiled(&compiler, &store, &registry, retention).await,
    };
    loaded.context("cannot load the registered documents")?;
    Ok((Engine::with_limits(compiler, store, config.limits.answer), registry))
}

/// Answers at this address from now on, and does beside it what never ends.
async fn listen<S>(
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
            // An error means that the handle was dropped: then nobody needs the server any more.
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

/// Compiles the registered documents, then prunes the change log now and then and forgets retired documents, for as long as
/// it is polled.
async fn maintain(store: Store, documents: Documents, config: Config) -> Infallible {
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

/// Lets requests that are under way end, unless the process is told to stop once more.
async fn wind_down(running: RunningServer) -> Result<(), StartError> {
    let again = stop_signal().context("cannot wait for signals")?;
    tracing::info!("stopping; requests under way may end; a second signal stops at once");
    tokio::select! {
        stopped = running.stop() => Ok(stopped?),
        () = again => {
            tracing::warn!("stopped at once; requests under way were given up");
            // As a shell says it of a process that was interrupted. What was acknowledged is durable already.
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

    /// Stops listening, lets requests that are under way end, closes the database when they have, or after a while, and
    /// returns when all is written into the database file.
    ///
    /// # Errors
    /// The server had failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        // An error means that the server has ended already; why, the task says.
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
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    })
}

/// Resolves on SIGTERM or SIGINT.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
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

/// The model, and what is worth a second look in it, which is logged.
fn load_model(config: &Config) -> Result<Model, StartError> {
    let parsed = read_model(config)?;
    log_warnings(&config.dir, &parsed.warnings);
    Ok(parsed.model)
}

fn log_warnings(dir: &Path, warnings: &[Diagnostic]) {
    if warnings.is_empty() {
        return;
    }
    // A file that has gone meanwhile costs the places only.
    let text = std::fs::read_to_string(within(dir, MODEL_FILE)).unwrap_or_default();
    for warning in warnings {
        let (line, column) = warning.line_and_column(&text);
        tracing::warn!("{}:{line}:{column}: {}", warning.file, warning.message);
    }
}

/// The model with its warnings. Its rules fit the configuration.
fn read_model(config: &Config) -> Result<Parsed, StartError> {
    let dir = &*config.dir;
    let path = within(dir, MODEL_FILE);
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let shown = if dir == Path::new(".") { "this directory".to_owned() } else { dir.display().to_string() };
            return Err(anyhow::anyhow!(
                "there is no model in {shown}: {file} is missing. `freshql init {}` writes a small project to start from, \
                 `freshql model pull` a model for tables that are there already, and `--dir DIR` names another directory",
                dir.display()
            )
            .into());
        }
        Err(error) => return Err(anyhow::Error::new(error).context(format!("cannot read the model {file}")).into()),
    };
    let mut parsed = parse(&file, &text).map_err(StartError::Mistakes)?;
    parsed.warnings.extend(advice::advice(&parsed.model, &file));
    let mistakes = parsed.model.rule_mistakes(&file, !config.auth.is_empty());
    if mistakes.is_empty() { Ok(parsed) } else { Err(StartError::Mistakes(mistakes)) }
}

/// The model with the ids that the configuration asks for.
fn with_ids(config: &Config, model: Model) -> Model {
    match config.ids {
        Ids::Local => model,
        Ids::Global => model.with_global_ids(),
    }
}

fn compiler(model: Arc<Model>) -> Result<Compiler, StartError> {
    Ok(Compiler::new(model).context("the model has no API")?)
}

/// The same, with what the configuration says of registered documents.
fn compiler_of(config: &Config, model: Arc<Model>) -> Result<Compiler, StartError> {
    let compiler = compiler(model)?;
    Ok(if config.typename { compiler.with_typename() } else { compiler })
}

/// The generated API as SDL.
///
/// # Errors
/// The model's mistakes.
pub fn schema(config: &Config) -> Result<String, StartError> {
    Ok(compiler(Arc::new(with_ids(config, load_model(config)?)))?.sdl().to_owned())
}

/// A path of the project, as its user would write it: without `./`.
fn within(dir: &Path, name: &str) -> PathBuf {
    if dir == Path::new(".") { name.into() } else { dir.join(name) }
}

/// Columns of equal width, two spaces apart; the last is not filled up.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let line: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}  ")).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_have_no_trailing_spaces() {
        let rows = [["ID", "FILE"], ["abc", "ä"], ["a", "bc"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "ID   FILE\nabc  ä\na    bc\n");
    }
}
