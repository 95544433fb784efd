//! Several nodes on one database, clients that read and write through any of them, others that
//! write behind their backs, and faults: no answer is older than what anybody was shown before it
//! was asked for, no two mutations win with one token, no acknowledged write is lost, no mutation
//! is seen by half.
//!
//! `FRESHQL_CLUSTER_SECONDS` says how long each test of these goes on (a few seconds if not set),
//! `FRESHQL_CLUSTER_NODES` on how many nodes (3).

mod history;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use freshql::document_id::DocumentId;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::Child;
use tokio::sync::Mutex;

use self::history::{Counts, History};
use crate::commands::freshql;
use crate::harness::{encode, signal};
use crate::postgres::{Pooler, Postgres};
use crate::program::{Program, of_project};

const MODEL: &str = "type Account @entity @index(fields: [\"pair\"]) {
  id: ID! @id
  pair: Int!
  single: Int! @default(value: 0)
  both: Int! @default(value: 0)
}
";
const ONE: &str = "query One($id: ID!) { account(id: $id) { id single both etag } }";
const PAIR: &str = "query Pair($pair: Int!) { accounts(where: {pair: {eq: $pair}}) { totalCount nodes { id single both etag } } }";
const SINGLE: &str = "mutation Single($id: ID!, $single: Int!, $token: String) {
  updateAccount(id: $id, patch: {single: $single}, expectedEtag: $token) { id single both etag }
}";
const BOTH: &str = "mutation Both($a: ID!, $b: ID!, $both: Int!, $one: String, $two: String) {
  a: updateAccount(id: $a, patch: {both: $both}, expectedEtag: $one) { id single both etag }
  b: updateAccount(id: $b, patch: {both: $both}, expectedEtag: $two) { id single both etag }
}";
const PAIRS: usize = 4;
const CLIENTS: usize = 6;

/// Where the data is, and who else writes to it.
enum Database {
    Sqlite(TempDir),
    Postgres(Postgres),
    /// The nodes reach it through a pooler.
    Pooled(Pooler, Postgres),
}

impl Database {
    fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => {
                format!("sqlite:{}", directory.path().join("data.db").display())
            }
            Self::Postgres(server) => server.url("cluster"),
            Self::Pooled(pooler, _) => pooler.url.clone(),
        }
    }

    /// Runs statements as another program does: in a process or a connection of its own. None where
    /// the database refuses.
    fn external(&self, sql: &str) -> Option<Vec<String>> {
        match self {
            Self::Sqlite(directory) => {
                let connection =
                    rusqlite::Connection::open(directory.path().join("data.db")).unwrap();
                connection.busy_timeout(Duration::from_secs(10)).unwrap();
                match sql.starts_with("SELECT") {
                    false => connection.execute_batch(sql).ok().map(|()| Vec::new()),
                    true => {
                        let mut statement = connection.prepare(sql).ok()?;
                        let rows = statement.query_map([], |row| row.get(0)).ok()?;
                        rows.collect::<Result<_, _>>().ok()
                    }
                }
            }
            Self::Postgres(server) | Self::Pooled(_, server) => server.try_run("cluster", sql).ok(),
        }
    }
}

struct Node {
    process: Child,
    address: String,
}

impl Node {
    async fn start(project: &Path, database: &str, address: &str) -> Self {
        let mut command = of_project(project);
        command.env("FRESHQL_DATABASE", database).args(["serve", "--listen", address]);
        let (process, address) = Program::run(command).await.unread();
        Self { process, address }
    }
}

struct Cluster {
    database: Database,
    project: TempDir,
    nodes: Vec<Mutex<Node>>,
    addresses: Vec<String>,
    history: History,
    http: reqwest::Client,
    is_over: AtomicBool,
}

/// What goes wrong meanwhile.
#[derive(Clone, Copy, PartialEq)]
enum Faults {
    None,
    OfNodes,
    OfServer,
}

/// What a client may do next.
#[derive(Clone, Copy)]
enum Next {
    Read,
    ReadPair,
    Single,
    Both,
}

impl Cluster {
    async fn start(database: Database) -> Arc<Self> {
        let project = tempfile::tempdir().unwrap();
        std::fs::write(project.path().join("schema.graphql"), MODEL).unwrap();
        std::fs::create_dir(project.path().join("queries")).unwrap();
        for (name, text) in [("one", ONE), ("pair", PAIR), ("single", SINGLE), ("both", BOTH)] {
            std::fs::write(project.path().join(format!("queries/{name}.graphql")), text).unwrap();
        }
        let url = database.url();
        for arguments in
            [["migrate", "new", "accounts"].as_slice(), &["--database", &url, "migrate", "up"]]
        {
            let output = freshql(project.path(), arguments);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let rows: Vec<_> = (0..2 * PAIRS).map(|n| format!("('{}', {})", id(n), n / 2)).collect();
        database
            .external(&format!("INSERT INTO accounts (id, pair) VALUES {}", rows.join(", ")))
            .unwrap();
        let count =
            std::env::var("FRESHQL_CLUSTER_NODES").map_or(3, |count| count.parse().unwrap());
        let mut nodes = Vec::new();
        for _ in 0..count {
            nodes.push(Node::start(project.path(), &url, "127.0.0.1:0").await);
        }
        let addresses = nodes.iter().map(|node| node.address.clone()).collect();
        let nodes = nodes.into_iter().map(Mutex::new).collect();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
        let (history, is_over) = (History::default(), AtomicBool::new(false));
        Arc::new(Self { database, project, nodes, addresses, history, http, is_over })
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Asks a query; its rows. None where there was no answer.
    async fn read(
        &self,
        node: usize,
        text: &str,
        variables: &Value,
        etags: &mut Etags,
    ) -> Option<Vec<Value>> {
        let path =
            format!("/q/{}?variables={}", DocumentId::of(text), encode(&variables.to_string()));
        let floors = self.history.floors();
        let mut request = self.http.get(format!("{}{path}", self.addresses[node]));
        let offered = etags.get(&path).cloned();
        if let Some(etag) = &offered {
            request = request.header("if-none-match", etag);
        }
        let Ok(answer) = request.send().await else { return self.unavailable() };
        let status = answer.status().as_u16();
        let etag = answer.headers().get("etag").map(|etag| etag.to_str().unwrap().to_owned());
        let Ok(body) = answer.text().await else { return self.unavailable() };
        let data = match (status, etag, offered) {
            (200, Some(etag), _) => {
                let body: Value = serde_json::from_str(&body).unwrap();
                let data = body["data"].to_string();
                self.history.answered(&path, &etag, &data);
                etags.insert(path, etag);
                self.history.count(|tally| tally.reads += 1);
                data
            }
            (304, Some(etag), Some(offered)) if etag == offered => {
                self.history.count(|tally| tally.not_modified += 1);
                self.history.meant(&path, &etag).unwrap()
            }
            (503 | 504, ..) => return self.unavailable(),
            _ => {
                self.history.violation(format!("GET {path} got {status} {body}"));
                return None;
            }
        };
        let data: Value = serde_json::from_str(&data).unwrap();
        let rows = match &data["account"] {
            Value::Null => data["accounts"]["nodes"].as_array().cloned().unwrap_or_default(),
            row => vec![row.clone()],
        };
        self.history.shown(&floors, &format!("{status} of node {node} to {variables}"), &rows);
        Some(rows)
    }

    fn unavailable<T>(&self) -> Option<T> {
        self.history.count(|tally| tally.unavailable += 1);
        None
    }

    /// Runs a mutation that counts these rows up, each with its token.
    async fn write(
        &self,
        node: usize,
        text: &str,
        variables: Value,
        rows: &[(&str, &str)],
        by: Counts,
    ) {
        let floors = self.history.floors();
        let url = format!("{}/q/{}", self.addresses[node], DocumentId::of(text));
        let body = json!({"variables": variables}).to_string();
        let request = self.http.post(url).header("content-type", "application/json").body(body);
        let answer = match request.send().await {
            Ok(answer) => (answer.status().as_u16(), answer.text().await),
            Err(_) => (0, Ok(String::new())),
        };
        match answer {
            (200, Ok(body)) => {
                let body: Value = serde_json::from_str(&body).unwrap();
                let data = body["data"].as_object().unwrap();
                let shown: Vec<Value> = data.values().cloned().collect();
                self.history.shown(&floors, &format!("a mutation by node {node}"), &shown);
                rows.iter().for_each(|(id, token)| self.history.won(id, token, by));
                self.history.count(|tally| tally.writes += 1);
            }
            (412, _) => self.history.count(|tally| tally.conflicts += 1),
            (0 | 200 | 502..=504, _) => {
                rows.iter().for_each(|(id, _)| self.history.lost_sight(id, by));
                self.unavailable::<()>();
            }
            (status, body) => self.history.violation(format!("a mutation got {status} {body:?}")),
        }
    }

    async fn client(self: Arc<Self>, mut dice: Dice) {
        let mut etags = Etags::new();
        while !self.is_over() {
            let node = dice.below(self.addresses.len());
            let pair = dice.below(PAIRS);
            let next =
                [Next::Read, Next::Read, Next::ReadPair, Next::ReadPair, Next::Single, Next::Both];
            match next[dice.below(next.len())] {
                Next::Read => {
                    let id = id(2 * pair + dice.below(2));
                    self.read(node, ONE, &json!({"id": id}), &mut etags).await;
                }
                Next::ReadPair => {
                    drop(self.read(node, PAIR, &json!({"pair": pair}), &mut etags).await)
                }
                Next::Single => {
                    let id = id(2 * pair + dice.below(2));
                    let Some(rows) = self.read(node, ONE, &json!({"id": id}), &mut etags).await
                    else {
                        continue;
                    };
                    let [row] = rows.as_slice() else { continue };
                    let token = row["etag"].as_str().unwrap();
                    let single = row["single"].as_i64().unwrap() + 1;
                    let variables = json!({"id": id, "single": single, "token": token});
                    let node = dice.below(self.addresses.len());
                    self.write(
                        node,
                        SINGLE,
                        variables,
                        &[(&id, token)],
                        Counts { single: 1, both: 0 },
                    )
                    .await;
                }
                Next::Both => {
                    let Some(rows) =
                        self.read(node, PAIR, &json!({"pair": pair}), &mut etags).await
                    else {
                        continue;
                    };
                    let [one, two] = rows.as_slice() else { continue };
                    let both = one["both"].as_i64().unwrap() + 1;
                    let (a, b) = (one["id"].as_str().unwrap(), two["id"].as_str().unwrap());
                    let (first, second) =
                        (one["etag"].as_str().unwrap(), two["etag"].as_str().unwrap());
                    let variables =
                        json!({"a": a, "b": b, "both": both, "one": first, "two": second});
                    let node = dice.below(self.addresses.len());
                    self.write(
                        node,
                        BOTH,
                        variables,
                        &[(a, first), (b, second)],
                        Counts { single: 0, both: 1 },
                    )
                    .await;
                }
            }
        }
    }

    /// Another program, which knows nothing of freshql.
    async fn external_writer(self: Arc<Self>, mut dice: Dice) {
        while !self.is_over() {
            let id = id(dice.below(2 * PAIRS));
            let change = format!("UPDATE accounts SET single = single + 1 WHERE id = '{id}'");
            let sql = match dice.below(4) {
                // It keeps its transaction open for a while, in which others commit.
                0 => match &self.database {
                    Database::Sqlite(_) => format!("BEGIN; {change}; COMMIT"),
                    Database::Postgres(_) | Database::Pooled(..) => {
                        format!("BEGIN; {change}; SELECT pg_sleep(0.2); COMMIT")
                    }
                },
                1 => match &self.database {
                    Database::Sqlite(_) => change,
                    Database::Postgres(_) | Database::Pooled(..) => {
                        format!("SET session_replication_role = replica; {change}")
                    }
                },
                2 => format!("BEGIN; {change}; {change}; ROLLBACK"),
                _ => change,
            };
            let (cluster, is_undone) = (self.clone(), sql.ends_with("ROLLBACK"));
            let done =
                tokio::task::spawn_blocking(move || cluster.database.external(&sql)).await.unwrap();
            let by = Counts { single: 1, both: 0 };
            match done {
                Some(_) if !is_undone => self.history.written(&id, by),
                Some(_) => {}
                None => self.history.lost_sight(&id, by),
            }
            self.history.count(|tally| tally.external += 1);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The server stands still as a whole for a while, or ends the session alone by which a node
    /// asks what has changed.
    async fn faults_of_the_server(self: Arc<Self>, mut dice: Dice) {
        let Database::Postgres(server) = &self.database else { unreachable!("there is no server") };
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            if dice.below(8) == 0 {
                let processes = server.processes();
                let signal = |signal: &str| {
                    // Some may have ended meanwhile.
                    let _ = std::process::Command::new("kill")
                        .arg(signal)
                        .args(&processes)
                        .stderr(Stdio::null())
                        .status();
                };
                signal("-STOP");
                tokio::time::sleep(Duration::from_secs(2)).await;
                signal("-CONT");
                self.history.count(|tally| tally.faults += 1);
                continue;
            }
            let checks = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()
                AND application_name = 'freshql' AND query LIKE '%FROM _freshql_change%'";
            let ended = self.database.external(checks).map_or(0, |ended| ended.len() as u64);
            self.history.count(|tally| tally.faults += ended);
        }
    }

    /// Kills nodes and starts them anew, stops them for a while, and cuts their connections.
    async fn faults(self: Arc<Self>, mut dice: Dice) {
        while !self.is_over() {
            tokio::time::sleep(Duration::from_millis(600)).await;
            let number = dice.below(self.nodes.len());
            let mut node = self.nodes[number].lock().await;
            self.history.count(|tally| tally.faults += 1);
            match (dice.below(4), &self.database) {
                (0, _) => {
                    node.process.kill().await.unwrap();
                    let address = node.address.trim_start_matches("http://").to_owned();
                    *node = Node::start(self.project.path(), &self.database.url(), &address).await;
                }
                (1, Database::Postgres(_)) => {
                    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()";
                    let only = " AND application_name = 'freshql' AND random() < 0.5";
                    self.database.external(&format!("{others}{only}"));
                }
                _ => {
                    signal(&node.process, "STOP");
                    tokio::time::sleep(Duration::from_millis(300)).await;
                    signal(&node.process, "CONT");
                }
            }
        }
    }

    /// Goes on for as long as it is to, then lets every node show every row, and judges.
    async fn run(self: Arc<Self>, name: &str, faults: Faults) {
        let seconds =
            std::env::var("FRESHQL_CLUSTER_SECONDS").map_or(4, |seconds| seconds.parse().unwrap());
        let seed =
            std::env::var("FRESHQL_TEST_SEED").map_or(0xC105_7E12, |seed| seed.parse().unwrap());
        let begun = Instant::now();
        let mut tasks: Vec<_> = (0..CLIENTS)
            .map(|n| tokio::spawn(self.clone().client(Dice::new(seed + n as u64))))
            .collect();
        tasks.push(tokio::spawn(self.clone().external_writer(Dice::new(seed + 100))));
        match faults {
            Faults::None => {}
            Faults::OfNodes => tasks.push(tokio::spawn(self.clone().faults(Dice::new(seed + 200)))),
            Faults::OfServer => {
                let faults = self.clone().faults_of_the_server(Dice::new(seed + 200));
                tasks.push(tokio::spawn(faults));
            }
        }
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        self.is_over.store(true, Ordering::Relaxed);
        for task in tasks {
            task.await.unwrap();
        }
        for node in 0..self.addresses.len() {
            for pair in 0..PAIRS {
                let mut shown = None;
                for _ in 0..100 {
                    shown = self.read(node, PAIR, &json!({"pair": pair}), &mut Etags::new()).await;
                    if shown.is_some() {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                assert_eq!(shown.map(|rows| rows.len()), Some(2), "node {node} has not recovered");
            }
        }
        let rows = self
            .database
            .external("SELECT id || ' ' || single || ' ' || \"both\" FROM accounts")
            .unwrap();
        let rows: Vec<_> = rows.iter().map(|row| parse(row)).collect();
        let cluster = Arc::into_inner(self).unwrap();
        let (violations, tally) = cluster.history.judge(&rows);
        // Without the macro, whose output the test runner keeps to itself.
        let line = format!(
            "\n{name}, {} nodes, {:.0?}: {tally:?}\n",
            cluster.addresses.len(),
            begun.elapsed()
        );
        std::io::stderr().write_all(line.as_bytes()).unwrap();
        assert!(
            violations.is_empty(),
            "{} violations, seed {seed}:\n{}",
            violations.len(),
            violations.join("\n")
        );
        assert!(
            tally.reads > 0 && tally.not_modified > 0 && tally.writes > 0 && tally.external > 0,
            "{tally:?}"
        );
        assert!(faults == Faults::None || tally.faults > 0);
    }
}

/// Random numbers that a seed decides: splitmix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

type Etags = std::collections::HashMap<String, String>;

fn id(number: usize) -> String {
    format!("account-{number}")
}

fn parse(row: &str) -> (String, Counts) {
    let cells: Vec<&str> = row.split(' ').collect();
    (
        cells[0].to_owned(),
        Counts { single: cells[1].parse().unwrap(), both: cells[2].parse().unwrap() },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_one_file_serve_nothing_stale_and_lose_no_write_under_faults() {
    let database = Database::Sqlite(tempfile::tempdir().unwrap());
    Cluster::start(database).await.run("SQLite", Faults::OfNodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_on_postgresql_serve_nothing_stale_and_lose_no_write_under_faults() {
    let Some(server) = Postgres::start() else { return };
    server.create("cluster");
    Cluster::start(Database::Postgres(server)).await.run("PostgreSQL", Faults::OfNodes).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_serve_nothing_stale_while_postgresql_stalls_or_ends_their_checks() {
    let Some(server) = Postgres::start() else { return };
    server.create("cluster");
    let cluster = Cluster::start(Database::Postgres(server)).await;
    cluster.run("PostgreSQL that fails", Faults::OfServer).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_behind_a_pooler_serve_nothing_stale_and_lose_no_write() {
    let Some(server) = Postgres::start() else { return };
    server.create("cluster");
    let Some(pooler) = Pooler::start(&server, "cluster") else { return };
    Cluster::start(Database::Pooled(pooler, server))
        .await
        .run("PostgreSQL behind PgBouncer", Faults::None)
        .await;
}
