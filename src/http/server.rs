//! Accepts connections and limits how many there are and how long each may make the server wait,
//! and ends all of them when the server stops. The service decides what is answered.

mod bodies;
mod connections;
mod stream;

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tower::Service;

use self::bodies::{Receiving, Watched};
use self::connections::{Activity, Connections, Order, Registered};
use self::stream::Stream;
use super::access;
use super::host::Names;
use crate::config::{Config, Limits};

/// The maximum number of concurrent requests on one HTTP/2 connection.
const STREAMS: u32 = 128;
/// The interval of HTTP/2 pings, which detect that a peer is gone.
const PING: Duration = Duration::from_secs(20);
/// The size of a request's head besides the URL, in bytes. Less would not fit the cookies that
/// browsers store for other servers on the same host.
const HEAD: usize = 64 << 10;
/// How long to wait when the system has no file descriptor for a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// What all connections share.
struct Door {
    names: Names,
    connections: Connections,
    http: Builder<TokioExecutor>,
}

/// Serves connections until `stop`, then lets requests in progress finish. Dropping the future ends
/// them at once.
pub(crate) async fn serve<S>(
    listener: TcpListener,
    site: S,
    config: &Config,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    let door = Arc::new(Door {
        names: Names::new(
            config.hosts.clone(),
            listener.local_addr().map(|address| address.ip()).unwrap_or(IpAddr::from([0; 4])),
        ),
        connections: Connections::new(config.limits, descriptors()),
        http: http(&config.limits),
    });
    let mut tasks = JoinSet::new();
    let mut ticks = tokio::time::interval(connections::TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = pin!(stop);
    loop {
        // An idle connection makes room for a new one. If all are busy, new ones wait in the
        // backlog.
        let may_accept = !door.connections.is_full() || door.connections.can_make_room();
        tokio::select! {
            () = &mut stop => break,
            _ = ticks.tick() => door.connections.tick(),
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept(), if may_accept => match accepted {
                Ok((tcp, _)) => {
                    if door.connections.is_full() {
                        door.connections.make_room();
                    }
                    let registered = door.connections.register();
                    tasks.spawn(connection(tcp, site.clone(), door.clone(), registered));
                }
                Err(error) if is_of_the_client(&error) => {}
                Err(error) => {
                    // The process may be out of descriptors: the longest idle connection gives up
                    // its own.
                    let made_room = door.connections.make_room();
                    tracing::warn!(%error, made_room, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    door.connections.order_all(Order::Finish);
    while !tasks.is_empty() {
        tokio::select! {
            _ = tasks.join_next() => {}
            _ = ticks.tick() => door.connections.tick(),
        }
    }
    Ok(())
}

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(HEAD + limits.max_url_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size((HEAD + limits.max_url_bytes) as u32)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    builder
}

/// Serves one connection, from its first byte to its last.
async fn connection<S>(
    tcp: TcpStream,
    site: S,
    door: Arc<Door>,
    registered: (Arc<Activity>, Registered),
) where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
{
    // Answers are written in one piece; waiting for more data would only delay them.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let (activity, _registered) = registered;
    let service = {
        let (door, activity, accepted_host) = (door.clone(), activity.clone(), OnceLock::new());
        service_fn(move |request: http::Request<Incoming>| {
            let entry = access::Entry::begin(request.method(), request.uri());
            let under_way = Activity::begin(&activity, request.version() == http::Version::HTTP_2);
            let refused =
                door.names.refuse(&request, &accepted_host, || activity.has_content_length());
            let request = request.map(|body| Body::new(Receiving::new(body, &activity)));
            let mut site = site.clone();
            async move {
                let response = match refused {
                    Some(problem) => {
                        let mut response = super::finished(problem.into_response());
                        let close = http::HeaderValue::from_static("close");
                        response.headers_mut().insert(http::header::CONNECTION, close);
                        response
                    }
                    None => site.call(request).await?,
                };
                if let Some(entry) = entry {
                    entry.end(&response);
                }
                Ok::<_, Infallible>(response.map(|body| Watched::new(body, under_way)))
            }
        })
    };
    let io = TokioIo::new(Stream::new(tcp, activity.clone()));
    let mut connection = pin!(door.http.serve_connection(io, service));
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::trace!(%error, "a connection ended early");
                }
                return;
            }
            order = activity.ordered() => match order {
                Order::Finish => connection.as_mut().graceful_shutdown(),
                Order::End | Order::None => return,
            }
        }
    }
}

/// Whether the client went away before it was served.
fn is_of_the_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// The maximum number of open files and sockets of this process, if the system says so.
fn descriptors() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}
