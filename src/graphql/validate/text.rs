//! What can only be seen in the text: its size, how deep brackets nest (parsing recurses, and must not exhaust the stack),
//! and input-object keys that are given twice (the parser keeps the last one and forgets the others).

use std::collections::HashSet;

use async_graphql::Pos;

use super::{invalid, too_complex};
use crate::graphql::error::{Code, GraphqlError};

/// Longer documents are refused unread: 256 KiB.
pub const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

/// How deep `{`, `(` and `[` may nest in the text.
pub const MAX_NESTING: usize = 64;

/// An open bracket.
struct Frame<'a> {
    open: u8,
    /// Some in an input object: the keys so far.
    keys: Option<HashSet<&'a str>>,
}

/// Adds to `errors` what is invalid, and fails where the text is beyond a limit.
pub(super) fn check(text: &str, errors: &mut Vec<GraphqlError>) -> Result<(), Vec<GraphqlError>> {
    if text.len() > MAX_DOCUMENT_BYTES {
        let message = format!("the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are accepted", text.len());
        return Err(vec![GraphqlError::new(Code::QueryTooComplex, message)]);
    }
    let mut frames: Vec<Frame<'_>> = Vec::new();
    let mut parens = 0_usize;
    // The name that a `:` would make a key.
    let mut last_name: Option<(&str, usize)> = None;
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'#' => at += line_length(&bytes[at..]),
            b'"' => {
                at += string_length(&bytes[at..]);
                last_name = None;
            }
            b'{' | b'(' | b'[' => {
                if frames.len() == MAX_NESTING {
                    let message = format!("brackets nest deeper than {MAX_NESTING} levels");
                    return Err(vec![too_complex(position(text, at), message)]);
                }
                parens += usize::from(byte == b'(');
                let keys = (byte == b'{' && parens > 0).then(HashSet::new);
                frames.push(Frame { open: byte, keys });
                last_name = None;
                at += 1;
            }
            b'}' | b')' | b']' => {
                // Brackets that do not match are the parser's to report.
                if let Some(frame) = frames.pop() {
                    parens -= usize::from(frame.open == b'(');
                }
                last_name = None;
                at += 1;
            }
            b':' => {
                if let (Some((name, start)), Some(Frame { keys: Some(keys), .. })) = (last_name, frames.last_mut())
                    && !keys.insert(name)
                {
                    let message = format!("There can be only one input field named \"{name}\"");
                    errors.push(invalid(position(text, start), message));
                }
                last_name = None;
                at += 1;
            }
            byte if byte == b'_' || byte.is_ascii_alphabetic() => {
                let length = bytes[at..].iter().take_while(|b| **b == b'_' || b.is_ascii_alphanumeric()).count();
                last_name = Some((&text[at..at + length], at));
                at += length;
            }
            b' ' | b'\t' | b'\r' | b'\n' | b',' => at += 1,
            _ => {
                last_name = None;
                at += 1;
            }
        }
    }
    Ok(())
}

/// Up to the end of the line.
fn line_length(bytes: &[u8]) -> usize {
    bytes.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(bytes.len())
}

/// Of a string that begins here, with its quotes. One that does not end takes its line, or for a block the rest.
fn string_length(bytes: &[u8]) -> usize {
    let is_block = bytes.starts_with(b"\"\"\"");
    let mut at = if is_block { 3 } else { 1 };
    while at < bytes.len() {
        let rest = &bytes[at..];
        if is_block {
            if rest.starts_with(b"\\\"\"\"") {
                at += 4;
            } else if rest.starts_with(b"\"\"\"") {
                return at + 3;
            } else {
                at += 1;
            }
        } else {
            match rest[0] {
                b'\\' => at += 2,
                b'"' => return at + 1,
                b'\n' | b'\r' => return at,
                _ => at += 1,
            }
        }
    }
    bytes.len()
}

/// Line and column of a byte, counted as the parser counts them.
fn position(text: &str, at: usize) -> Pos {
    let before = &text[..at];
    let line = 1 + before.matches('\n').count();
    let column = 1 + before.chars().rev().take_while(|c| !matches!(c, '\n' | '\r')).count();
    Pos { line, column }
}
