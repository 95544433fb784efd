//! `freshql push` and `freshql check --against`: clients' documents, and a running server or a
//! manifest of its documents.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::StartError;
use super::project::{self, Project};
use crate::config::{Config, Secret};
use crate::document_id::DocumentId;
use crate::outbound::{Bounds, Client};
use crate::persisted::manifest::{self, Entry};

/// The limits of one response: the list of all documents contains their texts.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(60), bytes: 256 << 20 };

/// How many documents, and how many bytes, to send in one request; any server accepts this much.
const AT_ONCE: usize = 50;
const BYTES_AT_ONCE: usize = 512 << 10;

/// The result of a push.
#[derive(Debug, Default)]
pub struct Pushed {
    /// The number of documents that were new to the server.
    pub new: u64,
    /// The number of documents that it already knew.
    pub known: u64,
    /// One line for each refused document, with the reasons.
    pub refused: Vec<String>,
}

/// A running server, and how to contact it.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// `https://shop.example`
    pub url: &'a str,
    /// Its admin token.
    pub token: Option<&'a Secret>,
    /// A PEM file with certificates to trust in addition to the machine's.
    pub certificates: Option<&'a Path>,
}

/// Registers the documents of a manifest with a server. `tell` receives the progress.
///
/// # Errors
/// The file is not a manifest, or the server cannot be reached.
pub async fn push(
    file: &Path,
    to: Remote<'_>,
    tell: impl Fn(usize, usize),
) -> Result<Pushed, StartError> {
    let entries = read_manifest(file)?;
    let Remote { url, token, certificates } = to;
    let server = Server::new(url, certificates)?;
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
        let body = Value::Object(body).to_string();
        let (status, answer) = server.ask(Method::POST, "/q", token, Some(body)).await?;
        let answered: Answered = match status {
            StatusCode::OK | StatusCode::UNPROCESSABLE_ENTITY => {
                serde_json::from_str(&answer).with_context(|| otherwise(url, &answer))?
            }
            _ => return Err(refusal(to, status, &answer).into()),
        };
        pushed.new += answered.new;
        pushed.known += answered.known;
        pushed.refused.extend(answered.refused.iter().map(Refused::line));
    }
    tell(entries.len(), entries.len());
    Ok(pushed)
}

/// The mistakes, one per line, that the project's model causes in the documents of a server, or of
/// a manifest (if the URL in `against` is the name of a file).
///
/// # Errors
/// The model's mistakes, or the documents cannot be obtained.
pub async fn broken(
    config: &Config,
    against: Remote<'_>,
) -> Result<(usize, Vec<String>), StartError> {
    let Project { compiler, mistakes, .. } = project::read(config).await?;
    if !mistakes.is_empty() {
        return Err(StartError::Mistakes(mistakes));
    }
    let documents = match against.url.contains("://") {
        true => live(against).await?,
        false => read_manifest(Path::new(against.url))?,
    };
    let mut broken = Vec::new();
    for Entry { alias, text } in &documents {
        let Err(errors) = compiler.compile(DocumentId::of(text), text.clone()).await else {
            continue;
        };
        for error in errors {
            let (line, column) = error.locations.first().copied().unwrap_or((1, 1));
            broken.push(format!("{alias}:{line}:{column}: {}", error.message));
        }
    }
    Ok((documents.len(), broken))
}

fn read_manifest(file: &Path) -> anyhow::Result<Vec<Entry>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    manifest::parse(&text).map_err(|why| anyhow!("{} is not a manifest: {why}", file.display()))
}

/// All documents that a server serves.
async fn live(from: Remote<'_>) -> anyhow::Result<Vec<Entry>> {
    let Remote { url, token, certificates } = from;
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
    let (status, answer) =
        Server::new(url, certificates)?.ask(Method::GET, "/q?texts=true", token, None).await?;
    if status != StatusCode::OK {
        return Err(refusal(from, status, &answer));
    }
    let list: List = serde_json::from_str(&answer).with_context(|| otherwise(url, &answer))?;
    let entry = |listed: Listed| {
        let names: Vec<String> =
            listed.operations.into_iter().filter_map(|operation| operation.name).collect();
        let alias = if names.is_empty() {
            listed.id
        } else {
            format!("{} ({})", listed.id, names.join(", "))
        };
        Some(Entry { alias, text: listed.text?.into() })
    };
    Ok(list.documents.into_iter().filter_map(entry).collect())
}

fn refusal(by: Remote<'_>, status: StatusCode, answer: &str) -> anyhow::Error {
    let Remote { url, token, .. } = by;
    let problem = serde_json::from_str::<Value>(answer).ok();
    match problem.as_ref().and_then(|problem| problem["detail"].as_str()) {
        Some(_) if status == StatusCode::UNAUTHORIZED && token.is_none() => {
            anyhow!("{url} requires its admin token: set FRESHQL_ADMIN_TOKEN")
        }
        Some(detail) => anyhow!("{url} answers {}: {detail}", status.as_u16()),
        None => {
            anyhow!("{url} answers {}, not as freshql does: {}", status.as_u16(), excerpt(answer))
        }
    }
}

fn otherwise(url: &str, answer: &str) -> String {
    format!("{url} does not answer as freshql does: {}", excerpt(answer))
}

/// The beginning of a foreign response, on one line.
fn excerpt(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words,
    }
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

struct Server {
    /// Its URL, without a trailing slash.
    url: String,
    client: Client,
}

impl Server {
    /// `certificates`: a PEM file with certificates to trust in addition to the machine's.
    fn new(url: &str, certificates: Option<&Path>) -> anyhow::Result<Self> {
        if !url.starts_with("https://") && !url.starts_with("http://") {
            bail!("`{url}` is not the URL of a server: it begins with https:// or http://");
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned(), client: Client::new(certificates)? })
    }

    /// The status and the body.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&Secret>,
        body: Option<String>,
    ) -> anyhow::Result<(StatusCode, String)> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(token) = token {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .context("FRESHQL_ADMIN_TOKEN has characters that no header may have")?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default()));
        let request =
            request.with_context(|| format!("`{}` is not the URL of a server", self.url))?;
        let answer = self.client.ask(request, BOUNDS).await;
        let answer = answer.with_context(|| format!("no answer from {}", self.url))?;
        Ok((answer.status, String::from_utf8_lossy(&answer.body).into_owned()))
    }
}
