//! The unique keys of a table that are not in its model: created by its authors, over columns
//! without `@unique`, with another collation, over expressions, or over some of the rows. `REPLACE`
//! deletes rows by them as by any other key.

use super::definition::Kind;
use super::{FoundIndex, FoundTable};
use crate::store::schema::layout::{SqlName, Table};
use crate::store::sqlite::lexer::{Token, tokens};

/// A unique key that the model does not know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct OtherKey {
    /// The condition that a row has the same key as NEW.
    pub(in crate::store) same: String,
    /// The condition that an UPDATE may have changed the row's key.
    pub(in crate::store) changed: String,
}

/// The keys among these indexes of the table, in an order that does not depend on theirs.
pub(in crate::store) fn other_keys<'a>(
    table: &Table,
    found: &FoundTable,
    indexes: impl IntoIterator<Item = &'a FoundIndex>,
) -> Vec<OtherKey> {
    let others = indexes.into_iter().filter(|index| index.unique && !is_known(table, found, index));
    let mut keys: Vec<OtherKey> = others.map(|index| other_key(found, index)).collect();
    keys.sort();
    keys.dedup();
    keys
}

/// Whether the model has the same key: over the same columns, with the same comparison. A partial
/// index is implied by it.
fn is_known(table: &Table, found: &FoundTable, index: &FoundIndex) -> bool {
    let columns: Option<Vec<&str>> = index.columns.iter().map(|column| column.as_deref()).collect();
    let Some(columns) = columns else { return false };
    let is_plain = (0..columns.len()).all(|at| !is_compared_otherwise(found, index, at));
    let is_over = |known: &[&str]| {
        known.len() == columns.len()
            && columns.iter().all(|c| known.iter().any(|known| known.eq_ignore_ascii_case(c)))
    };
    let names = |ids: &[crate::model::ColumnId]| -> Vec<String> {
        ids.iter().map(|id| table.column(*id).name.as_str().to_owned()).collect()
    };
    let wanted =
        table.indexes.iter().filter(|index| index.unique).map(|index| names(&index.columns));
    let key = vec![table.key_column().name.as_str().to_owned()];
    is_plain
        && wanted
            .chain([key])
            .any(|known| is_over(&known.iter().map(String::as_str).collect::<Vec<_>>()))
}

/// Whether the index has its own collation for this column.
fn is_compared_otherwise(found: &FoundTable, index: &FoundIndex, at: usize) -> bool {
    let column = index.columns[at].as_deref().and_then(|name| found.column(name));
    column.is_some_and(|column| !column.collation.eq_ignore_ascii_case(&index.collations[at]))
}

fn other_key(found: &FoundTable, index: &FoundIndex) -> OtherKey {
    let text = index.sql.as_deref().map(IndexText::parse).unwrap_or_default();
    let mut same = Vec::new();
    let mut changed = Vec::new();
    for (at, column) in index.columns.iter().enumerate() {
        match column {
            Some(column) => {
                let name = SqlName::new(column);
                let collation = SqlName::new(&index.collations[at]);
                let collate = match is_compared_otherwise(found, index, at) {
                    true => format!(" COLLATE {collation}"),
                    false => String::new(),
                };
                same.push(format!("{name}{collate} = {}", arriving(found, column)));
                changed.push(format!("NEW.{name} IS NOT OLD.{name} COLLATE BINARY"));
            }
            None => {
                let expression = text.terms.get(at).map_or("NULL", String::as_str);
                same.push(format!(
                    "({expression}) = (SELECT {expression} FROM ({}))",
                    new_row(found, expression)
                ));
                // Any UPDATE may change an expression.
                changed.push("1".to_owned());
            }
        }
    }
    same.extend(text.condition.map(|condition| format!("({condition})")));
    // This UPDATE may bring the row into the partial index.
    if index.is_partial {
        changed = vec!["1".to_owned()];
    }
    OtherKey { same: format!("({})", same.join(" AND ")), changed: changed.join(" OR ") }
}

/// The value with which a row will arrive: if `REPLACE` finds NULL in a NOT NULL column, it
/// substitutes the default, but only after the trigger has run.
fn arriving(found: &FoundTable, column: &str) -> String {
    let name = SqlName::new(column);
    let is_filled =
        found.column(column).is_some_and(|column| column.not_null && column.default.is_some());
    let clause = found
        .definition
        .column(column)
        .filter(|_| is_filled)
        .and_then(|text| text.of(Kind::Default).next());
    let at =
        clause.and_then(|clause| Some((clause, clause.text.to_ascii_uppercase().find("DEFAULT")?)));
    match at {
        Some((clause, at)) => {
            format!("ifnull(NEW.{name}, {})", clause.text[at + "DEFAULT".len()..].trim())
        }
        None => format!("NEW.{name}"),
    }
}

/// NEW as a row of a table, with the columns that the expression uses.
fn new_row(found: &FoundTable, expression: &str) -> String {
    let said: Vec<String> = tokens(expression).map(|(_, token)| unquoted(token)).collect();
    let columns = found
        .columns
        .iter()
        .filter(|column| said.iter().any(|said| said.eq_ignore_ascii_case(&column.name)));
    let values: Vec<String> = columns
        .map(|column| {
            let name = SqlName::new(&column.name);
            format!("NEW.{name} AS {name}")
        })
        .collect();
    if values.is_empty() { "SELECT 1".to_owned() } else { format!("SELECT {}", values.join(", ")) }
}

pub(in crate::store) fn unquoted(token: &str) -> String {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    match token.chars().next() {
        Some('"' | '`' | '[') => inner.to_owned(),
        _ => token.to_owned(),
    }
}

/// The contents of a `CREATE INDEX`.
#[derive(Debug, Default, PartialEq, Eq)]
struct IndexText {
    /// Without their directions.
    terms: Vec<String>,
    /// The condition after WHERE.
    condition: Option<String>,
}

impl IndexText {
    fn parse(sql: &str) -> Self {
        let mut text = Self::default();
        let mut depth = 0_usize;
        let mut is_behind = false;
        let mut term = String::new();
        for (kind, token) in tokens(sql) {
            match token {
                _ if is_behind => {}
                "(" => {
                    depth += 1;
                    if depth == 1 {
                        term.clear();
                        continue;
                    }
                }
                ")" | "," if depth == 1 => {
                    text.terms.push(without_direction(&term).to_owned());
                    term.clear();
                    is_behind = token == ")";
                    continue;
                }
                ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            // Comments count as spaces.
            term.push_str(if kind == Token::Space { " " } else { token });
        }
        let end = term.trim();
        text.condition = end
            .get(..5)
            .filter(|word| word.eq_ignore_ascii_case("where"))
            .map(|_| end[5..].trim().to_owned());
        text
    }
}

fn without_direction(term: &str) -> &str {
    let term = term.trim();
    let last = term.rsplit(char::is_whitespace).next().unwrap_or_default();
    match last.eq_ignore_ascii_case("asc") || last.eq_ignore_ascii_case("desc") {
        true => term[..term.len() - last.len()].trim_end(),
        false => term,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_are_taken_apart_into_terms_and_a_condition() {
        let text = |sql| {
            let IndexText { terms, condition } = IndexText::parse(sql);
            (terms.join("|"), condition.unwrap_or_default())
        };
        assert_eq!(text("CREATE UNIQUE INDEX i ON t (a)"), ("a".to_owned(), String::new()));
        assert_eq!(
            text(
                "CREATE UNIQUE INDEX \"i(\" ON \"t)\"(lower(a) COLLATE NOCASE desc,\n b->>'$.x,y', f(a, (b)) ASC) WHERE(a > 1) AND b"
            ),
            (
                "lower(a) COLLATE NOCASE|b->>'$.x,y'|f(a, (b))".to_owned(),
                "(a > 1) AND b".to_owned()
            )
        );
    }
}
