//! The text under the parser's hands and what was found wrong in it. The GraphQL parser gives the line and column where
//! a thing starts; here they become byte ranges, by reading the tokens again from there.

use std::iter;
use std::ops::Range;

use async_graphql::parser::Pos;

use crate::model::Diagnostic;

/// Where something stands: bytes of the text.
pub(super) type Span = Range<usize>;

/// Collects the mistakes of one text.
pub(super) struct Report<'a> {
    file: &'a str,
    text: &'a str,
    line_starts: Vec<usize>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Report<'a> {
    pub(super) fn new(file: &'a str, text: &'a str) -> Self {
        let line_starts = iter::once(0).chain(text.match_indices('\n').map(|(newline, _)| newline + 1)).collect();
        Self { file, text, line_starts, diagnostics: Vec::new() }
    }

    pub(super) fn error(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(self.file, span, message));
    }

    /// An error that says what would be right.
    pub(super) fn wrong(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::error(self.file, span, message).with_help(help));
    }

    /// An error that says what would be right, if that is known.
    pub(super) fn unknown(&mut self, span: Span, message: impl Into<String>, help: Option<String>) {
        self.diagnostics.push(Diagnostic { help, ..Diagnostic::error(self.file, span, message) });
    }

    pub(super) fn warning(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(self.file, span, message).with_help(help));
    }

    pub(super) fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Was an error found in this directive or its arguments?
    pub(super) fn has_errors_in(&self, directive: &Span) -> bool {
        let end = self.arguments(directive).end;
        self.diagnostics.iter().any(|d| d.is_error() && d.span.start >= directive.start && d.span.end <= end)
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

    /// Everything found, in the order of the text.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| (diagnostic.span.start, diagnostic.span.end));
        self.diagnostics.dedup();
        self.diagnostics
    }

    /// The byte at a line and column.
    pub(super) fn offset(&self, pos: Pos) -> usize {
        let start = self.line_starts.get(pos.line.saturating_sub(1)).copied().unwrap_or(self.text.len());
        let rest = &self.text[start..];
        rest.char_indices().nth(pos.column.saturating_sub(1)).map_or(self.text.len(), |(offset, _)| start + offset)
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
        let is_type = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '[' | ']' | '!');
        let length = self.text[start..].find(|c| !is_type(c)).unwrap_or(self.text.len() - start);
        start..start + length
    }

    /// The name inside a type.
    pub(super) fn type_name(&self, pos: Pos) -> Span {
        let whole = self.type_ref(pos);
        let text = &self.text[whole.clone()];
        let inner = text.trim_start_matches('[');
        let start = whole.start + text.len() - inner.len();
        start..start + inner.trim_end_matches(['!', ']']).len()
    }

    /// A value, to its closing bracket.
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

    /// The first name or string within a span that reads so; the span itself if there is none.
    pub(super) fn word_in(&self, span: &Span, word: &str) -> Span {
        let reads_so = |token: &Span| self.text[token.clone()].trim_matches('"') == word;
        self.tokens(span.start).take_while(|token| token.end <= span.end).find(reads_so).unwrap_or(span.clone())
    }

    /// The text of a span.
    pub(super) fn text(&self, span: &Span) -> &'a str {
        &self.text[span.clone()]
    }

    /// The tokens from a place on, without white space and comments. Only good enough for text that parsed.
    pub(super) fn tokens(&self, from: usize) -> impl Iterator<Item = Span> + use<'a> {
        let text = self.text;
        let mut at = from;
        iter::from_fn(move || {
            at = skip_ignored(text, at);
            let start = at;
            at += token_length(&text[start..])?;
            Some(start..at)
        })
    }
}

/// Past white space, commas and comments.
fn skip_ignored(text: &str, mut at: usize) -> usize {
    loop {
        let rest = &text[at..];
        let trimmed = rest.trim_start_matches([' ', '\t', '\n', '\r', ',', '\u{feff}']);
        at += rest.len() - trimmed.len();
        if !trimmed.starts_with('#') {
            return at;
        }
        at += trimmed.find(['\n', '\r']).unwrap_or(trimmed.len());
    }
}

/// How long the token at the start of the text is; none at its end.
fn token_length(text: &str) -> Option<usize> {
    let first = text.chars().next()?;
    if let Some(block) = text.strip_prefix("\"\"\"") {
        let mut from = 0;
        while let Some(quotes) = block[from..].find("\"\"\"") {
            let end = from + quotes;
            if !block[..end].ends_with('\\') {
                return Some(end + 6);
            }
            from = end + 3;
        }
        return Some(text.len());
    }
    if first == '"' {
        let mut escaped = false;
        for (offset, c) in text.char_indices().skip(1) {
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => return Some(offset + 1),
                '\n' => return Some(offset),
                _ => {}
            }
        }
        return Some(text.len());
    }
    let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let in_number = |c: char| in_word(c) || matches!(c, '.' | '+' | '-');
    let length = if first.is_ascii_digit() || first == '-' {
        text.find(|c| !in_number(c))
    } else if in_word(first) {
        text.find(|c| !in_word(c))
    } else {
        Some(first.len_utf8())
    };
    Some(length.unwrap_or(text.len()))
}
