//! JSON as the whole crate writes it: strings, and one canonical text for each value.

use async_graphql::{Number, Value};

use crate::syntax::{exact_float, long_number};

/// The canonical text of a value: members sorted by name, no white space, one spelling for each
/// number. It gives requests that mean the same thing one cache key and one ETag. Enum values are
/// written as strings.
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
        Value::Number(number) => {
            match number.as_f64().filter(|_| !number.is_i64() && !number.is_u64()) {
                Some(float) => write_float(float, out),
                None => out.extend_from_slice(number.to_string().as_bytes()),
            }
        }
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
        Value::Object(members) => {
            write_members(members.iter().map(|(name, value)| (name.as_str(), value)), out)
        }
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

/// Writes a number in the one form in which PostgreSQL's `jsonb` returns it, without exponents and
/// `-0.0`: as a float if a float holds it exactly; a 64-bit integer by its digits; any other number
/// with all of its digits.
fn write_number(text: &str, out: &mut Vec<u8>) {
    if let Some(float) = exact_float(text).and_then(|number| number.as_f64()) {
        return write_float(float, out);
    }
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    match exponent.trim_start_matches('+').parse::<i64>() {
        Ok(0) => out.extend_from_slice(mantissa.as_bytes()),
        Ok(exponent @ -400..=400) => write_shifted(mantissa, exponent, out),
        // No type accepts such a number.
        _ => out.extend_from_slice(
            format!("{mantissa}e{}", exponent.trim_start_matches('+')).as_bytes(),
        ),
    }
}

fn write_float(float: f64, out: &mut Vec<u8>) {
    // From 1e16 on, floats would be written with an exponent; below 2^64 such a number is an
    // integer to `jsonb`.
    let is_integer = float.abs() >= 1e16 && float > -9.3e18 && float < 18_446_744_073_709_551_616.0;
    let text = match is_integer {
        true => format!("{float:.0}"),
        // Adding zero turns -0.0 into 0.0.
        false => Number::from_f64(float + 0.0).map(|number| number.to_string()).unwrap_or_default(),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Writes a number with its decimal point moved to the right by this many digits.
fn write_shifted(mantissa: &str, by: i64, out: &mut Vec<u8>) {
    let (sign, unsigned) =
        mantissa.strip_prefix('-').map_or(("", mantissa), |unsigned| ("-", unsigned));
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = format!("{whole}{fraction}");
    let point = whole.len() as i64 + by;
    out.extend_from_slice(sign.as_bytes());
    let (before, after) = match usize::try_from(point) {
        Ok(point) if point >= digits.len() => (format!("{digits:0<point$}"), String::new()),
        Ok(point) => (digits[..point].to_owned(), digits[point..].to_owned()),
        Err(_) => (String::new(), format!("{}{digits}", "0".repeat(point.unsigned_abs() as usize))),
    };
    let before = before.trim_start_matches('0');
    out.extend_from_slice(if before.is_empty() { b"0" } else { before.as_bytes() });
    if !after.is_empty() {
        out.push(b'.');
        out.extend_from_slice(after.as_bytes());
    }
}

/// Writes a JSON string with its quotes. Clean runs are copied as they are; UTF-8 stays UTF-8 (RFC
/// 8259, section 7: only quotes, backslashes and control characters must be escaped).
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut clean_from = 0;
    let mut at = 0;
    while at < bytes.len() {
        // Eight clean bytes at a time: most strings have nothing to escape.
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

/// Whether none of eight bytes needs escaping. (The usual bit trick: a byte less than n, and a byte
/// equal to n, for all eight at once. It may report a clean byte as dirty after a borrow, never the
/// other way round.)
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
