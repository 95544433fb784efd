//! Messages over a stream. It sends while it receives, since a server that cannot send its answers
//! does not go on reading, either.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};

use super::error::ClientError;
use super::stream::Stream;

/// A message's type and length.
const HEADER: usize = 5;
/// A longer message is treated as a protocol error. PostgreSQL's own limit is one gibibyte.
const LONGEST: usize = 1 << 30;
/// How much of a buffer is kept for the next answer.
const KEPT: usize = 1 << 20;

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: Stream,
    inbox: BytesMut,
    /// What is still to be sent.
    pub(super) outbox: BytesMut,
    is_flushed: bool,
}

impl Wire {
    pub(super) fn new(stream: Stream) -> Self {
        let buffer = || BytesMut::with_capacity(16 << 10);
        Self { stream, inbox: buffer(), outbox: buffer(), is_flushed: true }
    }

    /// Sends the outbox, and passes each received message to `each`, until it returns true for the
    /// last one.
    pub(super) async fn exchange(
        &mut self,
        mut each: impl FnMut(u8, &[u8]) -> Result<bool, ClientError>,
    ) -> Result<(), ClientError> {
        loop {
            let mut at = 0;
            let mut result = Ok(false);
            while let Some((tag, length)) = header(&self.inbox[at..])? {
                let Some(body) = self.inbox.get(at + HEADER..at + length) else { break };
                result = each(tag, body);
                at += length;
                if !matches!(result, Ok(false)) {
                    break;
                }
            }
            self.inbox.advance(at);
            if result? {
                if self.inbox.is_empty() && self.inbox.capacity() > KEPT {
                    self.inbox = BytesMut::with_capacity(16 << 10);
                }
                return Ok(());
            }
            poll_fn(|cx| self.pump(cx)).await.map_err(ClientError::Lost)?;
        }
    }

    pub(super) async fn message(&mut self) -> Result<(u8, Vec<u8>), ClientError> {
        let mut message = (0, Vec::new());
        self.exchange(|tag, body| {
            message = (tag, body.to_owned());
            Ok(true)
        })
        .await?;
        Ok(message)
    }

    /// Sends the whole outbox.
    pub(super) async fn send(&mut self) -> io::Result<()> {
        poll_fn(|cx| {
            self.poll_send(cx)?;
            if self.is_flushed { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Sends what can be sent at once; the rest is sent with the next exchange.
    pub(super) async fn send_now(&mut self) -> io::Result<()> {
        poll_fn(|cx| Poll::Ready(self.poll_send(cx))).await
    }

    /// Whether the other side has closed the connection, or announced that it will, as far as that
    /// is known without waiting. Call this only between exchanges.
    pub(super) fn has_ended(&mut self) -> bool {
        self.inbox.reserve(8 << 10);
        let read = pin!(self.stream.read_buf(&mut self.inbox));
        match read.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(0) | Err(_)) => true,
            // Anything unsolicited except an error is of no interest.
            Poll::Ready(Ok(_)) | Poll::Pending => self.inbox.first() == Some(&b'E'),
        }
    }

    /// Sends what can be sent. Ready when something has been received.
    fn pump(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)?;
        self.inbox.reserve(8 << 10);
        let read = pin!(self.stream.read_buf(&mut self.inbox));
        read.poll(cx).map(|read| match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        })
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.outbox.is_empty() {
            self.is_flushed = false;
            match Pin::new(&mut self.stream).poll_write(cx, &self.outbox)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(written) => self.outbox.advance(written),
                Poll::Pending => return Ok(()),
            }
        }
        if !self.is_flushed {
            self.is_flushed = Pin::new(&mut self.stream).poll_flush(cx)?.is_ready();
        }
        Ok(())
    }
}

/// The type of the message that begins here, and its total length.
fn header(bytes: &[u8]) -> Result<Option<(u8, usize)>, ClientError> {
    let Some((&[tag, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if (4..=LONGEST).contains(&length) {
        Ok(Some((tag, 1 + length)))
    } else {
        Err(ClientError::protocol(format!("a message has {length} bytes")))
    }
}
