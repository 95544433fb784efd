//! `freshql backup` and `freshql restore`: what is copied under load is whole, what is put back is
//! what was, and nothing but an intact backup of this project takes the place of a database.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use freshql::config::Mode;
use http::header::{AUTHORIZATION, IF_NONE_MATCH};
use rusqlite::Connection;
use serde_json::json;

use crate::commands::freshql;
use crate::harness::{MERCHANT, TestApp, UPDATE, editor, project, url, url_with};
use crate::program::Program;

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

/// The output of a command if it succeeds; otherwise its error.
fn run(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = freshql(directory, arguments);
    let (out, error) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    if output.status.success() { Ok(out) } else { Err(error) }
}

fn one<T: rusqlite::types::FromSql>(database: &Path, sql: &str) -> T {
    Connection::open(database).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
}

fn rowids(database: &Path) -> Vec<(i64, String)> {
    let database = Connection::open(database).unwrap();
    let mut statement =
        database.prepare("SELECT rowid, name FROM merchants ORDER BY name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

/// The names of files in a directory with this prefix.
fn names(directory: &Path, beginning: &str) -> Vec<String> {
    let entries = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.filter(|name| name.starts_with(beginning)).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_complete_and_consistent() {
    let app = Arc::new(TestApp::start(Mode::Trusted).await);
    let directory = app.directory.path().to_owned();
    let file = directory.join("backup.db");
    let to = file.to_str().unwrap().to_owned();
    let mut ids = Vec::new();
    for number in 0..3 {
        ids.push(app.create_merchant(&format!("Merchant {number}")).await.0);
    }
    // Keys that SQLite has assigned out of order are kept, too.
    Connection::open(app.database())
        .unwrap()
        .execute_batch("DELETE FROM merchants WHERE name = 'Merchant 1'")
        .unwrap();
    app.move_merchant(&ids[0], "0").await;
    let (written, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = {
        let (app, id, written, stop) = (app.clone(), ids[0].clone(), written.clone(), stop.clone());
        tokio::spawn(async move {
            while !stop.load(SeqCst) {
                let next = written.load(SeqCst) + 1;
                app.move_merchant(&id, &next.to_string()).await;
                written.store(next, SeqCst);
            }
        })
    };
    for round in 0..5 {
        let before = written.load(SeqCst);
        let (directory, to, force) = (directory.clone(), to.clone(), round > 0);
        let backup = move || {
            let arguments =
                if force { vec!["backup", &to, "--force"] } else { vec!["backup", &to] };
            run(&directory, &arguments)
        };
        let said = tokio::task::spawn_blocking(backup).await.unwrap().unwrap();
        assert!(said.starts_with("backed up sqlite:") && said.ends_with(" bytes)\n"), "{said}");
        let after = written.load(SeqCst) + 1;
        assert_eq!(
            names(file.parent().unwrap(), "backup.db"),
            ["backup.db"],
            "a backup is one file"
        );
        assert_eq!(one::<String>(&file, "PRAGMA integrity_check"), "ok");
        let sql = "SELECT city FROM merchants WHERE name = 'Merchant 0'";
        let city: u64 = one::<String>(&file, sql).parse().unwrap();
        assert!(
            (before..=after).contains(&city),
            "{city} is not of the moment of the backup: {before} to {after}"
        );
    }
    stop.store(true, SeqCst);
    writer.await.unwrap();
    run(&directory, &["backup", &to, "--force"]).unwrap();
    assert_eq!(rowids(&file), rowids(&app.database()));
    let epoch = "SELECT value FROM _freshql_meta WHERE key = 'epoch'";
    assert_eq!(one::<String>(&file, epoch), one::<String>(&app.database(), epoch));
}

#[tokio::test]
async fn a_backup_overwrites_a_file_only_if_asked() {
    let app = TestApp::start(Mode::Trusted).await;
    let directory = app.directory.path();
    let file = directory.join("backup.db");
    let to = file.to_str().unwrap();
    fs::write(&file, "something else").unwrap();
    let refused = run(directory, &["backup", to]).unwrap_err();
    assert!(refused.contains("backup.db is there already; --force replaces it"), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "something else");
    // Left behind by an interrupted backup.
    fs::write(beside(&file, ".tmp"), "half a ba").unwrap();
    run(directory, &["backup", to, "--force"]).unwrap();
    assert_eq!(one::<String>(&file, "PRAGMA integrity_check"), "ok");
    assert!(!beside(&file, ".tmp").exists());
    let itself = app.database();
    let refused = run(directory, &["backup", itself.to_str().unwrap(), "--force"]).unwrap_err();
    assert!(refused.contains("is the database itself"), "{refused}");
    // Another program's log next to it would be applied to the backup.
    fs::write(beside(&file, "-wal"), "log").unwrap();
    let refused = run(directory, &["backup", to, "--force"]).unwrap_err();
    assert!(refused.contains("there is a write-ahead log next to"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_database_reuses_no_etag_for_other_content() {
    let app = TestApp::start(Mode::Trusted).await;
    let (directory, database) = (app.directory.path().to_owned(), app.database());
    let file = directory.join("backup.db");
    let from = file.to_str().unwrap();
    let (id, _) = app.create_merchant("First").await;
    let merchant = url_with(MERCHANT, &json!({"id": id}));
    let of_backup = app.get(&merchant).await;
    run(&directory, &["backup", from]).unwrap();
    app.move_merchant(&id, "New").await;
    let later = app.get(&merchant).await.etag().to_owned();

    let refused = run(&directory, &["restore", from]).unwrap_err();
    assert!(
        refused.contains("is in use by another program") && refused.contains("stop it"),
        "{refused}"
    );
    assert_eq!(
        app.get_with(&merchant, &[(IF_NONE_MATCH, &later)]).await.status,
        304,
        "nothing has happened"
    );
    let app = app
        .restart_after(async || {
            let said = run(&directory, &["restore", from]).unwrap();
            assert!(said.contains("freshql.db.before-restore\n"), "{said}");
            assert_eq!(
                names(&directory, "freshql.db"),
                ["freshql.db", "freshql.db.before-restore"]
            );
        })
        .await;
    let answer = app.get_with(&merchant, &[(IF_NONE_MATCH, &later)]).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["data"]["merchant"]["city"]),
        (200, &json!("Ghent"))
    );
    assert!(
        answer.etag() != later && answer.etag() != of_backup.etag(),
        "a state of the database never comes back"
    );
    app.move_merchant(&id, "Other").await;
    let answer = app
        .get_with(&merchant, &[(IF_NONE_MATCH, &format!("{later}, {}", of_backup.etag()))])
        .await;
    assert_eq!(answer.status, 200);
    let city = "SELECT city FROM merchants WHERE name = 'First'";
    assert_eq!(one::<String>(&beside(&database, ".before-restore"), city), "New");
    let app = app
        .restart_after(async || {
            let said = run(&directory, &["restore", from]).unwrap();
            assert!(
                said.contains("freshql.db.before-restore-2\n"),
                "what was kept is not replaced: {said}"
            );
        })
        .await;
    assert_eq!(app.get(&merchant).await.json()["data"]["merchant"]["city"], "Ghent");
}

#[tokio::test]
async fn only_an_intact_backup_of_this_project_is_restored() {
    let project = project();
    let (directory, database) = (project.path(), project.path().join("freshql.db"));
    run(directory, &["migrate", "up"]).unwrap();
    let file = directory.join("backup.db");
    run(directory, &["backup", file.to_str().unwrap()]).unwrap();
    let original = fs::read(&file).unwrap();
    let before = fs::read(&database).unwrap();
    let altered = |sql: &str| Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    type Damage<'a> = (&'a dyn Fn(), &'a str);
    let cases: [Damage<'_>; 6] = [
        (
            &|| {
                fs::write(
                    &file,
                    "no database at all, but long enough to have the header of one. ".repeat(20),
                )
                .unwrap()
            },
            "is not an intact database",
        ),
        (
            &|| fs::write(&file, &original[..original.len() / 2]).unwrap(),
            "is not an intact database",
        ),
        (
            &|| {
                let mut bytes = original.clone();
                bytes[4096 * 2..4096 * 3].fill(0x5a);
                fs::write(&file, bytes).unwrap();
            },
            "is not an intact database",
        ),
        (
            &|| {
                fs::remove_file(&file).unwrap();
                altered("CREATE TABLE notes (text)");
            },
            "is not a freshql database",
        ),
        (
            &|| {
                altered(
                    "INSERT INTO _freshql_migration (number, name, blake3) VALUES (7777, 'theirs', 'x')",
                )
            },
            "7777_theirs",
        ),
        (&|| fs::remove_file(&file).unwrap(), "there is no file"),
    ];
    for (damage, why) in cases {
        fs::write(&file, &original).unwrap();
        damage();
        let refused = run(directory, &["restore", file.to_str().unwrap()]).unwrap_err();
        assert!(refused.contains(why), "{refused}");
        assert_eq!(names(directory, "freshql.db"), ["freshql.db"], "{why}");
        // Only the journal mode in its header may differ.
        let now = fs::read(&database).unwrap();
        assert_eq!((now.len(), &now[100..]), (before.len(), &before[100..]), "{why}");
    }
    let refused = run(directory, &["restore", database.to_str().unwrap()]).unwrap_err();
    assert!(refused.contains("is the database itself"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_replaces_a_damaged_database_and_its_wal() {
    let project = project();
    let (directory, database) = (project.path(), project.path().join("freshql.db"));
    let file = directory.join("backup.db");
    let from = file.to_str().unwrap();
    let client = reqwest::Client::new();
    for how in ["killed", "damaged", "gone"] {
        let mut server = Program::start(directory).await;
        let input =
            json!({"variables": {"input": {"name": how, "description": "d", "city": "Backup"}}});
        let create = format!("{}{}", server.address, url(crate::harness::CREATE));
        let created: serde_json::Value = client
            .post(create)
            .header(AUTHORIZATION, editor())
            .json(&input)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap();
        let id = created["data"]["createMerchant"]["id"].as_str().unwrap().to_owned();
        run(directory, &["backup", from, "--force"]).unwrap();
        let input = json!({"variables": {"id": id, "patch": {"city": "Lost"}}});
        let update = format!("{}{}", server.address, url(UPDATE));
        let request = client.post(update).header(AUTHORIZATION, editor()).json(&input);
        assert_eq!(request.send().await.unwrap().status(), 200);
        server.process.kill().await.unwrap();
        assert!(
            fs::metadata(beside(&database, "-wal")).unwrap().len() > 0,
            "what was killed leaves a log"
        );
        match how {
            "damaged" => fs::write(&database, "damaged ".repeat(1000)).unwrap(),
            "gone" => fs::remove_file(&database).unwrap(),
            _ => {}
        }
        run(directory, &["restore", from]).unwrap();
        assert!(
            !beside(&database, "-wal").exists() && !beside(&database, "-shm").exists(),
            "{how}"
        );
        assert_eq!(one::<String>(&database, "PRAGMA integrity_check"), "ok", "{how}");
        let city = format!("SELECT city FROM merchants WHERE id = '{id}'");
        assert_eq!(one::<String>(&database, &city), "Backup", "{how}");
    }
    let city = "SELECT city FROM merchants WHERE name = 'killed'";
    assert_eq!(
        one::<String>(&beside(&database, ".before-restore"), city),
        "Lost",
        "its log is in what is kept"
    );
}

#[tokio::test]
async fn restoring_a_backup_that_lacks_migrations_says_which_command_is_next() {
    let project = project();
    let directory = project.path();
    run(directory, &["migrate", "up"]).unwrap();
    let file = directory.join("backup.db");
    run(directory, &["backup", file.to_str().unwrap()]).unwrap();
    let later = directory.join("migrations/9999_later.sqlite.sql");
    fs::write(later, "CREATE TABLE later (id INTEGER PRIMARY KEY);\n").unwrap();
    run(directory, &["migrate", "up"]).unwrap();
    let said = run(directory, &["restore", file.to_str().unwrap()]).unwrap();
    assert!(said.contains("one migration is newer than the backup: run `freshql --dir "), "{said}");
    assert_eq!(run(directory, &["migrate", "up"]).unwrap(), "applied 9999_later\n");
}
