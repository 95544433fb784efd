//! The database's files are moved, replaced or deleted under a running server: what it acknowledges
//! is in the file at the path, and what it answers comes from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use freshql::config::Mode;
use http::header::{AUTHORIZATION, IF_NONE_MATCH, RETRY_AFTER};
use http::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::json;

use crate::harness::{
    Answer, CREATE, MERCHANT, TOKEN, TestApp, UPDATE, editor, project, signal, url, url_with,
};
use crate::program::Program;

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

struct Scene {
    app: TestApp,
    id: String,
    path: String,
    /// A backup of the first state, in which it is called `First` and is in `Old`.
    backup: PathBuf,
    etag: String,
}

impl Scene {
    async fn new() -> Self {
        let app = TestApp::start(Mode::Trusted).await;
        let (id, _) = app.create_merchant("First").await;
        app.move_merchant(&id, "Old").await;
        let backup = app.directory.path().join("backup.db");
        let sql = format!("VACUUM INTO '{}'", backup.display());
        Connection::open(app.database()).unwrap().execute_batch(&sql).unwrap();
        app.move_merchant(&id, "New").await;
        let path = url_with(MERCHANT, &json!({"id": id}));
        let etag = app.get(&path).await.etag().to_owned();
        Self { app, id, path, backup, etag }
    }

    async fn set_city(&self, city: &str) -> Answer {
        let variables = json!({"id": self.id, "patch": {"city": city}});
        self.app.post(&url(UPDATE), &json!({"variables": variables})).await
    }

    fn city(&self) -> String {
        let database = Connection::open(self.app.database()).unwrap();
        database
            .query_row("SELECT city FROM merchants WHERE id = ?", [&self.id], |row| row.get(0))
            .unwrap()
    }

    /// Writes until a write is acknowledged again: that one must be in the file at the path, and
    /// visible. Until then, clients are told to try again.
    async fn assert_writes_go_to_the_path(&self) {
        let begun = Instant::now();
        for number in 0.. {
            let city = format!("City {number}");
            let answer = self.set_city(&city).await;
            if answer.status == StatusCode::OK {
                assert_eq!(self.city(), city, "it was acknowledged, and is in no file");
                assert_eq!(self.app.get(&self.path).await.json()["data"]["merchant"]["city"], city);
                return;
            }
            answer.assert_error(503, "DATABASE_UNAVAILABLE");
            assert_eq!(answer.header(RETRY_AFTER), "1");
            assert!(begun.elapsed() < Duration::from_secs(60), "it never comes back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Requests `/readyz` until it reports this.
    async fn assert_not_ready(&self, why: &str) {
        let begun = Instant::now();
        loop {
            let ready = self.app.get("/readyz").await;
            if ready.status == 503 && ready.text().contains(why) {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{} {}", ready.status, ready.text());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Requests until there is an answer. A millisecond after the files were moved, no answer may
    /// show the previous state.
    async fn assert_shows(&self, city: &str) {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let begun = Instant::now();
        loop {
            let answer = self.app.get_with(&self.path, &[(IF_NONE_MATCH, &self.etag)]).await;
            if answer.status == 200 {
                assert_eq!(answer.json()["data"]["merchant"]["city"], city);
                return;
            }
            answer.assert_error(503, "DATABASE_UNAVAILABLE");
            assert!(begun.elapsed() < Duration::from_secs(60), "it never comes back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_moved_over_the_database_is_served_from_then_on() {
    let scene = Scene::new().await;
    fs::rename(&scene.backup, scene.app.database()).unwrap();
    scene.assert_shows("Old").await;
    scene.assert_writes_go_to_the_path().await;
    assert_eq!(scene.app.get("/readyz").await.status, 200);
    let verdict: String = Connection::open(scene.app.database())
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(verdict, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_after_the_database_was_replaced_is_acknowledged_only_if_it_is_stored() {
    let scene = Scene::new().await;
    fs::rename(&scene.backup, scene.app.database()).unwrap();
    scene.assert_writes_go_to_the_path().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_moved_without_its_wal_keeps_every_acknowledged_write() {
    let scene = Scene::new().await;
    for ending in ["-wal", "-shm"] {
        fs::remove_file(beside(&scene.app.database(), ending)).unwrap();
    }
    scene.assert_writes_go_to_the_path().await;
    let (other, _) = scene.app.create_merchant("Second").await;
    let app = scene.app.restart().await;
    let path = url_with(MERCHANT, &json!({"id": other}));
    assert_eq!(app.get(&path).await.json()["data"]["merchant"]["name"], "Second");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_deleted_is_not_ready_until_it_is_back() {
    let scene = Scene::new().await;
    let database = scene.app.database();
    for path in [database.clone(), beside(&database, "-wal"), beside(&database, "-shm")] {
        fs::remove_file(path).unwrap();
    }
    scene.set_city("Nowhere").await.assert_error(503, "DATABASE_UNAVAILABLE");
    scene.assert_not_ready("the database file has been deleted").await;
    scene.app.get(&scene.path).await.assert_error(503, "DATABASE_UNAVAILABLE");
    assert!(!database.exists(), "an empty one was made in its place");
    fs::rename(&scene.backup, &database).unwrap();
    scene.assert_shows("Old").await;
    scene.assert_writes_go_to_the_path().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_moved_aside_keeps_every_write_acknowledged_until_then() {
    let scene = Scene::new().await;
    let (database, aside) = (scene.app.database(), scene.app.directory.path().join("aside.db"));
    fs::rename(&database, &aside).unwrap();
    fs::rename(&scene.backup, &database).unwrap();
    scene.assert_writes_go_to_the_path().await;
    for file in [&aside, &database] {
        let file = Connection::open(file).unwrap();
        assert_eq!(
            file.query_row("PRAGMA integrity_check", [], |row| row.get::<_, String>(0)).unwrap(),
            "ok"
        );
    }
    let sql = "SELECT city FROM merchants WHERE id = ?";
    let city: String =
        Connection::open(aside).unwrap().query_row(sql, [&scene.id], |row| row.get(0)).unwrap();
    assert_eq!(city, "New");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_another_program_is_neither_served_nor_changed() {
    let scene = Scene::new().await;
    let (database, other) = (scene.app.database(), scene.app.directory.path().join("other.db"));
    Connection::open(&other)
        .unwrap()
        .execute_batch("CREATE TABLE notes (text); INSERT INTO notes VALUES (1)")
        .unwrap();
    let bytes = fs::read(&other).unwrap();
    fs::rename(&other, &database).unwrap();
    scene.assert_not_ready("it is not a freshql database").await;
    scene.set_city("Nowhere").await.assert_error(503, "DATABASE_UNAVAILABLE");
    assert_eq!(fs::read(&database).unwrap(), bytes);

    let lacking = scene.app.directory.path().join("lacking.db");
    fs::copy(&scene.backup, &lacking).unwrap();
    Connection::open(&lacking).unwrap().execute_batch("DELETE FROM _freshql_migration").unwrap();
    fs::rename(&lacking, &database).unwrap();
    scene.assert_not_ready("it lacks the migration 0001_").await;

    fs::rename(&scene.backup, &database).unwrap();
    scene.assert_shows("Old").await;
    scene.assert_writes_go_to_the_path().await;
    assert_eq!(scene.app.get("/readyz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_that_the_new_file_lacks_are_forgotten() {
    let scene = Scene::new().await;
    let text = "query Registered { merchants(first: 1) { totalCount } }";
    let put = scene
        .app
        .request(Method::PUT, &url(text))
        .bearer_auth(TOKEN)
        .body(text)
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 201);
    assert_eq!(scene.app.get(&url(text)).await.status, 200);
    fs::rename(&scene.backup, scene.app.database()).unwrap();
    scene.assert_shows("Old").await;
    scene.app.get(&url(text)).await.assert_error(404, "PERSISTED_QUERY_NOT_FOUND");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_by_the_shell_under_the_running_server_is_seen_at_once() {
    let scene = Scene::new().await;
    let mut target = Connection::open(scene.app.database()).unwrap();
    // What the shell's `.restore` does.
    target.busy_timeout(Duration::from_secs(10)).unwrap();
    target.restore("main", &scene.backup, None::<fn(rusqlite::backup::Progress)>).unwrap();
    let answer = scene.app.get_with(&scene.path, &[(IF_NONE_MATCH, &scene.etag)]).await;
    assert_eq!(
        (answer.status, &answer.json()["data"]["merchant"]["city"]),
        (StatusCode::OK, &json!("Old"))
    );
    // The same number of writes as before, with other values.
    scene.app.move_merchant(&scene.id, "Other").await;
    let answer = scene.app.get_with(&scene.path, &[(IF_NONE_MATCH, &scene.etag)]).await;
    assert_eq!(
        (answer.status, &answer.json()["data"]["merchant"]["city"]),
        (StatusCode::OK, &json!("Other"))
    );
}

/// Reads and writes until the server has stopped.
async fn load(address: String, id: String) {
    let client = reqwest::Client::new();
    for number in 0.. {
        let body = json!({"variables": {"id": id, "patch": {"city": format!("City {number}")}}});
        let wrote = client
            .post(format!("{address}{}", url(UPDATE)))
            .header(AUTHORIZATION, editor())
            .json(&body)
            .send()
            .await;
        let read =
            client.get(format!("{address}{}", url_with(MERCHANT, &json!({"id": id})))).send().await;
        if wrote.is_err() || read.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_under_load_leaves_no_wal_behind() {
    let project = project();
    let database = project.path().join("freshql.db");
    let backup = project.path().join("backup.db");
    let mut id = None;
    for round in 0..21 {
        let mut server = Program::start(project.path()).await;
        let client = reqwest::Client::new();
        if id.is_none() {
            let body = json!({"variables": {"input": {"name": "First", "description": "d", "city": "Old"}}});
            let created = client
                .post(format!("{}{}", server.address, url(CREATE)))
                .header(AUTHORIZATION, editor())
                .json(&body)
                .send()
                .await
                .unwrap();
            let created: serde_json::Value = created.json().await.unwrap();
            id = created["data"]["createMerchant"]["id"].as_str().map(str::to_owned);
        }
        let id = id.clone().unwrap();
        if round > 0 {
            let read =
                client.get(format!("{}{}", server.address, url_with(MERCHANT, &json!({"id": id}))));
            let read: serde_json::Value = read.send().await.unwrap().json().await.unwrap();
            assert_eq!(
                read["data"]["merchant"]["city"], "Old",
                "it serves what was copied over the database"
            );
        }
        let clients: Vec<_> =
            (0..3).map(|_| tokio::spawn(load(server.address.clone(), id.clone()))).collect();
        tokio::time::sleep(Duration::from_millis(20 + round)).await;
        assert!(beside(&database, "-wal").exists());
        signal(&server.process, if round % 2 == 0 { "TERM" } else { "INT" });
        let ended = tokio::time::timeout(Duration::from_secs(60), server.process.wait())
            .await
            .unwrap()
            .unwrap();
        assert!(ended.success());
        assert!(
            !beside(&database, "-wal").exists() && !beside(&database, "-shm").exists(),
            "in round {round}"
        );
        for client in clients {
            client.await.unwrap();
        }
        if round == 0 {
            fs::copy(&database, &backup).unwrap();
            Connection::open(&backup)
                .unwrap()
                .execute("UPDATE merchants SET city = 'Old'", [])
                .unwrap();
        }
        fs::copy(&backup, &database).unwrap();
    }
}
