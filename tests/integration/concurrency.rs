//! Clients that read and write the same rows concurrently over HTTP: each token succeeds once, and
//! no client is shown anything that was replaced before its request began.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use freshql::config::Mode;
use http::StatusCode;
use http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use crate::database::{Driver, Outsider, driver};
use crate::harness::{Answer, DELETE, MERCHANT, TestApp, UPDATE, url, url_with};

/// A row's answer with two columns that are always written together.
const ROW: &str = "query Row($id: ID!) { merchant(id: $id) { id etag city website } }";
const ROWS: &str = "query Rows { merchants(first: 100, where: {name: {startsWith: \"Row \"}}) { nodes { id city website } totalCount } }";
const POP_UP: &str =
    "query PopUp { merchants(where: {city: {eq: \"Nowhere\"}}) { nodes { name } } }";
const WRITE: &str = "mutation Write($id: ID!, $city: String!, $website: String!) {
  updateMerchant(id: $id, patch: {city: $city, website: $website}) { id }
}";

/// A server that also knows the documents above.
async fn start() -> Arc<TestApp> {
    let app = TestApp::start_with(Mode::Trusted, |config| {
        for (name, text) in [("row", ROW), ("rows", ROWS), ("pop_up", POP_UP), ("write", WRITE)] {
            std::fs::write(
                config.dir.join("queries/tests").join(name).with_extension("graphql"),
                text,
            )
            .unwrap();
        }
    });
    Arc::new(app.await)
}

/// An external writer's connection with SQLite's defaults.
fn outsider(app: &TestApp) -> Outsider {
    let outsider = app.outsider();
    if driver() == Driver::Sqlite {
        outsider.execute("PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 5000; PRAGMA recursive_triggers = OFF");
    }
    outsider
}

/// POSTs with one token: half of them as `expectedEtag`, half as `If-Match`. Each writes a new
/// value, since writing the existing one would change nothing and leave the token valid.
async fn race(
    app: &Arc<TestApp>,
    id: &str,
    etag: &str,
    racers: usize,
    deleters: usize,
) -> Vec<Answer> {
    static RACES: AtomicU64 = AtomicU64::new(0);
    let race = RACES.fetch_add(1, SeqCst);
    let mut tasks = JoinSet::new();
    for number in 0..racers {
        let (app, id, etag) = (app.clone(), id.to_owned(), etag.to_owned());
        tasks.spawn(async move {
            let tag = format!("\"{etag}\"");
            let if_match = [(IF_MATCH, tag.as_str())];
            let patch =
                json!({"city": format!("City {race}.{number}"), "website": "https://shop.example"});
            if number < deleters {
                app.post_with(&url(DELETE), &json!({"variables": {"id": id}}), &if_match).await
            } else if number % 2 == 0 {
                app.post_with(
                    &url(UPDATE),
                    &json!({"variables": {"id": id, "patch": patch}}),
                    &if_match,
                )
                .await
            } else {
                let variables = json!({"id": id, "patch": patch, "expectedEtag": etag});
                app.post(&url(UPDATE), &json!({"variables": variables})).await
            }
        });
    }
    tasks.join_all().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_writers_with_one_token_exactly_one_wins() {
    let app = start().await;
    let (id, mut etag) = app.create_merchant("Contended").await;
    for round in 0..50 {
        let answers = race(&app, &id, &etag, 16, 0).await;
        let (won, lost): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer.status == StatusCode::OK);
        assert_eq!(won.len(), 1, "round {round}");
        let winner = won[0].json()["data"]["updateMerchant"].clone();
        for answer in lost {
            answer.assert_error(412, "PRECONDITION_FAILED");
            let extensions = answer.json()["errors"][0]["extensions"].clone();
            assert_eq!(extensions["current"], winner, "round {round}");
            assert_eq!(extensions["currentEtag"], winner["etag"], "round {round}");
            assert!(extensions["expectedEtag"].as_str().unwrap().contains(&etag));
        }
        etag = winner["etag"].as_str().unwrap().to_owned();
        let read = app.get(&url_with(MERCHANT, &json!({"id": id}))).await.json();
        assert_eq!(read["data"]["merchant"]["city"], winner["city"], "round {round}");
        assert_eq!(read["data"]["merchant"]["etag"], winner["etag"], "round {round}");
    }
    // An external write counts as well: no client has the token of the new state.
    let database = outsider(&app);
    database.execute(&format!("UPDATE merchants SET city = 'Elsewhere' WHERE id = '{id}'"));
    for answer in race(&app, &id, &etag, 4, 0).await {
        answer.assert_error(412, "PRECONDITION_FAILED");
        assert_eq!(answer.json()["errors"][0]["extensions"]["current"]["city"], "Elsewhere");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_is_deleted_or_changed_with_one_token_but_never_both() {
    let app = start().await;
    for round in 0..15 {
        let (id, etag) = app.create_merchant(&format!("Doomed {round}")).await;
        let answers = race(&app, &id, &etag, 8, 4).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
        assert_eq!(won.len(), 1, "round {round}");
        let data = won[0].json()["data"].clone();
        let read = app.get(&url_with(MERCHANT, &json!({"id": id}))).await.json();
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            answer.assert_error(412, "PRECONDITION_FAILED");
        }
        assert_eq!(
            read["data"]["merchant"]["city"], data["updateMerchant"]["city"],
            "round {round}"
        );
        assert_eq!(
            read["data"]["merchant"].is_null(),
            !data["deleteMerchant"].is_null(),
            "round {round}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_creates_with_one_unique_value_exactly_one_succeeds() {
    let app = start().await;
    for round in 0..10 {
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let app = app.clone();
            tasks.spawn(async move {
                let input =
                    json!({"name": format!("Unique {round}"), "description": "", "city": "Ghent"});
                app.post(&url(crate::harness::CREATE), &json!({"variables": {"input": input}}))
                    .await
            });
        }
        let answers = tasks.join_all().await;
        assert_eq!(
            answers.iter().filter(|answer| answer.status == StatusCode::OK).count(),
            1,
            "round {round}"
        );
        for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
            answer.assert_error(409, "CONFLICT");
        }
    }
}

/// One writer's history of one thing. It numbers its writes, so that an answer shows after which of
/// them it was read.
#[derive(Default)]
struct History {
    /// Before a write is sent.
    begun: AtomicU64,
    /// After it was acknowledged.
    acknowledged: AtomicU64,
    /// The newest one that an answer has shown.
    shown: AtomicU64,
}

/// The minimum that an answer must show, recorded before its request is sent.
struct Floor {
    acknowledged: u64,
    shown: u64,
}

impl History {
    fn begin(&self) -> u64 {
        self.begun.fetch_add(1, SeqCst) + 1
    }

    fn acknowledge(&self, number: u64) {
        self.acknowledged.store(number, SeqCst);
    }

    fn floor(&self) -> Floor {
        Floor { acknowledged: self.acknowledged.load(SeqCst), shown: self.shown.load(SeqCst) }
    }

    /// An answer to a request that was sent after `floor` was recorded shows this write.
    fn show(&self, floor: &Floor, number: u64, what: &str) {
        let begun = self.begun.load(SeqCst);
        assert!(
            number >= floor.acknowledged,
            "{what}: {number} is shown after {} was acknowledged",
            floor.acknowledged
        );
        assert!(number >= floor.shown, "{what}: {number} is shown after {} was", floor.shown);
        assert!(number <= begun, "{what}: {number} is shown, but only {begun} were written");
        self.shown.fetch_max(number, SeqCst);
    }
}

/// A client whose cache always revalidates, like a browser's; it records every representation that
/// any client has seen, since a URL and an ETag identify one.
struct Client<'a> {
    app: &'a TestApp,
    known: &'a Mutex<HashMap<(String, String), Bytes>>,
    cached: HashMap<String, (String, Bytes)>,
    not_modified: u64,
}

impl<'a> Client<'a> {
    fn new(app: &'a TestApp, known: &'a Mutex<HashMap<(String, String), Bytes>>) -> Self {
        Self { app, known, cached: HashMap::new(), not_modified: 0 }
    }

    async fn get(&mut self, path: &str) -> Json {
        let cached = self.cached.get(path).cloned();
        let headers: Vec<(HeaderName, &str)> =
            cached.iter().map(|(etag, _)| (IF_NONE_MATCH, etag.as_str())).collect();
        let answer = self.app.get_with(path, &headers).await;
        let body = match (answer.status, cached) {
            (StatusCode::NOT_MODIFIED, Some((etag, body))) => {
                assert_eq!(answer.etag(), etag);
                self.not_modified += 1;
                body
            }
            (StatusCode::OK, cached) => {
                let etag = answer.etag().to_owned();
                assert!(cached.is_none_or(|(old, _)| old != etag), "200 for what the client has");
                let mut known = self.known.lock().unwrap();
                let known = known
                    .entry((path.to_owned(), etag.clone()))
                    .or_insert_with(|| answer.body.clone());
                assert_eq!(*known, answer.body, "{path}: one ETag, two bodies");
                self.cached.insert(path.to_owned(), (etag, answer.body.clone()));
                answer.body
            }
            (status, _) => panic!("{status}: {path}"),
        };
        serde_json::from_slice(&body).unwrap()
    }
}

fn number_of(row: &Json) -> u64 {
    assert_eq!(row["city"], row["website"], "half of a write is shown");
    row["city"].as_str().unwrap().parse().unwrap()
}

/// Shared by all writers and readers of a run.
struct Stage {
    app: Arc<TestApp>,
    /// By row; the last one is written by an external writer.
    rows: Vec<(String, History)>,
    /// A row that each odd write creates and each even one deletes.
    pop_up: History,
    known: Mutex<HashMap<(String, String), Bytes>>,
    not_modified: AtomicU64,
    end: AtomicBool,
}

impl Stage {
    async fn write(&self, index: usize) {
        let (id, history) = &self.rows[index];
        while !self.end.load(SeqCst) {
            let number = history.begin();
            let text = number.to_string();
            let variables = json!({"id": id, "city": text, "website": text});
            let answer = self.app.post(&url(WRITE), &json!({"variables": variables})).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            history.acknowledge(number);
            // Pauses, in which cached answers are valid.
            tokio::time::sleep(Duration::from_millis(number % 4 * 3)).await;
        }
    }

    fn write_as_outsider(&self, index: usize) {
        let (id, history) = &self.rows[index];
        let database = outsider(&self.app);
        while !self.end.load(SeqCst) {
            let number = history.begin();
            database.execute(&format!(
                "UPDATE merchants SET city = '{number}', website = '{number}' WHERE id = '{id}'"
            ));
            history.acknowledge(number);
            std::thread::sleep(Duration::from_millis(number % 3 * 5));
        }
    }

    /// Alternates between the server and an external writer.
    async fn come_and_go(&self) {
        let database = outsider(&self.app);
        while !self.end.load(SeqCst) {
            let number = self.pop_up.begin();
            let name = format!("Pop-up {number}");
            if number.is_multiple_of(2) {
                database.execute("DELETE FROM merchants WHERE city = 'Nowhere'");
            } else if number % 4 == 1 {
                let input = json!({"name": name, "description": "", "city": "Nowhere"});
                let body = json!({"variables": {"input": input}});
                assert_eq!(
                    self.app.post(&url(crate::harness::CREATE), &body).await.status,
                    StatusCode::OK
                );
            } else {
                let (replace, conflict) = match driver() {
                    Driver::Sqlite => ("OR REPLACE", ""),
                    Driver::Postgres => ("", "ON CONFLICT (id) DO UPDATE SET name = excluded.name"),
                };
                database.execute(&format!(
                    "INSERT {replace} INTO merchants (id, name, description, city)
                     VALUES ('01900000-0000-7000-8000-00000000dead', '{name}', '', 'Nowhere') {conflict}"
                ));
            }
            self.pop_up.acknowledge(number);
            tokio::time::sleep(Duration::from_millis(number % 4 * 3)).await;
        }
    }

    async fn read(&self, reader: usize) {
        let mut client = Client::new(&self.app, &self.known);
        let mut turn = reader;
        while !self.end.load(SeqCst) {
            turn += 1;
            let before = client.not_modified;
            match turn % (self.rows.len() + 2) {
                0 => self.read_all(&mut client).await,
                1 => self.read_pop_up(&mut client).await,
                row => self.read_one(&mut client, row - 2).await,
            }
            self.not_modified.fetch_add(client.not_modified - before, SeqCst);
        }
    }

    async fn read_one(&self, client: &mut Client<'_>, index: usize) {
        let (id, history) = &self.rows[index];
        let floor = history.floor();
        let answer = client.get(&url_with(ROW, &json!({"id": id}))).await;
        history.show(&floor, number_of(&answer["data"]["merchant"]), "a row");
    }

    async fn read_all(&self, client: &mut Client<'_>) {
        let floors: Vec<Floor> = self.rows.iter().map(|(_, history)| history.floor()).collect();
        let answer = client.get(&url(ROWS)).await;
        let nodes = answer["data"]["merchants"]["nodes"].as_array().unwrap();
        assert_eq!(nodes.len(), self.rows.len());
        for ((id, history), floor) in self.rows.iter().zip(&floors) {
            let row = nodes.iter().find(|node| node["id"] == **id).unwrap();
            history.show(floor, number_of(row), "a row of a list");
        }
    }

    async fn read_pop_up(&self, client: &mut Client<'_>) {
        let floor = self.pop_up.floor();
        let answer = client.get(&url(POP_UP)).await;
        let nodes = answer["data"]["merchants"]["nodes"].as_array().unwrap();
        match nodes.first() {
            Some(node) => {
                let number =
                    node["name"].as_str().unwrap().trim_start_matches("Pop-up ").parse().unwrap();
                self.pop_up.show(&floor, number, "the list of pop-ups");
            }
            None => {
                // An unknown even number: only what they all have in common can be checked.
                let least = floor.acknowledged.max(floor.shown);
                let even = least + least % 2;
                assert!(
                    even <= self.pop_up.begun.load(SeqCst),
                    "the list of pop-ups: empty at {least}"
                );
                self.pop_up.shown.fetch_max(even, SeqCst);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_answered_with_a_row_replaced_before_it_began() {
    let app = start().await;
    let mut rows = Vec::new();
    for index in 0..4 {
        let (id, _) = app.create_merchant(&format!("Row {index}")).await;
        let variables = json!({"id": id, "city": "0", "website": "0"});
        assert_eq!(
            app.post(&url(WRITE), &json!({"variables": variables})).await.status,
            StatusCode::OK
        );
        rows.push((id, History::default()));
    }
    let external = rows.len() - 1;
    let stage = Arc::new(Stage {
        app,
        rows,
        pop_up: History::default(),
        known: Mutex::default(),
        not_modified: AtomicU64::new(0),
        end: AtomicBool::new(false),
    });

    let mut tasks = JoinSet::new();
    for index in 0..external {
        let stage = stage.clone();
        tasks.spawn(async move { stage.write(index).await });
    }
    let outside = tokio::task::spawn_blocking({
        let stage = stage.clone();
        move || stage.write_as_outsider(external)
    });
    let coming_and_going = tokio::task::spawn_blocking({
        let stage = stage.clone();
        // SQLite's connection stays on its thread.
        move || tokio::runtime::Handle::current().block_on(stage.come_and_go())
    });
    let mut readers = JoinSet::new();
    for reader in 0..6 {
        let stage = stage.clone();
        readers.spawn(async move { stage.read(reader).await });
    }
    let writes =
        || -> u64 { stage.rows.iter().map(|(_, history)| history.acknowledged.load(SeqCst)).sum() };
    let has_seen_enough = || writes() > 20 && stage.not_modified.load(SeqCst) > 5;
    // A slow machine gets more time.
    let (begun, least, most) = (Instant::now(), Duration::from_secs(4), Duration::from_secs(60));
    while begun.elapsed() < least || (!has_seen_enough() && begun.elapsed() < most) {
        // A reader that has found a mistake ends early.
        if let Ok(Some(Err(error))) =
            tokio::time::timeout(Duration::from_millis(50), readers.join_next()).await
        {
            stage.end.store(true, SeqCst);
            std::panic::resume_unwind(error.into_panic());
        }
    }
    stage.end.store(true, SeqCst);
    readers.join_all().await;
    tasks.join_all().await;
    outside.await.unwrap();
    coming_and_going.await.unwrap();

    let not_modified = stage.not_modified.load(SeqCst);
    assert!(
        has_seen_enough(),
        "{} writes, {not_modified} times 304: too few to say anything",
        writes()
    );
    settle(&stage).await;
}

/// After all writes: every URL has a final ETag, and only that gets a 304.
async fn settle(stage: &Stage) {
    let known = stage.known.lock().unwrap().clone();
    let mut last: HashMap<String, (String, Bytes)> = HashMap::new();
    for (path, _) in known.keys() {
        if !last.contains_key(path) {
            let answer = stage.app.get(path).await;
            last.insert(path.clone(), (answer.etag().to_owned(), answer.body.clone()));
        }
    }
    for (id, history) in &stage.rows {
        let body = &last[&url_with(ROW, &json!({"id": id}))].1;
        let row = serde_json::from_slice::<Json>(body).unwrap()["data"]["merchant"].clone();
        assert_eq!(number_of(&row), history.acknowledged.load(SeqCst));
    }
    let newest = last.iter().map(|(path, (etag, _))| (path, etag));
    for (path, etag) in newest.chain(known.keys().take(100).map(|(path, etag)| (path, etag))) {
        let answer = stage.app.get_with(path, &[(IF_NONE_MATCH, etag)]).await;
        let (newest, body) = &last[path];
        if etag == newest {
            assert_eq!(answer.status, StatusCode::NOT_MODIFIED);
        } else {
            assert_eq!((answer.status, &answer.body), (StatusCode::OK, body));
        }
        assert_eq!(answer.etag(), newest);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_program_that_holds_the_lock_delays_writes_and_no_read() {
    let app = start().await;
    let (id, etag) = app.create_merchant("Waited for").await;
    let path = url_with(MERCHANT, &json!({"id": id}));
    let before = app.get(&path).await;

    let database = outsider(&app);
    database.execute(if driver() == Driver::Sqlite { "BEGIN IMMEDIATE" } else { "BEGIN" });
    database.execute(&format!("UPDATE merchants SET city = 'Locked' WHERE id = '{id}'"));
    let writing = tokio::spawn({
        let (app, id) = (app.clone(), id.clone());
        async move { race(&app, &id, &etag, 4, 0).await }
    });
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        let answer = app.get_with(&path, &[(IF_NONE_MATCH, before.etag())]).await;
        assert_eq!(answer.status, StatusCode::NOT_MODIFIED, "what is not committed is not there");
    }
    assert!(!writing.is_finished());
    database.execute("COMMIT");
    for answer in writing.await.unwrap() {
        answer.assert_error(412, "PRECONDITION_FAILED");
        assert_eq!(answer.json()["errors"][0]["extensions"]["current"]["city"], "Locked");
    }
    let after = app.get_with(&path, &[(IF_NONE_MATCH, before.etag())]).await;
    assert_eq!(
        (after.status, &after.json()["data"]["merchant"]["city"]),
        (StatusCode::OK, &json!("Locked"))
    );
}
