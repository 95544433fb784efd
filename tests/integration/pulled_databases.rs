//! A PostgreSQL database that was there before, with what such databases are made of: the model that
//! is pulled is right as it stands, its rows are served and written, and whatever others write
//! changes exactly the answers that show it.

use serde_json::json;

use crate::postgres::Postgres;
use crate::program::Program;
use crate::pulled::{Pulled, get, post};

const TABLES: &str = r#"
CREATE EXTENSION citext;
CREATE SCHEMA hidden;
CREATE TYPE state AS ENUM ('new', 'paid', 'Gone away');
CREATE DOMAIN email AS citext CHECK (VALUE ~ '@');
CREATE DOMAIN positive AS numeric(10,2) CHECK (VALUE > 0);
CREATE TABLE "Customer" (
  "CustomerId" serial PRIMARY KEY, "fullName" text NOT NULL, mail email UNIQUE, "order" integer, tags text[],
  prefs jsonb, raw json, since timestamp, code char(3), small smallint, any_num numeric);
CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, customer_id int NOT NULL REFERENCES "Customer" ON DELETE CASCADE,
  state state NOT NULL DEFAULT 'new', kind text NOT NULL DEFAULT 'web' CHECK (kind IN ('web', 'shop')), total positive,
  net numeric(12,4) GENERATED ALWAYS AS (total / 2) STORED, label text NOT NULL DEFAULT upper('abc'::text),
  parent_id bigint REFERENCES orders ON DELETE SET NULL);
CREATE TABLE order_line (order_id bigint REFERENCES orders, line int, PRIMARY KEY (order_id, line));
CREATE TABLE employees (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name varchar(20) NOT NULL, boss_id uuid REFERENCES employees);
CREATE TABLE readings (id int PRIMARY KEY, v double precision) PARTITION BY HASH (id);
CREATE TABLE readings_0 PARTITION OF readings FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE readings_1 PARTITION OF readings FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE "select" (id int PRIMARY KEY, "from" text, "where" int REFERENCES "select", "a b" text);
CREATE TABLE hidden.invoices (id serial PRIMARY KEY);
CREATE VIEW paid AS SELECT * FROM orders WHERE state = 'paid';
INSERT INTO "Customer" ("fullName", mail, prefs, raw, since, code)
  VALUES ('Ada', 'Ada@x.org', '{"b": 1.50, "a": 1}', '{"b": 1,  "a": 2}', '2024-03-31 02:30:00.123456', 'ab'), ('Bob', NULL, NULL, NULL, NULL, NULL);
INSERT INTO orders (customer_id, state, total) VALUES (1, 'paid', 10), (2, 'new', 5);
UPDATE "Customer" SET any_num = 1e20;
UPDATE orders SET parent_id = 1 WHERE id = 2;
INSERT INTO employees (id, name) VALUES ('0191408b-7983-7be4-aaa9-5d21c6f3b6cd', 'Eve');
INSERT INTO employees (name, boss_id) VALUES ('Fay', '0191408b-7983-7be4-aaa9-5d21c6f3b6cd');
INSERT INTO readings SELECT i, i / 2.0 FROM generate_series(1, 20) AS i;
INSERT INTO "select" VALUES (1, 'f', NULL, 'x'), (2, 'g', 1, 'y');
"#;

const CUSTOMERS: &str = "{ customers { nodes { id fullName mail order prefs raw since code } } }";
const ORDERS: &str =
    "{ orders { nodes { id state kind total net label parent { id } customer { fullName } } } }";
const PAID: &str = r#"{ orders(where: { state: { eq: "paid" } }) { totalCount nodes { id } } }"#;
const EMPLOYEES: &str =
    "{ employees { nodes { name boss { name employeesByBoss { totalCount } } } } }";
const READINGS: &str = "{ readings { totalCount nodes { id v } } }";
const SELECTS: &str = "{ selects { nodes { id from ab where { from } } } }";
const ALL: [&str; 6] = [CUSTOMERS, ORDERS, PAID, EMPLOYEES, READINGS, SELECTS];

/// What others write, and which queries that changes. The name of a type's value is in the catalogue,
/// which is part of every ETag.
const WRITES: &[(&str, &[&str])] = &[
    ("UPDATE orders SET total = 7 WHERE id = 2", &[ORDERS]),
    ("UPDATE orders SET state = 'Gone away' WHERE id = 1", &[ORDERS, PAID]),
    (
        "UPDATE \"Customer\" SET \"order\" = 3, tags = '{x}' WHERE \"CustomerId\" = 2",
        &[CUSTOMERS, ORDERS],
    ),
    ("UPDATE \"Customer\" SET tags = '{y}', any_num = 1e30", &[]),
    ("UPDATE readings_0 SET v = v + 1", &[READINGS]),
    ("TRUNCATE readings_1", &[READINGS]),
    (
        "SET session_replication_role = replica; UPDATE employees SET name = 'Eva' WHERE name = 'Eve'",
        &[EMPLOYEES],
    ),
    (
        "MERGE INTO \"select\" AS t USING (VALUES (2, 'h')) AS s (i, f) ON t.id = s.i WHEN MATCHED THEN UPDATE SET \"from\" = s.f",
        &[SELECTS],
    ),
    ("COPY \"select\" FROM PROGRAM 'printf \"9\\tf\\t1\\tz\\n\"'", &[SELECTS]),
    ("INSERT INTO hidden.invoices DEFAULT VALUES; INSERT INTO order_line VALUES (1, 1)", &[]),
    ("ALTER TYPE state RENAME VALUE 'new' TO 'fresh'", &ALL),
];

/// Mutations that the database takes, and some that it refuses.
async fn write_and_be_refused(node: &Program) {
    let made = post(node, "mutation { createOrder(input: { customerId: \"2\", total: \"12.50\", state: \"fresh\" }) { net state label } }").await;
    assert_eq!(
        made["data"]["createOrder"],
        json!({"net": "6.2500", "state": "fresh", "label": "ABC"}),
        "{made}"
    );
    for (mutation, code, log) in [
        (
            "mutation { createOrder(input: { customerId: \"2\", total: \"-1\", state: \"fresh\" }) { id } }",
            "CONFLICT",
            "",
        ),
        (
            "mutation { createOrder(input: { customerId: \"99\", total: \"1\", state: \"fresh\" }) { id } }",
            "CONFLICT",
            "",
        ),
        (
            "mutation { createCustomer(input: { fullName: \"C\", mail: \"ADA@X.ORG\" }) { id } }",
            "CONFLICT",
            "",
        ),
        (
            "mutation { createCustomer(input: { fullName: \"C\", small: 99999 }) { id } }",
            "BAD_USER_INPUT",
            "99999",
        ),
        (
            "mutation { updateOrder(id: \"1\", patch: { state: \"secret\" }) { id } }",
            "BAD_USER_INPUT",
            "secret",
        ),
    ] {
        let refused = post(node, mutation).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], code, "{mutation}: {refused}");
        assert!(log.is_empty() || !refused.to_string().contains(log), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_database_is_pulled_served_and_every_write_to_it_is_seen() {
    let Some(postgres) = Postgres::start() else { return };
    let pulled = Pulled::new(&postgres, "erp", TABLES);
    for left_out in [
        "`order_line`: its primary key has several columns",
        "`paid`: it is a view",
        "`invoices`: it is in the schema `hidden`",
    ] {
        assert!(pulled.said.contains(left_out), "{}", pulled.said);
    }
    let model = &pulled.model;
    for line in [
        "left out: `tags`, declared text[]",
        "left out: `any_num`, declared numeric",
        "net: Decimal @column(precision: 12, scale: 4) @readonly",
        "the model cannot have: upper('abc'::text) (it is NOT NULL",
        "enum OrderKind { web shop }",
    ] {
        assert!(model.contains(line), "{line} is not in\n{model}");
    }
    let node = pulled.serve().await;
    let (_, _, customers) = get(&node, CUSTOMERS, None).await;
    assert_eq!(
        customers["data"]["customers"]["nodes"][0],
        json!({"id": "1", "fullName": "Ada", "mail": "Ada@x.org", "order": null, "prefs": {"a": 1, "b": 1.5},
               "raw": {"a": 2, "b": 1}, "since": "2024-03-31T02:30:00.123Z", "code": "ab"})
    );
    let (_, _, orders) = get(&node, ORDERS, None).await;
    assert_eq!(
        orders["data"]["orders"]["nodes"][1],
        json!({"id": "2", "state": "new", "kind": "web", "total": "5.00", "net": "2.5000", "label": "ABC",
               "parent": {"id": "1"}, "customer": {"fullName": "Bob"}})
    );

    pulled.change(&node, &ALL, WRITES).await;
    let (_, _, orders) = get(&node, ORDERS, None).await;
    assert_eq!(orders["data"]["orders"]["nodes"][1]["state"], "fresh");

    write_and_be_refused(&node).await;
    let Program { mut process, mut log, .. } = node;
    process.kill().await.unwrap();
    while let Ok(Some(line)) = log.next_line().await {
        assert!(!line.contains("99999") && !line.contains("secret"), "a value in the log: {line}");
    }
}
