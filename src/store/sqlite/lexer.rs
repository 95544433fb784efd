//! Tokenizes SQLite's SQL: strings, quoted names, comments and words. Their meaning is left to the
//! database.

#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Token {
    Space,
    Semicolon,
    Word,
    Other,
}

/// The kind and length of the first token of a non-empty text.
pub(in crate::store) fn next_token(text: &str) -> (Token, usize) {
    let first = text.chars().next().unwrap_or(' ');
    let until = |end: &str, from: usize| {
        text[from..].find(end).map_or(text.len(), |found| from + found + end.len())
    };
    match first {
        _ if text.starts_with("--") => (Token::Space, until("\n", 2)),
        _ if text.starts_with("/*") => (Token::Space, until("*/", 2)),
        ';' => (Token::Semicolon, 1),
        // A doubled quote inside reads as the end of one string and the beginning of the next, with
        // the same result.
        '\'' | '"' | '`' => (Token::Other, until(&first.to_string(), 1)),
        '[' => (Token::Other, until("]", 1)),
        c if c.is_alphanumeric() || c == '_' => (
            Token::Word,
            text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len()),
        ),
        // SQLite treats a byte order mark as a space, too.
        c if c.is_whitespace() || c == '\u{feff}' => (Token::Space, c.len_utf8()),
        c => (Token::Other, c.len_utf8()),
    }
}

pub(in crate::store) fn tokens(sql: &str) -> impl Iterator<Item = (Token, &str)> {
    let mut rest = sql;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (kind, length) = next_token(rest);
        let (token, after) = rest.split_at(length);
        rest = after;
        Some((kind, token))
    })
}
