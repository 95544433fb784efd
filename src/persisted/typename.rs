//! `__typename` in every selection except the root, as Apollo Client adds it before it sends a
//! document. Without it, a client's cache cannot identify its objects.

use crate::syntax::{Lexer, TokenKind};

/// A selection that is being read.
struct Open {
    /// The root selection of an operation, to which nothing is added.
    is_root: bool,
    /// It contains `__typename` already, or queries the schema.
    has_meta_field: bool,
}

/// The text with `__typename` added where it is missing, otherwise unchanged byte for byte. If it
/// does not parse, only the part before the mistake.
pub fn with_typename(text: &str) -> String {
    let mut lexer = Lexer::new(text);
    let mut out = String::with_capacity(text.len() * 2);
    let mut copied = 0;
    let mut open: Vec<Open> = Vec::new();
    let (mut parentheses, mut is_fragment) = (0_usize, false);
    let (mut last, mut last_end) = ("", 0);
    while let Ok(token) = lexer.next_token()
        && token.kind != TokenKind::End
    {
        let word = &text[token.start..token.end];
        match token.kind {
            TokenKind::Punctuator(b'(') => parentheses += 1,
            TokenKind::Punctuator(b')') => parentheses = parentheses.saturating_sub(1),
            // Inside parentheses, braces are input objects.
            TokenKind::Punctuator(b'{') if parentheses == 0 => {
                open.push(Open { is_root: open.is_empty() && !is_fragment, has_meta_field: false });
            }
            TokenKind::Punctuator(b'}') if parentheses == 0 => {
                if let Some(selection) = open.pop()
                    && !selection.is_root
                    && !selection.has_meta_field
                {
                    out.push_str(&text[copied..last_end]);
                    out.push_str(&separator(&text[..last_end], &text[last_end..token.start]));
                    out.push_str("__typename");
                    copied = last_end;
                }
                if open.is_empty() {
                    is_fragment = false;
                }
            }
            TokenKind::Name if open.is_empty() && parentheses == 0 && is_start(last) => {
                is_fragment = word == "fragment"
            }
            TokenKind::Name
                if parentheses == 0 && word.starts_with("__") && last != "@" && last != "..." =>
            {
                if let Some(selection) = open.last_mut() {
                    selection.has_meta_field = true;
                }
            }
            _ => {}
        }
        (last, last_end) = (word, token.end);
    }
    out.push_str(&text[copied..]);
    out
}

/// Whether this is the last token before a definition's first word.
fn is_start(last: &str) -> bool {
    last.is_empty() || last == "}" || last.starts_with('"')
}

/// The text between the last element of a selection and the new one: a separate line with the same
/// indentation if `}` has its own line.
fn separator(before: &str, gap: &str) -> String {
    if !gap.contains(['\n', '\r']) {
        return " ".to_owned();
    }
    let line = before.rfind(['\n', '\r']).map_or(before, |at| &before[at + 1..]);
    let indent = &line[..line.len() - line.trim_start().len()];
    format!("\n{indent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typename_is_added_last_to_every_selection_but_the_root() {
        let text = "query A($w: W = {a: {b: 1}}) {
  x(where: {a: {b: 1}}) @include(if: true) {
    id
    y(
      first: 1
    ) { id } # the last
  }
}
fragment F on T { a ... on U { b } }
fragment query on T @d(a: {b: 1}) { __typename }
\"described\" fragment fragment on T { ...F @__x t: __typename }
{ __schema { types { name } } }
";
        let added = with_typename(text);
        assert!(
            added.contains("    ) { id __typename }\n    __typename # the last\n  }\n}\n"),
            "{added}"
        );
        assert!(
            added.contains("fragment F on T { a ... on U { b __typename } __typename }\n"),
            "{added}"
        );
        assert!(added.contains("fragment query on T @d(a: {b: 1}) { __typename }\n"), "{added}");
        assert!(added.contains("fragment fragment on T { ...F @__x t: __typename }\n"), "{added}");
        assert!(
            added.contains("{ __schema { types { name __typename } __typename } }\n"),
            "{added}"
        );
        assert_eq!(with_typename(&added), added);
    }
}
