//! `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header-07): a mutation that is sent again
//! with the same key takes effect once. This file parses the header and tracks the requests in
//! progress; the store keeps the answers.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderName};

use super::failure::Failure;
use crate::graphql::{Code, Once};
use crate::question::{Question, View};

/// The header.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest key, in characters; a UUID has 36.
const LONGEST: usize = 255;

/// The identity of a mutation: its key, a hash of what it does, and how long its answer is kept.
/// # Errors
/// `BAD_REQUEST`: the header is malformed.
pub(super) fn of(
    headers: &HeaderMap,
    question: &Question<'_>,
    retention: Duration,
) -> Result<Option<Once>, Failure> {
    let mut lines = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(bad("is given twice"));
    }
    let key =
        line.to_str().ok().and_then(key).ok_or_else(|| bad("is not a string such as \"9f2e…\""))?;
    if key.is_empty() || key.len() > LONGEST {
        return Err(bad(&format!("must have between 1 and {LONGEST} characters")));
    }
    // Each view has its own keys: one viewer's answer must not be given to another.
    let key = match question.view {
        View::Public => key,
        View::Private(view) => format!("{}.{key}", hex::encode(&view[..16])),
    };
    let mut request = Vec::new();
    question.encode(&mut request);
    Ok(Some(Once { key, request: *blake3::hash(&request).as_bytes(), retention }))
}

/// A string of RFC 9651 §3.3.3, or the same without quotes, as many clients write it.
fn key(line: &str) -> Option<String> {
    let line = line.trim();
    let Some(quoted) = line.strip_prefix('"') else {
        return (!line.contains(['"', ',', ';', ' '])).then(|| line.to_owned());
    };
    let mut key = String::new();
    let mut rest = quoted.chars();
    loop {
        match rest.next()? {
            '"' => break,
            '\\' => key.push(rest.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => key.push(c),
        }
    }
    let rest = rest.as_str().trim_start();
    (rest.is_empty() || rest.starts_with(';')).then_some(key)
}

fn bad(why: &str) -> Failure {
    Failure::new(Code::BadRequest, format!("Idempotency-Key {why}"))
}

/// The keys of mutations in progress on this node.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<HashSet<String>>);

/// A mutation in progress, until this is dropped.
pub(super) struct InProgress<'a> {
    under_way: &'a UnderWay,
    key: String,
}

impl UnderWay {
    /// Starts a mutation.
    ///
    /// # Errors
    /// `IDEMPOTENCY_KEY_IN_USE`: another mutation with this key is still in progress.
    pub(super) fn begin(&self, key: &str) -> Result<InProgress<'_>, Failure> {
        if self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned()) {
            return Ok(InProgress { under_way: self, key: key.to_owned() });
        }
        Err(Failure::new(
            Code::IdempotencyKeyInUse,
            "a request with this Idempotency-Key is still being answered",
        ))
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.under_way.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_with_and_without_quotes() {
        for (line, expected) in [
            (r#""9f2e""#, Some("9f2e")),
            ("9f2e-a", Some("9f2e-a")),
            (r#""a\"b\\c"; p=1"#, Some(r#"a"b\c"#)),
            (r#""a" b"#, None),
            (r#""a"#, None),
            (r#""a\b""#, None),
            ("a, b", None),
        ] {
            assert_eq!(key(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn only_one_request_with_a_key_runs_at_a_time() {
        let under_way = UnderWay::default();
        let turn = under_way.begin("a").ok().unwrap();
        assert!(under_way.begin("a").is_err());
        assert!(under_way.begin("b").is_ok());
        drop(turn);
        assert!(under_way.begin("a").is_ok());
    }
}
