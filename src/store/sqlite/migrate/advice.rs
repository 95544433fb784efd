//! The effects of the authors' own triggers on writes: they prevent no server from starting, but
//! may surprise writers.

use rusqlite::Connection;

use crate::model::Model;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::layout::{Layout, SqlName};
use crate::store::sqlite::catalogue::authors::{self, AuthorTrigger};
use crate::store::sqlite::catalogue::{Catalogue, FoundTable};

/// What the owner should know about the triggers on the model's tables, one sentence each.
///
/// # Errors
/// The database cannot be read.
pub fn advice(connection: &Connection, model: &Model) -> rusqlite::Result<Vec<String>> {
    let layout = Layout::new(model);
    let catalogue = Catalogue::read(connection)?;
    let mut advice = Vec::new();
    for found in layout.tables.iter().filter_map(|table| catalogue.table(table.name.as_str())) {
        let is_stamped = found.column(VERSION_COLUMN).is_some();
        let authors = found.triggers.iter().filter_map(AuthorTrigger::parse);
        advice.extend(
            authors.filter_map(|trigger| authors::advice(&trigger, &found.name, is_stamped)),
        );
        let name = SqlName::new(&found.name);
        for (write, sql) in [
            ("created", format!("EXPLAIN INSERT INTO {name} DEFAULT VALUES")),
            ("updated", format!("EXPLAIN UPDATE {name} SET {}", same_values(found))),
            ("deleted", format!("EXPLAIN DELETE FROM {name}")),
        ] {
            if let Err(error) = connection.prepare(&sql) {
                advice.push(format!(
                    "no row of `{}` can be {write} by freshql: {}",
                    found.name,
                    sqlite_words(&error)
                ));
            }
        }
    }
    Ok(advice)
}

/// All columns that an UPDATE may set, so that it fires every trigger.
fn same_values(found: &FoundTable) -> String {
    let plain = found.columns.iter().filter(|column| !column.is_generated);
    let same =
        plain.map(|column| SqlName::new(&column.name)).map(|name| format!("{name} = {name}"));
    same.collect::<Vec<_>>().join(", ")
}

fn sqlite_words(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
        rusqlite::Error::SqliteFailure(_, Some(message)) => message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::schema::layout::test_models;
    use crate::store::sqlite::ddl::create_statements;

    #[test]
    fn triggers_that_ignore_recurse_or_fail_are_reported() {
        let model = test_models::every_kind();
        let connection = Connection::open_in_memory().unwrap();
        for statement in create_statements(&Layout::new(&model)) {
            connection.execute_batch(&statement).unwrap();
        }
        assert_eq!(advice(&connection, &model).unwrap(), Vec::<String>::new());
        let authors = "
            CREATE TRIGGER fine AFTER UPDATE OF title ON folders BEGIN SELECT 1; END;
            CREATE TRIGGER again AFTER UPDATE ON folders BEGIN SELECT 1; END;
            CREATE TRIGGER hides AFTER DELETE ON folders BEGIN SELECT RAISE(IGNORE); END;
            CREATE TRIGGER keeps BEFORE DELETE ON notes BEGIN SELECT RAISE(IGNORE); END;
            CREATE TRIGGER calls AFTER UPDATE OF text ON notes BEGIN SELECT title_sort(NEW.text); END;";
        connection.execute_batch(authors).unwrap();
        let told = advice(&connection, &model).unwrap();
        let about = |words: &str| told.iter().filter(|told| told.contains(words)).count();
        assert_eq!(told.len(), 4, "{told:#?}");
        assert_eq!((about("`again`"), about("`hides`"), about("`keeps`")), (1, 1, 1));
        assert_eq!(
            about("no row of `notes` can be updated by freshql: no such function: title_sort"),
            1,
            "{told:#?}"
        );
    }
}
