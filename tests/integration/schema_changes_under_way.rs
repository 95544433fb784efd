//! Other programs change the schema under a running server: answers whose versions are no longer
//! reliable have no validator, and everything else still works. `migrate repair` fixes it.

use std::process::Output;

use freshql::config::Mode;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LOCATION, ETAG, IF_NONE_MATCH};
use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::{Answer, MERCHANT, TestApp, UPDATE, project, url, url_with};
use crate::program::of_project;

const PRODUCTS: &str = "query B { products(first: 1) { totalCount } }";

struct Scene {
    app: TestApp,
    /// An external writer.
    other: Connection,
    id: String,
    /// The URL of one merchant.
    merchant: String,
    /// A URL that does not depend on merchants.
    products: String,
}

impl Scene {
    async fn new() -> Self {
        let project = project();
        std::fs::write(project.path().join("queries/tests/products.graphql"), PRODUCTS).unwrap();
        let app = TestApp::start_in(project, Mode::Trusted, |_| {}).await;
        let (id, _) = app.create_merchant("Guarded").await;
        let other = Connection::open(app.database()).unwrap();
        let merchant = url_with(MERCHANT, &json!({"id": id}));
        Self { app, other, id, merchant, products: url(PRODUCTS) }
    }

    /// Changes the merchant as an external writer; checks that its new name is shown.
    async fn rename(&self, name: &str) {
        self.other.execute("UPDATE merchants SET name = ? WHERE id = ?", (name, &self.id)).unwrap();
        let answer = self.app.get(&self.merchant).await;
        assert_eq!(answer.json()["data"]["merchant"]["name"], name);
    }

    async fn again(&self, path: &str, etag: &str) -> Answer {
        self.app.get_with(path, &[(IF_NONE_MATCH, etag)]).await
    }

    async fn set_city(&self, city: &str, expected_etag: Option<&str>) -> Answer {
        let variables =
            json!({"id": self.id, "patch": {"city": city}, "expectedEtag": expected_etag});
        self.app.post(&url(UPDATE), &json!({"variables": variables})).await
    }

    async fn token(&self) -> String {
        self.app.get(&self.merchant).await.json()["data"]["merchant"]["etag"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Nothing about merchants can be validated, but everything else can.
    async fn assert_unguarded(&self, why: &str) {
        for name in ["Once", "Twice"] {
            self.rename(name).await;
            let answer = self.app.get(&self.merchant).await;
            assert_eq!((answer.status, answer.header(CACHE_CONTROL)), (StatusCode::OK, "no-store"));
            assert!(
                !answer.headers.contains_key(ETAG) && answer.json().get("extensions").is_none()
            );
            assert!(answer.headers.contains_key(CONTENT_LOCATION));
        }
        let refused = self.set_city("Bruges", Some(&self.token().await)).await;
        refused.assert_error(503, "DATABASE_UNAVAILABLE");
        assert!(refused.json()["errors"][0]["message"].as_str().unwrap().contains("Merchant"));
        assert_eq!(self.set_city("Ghent", None).await.status, 200, "who expects nothing may write");
        let ready = self.app.get("/readyz").await;
        ready.assert_problem(503);
        let detail = ready.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("Merchant: ")
                && detail.contains(why)
                && detail.contains("migrate repair"),
            "{detail}"
        );
        assert!(!detail.contains("Product: "), "{detail}");
        self.assert_validates(&self.products).await;
    }

    /// Answers at this URL have a validator, and are stored.
    async fn assert_validates(&self, path: &str) {
        let etag = self.app.get(path).await.etag().to_owned();
        assert_eq!(self.again(path, &etag).await.status, 304, "{path}");
    }

    async fn assert_repaired(&self) {
        let (repaired, status) = (self.run("repair"), self.run("status"));
        assert!(repaired.status.success(), "{}", String::from_utf8_lossy(&repaired.stderr));
        assert!(status.status.success());
        assert_eq!(self.app.get("/readyz").await.status, 200);
        self.assert_validates(&self.merchant).await;
        let etag = self.app.get(&self.merchant).await.etag().to_owned();
        self.rename("After the repair").await;
        assert_eq!(self.again(&self.merchant, &etag).await.status, 200);
        let token = self.token().await;
        let (first, second) =
            tokio::join!(self.set_city("A", Some(&token)), self.set_city("B", Some(&token)));
        let mut statuses = [first.status.as_u16(), second.status.as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    }

    fn run(&self, command: &str) -> Output {
        migrate(&self.app.directory, command)
    }
}

fn migrate(project: &TempDir, command: &str) -> Output {
    of_project(project.path()).args(["migrate", command]).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// As sqlite-utils, Alembic and Django alter a table.
fn rebuild(connection: &Connection, table: &str, change: impl Fn(&str) -> String) {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name = ?";
    let create: String = connection.query_row(sql, [table], |row| row.get(0)).unwrap();
    let create = change(&create.replacen(table, "new_table", 1));
    let sql = "SELECT group_concat(name, ', ') FROM pragma_table_info('new_table')";
    connection.execute_batch("PRAGMA foreign_keys = OFF; BEGIN").unwrap();
    connection.execute_batch(&create).unwrap();
    let columns: String = connection.query_row(sql, [], |row| row.get(0)).unwrap();
    connection
        .execute_batch(&format!(
            "INSERT INTO new_table SELECT {columns} FROM {table}; DROP TABLE {table};
             ALTER TABLE new_table RENAME TO {table}; COMMIT"
        ))
        .unwrap();
}

#[tokio::test]
async fn a_dropped_trigger_ends_validators_for_its_entity_alone_until_it_is_repaired() {
    let scene = Scene::new().await;
    let [merchant, products] = [&scene.merchant, &scene.products];
    let (old, old_token) = (scene.app.get(merchant).await.etag().to_owned(), scene.token().await);
    assert_eq!(scene.again(merchant, &old).await.status, 304);
    scene.app.get(products).await;
    scene.other.execute_batch("DROP TRIGGER _freshql_merchants_updated").unwrap();
    scene.assert_unguarded("trigger `_freshql_merchants_updated` on `merchants` is missing").await;
    assert_eq!(scene.again(merchant, &old).await.status, 200);

    for command in ["status", "new"] {
        let output = match command {
            "status" => scene.run("status"),
            _ => migrate_new(&scene.app.directory),
        };
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(
            said.contains("_freshql_merchants_updated") && said.contains("migrate repair"),
            "{said}"
        );
    }
    let repaired = scene.run("repair");
    assert!(
        text(&repaired.stdout).contains("made the trigger `_freshql_merchants_updated`"),
        "{repaired:?}"
    );
    scene.assert_repaired().await;
    assert_eq!(text(&scene.run("repair").stdout), "nothing to repair\n");
    // Validators from the time without the trigger are no longer accepted.
    assert_eq!(scene.again(merchant, &old).await.status, 200);
    scene.set_city("Old", Some(&old_token)).await.assert_error(412, "PRECONDITION_FAILED");
}

fn migrate_new(project: &TempDir) -> Output {
    of_project(project.path()).args(["migrate", "new", "next"]).output().unwrap()
}

#[tokio::test]
async fn a_table_that_another_program_rebuilds_is_unguarded_until_it_is_repaired() {
    let scene = Scene::new().await;
    rebuild(&scene.other, "merchants", str::to_owned);
    scene.assert_unguarded("is missing").await;
    scene.assert_repaired().await;
}

#[tokio::test]
async fn a_table_that_lost_its_versions_is_answered_again_after_the_repair() {
    let scene = Scene::new().await;
    let without_version = |create: &str| {
        let lines: Vec<&str> = create.lines().filter(|line| !line.contains("_version")).collect();
        lines.join("\n").replace(",\n)", "\n)").replace(",\n) STRICT", "\n) STRICT")
    };
    rebuild(&scene.other, "merchants", without_version);
    scene.app.get(&scene.merchant).await.assert_error(503, "DATABASE_UNAVAILABLE");
    scene.assert_validates(&scene.products).await;
    scene.assert_repaired().await;
}

#[tokio::test]
async fn a_unique_key_that_the_triggers_do_not_know_is_seen() {
    let scene = Scene::new().await;
    scene.other.execute_batch("CREATE UNIQUE INDEX by_site ON merchants (website)").unwrap();
    scene.assert_unguarded("is not the one that this model needs").await;
    scene.assert_repaired().await;
}

/// SQLite fires the newest trigger first: if it ignores a change, ours do not see it.
#[tokio::test]
async fn a_trigger_of_its_author_that_can_hide_changes_ends_validators_until_it_is_dropped() {
    let scene = Scene::new().await;
    for event in ["UPDATE", "INSERT", "DELETE"] {
        let old = scene.app.get(&scene.merchant).await.etag().to_owned();
        let sql = format!(
            "CREATE TRIGGER hides AFTER {event} ON merchants BEGIN SELECT RAISE(IGNORE); END"
        );
        scene.other.execute_batch(&sql).unwrap();
        for city in ["Hidden", "Hidden again"] {
            scene
                .other
                .execute("UPDATE merchants SET city = ? WHERE id = ?", (city, &scene.id))
                .unwrap();
            let answer = scene.again(&scene.merchant, &old).await;
            assert_eq!(
                (answer.status, answer.header(CACHE_CONTROL)),
                (StatusCode::OK, "no-store"),
                "{event}"
            );
            assert_eq!(answer.json()["data"]["merchant"]["city"], city);
            assert!(!answer.headers.contains_key(ETAG));
        }
        let refused = scene.set_city("Lost", Some(&scene.token().await)).await;
        refused.assert_error(503, "DATABASE_UNAVAILABLE");
        let ready = scene.app.get("/readyz").await;
        ready.assert_problem(503);
        let detail = ready.json()["detail"].as_str().unwrap().to_owned();
        assert!(
            detail.contains("Merchant: the trigger `hides` on `merchants` says RAISE(IGNORE)"),
            "{detail}"
        );
        assert!(
            detail.contains("say BEFORE")
                && !detail.contains("repair")
                && !detail.contains("Product"),
            "{detail}"
        );
        scene.assert_validates(&scene.products).await;
        let status = scene.run("status");
        assert!(!status.status.success() && text(&status.stderr).contains("`hides`"), "{status:?}");
        let repair = scene.run("repair");
        assert!(
            !repair.status.success() && text(&repair.stderr).contains("say BEFORE"),
            "{repair:?}"
        );

        scene.other.execute_batch("DROP TRIGGER hides").unwrap();
        scene.assert_validates(&scene.merchant).await;
        assert_eq!(
            scene.again(&scene.merchant, &old).await.status,
            200,
            "{event}: it has perhaps hidden something"
        );
    }
    // A trigger that can only prevent changes hides none.
    scene
        .other
        .execute_batch("CREATE TRIGGER keeps DELETE ON merchants BEGIN SELECT RAISE(IGNORE); END;")
        .unwrap();
    scene.assert_validates(&scene.merchant).await;
}

#[tokio::test]
async fn rows_deleted_by_a_hidden_cascade_are_not_served_from_the_cache() {
    let scene = Scene::new().await;
    let products = "query P { products(first: 100) { totalCount } }";
    let registered = scene.app.admin(http::Method::PUT, &url(products), products).await;
    assert_eq!(registered.status, 201);
    scene
        .other
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             CREATE TRIGGER hides AFTER DELETE ON products BEGIN SELECT RAISE(IGNORE); END",
        )
        .unwrap();
    let count = async || {
        let answer = scene.app.get(&url(products)).await;
        assert!(answer.status == 200 && !answer.headers.contains_key(ETAG), "{}", answer.text());
        answer.json()["data"]["products"]["totalCount"].as_i64().unwrap()
    };
    let before = count().await;
    let sql = "DELETE FROM merchants WHERE id = (SELECT merchant_id FROM products WHERE id NOT IN
        (SELECT product_id FROM reviews) LIMIT 1)";
    scene.other.execute_batch("DELETE FROM reviews").unwrap();
    assert_eq!(scene.other.execute(sql, []).unwrap(), 1);
    let there: i64 =
        scene.other.query_row("SELECT count(*) FROM products", [], |row| row.get(0)).unwrap();
    assert!(there < before);
    assert_eq!(count().await, there);
}

#[tokio::test]
async fn rows_displaced_by_a_new_unique_key_are_invalidated() {
    // In the end, the key exists or has been dropped again before anybody has noticed; in one
    // transaction, and in several.
    for (begin, end) in [
        ("", ""),
        ("BEGIN;", "COMMIT;"),
        ("", "DROP INDEX by_site;"),
        ("BEGIN;", "DROP INDEX by_site; COMMIT;"),
    ] {
        let scene = Scene::new().await;
        scene
            .other
            .execute("UPDATE merchants SET website = 'https://x.example' WHERE id = ?", [&scene.id])
            .unwrap();
        let etag = scene.app.get(&scene.merchant).await.etag().to_owned();
        let token = scene.token().await;
        assert_eq!(scene.again(&scene.merchant, &etag).await.status, 304);
        scene
            .other
            .execute_batch(&format!(
                "{begin} CREATE UNIQUE INDEX by_site ON merchants (website);
                 INSERT OR REPLACE INTO merchants (id, name, description, city, website)
                   VALUES ('01900000-0000-7000-8000-00000000abcd', 'Displaces', '', 'X', 'https://x.example'); {end}"
            ))
            .unwrap();
        let answer = scene.again(&scene.merchant, &etag).await;
        assert_eq!(
            (answer.status, &answer.json()["data"]["merchant"]),
            (StatusCode::OK, &serde_json::Value::Null)
        );
        let refused = scene.set_city("Lost", Some(&token)).await;
        assert!(refused.status == 503 || refused.status == 404, "{}", refused.text());
        assert_eq!(answer.headers.contains_key(ETAG), end.contains("DROP"));
    }
}

#[tokio::test]
async fn a_trigger_dropped_for_a_while_has_missed_changes() {
    let scene = Scene::new().await;
    let (etag, token) =
        (scene.app.get(&scene.merchant).await.etag().to_owned(), scene.token().await);
    // How large amounts of data are loaded: in one transaction, so that nobody ever sees that the
    // trigger is missing.
    let sql = "SELECT sql FROM sqlite_schema WHERE name = '_freshql_merchants_updated'";
    let create: String = scene.other.query_row(sql, [], |row| row.get(0)).unwrap();
    scene
        .other
        .execute_batch(&format!(
            "BEGIN; DROP TRIGGER _freshql_merchants_updated; UPDATE merchants SET city = 'Loaded'; {create}; COMMIT"
        ))
        .unwrap();
    let answer = scene.again(&scene.merchant, &etag).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["data"]["merchant"]["city"], "Loaded");
    scene.set_city("Lost", Some(&token)).await.assert_error(412, "PRECONDITION_FAILED");
    assert_eq!(scene.app.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn a_migration_of_another_release_ends_trust_until_the_server_restarts() {
    let scene = Scene::new().await;
    let path = scene.app.directory.path().join("migrations/0099_newer.sql");
    std::fs::write(path, "ALTER TABLE merchants ADD COLUMN colour TEXT;").unwrap();
    assert!(scene.run("up").status.success());
    let answer = scene.app.get(&scene.products).await;
    assert!(answer.status == 200 && !answer.headers.contains_key(ETAG));
    let ready = scene.app.get("/readyz").await;
    ready.assert_problem(503);
    assert!(
        ready.text().contains("0099_newer was applied after this server started"),
        "{}",
        ready.text()
    );
}

#[tokio::test]
async fn a_server_does_not_start_on_an_unguarded_database_unless_it_may_repair_it() {
    let Scene { app, other, merchant, .. } = Scene::new().await;
    let etag = app.get(&merchant).await.etag().to_owned();
    other.execute_batch("DROP TRIGGER _freshql_merchants_deleted").unwrap();
    let config = freshql::config::Config { migrate: false, ..app.config.clone() };
    let Err(freshql::app::StartError::Mistakes(mistakes)) = freshql::app::start(config).await
    else {
        panic!("it starts on a database without a trigger")
    };
    assert!(mistakes[0].message.contains("_freshql_merchants_deleted"));
    assert!(mistakes[0].help.as_deref().unwrap().contains("migrate repair"));
    // `serve --migrate`.
    let app = app.restart().await;
    let answer = app.get_with(&merchant, &[(IF_NONE_MATCH, &etag)]).await;
    assert_eq!((answer.status, answer.headers.contains_key(ETAG)), (StatusCode::OK, true));
}
