//! A connection's byte stream: TCP, TLS, or a socket on the same machine.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::error::ClientError;
use super::tls;
use crate::config::{PostgresHost, PostgresUrl, SslMode};

/// On systems without Unix sockets, a placeholder that is never created.
#[cfg(not(unix))]
type UnixStream = TcpStream;

/// A connection's byte stream.
#[derive(Debug)]
pub(super) enum Stream {
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Stream {
    /// Connects, with TLS if the URL requires it.
    pub(super) async fn connect(url: &PostgresUrl) -> Result<Self, ClientError> {
        let failed = |cause| ClientError::Connect { to: address(url), cause };
        let name = match &url.host {
            // As in libpq, TLS is only used between machines.
            PostgresHost::Unix(directory) => {
                let path = directory.join(format!(".s.PGSQL.{}", url.port));
                return socket(&path).await.map(Self::Unix).map_err(failed);
            }
            PostgresHost::Tcp(name) => name,
        };
        let mut tcp = TcpStream::connect((name.as_str(), url.port)).await.map_err(failed)?;
        // A flight is one write; delaying it would only add latency.
        tcp.set_nodelay(true).map_err(failed)?;
        if url.ssl_mode == SslMode::Disable {
            return Ok(Self::Tcp(tcp));
        }
        let refused = |why: String| ClientError::Tls { to: address(url), why };
        // SSLRequest; the answer is one byte.
        let mut request = bytes::BytesMut::new();
        postgres_protocol::message::frontend::ssl_request(&mut request);
        tcp.write_all(&request).await.map_err(failed)?;
        match tcp.read_u8().await.map_err(failed)? {
            b'S' => {}
            _ if url.ssl_mode == SslMode::Prefer => return Ok(Self::Tcp(tcp)),
            _ => return Err(refused("the server does not offer it".to_owned())),
        }
        let config = tls::config(url).map_err(refused)?;
        let server = ServerName::try_from(name.clone())
            .map_err(|_| refused(format!("`{name}` is not the name of a host")))?;
        let connected = TlsConnector::from(config).connect(server, tcp).await;
        connected
            .map(|stream| Self::Tls(Box::new(stream)))
            .map_err(|error| refused(error.to_string()))
    }

    /// Whether nobody on the network can read what is sent.
    pub(super) fn is_private(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }
}

#[cfg(unix)]
async fn socket(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).await
}

#[cfg(not(unix))]
async fn socket(_: &Path) -> io::Result<UnixStream> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "this system has no sockets in the file system"))
}

/// The server's address for display.
pub(super) fn address(url: &PostgresUrl) -> String {
    match &url.host {
        PostgresHost::Tcp(name) if name.contains(':') => format!("[{name}]:{}", url.port),
        PostgresHost::Tcp(name) => format!("{name}:{}", url.port),
        PostgresHost::Unix(directory) => format!("{}/.s.PGSQL.{}", directory.display(), url.port),
    }
}

/// The same call on whichever stream this is.
macro_rules! each {
    ($of:expr, $stream:ident => $call:expr) => {
        match $of.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Tls($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
