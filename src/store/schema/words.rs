//! The text of SQL without what does not change its meaning.

use super::layout::SqlName;

/// Joins tokens without comments, white space and unnecessary quotes, so that only their meaning is
/// compared: an author may have formatted a text differently, and databases themselves quote names.
/// None stands for a comment or white space. Words are separated by one space.
pub(in crate::store) fn joined<'t>(tokens: impl Iterator<Item = Option<&'t str>>) -> String {
    let mut out = String::new();
    let mut gap = false;
    for token in tokens {
        let Some(token) = token else {
            gap = true;
            continue;
        };
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
