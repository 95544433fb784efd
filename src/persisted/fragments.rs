//! Fragments that several query files share. A file may spread a fragment that another file
//! defines. Its document is then its own text, followed by the definitions that it needs, ordered
//! by name. Definitions are copied byte for byte, since they are part of the document's hash.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::Diagnostic;
use crate::syntax::{Lexer, TokenKind};

/// A definition in a query file.
#[derive(Debug)]
struct Definition<'t> {
    /// None for operations.
    fragment: Option<&'t str>,
    start: usize,
    text: &'t str,
    /// The names of the fragments that it spreads.
    spreads: BTreeSet<&'t str>,
}

pub(super) struct Fragments<'t> {
    by_name: BTreeMap<&'t str, Vec<Shared<'t>>>,
}

struct Shared<'t> {
    file: &'t str,
    definition: Definition<'t>,
}

/// A document, and where its parts come from.
#[derive(Debug)]
pub(super) struct Composed {
    pub(super) text: Arc<str>,
    /// For each definition from another file: its start in the document, the file, and its start in
    /// that file.
    parts: Vec<(usize, String, usize)>,
}

impl Composed {
    /// The file of a byte of the document, and the offset in that file; None for the document's own
    /// file.
    pub(super) fn foreign(&self, at: usize) -> Option<(&str, usize)> {
        let (start, file, from) = self.parts.iter().rev().find(|(start, ..)| *start <= at)?;
        Some((file, from + (at - start)))
    }
}

impl<'t> Fragments<'t> {
    /// The fragments of these files, given by name and text.
    pub(super) fn of(files: impl IntoIterator<Item = (&'t str, &'t str)>) -> Self {
        let mut by_name: BTreeMap<&str, Vec<Shared<'_>>> = BTreeMap::new();
        for (file, text) in files {
            for definition in definitions(text) {
                if let Some(name) = definition.fragment {
                    by_name.entry(name).or_default().push(Shared { file, definition });
                }
            }
        }
        Self { by_name }
    }

    /// The document of a file. A fragment that nobody defines is left for validation to report.
    ///
    /// # Errors
    /// A fragment that it needs has different definitions in several other files.
    pub(super) fn compose(&self, file: &str, text: &Arc<str>) -> Result<Composed, Diagnostic> {
        let own = definitions(text);
        let defined: BTreeSet<&str> =
            own.iter().filter_map(|definition| definition.fragment).collect();
        let mut needed: BTreeMap<&str, &Shared<'_>> = BTreeMap::new();
        let mut open: Vec<(&str, usize)> = own
            .iter()
            .flat_map(|definition| definition.spreads.iter().map(|name| (*name, definition.start)))
            .collect();
        while let Some((name, at)) = open.pop() {
            if defined.contains(name) || needed.contains_key(name) {
                continue;
            }
            let Some([first, others @ ..]) = self.by_name.get(name).map(Vec::as_slice) else {
                continue;
            };
            if let Some(other) =
                others.iter().find(|other| other.definition.text != first.definition.text)
            {
                let place = spread(text, name).unwrap_or(at..at);
                let message = format!(
                    "the fragment `{name}` is defined in {} and, differently, in {}",
                    first.file, other.file
                );
                return Err(Diagnostic::error(file, place, message)
                    .with_help("rename one of them, or define the intended one in this file"));
            }
            needed.insert(name, first);
            open.extend(first.definition.spreads.iter().map(|name| (*name, at)));
        }
        if needed.is_empty() {
            return Ok(Composed { text: text.clone(), parts: Vec::new() });
        }
        let mut composed = text.to_string();
        if !composed.ends_with('\n') {
            composed.push('\n');
        }
        let mut parts = Vec::new();
        for Shared { file, definition } in needed.into_values() {
            composed.push('\n');
            parts.push((composed.len(), (*file).to_owned(), definition.start));
            composed.push_str(definition.text);
            composed.push('\n');
        }
        Ok(Composed { text: composed.into(), parts })
    }
}

/// Whether a text consists of fragments only, which means that it is meant for other files.
pub(super) fn is_library(text: &str) -> bool {
    let definitions = definitions(text);
    !definitions.is_empty() && definitions.iter().all(|definition| definition.fragment.is_some())
}

/// The fragments that a text spreads but does not define.
pub fn missing(text: &str) -> Vec<String> {
    let own = definitions(text);
    let defined: BTreeSet<&str> = own.iter().filter_map(|definition| definition.fragment).collect();
    let spread: BTreeSet<&str> =
        own.iter().flat_map(|definition| definition.spreads.iter().copied()).collect();
    spread.difference(&defined).map(|name| (*name).to_owned()).collect()
}

/// The first spread of a fragment.
fn spread(text: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let mut lexer = Lexer::new(text);
    let mut after_spread = false;
    while let Ok(token) = lexer.next_token()
        && token.kind != TokenKind::End
    {
        if after_spread && &text[token.start..token.end] == name {
            return Some(token.start..token.end);
        }
        after_spread = token.kind == TokenKind::Spread;
    }
    None
}

/// The definitions of a text; if it does not parse, those before the mistake.
fn definitions(text: &str) -> Vec<Definition<'_>> {
    let mut found = Vec::new();
    let mut lexer = Lexer::new(text);
    let mut open: Option<Definition<'_>> = None;
    let (mut braces, mut parentheses) = (0_usize, 0_usize);
    // The last tokens before the current one.
    let (mut last, mut before) = ("", "");
    while let Ok(token) = lexer.next_token()
        && token.kind != TokenKind::End
    {
        let word = &text[token.start..token.end];
        let definition = open.get_or_insert_with(|| Definition {
            fragment: None,
            start: token.start,
            text: "",
            spreads: BTreeSet::new(),
        });
        match token.kind {
            TokenKind::Punctuator(b'{') => braces += 1,
            TokenKind::Punctuator(b'}') => braces = braces.saturating_sub(1),
            TokenKind::Punctuator(b'(') => parentheses += 1,
            TokenKind::Punctuator(b')') => parentheses = parentheses.saturating_sub(1),
            TokenKind::Name
                if braces == 0 && last == "fragment" && !is_name_of_operation(before) =>
            {
                definition.fragment = Some(word);
            }
            TokenKind::Name if last == "..." && word != "on" => {
                definition.spreads.insert(word);
            }
            _ => {}
        }
        (before, last) = (last, word);
        if token.kind == TokenKind::Punctuator(b'}') && braces == 0 && parentheses == 0 {
            if let Some(definition) = open.take() {
                found.push(Definition { text: &text[definition.start..token.end], ..definition });
            }
            (before, last) = ("", "");
        }
    }
    found
}

/// `query fragment …` is an operation with that name.
fn is_name_of_operation(keyword: &str) -> bool {
    matches!(keyword, "query" | "mutation" | "subscription")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn composed(files: &[(&str, &str)], file: usize) -> Result<Composed, Diagnostic> {
        Fragments::of(files.iter().copied()).compose(files[file].0, &files[file].1.into())
    }

    #[test]
    fn a_document_is_the_file_and_the_fragments_that_it_needs_by_name() {
        let files = [
            (
                "a.graphql",
                "query A($f: I = {a: {b: 1}}) { x(a: {b: $f}) { ...Z ... on T { ...B } } }",
            ),
            (
                "b.graphql",
                "# of b\nfragment B on T { b ...A }\n\"described\" fragment Z on T @d(x: {y: 1}) { z }\n",
            ),
            ("c.graphql", "fragment A on T { a }  fragment Unused on T { u }"),
        ];
        let document = composed(&files, 0).unwrap();
        let expected = format!(
            "{}\n\nfragment A on T {{ a }}\n\nfragment B on T {{ b ...A }}\n\n\"described\" fragment Z on T @d(x: {{y: 1}}) {{ z }}\n",
            files[0].1
        );
        assert_eq!(&*document.text, expected);
        let at = expected.find("{ b ...").unwrap();
        assert_eq!(document.foreign(at), Some(("b.graphql", files[1].1.find("{ b ...").unwrap())));
        assert_eq!(document.foreign(3), None);
        assert!(is_library(files[1].1) && !is_library(files[0].1) && !is_library("# nothing"));
        assert_eq!(missing(files[0].1), ["B", "Z"]);
    }

    #[test]
    fn a_file_keeps_its_text_where_it_needs_nothing_and_its_own_fragment_counts() {
        let own = "{ x { ...F } } fragment F on T { a }";
        let files = [("a.graphql", own), ("b.graphql", "fragment F on T { b }")];
        assert_eq!(&*composed(&files, 0).unwrap().text, own);
    }

    #[test]
    fn two_different_fragments_of_one_name_are_an_error() {
        let same = [
            ("a", "{ x { ...F } }"),
            ("b", "fragment F on T { b }"),
            ("c", "fragment F on T { b }"),
        ];
        assert_eq!(&*composed(&same, 0).unwrap().text, "{ x { ...F } }\n\nfragment F on T { b }\n");
        let other = [same[0], same[1], ("c", "fragment F on T { c }")];
        let mistake = composed(&other, 0).unwrap_err();
        assert_eq!(mistake.message, "the fragment `F` is defined in b and, differently, in c");
        assert_eq!(mistake.span, 9..10);
    }
}
