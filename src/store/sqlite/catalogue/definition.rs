//! Parses a `CREATE TABLE` statement into columns and their clauses, so that a table can be rebuilt
//! with everything that its authors have written. It finds where a clause begins; its meaning is
//! left to SQLite.

use crate::store::sqlite::lexer::{Token, next_token};
use crate::store::sqlite::words::words;

/// The contents of a `CREATE TABLE`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Definition {
    /// The columns, in order.
    pub(in crate::store) columns: Vec<ColumnText>,
    /// The table constraints: keys, CHECKs.
    pub(in crate::store) constraints: Vec<Clause>,
    /// The options after the closing parenthesis.
    pub(in crate::store) options: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct ColumnText {
    pub(in crate::store) name: String,
    pub(in crate::store) sql_type: String,
    pub(in crate::store) clauses: Vec<Clause>,
}

/// A constraint of a column or of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct Clause {
    pub(in crate::store) kind: Kind,
    /// Including its `CONSTRAINT name`, without comments.
    pub(in crate::store) text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    PrimaryKey,
    NotNull,
    Null,
    Unique,
    Check,
    Default,
    Collate,
    /// A foreign key, of a column or of the table.
    References,
    Generated,
}

impl Definition {
    /// Parses the statement. Any other text (`CREATE VIRTUAL TABLE`) has no columns.
    pub(in crate::store) fn parse(sql: &str) -> Self {
        let tokens = tokens(sql);
        let Some(open) = tokens.iter().position(|token| token.text == "(") else {
            return Self::default();
        };
        let mut definition = Self::default();
        let mut depth = 0_usize;
        let mut from = open + 1;
        for (at, token) in tokens.iter().enumerate().skip(open) {
            match token.text {
                "(" => depth += 1,
                ")" => depth -= 1,
                _ => {}
            }
            let ends = depth == 0 || (depth == 1 && token.text == ",");
            if ends && at > from {
                definition.add(&tokens[from..at]);
            }
            if ends {
                from = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
        definition.options = text(tokens.get(from..).unwrap_or_default());
        definition
    }

    pub(in crate::store) fn column(&self, name: &str) -> Option<&ColumnText> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Whether the primary key is AUTOINCREMENT, so that no number is used twice.
    pub(in crate::store) fn has_autoincrement(&self) -> bool {
        let clauses =
            self.columns.iter().flat_map(|column| &column.clauses).chain(&self.constraints);
        clauses
            .filter(|clause| clause.kind == Kind::PrimaryKey)
            .any(|key| words(&key.text).contains("autoincrement"))
    }

    fn add(&mut self, item: &[Piece<'_>]) {
        let is_rule = ["constraint", "primary", "unique", "check", "foreign"]
            .iter()
            .any(|word| item[0].is(word));
        if is_rule {
            self.constraints.extend(clauses(item).1);
            return;
        }
        let (sql_type, clauses) = clauses(&item[1..]);
        self.columns.push(ColumnText { name: unquoted(item[0].text), sql_type, clauses });
    }
}

impl ColumnText {
    pub(in crate::store) fn of(&self, kind: Kind) -> impl Iterator<Item = &Clause> {
        self.clauses.iter().filter(move |clause| clause.kind == kind)
    }

    /// The text after the column's name.
    pub(in crate::store) fn text(&self) -> String {
        let clauses = self.clauses.iter().map(|clause| clause.text.as_str());
        std::iter::once(self.sql_type.as_str())
            .filter(|text| !text.is_empty())
            .chain(clauses)
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A token, and whether white space or a comment preceded it.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    gap: bool,
}

impl Piece<'_> {
    fn is(&self, word: &str) -> bool {
        self.text.eq_ignore_ascii_case(word)
    }
}

fn tokens(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces: Vec<Piece<'_>> = Vec::new();
    let (mut at, mut gap) = (0, false);
    while at < sql.len() {
        let (token, length) = next_token(&sql[at..]);
        let text = &sql[at..at + length];
        let end = at + length;
        at = end;
        if token == Token::Space {
            gap = true;
            continue;
        }
        match pieces.last_mut() {
            // A string with a doubled quote is tokenized as two; join them.
            Some(last)
                if !gap
                    && text.starts_with(['\'', '"', '`'])
                    && last.text.starts_with(&text[..1]) =>
            {
                last.text = &sql[end - length - last.text.len()..end];
            }
            _ => pieces.push(Piece { text, gap }),
        }
        gap = false;
    }
    pieces
}

/// The text before the first clause (a column's type), and the clauses.
fn clauses(item: &[Piece<'_>]) -> (String, Vec<Clause>) {
    let mut starts: Vec<(usize, Kind)> = Vec::new();
    let (mut depth, mut named) = (0_usize, None);
    for (at, piece) in item.iter().enumerate() {
        match piece.text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ if depth > 0 => {}
            _ if piece.is("constraint") => named = Some(at),
            _ => {
                // The constraint's name may be a keyword itself.
                let is_name = named.is_some_and(|named| at == named + 1);
                if let Some(kind) = kind(item, at).filter(|_| !is_name) {
                    starts.push((named.take().unwrap_or(at), kind));
                }
            }
        }
    }
    let first = starts.first().map_or(item.len(), |(at, _)| *at);
    let ends = starts.iter().skip(1).map(|(at, _)| *at).chain([item.len()]);
    let clauses = starts
        .iter()
        .zip(ends)
        .map(|((from, kind), to)| Clause { kind: *kind, text: text(&item[*from..to]) });
    (text(&item[..first]), clauses.collect())
}

/// The kind of the clause that begins with this token, if any.
fn kind(item: &[Piece<'_>], at: usize) -> Option<Kind> {
    let is = |word: &str| item[at].is(word);
    let before = |words: &[&str]| at > 0 && words.iter().any(|word| item[at - 1].is(word));
    let after = |word: &str| item.get(at + 1).is_some_and(|piece| piece.is(word));
    let kind = match () {
        () if is("primary") => Kind::PrimaryKey,
        () if is("not") && after("null") => Kind::NotNull,
        () if is("null") && !before(&["not", "default", "set"]) => Kind::Null,
        () if is("unique") => Kind::Unique,
        () if is("check") => Kind::Check,
        () if is("default") && !before(&["set"]) => Kind::Default,
        () if is("collate") => Kind::Collate,
        () if is("foreign") => Kind::References,
        // `FOREIGN KEY (a) REFERENCES …` has begun already.
        () if is("references")
            && !item[0].is("foreign")
            && !item.get(2).is_some_and(|piece| piece.is("foreign")) =>
        {
            Kind::References
        }
        () if is("generated") => Kind::Generated,
        () if is("as") && !before(&["always"]) => Kind::Generated,
        () => return None,
    };
    Some(kind)
}

fn text(pieces: &[Piece<'_>]) -> String {
    let mut text = String::new();
    for piece in pieces {
        if piece.gap && !text.is_empty() {
            text.push(' ');
        }
        text.push_str(piece.text);
    }
    text
}

/// The name without its quotes.
fn unquoted(name: &str) -> String {
    for (open, close) in [('"', '"'), ('`', '`'), ('\'', '\''), ('[', ']')] {
        if let Some(inner) = name.strip_prefix(open).and_then(|name| name.strip_suffix(close)) {
            return inner.replace(&format!("{close}{close}"), &close.to_string());
        }
    }
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sql: &str) -> Vec<String> {
        let definition = Definition::parse(sql);
        let clause = |clause: &Clause| format!("{:?}<{}>", clause.kind, clause.text);
        let list = |clauses: &[Clause]| clauses.iter().map(clause).collect::<Vec<_>>().join(" ");
        let columns = definition
            .columns
            .iter()
            .map(|c| format!("{}|{}|{}", c.name, c.sql_type, list(&c.clauses)));
        columns.chain([list(&definition.constraints), definition.options.clone()]).collect()
    }

    #[test]
    fn columns_and_rules_are_told_apart() {
        let sql = "CREATE TABLE \"it's (x)\" ( -- so, it begins\n id INTEGER PRIMARY KEY AUTOINCREMENT,\n\
                   \"a \"\"b\"\"\" VARCHAR (10) CONSTRAINT \"check\" NOT NULL DEFAULT 'it''s, so' COLLATE NOCASE, /* c */\n\
                   plain, d DEFAULT NULL NULL CHECK (d IN ('a', 'b)')) -- the last\n\
                   REFERENCES t (x) ON DELETE SET NULL ON UPDATE SET DEFAULT NOT DEFERRABLE,\n\
                   [e f] INT GENERATED ALWAYS AS (id + 1) STORED UNIQUE ON CONFLICT REPLACE, `g` AS (id),\n\
                   PRIMARY KEY (a), CONSTRAINT u UNIQUE (a, d), CHECK (a > 1), FOREIGN KEY (d) REFERENCES t (x) ON DELETE CASCADE\n\
                   ) STRICT,  WITHOUT ROWID";
        insta::assert_snapshot!(shown(sql).join("\n"), @r#"
        id|INTEGER|PrimaryKey<PRIMARY KEY AUTOINCREMENT>
        a "b"|VARCHAR (10)|NotNull<CONSTRAINT "check" NOT NULL> Default<DEFAULT 'it''s, so'> Collate<COLLATE NOCASE>
        plain||
        d||Default<DEFAULT NULL> Null<NULL> Check<CHECK (d IN ('a', 'b)'))> References<REFERENCES t (x) ON DELETE SET NULL ON UPDATE SET DEFAULT NOT DEFERRABLE>
        e f|INT|Generated<GENERATED ALWAYS AS (id + 1) STORED> Unique<UNIQUE ON CONFLICT REPLACE>
        g||Generated<AS (id)>
        PrimaryKey<PRIMARY KEY (a)> Unique<CONSTRAINT u UNIQUE (a, d)> Check<CHECK (a > 1)> References<FOREIGN KEY (d) REFERENCES t (x) ON DELETE CASCADE>
        STRICT, WITHOUT ROWID
        "#);
    }

    #[test]
    fn the_definition_of_a_column_is_reassembled() {
        let sql = "CREATE TABLE t (a  TEXT NOT  NULL -- so\n DEFAULT 'x', b)";
        let definition = Definition::parse(sql);
        assert_eq!(definition.columns[0].text(), "TEXT NOT NULL DEFAULT 'x'");
        assert_eq!(definition.columns[1].text(), "");
        assert_eq!(Definition::parse("CREATE VIRTUAL TABLE v USING fts5"), Definition::default());
    }
}
