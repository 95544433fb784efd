//! What a piece of SQL says, independent of its layout: two texts mean the same if their words are
//! equal.

use super::lexer::{Token, tokens};
use crate::store::schema::layout::SqlName;

/// The text without comments, white space and unnecessary quotes, so that only its meaning is
/// compared: an author may have formatted it differently, and SQLite itself quotes a renamed table.
/// Words are separated by one space.
pub(in crate::store) fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut gap = false;
    for (kind, token) in tokens(text) {
        if kind == Token::Space {
            gap = true;
            continue;
        }
        let token = match token.strip_prefix('"').and_then(|token| token.strip_suffix('"')) {
            Some(name) => SqlName::new(name).to_string(),
            None if token.starts_with('\'') => token.to_owned(),
            None => token.to_ascii_lowercase(),
        };
        let is_word = |c: Option<char>| {
            c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '\'' || c == '"')
        };
        if gap && is_word(out.chars().next_back()) && is_word(token.chars().next()) {
            out.push(' ');
        }
        gap = false;
        out.push_str(&token);
    }
    out
}
