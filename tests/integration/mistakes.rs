//! Mistakes of all kinds at once: each is reported with its location in a single run, the exit
//! status is 1, and nothing was written.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tempfile::TempDir;

use crate::commands::freshql;

const MODEL: &str = "enum Size { SMALL LARGE }
type Tree @entity @index(fields: [\"height\"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  name: String! @unique
  height: Int! @default(value: 3)
  size: Size
}
";

/// A project with these files, and this model unless they contain one.
fn project(files: &[(&str, &str)]) -> TempDir {
    let project = tempfile::tempdir().unwrap();
    for (name, text) in [("schema.graphql", MODEL)].iter().chain(files) {
        let path = project.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    project
}

/// A project whose database has its tables.
fn migrated() -> TempDir {
    let project = project(&[]);
    for arguments in [["migrate", "new", "init"].as_slice(), &["migrate", "up"]] {
        assert!(freshql(project.path(), arguments).status.success());
    }
    project
}

/// Runs a command that should fail; returns its output, without the directory's name.
fn refusal(project: &Path, arguments: &[&str]) -> String {
    let output = freshql(project, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap().replace(&format!("{}/", project.display()), "")
}

/// `file:line:column` of all mistakes, in order.
fn places(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.trim_start().strip_prefix("┌─ ")).collect()
}

/// All files in a directory, with their contents.
fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push((path.clone(), std::fs::read(&path).unwrap())),
        }
    }
    found.sort();
    found
}

#[test]
fn errors_of_model_queries_migrations_and_configuration_are_reported_in_one_run() {
    let project = project(&[
        ("freshql.toml", "mode = \"opn\"\nmigrte = true\n"),
        (
            "schema.graphql",
            "type Tree @entity {\n  id: ID! @id @default(fn: UUID_V8)\n  name: Strin! @indx\n}\n",
        ),
        ("queries/a.graphql", "query A {\n  trees { nodes { id }\n"),
        ("queries/b.graphql", "query B { anything { whatever } }\n"),
        ("queries/c.graphql", "query C($a: Int,) {\n  x(a: $)\n}\n"),
        ("migrations/0001_bad.sql", "CREATE TABEL a (x);\nSELECT 1 FROM;\n"),
        ("migrations/0002_worse.sqlite.sql", "CREATE TABLE b (x, x);\nBEGIN;\n"),
    ]);
    let before = files(project.path());
    let commands = [&["check"][..], &["serve", "--listen", "127.0.0.1:0"], &[]];
    for command in commands {
        let said = refusal(project.path(), command);
        insta::allow_duplicates! {
            insta::assert_snapshot!(places(&said).join("\n"), @"
            freshql.toml:1:8
            freshql.toml:2:1
            schema.graphql:2:28
            schema.graphql:3:9
            schema.graphql:3:16
            queries/a.graphql:3:1
            queries/c.graphql:2:9
            migrations/0001_bad.sql:1:8
            migrations/0001_bad.sql:2:14
            migrations/0002_worse.sqlite.sql:2:1
            ");
        }
        assert!(
            said.contains("unknown directive `@indx`") && said.contains("did you mean `@index`?"),
            "{said}"
        );
    }
    assert!(files(project.path()) == before, "nothing is written");
}

#[test]
fn errors_of_queries_and_migrations_are_reported_together_and_the_database_is_unchanged() {
    let project = project(&[
        ("queries/a.graphql", "query A { treez { totalCount } }\n"),
        ("migrations/0001_a.sql", "CREATE TABLE a (x);\n"),
        ("migrations/0002_b.sql", "INSERT INTO a VALUES (1,,2);\n"),
    ]);
    for command in [&["check"][..], &["serve", "--migrate", "--listen", "127.0.0.1:0"]] {
        let said = refusal(project.path(), command);
        assert_eq!(
            places(&said),
            ["queries/a.graphql:1:11", "migrations/0002_b.sql:1:25"],
            "{said}"
        );
    }
    assert!(!project.path().join("freshql.db").exists());
    // Not even by a command that would only run the first of them.
    assert_eq!(
        places(&refusal(project.path(), &["migrate", "up"])),
        ["migrations/0002_b.sql:1:25"]
    );
    let tables = "SELECT count(*) FROM sqlite_schema";
    let database = Connection::open(project.path().join("freshql.db")).unwrap();
    assert_eq!(database.query_row(tables, [], |row| row.get::<_, i64>(0)).unwrap(), 0);
}

#[test]
fn migrate_new_reports_errors_of_model_and_migrations_together() {
    let project = project(&[
        ("schema.graphql", "type Tree @entity {\n  id: ID! @id\n  name: Strin\n}\n"),
        ("migrations/0001_a.sql", "CREATE TABEL a (x);\n"),
    ]);
    let said = refusal(project.path(), &["migrate", "new", "next"]);
    assert_eq!(places(&said), ["schema.graphql:3:9", "migrations/0001_a.sql:1:8"], "{said}");
    assert_eq!(files(&project.path().join("migrations")).len(), 1);
}

#[test]
fn status_reports_everything_that_keeps_a_database_from_being_served() {
    let project = migrated();
    let status = freshql(project.path(), &["migrate", "status"]);
    assert!(status.status.success());
    assert!(String::from_utf8(status.stdout).unwrap().contains("0001_init"));
    let file = project.path().join("freshql.db");
    let untouched = std::fs::read(&file).unwrap();
    for (change, message) in [
        ("DROP INDEX trees_height_idx", "index over `trees` (height) is missing"),
        (
            "DROP TRIGGER _freshql_trees_updated",
            "trigger `_freshql_trees_updated` on `trees` is missing",
        ),
        ("DROP TABLE trees", "table `trees` is missing"),
        ("ALTER TABLE trees RENAME COLUMN height TO depth", "column `trees.height` is missing"),
        ("ALTER TABLE _freshql_change DROP COLUMN at", "column `_freshql_change.at` is missing"),
        ("DELETE FROM _freshql_meta", "the database has no epoch"),
        ("DELETE FROM _freshql_migration", "pending migrations: 0001_init"),
        (
            "UPDATE _freshql_migration SET blake3 = 'x'",
            "this migration was edited after it was applied",
        ),
        (
            "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'DEFAULT 3', 'DEFAULT 4')",
            "column `trees.height` has DEFAULT 4, and should have DEFAULT 3",
        ),
    ] {
        std::fs::write(&file, &untouched).unwrap();
        Connection::open(&file).unwrap().execute_batch(change).unwrap();
        for command in
            [&["migrate", "status"][..], &["check"], &["serve", "--listen", "127.0.0.1:0"]]
        {
            let said = refusal(project.path(), command);
            assert!(said.contains(message), "{change}: {said}");
            assert!(said.contains("= help: "), "{change}: {said}");
        }
    }
}

#[test]
fn a_changed_model_is_reported_with_the_command_that_writes_the_migration() {
    let project = migrated();
    let changed = MODEL.replace("  size: Size\n", "  size: Size!\n  rings: Int @index\n");
    std::fs::write(project.path().join("schema.graphql"), changed).unwrap();
    let said = refusal(project.path(), &["check"]);
    assert!(said.contains("column `trees.rings` is missing"), "{said}");
    assert!(said.contains("column `trees.size` may be NULL, and should be NOT NULL"), "{said}");
    assert!(!said.contains("CREATE TRIGGER"), "{said}");
    assert_eq!(said.matches("migrate new <name>`").count(), 1, "{said}");
}

#[test]
fn check_refuses_constants_that_no_request_can_be_answered_with() {
    let project = project(&[
        ("queries/long.graphql", "query Long {\n  trees(first: 1000) { nodes { id } }\n}\n"),
        ("queries/cursor.graphql", "query Cursor { trees(after: \"nonsense\") { nodes { id } } }"),
        (
            "queries/default.graphql",
            "query Default($n: Int = 1000) { trees(first: $n) { nodes { id } } }",
        ),
        ("queries/fine.graphql", "query Fine($n: Int) { trees(first: $n) { nodes { id } } }"),
    ]);
    let said = refusal(project.path(), &["check"]);
    assert_eq!(
        places(&said),
        [
            "queries/cursor.graphql:1:29",
            "queries/default.graphql:1:46",
            "queries/long.graphql:2:16"
        ],
        "{said}"
    );
    assert!(said.contains("first: must be between 0 and 100, found 1000"), "{said}");
    assert!(said.contains("= help: every request with this value is refused with 422"), "{said}");
}

#[test]
fn a_query_file_without_an_operation_is_reported_clearly() {
    let project = project(&[
        ("queries/empty.graphql", ""),
        ("queries/commented.graphql", "\u{feff}# query Later { trees { totalCount } }\r\n\r\n"),
    ]);
    let said = refusal(project.path(), &["check"]);
    assert_eq!(
        places(&said),
        ["queries/commented.graphql:1:1", "queries/empty.graphql:1:1"],
        "{said}"
    );
    assert!(said.contains("there is no operation in this file"), "{said}");
    assert!(said.contains("write a query or a mutation, or delete the file"), "{said}");
    // The same without a model to compile against.
    std::fs::write(project.path().join("schema.graphql"), MODEL.replace("Int!", "Imt!")).unwrap();
    assert!(refusal(project.path(), &["check"]).contains("there is no operation in this file"));
}

#[test]
fn operations_of_one_name_in_two_files_are_a_warning() {
    let project = project(&[
        ("queries/a.graphql", "query Trees { trees(first: 1) { totalCount } }"),
        ("queries/b.graphql", "# Another.\n\nquery Trees { trees(first: 2) { totalCount } }"),
        ("queries/c.gql", "query Other { trees(first: 3) { totalCount } }"),
    ]);
    let checked = freshql(project.path(), &["check"]);
    let said = String::from_utf8(checked.stderr)
        .unwrap()
        .replace(&format!("{}/", project.path().display()), "");
    assert!(checked.status.success(), "{said}");
    assert!(said.contains("warning: the operation `Trees` is also in queries/a.graphql"), "{said}");
    assert_eq!(places(&said), ["queries/b.graphql:3:1"], "{said}");
    assert!(
        String::from_utf8(checked.stdout).unwrap().contains("3 documents"),
        "`.gql` files count"
    );
}

#[test]
fn argument_without_its_name_is_shown_with_it() {
    for (wrong, right) in [
        ("@default(0)", "@default(value: 0)"),
        ("@default( \"a\" )", "@default(value: \"a\")"),
        ("@unique([\"name\"])", "@unique(fields: […])"),
        ("@column(\"hoehe\")", "@column(name: \"hoehe\")"),
    ] {
        let model = MODEL.replace("@default(value: 3)", wrong);
        let project = project(&[("schema.graphql", &model)]);
        let said = refusal(project.path(), &["check"]);
        assert!(said.contains(&format!("= help: arguments have names: write `{right}`")), "{said}");
    }
}
