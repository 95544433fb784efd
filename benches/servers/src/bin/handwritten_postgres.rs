//! What PostgreSQL costs with the usual client: the answers of the benchmark's three operations,
//! written by hand over tokio-postgres, which pipelines what is polled together. The detail is one
//! write to the socket (BEGIN, two statements, COMMIT), the list a statement per level for all
//! parents, the update one statement. There are no ETags, no dependencies and no change log:
//! versions are counted in the row.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use anyhow::Context;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use freshql_bench_servers::{argument, serve};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, NoTls, Row, Statement};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const MERCHANT: &str = "SELECT id, name, description, city FROM merchants WHERE id = $1";
const PRODUCTS: &str = "SELECT id, name, description, price::text FROM products WHERE merchant_id = $1 \
                        ORDER BY name COLLATE \"C\", id LIMIT 20";
const CITY: &str =
    "SELECT id, name, city FROM merchants WHERE city = $1 ORDER BY name COLLATE \"C\", id LIMIT 20";
const FIRST_PRODUCTS: &str = "SELECT k.id AS parent, p.id, p.name, p.price::text FROM unnest((SELECT $1::uuid[])) AS k(id) \
     CROSS JOIN LATERAL (SELECT id, name, price FROM products WHERE merchant_id = k.id \
                         ORDER BY name COLLATE \"C\", id LIMIT 3) AS p";
const REVIEWS: &str = "SELECT k.id AS parent, r.id, r.rating, r.author, r.body FROM unnest((SELECT $1::uuid[])) AS k(id) \
     CROSS JOIN LATERAL (SELECT id, rating, author, body FROM reviews WHERE product_id = k.id \
                         ORDER BY created_at DESC, id LIMIT 2) AS r";
const VERSION: &str = "SELECT id, _version FROM merchants WHERE id = $1";
const UPDATE: &str = "UPDATE merchants SET name = $1, _version = _version + 1 WHERE id = $2 AND _version = $3 \
                      RETURNING id, _version, name";

type Parameter<'a> = &'a (dyn ToSql + Sync);

/// A connection with its statements.
struct Connection {
    client: Client,
    begin: Statement,
    commit: Statement,
    merchant: Statement,
    products: Statement,
    city: Statement,
    first_products: Statement,
    reviews: Statement,
    version: Statement,
    update: Statement,
}

impl Connection {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let (client, connection) =
            tokio_postgres::connect(url, NoTls).await.context("cannot connect")?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Nothing works without it, and whoever measures must see that.
                eprintln!("a connection failed: {error}");
                std::process::exit(1);
            }
        });
        client.batch_execute("SET jit = off").await?;
        Ok(Self {
            begin: client.prepare(BEGIN).await?,
            commit: client.prepare("COMMIT").await?,
            merchant: client.prepare(MERCHANT).await?,
            products: client.prepare(PRODUCTS).await?,
            city: client.prepare(CITY).await?,
            first_products: client.prepare(FIRST_PRODUCTS).await?,
            reviews: client.prepare(REVIEWS).await?,
            version: client.prepare(VERSION).await?,
            update: client.prepare(UPDATE).await?,
            client,
        })
    }
}

struct App {
    connections: Vec<Mutex<Connection>>,
    free: tokio::sync::Semaphore,
}

impl App {
    /// Runs `run` with a connection that nobody else uses meanwhile.
    async fn with<T>(&self, run: impl AsyncFnOnce(&Connection) -> T) -> Option<T> {
        let _permit = self.free.acquire().await.ok()?;
        let connection =
            self.connections.iter().find_map(|connection| connection.try_lock().ok())?;
        Some(run(&connection).await)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let usage = "handwritten_postgres ADDRESS CONNINFO CONNECTIONS";
    let (address, url) = (argument(1, usage)?, argument(2, usage)?);
    let count: usize = argument(3, usage)?.parse().context(usage)?;
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(Mutex::new(Connection::open(&url).await?));
    }
    let routes = Router::new()
        .route("/detail", get(detail))
        .route("/list", get(list))
        .route("/etag", get(etag))
        .route("/update", post(update))
        .with_state(Arc::new(App { connections, free: tokio::sync::Semaphore::new(count) }));
    serve(&address, routes).await
}

#[derive(Deserialize)]
struct Detail {
    id: Uuid,
}

async fn detail(State(app): State<Arc<App>>, Query(Detail { id }): Query<Detail>) -> Response {
    let rows = app.with(async |connection| {
        let client = &connection.client;
        let of_id: [Parameter<'_>; 1] = [&id];
        // Polled together, they leave in one write.
        let (begun, merchant, products, committed) = tokio::join!(
            client.execute(&connection.begin, &[]),
            client.query_opt(&connection.merchant, &of_id),
            client.query(&connection.products, &of_id),
            client.execute(&connection.commit, &[]),
        );
        begun.and(committed)?;
        Ok((merchant?, products?))
    });
    answer(rows.await, |(merchant, products)| {
        let mut out = Vec::with_capacity(8192);
        out.extend_from_slice(b"{\"data\":{\"merchant\":");
        let Some(merchant) = merchant else {
            out.extend_from_slice(b"null}}");
            return out;
        };
        id_of(&mut out, &merchant, 0);
        texts(&mut out, &merchant, &[(1, "name"), (2, "description"), (3, "city")]);
        out.extend_from_slice(b",\"products\":{\"nodes\":[");
        for (n, product) in products.iter().enumerate() {
            comma(&mut out, n);
            id_of(&mut out, product, 0);
            texts(&mut out, product, &[(1, "name"), (2, "description"), (3, "price")]);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}}}}");
        out
    })
}

/// What the first update of a merchant expects. Not measured.
async fn etag(State(app): State<Arc<App>>, Query(Detail { id }): Query<Detail>) -> Response {
    let row =
        app.with(async |connection| connection.client.query_one(&connection.version, &[&id]).await);
    answer(row.await, |row| {
        let mut out = b"{\"data\":{\"merchant\":".to_vec();
        id_of(&mut out, &row, 0);
        token(&mut out, &row, 1);
        out.extend_from_slice(b"}}}");
        out
    })
}

#[derive(Deserialize)]
struct List {
    city: String,
}

/// Rows by their parents.
type Children = HashMap<Uuid, Vec<Row>>;

fn by_parent(rows: Vec<Row>) -> Children {
    let mut children = Children::new();
    for row in rows {
        children.entry(row.get(0)).or_default().push(row);
    }
    children
}

async fn list(State(app): State<Arc<App>>, Query(List { city }): Query<List>) -> Response {
    let rows = app.with(async |connection| {
        let client = &connection.client;
        let of_city: [Parameter<'_>; 1] = [&city];
        let (begun, merchants) = tokio::join!(
            client.execute(&connection.begin, &[]),
            client.query(&connection.city, &of_city)
        );
        begun?;
        let merchants = merchants?;
        let ids: Vec<Uuid> = merchants.iter().map(|row| row.get(0)).collect();
        let products = client.query(&connection.first_products, &[&ids]).await?;
        let ids: Vec<Uuid> = products.iter().map(|row| row.get(1)).collect();
        let of_ids: [Parameter<'_>; 1] = [&ids];
        let (reviews, committed) = tokio::join!(
            client.query(&connection.reviews, &of_ids),
            client.execute(&connection.commit, &[])
        );
        committed?;
        Ok((merchants, by_parent(products), by_parent(reviews?)))
    });
    answer(rows.await, |(merchants, products, reviews)| {
        let mut out = Vec::with_capacity(32_768);
        out.extend_from_slice(b"{\"data\":{\"merchants\":{\"nodes\":[");
        let of = |children: &Children,
                  id: Uuid,
                  out: &mut Vec<u8>,
                  each: &dyn Fn(&mut Vec<u8>, &Row)| {
            for (n, row) in children.get(&id).into_iter().flatten().enumerate() {
                comma(out, n);
                each(out, row);
                out.push(b'}');
            }
            out.extend_from_slice(b"]}");
        };
        for (n, merchant) in merchants.iter().enumerate() {
            comma(&mut out, n);
            id_of(&mut out, merchant, 0);
            texts(&mut out, merchant, &[(1, "name"), (2, "city")]);
            out.extend_from_slice(b",\"products\":{\"nodes\":[");
            of(&products, merchant.get(0), &mut out, &|out, product| {
                id_of(out, product, 1);
                texts(out, product, &[(2, "name"), (3, "price")]);
                out.extend_from_slice(b",\"reviews\":{\"nodes\":[");
                of(&reviews, product.get(1), out, &|out, review| {
                    id_of(out, review, 1);
                    write!(out, ",\"rating\":{}", review.get::<_, i32>(2))
                        .expect("memory can be written");
                    texts(out, review, &[(3, "author"), (4, "body")]);
                });
            });
            out.push(b'}');
        }
        out.extend_from_slice(b"]}}}");
        out
    })
}

/// What freshql takes, so that both read the same bytes.
#[derive(Deserialize)]
struct Request {
    variables: Update,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Update {
    id: Uuid,
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
    let Update { id, patch, expected_etag } = request.variables;
    let Ok(version) = expected_etag.parse::<i64>() else {
        return StatusCode::PRECONDITION_FAILED.into_response();
    };
    let row = app.with(async |connection| {
        connection.client.query_opt(&connection.update, &[&patch.name, &id, &version]).await
    });
    match row.await {
        Some(Ok(None)) => StatusCode::PRECONDITION_FAILED.into_response(),
        other => answer(other, |row| {
            let mut out = b"{\"data\":{\"updateMerchant\":".to_vec();
            let Some(row) = row else { return out };
            id_of(&mut out, &row, 0);
            token(&mut out, &row, 1);
            texts(&mut out, &row, &[(2, "name")]);
            out.extend_from_slice(b"}}}");
            out
        }),
    }
}

fn answer<T>(result: Option<Result<T, Error>>, body: impl FnOnce(T) -> Vec<u8>) -> Response {
    match result {
        Some(Ok(rows)) => {
            ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], body(rows))
                .into_response()
        }
        Some(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

fn comma(out: &mut Vec<u8>, n: usize) {
    if n > 0 {
        out.push(b',');
    }
}

/// Opens an object with its id.
fn id_of(out: &mut Vec<u8>, row: &Row, index: usize) {
    write!(out, "{{\"id\":\"{}\"", row.get::<_, Uuid>(index)).expect("memory can be written");
}

fn texts(out: &mut Vec<u8>, row: &Row, fields: &[(usize, &str)]) {
    for (index, name) in fields {
        write!(out, ",\"{name}\":").expect("memory can be written");
        serde_json::to_writer(&mut *out, row.get::<_, &str>(*index))
            .expect("memory can be written");
    }
}

fn token(out: &mut Vec<u8>, row: &Row, index: usize) {
    write!(out, ",\"etag\":\"{}\"", row.get::<_, i64>(index)).expect("memory can be written");
}
