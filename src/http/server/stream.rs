//! A connection's bytes, between the socket and the HTTP library. It records reads and writes, adds
//! a body to the library's own answers to malformed requests, and makes sure that the last answer
//! is not lost when the connection closes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::connections::Activity;

pub(super) struct Stream {
    tcp: TcpStream,
    activity: Arc<Activity>,
    /// What remains to be written of an answer that replaces the library's.
    replacement: Option<Bytes>,
    is_shut: bool,
}

impl Stream {
    pub(super) fn new(tcp: TcpStream, activity: Arc<Activity>) -> Self {
        Self { tcp, activity, replacement: None, is_shut: false }
    }

    /// Writes what remains of the replacement, then reports the library's `length` bytes as
    /// written.
    fn poll_replacement(&mut self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        while let Some(rest) = self.replacement.as_mut().filter(|rest| !rest.is_empty()) {
            let written = Pin::new(&mut self.tcp).poll_write(cx, rest);
            self.activity.wrote(written.is_pending());
            let written = ready!(written)?;
            rest.advance(written);
        }
        // The library closes now and drops what it has not read.
        ready!(Pin::new(&mut *self).poll_shutdown(cx))?;
        self.replacement = None;
        Poll::Ready(Ok(length))
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.tcp).poll_read(cx, buf))?;
        self.activity.read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.replacement.is_none() {
            self.replacement = replacement(buf);
        }
        if self.replacement.is_some() {
            return self.poll_replacement(cx, buf.len());
        }
        let written = Pin::new(&mut self.tcp).poll_write(cx, buf);
        self.activity.wrote(written.is_pending());
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.replacement.is_none() {
            self.replacement = bufs.first().and_then(|first| replacement(first));
        }
        if self.replacement.is_some() {
            return self.poll_replacement(cx, bufs.first().map_or(0, |first| first.len()));
        }
        let written = Pin::new(&mut self.tcp).poll_write_vectored(cx, bufs);
        self.activity.wrote(written.is_pending());
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    /// Shuts down the sending side, then waits until the client has closed, too, or has had time to
    /// read. If received data were left unread, the system would send a reset, which can overtake
    /// the last answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut {
            ready!(Pin::new(&mut self.tcp).poll_shutdown(cx))?;
            self.is_shut = true;
        }
        self.activity.closing();
        let mut scratch = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut scratch);
            match ready!(Pin::new(&mut self.tcp).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(Ok(())),
            }
        }
    }
}

/// The HTTP library answers malformed requests with a head only. All answers of our own have a
/// `Cache-Control`, so a client error without one comes from the library and gets a body that says
/// what is wrong.
fn replacement(written: &[u8]) -> Option<Bytes> {
    let rest = written.strip_prefix(b"HTTP/1.1 4")?;
    let has = |name: &[u8]| rest.windows(name.len()).any(|window| window == name);
    if has(b"\r\ncache-control:") {
        return None;
    }
    let (status, title, detail) = match rest.get(..2)? {
        b"14" => {
            (414, "URI Too Long", "the URL is too long; send the variables in the body of a POST")
        }
        b"31" => (
            431,
            "Request Header Fields Too Large",
            "the request's head is too long, or has too many headers",
        ),
        b"00" => (
            400,
            "Bad Request",
            "the request's head is malformed; in a URL, quotes, spaces and braces must be percent-encoded",
        ),
        _ => return None,
    };
    let body = format!(
        r#"{{"type":"about:blank","title":"{title}","status":{status},"detail":"{detail}"}}"#
    );
    let date = rest.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"date: "));
    let date = date
        .map(|date| format!("date: {}\r\n", String::from_utf8_lossy(date).trim()))
        .unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status} {title}\r\ncontent-type: application/problem+json\r\ncache-control: no-store\r\n\
         vary: Accept-Encoding\r\nx-content-type-options: nosniff\r\nconnection: close\r\ncontent-length: {}\r\n{date}\r\n{body}",
        body.len()
    );
    Some(answer.into())
}
