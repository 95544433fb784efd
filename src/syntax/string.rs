//! The values of string literals.

use std::borrow::Cow;

/// The value of a string literal that the lexer accepted, given with its quotes.
pub(super) fn value(literal: &str) -> String {
    match literal.strip_prefix("\"\"\"").and_then(|rest| rest.strip_suffix("\"\"\"")) {
        Some(raw) => block(raw),
        None => quoted(&literal[1..literal.len() - 1]),
    }
}

fn quoted(mut raw: &str) -> String {
    let mut value = String::with_capacity(raw.len());
    while let Some(backslash) = raw.find('\\') {
        value.push_str(&raw[..backslash]);
        raw = &raw[backslash..];
        let (character, length) = escape(raw).expect("the lexer has checked all escapes");
        value.push(character);
        raw = &raw[length..];
    }
    value.push_str(raw);
    value
}

/// The character that the escape sequence at the start of a text stands for, and its length in
/// bytes.
pub(super) fn escape(text: &str) -> Option<(char, usize)> {
    let bytes = text.as_bytes();
    let character = match *bytes.get(1)? {
        b'u' if bytes.get(2) == Some(&b'{') => {
            // Eight digits are more than enough, and as many as graphql-js accepts.
            let length = bytes[3..].iter().take(9).position(|byte| *byte == b'}')?;
            return Some((char::from_u32(hex(bytes.get(3..3 + length)?)?)?, length + 4));
        }
        b'u' => {
            let unit = hex(bytes.get(2..6)?)?;
            // Two escapes may form a surrogate pair, as in JSON.
            if (0xD800..0xDC00).contains(&unit) && bytes.get(6..8) == Some(b"\\u") {
                let low = hex(bytes.get(8..12)?)?;
                let low = (0xDC00..0xE000).contains(&low).then_some(low)?;
                return Some((
                    char::from_u32(0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00))?,
                    12,
                ));
            }
            return Some((char::from_u32(unit)?, 6));
        }
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        byte @ (b'"' | b'\\' | b'/') => char::from(byte),
        _ => return None,
    };
    Some((character, 2))
}

fn hex(digits: &[u8]) -> Option<u32> {
    let all = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    u32::from_str_radix(all.then(|| std::str::from_utf8(digits).ok())??, 16).ok()
}

/// The specification's BlockStringValue: without the common indentation of its lines, and without
/// blank lines at both ends.
fn block(raw: &str) -> String {
    let raw: Cow<'_, str> = if raw.contains("\\\"\"\"") {
        raw.replace("\\\"\"\"", "\"\"\"").into()
    } else {
        raw.into()
    };
    let lines = lines(&raw);
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let is_blank = |line: &str| indent(line) == line.len();
    let common = lines
        .iter()
        .skip(1)
        .filter(|line| !is_blank(line))
        .map(|line| indent(line))
        .min()
        .unwrap_or(0);
    let first = lines.iter().position(|line| !is_blank(line)).unwrap_or(lines.len());
    let behind = lines.iter().rposition(|line| !is_blank(line)).map_or(first, |last| last + 1);
    let mut value = String::with_capacity(raw.len());
    for (index, line) in lines.iter().enumerate().take(behind).skip(first) {
        if index > first {
            value.push('\n');
        }
        // The first line begins after the quotes, so its indentation does not count. A blank line
        // may be shorter than the common indentation.
        value.push_str(if index == 0 { line } else { line.get(common..).unwrap_or_default() });
    }
    value
}

/// The parts between LF, CR and CR LF.
fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        rest = rest[end..].strip_prefix("\r\n").unwrap_or(&rest[end + 1..]);
    }
    lines.push(rest);
    lines
}
