//! Everything that a database can lack is found, and nothing else.

use super::*;
use crate::store::schema::layout::test_models;
use crate::store::sqlite::ddl::create_statements;

fn database() -> (Connection, Model) {
    let model = test_models::every_kind();
    let connection = Connection::open_in_memory().unwrap();
    for statement in create_statements(&Layout::new(&model)) {
        connection.execute_batch(&statement).unwrap();
    }
    (connection, model)
}

fn problems(connection: &Connection, model: &Model) -> Vec<String> {
    check_schema(connection, model).unwrap().into_iter().map(|problem| problem.message).collect()
}

/// What is found after this statement.
fn after(sql: &str) -> Vec<String> {
    let (connection, model) = database();
    connection.execute_batch(sql).unwrap();
    problems(&connection, &model)
}

/// What is found where the tables were made from this text instead.
fn with(replace: &str, by: &str) -> Vec<String> {
    let model = test_models::every_kind();
    let connection = Connection::open_in_memory().unwrap();
    let mut replaced = false;
    for statement in create_statements(&Layout::new(&model)) {
        replaced |= statement.contains(replace);
        connection.execute_batch(&statement.replace(replace, by)).unwrap();
    }
    assert!(replaced, "{replace} is nowhere");
    problems(&connection, &model)
}

#[test]
fn sound_database_has_no_problems() {
    assert_eq!(after(""), Vec::<String>::new());
    // What the model does not know does not matter, unless it is in the way.
    assert_eq!(
        after("ALTER TABLE folders ADD COLUMN note TEXT; CREATE TABLE theirs (a)"),
        Vec::<String>::new()
    );
    assert_eq!(with("  _version  INTEGER", "  extra TEXT NOT NULL,\n  _version  INTEGER").len(), 2);
}

#[test]
fn empty_database_lacks_every_table_and_is_left_alone() {
    let connection = Connection::open_in_memory().unwrap();
    let found = problems(&connection, &test_models::every_kind());
    assert_eq!(found.len(), 8, "{found:?}");
    assert_eq!(found[0], "table `_freshql_meta` is missing");
    assert_eq!(found[6], "table `order` is missing");
    let things: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(things, 0);
}

#[test]
fn missing_indexes_are_found_by_their_columns() {
    assert_eq!(after("DROP INDEX notes_big_idx"), ["index over `notes` (big) is missing"]);
    assert_eq!(
        after("DROP INDEX folders_path_key"),
        ["unique index over `folders` (path) is missing"]
    );
    assert_eq!(
        after(
            "DROP INDEX folders_path_key; CREATE UNIQUE INDEX partly ON folders (path) WHERE path <> ''"
        ),
        ["unique index over `folders` (path) is missing"]
    );
    assert_eq!(
        after("DROP INDEX notes_big_idx; CREATE INDEX other ON notes (big, id)"),
        Vec::<String>::new()
    );
    // Among the rows with one value of `big`, it gives those with the least `text` first, not those
    // with the least key.
    assert_eq!(
        after("DROP INDEX notes_big_idx; CREATE INDEX other ON notes (big, text)"),
        ["index over `notes` (big) is missing"]
    );
}

#[test]
fn missing_and_altered_triggers_are_found_with_the_statement_that_mends_them() {
    let (connection, model) = database();
    let text: String = connection
        .query_row(
            "SELECT sql FROM sqlite_schema WHERE name = '_freshql_notes_deleted'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    connection.execute_batch("DROP TRIGGER _freshql_notes_deleted").unwrap();
    let found = check_schema(&connection, &model).unwrap();
    assert_eq!(
        found[0].message,
        "trigger `_freshql_notes_deleted` on `notes` is missing: versions would stay as they are"
    );

    connection.execute_batch(&text.replace("'D'", "'U'")).unwrap();
    let found = check_schema(&connection, &model).unwrap();
    assert_eq!(
        found[0].message,
        "trigger `_freshql_notes_deleted` on `notes` is not the one that this model needs"
    );
    connection.execute_batch(found[0].sql.as_ref().unwrap()).unwrap();
    assert_eq!(problems(&connection, &model), Vec::<String>::new());

    // Laid out otherwise, it says the same.
    connection.execute_batch("DROP TRIGGER _freshql_notes_deleted").unwrap();
    let layout = text
        .replace('\n', "\n\n /* so */ ")
        .replace(" ON notes", " ON \"notes\"")
        .replace("AFTER", "after");
    connection.execute_batch(&layout).unwrap();
    assert_eq!(problems(&connection, &model), Vec::<String>::new());
}

#[test]
fn trigger_of_another_version_is_found() {
    let old = "CREATE TRIGGER _freshql_notes_touched AFTER UPDATE ON notes BEGIN SELECT 1; END";
    assert_eq!(
        after(old),
        ["trigger `_freshql_notes_touched` on `notes` is of another version of freshql"]
    );
}

#[test]
fn altered_tables_are_found() {
    let one = |replace: &str, by: &str| {
        let found = with(replace, by);
        assert_eq!(found.len(), 1, "{replace} -> {by}: {found:?}");
        found.into_iter().next().unwrap()
    };
    assert_eq!(
        one("text      TEXT", "text      INTEGER"),
        "column `notes.text` is INTEGER, and should be TEXT"
    );
    assert_eq!(
        one("title     TEXT NOT NULL", "title     TEXT"),
        "column `folders.title` may be NULL, and should be NOT NULL"
    );
    assert_eq!(
        one("text      TEXT", "text      TEXT NOT NULL"),
        "column `notes.text` is NOT NULL, and may be null in the model"
    );
    assert_eq!(
        one("PRIMARY KEY AUTOINCREMENT,\n  path", "PRIMARY KEY,\n  path"),
        "column `folders.id` has no AUTOINCREMENT: the key of a deleted row could come back"
    );
    assert_eq!(
        one("'PLAIN', 'FANCY'", "'PLAIN'"),
        "column `order.kind` has a CHECK with other values than the model's: 'PLAIN', 'FANCY'"
    );
    assert_eq!(
        one(" REFERENCES folders (id) ON DELETE RESTRICT", ""),
        "column `notes.folder_id` has no foreign key to `folders`"
    );
    assert_eq!(
        one("ON DELETE RESTRICT", "ON DELETE CASCADE"),
        "the foreign key `notes.folder_id` says ON DELETE CASCADE, and should say RESTRICT"
    );
    assert_eq!(with("ON DELETE RESTRICT", ""), Vec::<String>::new());
    assert_eq!(
        one("path      TEXT", "path      TEXT COLLATE NOCASE"),
        "column `folders.path` is compared by the collation NOCASE, and should be by BINARY: rows are looked up by it"
    );
    assert_eq!(with("text      TEXT", "text      TEXT COLLATE NOCASE"), Vec::<String>::new());
}

#[test]
fn altered_defaults_and_lost_checks_are_found() {
    let one = |replace: &str, by: &str| {
        let found = with(replace, by);
        assert_eq!(found.len(), 1, "{replace} -> {by}: {found:?}");
        found.concat()
    };
    assert_eq!(
        one("DEFAULT 1 ", "DEFAULT 0 "),
        "column `order.open` has DEFAULT 0, and should have DEFAULT 1"
    );
    assert_eq!(
        one("DEFAULT 1 ", ""),
        "column `order.open` has no default, and should have DEFAULT 1"
    );
    assert_eq!(
        one("title     TEXT NOT NULL", "title     TEXT NOT NULL DEFAULT 'x'"),
        "column `folders.title` has DEFAULT 'x', and should have no default"
    );
    assert_eq!(
        one(" CHECK (open IN (0, 1))", ""),
        "column `order.open` has no CHECK (open IN (0, 1))"
    );
}

#[test]
fn altered_tables_of_freshqls_own_are_found() {
    assert_eq!(
        after("ALTER TABLE _freshql_change DROP COLUMN at"),
        ["column `_freshql_change.at` is missing"]
    );
}

#[test]
fn table_that_was_there_before_keeps_what_its_authors_wrote() {
    let model = test_models::every_kind();
    let table = "CREATE TABLE folders (id INTEGER PRIMARY KEY, path NVARCHAR(99) UNIQUE, title VARCHAR(200) NOT NULL,
        parent_id INT, secret BLOB NOT NULL)";
    let adopt = |table: &str, version: &str| {
        let connection = Connection::open_in_memory().unwrap();
        for statement in create_statements(&Layout::new(&model)) {
            if statement.starts_with("CREATE TABLE folders") {
                connection.execute_batch(table).unwrap();
                connection
                    .execute_batch(&format!("ALTER TABLE folders ADD COLUMN {version}"))
                    .unwrap();
            } else if !statement.contains("INDEX folders_") {
                connection.execute_batch(&statement).unwrap();
            }
        }
        problems(&connection, &model)
    };
    let mark = "_version INTEGER CONSTRAINT adopted NOT NULL DEFAULT 0";
    assert_eq!(adopt(table, mark), Vec::<String>::new());
    assert!(adopt(table, "_version INTEGER NOT NULL DEFAULT 0").len() > 2);
    assert_eq!(
        adopt(&table.replace(" UNIQUE", ""), mark),
        ["unique index over `folders` (path) is missing"]
    );
    assert_eq!(
        adopt(&table.replace("parent_id INT", "parent_id TEXT"), mark),
        ["column `folders.parent_id` is TEXT, and its values would not fit INTEGER"]
    );
    assert_eq!(
        adopt(&table.replace(" NOT NULL,", ","), mark),
        ["column `folders.title` may be NULL, and should be NOT NULL"]
    );
    assert_eq!(
        adopt(&table.replace("parent_id", "mother_id"), mark),
        ["column `folders.parent_id` is missing"]
    );
}

#[test]
fn a_column_that_keeps_other_values_than_it_is_given_is_refused_with_the_reason() {
    for (field, refused) in [
        ("a: String @unique @column(type: \"STRING\")", Some("makes numbers of texts")),
        ("a: String @index @column(type: \"DATETIME\")", Some("makes numbers of texts")),
        ("a: String @unique @column(type: \"UUID\")", Some("makes numbers of texts")),
        ("a: String @column(type: \"DOUBLE\")", Some("does not keep the values")),
        ("a: Int @index @column(type: \"FLOAT\")", Some("does not keep the values")),
        ("a: Boolean @column(type: \"REAL\")", Some("does not keep the values")),
        // Nobody looks rows up by it.
        ("a: String @column(type: \"DATETIME\")", None),
        // None of its texts looks like a number.
        ("a: DateTime @index @column(type: \"DATETIME\")", None),
        ("a: UUID @unique @column(type: \"UUID\")", None),
        ("a: String @unique @column(type: \"VARCHAR(9)\")", None),
        ("a: Int @index @column(type: \"NUMERIC\")", None),
        ("a: Float @index @column(type: \"DECIMAL\")", None),
    ] {
        let sdl = format!("type Thing @entity {{ id: ID! @id  {field} }}");
        let model = crate::model::parse("schema.graphql", &sdl)
            .unwrap_or_else(|wrong| panic!("{wrong:?}"))
            .model;
        let connection = Connection::open_in_memory().unwrap();
        for statement in create_statements(&Layout::new(&model)) {
            connection.execute_batch(&statement).unwrap();
        }
        let found = problems(&connection, &model);
        match refused {
            None => assert_eq!(found, Vec::<String>::new(), "{field}"),
            Some(why) => {
                assert!(found.iter().any(|found| found.contains(why)), "{field}: {found:?}")
            }
        }
    }
}
