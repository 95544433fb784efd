//! The names of tables and columns: how a column gets its name, and which names are refused.

use super::definitions::FieldDraft;
use super::report::{Report, Span};
use crate::model::naming::snake_case;

/// PostgreSQL truncates longer names; SQLite has no limit.
pub(crate) const MAX_SQL_NAME: usize = 63;

/// The column that every entity's table has in addition to the model's: the row's version.
pub(crate) const VERSION_COLUMN: &str = "_version";

/// The column's name: `@relation(column:)`, `@column(name:)`, or derived from the field's name.
pub(super) fn column_name(
    report: &mut Report<'_>,
    field: &FieldDraft<'_>,
    is_relation: bool,
) -> String {
    let of_column = field.directives.get("column").and_then(|column| column.string("name"));
    let of_relation =
        field.directives.get("relation").and_then(|relation| relation.string("column"));
    if let (Some((a, _)), Some((b, span))) = (&of_column, &of_relation)
        && a != b
    {
        report.wrong(
            span.clone(),
            format!("the column is named twice: `{a}` and `{b}`"),
            "keep one of the names",
        );
    }
    match of_relation.filter(|_| is_relation).or(of_column) {
        Some((given, span)) => {
            check_sql_name(report, given, span, "column");
            given.to_owned()
        }
        None => {
            let suffix = if is_relation { "_id" } else { "" };
            let made = format!("{}{suffix}", snake_case(field.name));
            check_sql_name(report, &made, field.span.clone(), "column");
            made
        }
    }
}

/// Checks for names reserved by the database or by freshql. SQLite's names are case-insensitive.
pub(super) fn check_sql_name(report: &mut Report<'_>, name: &str, span: Span, what: &str) {
    let lower = name.to_ascii_lowercase();
    if name.is_empty() {
        report.error(span, format!("the name of a {what} is empty"));
    } else if name.len() > MAX_SQL_NAME {
        let help = if what == "table" { "@entity(table:)" } else { "@column(name:)" };
        let message = format!("the name of a {what} has at most {MAX_SQL_NAME} bytes: `{name}`");
        report.wrong(span, message, format!("give it a shorter one with `{help}`"));
    } else if has_odd_characters(name) {
        report
            .error(span, format!("the name of a {what} has neither quotes nor control characters"));
    } else if lower == VERSION_COLUMN || lower.starts_with("_freshql") {
        report.wrong(
            span,
            format!("a {what} cannot be named `{name}`"),
            "`_version` and `_freshql…` are freshql's own",
        );
    } else if lower.starts_with("sqlite_") && what == "table" {
        report.wrong(
            span,
            format!("a {what} cannot be named `{name}`"),
            "`sqlite_…` is SQLite's own",
        );
    }
}

/// Whether a name contains characters that no name in a model may have, because names go into
/// migrations, which people read.
pub(crate) fn has_odd_characters(name: &str) -> bool {
    name.chars().any(|c| c.is_control() || c == '"')
}
