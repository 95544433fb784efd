//! The demo at the top of the repository: its first migration is what freshql itself writes for its
//! model, and its data satisfy all rules.

use std::fs;
use std::path::{Path, PathBuf};

use freshql::model::Model;
use freshql::store::schema::difference::step;
use freshql::store::sqlite::migrate::{Migrations, check_schema, epoch, status, up};
use rusqlite::Connection;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn model() -> Model {
    let text = fs::read_to_string(top().join("schema.graphql")).unwrap();
    let parsed = freshql::model::parse::parse("schema.graphql", &text);
    let parsed =
        parsed.unwrap_or_else(|mistakes| panic!("the demo's model is wrong: {mistakes:#?}"));
    assert_eq!(parsed.warnings, []);
    parsed.model
}

#[test]
fn the_first_migration_is_what_the_generator_writes() {
    let wanted = step(&Migrations::default(), &model()).unwrap().unwrap().sqlite;
    let file = top().join("migrations/0001_create.sqlite.sql");
    if std::env::var_os("FRESHQL_WRITE_DEMO").is_some() {
        fs::write(&file, &wanted).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap();
    assert!(
        written == wanted,
        "run this test with FRESHQL_WRITE_DEMO=1 to write {}",
        file.display()
    );
}

#[test]
fn migrated_demo_is_sound_and_every_row_has_a_version() {
    let mut database = Connection::open_in_memory().unwrap();
    database.execute_batch("PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON").unwrap();
    let migrations = Migrations::read(&top().join("migrations")).unwrap();
    let applied = up(&mut database, &migrations).unwrap();
    assert_eq!(applied.len(), migrations.files.len());
    assert!(status(&database, &migrations).unwrap().is_current());
    assert_eq!(check_schema(&database, &model()).unwrap(), []);
    assert!(epoch(&database).unwrap().is_some());

    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let rows: i64 = ["merchants", "products", "reviews"]
        .iter()
        .map(|table| {
            assert_eq!(
                count(&format!("SELECT count(*) FROM {table} WHERE _version = 0")),
                0,
                "{table}"
            );
            count(&format!("SELECT count(*) FROM {table}"))
        })
        .sum();
    assert!(rows > 500, "{rows} rows are too few to look at");
    assert_eq!(count("SELECT count(*) FROM _freshql_change"), rows);
}
