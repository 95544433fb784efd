//! Values in the database that the model cannot express: the answer says which row holds what, the
//! log tells the operator once, no cache keeps the answer, and no row is lost from a list.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::database::{Driver, Outsider, database_of, driver};
use crate::harness::{configure, project, signal};
use crate::program::Program;
use crate::shop::Shop;

const MODEL: &str = "
enum Colour { RED GREEN }
type Part @entity {
  code: ID! @id
  price: Decimal @column(precision: 6, scale: 2)
  weight: Float
  pieces: Int
  sold: BigInt
  made: DateTime
  due: Date
  fresh: Boolean
  colour: Colour
  serial: UUID
  notes: JSON
  name: String
}
";

const FIELDS: &str = "price weight pieces sold made due fresh colour serial notes name";

/// A database like those of other programs, without the checks of our migrations.
fn shop(driver: Driver) -> Shop {
    match driver {
        Driver::Sqlite => {
            let shop = Shop::on_sqlite(MODEL, |statement| statement.replace(") STRICT", ")"));
            shop.outsider.sqlite().execute_batch(IN_SQLITE).unwrap();
            shop
        }
        Driver::Postgres => {
            let shop = Shop::on_postgres(MODEL);
            shop.outsider.execute(IN_POSTGRESQL);
            shop
        }
    }
}

const IN_SQLITE: &str = "PRAGMA ignore_check_constraints = ON;
  INSERT INTO parts (code, price, weight, pieces, sold, made, due, fresh, colour, serial, notes, name) VALUES
    ('a', 'hush', 'hush', 'hush', 'hush', 'hush', 'hush', 'hush', 'hush', 'hush', 'hush', CAST(x'ff' AS TEXT)),
    ('b', 1.5, 9e999, 2147483648, 1.5, 20260101, 20260101, 2, 1, 1, 1, x'68757368'),
    ('c', 1, 1.5, 1, 1, 'infinity', '2026-02-30', 1, 'RED', 'ABCDEF01-0000-7000-8000-000000000000', '{}', 'x')";

const IN_POSTGRESQL: &str = "
  DO $$ DECLARE checked record; BEGIN
    FOR checked IN SELECT conname FROM pg_constraint WHERE conrelid = 'parts'::regclass AND contype = 'c' LOOP
      EXECUTE format('ALTER TABLE parts DROP CONSTRAINT %I', checked.conname);
    END LOOP;
  END $$;
  ALTER TABLE parts ALTER price TYPE numeric, ALTER pieces TYPE bigint;
  INSERT INTO parts (code, price, weight, pieces, made, due, colour) VALUES
    ('a', 'NaN', 'NaN', 2147483648, 'infinity', '-infinity', 'hush'),
    ('b', 1e20, 'Infinity', -2147483649, '10000-01-01', '0044-03-15 BC', 'RED'),
    ('c', 0.001, '-Infinity', 1, '2026-11-22T09:30:00Z', '2026-11-22', NULL),
    ('d', 'Infinity', 'NaN', 1, 'infinity', '-infinity', NULL)";

/// The messages of the answer to a query for one row, by field.
fn messages(shop: &Shop, code: &str) -> String {
    let text = format!("query($code: ID!) {{ row: part(code: $code) {{ code {FIELDS} }} }}");
    let answer = shop.run(&text, &json!({"code": code})).unwrap();
    assert!(answer.etag.is_none() && answer.field_errors);
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let errors = body["errors"].as_array().unwrap().iter();
    let lines = errors.map(|error| {
        assert_eq!(body["data"]["row"][error["path"][1].as_str().unwrap()], Value::Null);
        error["message"].as_str().unwrap()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_postgresql_can_hold_and_the_model_cannot_is_named() {
    let shop = shop(Driver::Postgres);
    let all = ["a", "b", "c", "d"].map(|code| messages(&shop, code)).join("\n");
    insta::assert_snapshot!(all, @r"
    price of Part a is NaN in the database, but must be a Decimal of at most 6 digits, 2 of them after the point
    weight of Part a is NaN in the database, but must be a Float
    pieces of Part a is an integer of more than 32 bits in the database, but must be an Int of 32 bits
    made of Part a is infinite in the database, but must be a DateTime such as 2026-11-22T09:30:00.000Z
    due of Part a is infinite in the database, but must be a Date such as 2026-11-22
    colour of Part a is another string in the database, but must be a value of the enum Colour
    price of Part b is a number of too many digits in the database, but must be a Decimal of at most 6 digits, 2 of them after the point
    weight of Part b is infinite in the database, but must be a Float
    pieces of Part b is an integer of more than 32 bits in the database, but must be an Int of 32 bits
    made of Part b is a time outside the years 1 to 9999 in the database, but must be a DateTime such as 2026-11-22T09:30:00.000Z
    due of Part b is a time outside the years 1 to 9999 in the database, but must be a Date such as 2026-11-22
    price of Part c is a number of too many digits in the database, but must be a Decimal of at most 6 digits, 2 of them after the point
    weight of Part c is infinite in the database, but must be a Float
    price of Part d is infinite in the database, but must be a Decimal of at most 6 digits, 2 of them after the point
    weight of Part d is NaN in the database, but must be a Float
    made of Part d is infinite in the database, but must be a DateTime such as 2026-11-22T09:30:00.000Z
    due of Part d is infinite in the database, but must be a Date such as 2026-11-22
    ");
}

#[test]
fn what_sqlite_can_hold_and_the_model_cannot_is_named() {
    let shop = shop(Driver::Sqlite);
    let all = ["a", "b", "c"].map(|code| messages(&shop, code)).join("\n");
    insta::assert_snapshot!(all, @r"
    price of Part a is a string in the database, but must be a Decimal of at most 6 digits, 2 of them after the point
    weight of Part a is a string in the database, but must be a Float
    pieces of Part a is a string in the database, but must be an Int of 32 bits
    sold of Part a is a string in the database, but must be a BigInt
    made of Part a is a string of another form in the database, but must be a DateTime such as 2026-11-22T09:30:00.000Z
    due of Part a is a string of another form in the database, but must be a Date such as 2026-11-22
    fresh of Part a is a string in the database, but must be a Boolean
    colour of Part a is another string in the database, but must be a value of the enum Colour
    serial of Part a is a string of another form in the database, but must be a UUID in lower case
    notes of Part a is a string that is not JSON in the database, but must be JSON
    name of Part a is a string whose bytes are not UTF-8 in the database, but must be a String
    price of Part b is a floating-point number in the database, but must be a Decimal of at most 6 digits, 2 of them after the point
    weight of Part b is infinite in the database, but must be a Float
    pieces of Part b is an integer of more than 32 bits in the database, but must be an Int of 32 bits
    sold of Part b is a floating-point number in the database, but must be a BigInt
    made of Part b is a string of another form in the database, but must be a DateTime such as 2026-11-22T09:30:00.000Z
    due of Part b is a string of another form in the database, but must be a Date such as 2026-11-22
    fresh of Part b is an integer other than 0 and 1 in the database, but must be a Boolean
    colour of Part b is another string in the database, but must be a value of the enum Colour
    serial of Part b is a string of another form in the database, but must be a UUID in lower case
    name of Part b is binary data in the database, but must be a String
    made of Part c is infinite in the database, but must be a DateTime such as 2026-11-22T09:30:00.000Z
    serial of Part c is a string of another form in the database, but must be a UUID in lower case
    ");
    assert!(!all.contains("hush"), "no value is quoted");
}

#[test]
fn a_list_in_the_order_of_such_values_loses_no_row() {
    for driver in [Driver::Sqlite, Driver::Postgres] {
        let shop = shop(driver);
        let fields = match driver {
            Driver::Sqlite => "made due serial colour",
            Driver::Postgres => "weight made due colour",
        };
        let everything: BTreeSet<String> =
            shop.outsider.rows("SELECT code FROM parts").into_iter().flatten().flatten().collect();
        for (field, order) in fields.split(' ').flat_map(|f| [(f, "ASC"), (f, "DESC")]) {
            let (mut seen, mut after) = (BTreeSet::new(), Value::Null);
            let text = format!(
                "query($after: String) {{ parts(first: 1, after: $after, orderBy: [{{{field}: {order}}}]) {{
                   nodes {{ code }} pageInfo {{ hasNextPage endCursor }} }} }}"
            );
            loop {
                let page = &shop.json(&text, &json!({"after": after}))["data"]["parts"];
                let code = page["nodes"][0]["code"].as_str().unwrap_or_default().to_owned();
                assert!(seen.insert(code.clone()), "{driver:?} {field} {order}: {code} again");
                if page["pageInfo"]["hasNextPage"] == false {
                    break;
                }
                after = page["pageInfo"]["endCursor"].clone();
            }
            assert_eq!(seen, everything, "{driver:?} {field} {order}");
        }
    }
}

#[test]
fn a_cursor_that_cannot_be_written_is_an_error() {
    let shop = shop(Driver::Postgres);
    let text = "{ parts(orderBy: [{price: DESC_NULLS_LAST}]) {
      edges { cursor } nodes { code } pageInfo { startCursor endCursor } } }";
    let answer = shop.run(&text.replace("edges { cursor }", ""), &json!({})).unwrap();
    insta::assert_snapshot!(String::from_utf8_lossy(&answer.body), @r#"{"data":{"parts":{"nodes":[{"code":"a"},{"code":"d"},{"code":"b"},{"code":"c"}],"pageInfo":{"startCursor":null,"endCursor":null}}},"errors":[{"message":"startCursor of Part a cannot be written, because price, which orders the list, has a value in the database that its type does not have","path":["parts","pageInfo","startCursor"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}},{"message":"endCursor of Part c cannot be written, because price, which orders the list, has a value in the database that its type does not have","path":["parts","pageInfo","endCursor"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}"#);
    assert!(answer.etag.is_none());
    let answer = shop.run(text, &json!({})).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["errors"][0]["path"], json!(["parts", "edges", 0, "cursor"]));
    // A string in a column of numbers.
    let shop = self::shop(Driver::Sqlite);
    let answer = shop.run(&text.replace("price", "weight"), &json!({})).unwrap();
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["errors"][0]["path"], json!(["parts", "edges", 0, "cursor"]));
}

#[test]
fn a_key_that_not_everybody_may_see_is_not_named() {
    let model = "type Part @entity @allow(to: [READ]) {
      code: ID! @id @allow(role: \"boss\")
      name: String
    }";
    let shop = Shop::on_sqlite(model, |statement| statement);
    shop.outsider.execute("INSERT INTO parts (code, name) VALUES ('hush', CAST(x'ff' AS TEXT))");
    let answer = shop.run("{ parts { nodes { name } } }", &json!({})).unwrap();
    let body = String::from_utf8_lossy(&answer.body);
    assert!(body.contains("name of Part is a string whose bytes are not UTF-8"), "{body}");
    assert!(!body.contains("hush"), "{body}");
}

#[tokio::test]
async fn the_log_names_the_row_once_and_no_cache_keeps_the_answer() {
    let project = project();
    configure(project.path(), "mode = \"open\"\n");
    let mut program = Program::start(project.path()).await;
    let outsider = match &program.database {
        Some(database) => database.outsider(),
        None => Outsider::of(&database_of(project.path())),
    };
    outsider.execute(match driver() {
        Driver::Sqlite => "PRAGMA ignore_check_constraints = ON",
        Driver::Postgres => "ALTER TABLE products DROP CONSTRAINT products_status_check",
    });
    outsider.execute("UPDATE products SET status = 'hush'");
    for _ in 0..3 {
        let answer = reqwest::Client::new()
            .post(format!("{}/graphql", program.address))
            .json(&json!({"query": "{ products { nodes { status } } }"}));
        let answer = answer.send().await.unwrap();
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(!answer.headers().contains_key("etag"));
        let text = answer.text().await.unwrap();
        assert!(text.contains("but must be a value of the enum Status"), "{text}");
    }
    signal(&program.process, "TERM");
    let mut lines = Vec::new();
    while let Some(line) = program.log.next_line().await.unwrap() {
        lines.extend(line.contains("products.status").then_some(line));
    }
    assert_eq!(lines.len(), 1, "{lines:#?}");
    assert!(lines[0].contains("the row whose id is 0"), "{lines:#?}");
    assert!(!lines[0].contains("hush"), "{lines:#?}");
}
