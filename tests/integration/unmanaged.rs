//! Unmanaged tables (`managed: false`): an owner with an audit trigger and a full-text index
//! notices nothing of freshql, and freshql notices everything that the owner does.

use std::path::Path;

use freshql::config::Mode;
use http::header::IF_NONE_MATCH;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::commands::freshql;
use crate::harness::{TestApp, url};

/// An external-content table as in FTS5's documentation, and a common audit trigger.
const OWNER: &str = "
CREATE TABLE notes (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, body TEXT);
CREATE TABLE audit (note INTEGER, old TEXT);
CREATE VIRTUAL TABLE search USING fts5 (title, body, content = 'notes', content_rowid = 'id');
CREATE TRIGGER notes_i AFTER INSERT ON notes BEGIN
  INSERT INTO search (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
CREATE TRIGGER notes_d AFTER DELETE ON notes BEGIN
  INSERT INTO search (search, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body); END;
CREATE TRIGGER notes_u AFTER UPDATE ON notes BEGIN
  INSERT INTO search (search, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
  INSERT INTO search (rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body);
  INSERT INTO audit VALUES (OLD.id, OLD.title); END;
INSERT INTO notes VALUES (1, 'one', 'first'), (2, 'two', NULL);";

const NOTES: &str = "query Notes { notes { nodes { id etag title body } totalCount } }";
const UPDATE: &str = "mutation($id: ID!, $title: String!, $etag: String) {
  updateNote(id: $id, patch: { title: $title }, expectedEtag: $etag) { etag title } }";

/// The owner's objects, as the owner sees them.
fn schema(path: &Path) -> Vec<String> {
    let database = Connection::open(path.join("freshql.db")).unwrap();
    let sql = "SELECT name || ': ' || sql FROM sqlite_schema WHERE name NOT LIKE '\\_freshql\\_%' ESCAPE '\\'
          AND tbl_name NOT LIKE '\\_freshql\\_%' ESCAPE '\\' AND sql IS NOT NULL
        UNION ALL SELECT name || ' ' || type FROM pragma_table_info('notes')";
    let mut statement = database.prepare(sql).unwrap();
    let mut lines: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    lines.sort();
    lines
}

/// An owner's database, served after the commands that the README names.
fn adopted() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    owner(path).execute_batch(OWNER).unwrap();
    let before = schema(path);
    for (arguments, says) in [
        (&["model", "pull"][..], "1 table is an entity"),
        (&["migrate", "new", "adopt"], "wrote"),
        (&["migrate", "up"], "triggers on `notes`"),
    ] {
        let output = freshql(path, arguments);
        let [said, complaint] =
            [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        assert!(output.status.success() && said.contains(says), "{arguments:?}: {said}{complaint}");
    }
    assert_eq!(schema(path), before);
    let model = std::fs::read_to_string(path.join("schema.graphql")).unwrap();
    assert!(model.contains("type Note @entity(managed: false) {"), "{model}");
    let migration = std::fs::read_to_string(path.join("migrations/0002_adopt.sqlite.sql")).unwrap();
    assert!(!migration.contains("ALTER") && !migration.contains("notes"), "{migration}");
    std::fs::create_dir_all(path.join("queries")).unwrap();
    std::fs::write(path.join("queries/notes.graphql"), NOTES).unwrap();
    directory
}

fn owner(path: &Path) -> Connection {
    Connection::open(path.join("freshql.db")).unwrap()
}

fn count(owner: &Connection, sql: &str) -> i64 {
    owner.query_row(sql, [], |row| row.get(0)).unwrap()
}

async fn update(app: &TestApp, id: &str, title: &str, etag: Option<&str>) -> Value {
    let variables = json!({"id": id, "title": title, "etag": etag});
    app.post("/graphql", &json!({"query": UPDATE, "variables": variables})).await.json()
}

#[tokio::test]
async fn the_owner_of_an_unmanaged_table_notices_nothing_and_its_writes_are_seen() {
    let app = TestApp::start_in(adopted(), Mode::Open, |_| {}).await;
    let owner = owner(app.directory.path());
    let mut etag = app.get(&url(NOTES)).await.etag().to_owned();
    for (sql, audited) in [
        ("INSERT INTO notes VALUES (3, 'three', 'third')", 0),
        ("UPDATE notes SET title = 'uno' WHERE id = 1", 1),
        ("REPLACE INTO notes VALUES (2, 'three', 'displaces two')", 0),
        ("UPDATE notes SET id = 5 WHERE id = 1", 1),
        ("INSERT OR IGNORE INTO notes VALUES (7, 'seven', NULL)", 0),
        (
            "INSERT INTO notes VALUES (7, 'x', 'y') ON CONFLICT DO UPDATE SET body = excluded.body",
            1,
        ),
        ("DELETE FROM notes WHERE id = 5", 0),
        ("INSERT INTO notes VALUES (5, 'uno', 'first')", 0),
    ] {
        let before = count(&owner, "SELECT count(*) FROM audit");
        owner.execute_batch(sql).unwrap();
        assert_eq!(count(&owner, "SELECT count(*) FROM audit") - before, audited, "{sql}");
        let again = app.get_with(&url(NOTES), &[(IF_NONE_MATCH, &etag)]).await;
        assert_eq!(again.status, 200, "{sql}");
        etag = again.etag().to_owned();
        assert_eq!(app.get_with(&url(NOTES), &[(IF_NONE_MATCH, &etag)]).await.status, 304);
    }
    owner.execute_batch("UPDATE notes SET body = body").unwrap();
    assert_eq!(
        app.get_with(&url(NOTES), &[(IF_NONE_MATCH, &etag)]).await.status,
        304,
        "nothing has changed"
    );
    assert_eq!(count(&owner, "SELECT count(*) FROM search WHERE search MATCH 'displaces'"), 1);
}

/// The server runs while the owner's tools change the schema.
#[tokio::test]
async fn dropping_our_triggers_under_a_running_server_ends_etags_until_repair() {
    let rebuild = "BEGIN; CREATE TABLE new (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, body TEXT);
        INSERT INTO new SELECT id, title, body FROM notes; DROP TABLE notes; ALTER TABLE new RENAME TO notes; COMMIT";
    let forget =
        "DROP TRIGGER _freshql_version_delete_kept; DELETE FROM _freshql_version WHERE key = 1";
    for change in [
        "DROP TRIGGER _freshql_notes_updated",
        rebuild,
        "DROP TABLE _freshql_version",
        forget,
        "CREATE TRIGGER hides AFTER UPDATE ON notes BEGIN SELECT RAISE(IGNORE); END",
        "CREATE UNIQUE INDEX by_body ON notes (body)",
    ] {
        let app = TestApp::start_in(adopted(), Mode::Open, |_| {}).await;
        let owner = owner(app.directory.path());
        owner.execute_batch("UPDATE notes SET body = 'second' WHERE id = 1").unwrap();
        let old = app.get(&url(NOTES)).await;
        let token = old.json()["data"]["notes"]["nodes"][0]["etag"].as_str().unwrap().to_owned();
        assert_eq!(app.get_with(&url(NOTES), &[(IF_NONE_MATCH, old.etag())]).await.status, 304);
        owner.execute_batch(change).unwrap();
        for body in ["third", "first", "second"] {
            // Without the table of versions nobody can write, since the triggers fail.
            let is_written =
                owner.execute("UPDATE notes SET body = ? WHERE id = 1", [body]).is_ok();
            assert_eq!(is_written, !change.contains("TABLE _"), "{change}");
            let answer = app.get_with(&url(NOTES), &[(IF_NONE_MATCH, old.etag())]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("cache-control")),
                (if change.contains("DROP TABLE _") { 503 } else { 200 }, "no-store"),
                "{change}"
            );
            assert!(!answer.headers.contains_key("etag"), "{change}");
        }
        let refused = update(&app, "1", "late", Some(&token)).await;
        assert_eq!(
            refused["errors"][0]["extensions"]["code"], "DATABASE_UNAVAILABLE",
            "{change}: {refused}"
        );
        app.get("/readyz").await.assert_problem(503);

        let _ = owner.execute_batch("DROP TRIGGER hides");
        let repaired = freshql(app.directory.path(), &["migrate", "repair"]);
        assert!(
            repaired.status.success(),
            "{change}: {}",
            String::from_utf8_lossy(&repaired.stderr)
        );
        assert_eq!(app.get("/readyz").await.status, 200, "{change}");
        let after = app.get_with(&url(NOTES), &[(IF_NONE_MATCH, old.etag())]).await;
        assert!(after.status == 200 && after.etag() != old.etag(), "{change}");
        let refused = update(&app, "1", "late", Some(&token)).await;
        assert_eq!(
            refused["errors"][0]["extensions"]["code"], "PRECONDITION_FAILED",
            "{change}: {refused}"
        );
        assert_eq!(app.get_with(&url(NOTES), &[(IF_NONE_MATCH, after.etag())]).await.status, 304);
        // A connection whose triggers have failed must first read the schema again.
        assert_eq!(count(&owner, "SELECT count(*) FROM notes"), 2);
        owner.execute_batch("UPDATE notes SET body = 'fourth' WHERE id = 1").unwrap();
        assert_eq!(
            app.get_with(&url(NOTES), &[(IF_NONE_MATCH, after.etag())]).await.status,
            200,
            "{change}"
        );
    }
}

/// The version numbers between two migrations: a copy made by `.dump` has the same epoch, and
/// counts its schema changes from the start.
#[tokio::test]
async fn a_table_that_becomes_managed_and_unmanaged_again_gives_no_version_twice() {
    let directory = adopted();
    let path = directory.path().to_owned();
    let model = std::fs::read_to_string(path.join("schema.graphql")).unwrap();
    let mut known = std::collections::HashMap::new();
    let mut newest = (String::new(), 0);
    for round in 0..5 {
        let is_managed = round % 2 == 1;
        let sdl = if is_managed {
            model.replace("@entity(managed: false)", "@entity")
        } else {
            model.clone()
        };
        std::fs::write(path.join("schema.graphql"), sdl).unwrap();
        if is_managed {
            freshql(&path, &["migrate", "new", &format!("managed_{round}")]);
        }
        let up = freshql(&path, &["migrate", "up"]);
        assert!(up.status.success(), "{round}: {}", String::from_utf8_lossy(&up.stderr));
        let repair = freshql(&path, &["migrate", "repair"]);
        assert!(repair.status.success(), "{round}: {}", String::from_utf8_lossy(&repair.stderr));
        let owner = owner(&path);
        let sql = "SELECT group_concat(value) FROM _freshql_meta WHERE key IN ('epoch', 'history')";
        let epoch: String = owner.query_row(sql, [], |row| row.get(0)).unwrap();
        for write in 0..3 {
            let version = match is_managed {
                true => "_version",
                false => {
                    "coalesce((SELECT version FROM _freshql_version WHERE entity = 'Note' AND key = notes.id),
                    (SELECT version FROM _freshql_version WHERE entity = 'Note' AND key = x''))"
                }
            };
            let sql = format!("SELECT id, {version}, title || ifnull(body, '') FROM notes");
            let mut statement = owner.prepare(&sql).unwrap();
            let rows = statement.query_map([], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, String>(2)?))
            });
            for row in rows.unwrap() {
                let (id, version, content) = row.unwrap();
                let first =
                    known.entry((epoch.clone(), id, version)).or_insert_with(|| content.clone());
                assert_eq!(
                    *first, content,
                    "round {round}: row {id} had another content at version {version}"
                );
                let is_new = epoch != newest.0 || version > newest.1;
                assert!(write > 0 || is_new, "round {round}: row {id} goes on with {version}");
            }
            owner
                .execute("UPDATE notes SET body = ? WHERE id = 1", [format!("{round} {write}")])
                .unwrap();
        }
        // While the model is changed, nothing is watched.
        owner.execute_batch("UPDATE notes SET body = ifnull(body, '') || '.'").unwrap();
        newest = (epoch, count(&owner, "SELECT max(seq) FROM _freshql_change"));
    }
    let app = TestApp::start_in(directory, Mode::Open, |_| {}).await;
    assert_eq!(app.get(&url(NOTES)).await.status, 200);
}

#[test]
fn versions_that_the_clock_cannot_give_are_reported_and_repaired() {
    let directory = adopted();
    let path = directory.path();
    let sql = "INSERT INTO _freshql_change (seq, entity, op, parts) VALUES ((1 << 53) - 1, 'Note', 'D', '{}')";
    owner(path).execute_batch(sql).unwrap();
    assert!(
        owner(path).execute_batch("UPDATE notes SET body = 'late'").is_err(),
        "the clock has come to its end"
    );
    let status = String::from_utf8(freshql(path, &["migrate", "status"]).stderr).unwrap();
    assert!(status.contains("1 records of the change log"), "{status}");
    let up = String::from_utf8(freshql(path, &["migrate", "up"]).stdout).unwrap();
    assert_eq!(up, "applied new numbers for 1 records of the change log and 0 rows\n");
    owner(path).execute_batch("UPDATE notes SET body = 'late'").unwrap();
    assert!(freshql(path, &["migrate", "status"]).status.success());
}

#[tokio::test]
async fn of_two_concurrent_edits_of_an_unmanaged_row_the_second_is_refused() {
    let app = TestApp::start_in(adopted(), Mode::Open, |_| {}).await;
    let owner = owner(app.directory.path());
    let token = |id: usize, notes: &Value| {
        notes["data"]["notes"]["nodes"][id - 1]["etag"].as_str().unwrap().to_owned()
    };
    // A row with its own version, and one without.
    owner.execute_batch("UPDATE notes SET body = 'new' WHERE id = 2").unwrap();
    let notes = app.get(&url(NOTES)).await.json();
    for (id, number) in [("1", 1), ("2", 2)] {
        let old = token(number, &notes);
        let first = update(&app, id, &format!("first {id}"), Some(&old)).await;
        let new = first["data"]["updateNote"]["etag"]
            .as_str()
            .unwrap_or_else(|| panic!("{first}"))
            .to_owned();
        let second = update(&app, id, "second", Some(&old)).await;
        let extensions = &second["errors"][0]["extensions"];
        assert_eq!(
            (&extensions["code"], &extensions["currentEtag"]),
            (&json!("PRECONDITION_FAILED"), &json!(new))
        );
        // Two in one transaction.
        let both = format!(
            "mutation {{ a: updateNote(id: {id}, patch: {{ title: \"a {id}\" }}, expectedEtag: \"{new}\") {{ id }}
               b: updateNote(id: {id}, patch: {{ title: \"b {id}\" }}, expectedEtag: \"{new}\") {{ id }} }}"
        );
        let answer = app.post("/graphql", &json!({"query": both})).await.json();
        assert_eq!(answer["errors"][0]["extensions"]["code"], "PRECONDITION_FAILED", "{answer}");
        assert!(update(&app, id, &format!("third {id}"), Some(&new)).await["errors"].is_null());
    }
    assert_eq!(count(&owner, "SELECT count(*) FROM audit"), 5, "one for each update");
    assert_eq!(count(&owner, "SELECT count(*) FROM search WHERE search MATCH 'third'"), 2);
}

#[tokio::test]
async fn a_table_rebuilt_by_its_owner_is_repaired_with_new_versions() {
    let directory = adopted();
    let app = TestApp::start_in(directory, Mode::Open, |_| {}).await;
    let before = app.get(&url(NOTES)).await;
    let token = before.json()["data"]["notes"]["nodes"][0]["etag"].as_str().unwrap().to_owned();
    let etag = before.etag().to_owned();
    let path = app.directory.path().to_owned();
    // Every tool does it like this. Changes before the next inspection go unseen.
    let rebuild =
        "BEGIN; CREATE TABLE new (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE, body TEXT, colour TEXT UNIQUE);
        INSERT INTO new (id, title, body) SELECT id, title, body FROM notes; DROP TABLE notes;
        ALTER TABLE new RENAME TO notes; UPDATE notes SET body = 'unseen' WHERE id = 2; COMMIT";
    owner(&path).execute_batch(rebuild).unwrap();
    let status = String::from_utf8(freshql(&path, &["migrate", "status"]).stderr).unwrap();
    assert!(
        status.contains("`notes` is not watched") && status.contains("freshql migrate up"),
        "{status}"
    );
    let new = String::from_utf8(freshql(&path, &["migrate", "new", "again"]).stdout).unwrap();
    assert!(new.contains("nothing was written"), "{new}");
    let up = String::from_utf8(freshql(&path, &["migrate", "up"]).stdout).unwrap();
    assert_eq!(up, "applied triggers on `notes`\n");
    assert_eq!(freshql(&path, &["migrate", "up"]).stdout, b"nothing to apply\n");

    let app = app.restart().await;
    let after = app.get_with(&url(NOTES), &[(IF_NONE_MATCH, &etag)]).await;
    assert_eq!((after.status.as_u16(), after.text().contains("unseen")), (200, true));
    let refused = update(&app, "1", "late", Some(&token)).await;
    assert_eq!(refused["errors"][0]["extensions"]["code"], "PRECONDITION_FAILED", "{refused}");
    // The owner's new unique key displaces rows, which is noticed as well.
    owner(&path).execute_batch("UPDATE notes SET colour = 'red' WHERE id = 2").unwrap();
    let etag = app.get(&url(NOTES)).await.etag().to_owned();
    owner(&path)
        .execute_batch("REPLACE INTO notes (id, title, colour) VALUES (1, 'one', 'red')")
        .unwrap();
    let after = app.get_with(&url(NOTES), &[(IF_NONE_MATCH, &etag)]).await;
    assert_eq!(
        (after.status.as_u16(), &after.json()["data"]["notes"]["totalCount"]),
        (200, &json!(1))
    );
}
