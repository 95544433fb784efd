//! The files of the database are moved, replaced or deleted under a running server: what it acknowledges is in the file that
//! stands at the path, and what it answers comes from there.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use freshql::config::Mode;
use http::StatusCode;
use http::header::IF_NONE_MATCH;
use rusqlite::Connection;
use serde_json::json;

use crate::harness::{Answer, MERCHANT, Program, TestApp, UPDATE, project, signal, url, url_with};

fn beside(path: &Path, ending: &str) -> PathBuf {
    PathBuf::from(format!("{}{ending}", path.display()))
}

struct Scene {
    app: TestApp,
    id: String,
    path: String,
    /// Of its first state, where it is called `First` and lies in `Old`.
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
        database.query_row("SELECT city FROM merchants WHERE id = ?", [&self.id], |row| row.get(0)).unwrap()
    }

    /// Writes until a write is acknowledged again: that one must be in the file at the path, and seen.
    async fn assert_writes_go_to_the_path(&self) {
        let begun = Instant::now();
        for number in 0.. {
            let city = format!("City {number}");
            let answer = self.set_city(&city).await;
            match answer.status {
                StatusCode::OK => {
                    assert_eq!(self.city(), city, "it was acknowledged, and is in no file");
                    assert_eq!(self.app.get(&self.path).await.json()["data"]["merchant"]["city"], city);
                    return;
                }
                status => assert!(status == 503 || status == 500, "{}", answer.text()),
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it never comes back");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn assert_shows(&self, city: &str) {
        let begun = Instant::now();
        loop {
            let answer = self.app.get_with(&self.path, &[(IF_NONE_MATCH, &self.etag)]).await;
            if answer.status == 200 && answer.json()["data"]["merchant"]["city"] == city {
                return;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{} {}", answer.status, answer.text());
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
async fn the_first_write_after_the_database_was_replaced_is_not_acknowledged_unless_it_is_there() {
    let scene = Scene::new().await;
    fs::rename(&scene.backup, scene.app.database()).unwrap();
    scene.assert_writes_go_to_the_path().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_log_beside_it_the_database_keeps_all_that_was_acknowledged() {
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
    let begun = Instant::now();
    loop {
        let ready = scene.app.get("/readyz").await;
        if ready.status == 503 {
            assert!(ready.text().contains("the database file has been deleted"), "{}", ready.text());
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    scene.app.get(&scene.path).await.assert_error(503, "DATABASE_UNAVAILABLE");
    assert!(!database.exists(), "an empty one was made in its place");
    fs::rename(&scene.backup, &database).unwrap();
    scene.assert_shows("Old").await;
    scene.assert_writes_go_to_the_path().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_by_the_shell_under_the_running_server_is_seen_at_once() {
    let scene = Scene::new().await;
    let mut target = Connection::open(scene.app.database()).unwrap();
    // What the shell's `.restore` does.
    target.busy_timeout(Duration::from_secs(10)).unwrap();
    target.restore("main", &scene.backup, None::<fn(rusqlite::backup::Progress)>).unwrap();
    let answer = scene.app.get_with(&scene.path, &[(IF_NONE_MATCH, &scene.etag)]).await;
    assert_eq!((answer.status, &answer.json()["data"]["merchant"]["city"]), (StatusCode::OK, &json!("Old")));
    // The same number of writes as before, to other content.
    scene.app.move_merchant(&scene.id, "Other").await;
    let answer = scene.app.get_with(&scene.path, &[(IF_NONE_MATCH, &scene.etag)]).await;
    assert_eq!((answer.status, &answer.json()["data"]["merchant"]["city"]), (StatusCode::OK, &json!("Other")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_leaves_no_log_beside_the_database() {
    let project = project();
    let database = project.path().join("freshql.db");
    for _ in 0..3 {
        let mut server = Program::start(project.path()).await;
        assert_eq!(reqwest::get(format!("{}/readyz", server.address)).await.unwrap().status(), 200);
        assert!(beside(&database, "-wal").exists());
        signal(&server.process, "TERM");
        let ended = tokio::time::timeout(Duration::from_secs(60), server.process.wait()).await.unwrap().unwrap();
        assert!(ended.success());
        assert!(!beside(&database, "-wal").exists() && !beside(&database, "-shm").exists());
    }
}
