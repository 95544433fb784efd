//! Acknowledged means durable: the program itself is killed under load, started again, and compared
//! with what its clients have recorded.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use http::header::{AUTHORIZATION, ETAG};
use rusqlite::Connection;
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::task::JoinSet;

use crate::harness::{CREATE, MERCHANT, editor, project, signal, url, url_with};
use crate::program::Program;

const PAIR: &str = "query Pair($a: ID!, $b: ID!) {
  a: merchant(id: $a) { city website description }
  b: merchant(id: $b) { city website description }
}";
/// Two rows with three columns each, all with the same value.
const WRITE_PAIR: &str = "mutation WritePair($a: ID!, $b: ID!, $patch: MerchantPatch!) {
  a: updateMerchant(id: $a, patch: $patch) { id }
  b: updateMerchant(id: $b, patch: $patch) { id }
}";
const BY_NAME: &str = "query ByName($name: String!) { merchantByName(name: $name) { id } }";
const EVERYTHING: &str = "query Everything { merchants(first: 100) { totalCount nodes { id etag products(first: 3) { totalCount nodes { etag name } } } } }";

/// The program, running on a project.
struct Server {
    process: Child,
    address: String,
    client: reqwest::Client,
}

impl Server {
    async fn start(project: &TempDir) -> Self {
        let Program { process, address, mut log, .. } = Program::start(project.path()).await;
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        Self { process, address, client: reqwest::Client::new() }
    }

    async fn get(&self, path: &str) -> (String, Json) {
        let response = self.client.get(format!("{}{path}", self.address)).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        let etag = response.headers()[ETAG].to_str().unwrap().to_owned();
        (etag, response.json().await.unwrap())
    }
}

/// A client's writer, which tolerates that the server no longer answers.
#[derive(Clone)]
struct Pen {
    address: String,
    client: reqwest::Client,
}

impl Pen {
    fn of(server: &Server) -> Self {
        Self { address: server.address.clone(), client: server.client.clone() }
    }

    /// The status, if the answer was complete.
    async fn post(&self, path: &str, variables: &Json) -> Option<(u16, Json)> {
        let body = json!({"variables": variables});
        let request =
            self.client.post(format!("{}{path}", self.address)).header(AUTHORIZATION, editor());
        let response = request.json(&body).send().await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.json().await.ok()?))
    }
}

/// A project with this test's own documents.
fn documented() -> TempDir {
    let project = project();
    for (name, text) in [
        ("pair", PAIR),
        ("write_pair", WRITE_PAIR),
        ("by_name", BY_NAME),
        ("everything", EVERYTHING),
    ] {
        std::fs::write(
            project.path().join("queries/tests").join(name).with_extension("graphql"),
            text,
        )
        .unwrap();
    }
    project
}

async fn create(pen: &Pen, name: &str) -> Option<String> {
    let input = json!({"name": name, "description": "0", "city": "0", "website": "0"});
    let (status, answer) = pen.post(&url(CREATE), &json!({"input": input})).await?;
    assert_eq!(status, 200, "{answer}");
    Some(answer["data"]["createMerchant"]["id"].as_str().unwrap().to_owned())
}

/// Two rows that one client always writes together.
struct Pair {
    a: String,
    b: String,
    sent: AtomicU64,
    acknowledged: AtomicU64,
}

impl Pair {
    async fn write_until(&self, pen: &Pen, killed: &AtomicBool) {
        while !killed.load(SeqCst) {
            let number = self.sent.fetch_add(1, SeqCst) + 1;
            let text = number.to_string();
            let patch = json!({"city": text, "website": text, "description": text});
            let variables = json!({"a": self.a, "b": self.b, "patch": patch});
            match pen.post(&url(WRITE_PAIR), &variables).await {
                Some((status, answer)) => assert_eq!(status, 200, "{answer}"),
                None => return,
            }
            self.acknowledged.store(number, SeqCst);
        }
    }

    async fn check(&self, server: &Server) {
        let (_, answer) = server.get(&url_with(PAIR, &json!({"a": self.a, "b": self.b}))).await;
        let (a, b) = (&answer["data"]["a"], &answer["data"]["b"]);
        assert_eq!(a, b, "half of a mutation is there");
        assert!(
            a["city"] == a["website"] && a["city"] == a["description"],
            "half of an update is there: {a}"
        );
        let number: u64 = a["city"].as_str().unwrap().parse().unwrap();
        let acknowledged = self.acknowledged.load(SeqCst);
        assert!(number >= acknowledged, "{acknowledged} was acknowledged, {number} is there");
        assert!(number <= self.sent.load(SeqCst));
        // A write in progress when the server died may have been executed or not.
        self.sent.store(number, SeqCst);
        self.acknowledged.store(number, SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acknowledged_writes_survive_kill_9_and_none_is_half_done() {
    let project = documented();
    let mut server = Server::start(&project).await;
    let pen = Pen::of(&server);
    let mut pairs = Vec::new();
    for number in 0..6 {
        let a = create(&pen, &format!("A {number}")).await.unwrap();
        let b = create(&pen, &format!("B {number}")).await.unwrap();
        pairs.push(Arc::new(Pair { a, b, sent: 0.into(), acknowledged: 0.into() }));
    }
    let still = create(&pen, "Still").await.unwrap();
    let still = url_with(MERCHANT, &json!({"id": still}));
    let unchanged = server.get(&still).await;

    let mut created = 0;
    for (round, milliseconds) in [90, 260, 40, 170].into_iter().enumerate() {
        let killed = Arc::new(AtomicBool::new(false));
        let pen = Pen::of(&server);
        let mut tasks = JoinSet::new();
        for pair in &pairs {
            let (pair, pen, killed) = (pair.clone(), pen.clone(), killed.clone());
            tasks.spawn(async move { pair.write_until(&pen, &killed).await });
        }
        let creator = tokio::spawn(async move {
            let mut created = 0;
            while create(&pen, &format!("Round {round} number {created}")).await.is_some() {
                created += 1;
            }
            created
        });
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        server.process.start_kill().unwrap();
        killed.store(true, SeqCst);
        assert!(!server.process.wait().await.unwrap().success());
        tasks.join_all().await;
        let count: usize = creator.await.unwrap();
        created += count;

        server = Server::start(&project).await;
        for pair in &pairs {
            pair.check(&server).await;
        }
        for number in 0..count {
            let name = format!("Round {round} number {number}");
            let (_, answer) = server.get(&url_with(BY_NAME, &json!({"name": name}))).await;
            assert!(
                answer["data"]["merchantByName"]["id"].is_string(),
                "{name} was acknowledged and is gone"
            );
        }
        assert_eq!(
            server.get(&still).await,
            unchanged,
            "nothing of it has changed but the process"
        );
    }
    assert!(created > 0 && pairs.iter().all(|pair| pair.acknowledged.load(SeqCst) > 0));

    let everything = server.get(&url(EVERYTHING)).await;
    server.process.kill().await.unwrap();
    server = Server::start(&project).await;
    assert_eq!(
        server.get(&url(EVERYTHING)).await,
        everything,
        "ETags are the same after a restart"
    );
    server.process.kill().await.unwrap();
    let database = Connection::open(project.path().join("freshql.db")).unwrap();
    let verdict: String =
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_running_requests_and_accepts_no_new_ones() {
    let project = documented();
    let mut server = Server::start(&project).await;
    let pen = Pen::of(&server);
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(create(&pen, &format!("Under way {number}")).await.unwrap());
    }
    // While the test holds the lock, writes stay in progress.
    let database = Connection::open(project.path().join("freshql.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut tasks = JoinSet::new();
    for id in &ids {
        let (pen, id) = (pen.clone(), id.clone());
        let patch = json!({"city": "drained", "website": "drained", "description": "drained"});
        let variables = json!({"a": id, "b": id, "patch": patch});
        tasks.spawn(async move { pen.post(&url(WRITE_PAIR), &variables).await });
    }
    tokio::time::sleep(Duration::from_millis(400)).await;
    signal(&server.process, "TERM");
    let health = format!("{}/healthz", server.address);
    while reqwest::Client::new().get(&health).send().await.is_ok() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        server.process.try_wait().unwrap().is_none(),
        "it listens no more, and waits for what is under way"
    );
    database.execute_batch("ROLLBACK").unwrap();
    for answer in tasks.join_all().await {
        let (status, answer) = answer.expect("a request under way is answered");
        assert_eq!(status, 200, "{answer}");
    }
    let status =
        tokio::time::timeout(Duration::from_secs(8), server.process.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    let sql = "SELECT count(*) FROM merchants WHERE city = 'drained' AND website = 'drained'";
    assert_eq!(database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap(), 4);
}
