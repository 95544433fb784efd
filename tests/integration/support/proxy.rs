//! A cache, such as Varnish with the files of `deploy/`, in front of servers.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::Answer;
use crate::installed_program::{program_in, top};
use crate::lifetimes::Lines;

/// The cache.
pub(crate) struct Proxy {
    process: Child,
    port: u16,
    pub(crate) client: reqwest::Client,
    _directory: TempDir,
}

impl Proxy {
    /// Starts it with the command for this port and directory.
    pub(crate) async fn start(command: impl FnOnce(u16, &Path) -> Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let log = std::fs::File::create(directory.path().join("log")).unwrap();
        let mut process = command(port, directory.path())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = process.try_wait().unwrap();
            if ended.is_some() || begun.elapsed() > Duration::from_secs(60) {
                let log = std::fs::read_to_string(directory.path().join("log")).unwrap();
                panic!("the cache does not start ({ended:?}): {log}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Self { process, port, client: reqwest::Client::new(), _directory: directory }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: Lines<'_>) -> Answer {
        let mut request =
            self.client.request(method, format!("http://127.0.0.1:{}{path}", self.port));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Answer { status, headers, body: response.bytes().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str, headers: Lines<'_>) -> Answer {
        self.ask(Method::GET, path, headers).await
    }

    pub(crate) async fn post(&self, path: &str, variables: &Value) -> StatusCode {
        let request = self.client.post(format!("http://127.0.0.1:{}{path}", self.port));
        request.json(&json!({ "variables": variables })).send().await.unwrap().status()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Both have child processes, which they stop when they are stopped themselves.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

/// A file of `deploy/` with other addresses.
pub(crate) fn deployed(file: &str, changes: &[(&str, &str)]) -> String {
    let mut text = std::fs::read_to_string(top().join("deploy").join(file)).unwrap();
    for (here, there) in changes {
        assert!(text.contains(here), "{file} has no {here}");
        text = text.replace(here, there);
    }
    text
}

pub(crate) fn varnish(origin: &str, port: u16, directory: &Path) -> Command {
    let file = directory.join("freshql.vcl");
    let (_, origin_port) = origin.split_once(':').unwrap();
    std::fs::write(&file, deployed("varnish.vcl", &[("8080", origin_port)])).unwrap();
    varnish_with(&file, port, directory)
}

/// As in the compose file, in front of these nodes.
pub(crate) fn varnish_of_nodes(nodes: [&str; 2], port: u16, directory: &Path) -> Command {
    let (included, file) = (directory.join("freshql.vcl"), directory.join("nodes.vcl"));
    std::fs::write(&included, deployed("varnish.vcl", &[])).unwrap();
    let included = included.display().to_string();
    let address = |name: &str| format!("\"{name}\";\n    .port = \"8080\"");
    let at = |node: &str| node.replacen(':', "\";\n    .port = \"", 1);
    let at = nodes.map(|node| format!("\"{}\"", at(node)));
    let changes = [
        (&*address("node-a"), &*at[0]),
        (&*address("node-b"), &*at[1]),
        ("/etc/varnish/freshql.vcl", included.as_str()),
    ];
    std::fs::write(&file, deployed("compose/nodes.vcl", &changes)).unwrap();
    varnish_with(&file, port, directory)
}

fn varnish_with(file: &Path, port: u16, directory: &Path) -> Command {
    let mut command = Command::new(program_in("/usr/sbin", "varnishd"));
    command.args(["-F", "-j", "none", "-s", "malloc,16m"]);
    // Halves the time to compile the VCL.
    command.args(["-p", "cc_command=exec gcc -pthread -fpic -shared -Wl,-x -o %o %s"]);
    command
        .arg("-n")
        .arg(directory.join("work"))
        .arg("-f")
        .arg(file)
        .args(["-a", &format!("127.0.0.1:{port}")]);
    command
}
