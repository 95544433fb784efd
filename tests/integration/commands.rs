//! The command line: what it prints, what it refuses, and how it stops.

use std::path::Path;
use std::process::Output;

use freshql::app::{self, StartError};
use freshql::config::{Config, Database, Mode, PartialConfig};
use freshql::document_id::DocumentId;
use tokio::io::AsyncReadExt;

use crate::database::{Driver, Outsider, ProjectDatabase, database_of, driver};
use crate::harness::{DEMO_SECRET, MERCHANT, TestApp, demo_issuer, project, signal};
use crate::program::{Program, bare, of_project};

fn config(directory: &Path) -> Config {
    let overrides = PartialConfig {
        dir: Some(directory.to_owned()),
        database: Some(database_of(directory)),
        listen: Some("127.0.0.1:0".parse().unwrap()),
        ..PartialConfig::default()
    };
    let mut config = app::configure(overrides).unwrap();
    // The secret, which the environment would have.
    if !config.auth.is_empty() {
        config.auth = vec![demo_issuer()];
    }
    config
}

pub(crate) fn freshql(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = of_project(directory);
    command.envs([DEMO_SECRET]).envs(on_server(directory)).args(arguments).output().unwrap()
}

/// On PostgreSQL, the project's database.
fn on_server(directory: &Path) -> Option<(&'static str, String)> {
    let database = database_of(directory);
    matches!(database, Database::Postgres(_)).then(|| ("FRESHQL_DATABASE", database.to_string()))
}

/// The same, on the database of a server.
pub(crate) fn freshql_on(app: &TestApp, arguments: &[&str]) -> Output {
    let mut command = of_project(app.directory.path());
    command.envs([DEMO_SECRET, ("FRESHQL_DATABASE", &*app.config.database.to_string())]);
    command.args(arguments).output().unwrap()
}

/// `file: message (help)`, without the directory.
async fn refusal(directory: &Path) -> Vec<String> {
    let mistakes = match app::start(config(directory)).await {
        Err(StartError::Mistakes(mistakes)) => mistakes,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it started"),
    };
    let prefix = format!("{}/", directory.display());
    let text = |m: &freshql::model::Diagnostic| {
        format!("{}: {} ({})", m.file, m.message, m.help.as_deref().unwrap_or(""))
            .replace(&prefix, "")
    };
    mistakes.iter().map(text).collect()
}

#[tokio::test]
async fn the_server_refuses_to_start_without_migrations_and_names_the_command() {
    let project = project();
    let _database = ProjectDatabase::new(project.path());
    let reasons = refusal(project.path()).await;
    assert_eq!(reasons.len(), 1);
    let missing = match driver() {
        Driver::Sqlite => "there is no database yet (run `freshql --dir ",
        Driver::Postgres => "pending migrations: 0001_create, 0002_demo_data (run `freshql --dir ",
    };
    assert!(reasons[0].contains(missing), "{reasons:?}");
    assert!(!project.path().join("freshql.db").exists());

    app::migrate_up(&config(project.path())).unwrap();
    let late = project.path().join("migrations/9999_later.sql");
    std::fs::write(&late, "CREATE TABLE later (id INTEGER PRIMARY KEY);\n").unwrap();
    let reasons = refusal(project.path()).await;
    assert!(
        reasons[0].contains("pending migrations: 9999_later (run `freshql --dir "),
        "{reasons:?}"
    );

    assert_eq!(app::migrate_up(&config(project.path())).unwrap(), "applied 9999_later\n");
    assert_eq!(app::migrate_up(&config(project.path())).unwrap(), "nothing to apply\n");
    app::start(config(project.path())).await.unwrap().stop().await.unwrap();

    std::fs::write(&late, "-- edited\n").unwrap();
    let reasons = refusal(project.path()).await;
    assert!(
        reasons[0].starts_with("migrations/9999_later.sql: this migration was edited"),
        "{reasons:?}"
    );
    assert!(
        app::migrate_status(&config(project.path()))
            .unwrap()
            .table
            .contains("edited since it was applied")
    );
}

#[tokio::test]
async fn the_server_refuses_to_start_without_the_triggers_that_keep_versions() {
    let project = project();
    let _database = ProjectDatabase::new(project.path());
    app::migrate_up(&config(project.path())).unwrap();
    let outsider = Outsider::of(&database_of(project.path()));
    let (triggers, table) = match driver() {
        Driver::Sqlite => {
            ("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'merchants'", "")
        }
        Driver::Postgres => (
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 'merchants'::regclass AND NOT tgisinternal",
            " ON merchants",
        ),
    };
    let trigger = outsider.rows(triggers)[0][0].clone().unwrap();
    outsider.execute(&format!("DROP TRIGGER {trigger}{table}"));
    let reasons = refusal(project.path()).await;
    assert!(reasons[0].contains(&trigger), "{reasons:?}");
    assert!(reasons[0].contains("migrate repair`, which puts it back"), "{reasons:?}");
}

#[tokio::test]
async fn the_server_refuses_to_start_on_invalid_queries_and_names_all_of_them() {
    let project = project();
    let _database = ProjectDatabase::new(project.path());
    app::migrate_up(&config(project.path())).unwrap();
    std::fs::write(project.path().join("queries/a.graphql"), "{ nonsense }").unwrap();
    std::fs::write(project.path().join("queries/b.graphql"), b"query \xff").unwrap();
    std::fs::write(project.path().join("queries/c.graphql"), "{").unwrap();
    let reasons = refusal(project.path()).await;
    let files: Vec<_> = reasons.iter().filter_map(|reason| reason.split(':').next()).collect();
    assert_eq!(
        files,
        ["queries/a.graphql", "queries/b.graphql", "queries/c.graphql"],
        "{reasons:?}"
    );
}

#[test]
fn check_reports_errors_with_their_location_and_fails() {
    let project = project();
    let good = freshql(project.path(), &["check"]);
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    assert!(String::from_utf8_lossy(&good.stdout).contains("there is no database yet"));

    std::fs::write(project.path().join("queries/a.graphql"), "query A {\n  nonsense\n}\n").unwrap();
    let bad = freshql(project.path(), &["check"]);
    let text = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text.contains("queries/a.graphql:2:3"), "{text}");
    assert!(!text.contains('\u{1b}'), "colours are for terminals");

    std::fs::write(project.path().join("schema.graphql"), "type A @entity { name: Strng! }\n")
        .unwrap();
    let bad = freshql(project.path(), &["check"]);
    let text = String::from_utf8_lossy(&bad.stderr);
    assert_eq!(bad.status.code(), Some(1));
    assert!(text.contains("schema.graphql:1:"), "{text}");
}

#[test]
fn queries_and_hash_agree_on_ids() {
    let project = project();
    let file = project.path().join("queries/tests/merchant.graphql");
    let id = DocumentId::of(MERCHANT);
    let hash = freshql(project.path(), &["hash", file.to_str().unwrap()]);
    assert_eq!(String::from_utf8(hash.stdout).unwrap(), format!("{id}  {}\n", file.display()));

    let queries = String::from_utf8(freshql(project.path(), &["queries"]).stdout).unwrap();
    let line = queries.lines().find(|line| line.starts_with(&id.to_string())).unwrap();
    let cells: Vec<_> = line.split_whitespace().collect();
    assert_eq!(cells[1..], ["Merchant", "query,", "public", file.to_str().unwrap()]);
    assert_eq!(queries.lines().filter(|line| line.ends_with("two.graphql")).count(), 2);
}

#[tokio::test]
async fn the_printed_schema_is_the_served_one() {
    let app = TestApp::start(Mode::Open).await;
    let printed = freshql(app.directory.path(), &["schema"]);
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), app.get("/schema.graphql").await.text());
}

#[tokio::test]
async fn the_process_prints_its_address_and_stops_on_sigterm() {
    for name in ["TERM", "INT"] {
        let project = project();
        let Program { process: mut server, address, log, database: _database } =
            Program::start(project.path()).await;
        let answer = reqwest::get(format!("{address}/readyz")).await.unwrap();
        assert_eq!(answer.status(), 200);
        drop(answer);

        signal(&server, name);
        let status = tokio::time::timeout(std::time::Duration::from_secs(20), server.wait())
            .await
            .unwrap()
            .unwrap();
        assert!(status.success(), "{status}");
        let mut rest = String::new();
        log.into_inner().read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("stopping"), "{rest}");
    }
}

/// Ten entities that have nothing in common with the demo.
const LIBRARY: &str = r#"
enum Format { HARDCOVER PAPERBACK AUDIO }
type Country @entity { code: ID! @id name: String! cities: [City!]! @derivedFrom(field: "country") }
type City @entity @unique(fields: ["country", "name"]) {
  id: ID! @id @default(fn: AUTOINCREMENT) name: String! population: BigInt country: Country!
}
type Publisher @entity { id: ID! @id @default(fn: UUID_V7) name: String! @unique seat: City @relation(onDelete: SET_NULL) }
type Author @entity(orderBy: [{ name: ASC }]) {
  id: ID! @id @default(fn: UUID_V7) name: String! @index born: Date mentor: Author
  works: [Authorship!]! @derivedFrom(field: "author")
}
type Work @entity { id: ID! @id @default(fn: UUID_V7) title: String! written: Int authors: [Authorship!]! @derivedFrom(field: "work") }
type Authorship @entity @unique(fields: ["author", "work"]) {
  id: ID! @id @default(fn: UUID_V7) author: Author! @relation(onDelete: CASCADE) work: Work! @relation(onDelete: CASCADE)
}
type Edition @entity {
  isbn: ID! @id format: Format! @default(value: PAPERBACK) price: Decimal! @column(precision: 8, scale: 2)
  work: Work! publisher: Publisher! details: JSON
}
type Reader @entity { id: ID! @id @default(fn: AUTOINCREMENT) email: String! @unique secret: String @hidden since: DateTime! @default(fn: NOW) @readonly }
type Copy @entity { id: ID! @id @default(fn: AUTOINCREMENT) edition: Edition! shelf: String @index }
type Loan @entity {
  id: ID! @id @default(fn: UUID_V7) copy: Copy! reader: Reader! taken: Date! returned: Date fee: Float overdue: Boolean! @default(value: false)
}
"#;

fn empty_project(model: &str) -> tempfile::TempDir {
    let project = tempfile::tempdir().unwrap();
    std::fs::write(project.path().join("schema.graphql"), model).unwrap();
    project
}

#[tokio::test]
async fn three_commands_turn_a_model_into_an_api() {
    let project = empty_project(LIBRARY);
    let _database = ProjectDatabase::new(project.path());
    let new = freshql(project.path(), &["migrate", "new", "init"]);
    assert!(new.status.success(), "{}", String::from_utf8_lossy(&new.stderr));
    let wrote = |dialect: &str| {
        format!("wrote {}/migrations/0001_init.{dialect}.sql\n", project.path().display())
    };
    assert_eq!(String::from_utf8(new.stdout).unwrap(), wrote("sqlite") + &wrote("postgres"));
    let up = freshql(project.path(), &["migrate", "up"]);
    assert_eq!(String::from_utf8(up.stdout).unwrap(), "applied 0001_init\n");

    let mut config = config(project.path());
    config.mode = Mode::Open;
    let running = app::start(config).await.unwrap();
    let ask = |query: &'static str| {
        let url = format!("http://{}/graphql", running.address);
        async move {
            let body = serde_json::json!({ "query": query });
            reqwest::Client::new()
                .post(url)
                .json(&body)
                .send()
                .await
                .unwrap()
                .json::<serde_json::Value>()
                .await
                .unwrap()
        }
    };
    let made = ask(r#"mutation { createCountry(input: {code: "be", name: "Belgium"}) { code etag }
            createCity(input: {countryId: "be", name: "Ghent", population: "265086"}) { id country { name } }
            createReader(input: {email: "a@example.org", secret: "s"}) { id since } }"#)
    .await;
    assert_eq!(made["data"]["createCity"]["country"]["name"], "Belgium", "{made}");
    let read = ask(
        "{ cityByCountryIdAndName: cities(where: {country: {code: {eq: \"be\"}}}) { nodes { id name population } } }",
    )
    .await;
    assert_eq!(
        read["data"]["cityByCountryIdAndName"]["nodes"],
        serde_json::json!([{"id": "1", "name": "Ghent", "population": "265086"}]),
        "{read}"
    );
    running.stop().await.unwrap();

    // Nothing has changed: no file.
    let again = freshql(project.path(), &["migrate", "new", "again"]);
    assert!(again.status.success());
    assert_eq!(
        String::from_utf8(again.stdout).unwrap(),
        "the migrations build what the model needs; nothing was written\n"
    );
    assert_eq!(std::fs::read_dir(project.path().join("migrations")).unwrap().count(), 2);
}

#[tokio::test]
async fn a_migration_after_a_change_of_the_model_marks_what_to_review() {
    let project = empty_project(LIBRARY);
    let _database = ProjectDatabase::new(project.path());
    freshql(project.path(), &["migrate", "new", "init"]);
    freshql(project.path(), &["migrate", "up"]);
    let changed = LIBRARY
        .replace("taken: Date!", "taken: Date! until: Date!")
        .replace("shelf: String @index", "");
    std::fs::write(project.path().join("schema.graphql"), changed).unwrap();
    // A number that only the other dialect has is taken, too.
    std::fs::write(project.path().join("migrations/0006_only.postgres.sql"), "SELECT 1;\n")
        .unwrap();
    let new = freshql(project.path(), &["migrate", "new", "until"]);
    let text = String::from_utf8(new.stdout)
        .unwrap()
        .replace(&format!("{}/", project.path().display()), "");
    insta::assert_snapshot!(text, @"
    wrote migrations/0007_until.sqlite.sql
    wrote migrations/0007_until.postgres.sql
    note: `copies.shelf` is no longer in the model: its data stays unless you uncomment the statement
    note: `loans.until` is new and has no default: write its value for existing rows at FILL IN
    ");
    let up = freshql(project.path(), &["migrate", "up"]);
    let applied = match driver() {
        Driver::Sqlite => "applied 0007_until\n",
        Driver::Postgres => "applied 0006_only\napplied 0007_until\n",
    };
    assert_eq!(String::from_utf8(up.stdout).unwrap(), applied);
    app::start(config(project.path())).await.unwrap().stop().await.unwrap();
}

#[test]
fn check_and_migrate_up_say_that_no_migration_builds_what_the_model_needs() {
    let project = empty_project(LIBRARY);
    let _database = ProjectDatabase::new(project.path());
    std::fs::create_dir(project.path().join("migrations")).unwrap();
    let check = freshql(project.path(), &["check"]);
    let warned = String::from_utf8(check.stderr).unwrap();
    if driver() == Driver::Sqlite {
        assert!(warned.contains("there are no migrations"), "{warned}");
        assert!(warned.contains("`freshql migrate new NAME` writes the first one"), "{warned}");
    }
    assert!(freshql(project.path(), &["migrate", "new", "init"]).status.success());
    assert!(freshql(project.path(), &["migrate", "up"]).status.success());
    let changed = LIBRARY.replace("shelf: String @index", "shelf: String @index floor: Int");
    std::fs::write(project.path().join("schema.graphql"), changed).unwrap();
    let up = freshql(project.path(), &["migrate", "up"]);
    assert_eq!(
        String::from_utf8(up.stdout).unwrap(),
        "nothing to apply\nnote: the database lacks something that the model needs; `freshql migrate status` says what\n"
    );
}

#[test]
fn a_migration_after_a_table_was_renamed_says_where_the_rows_are() {
    let project = empty_project(LIBRARY);
    freshql(project.path(), &["migrate", "new", "init"]);
    let changed = LIBRARY.replace("type Copy @entity {", "type Copy @entity(table: \"items\") {");
    std::fs::write(project.path().join("schema.graphql"), changed).unwrap();
    let new = freshql(project.path(), &["migrate", "new", "items"]);
    let text = String::from_utf8(new.stdout).unwrap();
    let advice: Vec<_> = text.lines().filter(|line| line.starts_with("note")).collect();
    assert_eq!(
        advice,
        [
            "note: `copies` is no longer in the model: its data stays unless you uncomment the statement",
            "note: `items` is new and empty: copy the rows of `copies` into it, if they are to stay those of `Copy`",
        ]
    );
}

#[test]
fn a_field_that_may_have_been_renamed_is_asked_about_and_then_renamed() {
    let project = empty_project(LIBRARY);
    let _database = ProjectDatabase::new(project.path());
    freshql(project.path(), &["migrate", "new", "init"]);
    let write = |renamed: &str| {
        let changed = LIBRARY.replace("title: String!", &format!("label: String!{renamed}"));
        std::fs::write(project.path().join("schema.graphql"), changed).unwrap();
    };
    write("");
    let said = || {
        let new = freshql(project.path(), &["migrate", "new", "label"]);
        assert!(new.status.success(), "{}", String::from_utf8_lossy(&new.stderr));
        String::from_utf8(new.stdout).unwrap()
    };
    let advice = "note: if `label` is the new name of `title`, write `@renamedFrom(name: \"title\")` on the field, \
                  remove this migration and make it again: the rows then keep their values";
    let text = said();
    assert!(text.contains(advice), "{text}");
    for dialect in ["sqlite", "postgres"] {
        std::fs::remove_file(project.path().join(format!("migrations/0002_label.{dialect}.sql")))
            .unwrap();
    }
    write(" @renamedFrom(name: \"title\")");
    let text = said();
    assert!(!text.contains("note"), "{text}");
    let up = freshql(project.path(), &["migrate", "up"]);
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let checked = freshql(project.path(), &["check"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let again = freshql(project.path(), &["migrate", "new", "again"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("nothing"), "{again:?}");
}

#[test]
fn migrate_new_writes_nothing_after_an_error() {
    let files =
        |project: &tempfile::TempDir| match std::fs::read_dir(project.path().join("migrations")) {
            Ok(files) => files.count(),
            Err(_) => 0,
        };
    let refusal = |project: &tempfile::TempDir, name: &str| {
        let before = files(project);
        let new = freshql(project.path(), &["migrate", "new", name]);
        assert_eq!(new.status.code(), Some(1), "{name}");
        assert_eq!(files(project), before);
        assert!(new.stdout.is_empty());
        String::from_utf8(new.stderr).unwrap()
    };
    let project = empty_project(LIBRARY);
    for name in ["", "Init", "a b", "../up", "a.sql", "ö", &"x".repeat(201)] {
        let text = refusal(&project, name);
        assert!(
            text.contains("is not a valid name for a migration; it may have lower-case letters"),
            "{text}"
        );
    }
    std::fs::write(
        project.path().join("schema.graphql"),
        "type A @entity {\n  id: ID! @id\n  b: Strng!\n}\n",
    )
    .unwrap();
    assert!(refusal(&project, "init").contains("schema.graphql:3:6"));
    std::fs::remove_file(project.path().join("schema.graphql")).unwrap();
    assert!(refusal(&project, "init").contains("schema.graphql is missing. `freshql init "));

    std::fs::write(project.path().join("schema.graphql"), LIBRARY).unwrap();
    std::fs::create_dir(project.path().join("migrations")).unwrap();
    let bad = project.path().join("migrations/0001_bad.sql");
    std::fs::write(&bad, "CREATE TABLE a (x);\nCREATE TABEL b (x);\n").unwrap();
    let text = refusal(&project, "init");
    assert!(text.contains("0001_bad.sql:2:8") && text.contains("syntax error"), "{text}");
    std::fs::rename(&bad, project.path().join("migrations/1_bad.sql")).unwrap();
    assert!(refusal(&project, "init").contains("a migration cannot have this name"));
}

#[test]
fn no_command_lets_a_migration_reach_another_database() {
    let project = empty_project(LIBRARY);
    assert!(freshql(project.path(), &["migrate", "new", "init"]).status.success());
    let other = project.path().join("precious.db");
    let shell = rusqlite::Connection::open(&other).unwrap();
    shell.execute_batch("CREATE TABLE precious (x)").unwrap();
    let attach = format!("ATTACH '{}' AS o;\nDROP TABLE o.precious;\n", other.display());
    std::fs::write(project.path().join("migrations/0002_attach.sqlite.sql"), attach).unwrap();
    for command in
        [&["check"][..], &["migrate", "new", "next"], &["migrate", "up"], &["serve", "--migrate"]]
    {
        let output = freshql(project.path(), command);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            text.contains("`ATTACH` in a migration: it may reach nothing but its own database"),
            "{command:?} {text}"
        );
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        shell.execute_batch("SELECT x FROM precious").unwrap();
    }
}

/// Runs the program in a directory, without `--dir`.
fn freshql_in(directory: &Path, arguments: &[&str]) -> String {
    let output = bare().current_dir(directory).args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn empty_directory_leads_to_init() {
    let directory = tempfile::tempdir().unwrap();
    for arguments in
        [&[][..], &["serve"], &["check"], &["queries"], &["schema"], &["migrate", "new", "first"]]
    {
        let said = freshql_in(directory.path(), arguments);
        let expected = "error: there is no model in this directory: schema.graphql is missing. `freshql init .` writes a small \
                        project to start from, `freshql model pull` a model for tables that are there already, and `--dir DIR` \
                        names another directory\n";
        assert_eq!(said, expected, "{arguments:?}");
    }
}

#[test]
fn options_of_serve_work_without_the_command_too() {
    let directory = tempfile::tempdir().unwrap();
    let said = freshql_in(directory.path(), &["--listen", "127.0.0.1:0", "--mode=open"]);
    assert!(said.contains("there is no model in this directory"), "it went on to serve: {said}");
    let wrong = freshql(directory.path(), &["--lisen", "127.0.0.1:0"]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(said.contains("a similar argument exists: '--listen'"), "{said}");
    let misplaced = freshql(directory.path(), &["check", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8(misplaced.stderr).unwrap();
    assert!(said.contains("unexpected argument '--listen'"), "{said}");
}

#[test]
fn the_database_of_another_project_is_reported_as_such() {
    let library = empty_project(LIBRARY);
    let _database = ProjectDatabase::new(library.path());
    for arguments in [["migrate", "new", "init"].as_slice(), &["migrate", "up"]] {
        assert!(freshql(library.path(), arguments).status.success());
    }
    let database = database_of(library.path()).to_string();
    let shop = project();
    for command in ["check", "serve"] {
        let refused = freshql(shop.path(), &["--database", &database, command]);
        let said = String::from_utf8(refused.stderr).unwrap();
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(
            said.contains("this is the database of another project: it has the tables authors, authorships, cities"),
            "{said}"
        );
        assert!(said.contains("and none of this model's: merchants, products, reviews"), "{said}");
        assert!(
            said.contains(
                "= help: name this project's database with `--database`, or the other project's directory with `--dir`"
            ),
            "{said}"
        );
        assert!(said.trim_end().ends_with("1 error"), "{said}");
    }
}

#[tokio::test]
async fn health_tells_whether_a_server_is_ready() {
    let project = project();
    let server = Program::start(project.path()).await;
    let address = server.address.strip_prefix("http://").unwrap().to_owned();
    let ask = |listen: String| {
        let directory = project.path().to_owned();
        tokio::task::spawn_blocking(move || freshql(&directory, &["health", "--listen", &listen]))
    };
    let ready = ask(address.clone()).await.unwrap();
    assert!(ready.status.success(), "{}", String::from_utf8_lossy(&ready.stderr));
    assert_eq!(String::from_utf8(ready.stdout).unwrap(), format!("ready: http://{address}\n"));
    let everywhere = address.replace("127.0.0.1", "0.0.0.0");
    assert!(ask(everywhere).await.unwrap().status.success());
    drop(server);
    let gone =
        std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let refused = ask(gone.clone()).await.unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.starts_with(&format!("error: no answer from http://{gone}/readyz: ")), "{said}");
}
