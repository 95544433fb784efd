//! Names in SQL text, and when they need quotes. It knows no table.

use std::fmt;

use crate::model::parse::sql_names::MAX_SQL_NAME;

/// The name of a table, column, index or trigger. Displayed as SQL requires: bare if it is a plain
/// lower-case identifier (people read and edit migrations), otherwise in double quotes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SqlName(String);

/// Words that SQLite or PostgreSQL do not accept as a name, at least in some position. Both lists
/// apply to both dialects, so that one model's migrations look alike. Sorted.
const RESERVED: &[&str] = &[
    "abort",
    "action",
    "add",
    "after",
    "all",
    "alter",
    "always",
    "analyse",
    "analyze",
    "and",
    "any",
    "array",
    "as",
    "asc",
    "asymmetric",
    "attach",
    "authorization",
    "autoincrement",
    "before",
    "begin",
    "between",
    "binary",
    "both",
    "by",
    "cascade",
    "case",
    "cast",
    "check",
    "collate",
    "collation",
    "column",
    "commit",
    "concurrently",
    "conflict",
    "constraint",
    "create",
    "cross",
    "current",
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "database",
    "default",
    "deferrable",
    "deferred",
    "delete",
    "desc",
    "detach",
    "distinct",
    "do",
    "drop",
    "each",
    "else",
    "end",
    "escape",
    "except",
    "exclude",
    "exclusive",
    "exists",
    "explain",
    "fail",
    "false",
    "fetch",
    "filter",
    "first",
    "following",
    "for",
    "foreign",
    "freeze",
    "from",
    "full",
    "generated",
    "glob",
    "grant",
    "group",
    "groups",
    "having",
    "if",
    "ignore",
    "ilike",
    "immediate",
    "in",
    "index",
    "indexed",
    "initially",
    "inner",
    "insert",
    "instead",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "key",
    "last",
    "lateral",
    "leading",
    "left",
    "like",
    "limit",
    "localtime",
    "localtimestamp",
    "match",
    "materialized",
    "natural",
    "no",
    "not",
    "nothing",
    "notnull",
    "null",
    "nulls",
    "of",
    "offset",
    "oid",
    "on",
    "only",
    "or",
    "order",
    "others",
    "outer",
    "over",
    "overlaps",
    "partition",
    "placing",
    "plan",
    "pragma",
    "preceding",
    "primary",
    "query",
    "raise",
    "range",
    "recursive",
    "references",
    "regexp",
    "reindex",
    "release",
    "rename",
    "replace",
    "restrict",
    "returning",
    "right",
    "rollback",
    "row",
    "rowid",
    "rows",
    "savepoint",
    "select",
    "session_user",
    "set",
    "similar",
    "some",
    "symmetric",
    "system_user",
    "table",
    "tablesample",
    "temp",
    "temporary",
    "then",
    "ties",
    "to",
    "trailing",
    "transaction",
    "trigger",
    "true",
    "unbounded",
    "union",
    "unique",
    "update",
    "user",
    "using",
    "vacuum",
    "values",
    "variadic",
    "verbose",
    "view",
    "virtual",
    "when",
    "where",
    "window",
    "with",
    "within",
    "without",
];

impl SqlName {
    /// A name as written in the model.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// A derived name. If it is too long for PostgreSQL, it ends in a hash of the whole instead of
    /// being truncated, so that different names stay different.
    pub fn generated(name: String) -> Self {
        if name.len() <= MAX_SQL_NAME {
            return Self(name);
        }
        let hash = blake3::hash(name.as_bytes()).to_hex();
        let cut = name.floor_char_boundary(MAX_SQL_NAME - 9);
        Self(format!("{}_{}", &name[..cut], &hash[..8]))
    }

    /// The bare name, as in the database's catalogue.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SqlName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.0.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
            && self.0.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if plain && RESERVED.binary_search(&self.0.as_str()).is_err() {
            f.write_str(&self.0)
        } else {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        }
    }
}

/// The text as an SQL string literal.
pub fn string_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_sorted() {
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn names_are_quoted_only_if_necessary() {
        let shown = |name: &str| SqlName::new(name).to_string();
        assert_eq!(shown("merchant_id"), "merchant_id");
        assert_eq!(shown("_version"), "_version");
        assert_eq!(shown("order"), "\"order\"");
        assert_eq!(shown("createdAt"), "\"createdAt\"");
        assert_eq!(shown("unit price"), "\"unit price\"");
        assert_eq!(shown("2nd"), "\"2nd\"");
        assert_eq!(shown("a\"b"), "\"a\"\"b\"");
    }

    #[test]
    fn long_generated_names_stay_different() {
        let long = |end: &str| SqlName::generated(format!("{}{end}", "x".repeat(70)));
        assert_eq!(long("a").as_str().len(), 63);
        assert_ne!(long("a"), long("b"));
    }
}
