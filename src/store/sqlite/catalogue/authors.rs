//! Triggers that are not freshql's: when each fires, and whether it can prevent a write or hide it.
//! Only their keywords are parsed; the meaning of their statements is left to SQLite.

use crate::store::sqlite::catalogue::FoundTrigger;
use crate::store::sqlite::catalogue::keys::unquoted;
use crate::store::sqlite::lexer::Token;
use crate::store::sqlite::lexer::tokens;
use crate::store::sqlite::triggers::NAME_PREFIX;

/// What a statement does to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Event {
    /// The row is inserted.
    Insert,
    /// Some of its columns change.
    Update,
    /// The row is deleted.
    Delete,
}

/// A trigger that freshql did not create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct AuthorTrigger {
    pub(in crate::store) name: String,
    pub(in crate::store) event: Event,
    /// Whether it says AFTER. A trigger that says neither fires before.
    pub(in crate::store) is_after: bool,
    /// Whether it says `UPDATE OF` some columns: setting `_version` alone does not fire it.
    pub(in crate::store) names_columns: bool,
    /// Whether it says `RAISE(IGNORE)`.
    pub(in crate::store) ignores: bool,
    /// Whether it says `RAISE(FAIL, …)`.
    pub(in crate::store) fails: bool,
}

impl AuthorTrigger {
    /// None for a trigger of freshql's, and for one that cannot be parsed.
    pub(in crate::store) fn parse(found: &FoundTrigger) -> Option<Self> {
        if found.name.to_ascii_lowercase().starts_with(NAME_PREFIX) {
            return None;
        }
        let words: Vec<String> = tokens(&found.sql)
            .filter(|(kind, _)| *kind != Token::Space)
            .map(|(_, word)| word.to_lowercase())
            .collect();
        // The name may be a keyword itself, and may be preceded by a schema.
        let named = words.iter().position(|word| word == "trigger")?;
        let is = |at: usize, word: &str| words.get(at).is_some_and(|found| found == word);
        let mut at =
            if is(named + 1, "if") && is(named + 2, "not") { named + 4 } else { named + 1 };
        at += if is(at + 1, ".") { 3 } else { 1 };
        let is_after = is(at, "after");
        while ["before", "after", "instead", "of"].iter().any(|word| is(at, word)) {
            at += 1;
        }
        let event = match words.get(at)?.as_str() {
            "insert" => Event::Insert,
            "update" => Event::Update,
            "delete" => Event::Delete,
            _ => return None,
        };
        let raises = |what: &str| {
            words.windows(3).any(|three| three[0] == "raise" && three[1] == "(" && three[2] == what)
        };
        let (ignores, fails) = (raises("ignore"), raises("fail"));
        Some(Self {
            name: found.name.clone(),
            event,
            is_after,
            names_columns: is(at + 1, "of"),
            ignores,
            fails,
        })
    }
}

/// Why the versions of this table's rows are unreliable while it has this trigger. RAISE(IGNORE)
/// ends all triggers that would fire after it for the row, and leaves the change in place. So does
/// RAISE(FAIL), which ends the statement and keeps its effects. SQLite does not define in which
/// order a table's triggers fire.
pub(in crate::store) fn hides(trigger: &AuthorTrigger, table: &str) -> Option<String> {
    let name = &trigger.name;
    let what = if trigger.ignores { "IGNORE" } else { "FAIL" };
    ((trigger.ignores || trigger.fails) && trigger.is_after).then(|| {
        format!(
            "the trigger `{name}` on `{table}` says RAISE({what}) after a change, which can hide the change from the triggers \
             that keep versions"
        )
    })
}

/// The remedy for such a trigger.
pub(in crate::store) const SHOW: &str = "say BEFORE or RAISE(ABORT, …) in it, or drop it";

/// Advice to the owner of this table about such a trigger. `is_stamped`: versions are a column of
/// the table, so freshql updates its rows.
pub(in crate::store) fn advice(
    trigger: &AuthorTrigger,
    table: &str,
    is_stamped: bool,
) -> Option<String> {
    let name = &trigger.name;
    if (trigger.ignores || trigger.fails) && trigger.is_after {
        let what = if trigger.ignores { "IGNORE" } else { "FAIL" };
        return Some(format!(
            "the trigger `{name}` on `{table}` says RAISE({what}) after the change, which can hide the change from freshql: \
             mutations that fire it are refused, and what other programs write may not be seen; say BEFORE, or RAISE(ABORT)"
        ));
    }
    if trigger.ignores {
        return Some(format!(
            "the trigger `{name}` on `{table}` says RAISE(IGNORE): a mutation that it ignores is refused as a conflict"
        ));
    }
    let fires_again = is_stamped && trigger.event == Event::Update && !trigger.names_columns;
    fires_again.then(|| {
        format!(
            "the trigger `{name}` on `{table}` fires on every UPDATE, so a second time when freshql sets `_version`: \
             say UPDATE OF and the columns that it is for"
        )
    })
}

/// Whether this name occurs in the text, quoted or not.
pub(in crate::store) fn mentions(sql: &str, name: &str) -> bool {
    tokens(sql)
        .any(|(kind, token)| kind != Token::Space && unquoted(token).eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sql: &str) -> Option<(Event, bool, bool, bool)> {
        let trigger =
            AuthorTrigger::parse(&FoundTrigger { name: "x".to_owned(), sql: sql.to_owned() })?;
        Some((trigger.event, trigger.is_after, trigger.names_columns, trigger.ignores))
    }

    #[test]
    fn the_head_of_a_trigger_says_when_it_fires() {
        let body = "BEGIN SELECT 1; END";
        for (head, event, is_after, names_columns) in [
            ("CREATE TRIGGER x AFTER UPDATE ON t", Event::Update, true, false),
            (
                "create trigger if not exists main.\"a before\" before update of a, b on t",
                Event::Update,
                false,
                true,
            ),
            ("CREATE TRIGGER x /* AFTER */ DELETE ON t", Event::Delete, false, false),
            ("CREATE TRIGGER [insert] BEFORE INSERT ON t", Event::Insert, false, false),
            ("CREATE TEMP TRIGGER before AFTER UPDATE ON t", Event::Update, true, false),
        ] {
            assert_eq!(
                parse(&format!("{head} {body}")),
                Some((event, is_after, names_columns, false)),
                "{head}"
            );
        }
        let ignores = |sql| parse(sql).unwrap().3;
        assert!(ignores("CREATE TRIGGER x DELETE ON t BEGIN SELECT raise ( /* no */ IGNORE); END"));
        assert!(!ignores("CREATE TRIGGER x DELETE ON t BEGIN SELECT 'RAISE(IGNORE)'; END"));
        assert!(!ignores("CREATE TRIGGER x DELETE ON t BEGIN SELECT RAISE(ABORT, 'IGNORE'); END"));
    }
}
