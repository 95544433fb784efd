//! A full disk or a read-only file: writes are refused as such, reads are served, and `/readyz`
//! reports it until a write succeeds again.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use serde_json::{Value as Json, json};
use tokio::process::Child;

use crate::commands::freshql;
use crate::harness::{CREATE, DEMO_SECRET, MERCHANTS, editor, project, url};
use crate::program::Program;

struct Server {
    process: Child,
    address: String,
    client: reqwest::Client,
}

impl Server {
    /// Starts the server in a shell, after these commands.
    async fn start(project: &Path, before: &str) -> Self {
        let script = format!("{before}exec '{}'", env!("CARGO_BIN_EXE_freshql"));
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", &script])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("FRESHQL_DIR", project)
            .envs([DEMO_SECRET])
            .env("FRESHQL_LISTEN", "127.0.0.1:0");
        let (process, address) = Program::run(command).await.unread();
        Self { process, address, client: reqwest::Client::new() }
    }

    async fn create(&self, name: &str) -> (u16, Json) {
        let input = json!({"name": name, "description": "d".repeat(3000), "city": "Ghent"});
        let body = json!({"variables": {"input": input}});
        let request = self
            .client
            .post(format!("{}{}", self.address, url(CREATE)))
            .header(AUTHORIZATION, editor());
        let response = request.json(&body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn get(&self, path: &str) -> (u16, String) {
        let response = self.client.get(format!("{}{path}", self.address)).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn assert_refuses_writes(&self, why: &str) {
        let begun = Instant::now();
        for number in 0.. {
            let (status, answer) = self.create(&format!("Refused {number}")).await;
            if status != 200 {
                assert_eq!(
                    (status, &answer["errors"][0]["extensions"]["code"]),
                    (503, &json!("DATABASE_UNAVAILABLE"))
                );
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "it takes everything");
        }
        let (status, told) = self.get("/readyz").await;
        assert!(status == 503 && told.contains(why), "{status} {told}");
        assert_eq!(self.get(&url(MERCHANTS)).await.0, 200, "what can be read is served");
    }

    /// `/readyz` notices by itself.
    async fn assert_recovers(&self) {
        let begun = Instant::now();
        while self.get("/readyz").await.0 != 200 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it never comes back");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (status, answer) = self.create("Recovered").await;
        assert_eq!(status, 200, "{answer}");
    }
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    let run =
        Command::new(program).args(arguments).stderr(Stdio::null()).stdout(Stdio::null()).status();
    run.is_ok_and(|status| status.success())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_error_is_reported_until_writes_succeed_again() {
    let project = project();
    assert!(freshql(project.path(), &["migrate", "up"]).status.success());
    // The server's files may grow to 256 KiB (in the shell's blocks of 512 bytes), until the limit
    // is raised.
    let server = Server::start(project.path(), "trap '' XFSZ; ulimit -S -f 512; ").await;
    assert_eq!(server.get("/readyz").await.0, 200);
    server.assert_refuses_writes("the database cannot be written").await;
    let pid = server.process.id().unwrap().to_string();
    if !succeeds("prlimit", &["--pid", &pid, "--fsize=unlimited:"]) {
        say("skipped from here on: there is no prlimit");
        return;
    }
    server.assert_recovers().await;
}

/// Written to the real standard error, which the test harness does not capture. Even on a build
/// machine, not every user may do what these tests need.
fn say(why: &str) {
    let _ = writeln!(std::io::stderr(), "{why}");
}

/// A separate file system, if this user may create one.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path, options: &[&str]) -> Option<Self> {
        succeeds("mount", &[options, &[path.to_str().unwrap()]].concat()).then_some(Self(path))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        succeeds("umount", &["-l", self.0.to_str().unwrap()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_reported_until_there_is_space() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = Disk::mount(directory.path(), &["-t", "tmpfs", "-o", "size=3m", "tmpfs"])
    else {
        say("skipped: this user may not mount a file system");
        return;
    };
    crate::harness::copy(project().path(), directory.path());
    assert!(freshql(directory.path(), &["migrate", "up"]).status.success());
    let server = Server::start(directory.path(), "").await;
    let filler = directory.path().join("filler");
    let _ = std::fs::write(&filler, vec![0; 4 << 20]);
    server.assert_refuses_writes("the disk is full").await;
    std::fs::remove_file(&filler).unwrap();
    server.assert_recovers().await;
    drop((server, disk));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_file_is_served_and_reported() {
    let project = project();
    assert!(freshql(project.path(), &["migrate", "up"]).status.success());
    let database = project.path().join("freshql.db");
    let path = database.to_str().unwrap();
    let mut server = Server::start(project.path(), "").await;
    assert_eq!(server.create("Before").await.0, 200);
    assert!(succeeds("kill", &[&server.process.id().unwrap().to_string()]));
    server.process.wait().await.unwrap();
    assert!(succeeds("chmod", &["444", path]));
    // Only the file system keeps root from writing.
    let is_root = std::fs::OpenOptions::new().append(true).open(&database).is_ok();
    if is_root && !succeeds("chattr", &["+i", path]) {
        say("skipped: this user can write to every file");
        return;
    }
    let server = Server::start(project.path(), "").await;
    let (status, told) = server.get("/readyz").await;
    server.assert_refuses_writes("can only be read").await;
    if is_root {
        assert!(succeeds("chattr", &["-i", path]));
    }
    assert!(succeeds("chmod", &["644", path]));
    assert!(
        status == 503 && told.contains("can only be read"),
        "before anybody writes: {status} {told}"
    );
    server.assert_recovers().await;
}
