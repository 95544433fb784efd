//! What the servers have in common.

use anyhow::Context;
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

/// Serves until the process is killed.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(address: &str, routes: Router) -> anyhow::Result<()> {
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    // As freshql does: answers are written in one piece.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    Ok(axum::serve(listener, routes).await?)
}

/// The nth argument, 1 being the first.
///
/// # Errors
/// There is none; `usage` says what should be there.
pub fn argument(n: usize, usage: &str) -> anyhow::Result<String> {
    std::env::args().nth(n).with_context(|| format!("usage: {usage}"))
}
