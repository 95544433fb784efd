//! Mutations that are sent to PostgreSQL in one flight: what is compared without a check, and what
//! happens if something is in the way.

use std::process::Stdio;
use std::time::Duration;

use freshql::config::{Database, Mode};
use http::HeaderName;
use serde_json::{Value, json};

use crate::harness::{Answer, MERCHANT, TestApp, UPDATE, project, url, url_with};
use crate::postgres::Postgres;
use crate::program::of_project;
use crate::wiretap::Wiretap;

/// A server with a single connection for writing, which therefore has run each statement before.
struct Shop {
    app: TestApp,
    tap: Wiretap,
    server: Postgres,
    id: String,
}

impl Shop {
    async fn open() -> Option<Self> {
        let server = Postgres::start()?;
        server.create("shop");
        let tap = Wiretap::start(server.socket()).await;
        let database: Database = format!("{}&writers=1", tap.url("shop")).parse().unwrap();
        let app =
            TestApp::start_in(project(), Mode::Trusted, |config| config.database = database).await;
        let (id, _) = app.create_merchant("The shop").await;
        Some(Self { app, tap, server, id })
    }

    fn run(&self, sql: &str) -> Vec<String> {
        self.server.run("shop", sql)
    }

    async fn update(&self, patch: Value, token: Option<&str>) -> Answer {
        self.update_with(patch, token, &[]).await
    }

    async fn update_with(
        &self,
        patch: Value,
        token: Option<&str>,
        headers: &[(HeaderName, &str)],
    ) -> Answer {
        let variables = json!({"id": self.id, "patch": patch, "expectedEtag": token});
        self.app.post_with(&url(UPDATE), &json!({"variables": variables}), headers).await
    }

    /// A token of the current row.
    async fn token(&self) -> String {
        let answer = self.app.get(&url_with(MERCHANT, &json!({"id": self.id}))).await;
        answer.json()["data"]["merchant"]["etag"].as_str().unwrap().to_owned()
    }

    /// Sends updates with tokens until one takes no check; returns the last token.
    async fn warm(&self) -> String {
        let mut token = self.token().await;
        for round in 0..100 {
            self.tap.take();
            let answer = self.update(json!({"country": format!("{round}")}), Some(&token)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            token = token_of(&answer);
            // A background check belongs to the update before it.
            if self.tap.take() == (1, 0) {
                return token;
            }
        }
        panic!("a check goes in front of every token");
    }

    /// After a change, the other server notices first, and from then on its tokens are new.
    async fn tokens_agree_after(&self, other: &TestApp, change: impl FnOnce()) {
        for _ in 0..2 {
            assert_eq!(self.update(json!({"country": "Here"}), None).await.status, 200);
        }
        change();
        let url = url_with(MERCHANT, &json!({"id": self.id}));
        assert_eq!(other.get(&url).await.status, 200);
        let answer = self.update(json!({"country": "There"}), None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let token = other.get(&url).await.json()["data"]["merchant"]["etag"].clone();
        assert_eq!(token, token_of(&answer));
    }
}

fn token_of(answer: &Answer) -> String {
    answer.json()["data"]["updateMerchant"]["etag"].as_str().unwrap().to_owned()
}

/// Each changes the row, but not its version.
const ALTERATIONS: [&str; 4] = [
    "ALTER TABLE merchants ALTER COLUMN city TYPE text COLLATE \"C\" USING upper(city) || '!'",
    "ALTER TABLE merchants DISABLE TRIGGER zz_freshql_version, DISABLE TRIGGER zz_freshql_log;
     UPDATE merchants SET city = 'Behind the triggers'' back';
     ALTER TABLE merchants ENABLE ALWAYS TRIGGER zz_freshql_version, ENABLE ALWAYS TRIGGER zz_freshql_log",
    "DO $do$ DECLARE version text := pg_get_functiondef('_freshql_merchants_version'::regproc); BEGIN
       CREATE OR REPLACE FUNCTION _freshql_merchants_version() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
       UPDATE merchants SET city = 'While the function was another';
       EXECUTE version;
     END $do$",
    "CREATE TABLE others AS SELECT * FROM merchants; ALTER TABLE merchants RENAME TO aside;
     ALTER TABLE aside DISABLE TRIGGER zz_freshql_version, DISABLE TRIGGER zz_freshql_log;
     UPDATE aside SET city = 'Under another name';
     ALTER TABLE aside ENABLE ALWAYS TRIGGER zz_freshql_version, ENABLE ALWAYS TRIGGER zz_freshql_log;
     ALTER TABLE aside RENAME TO merchants; DROP TABLE others",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_compared_without_a_check_and_is_stale_after_ddl_by_hand() {
    let Some(shop) = Shop::open().await else { return };
    for alteration in ALTERATIONS {
        let token = shop.warm().await;
        shop.run(alteration);
        let answer = shop.update(json!({"country": "Late"}), Some(&token)).await;
        answer.assert_error(412, "PRECONDITION_FAILED");
        assert_eq!(shop.run("SELECT 1 FROM merchants WHERE country = 'Late'"), [""; 0]);
        let token = shop.token().await;
        assert_eq!(shop.update(json!({"country": "New"}), Some(&token)).await.status, 200);
    }
    // Changing nothing that matters makes the server plan again, but refuses nobody.
    let token = shop.warm().await;
    shop.run("ANALYZE merchants; ALTER TABLE merchants SET (fillfactor = 90)");
    let mut token = Some(token);
    for _ in 0..3 {
        let answer = shop.update(json!({"website": "https://example.com"}), token.as_deref()).await;
        if answer.status == 412 {
            // A table's settings are part of its definition.
            token = Some(shop.token().await);
            continue;
        }
        assert_eq!(answer.status, 200, "{}", answer.text());
        token = Some(token_of(&answer));
    }
    let stale = token.clone();
    assert_eq!(shop.update(json!({"country": "A"}), token.as_deref()).await.status, 200);
    let answer = shop.update(json!({"country": "B"}), stale.as_deref()).await;
    answer.assert_error(412, "PRECONDITION_FAILED");
}

/// Changes rows, but not their versions, and takes a while.
const LONG: &str = "ALTER TABLE merchants ALTER COLUMN city TYPE text COLLATE \"C\" USING city || '+'; SELECT pg_sleep(1)";

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_stale_after_ddl_for_which_the_first_update_on_a_connection_had_to_wait() {
    let Some(shop) = Shop::open().await else { return };
    let next = project();
    std::fs::write(next.path().join("migrations/0003_long.postgres.sql"), LONG).unwrap();
    let mut migration = of_project(next.path());
    migration.args(["--database", &shop.tap.url("shop"), "migrate", "up"]);
    let mut by_hand = shop.server.client("shop");
    by_hand.args(["-c", LONG]);
    for (command, field) in [(&mut by_hand, "country"), (&mut migration, "website")] {
        let token = shop.token().await;
        let mut altering = command.stdout(Stdio::null()).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        let answer = shop.update(json!({field: "https://example.com"}), Some(&token)).await;
        assert!(altering.wait().unwrap().success());
        answer.assert_error(412, "PRECONDITION_FAILED");
        let row = format!("SELECT {field} FROM merchants WHERE id = '{}'", shop.id);
        assert_eq!(shop.run(&row), [""]);
        let token = shop.token().await;
        let answer = shop.update(json!({field: "https://example.com"}), Some(&token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(shop.token().await, token_of(&answer));
    }
}

/// Each makes every token another one, and concerns another table only.
const ELSEWHERE: [&str; 3] = [
    "ALTER TABLE reviews ADD COLUMN theirs integer",
    "ALTER FUNCTION _freshql_products_log() COST 200",
    "ALTER TABLE products DISABLE TRIGGER zz_freshql_version;
     ALTER TABLE products ENABLE ALWAYS TRIGGER zz_freshql_version",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_an_answer_is_of_the_schema_as_it_stands_after_a_change_elsewhere() {
    let Some(shop) = Shop::open().await else { return };
    let database: Database = shop.tap.url("shop").parse().unwrap();
    let other =
        TestApp::start_in(project(), Mode::Trusted, |config| config.database = database).await;
    for alteration in ELSEWHERE {
        shop.tokens_agree_after(&other, || drop(shop.run(alteration))).await;
    }
    // A migration of the next release, which does nothing to the model's tables.
    let next = project();
    let file = next.path().join("migrations/0003_notes.postgres.sql");
    std::fs::write(file, "CREATE TABLE notes (id integer);\n").unwrap();
    let migrate = || {
        let mut command = of_project(next.path());
        command.args(["--database", &shop.tap.url("shop"), "migrate", "up"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    shop.tokens_agree_after(&other, migrate).await;
}

/// Each changes the row once more, in another way, after an update of its name has changed it.
const BEHIND: [&str; 5] = [
    "CREATE TRIGGER again AFTER UPDATE ON merchants FOR EACH ROW WHEN (pg_trigger_depth() = 0) EXECUTE FUNCTION again()",
    "CREATE TRIGGER again AFTER UPDATE ON merchants REFERENCING NEW TABLE AS news FOR EACH STATEMENT EXECUTE FUNCTION all_again()",
    "CREATE CONSTRAINT TRIGGER again AFTER UPDATE ON merchants DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
       WHEN (NEW.name <> OLD.name) EXECUTE FUNCTION again()",
    // By way of another table.
    "CREATE TABLE names (id uuid, name text REFERENCES merchants (name) ON UPDATE CASCADE);
     INSERT INTO names SELECT id, name FROM merchants;
     CREATE TRIGGER again AFTER UPDATE ON names FOR EACH ROW EXECUTE FUNCTION again()",
    "CREATE TABLE notes (id uuid);
     CREATE TRIGGER again AFTER INSERT ON notes FOR EACH ROW EXECUTE FUNCTION again();
     CREATE RULE again AS ON UPDATE TO merchants WHERE NEW.name <> OLD.name DO ALSO INSERT INTO notes VALUES (NEW.id)",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_an_answer_is_that_of_the_row_as_it_stands_whatever_happens_behind() {
    let Some(shop) = Shop::open().await else { return };
    shop.run(
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           UPDATE merchants SET city = city || '+' WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE FUNCTION all_again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF pg_trigger_depth() = 1 THEN UPDATE merchants SET city = city || '+' WHERE id IN (SELECT id FROM news); END IF;
           RETURN NULL; END $$",
    );
    let row = format!("SELECT city FROM merchants WHERE id = '{}'", shop.id);
    for (number, behind) in BEHIND.iter().enumerate() {
        shop.warm().await;
        shop.run(behind);
        let mut token = None;
        for round in 0..3 {
            let before = shop.run(&row).remove(0);
            let patch = json!({"name": format!("Shop {number} {round}")});
            // What a rule does comes first, and no token is that of the row then.
            let token_given = token.as_deref().filter(|_| !behind.contains("RULE"));
            let answer = shop.update(patch, token_given).await;
            assert_eq!(answer.status, 200, "{behind}: {}", answer.text());
            assert_eq!(shop.run(&row), [format!("{before}+")], "{behind}");
            let city = &answer.json()["data"]["updateMerchant"]["city"];
            // At the commit, the answer is made already.
            if !behind.contains("DEFERRED") {
                assert_eq!(*city, format!("{before}+"), "{behind}");
            }
            token = Some(shop.token().await);
            if *city == format!("{before}+") {
                assert_eq!(token, Some(token_of(&answer)), "{behind}");
            } else {
                assert_ne!(token, Some(token_of(&answer)), "{behind}");
            }
        }
        shop.run(
            "DROP RULE IF EXISTS again ON merchants; DROP TABLE IF EXISTS names, notes; DROP TRIGGER IF EXISTS again ON merchants",
        );
    }
}

/// A deferred trigger that fails as often as the sequence `failures` says, in this way.
fn failing(how: &str) -> String {
    format!(
        "CREATE SEQUENCE failures;
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF nextval('failures') <= current_setting('freshql.failures')::int THEN {how} END IF;
           RETURN NULL; END $$;
         ALTER DATABASE shop SET freshql.failures = '0';
         CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON merchants DEFERRABLE INITIALLY DEFERRED
           FOR EACH ROW EXECUTE FUNCTION fail()"
    )
}

/// From now on, this many commits fail; connections learn it when they are opened.
fn fail(shop: &Shop, times: u32) {
    shop.run(&format!(
        "ALTER DATABASE shop SET freshql.failures = '{times}'; ALTER SEQUENCE failures RESTART;
         SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
           WHERE datname = 'shop' AND pid <> pg_backend_pid()"
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn serialization_failures_are_retried_three_times() {
    let Some(shop) = Shop::open().await else { return };
    for (round, code) in ["40001", "40P01"].into_iter().enumerate() {
        shop.run("DROP SEQUENCE IF EXISTS failures; DROP FUNCTION IF EXISTS fail CASCADE");
        shop.run(&failing(&format!("RAISE EXCEPTION 'in the way' USING ERRCODE = '{code}';")));
        fail(&shop, 3);
        let answer = shop.update(json!({"city": format!("Third time {round}")}), None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        fail(&shop, 100);
        let token = shop.token().await;
        let answer = shop.update(json!({"city": "Never"}), Some(&token)).await;
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert!(!answer.header("retry-after").is_empty());
        assert_eq!(shop.token().await, token, "nothing was written");
        fail(&shop, 0);
        assert_eq!(shop.update(json!({"city": "Now"}), Some(&token)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mutation_that_has_begun_is_finished_though_its_client_has_gone_and_one_that_waits_is_not_run()
 {
    let Some(shop) = Shop::open().await else { return };
    shop.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF NEW.city = 'Slow' AND OLD.city <> 'Slow' THEN PERFORM pg_sleep(1); END IF; RETURN NEW; END $$;
         CREATE TRIGGER slow BEFORE UPDATE ON merchants FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let patience = Duration::from_millis(300);
    let begun = tokio::time::timeout(patience, shop.update(json!({"city": "Slow"}), None));
    let waiting = async {
        tokio::time::sleep(patience / 2).await;
        tokio::time::timeout(patience, shop.update(json!({"country": "Never"}), None)).await
    };
    let (begun, waiting) = tokio::join!(begun, waiting);
    assert!(begun.is_err() && waiting.is_err());
    // It takes the only connection after the first.
    assert_eq!(shop.update(json!({"website": "https://example.com"}), None).await.status, 200);
    let row = format!(
        "SELECT city, country IS DISTINCT FROM 'Never' FROM merchants WHERE id = '{}'",
        shop.id
    );
    assert_eq!(shop.run(&row), ["Slow|t"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_at_commit_is_reported_as_unknown_or_resolved_by_its_key() {
    let Some(shop) = Shop::open().await else { return };
    shop.run(&failing("PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5);"));
    fail(&shop, 1);
    let answer = shop.update(json!({"city": "Perhaps"}), None).await;
    answer.assert_error(503, "DATABASE_UNAVAILABLE");
    assert_eq!(answer.json()["errors"][0]["extensions"]["outcome"], "UNKNOWN");
    fail(&shop, 1);
    let key = [(HeaderName::from_static("idempotency-key"), "asked-again")];
    let changes = "SELECT count(*) FROM _freshql_change WHERE entity = 'Merchant'";
    let before: i64 = shop.run(changes)[0].parse().unwrap();
    let first = shop.update_with(json!({"city": "Surely"}), None, &key).await;
    assert_eq!(first.status, 200, "{}", first.text());
    let again = shop.update_with(json!({"city": "Surely"}), None, &key).await;
    assert_eq!(first.text(), again.text());
    let after: i64 = shop.run(changes)[0].parse().unwrap();
    assert_eq!(after, before + 1, "it took effect once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_server_has_closed_is_not_used() {
    let Some(shop) = Shop::open().await else { return };
    let mut token = shop.warm().await;
    for round in 0..3 {
        shop.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE datname = 'shop' AND pid <> pg_backend_pid()",
        );
        // Time for the wiretap to pass on the end.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let answer = shop.update(json!({"city": format!("Closed {round}")}), Some(&token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        token = token_of(&answer);
    }
}
