//! What a server on PostgreSQL learns of others' commits, when, and when it has to forget what it
//! knows.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use freshql::clock::Clock;
use freshql::config::{ChangeLogLimits, Database};
use freshql::model::{Model, parse};
use freshql::store::change_log::Change;
use freshql::store::{Admin, FeedEvent, Store, Subscriber};

use crate::postgres::{Pooler, Postgres};

const SDL: &str = r#"
type Shop @entity { id: ID! @id name: String! @unique goods: [Good!]! @derivedFrom(field: "shop") }
type Good @entity {
  id: ID! @id @default(fn: AUTOINCREMENT)
  price: Decimal @column(precision: 10, scale: 2) @index
  weight: Float @index
  open: Boolean! @default(value: true) @index
  made: DateTime @index
  day: Date @index
  note: String
  shop: Shop @relation(onDelete: CASCADE)
}
"#;

fn model() -> Arc<Model> {
    Arc::new(parse("schema.graphql", SDL).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).model)
}

/// Records the events that it receives.
#[derive(Default)]
struct Told(Mutex<Vec<FeedEvent>>);

impl Subscriber for Told {
    fn receive(&self, event: &FeedEvent) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Told {
    /// The rows in the events since the last call, and how often it was told to forget.
    fn take(&self) -> (Vec<Change>, usize) {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        let forgotten = events.iter().filter(|event| **event == FeedEvent::Forgotten).count();
        let rows = events.into_iter().filter_map(|event| match event {
            FeedEvent::Batch(batch) => Some(batch.changes.rows),
            FeedEvent::Forgotten => None,
        });
        (rows.flatten().collect(), forgotten)
    }

    /// The same, with only the keys of the rows.
    #[track_caller]
    fn keys(&self) -> Vec<String> {
        let (rows, forgotten) = self.take();
        assert_eq!(forgotten, 0);
        let key = |change: Change| {
            format!("{:?}", change.id)
                .trim_start_matches("Text(\"")
                .trim_end_matches("\")")
                .to_owned()
        };
        rows.into_iter().map(key).collect()
    }
}

struct Node {
    store: Store,
    told: Arc<Told>,
}

impl Node {
    async fn open(database: &Database) -> Self {
        let store = Store::open_with_clock(database, 2, &model(), Clock::new(1000)).await.unwrap();
        let told = Arc::new(Told::default());
        store.subscribe(told.clone()).unwrap();
        Self { store, told }
    }
}

fn database(postgres: &Postgres, name: &str) -> Database {
    postgres.create(name);
    let database: Database = postgres.url(name).parse().unwrap();
    Admin::open(&database).unwrap().create(&model()).unwrap();
    database
}

/// A `psql` session that stays open.
struct Session(
    std::process::Child,
    std::process::ChildStdin,
    std::io::BufReader<std::process::ChildStdout>,
);

impl Session {
    fn begin(postgres: &Postgres, database: &str) -> Self {
        use std::process::Stdio;
        let mut psql =
            postgres.client(database).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (psql.stdin.take().unwrap(), psql.stdout.take().unwrap());
        let mut session = Self(psql, input, std::io::BufReader::new(output));
        session.run("BEGIN");
        session
    }

    /// Runs SQL and returns when it is done.
    fn run(&mut self, sql: &str) {
        use std::io::{BufRead, Write};
        writeln!(self.1, "{sql};\n\\echo done").unwrap();
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            assert!(self.2.read_line(&mut line).unwrap() > 0, "{sql}");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_commit_is_reported_once_and_delays_no_acknowledged_one() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "late");
    let Node { store, told } = Node::open(&database).await;
    let run = |sql: &str| postgres.run("late", sql);
    let insert = |id: &str| format!("INSERT INTO shops (id, name) VALUES ('{id}', '{id}')");
    let mut slow = Session::begin(&postgres, "late");
    slow.run(&insert("a"));
    for id in ["b", "c", "d"] {
        run(&insert(id));
        store.catch_up().await.unwrap();
        assert_eq!(
            told.keys(),
            [id],
            "an older transaction is open, and this one was acknowledged"
        );
    }
    let mut other = Session::begin(&postgres, "late");
    other.run(&format!(
        "SAVEPOINT s; {}; RELEASE s; SAVEPOINT t; {}; ROLLBACK TO t",
        insert("e"),
        insert("lost")
    ));
    run(&insert("f"));
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), ["f"]);
    slow.run("COMMIT");
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), ["a"]);
    other.run("PREPARE TRANSACTION 'later'");
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), Vec::<String>::new());
    run("COMMIT PREPARED 'later'");
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), ["e"]);
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), Vec::<String>::new());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_feed_reports_the_same_changes_as_on_sqlite() {
    let Some(postgres) = Postgres::start() else { return };
    let there = database(&postgres, "alike");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("here.db");
    let here = Database::Sqlite(file.clone());
    Admin::open(&here).unwrap().create(&model()).unwrap();
    let outsider = rusqlite::Connection::open(&file).unwrap();
    // SQLite learns nothing from a log without records.
    outsider.execute_batch("INSERT INTO shops (id, name) VALUES ('first', 'first')").unwrap();
    let (here, there) = (Node::open(&here).await, Node::open(&there).await);
    let long = "é".repeat(150);
    for statement in [
        "INSERT INTO shops (id, name) VALUES ('s', 'S'), ('t', 'T')",
        "INSERT INTO goods (weight, made, day, shop_id) VALUES (0.1, '2026-11-22T09:30:00.123Z', '2026-11-22', 's'), (NULL, NULL, NULL, NULL)",
        "UPDATE goods SET weight = 2, note = 'x', made = '1999-12-31T23:59:59.999Z' WHERE id = 1",
        "UPDATE goods SET shop_id = 't' WHERE id = 1",
        &format!("UPDATE shops SET name = '{long}' WHERE id = 't'"),
        "UPDATE shops SET id = 'u' WHERE id = 's'",
        "DELETE FROM shops WHERE id = 'u'",
        "DELETE FROM goods",
    ] {
        outsider.execute_batch(statement).unwrap();
        postgres.run("alike", statement);
        here.store.catch_up().await.unwrap();
        there.store.catch_up().await.unwrap();
        let marks = |node: &Node| {
            let (changes, forgotten) = node.told.take();
            assert_eq!(forgotten, 0);
            let mut marks: Vec<_> = changes.iter().flat_map(Change::marks).collect();
            marks.sort_unstable();
            marks.dedup();
            marks
        };
        let (mine, theirs) = (marks(&here), marks(&there));
        assert!(!mine.is_empty());
        assert_eq!(mine, theirs, "{statement}");
    }
    here.store.close().await;
    there.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_forgets_everything_when_it_cannot_know_what_changed() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "forget");
    let Node { store, told } = Node::open(&database).await;
    let run = |sql: &str| postgres.run("forget", sql);
    let forgotten = async || {
        store.catch_up().await.unwrap();
        told.take().1
    };
    run("INSERT INTO shops (id, name) VALUES ('a', 'a')");
    assert_eq!(forgotten().await, 0);
    // This affects one entity.
    run("TRUNCATE goods");
    store.catch_up().await.unwrap();
    let (changes, forgotten_all) = told.take();
    assert!(
        forgotten_all == 0 && changes.len() == 1 && changes[0].is_of_everything(),
        "{changes:?}"
    );
    run("INSERT INTO goods (note) SELECT n::text FROM generate_series(1, 100001) n");
    assert_eq!(forgotten().await, 1, "too many");
    run("INSERT INTO goods (note) SELECT n::text FROM generate_series(1, 1000) n");
    assert_eq!(forgotten().await, 0);
    // Others have pruned records that it has not read.
    run("INSERT INTO shops (id, name) VALUES ('b', 'b')");
    run(
        "DELETE FROM _freshql_change; UPDATE _freshql_run SET floor = pg_snapshot_xmax(pg_current_snapshot())",
    );
    assert_eq!(forgotten().await, 1);
    run("UPDATE _freshql_run SET floor = '3'");
    assert_eq!(forgotten().await, 0);
    // The database is a different one.
    for another in [
        "DELETE FROM _freshql_run",
        "UPDATE _freshql_run SET self = 1",
        "UPDATE _freshql_run SET db = 1",
    ] {
        run(another);
        assert_eq!(forgotten().await, 1, "{another}");
        assert_eq!(forgotten().await, 0);
    }
    // Missing triggers are detected at once, and everything is as before when they are back.
    run("ALTER TABLE goods DISABLE TRIGGER zz_freshql_log");
    assert_eq!(forgotten().await, 1);
    let reasons = store.guard().unwrap().reasons(&model());
    assert!(reasons.len() == 1 && reasons[0].contains("is disabled"), "{reasons:?}");
    run("ALTER TABLE goods ENABLE ALWAYS TRIGGER zz_freshql_log");
    assert_eq!(forgotten().await, 1);
    assert!(store.guard().unwrap().is_whole());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_keeps_what_a_node_may_not_have_read() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "prune");
    let Node { store, told } = Node::open(&database).await;
    let run = |sql: &str| postgres.run("prune", sql);
    let count = || run("SELECT count(*) FROM _freshql_change")[0].parse::<usize>().unwrap();
    let few = ChangeLogLimits { max_age: Duration::from_secs(3600), max_records: 10 };
    run("INSERT INTO goods (note) SELECT n::text FROM generate_series(1, 25000) n");
    let mut slow = Session::begin(&postgres, "prune");
    slow.run("INSERT INTO shops (id, name) VALUES ('slow', 'slow')");
    for n in 0..20 {
        run(&format!("INSERT INTO goods (note) VALUES ('{n}')"));
    }
    store.catch_up().await.unwrap();
    told.take();
    assert_eq!(
        store.prune(few).await.unwrap(),
        25_000,
        "what is behind the transaction that is open stays"
    );
    assert_eq!(count(), 20);
    assert_eq!(store.prune(few).await.unwrap(), 0);
    slow.run("COMMIT");
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), ["slow"]);
    assert_eq!(store.prune(few).await.unwrap(), 11);
    assert_eq!(count(), 10);
    // By age: a note that is old enough tells which transactions had ended then.
    let old = ChangeLogLimits { max_age: Duration::from_secs(60), max_records: 1000 };
    assert_eq!(store.prune(old).await.unwrap(), 0);
    run(
        "UPDATE _freshql_note SET at = at - interval '2 minutes'; INSERT INTO goods (note) VALUES ('young')",
    );
    assert_eq!(store.prune(old).await.unwrap(), 0, "then the slow one was still running");
    run("UPDATE _freshql_note SET at = at - interval '2 minutes'");
    assert_eq!(store.prune(old).await.unwrap(), 11);
    store.catch_up().await.unwrap();
    assert_eq!(told.take().1, 0);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_another_databases_log_are_not_read_and_are_deleted() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "green");
    let Node { store, told } = Node::open(&database).await;
    let run = |sql: &str| postgres.run("green", sql);
    // As logical replication of all tables brings them, from a server that is far ahead.
    run(
        "INSERT INTO _freshql_change (xid, entity, id, op) SELECT '900000000', 'Shop', n, 'U' FROM generate_series(1, 100001) n",
    );
    run("INSERT INTO shops (id, name) VALUES ('a', 'a')");
    store.catch_up().await.unwrap();
    assert_eq!(told.take().1, 0, "nothing is forgotten");
    run("UPDATE shops SET name = 'b'");
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), ["a"]);
    let limits = ChangeLogLimits { max_age: Duration::from_secs(3600), max_records: 1000 };
    store.prune(limits).await.unwrap();
    assert_eq!(run("SELECT DISTINCT id FROM _freshql_change"), ["a"]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_log_was_truncated_everything_is_forgotten() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "truncated");
    let mut nodes = vec![Node::open(&database).await];
    let pooler = Pooler::start(&postgres, "truncated");
    if let Some(pooler) = &pooler {
        nodes.push(Node::open(&pooler.url.parse().unwrap()).await);
    }
    let run = |sql: &str| postgres.run("truncated", sql);
    for sql in ["INSERT INTO shops (id, name) VALUES ('a', 'a')", "UPDATE shops SET name = 'b'"] {
        // What nobody has read.
        run(&format!("{sql};\nTRUNCATE _freshql_change"));
        for Node { store, told } in &nodes {
            store.catch_up().await.unwrap();
            assert_eq!(told.take().1, 1, "{sql}");
            store.catch_up().await.unwrap();
            assert_eq!(told.take().1, 0, "{sql}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_killed_is_opened_again_and_nothing_is_missed() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "killed");
    let Node { store, told } = Node::open(&database).await;
    let run = |sql: &str| postgres.run("killed", sql);
    for n in 0..5 {
        run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'killed' AND pid <> pg_backend_pid()",
        );
        run(&format!("INSERT INTO shops (id, name) VALUES ('{n}', '{n}')"));
        let mut tries = 0;
        while store.catch_up().await.is_err() {
            tries += 1;
            assert!(tries < 100 && store.has_lost_track());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(told.keys(), [n.to_string()]);
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_share_checks() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "shared");
    let Node { store, told } = Node::open(&database).await;
    for round in 0..20 {
        postgres
            .run("shared", &format!("INSERT INTO shops (id, name) VALUES ('{round}', '{round}')"));
        let all = (0..200).map(|_| {
            let store = store.clone();
            tokio::spawn(async move { store.catch_up().await })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap().unwrap();
        }
        assert_eq!(told.keys(), [round.to_string()]);
    }
    store.close().await;
    assert!(store.catch_up().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_learns_what_precedes_it_however_many_others_keep_arriving() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "crowded");
    let Node { store, told } = Node::open(&database).await;
    let crowd: Vec<_> = (0..64)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { while store.catch_up().await.is_ok() {} })
        })
        .collect();
    for round in 0..30 {
        postgres
            .run("crowded", &format!("INSERT INTO shops (id, name) VALUES ('{round}', '{round}')"));
        let limit = Duration::from_secs(30);
        tokio::time::timeout(limit, store.catch_up()).await.expect("it never ends").unwrap();
        assert_eq!(told.keys(), [round.to_string()]);
    }
    store.close().await;
    for one in crowd {
        one.await.unwrap();
    }
}

#[test]
fn the_statements_of_a_check_read_nothing_but_the_index() {
    let Some(postgres) = Postgres::start() else { return };
    database(&postgres, "plans");
    postgres.run(
        "plans",
        "INSERT INTO goods (note) SELECT n::text FROM generate_series(1, 100000) n; ANALYZE",
    );
    for n in 0..50 {
        postgres.run("plans", &format!("INSERT INTO shops (id, name) VALUES ('{n}', '{n}')"));
    }
    postgres
        .run("plans", "INSERT INTO goods (note) SELECT n::text FROM generate_series(1, 200000) n");
    let explain = |statement: &str, parameter: &str| {
        postgres.run("plans", &format!("SET plan_cache_mode = force_generic_plan; PREPARE s AS {statement}; EXPLAIN (ANALYZE, BUFFERS) EXECUTE s ({parameter})"))
    };
    let buffers = |plan: &[String]| {
        let line = plan.iter().find(|line| line.contains("Buffers: shared")).unwrap();
        line.split(['=', ' ']).filter_map(|word| word.parse::<u64>().ok()).sum::<u64>()
    };
    let since = "SELECT seq, entity, id, op, changed, parts FROM _freshql_change WHERE xid >= $1::xid8 ORDER BY xid, seq LIMIT 100001";
    let running = "SELECT c.seq, c.entity FROM unnest($1::xid8[]) AS x (xid) CROSS JOIN LATERAL (SELECT * FROM _freshql_change AS l
       WHERE l.xid >= x.xid AND l.xid <= x.xid ORDER BY l.xid, l.seq LIMIT 100001) AS c";
    let xmax = postgres.run("plans", "SELECT pg_snapshot_xmax(pg_current_snapshot())")[0].clone();
    let ended = postgres
        .run("plans", "SELECT xid FROM _freshql_change WHERE entity = 'Shop' ORDER BY xid LIMIT 1")
        [0]
    .clone();
    for (statement, parameter) in
        [(since, format!("'{xmax}'")), (running, format!("'{{{ended},{xmax}}}'"))]
    {
        let plan = explain(statement, &parameter);
        assert!(!plan.iter().any(|line| line.contains("Seq Scan")), "{plan:#?}");
        assert!(buffers(&plan) < 50, "{plan:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_nodes_forget_and_after_a_crash_a_new_life_begins() {
    let Some(postgres) = Postgres::start() else { return };
    let database = database(&postgres, "lives");
    let mut nodes = vec![Node::open(&database).await, Node::open(&database).await];
    // A pooler keeps its clients' connections while the server restarts.
    let pooler = Pooler::start(&postgres, "lives");
    if let Some(pooler) = &pooler {
        nodes.push(Node::open(&pooler.url.parse().unwrap()).await);
    }
    let run = |sql: &str| postgres.run("lives", sql);
    let life = || run("SELECT life FROM _freshql_run");
    run("INSERT INTO shops (id, name) VALUES ('a', 'a')");
    let (first, version) = (life(), run("SELECT _version FROM shops"));
    for (mode, is_new) in [("fast", false), ("immediate", true)] {
        postgres.restart(mode);
        for Node { store, told } in &nodes {
            let mut tries = 0;
            while store.catch_up().await.is_err() {
                tries += 1;
                assert!(tries < 200);
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let (_, forgotten) = told.take();
            assert!(forgotten >= 1, "{mode}");
            store.catch_up().await.unwrap();
            assert_eq!(told.take().1, 0);
        }
        assert_eq!(life() != first, is_new, "{mode}");
        assert_eq!(run("SELECT _version FROM shops"), version, "validators stay");
    }
    run("INSERT INTO shops (id, name) VALUES ('b', 'b')");
    for Node { store, told } in &nodes {
        store.catch_up().await.unwrap();
        assert_eq!(told.keys(), ["b"]);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_refused_until_it_is_promoted_which_begins_a_life() {
    let Some(postgres) = Postgres::start() else { return };
    let primary = database(&postgres, "standby");
    let Node { store, .. } = Node::open(&primary).await;
    let life = postgres.run("standby", "SELECT life FROM _freshql_run");
    postgres.run("standby", "INSERT INTO shops (id, name) VALUES ('a', 'a')");
    store.close().await;
    let standby = postgres.standby();
    let there: Database = standby.url("standby").parse().unwrap();
    let refused = Store::open_with_clock(&there, 1, &model(), Clock::new(10)).await;
    let Err(error) = refused else { panic!("a standby was served") };
    assert!(error.to_string().contains("standby"), "{error}");
    standby.promote();
    let Node { store, told } = Node::open(&there).await;
    assert_ne!(standby.run("standby", "SELECT life FROM _freshql_run"), life);
    standby.run("standby", "INSERT INTO shops (id, name) VALUES ('b', 'b')");
    store.catch_up().await.unwrap();
    assert_eq!(told.keys(), ["b"]);
    store.close().await;
}
