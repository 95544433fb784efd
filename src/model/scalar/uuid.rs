//! UUIDs (RFC 9562): any case from clients, lower case everywhere else.

use std::sync::Arc;

use super::quote::quoted;

/// The lower-case form.
pub(super) fn parse(text: &str) -> Result<Arc<str>, String> {
    let mut lower = [0; 36];
    let bytes = text.as_bytes();
    if bytes.len() == lower.len() {
        for (target, byte) in lower.iter_mut().zip(bytes) {
            *target = byte.to_ascii_lowercase();
        }
    }
    match std::str::from_utf8(&lower) {
        Ok(lower) if is_uuid(lower) => Ok(lower.into()),
        _ => Err(format!(
            "expected a UUID such as \"0190d0a1-7f3c-7000-8000-000000000001\", found {}",
            quoted(text)
        )),
    }
}

/// 8-4-4-4-12 lower-case hexadecimal digits.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(i, byte)| match i {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}
