//! JSON as the whole program writes it: strings, and one canonical text for each value.

use async_graphql::Value;

use crate::syntax::long_number;

/// The canonical text of a value: members sorted by name, no white space, one spelling for each number. Two requests that
/// mean the same thing get one cache key and one ETag by it. The words of enums are strings.
pub fn canonical(value: &Value) -> String {
    let mut text = Vec::new();
    write_canonical(value, &mut text);
    String::from_utf8(text).expect("JSON that is made from strings is UTF-8")
}

/// Writes the [`canonical`] text of an object.
pub fn canonical_object<'a>(members: impl IntoIterator<Item = (&'a str, &'a Value)>) -> String {
    let mut text = Vec::with_capacity(64);
    write_members(members, &mut text);
    String::from_utf8(text).expect("JSON that is made from strings is UTF-8")
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(true) => out.extend_from_slice(b"true"),
        Value::Boolean(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::String(text) => write_string(text, out),
        Value::Enum(word) => write_string(word, out),
        Value::Binary(kept) => write_number(long_number(kept), out),
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => write_members(members.iter().map(|(name, value)| (name.as_str(), value)), out),
    }
}

fn write_members<'a>(members: impl IntoIterator<Item = (&'a str, &'a Value)>, out: &mut Vec<u8>) {
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    out.push(b'{');
    for (i, (name, value)) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write_string(name, out);
        out.push(b':');
        write_canonical(value, out);
    }
    out.push(b'}');
}

/// Writes a number with all its digits, which a float would round; its exponent in one spelling.
fn write_number(text: &str, out: &mut Vec<u8>) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let is_zero = !mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'));
    out.extend_from_slice(mantissa.as_bytes());
    match exponent.trim_start_matches('+').parse::<i32>() {
        Ok(exponent) if exponent != 0 && !is_zero => out.extend_from_slice(format!("e{exponent}").as_bytes()),
        Ok(_) => {}
        // An exponent beyond 32 bits stays as it is; no type takes such a number.
        Err(_) => out.extend_from_slice(format!("e{exponent}").as_bytes()),
    }
}

/// Writes a JSON string with its quotes. Runs of clean bytes are copied as they are; UTF-8 stays UTF-8 (RFC 8259,
/// section 7: only quotes, backslashes and control characters must be escaped).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut clean_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        // Eight clean bytes at a time: most texts have nothing to escape.
        if let Some(chunk) = bytes[at..].first_chunk::<8>()
            && is_clean(u64::from_le_bytes(*chunk))
        {
            at += 8;
            continue;
        }
        let byte = bytes[at];
        let escape = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0C => b'f',
            0x00..=0x1F => b'u',
            _ => {
                at += 1;
                continue;
            }
        };
        out.extend_from_slice(&bytes[clean_from..at]);
        out.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 0xF)]);
        }
        at += 1;
        clean_from = at;
    }
    out.extend_from_slice(&bytes[clean_from..]);
    out.push(b'"');
}

/// Has none of eight bytes to be escaped? (The usual bit trick: a byte less than n, a byte equal to n, for all eight at
/// once. It may call clean bytes dirty after a borrow, never the other way round.)
fn is_clean(word: u64) -> bool {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let less_than_space = word.wrapping_sub(LOW * 0x20) & !word;
    let quotes = word ^ (LOW * 0x22);
    let backslashes = word ^ (LOW * 0x5C);
    let is_quote = quotes.wrapping_sub(LOW) & !quotes;
    let is_backslash = backslashes.wrapping_sub(LOW) & !backslashes;
    (less_than_space | is_quote | is_backslash) & HIGH == 0
}
