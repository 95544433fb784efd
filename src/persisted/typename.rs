//! `__typename` in every selection but an operation's own, as Apollo Client adds it before it sends
//! a document. Without it a client's cache cannot tell whose fields it holds.

use crate::syntax::{Lexer, TokenKind};

/// A selection that is being read.
struct Open {
    /// An operation's own, to which nothing is added.
    is_root: bool,
    /// It has `__typename` already, or asks about the schema.
    has_meta_field: bool,
}

/// The text with `__typename` added where it is missing; everything else stays as it is, byte for
/// byte. Of a text that does not parse, the part in front of the mistake.
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
            // Between parentheses braces make objects.
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

/// What stands in front of a definition's first word.
fn is_start(last: &str) -> bool {
    last.is_empty() || last == "}" || last.starts_with('"')
}

/// What stands between the last thing of a selection and the new one: a line of its own, as deep,
/// where `}` has one.
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
    fn it_stands_last_in_every_selection_but_the_operations_own() {
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
