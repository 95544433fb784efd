//! `freshql push` and `freshql check --against`: the documents of clients and a server that runs, or a manifest of them.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::StartError;
use super::project::{self, Project};
use crate::config::{Config, Secret};
use crate::document_id::DocumentId;
use crate::persisted::manifest::{self, Entry};

/// How long the server may take for each step.
const PATIENCE: Duration = Duration::from_secs(60);

/// Documents that are sent at once: so many, and so many bytes, which any server takes.
const AT_ONCE: usize = 50;
const BYTES_AT_ONCE: usize = 512 << 10;

/// What was pushed.
#[derive(Debug, Default)]
pub struct Pushed {
    /// Documents that the server did not know.
    pub new: u64,
    /// Those that it did.
    pub known: u64,
    /// A line for each that it refuses, with the reasons.
    pub refused: Vec<String>,
}

/// Registers the documents of a manifest with a server. `tell` hears how many of how many are done.
///
/// # Errors
/// The file is no manifest, or the server cannot be asked.
pub fn push(file: &Path, to: &str, token: Option<&Secret>, tell: impl Fn(usize, usize)) -> Result<Pushed, StartError> {
    let entries = read_manifest(file)?;
    let server = Server::parse(to)?;
    let mut pushed = Pushed::default();
    let mut rest = &entries[..];
    while !rest.is_empty() {
        tell(entries.len() - rest.len(), entries.len());
        let mut bytes = 0;
        let count = rest.iter().take(AT_ONCE).take_while(|entry| {
            bytes += entry.text.len();
            bytes <= BYTES_AT_ONCE
        });
        let count = count.count().max(1);
        let (batch, others) = rest.split_at(count);
        rest = others;
        let body: Map<String, Value> =
            batch.iter().map(|entry| (entry.alias.clone(), Value::from(&*entry.text))).collect();
        let (status, answer) = server.ask("POST", "/q", token, Some(&Value::Object(body).to_string()))?;
        let answered: Answered = match status {
            200 | 422 => serde_json::from_str(&answer).with_context(|| format!("{to} answers otherwise: {answer}"))?,
            _ => return Err(refusal(to, status, &answer).into()),
        };
        pushed.new += answered.new;
        pushed.known += answered.known;
        pushed.refused.extend(answered.refused.iter().map(Refused::line));
    }
    tell(entries.len(), entries.len());
    Ok(pushed)
}

/// Which documents of a server, or of a manifest, the project's model breaks: a line for each mistake.
///
/// # Errors
/// The model's mistakes, or the documents cannot be had.
pub async fn broken(
    config: &Config,
    against: &str,
    token: Option<&Secret>,
) -> Result<(usize, Vec<String>), StartError> {
    let Project { compiler, mistakes, .. } = project::read(config).await?;
    if !mistakes.is_empty() {
        return Err(StartError::Mistakes(mistakes));
    }
    let documents = match against.contains("://") {
        true => live(against, token)?,
        false => read_manifest(Path::new(against))?,
    };
    let mut broken = Vec::new();
    for Entry { alias, text } in &documents {
        let Err(errors) = compiler.compile(DocumentId::of(text), text.clone()).await else { continue };
        for error in errors {
            let (line, column) = error.locations.first().copied().unwrap_or((1, 1));
            broken.push(format!("{alias}:{line}:{column}: {}", error.message));
        }
    }
    Ok((documents.len(), broken))
}

fn read_manifest(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    manifest::parse(&text).map_err(|why| anyhow!("{} is no manifest: {why}", file.display()))
}

/// All documents that a server serves.
fn live(url: &str, token: Option<&Secret>) -> anyhow::Result<Vec<Entry>> {
    #[derive(Deserialize)]
    struct List {
        documents: Vec<Listed>,
    }
    #[derive(Deserialize)]
    struct Listed {
        id: String,
        text: Option<String>,
        operations: Vec<Operation>,
    }
    #[derive(Deserialize)]
    struct Operation {
        name: Option<String>,
    }
    let (status, answer) = Server::parse(url)?.ask("GET", "/q?texts=true", token, None)?;
    if status != 200 {
        return Err(refusal(url, status, &answer));
    }
    let list: List = serde_json::from_str(&answer).with_context(|| format!("{url} answers otherwise: {answer}"))?;
    let entry = |listed: Listed| {
        let names: Vec<String> = listed.operations.into_iter().filter_map(|operation| operation.name).collect();
        let alias = if names.is_empty() { listed.id } else { format!("{} ({})", listed.id, names.join(", ")) };
        Some(Entry { alias, text: listed.text?.into() })
    };
    Ok(list.documents.into_iter().filter_map(entry).collect())
}

fn refusal(url: &str, status: u16, answer: &str) -> anyhow::Error {
    let detail =
        serde_json::from_str::<Value>(answer).ok().and_then(|problem| problem["detail"].as_str().map(str::to_owned));
    anyhow!("{url} answers {status}: {}", detail.unwrap_or_else(|| answer.trim().to_owned()))
}

#[derive(Deserialize)]
struct Answered {
    new: u64,
    known: u64,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    reason: Option<String>,
    #[serde(default)]
    errors: Vec<RefusedFor>,
}

#[derive(Deserialize)]
struct RefusedFor {
    message: String,
    #[serde(default)]
    locations: Vec<Location>,
}

#[derive(Deserialize)]
struct Location {
    line: u32,
    column: u32,
}

impl Refused {
    fn line(&self) -> String {
        let errors = self.errors.iter().map(|error| match error.locations.first() {
            Some(Location { line, column }) => format!("{line}:{column}: {}", error.message),
            None => error.message.clone(),
        });
        let reasons: Vec<String> = self.reason.clone().into_iter().chain(errors).collect();
        format!("{}: {}", self.name, reasons.join("; "))
    }
}

/// Where a server is.
struct Server {
    /// Host and port, as they are connected to.
    address: String,
    host: String,
    /// What stands in front of its paths.
    prefix: String,
}

impl Server {
    fn parse(url: &str) -> anyhow::Result<Self> {
        let Some(rest) = url.strip_prefix("http://") else {
            bail!(
                "`{url}` does not begin with http://. This program does not speak TLS: ask the server itself, or send a manifest \
                 with `curl --json @FILE -H \"authorization: Bearer $FRESHQL_ADMIN_TOKEN\" {url}/q`"
            );
        };
        let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { host.to_owned() } else { format!("{host}:80") };
        Ok(Self { address, host: host.to_owned(), prefix: prefix.trim_end_matches('/').to_owned() })
    }

    /// The status and the body.
    fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&Secret>,
        body: Option<&str>,
    ) -> anyhow::Result<(u16, String)> {
        let failed = || format!("no answer from http://{}{}", self.host, self.prefix);
        let mut addresses = self.address.to_socket_addrs().with_context(failed)?;
        let address = addresses.next().with_context(failed)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).with_context(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).with_context(failed)?;
        // Version 1.0, so that the body comes as it is, and ends with the connection.
        let mut head = format!("{method} {}{path} HTTP/1.0\r\nhost: {}\r\n", self.prefix, self.host);
        if let Some(token) = token {
            head.push_str(&format!("authorization: Bearer {}\r\n", token.expose()));
        }
        if let Some(body) = body {
            head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        head.push_str(body.unwrap_or_default());
        stream.write_all(head.as_bytes()).with_context(failed)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).with_context(failed)?;
        let answer = String::from_utf8_lossy(&answer);
        let status = answer.get(9..12).and_then(|status| status.parse().ok()).context("this is not HTTP")?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, body.to_owned()))
    }
}
