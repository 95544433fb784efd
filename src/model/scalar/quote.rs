//! How messages quote client input, which may be long.

use crate::model::naming::with_article;

/// The number of characters that are quoted.
const MAX_QUOTED: usize = 80;

/// The text in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// The text without quotes, for numbers.
pub(super) fn shortened(text: impl ToString) -> String {
    let text = text.to_string();
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A type name with its article; JSON, a mass noun, has none.
pub(super) fn article(name: &str) -> String {
    if name == "JSON" { name.to_owned() } else { with_article(name) }
}
