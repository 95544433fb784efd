//! The text that is stored for an answer: status, headers that matter to caches and clients, the
//! SQL, the body. What differs between two runs is replaced by a name: etags, and times and keys
//! generated during the tests.
//!
//! The files have the format of the snapshot library insta, so its tools can show and accept them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::StatusCode;
use http::header::{HeaderMap, HeaderName};
use similar::{ChangeTag, TextDiff};

use crate::syntax::{Lexer, TokenKind};

/// The headers that are stored. Others are the same everywhere, or differ each time.
const HEADERS: [&str; 10] = [
    "allow",
    "cache-control",
    "cache-tag",
    "cdn-cache-control",
    "content-encoding",
    "content-type",
    "etag",
    "retry-after",
    "surrogate-key",
    "vary",
];

/// Unchanged lines around a change.
const CONTEXT: usize = 3;

/// Replaces values that differ between runs.
pub(super) struct Redaction {
    /// The names under which answers contain etags.
    etags: BTreeSet<String>,
    /// When the tests began.
    since: SystemTime,
}

impl Redaction {
    pub(super) fn new(since: SystemTime, document: &str) -> Self {
        let own = ["etag", "expectedEtag", "currentEtag"].map(str::to_owned);
        Self { etags: own.into_iter().chain(aliases_of_etag(document)).collect(), since }
    }

    /// The replacement of this string under this name.
    fn of(&self, name: &str, value: &str) -> Option<&'static str> {
        if self.etags.contains(name) && is_etag(value) {
            return Some("[etag]");
        }
        if let Ok(uuid) = uuid::Uuid::parse_str(value)
            && uuid.get_version_num() == 7
        {
            let milliseconds = u64::try_from(uuid.as_u128() >> 80).unwrap_or_default();
            return self
                .is_recent(UNIX_EPOCH + Duration::from_millis(milliseconds))
                .then_some("[uuid]");
        }
        let time: jiff::Timestamp = value.parse().ok()?;
        self.is_recent(time.into()).then_some("[now]")
    }

    /// Whether it is from this run. A time with a resolution of seconds may look older by one.
    fn is_recent(&self, time: SystemTime) -> bool {
        let second = Duration::from_secs(1);
        time + second >= self.since && time <= SystemTime::now() + second
    }
}

/// The names under which a document selects `etag`: `version: etag`.
fn aliases_of_etag(document: &str) -> Vec<String> {
    let mut lexer = Lexer::new(document);
    let mut aliases = Vec::new();
    let mut before = ("", "");
    while let Ok(token) = lexer.next_token()
        && token.kind != TokenKind::End
    {
        let text = &document[token.start..token.end];
        if before.1 == ":" && text == "etag" {
            aliases.push(before.0.to_owned());
        }
        before = (before.1, text);
    }
    aliases
}

/// Whether it looks like the token of a row, or of an answer.
fn is_etag(text: &str) -> bool {
    matches!(text.len(), 16 | 22)
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// An answer as text.
pub(super) fn text(
    status: StatusCode,
    headers: &HeaderMap,
    sql: Option<usize>,
    body: &[u8],
    redaction: &Redaction,
) -> String {
    let mut text = format!("HTTP {}\n", status.as_u16());
    for name in HEADERS.map(HeaderName::from_static) {
        for value in headers.get_all(&name) {
            let value = if name == http::header::ETAG {
                "[etag]".into()
            } else {
                String::from_utf8_lossy(value.as_bytes())
            };
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    if let Some(statements) = sql {
        let plural = if statements == 1 { "" } else { "s" };
        text.push_str(&format!("SQL: {statements} statement{plural}\n"));
    }
    match std::str::from_utf8(body) {
        Ok("") => {}
        Ok(body) if serde_json::from_str::<serde::de::IgnoredAny>(body).is_ok() => {
            text.push('\n');
            text.push_str(&laid_out(body, redaction));
        }
        Ok(body) => text.push_str(&format!("\n{body}\n")),
        Err(_) => text.push_str(&format!("\n({} bytes that are not text)\n", body.len())),
    }
    text
}

/// JSON with a line for each value, in the order of the answer.
fn laid_out(json: &str, redaction: &Redaction) -> String {
    let bytes = json.as_bytes();
    let mut out = String::with_capacity(json.len() * 2);
    let mut open = Vec::new();
    let (mut name, mut names, mut at) = (String::new(), false, 0);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    while at < bytes.len() {
        let start = at;
        at += 1;
        match bytes[start] {
            b'{' | b'[' => {
                out.push(char::from(bytes[start]));
                let next = json[at..].trim_start();
                if next.starts_with(['}', ']']) {
                    out.push_str(&next[..1]);
                    at = json.len() - next.len() + 1;
                } else {
                    names = bytes[start] == b'{';
                    open.push(names);
                    line(&mut out, open.len());
                }
            }
            b'}' | b']' => {
                open.pop();
                line(&mut out, open.len());
                out.push(char::from(bytes[start]));
            }
            b',' => {
                out.push(',');
                names = open.last() == Some(&true);
                line(&mut out, open.len());
            }
            b':' => {
                out.push_str(": ");
                names = false;
            }
            b'"' => {
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                let value = &json[start + 1..at - 1];
                if names {
                    name = value.to_owned();
                }
                match redaction.of(&name, value).filter(|_| !names) {
                    Some(instead) => out.push_str(&format!("\"{instead}\"")),
                    None => out.push_str(&json[start..at]),
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            byte => out.push(char::from(byte)),
        }
    }
    out.push('\n');
    out
}

/// How an answer compares with its snapshot.
#[derive(Debug, PartialEq)]
pub(super) enum Comparison {
    Same,
    /// There is no snapshot yet.
    New,
    /// It differs from this snapshot.
    Different(String),
}

/// Compares with the file as insta does: line endings and trailing white space are ignored.
///
/// # Errors
/// The file cannot be read.
pub(super) fn compare(path: &Path, text: &str) -> std::io::Result<Comparison> {
    let file = match std::fs::read_to_string(path) {
        Ok(file) => file.replace("\r\n", "\n"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Comparison::New),
        Err(error) => return Err(error),
    };
    let kept = file
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .map_or(&*file, |(_, kept)| kept);
    if kept.trim_end() == text.trim_end() {
        return Ok(Comparison::Same);
    }
    Ok(Comparison::Different(kept.trim_end().to_owned() + "\n"))
}

/// Writes a snapshot with its source.
///
/// # Errors
/// The file cannot be written.
pub(super) fn write(path: &Path, source: &str, request: &str, text: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Every JSON string is a YAML string.
    let (source, request) = (serde_json::Value::from(source), serde_json::Value::from(request));
    std::fs::write(path, format!("---\nsource: {source}\nexpression: {request}\n---\n{text}"))
}

/// The path of an answer that is pending review.
pub(super) fn pending(path: &Path) -> PathBuf {
    path.with_extension("snap.new")
}

/// Deletes a file that may not exist.
///
/// # Errors
/// It exists and cannot be deleted.
pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The lines that differ, with some context.
pub(super) fn difference(old: &str, new: &str, colors: bool) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut text = String::new();
    for (i, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if i > 0 {
            text.push_str("  …\n");
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let (sign, color) = match change.tag() {
                ChangeTag::Delete => ('-', "\u{1b}[31m"),
                ChangeTag::Insert => ('+', "\u{1b}[32m"),
                ChangeTag::Equal => (' ', ""),
            };
            let line = change.value().trim_end_matches('\n');
            match colors && !color.is_empty() {
                true => text.push_str(&format!("{color}{sign} {line}\u{1b}[0m\n")),
                false => text.push_str(&format!("{sign} {line}\n")),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redaction() -> Redaction {
        Redaction::new(SystemTime::now(), "{ a { version: etag } }")
    }

    #[test]
    fn json_keeps_its_order_and_values_that_differ_between_runs_become_placeholders() {
        let (key, now) = (uuid::Uuid::now_v7(), jiff::Timestamp::now());
        let json = format!(
            r#"{{"data":{{"z":1.50,"a":[],"e":{{}},"etag":"96okSNVjzjJASt65","version":"96okSNVjzjJASt65","name":"96okSNVjzjJASt65",
            "id":"{key}","old":"0191408b-7983-7be4-aaa9-5d21c6f3b6cd","at":"{now}","then":"2024-03-10T21:57:46.256Z","t":["a\"}}",null]}}}}"#
        );
        let expected = r#"{
  "data": {
    "z": 1.50,
    "a": [],
    "e": {},
    "etag": "[etag]",
    "version": "[etag]",
    "name": "96okSNVjzjJASt65",
    "id": "[uuid]",
    "old": "0191408b-7983-7be4-aaa9-5d21c6f3b6cd",
    "at": "[now]",
    "then": "2024-03-10T21:57:46.256Z",
    "t": [
      "a\"}",
      null
    ]
  }
}
"#;
        assert_eq!(laid_out(&json, &redaction()), expected);
    }

    #[test]
    fn insta_reads_the_written_snapshots() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("snapshots/ProductPage__odd.snap");
        let text = text(
            StatusCode::OK,
            &HeaderMap::new(),
            Some(2),
            br#"{"a":"---\nb: c\n---"}"#,
            &redaction(),
        );
        assert_eq!(compare(&path, &text).unwrap(), Comparison::New);
        write(&path, "queries/ProductPage.cases.json", r#"GET {"text":"a: \"b\" # ü"}"#, &text)
            .unwrap();
        assert_eq!(compare(&path, &text).unwrap(), Comparison::Same);
        let mut insta = insta::Settings::new();
        insta.set_snapshot_path(directory.path().join("snapshots"));
        insta.set_prepend_module_to_snapshot(false);
        insta.bind(|| insta::assert_snapshot!("ProductPage__odd", text));
    }

    #[test]
    fn line_endings_do_not_change_a_snapshot_and_text_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.snap");
        std::fs::write(&path, "---\r\nsource: a\r\n---\r\nHTTP 200\r\n\r\n{}\r\n").unwrap();
        assert_eq!(compare(&path, "HTTP 200\n\n{}\n").unwrap(), Comparison::Same);
        let Comparison::Different(old) = compare(&path, "HTTP 404\n\n{}\n").unwrap() else {
            panic!("it differs")
        };
        assert_eq!(
            difference(&old, "HTTP 404\n\n{}\n", false),
            "- HTTP 200\n+ HTTP 404\n  \n  {}\n"
        );
    }
}
