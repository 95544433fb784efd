//! A mistake in a text that the user wrote (model, query, migration, configuration): where it is,
//! what is wrong, what would be right, and how to show it. It reads no files; callers pass in the
//! texts.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

use async_graphql::Pos;
use codespan_reporting::diagnostic::{self as report, Label};
use codespan_reporting::files::SimpleFiles;
use codespan_reporting::term;
use codespan_reporting::term::termcolor::Buffer;

use crate::syntax::Lines;

/// How serious a diagnostic is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Nothing starts.
    Error,
    /// It works, but deserves a look.
    Warning,
}

/// A mistake in a file that the user wrote: what, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: String,
    /// The byte range in the file's text (empty at 0 if the mistake has no position).
    pub span: Range<usize>,
    /// What is wrong, in lower case, without a full stop.
    pub message: String,
    /// What would be right.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error at this position.
    pub fn error(file: impl Into<String>, span: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            file: file.into(),
            span,
            message: message.into(),
            help: None,
        }
    }

    /// A warning at this position.
    pub fn warning(
        file: impl Into<String>,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(file, span, message) }
    }

    /// Adds what would be right.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Whether it is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// The line and column (in characters) of its start, both from 1.
    pub fn line_and_column(&self, text: &str) -> (usize, usize) {
        let before = &text[..floor_char_boundary(text, self.span.start)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// Renders diagnostics with their excerpts, `file:line:column` and a caret, and a closing line with
/// their number. `sources` gives the text of a file by its name; a diagnostic whose text is
/// unavailable is rendered without an excerpt.
pub fn render(
    diagnostics: &[Diagnostic],
    sources: &dyn Fn(&str) -> Option<String>,
    color: bool,
) -> String {
    let mut files = SimpleFiles::new();
    let mut known: HashMap<&str, Option<(usize, usize)>> = HashMap::new();
    let mut buffer = if color { Buffer::ansi() } else { Buffer::no_color() };
    let config = term::Config::default();
    for diagnostic in diagnostics {
        let file = *known.entry(&diagnostic.file).or_insert_with(|| {
            sources(&diagnostic.file)
                .map(|text| (text.len(), files.add(diagnostic.file.clone(), text)))
        });
        let mut shown = match diagnostic.severity {
            Severity::Error => report::Diagnostic::error(),
            Severity::Warning => report::Diagnostic::warning(),
        };
        if let Some((length, id)) = file {
            let span = diagnostic.span.start.min(length)..diagnostic.span.end.min(length);
            shown =
                shown.with_message(&diagnostic.message).with_labels(vec![Label::primary(id, span)]);
        } else {
            shown = shown.with_message(format!("{}: {}", diagnostic.file, diagnostic.message));
        }
        if let Some(help) = &diagnostic.help {
            shown = shown.with_notes(vec![format!("help: {help}")]);
        }
        // Writing to memory cannot fail, and spans are clamped to the text. Any other failure costs
        // only the excerpt.
        if term::emit(&mut buffer, &config, &files, &shown).is_err() {
            tracing::debug!(
                message = diagnostic.message,
                "a diagnostic could not be shown with its excerpt"
            );
        }
    }
    let mut text = String::from_utf8_lossy(buffer.as_slice()).into_owned();
    text.push_str(&summary(diagnostics));
    text
}

/// `2 errors, 1 warning`, and a newline; empty if there are none.
fn summary(diagnostics: &[Diagnostic]) -> String {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        _ => Some(format!("{count} {word}s")),
    };
    let parts: Vec<String> =
        [counted(errors, "error"), counted(diagnostics.len() - errors, "warning")]
            .into_iter()
            .flatten()
            .collect();
    if parts.is_empty() { String::new() } else { format!("{}\n", parts.join(", ")) }
}

/// Longer names are not typing mistakes; comparing them would only waste time.
const MAX_MISSPELT: usize = 64;

/// The candidate that was probably meant. Case is ignored; None if nothing is close.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > MAX_MISSPELT {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(similarity, _)| *similarity > 0.8)
        // Break ties alphabetically, so that messages do not depend on hash order.
        .max_by(|(a, x), (b, y)| a.total_cmp(b).then(Reverse(x).cmp(&Reverse(y))))
        .map(|(_, candidate)| candidate)
}

/// `did you mean …?` if something is close, otherwise the list of candidates.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(meant) = did_you_mean(word, candidates.iter().copied()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    // A long list helps nobody.
    (1..=20).contains(&candidates.len()).then(|| format!("there is {}", one_of(&candidates)))
}

/// "`a`, `b` or `c`".
pub fn one_of(words: &[&str]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [word] => format!("`{word}`"),
        [rest @ .., last] => {
            let rest: Vec<String> = rest.iter().map(|word| format!("`{word}`")).collect();
            format!("{} or `{last}`", rest.join(", "))
        }
    }
}

/// The byte offset of a line and column (in UTF-16 code units), both from 1, as parsers report
/// them. A position past the end of a line or of the text gives that end.
pub fn offset_of(text: &str, line: usize, column: usize) -> usize {
    Lines::of(text).offset(text, Pos { line, column })
}

/// `index`, or the start of the character that contains it.
fn floor_char_boundary(text: &str, index: usize) -> usize {
    (0..=index.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "type Product @entity {\n  id: ID! @indx\n  naïve: String! @unqiue\n}\n";

    fn place(word: &str) -> Range<usize> {
        let start = TEXT.find(word).unwrap();
        start..start + word.len()
    }

    #[test]
    fn a_diagnostic_shows_file_line_column_excerpt_and_caret() {
        let diagnostics = [
            Diagnostic::error("schema.graphql", place("@indx"), "unknown directive `@indx`")
                .with_help("did you mean `@index`?"),
            Diagnostic::warning("schema.graphql", place("@unqiue"), "unknown directive `@unqiue`"),
            Diagnostic::error("gone.graphql", 0..0, "cannot be read"),
        ];
        let shown = render(
            &diagnostics,
            &|file| (file == "schema.graphql").then(|| TEXT.to_owned()),
            false,
        );
        insta::assert_snapshot!(shown, @r"
        error: unknown directive `@indx`
          ┌─ schema.graphql:2:11
          │
        2 │   id: ID! @indx
          │           ^^^^^
          │
          = help: did you mean `@index`?

        warning: unknown directive `@unqiue`
          ┌─ schema.graphql:3:18
          │
        3 │   naïve: String! @unqiue
          │                  ^^^^^^^

        error: gone.graphql: cannot be read

        2 errors, 1 warning
        ");
    }

    #[test]
    fn spans_beyond_the_text_are_cut() {
        let shown =
            render(&[Diagnostic::error("a", 90..99, "late")], &|_| Some("short".to_owned()), false);
        assert!(shown.contains("a:1:6"), "{shown}");
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(Diagnostic::error("f", place("@unqiue"), "").line_and_column(TEXT), (3, 18));
        assert_eq!(offset_of(TEXT, 3, 18), place("@unqiue").start);
        assert_eq!(offset_of(TEXT, 99, 1), TEXT.len());
        assert_eq!(offset_of("ab\ncd", 1, 99), 2);
    }

    #[test]
    fn did_you_mean_finds_what_is_close_and_nothing_else() {
        let directives = ["entity", "id", "index", "unique", "default"];
        assert_eq!(did_you_mean("indx", directives), Some("index"));
        assert_eq!(did_you_mean("Unique", directives), Some("unique"));
        assert_eq!(did_you_mean("qqq", directives), None);
        assert_eq!(suggest("qqq", ["a", "b", "c"]).as_deref(), Some("there is `a`, `b` or `c`"));
    }
}
