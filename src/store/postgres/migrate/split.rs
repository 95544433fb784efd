//! Splits a text into PostgreSQL statements. It recognizes strings, quoted names, comments, dollar
//! quotes, and the bodies of functions in standard SQL, and nothing else: only the database knows
//! what a statement means.

use crate::store::schema::words::joined;

/// A statement in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Statement<'a> {
    /// Without anything before it; with its semicolon.
    pub(super) text: &'a str,
    /// Where it begins, in bytes.
    pub(super) start: usize,
}

impl<'a> Statement<'a> {
    /// The first word, if it begins or ends a transaction.
    pub(super) fn transaction_control(&self) -> Option<&'a str> {
        let mut words =
            self.text.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
        let first = words.next()?;
        let second = words.next().unwrap_or_default();
        let control = ["begin", "commit", "end", "rollback", "abort", "savepoint", "release"];
        let is_two = |one: &str, two: &str| {
            first.eq_ignore_ascii_case(one) && second.eq_ignore_ascii_case(two)
        };
        let is_control = control.iter().any(|control| control.eq_ignore_ascii_case(first))
            || is_two("start", "transaction")
            || is_two("prepare", "transaction");
        is_control.then_some(first)
    }
}

/// The statements of a text, in order, including an unfinished one at the end.
pub(super) fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut words: Vec<String> = Vec::new();
    let (mut parentheses, mut blocks, mut at) = (0_usize, 0_usize, 0);
    while at < text.len() {
        let rest = &text[at..];
        let length = length_of(rest);
        let token = &rest[..length];
        at += length;
        let first = token.chars().next().unwrap_or(' ');
        if is_space(token) {
            continue;
        }
        let begins = *start.get_or_insert(at - length);
        match token {
            "(" => parentheses += 1,
            ")" => parentheses = parentheses.saturating_sub(1),
            ";" if parentheses == 0 && blocks == 0 => {
                // A semicolon alone is not a statement.
                if begins < at - length {
                    statements.push(Statement { text: &text[begins..at], start: begins });
                }
                start = None;
                words.clear();
            }
            word if first.is_alphabetic() || first == '_' => {
                let word = word.to_ascii_lowercase();
                // `BEGIN ATOMIC … END`: only function bodies contain semicolons.
                match word.as_str() {
                    "begin" if makes_a_function(&words) => blocks += 1,
                    "case" if blocks > 0 => blocks += 1,
                    "end" => blocks = blocks.saturating_sub(1),
                    _ => {}
                }
                if words.len() < 4 {
                    words.push(word);
                }
            }
            _ => {}
        }
    }
    if let Some(start) = start {
        statements.push(Statement { text: &text[start..], start });
    }
    statements
}

/// The text without what does not change its meaning.
pub(super) fn words(text: &str) -> String {
    let mut rest = text;
    joined(std::iter::from_fn(|| {
        if rest.is_empty() {
            return None;
        }
        let (token, after) = rest.split_at(length_of(rest));
        rest = after;
        Some((!is_space(token)).then_some(token))
    }))
}

fn is_space(token: &str) -> bool {
    token.starts_with(char::is_whitespace) || token.starts_with("--") || token.starts_with("/*")
}

fn makes_a_function(words: &[String]) -> bool {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    matches!(
        words[..],
        ["create", "function" | "procedure", ..]
            | ["create", "or", "replace", "function" | "procedure", ..]
    )
}

/// The length of the first token: a comment, string, name, word, or single character.
fn length_of(text: &str) -> usize {
    let all = text.len();
    let mut chars = text.chars();
    let first = chars.next().unwrap_or(' ');
    match first {
        '-' if text.starts_with("--") => text.find('\n').map_or(all, |end| end + 1),
        '/' if text.starts_with("/*") => comment(text),
        '\'' => quoted(text, '\'', false),
        '"' => quoted(text, '"', false),
        'e' | 'E' if text[1..].starts_with('\'') => 1 + quoted(&text[1..], '\'', true),
        '$' => dollar_quoted(text).unwrap_or(1),
        _ if first.is_alphanumeric() || first == '_' => {
            text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(all)
        }
        _ => first.len_utf8(),
    }
}

/// Comments can be nested in PostgreSQL.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let length = match () {
            () if rest.starts_with("/*") => {
                depth += 1;
                2
            }
            () if rest.starts_with("*/") => {
                depth -= 1;
                2
            }
            () => rest.chars().next().map_or(1, char::len_utf8),
        };
        at += length;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if escapes && c == '\\' {
            chars.next();
        } else if c == quote {
            // A doubled quote stands for itself; what follows is read as another string, which ends
            // at the same position.
            return at + 1;
        }
    }
    text.len()
}

/// `$$ … $$`, `$name$ … $name$`.
fn dollar_quoted(text: &str) -> Option<usize> {
    let tag = text[1..].find('$').map(|end| &text[..end + 2])?;
    let name = &tag[1..tag.len() - 1];
    let is_tag = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_numeric());
    is_tag.then(|| text[tag.len()..].find(tag).map_or(text.len(), |end| end + 2 * tag.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        statements(text).into_iter().map(|statement| statement.text).collect()
    }

    #[test]
    fn semicolons_end_statements_outside_literals_and_bodies() {
        assert_eq!(
            texts("-- a;\nSELECT 1; ; /* x; /* y; */ z; */ SELECT 2"),
            ["SELECT 1;", "SELECT 2"]
        );
        assert_eq!(
            texts(
                "SELECT 'a;''b', E'it\\'s;', \"q;\"\"\";\nSELECT $$ ; $$, $x$ ; $$ ; $x$; DO $a1$;$a1$;"
            ),
            [
                "SELECT 'a;''b', E'it\\'s;', \"q;\"\"\";",
                "SELECT $$ ; $$, $x$ ; $$ ; $x$;",
                "DO $a1$;$a1$;"
            ]
        );
        assert_eq!(
            texts("SELECT $1; SELECT a$b$c; SELECT 2"),
            ["SELECT $1;", "SELECT a$b$c;", "SELECT 2"]
        );
        let function = "CREATE OR REPLACE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;";
        let rule =
            "CREATE RULE r AS ON DELETE TO t DO ALSO (INSERT INTO a VALUES (1); DELETE FROM b);";
        assert_eq!(texts(&format!("{function} {rule} END;")), [function, rule, "END;"]);
        assert_eq!(statements("\n SELECT 1;")[0].start, 2);
        assert_eq!(texts("SELECT 'open; "), ["SELECT 'open; "]);
    }

    #[test]
    fn transaction_control_is_reported() {
        let control = |text| statements(text)[0].transaction_control();
        for text in [
            "BEGIN",
            "commit;",
            "START TRANSACTION",
            "Abort;",
            "PREPARE TRANSACTION 'x'",
            "ROLLBACK TO a",
        ] {
            assert!(control(text).is_some(), "{text}");
        }
        for text in ["PREPARE a AS SELECT 1", "SELECT 1", "DO $$ BEGIN END $$", "BEGINNING"] {
            assert_eq!(control(text), None, "{text}");
        }
    }
}
