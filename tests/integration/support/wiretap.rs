//! A proxy in front of a PostgreSQL server that counts round trips and records statements.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixStream};

/// A parameter: whether it is binary, and its bytes.
pub(crate) type Sent = (bool, Option<Vec<u8>>);

/// What it has recorded.
#[derive(Default)]
struct Seen {
    /// Round trips of connections that read the change log, and of all others.
    checks: usize,
    flights: usize,
    /// The others' statements, with their last parameters.
    statements: HashMap<String, Vec<Sent>>,
}

/// A proxy, which ends with the test.
pub(crate) struct Wiretap {
    port: u16,
    seen: Arc<Mutex<Seen>>,
}

impl Wiretap {
    /// In front of the server with this socket.
    pub(crate) async fn start(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::<Mutex<Seen>>::default();
        let all = seen.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(
                    async move { tokio::io::copy(&mut from_server, &mut to_client).await },
                );
                let mut tap = Tap { seen: all.clone(), ..Tap::default() };
                tokio::spawn(async move {
                    let mut buffer = vec![0; 1 << 16];
                    loop {
                        let Ok(length @ 1..) = from_client.read(&mut buffer).await else { return };
                        tap.note(&buffer[..length]);
                        if to_server.write_all(&buffer[..length]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { port, seen }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("postgres://freshql@127.0.0.1:{}/{database}?sslmode=disable", self.port)
    }

    /// Round trips since the last call: of others, and of checks.
    pub(crate) fn take(&self) -> (usize, usize) {
        let mut seen = self.seen.lock().unwrap();
        (std::mem::take(&mut seen.flights), std::mem::take(&mut seen.checks))
    }

    /// The statements so far, each with parameters.
    pub(crate) fn statements(&self) -> Vec<(String, Vec<Sent>)> {
        self.seen.lock().unwrap().statements.clone().into_iter().collect()
    }
}

/// One connection's messages.
#[derive(Default)]
struct Tap {
    seen: Arc<Mutex<Seen>>,
    rest: Vec<u8>,
    has_begun: bool,
    is_check: bool,
    texts: HashMap<String, String>,
}

impl Tap {
    fn note(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        loop {
            // The first message has no type.
            let at = usize::from(self.has_begun);
            let Some(length) = self.rest.get(at..at + 4) else { return };
            let end = at + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.rest.len() < end {
                return;
            }
            let message: Vec<u8> = self.rest.drain(..end).collect();
            if std::mem::replace(&mut self.has_begun, true) {
                self.message(message[0], &message[5..]);
            }
        }
    }

    fn message(&mut self, tag: u8, mut body: &[u8]) {
        match tag {
            b'P' => {
                let (name, text) = (string(&mut body), string(&mut body));
                self.is_check |=
                    text.starts_with("SELECT pg_current_snapshot(), pg_is_in_recovery()");
                self.texts.insert(name, text);
            }
            b'B' => {
                string(&mut body);
                let text = self.texts[&string(&mut body)].clone();
                let formats: Vec<bool> =
                    (0..number(&mut body)).map(|_| number(&mut body) == 1).collect();
                let parameters = (0..number(&mut body)).map(|at| {
                    let (length, rest) = body.split_first_chunk().unwrap();
                    body = rest;
                    let value = usize::try_from(i32::from_be_bytes(*length)).ok().map(|length| {
                        let (value, rest) = body.split_at(length);
                        body = rest;
                        value.to_vec()
                    });
                    (formats.get(at).copied().unwrap_or(false), value)
                });
                let parameters = parameters.collect();
                if !self.is_check {
                    self.seen.lock().unwrap().statements.insert(text, parameters);
                }
            }
            b'S' | b'Q' => {
                let mut seen = self.seen.lock().unwrap();
                *if self.is_check { &mut seen.checks } else { &mut seen.flights } += 1;
            }
            _ => {}
        }
    }
}

fn string(body: &mut &[u8]) -> String {
    let end = body.iter().position(|byte| *byte == 0).unwrap();
    let text = String::from_utf8(body[..end].to_vec()).unwrap();
    *body = &body[end + 1..];
    text
}

fn number(body: &mut &[u8]) -> usize {
    let (number, rest) = body.split_first_chunk().unwrap();
    *body = rest;
    usize::from(u16::from_be_bytes(*number))
}
