//! What makes it easy to start and develop: warnings, `init` and `dev`.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::database::{Driver, TestDatabase, database_of, driver};
use crate::harness::project;
use crate::postgres::Postgres;
use crate::program::{Program, bare, of_project};

fn freshql(arguments: &[&str]) -> Output {
    bare().envs(on_server().map(|url| ("FRESHQL_DATABASE", url))).args(arguments).output().unwrap()
}

/// If the tests run on PostgreSQL, a database that does not exist yet.
fn on_server() -> Option<String> {
    (driver() == Driver::Postgres).then(|| database_of(Path::new("")).to_string())
}

fn shown(path: &Path) -> &str {
    path.to_str().unwrap()
}

async fn start(directory: &Path, command: &str) -> Program {
    start_on(directory, command, on_server()).await
}

async fn start_on(directory: &Path, command: &str, database: Option<String>) -> Program {
    let mut program = of_project(directory);
    program.envs(database.map(|url| ("FRESHQL_DATABASE", url)));
    program.args([command, "--listen", "127.0.0.1:0"]);
    Program::run(program).await
}

async fn ask(server: &Program, query: &str) -> Value {
    let client = reqwest::Client::new();
    let request =
        client.post(format!("{}/graphql", server.address)).json(&json!({ "query": query }));
    request.send().await.unwrap().json().await.unwrap()
}

#[test]
fn check_warns_of_costly_queries_and_succeeds() {
    let project = project();
    let file = project.path().join("queries/costly.graphql");
    let text = "query Costly {\n  merchants(\n    where: { website: { contains: \"x\" } }\n  ) {\n    totalCount\n  }\n}\n";
    std::fs::write(&file, text).unwrap();
    let checked = freshql(&["--dir", shown(project.path()), "check"]);
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success(), "{said}");
    assert!(
        said.contains(
            "warning: no index helps this filter by `website`: every `Merchant` is scanned"
        ),
        "{said}"
    );
    assert!(said.contains("queries/costly.graphql:3:12"), "{said}");
    assert!(said.contains("= help: add `@index` to `Merchant.website`"), "{said}");
    assert!(said.ends_with("1 warning\n"), "{said}");

    // Warnings are shown together with mistakes, too.
    std::fs::write(project.path().join("queries/wrong.graphql"), "{ nonsense }").unwrap();
    let checked = freshql(&["--dir", shown(project.path()), "check"]);
    let said = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(1));
    assert!(said.ends_with("1 error, 1 warning\n"), "{said}");
}

#[test]
fn check_shows_the_models_warnings() {
    let project = project();
    let model = "type A @entity { id: ID! @id @default(fn: UUID_V7) a: A! }\n";
    std::fs::remove_dir_all(project.path().join("queries")).unwrap();
    std::fs::remove_file(project.path().join("freshql.toml")).unwrap();
    std::fs::write(project.path().join("schema.graphql"), model).unwrap();
    let checked = freshql(&["--dir", shown(project.path()), "check"]);
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success(), "{said}");
    assert!(said.contains("warning: no `A` can be created first: `a` leads back to it"), "{said}");
}

#[test]
fn the_demo_has_no_warnings() {
    let checked = freshql(&[
        "--dir",
        env!("CARGO_MANIFEST_DIR"),
        "--database",
        "sqlite:/nowhere/at/all.db",
        "check",
    ]);
    assert!(checked.status.success());
    assert_eq!(String::from_utf8(checked.stderr).unwrap(), "");
}

#[tokio::test]
async fn init_writes_a_project_that_serves_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path().join("new/shelf");
    assert!(freshql(&["init", shown(&project)]).status.success());
    let checked = freshql(&["--dir", shown(&project), "check"]);
    assert!(checked.status.success());
    assert_eq!(String::from_utf8(checked.stderr).unwrap(), "");

    let database = TestDatabase::new();
    let server = start_on(&project, "serve", Some(database.url())).await;
    let answer =
        ask(&server, "{ books(first: 1) { totalCount nodes { title author { name } } } }").await;
    assert_eq!(answer["data"]["books"]["totalCount"], 3);
    let queries =
        String::from_utf8(freshql(&["--dir", shown(&project), "queries"]).stdout).unwrap();
    let id =
        queries.lines().find(|line| line.contains(" Books ")).unwrap().split(' ').next().unwrap();
    let url = format!("{}/q/{id}", server.address);
    let first = reqwest::get(&url).await.unwrap();
    assert_eq!(first.status(), 200);
    let again = reqwest::Client::new()
        .get(&url)
        .header("if-none-match", &first.headers()["etag"])
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 304);
}

#[test]
fn init_writes_migrations_for_both_databases() {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path();
    assert!(freshql(&["init", shown(project)]).status.success());
    let mut names: Vec<_> = std::fs::read_dir(project.join("migrations"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let both = ["0001_create", "0002_first_books"]
        .map(|name| ["postgres", "sqlite"].map(|d| format!("{name}.{d}.sql")));
    assert_eq!(names, both.concat());

    let books = "SELECT title, price FROM books ORDER BY title";
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("shelf");
    for name in names.iter().filter(|name| name.ends_with(".postgres.sql")) {
        let text = std::fs::read_to_string(project.join("migrations").join(name)).unwrap();
        postgres.migrate("shelf", &text).unwrap();
    }
    let rows =
        ["Invisible Cities|9.90", "The Dispossessed|12.90", "The Left Hand of Darkness|11.90"];
    assert_eq!(postgres.run("shelf", books), rows);
}

#[test]
fn init_overwrites_no_file() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("freshql.toml"), "# mine\n").unwrap();
    let refused = freshql(&["init", shown(directory.path())]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(
        said.starts_with("error: nothing was written, because these are there already: "),
        "{said}"
    );
    assert!(said.trim_end().ends_with("freshql.toml"), "{said}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn dev_follows_the_files_and_serves_the_last_valid_version() {
    let directory = tempfile::tempdir().unwrap();
    let project = directory.path();
    assert!(freshql(&["init", shown(project)]).status.success());
    let mut dev = start(project, "dev").await;
    dev.until("made by 2 migrations").await;
    dev.until("serving 2 operations").await;
    assert_eq!(ask(&dev, "{ books { totalCount } }").await["data"]["books"]["totalCount"], 3);

    let query = "query Count { books { totalCount } }";
    std::fs::write(project.join("queries/count.graphql"), query).unwrap();
    let added = dev.until("added   query Count ").await;
    let id = added.split(' ').find(|word| word.len() == 64).unwrap();
    assert_eq!(reqwest::get(format!("{}/q/{id}", dev.address)).await.unwrap().status(), 200);

    // A mistake changes nothing.
    let model = std::fs::read_to_string(project.join("schema.graphql")).unwrap();
    std::fs::write(
        project.join("schema.graphql"),
        model.replace("title: String!", "title: Strng!"),
    )
    .unwrap();
    dev.until("error: unknown type `Strng`").await;
    dev.until("schema.graphql:").await;
    dev.until("the last version without mistakes is still being served").await;
    assert_eq!(ask(&dev, "{ books { totalCount } }").await["data"]["books"]["totalCount"], 3);

    // The migrations lag behind, so the tables are built from the model; the rows are copied.
    let made = ask(&dev, "mutation { createAuthor(input: { name: \"Somebody\" }) { id } }").await;
    let author = made["data"]["createAuthor"]["id"].as_str().unwrap();
    std::fs::write(
        project.join("schema.graphql"),
        model.replace("  born: Date", "  born: Date\n  rank: Int"),
    )
    .unwrap();
    dev.until("made from the model, because column `authors.rank` is missing in the migrations")
        .await;
    dev.until("6 rows of the last scratch database are kept").await;
    dev.until("changed type Author").await;
    dev.until("+ rank: Int").await;
    let question = format!("{{ author(id: \"{author}\") {{ name rank }} books {{ totalCount }} }}");
    let answer = ask(&dev, &question).await;
    assert_eq!(answer["data"]["author"], json!({ "name": "Somebody", "rank": null }));
    assert_eq!(answer["data"]["books"]["totalCount"], 3);

    // The database that the migrations build in the end has them, too, and so has the first shape.
    let ranked =
        format!("mutation {{ updateAuthor(id: \"{author}\", patch: {{ rank: 7 }}) {{ rank }} }}");
    assert_eq!(ask(&dev, &ranked).await["data"]["updateAuthor"]["rank"], 7);
    assert!(freshql(&["--dir", shown(project), "migrate", "new", "rank"]).status.success());
    std::fs::write(project.join("queries/touch.graphql"), "query Touch { books { totalCount } }")
        .unwrap();
    dev.until("query Touch ").await;
    assert_eq!(ask(&dev, &question).await["data"]["author"]["rank"], 7);
    for file in std::fs::read_dir(project.join("migrations")).unwrap() {
        let file = file.unwrap().path();
        if file.to_str().unwrap().contains("0003_rank") {
            std::fs::remove_file(file).unwrap();
        }
    }
    std::fs::write(project.join("schema.graphql"), &model).unwrap();
    dev.until("- rank: Int").await;
    let answer = ask(&dev, &question.replace(" rank", "")).await;
    assert_eq!(answer["data"]["author"]["name"], "Somebody");

    // Rows that do not fit are reported.
    std::fs::write(
        project.join("schema.graphql"),
        model.replace("  pages: Int\n", "  pages: Int!\n  isbn: String!\n"),
    )
    .unwrap();
    dev.until("3 rows of the last scratch database are kept").await;
    let why = match driver() {
        Driver::Sqlite => "NOT NULL constraint failed: books.",
        Driver::Postgres => "null value in column \"",
    };
    dev.until(&format!("not kept: the rows of `books` do not fit: {why}")).await;
    std::fs::write(project.join("schema.graphql"), &model).unwrap();
    dev.until("- isbn: String!").await;
    std::fs::remove_file(project.join("queries/count.graphql")).unwrap();
    dev.until("removed query Count ").await;
    assert!(!project.join("freshql.db").exists());
    dev.process.kill().await.unwrap();
}

#[tokio::test]
async fn dev_waits_for_the_first_valid_version() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("schema.graphql"), "type A @entity {").unwrap();
    let mut dev = start(directory.path(), "dev").await;
    dev.until("nothing is served until this is fixed").await;
    assert_eq!(reqwest::get(format!("{}/healthz", dev.address)).await.unwrap().status(), 503);
    let model = "type A @entity { id: ID! @id @default(fn: UUID_V7) b: String }\n";
    std::fs::write(directory.path().join("schema.graphql"), model).unwrap();
    dev.until("serving 0 operations").await;
    assert_eq!(reqwest::get(format!("{}/healthz", dev.address)).await.unwrap().status(), 200);
    // A directory that did not exist at the start.
    std::fs::create_dir(directory.path().join("queries")).unwrap();
    std::fs::write(directory.path().join("queries/a.graphql"), "query A { as { totalCount } }")
        .unwrap();
    dev.until("added   query A ").await;
}

#[tokio::test]
async fn rows_that_a_half_edited_model_does_not_take_come_back_with_the_next_one() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("schema.graphql");
    let model = |book: &str, rest: &str| {
        std::fs::write(&file, format!("type Book @entity {{ id: ID! @id {book} }}\n{rest}"))
            .unwrap();
    };
    model("title: String pages: Int", "");
    let mut dev = start(directory.path(), "dev").await;
    dev.until("serving 0 operations").await;
    let create = |id: &str| {
        format!(
            "mutation {{ createBook(input: {{id: \"{id}\" title: \"T{id}\" pages: 7}}) {{ id }} }}"
        )
    };
    for id in ["a", "b"] {
        assert!(ask(&dev, &create(id)).await["data"]["createBook"]["id"] == id);
    }

    // A column goes, then the table, then a column comes that no row has: in one thought, saved in
    // the middle.
    model("title: String", "");
    dev.until("- pages: Int").await;
    std::fs::write(&file, "type Shop @entity { id: ID! @id }\n").unwrap();
    dev.until("removed type Book").await;
    model("title: String! pages: Int! isbn: String!", "");
    dev.until("not kept: the rows of `books` do not fit").await;
    dev.until("the last scratch database still has them").await;
    model("title: String! pages: Int! isbn: String", "type Shop @entity { id: ID! @id }\n");
    dev.until("2 rows of the last scratch database are kept").await;
    dev.until("added   type Shop").await;
    let answer = ask(&dev, "{ books { nodes { id title pages isbn } } }").await;
    let rows = json!([{"id": "a", "title": "Ta", "pages": 7, "isbn": null}, {"id": "b", "title": "Tb", "pages": 7, "isbn": null}]);
    assert_eq!(answer["data"]["books"]["nodes"], rows);

    // What is taken back finds its database as it was.
    model("title: String pages: Int", "");
    dev.until("- isbn: String").await;
    let etags = "{ books { nodes { id pages } } }";
    let rows = json!([{"id": "a", "pages": 7}, {"id": "b", "pages": 7}]);
    assert_eq!(ask(&dev, etags).await["data"]["books"]["nodes"], rows);

    // The rows of a database that somebody has written to go on from there.
    model("title: String", "");
    dev.until("- pages: Int").await;
    let change = "mutation { updateBook(id: \"a\", patch: {title: \"new\"}) { title } }";
    assert_eq!(ask(&dev, change).await["data"]["updateBook"]["title"], "new");
    model("title: String pages: Int", "");
    dev.until("+ pages: Int").await;
    let answer = ask(&dev, "{ books { nodes { id title pages } } }").await;
    let rows =
        json!([{"id": "a", "title": "new", "pages": 7}, {"id": "b", "title": "Tb", "pages": 7}]);
    assert_eq!(answer["data"]["books"]["nodes"], rows);

    // The next run finds the rows, too.
    model("title: String", "");
    dev.until("- pages: Int").await;
    dev.process.kill().await.unwrap();
    let mut dev = start(directory.path(), "dev").await;
    dev.until("serving 0 operations").await;
    model("title: String pages: Int", "");
    dev.until("+ pages: Int").await;
    let answer = ask(&dev, "{ books { nodes { id title } } }").await;
    assert_eq!(answer["data"]["books"]["nodes"][0], json!({"id": "a", "title": "new"}));

    // A renamed field keeps its values.
    model("name: String! @renamedFrom(name: \"title\") pages: Int", "");
    dev.until("+ name: String!").await;
    let answer = ask(&dev, "{ books { nodes { id name } } }").await;
    assert_eq!(answer["data"]["books"]["nodes"][0], json!({"id": "a", "name": "new"}));
}
