//! The text being parsed and the mistakes found in it. The GraphQL parser reports the line and
//! column where something starts; here these become byte ranges, by tokenizing again from there.

use std::iter;
use std::ops::Range;

use async_graphql::parser::Pos;

use crate::model::Diagnostic;
use crate::syntax::{Lexer, Lines, TokenKind};

/// A byte range of the text.
pub(super) type Span = Range<usize>;

/// Collects the mistakes of one text.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    lines: Lines,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, lines: Lines::of(text), diagnostics: Vec::new() }
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(self.file, span, message));
    }

    /// An error with a remedy.
    pub(super) fn wrong(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::error(self.file, span, message).with_help(help));
    }

    /// An error with a remedy, if there is one.
    pub(super) fn unknown(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        self.diagnostics.push(Diagnostic { help, ..Diagnostic::error(self.file, span, message) });
    }

    pub(super) fn warning(
        &mut self,
        span: Span,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.diagnostics.push(Diagnostic::warning(self.file, span, message).with_help(help));
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Whether an error was found in this directive or its arguments.
    pub(super) fn has_errors_in(&self, directive: &Span) -> bool {
        let end = self.arguments(directive).end;
        self.diagnostics
            .iter()
            .any(|d| d.is_error() && d.span.start >= directive.start && d.span.end <= end)
    }

    /// From a directive's `@` to the closing parenthesis of its arguments.
    fn arguments(&self, directive: &Span) -> Span {
        let mut tokens = self.tokens(directive.end);
        if tokens.next().is_none_or(|token| self.text(&token) != "(") {
            return directive.clone();
        }
        // Parentheses do not nest.
        let close = tokens.find(|token| self.text(token) == ")");
        directive.start..close.map_or(self.text.len(), |token| token.end)
    }

    /// Everything found, in document order.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        self.diagnostics.dedup();
        self.diagnostics
    }

    /// The byte offset of a line and column.
    pub(super) fn offset(&self, pos: Pos) -> usize {
        self.lines.offset(self.text, pos)
    }

    /// The token that starts here: a name, a number, a string.
    pub(super) fn token(&self, pos: Pos) -> Span {
        let start = self.offset(pos);
        self.tokens(start).next().unwrap_or(start..start)
    }

    /// A directive's `@` and name.
    pub(super) fn directive(&self, pos: Pos) -> Span {
        let at = self.token(pos);
        let name = self.tokens(at.end).next().unwrap_or(at.clone());
        at.start..name.end
    }

    /// A type, with its brackets and exclamation marks.
    pub(super) fn type_ref(&self, pos: Pos) -> Span {
        let start = self.offset(pos);
        let (mut depth, mut end) = (0usize, start);
        for token in self.tokens(start) {
            match self.text(&token) {
                "[" => depth += 1,
                "]" => depth = depth.saturating_sub(1),
                "!" => {}
                // The type's name and its closing brackets have been read; the next thing begins.
                _ if end > start && depth == 0 => break,
                _ => {}
            }
            end = token.end;
        }
        start..end
    }

    pub(super) fn type_name(&self, pos: Pos) -> Span {
        let start = self.offset(pos);
        let name = self.tokens(start).find(|token| self.text(token) != "[");
        name.unwrap_or(start..start)
    }

    /// A value, up to its closing bracket.
    pub(super) fn value(&self, pos: Pos) -> Span {
        let start = self.offset(pos);
        let mut depth = 0usize;
        for token in self.tokens(start) {
            match &self.text[token.clone()] {
                "[" | "{" => depth += 1,
                "]" | "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return start..token.end;
            }
        }
        start..self.text.len()
    }

    /// The first occurrence of a name or string within a span; the span itself if there is none.
    pub(super) fn word_in(&self, span: &Span, word: &str) -> Span {
        let reads_so = |token: &Span| self.text[token.clone()].trim_matches('"') == word;
        self.tokens(span.start)
            .take_while(|token| token.end <= span.end)
            .find(reads_so)
            .unwrap_or(span.clone())
    }

    pub(super) fn text(&self, span: &Span) -> &'a str {
        &self.text[span.clone()]
    }

    /// The tokens from a position on, up to the first malformed one.
    pub(super) fn tokens(&self, from: usize) -> impl Iterator<Item = Span> + use<'a> {
        let mut lexer = Lexer::starting_at(self.text, from);
        iter::from_fn(move || match lexer.next_token() {
            Ok(token) if token.kind != TokenKind::End => Some(token.start..token.end),
            Ok(_) | Err(_) => None,
        })
    }
}
