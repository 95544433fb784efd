//! Confines a migration to its own database: it can reach nothing else on the machine. `check`,
//! `migrate new` and `dev` also run the files, on a scratch database; a file that could `ATTACH`
//! another database would change that one every time.

use rusqlite::Connection;
use rusqlite::ffi::ErrorCode;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use super::split;
use crate::model::Diagnostic;

/// Pragmas that return information, or set something in the database or for the transaction. All
/// others move files, open the schema to hand-written changes, or affect the whole process.
const PRAGMAS: [&str; 34] = [
    "analysis_limit",
    "application_id",
    "auto_vacuum",
    "case_sensitive_like",
    "collation_list",
    "compile_options",
    "data_version",
    "database_list",
    "defer_foreign_keys",
    "encoding",
    "foreign_key_check",
    "foreign_key_list",
    "foreign_keys",
    "freelist_count",
    "function_list",
    "ignore_check_constraints",
    "incremental_vacuum",
    "index_info",
    "index_list",
    "index_xinfo",
    "integrity_check",
    "legacy_alter_table",
    "module_list",
    "optimize",
    "page_count",
    "page_size",
    "pragma_list",
    "quick_check",
    "recursive_triggers",
    "reverse_unordered_selects",
    "table_info",
    "table_list",
    "table_xinfo",
    "user_version",
];

/// From now on, statements of this connection can reach nothing but its own database.
pub(super) fn confine(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.authorizer(Some(judge))
}

/// Undoes [`confine`].
pub(super) fn set_free(connection: &mut Connection) -> rusqlite::Result<()> {
    connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>)
}

fn judge(context: AuthContext<'_>) -> Authorization {
    let is_allowed = match context.action {
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => false,
        AuthAction::Function { function_name } => {
            !function_name.eq_ignore_ascii_case("load_extension")
        }
        AuthAction::Pragma { pragma_name, pragma_value } => {
            let is_named = |name: &&str| name.eq_ignore_ascii_case(pragma_name);
            PRAGMAS.iter().any(is_named)
                // Reading it is harmless; setting it makes other connections misread the file.
                || (is_named(&"schema_version") && pragma_value.is_none())
        }
        _ => true,
    };
    if is_allowed { Authorization::Allow } else { Authorization::Deny }
}

/// The mistake, if this error comes from [`confine`].
pub(super) fn trespass(
    file: &str,
    statement: &split::Statement<'_>,
    error: &rusqlite::Error,
) -> Option<Diagnostic> {
    let is_function = error.to_string().starts_with("not authorized to use function");
    if !is_function && error.sqlite_error_code() != Some(ErrorCode::AuthorizationForStatementDenied)
    {
        return None;
    }
    let mut words = statement
        .text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|w| !w.is_empty());
    let first = words.next().unwrap_or_default();
    let (place, what, help) = match first.to_ascii_uppercase().as_str() {
        "PRAGMA" => {
            let name = words.next().unwrap_or_default();
            let at = statement.text.find(name).unwrap_or(0);
            let help = "leave it out: freshql sets itself how the file is kept and opened";
            (at..at + name.len(), format!("PRAGMA {name}"), help)
        }
        word @ ("ATTACH" | "DETACH") => {
            let help = "copy what it needs from elsewhere before, with the sqlite3 shell for one";
            (0..first.len(), word.to_owned(), help)
        }
        _ => (0..first.len(), "load_extension".to_owned(), "leave it out"),
    };
    let place = statement.start + place.start..statement.start + place.end;
    let message = format!("`{what}` in a migration: it may reach nothing but its own database");
    Some(Diagnostic::error(file, place, message).with_help(help))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_confined_connection_reaches_its_own_database_only() {
        let mut connection = Connection::open_in_memory().unwrap();
        confine(&mut connection).unwrap();
        for allowed in [
            "CREATE TABLE a (x UNIQUE CHECK (x > 0)); ALTER TABLE a ADD COLUMN y NOT NULL DEFAULT 1 CHECK (y > 0)",
            "CREATE VIRTUAL TABLE words USING fts5(text); INSERT INTO words VALUES ('tea'); DROP TABLE words",
            "CREATE VIRTUAL TABLE boxes USING rtree(id, a, b); CREATE TEMP TABLE t (x); DROP TABLE t",
            "SELECT * FROM pragma_table_info('a'); PRAGMA user_version = 3; PRAGMA foreign_keys = OFF; PRAGMA optimize",
            "ALTER TABLE a RENAME COLUMN y TO z; ALTER TABLE a DROP COLUMN z; ANALYZE; REINDEX; DROP TABLE a",
        ] {
            connection.execute_batch(allowed).unwrap_or_else(|error| panic!("{allowed}: {error}"));
        }
        for refused in [
            "ATTACH 'other.db' AS o",
            "ATTACH '' AS o",
            "DETACH main",
            "SELECT load_extension('x')",
            "PRAGMA writable_schema = ON",
            "PRAGMA main.Journal_Mode = DELETE",
            "PRAGMA temp_store_directory = '/tmp'",
            "PRAGMA hard_heap_limit = 1",
            "PRAGMA schema_version = 7",
        ] {
            let error = connection.execute_batch(refused).unwrap_err();
            let statement = split::statements(refused).remove(0);
            let mistake = trespass("0001_a.sql", &statement, &error)
                .unwrap_or_else(|| panic!("{refused}: {error}"));
            assert!(
                mistake
                    .message
                    .ends_with(" in a migration: it may reach nothing but its own database")
            );
        }
        assert!(connection.execute_batch("VACUUM INTO 'copy.db'").is_err());
        set_free(&mut connection).unwrap();
        connection.execute_batch("ATTACH ':memory:' AS o").unwrap();
    }
}
