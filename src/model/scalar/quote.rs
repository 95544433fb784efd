//! How messages quote what a client has sent, which may be long.

use crate::model::naming::with_article;

/// Characters that are quoted.
const MAX_QUOTED: usize = 80;

/// In quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// As it is, without quotes: a number.
pub(super) fn shortened(text: impl ToString) -> String {
    let text = text.to_string();
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A type's name with its article; JSON, a mass noun, has none.
pub(super) fn article(name: &str) -> String {
    if name == "JSON" { name.to_owned() } else { with_article(name) }
}
