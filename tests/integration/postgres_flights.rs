//! How often a server on PostgreSQL sends requests to the database, and how the database runs them.

use std::time::Duration;

use freshql::config::{Consistency, Mode};
use http::HeaderName;
use http::header::IF_NONE_MATCH;
use serde_json::{Value, json};

use crate::harness::{CREATE, DELETE, TestApp, UPDATE, project, url, url_with};
use crate::plans::{run_by_indexes, statements_on};
use crate::postgres::Postgres;
use crate::wiretap::Wiretap;

const DETAIL: &str = "query Detail($id: ID!) {
  merchant(id: $id) { id name city products(first: 20) { nodes { id name price status createdAt } totalCount } }
}";
const LIST: &str = "query List($city: String!) {
  merchants(where: {city: {eq: $city}}, first: 20) {
    nodes { id name products(first: 3) { nodes { id name reviews(first: 2) { nodes { id rating } } } } }
  }
}";
const TWICE: &str = "mutation Twice($a: ID!, $b: ID!, $patch: MerchantPatch!, $token: String) {
  a: updateMerchant(id: $a, patch: $patch) { id etag }
  b: updateMerchant(id: $b, patch: $patch, expectedEtag: $token) { id etag products(first: 2) { nodes { id price } } }
}";
const DEEP: &str = "mutation Deep($id: ID!, $patch: ProductPatch!) {
  updateProduct(id: $id, patch: $patch) { id name merchant { id name } }
}";

/// A market with tables large enough for the planner to use their indexes.
const FILL: &str = "
  INSERT INTO merchants (id, name, description, city)
    SELECT gen_random_uuid(), 'Shop ' || n, 'Sells things.', 'City ' || n % 200 FROM generate_series(1, 4000) AS n;
  INSERT INTO products (id, sku, name, description, price, status, merchant_id)
    SELECT gen_random_uuid(), 'S' || n, 'Product ' || n, '', n % 100, 'ACTIVE', merchants.id
    FROM merchants, generate_series(1, 5) AS n;
  INSERT INTO reviews (id, rating, title, body, author, product_id)
    SELECT gen_random_uuid(), 3, 'So so', '', 'Somebody', products.id FROM products, generate_series(1, 2) AS n;
  ANALYZE";

struct Market {
    app: TestApp,
    tap: Wiretap,
    server: Postgres,
}

impl Market {
    async fn open(consistency: Consistency) -> Option<Self> {
        let server = Postgres::start()?;
        server.create("market");
        let tap = Wiretap::start(server.socket()).await;
        let directory = project();
        for (name, text) in [("detail", DETAIL), ("list", LIST), ("twice", TWICE), ("deep", DEEP)] {
            std::fs::write(directory.path().join(format!("queries/{name}.graphql")), text).unwrap();
        }
        let database = tap.url("market").parse().unwrap();
        let app = TestApp::start_in(directory, Mode::Trusted, |config| {
            (config.database, config.consistency) = (database, consistency);
        })
        .await;
        server.run("market", "TRUNCATE merchants CASCADE");
        server.run("market", FILL);
        // The server must have seen all of it, or it would count as later than what is read first.
        while app.get("/readyz").await.status != 200 {}
        Some(Self { app, tap, server })
    }

    fn ids(&self, table: &str) -> Vec<String> {
        self.server.run("market", &format!("SELECT id FROM {table} ORDER BY id LIMIT 50"))
    }

    /// Sends a request; returns the answer, its number of round trips, and its number of checks.
    async fn get(
        &self,
        path: &str,
        headers: &[(HeaderName, &str)],
        status: u16,
    ) -> (String, (usize, usize)) {
        self.settle().await;
        let answer = self.app.get_with(path, headers).await;
        assert_eq!(answer.status, status, "{}", answer.text());
        (answer.etag().to_owned(), self.tap.take())
    }

    async fn post(
        &self,
        text: &str,
        variables: Value,
        headers: &[(HeaderName, &str)],
    ) -> (Value, (usize, usize)) {
        self.settle().await;
        let answer =
            self.app.post_with(&url(text), &json!({"variables": variables}), headers).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        (answer.json()["data"].clone(), self.tap.take())
    }

    /// Waits until background requests have ended.
    async fn settle(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if self.tap.take() == (0, 0) {
                return;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_takes_a_flight_for_each_level_a_mutation_one_and_a_304_a_check() {
    let Some(market) = Market::open(Consistency::Strict).await else { return };
    let (merchants, products) = (market.ids("merchants"), market.ids("products"));
    // The first requests prepare statements, which costs no round trip, and open connections, which
    // does.
    for merchant in &merchants[..6] {
        market.app.get(&url_with(DETAIL, &json!({"id": merchant}))).await;
    }
    let (_, trips) = market.get(&url_with(DETAIL, &json!({"id": merchants[7]})), &[], 200).await;
    assert_eq!(trips, (1, 0), "a miss needs no check");
    let path = url_with(LIST, &json!({"city": "City 7"}));
    let (etag, trips) = market.get(&path, &[], 200).await;
    assert_eq!(trips, (3, 0));
    let (_, trips) = market.get(&path, &[(IF_NONE_MATCH, &etag)], 304).await;
    // Once a second, the definition of the tables is inspected, too.
    assert!(trips.0 == 0 && (1..=2).contains(&trips.1), "{trips:?}");

    let update = |id: &str, token: Value| json!({"id": id, "patch": {"description": "New."}, "expectedEtag": token});
    market.post(UPDATE, update(&merchants[0], Value::Null), &[]).await;
    let (data, trips) = market.post(UPDATE, update(&merchants[1], Value::Null), &[]).await;
    let token = data["updateMerchant"]["etag"].clone();
    // In the background, the server reads what it has written.
    assert!(trips.0 == 1 && trips.1 <= 2, "{trips:?}");
    let (data, trips) = market.post(UPDATE, update(&merchants[1], token.clone()), &[]).await;
    assert!(
        trips.0 == 2 && (2..=5).contains(&trips.1),
        "{trips:?}: the first time on a connection, a token is compared between two checks"
    );
    let next = data["updateMerchant"]["etag"].clone();
    let (_, trips) = market.post(UPDATE, update(&merchants[1], next), &[]).await;
    assert!(trips.0 == 1 && trips.1 <= 2, "{trips:?}: later, without a check in front");
    let input = json!({"input": {"name": "Here", "description": "", "city": "Ghent"}});
    let (data, trips) = market.post(CREATE, input, &[]).await;
    assert_eq!(trips.0, 1);
    let (_, trips) = market.post(DELETE, json!({"id": data["createMerchant"]["id"]}), &[]).await;
    assert_eq!(trips.0, 1);
    let both =
        json!({"a": merchants[2], "b": merchants[1], "patch": {"country": "BE"}, "token": null});
    let (_, trips) = market.post(TWICE, both.clone(), &[]).await;
    assert_eq!(trips.0, 1, "two fields, one of them with a list");
    let deep = json!({"id": products[0], "patch": {"name": "Deep"}});
    let (data, trips) = market.post(DEEP, deep, &[]).await;
    assert_eq!(
        (&data["updateProduct"]["name"], trips.0),
        (&json!("Deep"), 3),
        "two levels and a COMMIT"
    );
    let once = [(HeaderName::from_static("idempotency-key"), "the-only-one")];
    let (first, trips) = market.post(UPDATE, update(&merchants[3], Value::Null), &once).await;
    assert_eq!(trips.0, 2, "the answer is kept in the same transaction");
    let (again, _) = market.post(UPDATE, update(&merchants[3], Value::Null), &once).await;
    assert_eq!(first, again);

    // If one expectation fails, everything is undone.
    let both =
        json!({"a": merchants[2], "b": merchants[1], "patch": {"country": "NL"}, "token": token});
    market
        .app
        .post(&url(TWICE), &json!({"variables": both}))
        .await
        .assert_error(412, "PRECONDITION_FAILED");
    market
        .app
        .post(&url(UPDATE), &json!({"variables": update(&merchants[1], token)}))
        .await
        .assert_error(412, "PRECONDITION_FAILED");
    let sql = "SELECT count(*) FROM merchants WHERE country = 'NL'";
    assert_eq!(market.server.run("market", sql), ["0"]);
    let twice = "SELECT count(*) FROM _freshql_change WHERE entity = 'Merchant' AND op = 'D'";
    assert_eq!(market.server.run("market", twice), ["1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn within_a_bound_no_answer_precedes_what_the_server_knows() {
    let bound = "bounded 60000ms".parse().unwrap();
    let Some(market) = Market::open(bound).await else { return };
    let merchants = market.ids("merchants");
    // With this bound, nobody asks for others' changes in between.
    let path = url_with(DETAIL, &json!({"id": merchants[0]}));
    for round in 0..5 {
        let before = market.app.get(&path).await.etag().to_owned();
        let name = format!("Written {round}");
        let patch = json!({"id": merchants[0], "patch": {"name": name}});
        assert_eq!(market.app.post(&url(UPDATE), &json!({"variables": patch})).await.status, 200);
        let answer = market.app.get_with(&path, &[(IF_NONE_MATCH, &before)]).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["data"]["merchant"]["name"]),
            (200, &json!(name))
        );
        // A read of another document shows an external write; whoever saw it gets no older answer.
        market.server.run(
            "market",
            &format!("UPDATE merchants SET city = 'Far {round}' WHERE id = '{}'", merchants[0]),
        );
        let other = url_with(crate::harness::MERCHANT, &json!({"id": merchants[0]}));
        let shown = market.app.get(&format!("{other}&round={round}")).await;
        if shown.status == 200 && shown.json()["data"]["merchant"]["city"] == format!("Far {round}")
        {
            let answer = market.app.get(&path).await;
            assert_eq!(answer.json()["data"]["merchant"]["city"], format!("Far {round}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_planned_once_and_run_by_indexes() {
    let Some(market) = Market::open(Consistency::Strict).await else { return };
    let merchants = market.ids("merchants");
    market.app.get(&url_with(DETAIL, &json!({"id": merchants[0]}))).await;
    market.app.get(&url_with(LIST, &json!({"city": "City 7"}))).await;
    let patch = json!({"id": merchants[1], "patch": {"description": "New."}, "expectedEtag": null});
    assert_eq!(market.app.post(&url(UPDATE), &json!({"variables": patch})).await.status, 200);
    assert_eq!(
        market.app.post(&url(DELETE), &json!({"variables": {"id": merchants[2]}})).await.status,
        200
    );

    let tables = ["merchants", "products", "reviews"];
    let all = statements_on(&market.tap, &tables);
    let texts: Vec<&str> = all.iter().map(|(sql, _)| sql.as_str()).collect();
    // Six from answers, and from mutations two that change, three that check, two that read.
    assert!(all.len() >= 11, "{texts:#?}");
    run_by_indexes(&market.server.url("market"), &tables, &all).await;
}
