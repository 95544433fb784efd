//! What SQLite costs: the answers of the benchmark's three operations, written by hand for nothing
//! else.
//!
//! Every value goes from SQLite's page into the JSON; each relation is a prepared statement that
//! runs once per parent; an answer is read in one snapshot. Reads happen in the handler, on a
//! connection that the thread keeps, since on one core a hop to another thread only costs. There
//! are no ETags, no dependencies and no change log: versions are counted in the row. Writes are as
//! durable as freshql's, and share commits as its writes do.

use std::cell::RefCell;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use freshql_bench_servers::{argument, serve};
use rusqlite::config::DbConfig;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, params};
use serde::Deserialize;
use tokio::sync::oneshot;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MERCHANT: &str = "SELECT id, name, description, city FROM merchants WHERE id = ?";
const VERSION: &str = "SELECT id, _version FROM merchants WHERE id = ?";
const PRODUCTS: &str = "SELECT id, name, description, price FROM products WHERE merchant_id = ? ORDER BY name, id LIMIT 20";
const CITY: &str = "SELECT id, name, city FROM merchants WHERE city = ? ORDER BY name, id LIMIT 20";
const FIRST_PRODUCTS: &str =
    "SELECT id, name, price FROM products WHERE merchant_id = ? ORDER BY name, id LIMIT 3";
const REVIEWS: &str = "SELECT id, rating, author, body FROM reviews WHERE product_id = ? ORDER BY created_at DESC, id LIMIT 2";
const UPDATE: &str = "UPDATE merchants SET name = ?, _version = _version + 1 WHERE id = ? AND _version = ? RETURNING id, _version, name";

/// Updates that may share one commit.
const GROUP: usize = 128;

thread_local! {
    static READER: RefCell<Option<Connection>> = const { RefCell::new(None) };
}

struct App {
    database: PathBuf,
    updates: crossbeam_channel::Sender<(Update, oneshot::Sender<Option<Vec<u8>>>)>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let usage = "handwritten ADDRESS DATABASE group|each";
    let address = argument(1, usage)?;
    let database = PathBuf::from(argument(2, usage)?);
    let group = match argument(3, usage)?.as_str() {
        "group" => GROUP,
        "each" => 1,
        _ => anyhow::bail!("usage: {usage}"),
    };
    let (updates, waiting) = crossbeam_channel::bounded(4096);
    let writer = open(&database)?;
    std::thread::spawn(move || {
        if let Err(error) = write_loop(&writer, &waiting, group) {
            // Nothing works without it, and whoever measures must see that.
            eprintln!("the writer failed: {error}");
            std::process::exit(1);
        }
    });
    let routes = Router::new()
        .route("/detail", get(detail))
        .route("/list", get(list))
        .route("/etag", get(etag))
        .route("/update", post(update))
        .with_state(Arc::new(App { database, updates }));
    serve(&address, routes).await
}

/// As freshql opens its connections.
fn open(path: &Path) -> anyhow::Result<Connection> {
    let connection = Connection::open(path).with_context(|| path.display().to_string())?;
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -65_536)?;
    connection.pragma_update(None, "mmap_size", 1_i64 << 30)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.set_prepared_statement_cache_capacity(64);
    // Else statements are prepared again whenever the value of a parameter might lead to another
    // plan.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

#[derive(Deserialize)]
struct Detail {
    id: String,
}

async fn detail(State(app): State<Arc<App>>, Query(detail): Query<Detail>) -> Response {
    read(&app, |connection| {
        let mut out = Vec::with_capacity(8192);
        out.extend_from_slice(b"{\"data\":{\"merchant\":");
        let mut merchant = connection.prepare_cached(MERCHANT)?;
        let mut rows = merchant.query([&detail.id])?;
        let Some(row) = rows.next()? else {
            out.extend_from_slice(b"null}}");
            return Ok(out);
        };
        texts(&mut out, row, &["{\"id\":", ",\"name\":", ",\"description\":", ",\"city\":"])?;
        out.extend_from_slice(b",\"products\":{\"nodes\":[");
        let mut products = connection.prepare_cached(PRODUCTS)?;
        each(&mut out, &mut products, &detail.id, |out, row| {
            texts(out, row, &["{\"id\":", ",\"name\":", ",\"description\":"])?;
            price(out, row.get(3)?);
            out.push(b'}');
            Ok(())
        })?;
        out.extend_from_slice(b"]}}}}");
        Ok(out)
    })
}

/// What the first update of a merchant expects. Not measured.
async fn etag(State(app): State<Arc<App>>, Query(detail): Query<Detail>) -> Response {
    read(&app, |connection| {
        connection.prepare_cached(VERSION)?.query_row([&detail.id], |row| {
            let mut out = Vec::new();
            texts(&mut out, row, &["{\"data\":{\"merchant\":{\"id\":"])?;
            token(&mut out, row.get(1)?);
            out.extend_from_slice(b"}}}");
            Ok(out)
        })
    })
}

#[derive(Deserialize)]
struct List {
    city: String,
}

async fn list(State(app): State<Arc<App>>, Query(list): Query<List>) -> Response {
    read(&app, |connection| {
        let mut out = Vec::with_capacity(32_768);
        out.extend_from_slice(b"{\"data\":{\"merchants\":{\"nodes\":[");
        let mut merchants = connection.prepare_cached(CITY)?;
        let mut products = connection.prepare_cached(FIRST_PRODUCTS)?;
        let mut reviews = connection.prepare_cached(REVIEWS)?;
        each(&mut out, &mut merchants, &list.city, |out, merchant| {
            texts(out, merchant, &["{\"id\":", ",\"name\":", ",\"city\":"])?;
            out.extend_from_slice(b",\"products\":{\"nodes\":[");
            each(out, &mut products, text(merchant, 0)?, |out, product| {
                texts(out, product, &["{\"id\":", ",\"name\":"])?;
                price(out, product.get(2)?);
                out.extend_from_slice(b",\"reviews\":{\"nodes\":[");
                each(out, &mut reviews, text(product, 0)?, |out, review| {
                    out.extend_from_slice(b"{\"id\":");
                    string(out, text(review, 0)?);
                    out.extend_from_slice(b",\"rating\":");
                    serde_json::to_writer(&mut *out, &review.get::<_, i64>(1)?)
                        .expect("memory can be written");
                    out.extend_from_slice(b",\"author\":");
                    string(out, text(review, 2)?);
                    out.extend_from_slice(b",\"body\":");
                    string(out, text(review, 3)?);
                    out.push(b'}');
                    Ok(())
                })?;
                out.extend_from_slice(b"]}}");
                Ok(())
            })?;
            out.extend_from_slice(b"]}}");
            Ok(())
        })?;
        out.extend_from_slice(b"]}}}");
        Ok(out)
    })
}

/// Runs `run` in one snapshot, on this thread's connection.
fn read(app: &App, run: impl FnOnce(&Connection) -> rusqlite::Result<Vec<u8>>) -> Response {
    let result = READER.with_borrow_mut(|slot| {
        let connection = match slot {
            Some(connection) => connection,
            None => slot.insert(open(&app.database)?),
        };
        connection.prepare_cached("BEGIN")?.execute([])?;
        let result = run(connection);
        connection.prepare_cached("COMMIT")?.execute([])?;
        Ok::<_, anyhow::Error>(result?)
    });
    match result {
        Ok(body) => json(body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// What freshql takes, so that both read the same bytes.
#[derive(Deserialize)]
struct Request {
    variables: Update,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    id: String,
    patch: Patch,
    expected_etag: String,
}

#[derive(Deserialize)]
struct Patch {
    name: String,
}

async fn update(State(app): State<Arc<App>>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Request>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (reply, answer) = oneshot::channel();
    if app.updates.send((request.variables, reply)).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match answer.await {
        Ok(Some(body)) => json(body),
        Ok(None) => StatusCode::PRECONDITION_FAILED.into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

type Waiting = crossbeam_channel::Receiver<(Update, oneshot::Sender<Option<Vec<u8>>>)>;

/// One transaction for all that wait, at most `group` of them. None of these updates can fail
/// half-way, so a savepoint for each is not needed.
fn write_loop(connection: &Connection, waiting: &Waiting, group: usize) -> rusqlite::Result<()> {
    let mut done = Vec::with_capacity(group);
    while let Ok(first) = waiting.recv() {
        connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut next = Some(first);
        while let Some((update, reply)) = next {
            done.push((reply, apply(connection, &update)?));
            next = if done.len() < group { waiting.try_recv().ok() } else { None };
        }
        connection.prepare_cached("COMMIT")?.execute([])?;
        for (reply, body) in done.drain(..) {
            // The client may have gone.
            let _ = reply.send(body);
        }
    }
    Ok(())
}

fn apply(connection: &Connection, update: &Update) -> rusqlite::Result<Option<Vec<u8>>> {
    let Ok(version) = update.expected_etag.parse::<i64>() else { return Ok(None) };
    let mut statement = connection.prepare_cached(UPDATE)?;
    let answer = statement.query_row(params![update.patch.name, update.id, version], |row| {
        let mut out = Vec::with_capacity(256);
        out.extend_from_slice(b"{\"data\":{\"updateMerchant\":");
        texts(&mut out, row, &["{\"id\":"])?;
        token(&mut out, row.get(1)?);
        out.extend_from_slice(b",\"name\":");
        string(&mut out, text(row, 2)?);
        out.extend_from_slice(b"}}}");
        Ok(out)
    });
    answer.optional()
}

fn json(body: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Runs a statement for one parent, with commas between its rows.
fn each(
    out: &mut Vec<u8>,
    statement: &mut CachedStatement<'_>,
    parent: &str,
    mut write: impl FnMut(&mut Vec<u8>, &Row<'_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let mut rows = statement.query([parent])?;
    let mut first = true;
    while let Some(row) = rows.next()? {
        if !first {
            out.push(b',');
        }
        first = false;
        write(out, row)?;
    }
    Ok(())
}

/// The row's first columns, each behind its prefix.
fn texts(out: &mut Vec<u8>, row: &Row<'_>, prefixes: &[&str]) -> rusqlite::Result<()> {
    for (i, prefix) in prefixes.iter().enumerate() {
        out.extend_from_slice(prefix.as_bytes());
        string(out, text(row, i)?);
    }
    Ok(())
}

fn text<'r>(row: &'r Row<'_>, index: usize) -> rusqlite::Result<&'r str> {
    Ok(row.get_ref(index)?.as_str()?)
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("memory can be written");
}

fn token(out: &mut Vec<u8>, version: i64) {
    write!(out, ",\"etag\":\"{version}\"").expect("memory can be written");
}

/// Decimals are stored as whole numbers of hundredths.
fn price(out: &mut Vec<u8>, hundredths: i64) {
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    write!(out, ",\"price\":\"{whole}.{rest:02}\"").expect("memory can be written");
}
