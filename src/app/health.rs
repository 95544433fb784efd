//! `freshql health`: asks a local server whether it is ready, for containers without another HTTP
//! client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::Duration;

use anyhow::Context;

use super::error::StartError;
use crate::config::Config;

/// The maximum time for each step.
const PATIENCE: Duration = Duration::from_secs(3);

/// Gets `/readyz` from the configured address.
///
/// # Errors
/// There is no answer, or the server is not ready.
pub fn health(config: &Config) -> Result<String, StartError> {
    let address = reachable(config.listen.as_str())?;
    let (status, body) =
        ask(address).with_context(|| format!("no answer from http://{address}/readyz"))?;
    if status == "200" {
        return Ok(format!("ready: http://{address}\n"));
    }
    Err(anyhow::anyhow!("http://{address}/readyz answers {status}: {}", body.trim()).into())
}

/// A server that listens on all addresses is contacted on loopback.
fn reachable(listen: &str) -> anyhow::Result<SocketAddr> {
    let mut address =
        listen.to_socket_addrs().with_context(|| format!("cannot resolve {listen}"))?;
    let mut address = address.next().with_context(|| format!("{listen} has no address"))?;
    anyhow::ensure!(
        address.port() != 0,
        "port 0 stands for a different port each time; name the server's port with --listen"
    );
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Ok(address)
}

/// The status and the body.
fn ask(address: SocketAddr) -> anyhow::Result<(String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(64 << 10).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3))
        .context("this is not HTTP")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok((status.to_owned(), body.to_owned()))
}
