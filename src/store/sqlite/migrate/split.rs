//! Splits a text into SQL statements. It knows strings, quoted names, comments and the bodies of
//! triggers, and nothing else of SQL: the meaning of a statement is left to the database.

use crate::store::sqlite::lexer::{Token, next_token};

#[derive(Debug, PartialEq, Eq)]
pub(in crate::store) struct Statement<'a> {
    /// Without the comments before it; with its semicolon.
    pub(in crate::store) text: &'a str,
    /// The byte offset of its beginning.
    pub(in crate::store) start: usize,
}

impl<'a> Statement<'a> {
    /// The first word, if it begins or ends a transaction.
    pub(in crate::store) fn transaction_control(&self) -> Option<&'a str> {
        let end = self.text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.text.len());
        let word = &self.text[..end];
        let control = ["begin", "commit", "end", "rollback", "savepoint", "release"];
        control.iter().any(|control| control.eq_ignore_ascii_case(word)).then_some(word)
    }
}

/// The position within a `CREATE TRIGGER`, whose body contains semicolons and ends with `; END ;`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trigger {
    /// No word yet.
    Start,
    /// After `CREATE`, perhaps `TEMP`.
    Create,
    /// Inside the trigger.
    Inside,
    /// Inside the trigger, just after a semicolon.
    AfterSemicolon,
    /// After that, `END`.
    AfterEnd,
    /// A different statement.
    No,
}

/// The statements of a text, in order. An unfinished one at the end counts.
pub(in crate::store) fn statements(text: &str) -> Vec<Statement<'_>> {
    let mut statements = Vec::new();
    let mut start = None;
    let mut trigger = Trigger::Start;
    let mut at = 0;
    while at < text.len() {
        let (token, length) = next_token(&text[at..]);
        let word = &text[at..at + length];
        if token != Token::Space {
            let first = *start.get_or_insert(at);
            if token == Token::Semicolon
                && !matches!(trigger, Trigger::Inside | Trigger::AfterSemicolon)
            {
                // A single semicolon is not a statement.
                if first != at {
                    statements.push(Statement { text: &text[first..at + length], start: first });
                }
                start = None;
                trigger = Trigger::Start;
            } else {
                trigger = follow(trigger, token, word);
            }
        }
        at += length;
    }
    if let Some(first) = start {
        statements.push(Statement { text: text[first..].trim_end(), start: first });
    }
    statements
}

fn follow(state: Trigger, token: Token, word: &str) -> Trigger {
    let is = |other: &str| token == Token::Word && word.eq_ignore_ascii_case(other);
    match state {
        Trigger::Start if is("create") => Trigger::Create,
        Trigger::Create if is("temp") || is("temporary") => Trigger::Create,
        Trigger::Create if is("trigger") => Trigger::Inside,
        Trigger::Start | Trigger::Create | Trigger::No => Trigger::No,
        Trigger::AfterSemicolon if is("end") => Trigger::AfterEnd,
        _ if token == Token::Semicolon => Trigger::AfterSemicolon,
        _ => Trigger::Inside,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<&str> {
        for statement in statements(text) {
            assert_eq!(
                &text[statement.start..statement.start + statement.text.len()],
                statement.text
            );
        }
        statements(text).into_iter().map(|s| s.text).collect()
    }

    #[test]
    fn statements_end_with_semicolons() {
        assert_eq!(
            texts("SELECT 1;\nSELECT 2 ; ;; SELECT 3\n"),
            ["SELECT 1;", "SELECT 2 ;", "SELECT 3"]
        );
        assert_eq!(texts(" \n-- nothing;\n/* ; */"), Vec::<&str>::new());
    }

    #[test]
    fn semicolons_in_strings_names_and_comments_do_not_count() {
        let text = "INSERT INTO \"a;b\" VALUES ('it''s; so', [c;d], `e;f`) -- g; h\n /* i; */;";
        assert_eq!(texts(text), [text]);
    }

    #[test]
    fn body_of_a_trigger_is_one_statement() {
        let trigger = "CREATE TEMP TRIGGER t AFTER INSERT ON a BEGIN\n  UPDATE a SET b = CASE WHEN 1 THEN 2 END;\n  \
                       SELECT 'END;'; -- END;\nEND;";
        assert_eq!(texts(&format!("{trigger} SELECT 1;")), [trigger, "SELECT 1;"]);
        assert_eq!(texts("CREATE TABLE trigger_end (a); SELECT 1;").len(), 2);
    }

    #[test]
    fn transaction_control_is_recognised() {
        let control = |text| statements(text)[0].transaction_control();
        assert_eq!(control("-- so\n Begin immediate;"), Some("Begin"));
        assert_eq!(control("COMMIT"), Some("COMMIT"));
        assert_eq!(control("beginning"), None);
        assert_eq!(control("UPDATE a SET b = 1"), None);
    }
}
