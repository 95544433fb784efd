//! `freshql test`: compares answers with the snapshots that their author has accepted.

use std::path::{Path, PathBuf};

use freshql::app::{self, StartError, TestOptions};
use freshql::config::{Config, PartialConfig};
use freshql::store::admin;
use serde_json::Value;
use tempfile::TempDir;

use crate::commands::freshql;
use crate::database::database_of;

fn config(directory: &Path) -> Config {
    let database = Some(database_of(directory));
    let dir = Some(directory.to_owned());
    app::configure(PartialConfig { dir, database, ..PartialConfig::default() }).unwrap()
}

async fn test(directory: &Path, options: TestOptions) -> (String, bool) {
    let (text, is_good) = app::test(&config(directory), &options).await.unwrap();
    (text.replace(&format!("{}/", directory.display()), ""), is_good)
}

async fn check(directory: &Path) -> (String, bool) {
    test(directory, TestOptions { pending: true, ..TestOptions::default() }).await
}

async fn update(directory: &Path) -> (String, bool) {
    test(directory, TestOptions { update: true, ..TestOptions::default() }).await
}

/// The project that `freshql init` writes: the query `books` needs no variables, `author` needs a
/// name.
fn shelf() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    app::init(directory.path()).unwrap();
    directory
}

fn snapshot(directory: &Path, name: &str) -> PathBuf {
    directory.join("queries/snapshots").join(name)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// insta, whose tools review the files, reads them correctly.
fn insta_reads(path: &Path) {
    let parsed = insta::Snapshot::from_file(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let text = read(path);
    let (head, body) = text
        .strip_prefix("---\n")
        .and_then(|text| text.split_once("\n---\n"))
        .expect("a head and a body");
    let contents = parsed.as_text().expect("a text").to_string();
    assert_eq!(contents.trim_end_matches('\n'), body.trim_end_matches('\n'));
    let quoted = |text: Option<&str>| {
        text.map(|text| serde_json::to_string(text).unwrap()).unwrap_or_default()
    };
    let found = format!(
        "source: {}\nexpression: {}",
        quoted(parsed.metadata().source()),
        quoted(parsed.metadata().expression())
    );
    assert!(head.starts_with(&found), "{found} is not the beginning of {head}");
}

#[test]
fn insta_reads_the_demos_snapshots() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("queries/snapshots");
    let files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 5);
    files.iter().for_each(|file| insta_reads(file));
}

#[tokio::test]
async fn the_demo_agrees_with_its_snapshots() {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (text, is_good) = test(demo, TestOptions::default()).await;
    assert!(is_good, "{text}");
    assert_eq!(text, "15 passed; 4 mutations without a case were not run\n");
}

#[tokio::test]
async fn a_project_gets_its_first_snapshots_and_then_every_difference_is_reported() {
    let project = shelf();
    let directory = project.path();

    let (text, is_good) = check(directory).await;
    assert!(!is_good);
    assert!(
        text.contains(
            "no case: author\n  AuthorPage needs variables, so write queries/author.cases.json"
        ),
        "{text}"
    );
    assert!(text.contains(r#""name": "Italo Calvino""#), "{text}");
    assert!(
        text.contains(
            "new: books, case `default`: there is no queries/snapshots/books__default.snap yet"
        ),
        "{text}"
    );
    assert!(text.contains("1 new, 1 without a case\n"), "{text}");
    assert!(snapshot(directory, "books__default.snap.new").exists());

    let (text, is_good) = update(directory).await;
    assert!(is_good, "{text}");
    assert!(text.contains("wrote queries/author.cases.json"), "{text}");
    assert!(!snapshot(directory, "books__default.snap.new").exists());
    let kept = read(&snapshot(directory, "author__default.snap"));
    assert!(
        kept.starts_with("---\nsource: \"queries/author.graphql\"\nexpression: \"GET AuthorPage {"),
        "{kept}"
    );
    assert!(
        kept.contains("\netag: [etag]\nvary: Accept-Encoding\nSQL: 3 statements\n\n{\n"),
        "{kept}"
    );
    assert!(kept.contains("\"etag\": \"[etag]\",\n      \"name\": \"Italo Calvino\","), "{kept}");
    assert_eq!(check(directory).await, ("2 passed\n".to_owned(), true));

    let dialect = admin::dialect(&database_of(directory)).name();
    let migration = directory.join(format!("migrations/0002_first_books.{dialect}.sql"));
    std::fs::write(&migration, read(&migration).replace("Invisible Cities", "Le città invisibili"))
        .unwrap();
    let (text, is_good) = check(directory).await;
    assert!(!is_good);
    let difference = "-           \"title\": \"Invisible Cities\",\n  +           \"title\": \"Le città invisibili\",\n";
    assert!(text.contains(difference), "{text}");
    assert!(text.contains("2 changed\n"), "{text}");
    let pending = read(&snapshot(directory, "books__default.snap.new"));
    assert!(pending.contains("Le città invisibili"), "{pending}");
    for name in ["books__default.snap.new", "books__default.snap"] {
        insta_reads(&snapshot(directory, name));
    }

    // As `cargo insta accept` does.
    for name in ["books__default", "author__default"] {
        let path = snapshot(directory, &format!("{name}.snap"));
        std::fs::rename(path.with_extension("snap.new"), path).unwrap();
    }
    assert_eq!(check(directory).await, ("2 passed\n".to_owned(), true));

    std::fs::remove_file(directory.join("queries/author.graphql")).unwrap();
    std::fs::remove_file(directory.join("queries/author.cases.json")).unwrap();
    let (text, is_good) = check(directory).await;
    assert!(is_good);
    assert!(
        text.starts_with("queries/snapshots/author__default.snap: no case makes it any more"),
        "{text}"
    );
    update(directory).await;
    assert!(!snapshot(directory, "author__default.snap").exists());
}

#[tokio::test]
async fn cases_start_from_the_seed_and_do_not_see_each_others_writes() {
    let project = shelf();
    let directory = project.path();
    std::fs::create_dir(directory.join("tests")).unwrap();
    let seed = "INSERT INTO authors (id, name) VALUES ('01890a5d-ac96-774b-bcce-b302099a8060', 'Stanisław Lem');\n";
    std::fs::write(directory.join("tests/seed.sql"), seed).unwrap();
    let rename = "mutation Rename($id: ID!, $name: String!, $version: String) {
  a: updateAuthor(id: $id, patch: {name: $name}, expectedEtag: $version) { version: etag name }
}\nmutation Add { createAuthor(input: {name: \"Ada\"}) { id } }\n";
    std::fs::write(directory.join("queries/rename.graphql"), rename).unwrap();
    let cases = r#"{
      "first": {"operation": "Rename", "variables": {"id": "01890a5d-ac96-774b-bcce-b302099a8060", "name": "Lem",
                "version": "[etag of Author 01890a5d-ac96-774b-bcce-b302099a8060]"}},
      "by header": {"operation": "Rename", "variables": {"id": "01890a5d-ac96-774b-bcce-b302099a8060", "name": "Lem"},
                "headers": {"If-Match": "\"[etag of Author 01890a5d-ac96-774b-bcce-b302099a8060]\""}},
      "another": {"operation": "Rename", "variables": {"id": "01890a5d-ac96-774b-bcce-b302099a8060", "name": "Lem",
                "version": "[etag of Author 01890a5d-ac96-774b-bcce-b302099a8057]"}, "status": 412},
      "new": {"operation": "Add"}
    }"#;
    std::fs::write(directory.join("queries/rename.cases.json"), cases).unwrap();
    let (text, is_good) = update(directory).await;
    assert!(is_good, "{text}");
    let kept = read(&snapshot(directory, "rename__first.snap"));
    assert!(kept.contains("\"version\": \"[etag]\",\n      \"name\": \"Lem\""), "{kept}");
    assert!(read(&snapshot(directory, "rename__another.snap")).contains("HTTP 412\n"));
    assert!(read(&snapshot(directory, "rename__new.snap")).contains("\"id\": \"[uuid]\""));
    let (text, is_good) = check(directory).await;
    assert!(is_good, "{text}");

    // An unexpected status is never accepted.
    let cases = cases.replace(", \"status\": 412", "");
    std::fs::write(directory.join("queries/rename.cases.json"), cases).unwrap();
    let (text, is_good) = update(directory).await;
    assert!(!is_good);
    assert!(
        text.contains(
            "the status is 412, and 200 is expected where the case has no \"status\": {\"errors\""
        ),
        "{text}"
    );
}

#[tokio::test]
async fn triggers_that_change_other_rows_are_no_mistake() {
    let project = shelf();
    let directory = project.path();
    std::fs::create_dir(directory.join("tests")).unwrap();
    let seeds = [
        ("sqlite", "CREATE TRIGGER aged AFTER UPDATE OF born ON authors BEGIN UPDATE books SET pages = 1 + ifnull(pages, 0); END;"),
        (
            "postgres",
            "CREATE FUNCTION aged() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
               UPDATE books SET pages = 1 + coalesce(pages, 0); RETURN NULL; END $$;
             CREATE TRIGGER aged AFTER UPDATE OF born ON authors FOR EACH ROW EXECUTE FUNCTION aged();",
        ),
    ];
    for (dialect, seed) in seeds {
        std::fs::write(directory.join(format!("tests/seed.{dialect}.sql")), seed).unwrap();
    }
    let (text, is_good) = update(directory).await;
    assert!(is_good, "{text}");
}

#[tokio::test]
async fn errors_in_case_files_are_reported_with_their_location() {
    let project = shelf();
    let directory = project.path();
    let write = |name: &str, text: &str| {
        std::fs::write(directory.join("queries").join(name), text).unwrap()
    };
    write("books.cases.json", "{\n  \"a\": {\"variable\": {}}\n}\n");
    write("gone.cases.json", "{}");
    write("author.cases.json", r#"{"a b": {"operation": "Author"}, "a b": {}}"#);
    let Err(StartError::Mistakes(mistakes)) =
        app::test(&config(directory), &TestOptions::default()).await
    else {
        panic!("these are mistakes");
    };
    let told: Vec<String> = mistakes.iter().map(|m| m.message.clone()).collect();
    assert!(told[0].contains("there are two cases `a b`"), "{told:?}");
    assert!(told[1].contains("unknown field `variable`"), "{told:?}");
    assert!(told[2].contains("no query file for these cases"), "{told:?}");
    write("author.cases.json", r#"{"a": {"operation": "Author"}, "b c": {}, "b_c": {}}"#);
    write("books.cases.json", "{}");
    std::fs::remove_file(directory.join("queries/gone.cases.json")).unwrap();
    let Err(StartError::Mistakes(mistakes)) =
        app::test(&config(directory), &TestOptions::default()).await
    else {
        panic!("these are mistakes");
    };
    let told: Vec<String> = mistakes.iter().map(|m| m.message.clone()).collect();
    assert!(told[0].contains("there is no operation `Author`"), "{told:?}");
    assert!(told[1].contains("the cases `b c` and `b_c` have the same snapshot"), "{told:?}");
}

#[test]
fn the_test_command_reports_differences_by_exit_status_and_as_json() {
    let project = shelf();
    let directory = project.path();
    // `{}`: no case is wanted.
    std::fs::write(directory.join("queries/author.cases.json"), "{}").unwrap();
    let tested = freshql(directory, &["test", "--json"]);
    assert_eq!(tested.status.code(), Some(1));
    assert_eq!(String::from_utf8(tested.stderr).unwrap(), "");
    let report: Value = serde_json::from_slice(&tested.stdout).unwrap();
    assert_eq!(report["cases"][0]["state"], "new");
    assert!(
        report["cases"][0]["difference"].as_str().unwrap().starts_with("HTTP 200\n"),
        "{report}"
    );
    assert!(freshql(directory, &["test", "books", "--update"]).status.success());
    assert!(freshql(directory, &["test"]).status.success());
    let unknown = freshql(directory, &["test", "nothing"]);
    assert!(
        String::from_utf8(unknown.stderr)
            .unwrap()
            .contains("there is no query file nothing.graphql")
    );
}
