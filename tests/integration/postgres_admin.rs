//! Commands on a PostgreSQL database: what migrations create, what `check` finds, and what `repair`
//! restores.

use std::path::Path;

use freshql::config::Database;
use freshql::model::{Model, parse};
use freshql::store::Admin;
use freshql::store::admin::rehearse;
use freshql::store::schema::difference::step;
use freshql::store::schema::migrations::{self, Dialect, MigrateError, Migrations};

use crate::postgres::Postgres;

fn model(sdl: &str) -> Model {
    parse("schema.graphql", sdl).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{sdl}")).model
}

fn demo() -> (Model, Migrations) {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let migrations = Migrations::read_for(&top.join("migrations"), Dialect::Postgres).unwrap();
    (model(&std::fs::read_to_string(top.join("schema.graphql")).unwrap()), migrations)
}

fn database(postgres: &Postgres, name: &str) -> Database {
    postgres.url(name).parse().unwrap()
}

/// A migrated database for this model.
fn migrated(postgres: &Postgres, name: &str, sdl: &str) -> (Admin, Model) {
    postgres.create(name);
    let (folder, model) = (tempfile::tempdir().unwrap(), model(sdl));
    let first = step(&Migrations::default(), &model).unwrap().unwrap();
    migrations::add(folder.path(), "create", &first.sqlite, &first.postgres).unwrap();
    let migrations = Migrations::read_for(folder.path(), Dialect::Postgres).unwrap();
    let mut admin = Admin::open(&database(postgres, name)).unwrap();
    admin.migrate(&migrations).unwrap_or_else(|error| panic!("{error}"));
    (admin, model)
}

fn messages(admin: &Admin, model: &Model) -> Vec<String> {
    admin.check(model).unwrap().into_iter().map(|problem| problem.message).collect()
}

#[test]
fn any_number_of_programs_migrate_at_once_and_each_file_is_applied_by_one() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("demo");
    let (model, migrations) = demo();
    let database = database(&postgres, "demo");
    let applied: usize = std::thread::scope(|scope| {
        let up = || {
            Admin::open(&database)
                .unwrap()
                .migrate(&migrations)
                .unwrap_or_else(|e| panic!("{e}"))
                .len()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(up)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(applied, migrations.files.len());
    let admin = Admin::open(&database).unwrap();
    let status = admin.status(&migrations).unwrap();
    assert!(status.is_current() && status.applied.len() == applied, "{status:?}");
    assert!(
        status.applied[0].applied_at.ends_with('Z') && status.applied[0].applied_at.len() == 24
    );
    assert_eq!(messages(&admin, &model), Vec::<String>::new());
    assert!(admin.has_epoch().unwrap());
    assert_eq!(admin.tables().unwrap(), ["merchants", "products", "reviews"]);
    assert_eq!(
        postgres.run("demo", "SELECT count(*) FROM _freshql_meta WHERE key = 'history'"),
        ["1"]
    );
}

#[test]
fn a_mistake_in_a_migration_has_a_place_and_leaves_no_trace() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("mistakes");
    let database = database(&postgres, "mistakes");
    let folder = tempfile::tempdir().unwrap();
    let mistake_of = |text: &str| {
        std::fs::write(folder.path().join("0001_a.sql"), text).unwrap();
        let migrations = Migrations::read_for(folder.path(), Dialect::Postgres).unwrap();
        let MigrateError::Files(mut mistakes) =
            Admin::open(&database).unwrap().migrate(&migrations).unwrap_err()
        else {
            panic!("{text}");
        };
        let MigrateError::Files(again) = rehearse(&database, &migrations).unwrap_err() else {
            panic!("{text}")
        };
        assert_eq!(again, mistakes);
        assert_eq!(
            postgres.run(
                "mistakes",
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            ),
            Vec::<String>::new()
        );
        let mistake = mistakes.remove(0);
        (text[mistake.span].to_owned(), mistake.message)
    };
    let (place, message) =
        mistake_of("CREATE TABLE é (x int);\r\n-- ü\r\nINSERT INTO é\r\n  VALUES (1), (nowhere);");
    assert_eq!(place, "nowhere");
    assert!(message.contains("nowhere"), "{message}");
    let (place, message) = mistake_of("CREATE TABLE a (x int);\nSELECT 1/0;");
    assert_eq!((place.as_str(), message.as_str()), ("SELECT 1/0;", "division by zero"));
    let (place, message) = mistake_of("CREATE TABLE a (x int); COMMIT; SELECT 1");
    assert_eq!((place.as_str(), message.starts_with("`COMMIT` in a migration")), ("COMMIT", true));
    let (place, _) = mistake_of("CREATE TABLE a (x int); DO $$ BEGIN COMMIT; END $$;");
    assert_eq!(place, "DO $$ BEGIN COMMIT; END $$;");
    let (place, message) = mistake_of("CREATE TABLE a (x int); COPY a FROM stdin;");
    assert_eq!(place, "COPY a FROM stdin;");
    assert!(message.contains("no data"), "{message}");
    // No scratch database is left behind.
    let databases = postgres
        .run("postgres", "SELECT datname FROM pg_database WHERE datname LIKE '\\_freshql%'");
    assert_eq!(databases, Vec::<String>::new());
}

const SDL: &str = r#"
type Shop @entity { id: ID! @id name: String! @unique goods: [Good!]! @derivedFrom(field: "shop") }
type Good @entity { id: ID! @id weight: Float @index note: String shop: Shop @relation(onDelete: SET_NULL) }
"#;

#[test]
fn dropped_triggers_are_found_and_repaired_with_new_versions() {
    let Some(postgres) = Postgres::start() else { return };
    let (mut admin, model) = migrated(&postgres, "damage", SDL);
    let run = |sql: &str| postgres.run("damage", sql);
    run(
        "INSERT INTO shops (id, name) VALUES ('s', 'S'); INSERT INTO goods (id, shop_id) VALUES ('a', 's'), ('b', 's')",
    );
    assert_eq!(messages(&admin, &model), Vec::<String>::new());
    let versions = || run("SELECT min(_version) FROM goods")[0].parse::<i64>().unwrap();
    for (damage, message, renews) in [
        (
            "DROP TRIGGER zz_freshql_log ON goods",
            "trigger `zz_freshql_log` on `goods` is missing",
            true,
        ),
        (
            "DROP TRIGGER zz_freshql_truncate ON goods",
            "trigger `zz_freshql_truncate` on `goods` is missing: nobody would see",
            false,
        ),
        (
            "ALTER TABLE goods DISABLE TRIGGER USER",
            "trigger `zz_freshql_version` on `goods` is disabled",
            true,
        ),
        (
            "ALTER TABLE goods ENABLE TRIGGER zz_freshql_log",
            "`zz_freshql_log` on `goods` does not fire always",
            true,
        ),
        (
            "DROP FUNCTION _freshql_goods_log() CASCADE",
            "function `_freshql_goods_log` is missing",
            true,
        ),
        (
            "CREATE OR REPLACE FUNCTION _freshql_goods_version() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
            "function `_freshql_goods_version` is not the one",
            true,
        ),
        (
            "ALTER FUNCTION _freshql_goods_log() SET search_path = \"$user\", public",
            "function `_freshql_goods_log` is not the one",
            true,
        ),
        (
            "ALTER FUNCTION _freshql_goods_log() SECURITY INVOKER",
            "function `_freshql_goods_log` is not the one",
            true,
        ),
        (
            "ALTER FUNCTION _freshql_goods_log() RESET extra_float_digits",
            "function `_freshql_goods_log` is not the one",
            true,
        ),
        ("ALTER TABLE goods DROP COLUMN _version", "column `goods._version` is missing", true),
        ("DROP TABLE _freshql_change CASCADE", "table `_freshql_change` is missing", false),
        ("DROP TABLE _freshql_run, _freshql_note", "table `_freshql_run` is missing", false),
        (
            "DROP FUNCTION _freshql_fold, _freshql_part",
            "function `_freshql_part` is missing",
            false,
        ),
        ("DROP INDEX goods_weight_idx", "index over `goods` (weight) is missing", false),
        ("DELETE FROM _freshql_meta", "", false),
    ] {
        let before = versions();
        run(damage);
        let found = messages(&admin, &model);
        assert!(
            found.iter().any(|found| found.contains(message)) || message.is_empty(),
            "{damage}: {found:?}"
        );
        let repaired = admin
            .repair(&model, &Migrations::default())
            .unwrap_or_else(|error| panic!("{damage}: {error}"));
        assert!(!repaired.done.is_empty(), "{damage}: {repaired:?}");
        assert_eq!(messages(&admin, &model), Vec::<String>::new(), "{damage}");
        assert_eq!(versions() > before, renews, "{damage}: {repaired:?}");
        assert!(admin.has_epoch().unwrap());
        if message.is_empty() {
            continue;
        }
        assert_eq!(
            run("SELECT entity FROM _freshql_change ORDER BY xid DESC, seq DESC LIMIT 1"),
            ["/schema"],
            "{damage}"
        );
    }
    assert!(
        admin.repair(&model, &Migrations::default()).unwrap().done.is_empty(),
        "nothing is left to do"
    );
}

#[test]
fn check_reports_what_no_version_can_see() {
    let Some(postgres) = Postgres::start() else { return };
    let (admin, model) = migrated(&postgres, "unseen", SDL);
    for (made, unmade, message) in [
        (
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
          CREATE TRIGGER zzz BEFORE UPDATE ON goods FOR EACH ROW EXECUTE FUNCTION theirs()",
            "DROP TRIGGER zzz ON goods",
            "`zzz` on `goods` fires behind freshql's",
        ),
        (
            "CREATE TABLE more () INHERITS (goods)",
            "DROP TABLE more",
            "`more` inherits from `goods`",
        ),
        (
            "ALTER TABLE goods ALTER COLUMN note TYPE integer USING NULL",
            "ALTER TABLE goods ALTER COLUMN note TYPE text COLLATE \"C\" USING NULL",
            "column `goods.note` is integer, and its values would not fit",
        ),
        (
            "ALTER TABLE goods ALTER COLUMN note TYPE varchar(9)",
            "ALTER TABLE goods ALTER COLUMN note TYPE text COLLATE \"C\"",
            "column `goods.note` is character varying(9)",
        ),
        (
            "ALTER TABLE goods ALTER COLUMN note SET NOT NULL",
            "ALTER TABLE goods ALTER COLUMN note DROP NOT NULL",
            "is NOT NULL, and may be null",
        ),
        (
            "ALTER TABLE goods DROP CONSTRAINT goods_shop_id_fkey",
            "ALTER TABLE goods ADD CONSTRAINT goods_shop_id_fkey FOREIGN KEY (shop_id) REFERENCES shops ON DELETE SET NULL",
            "`goods.shop_id` has no foreign key to `shops`",
        ),
        (
            "ALTER TABLE goods ADD COLUMN must integer NOT NULL",
            "ALTER TABLE goods DROP COLUMN must",
            "`goods.must` is NOT NULL without a default",
        ),
        (
            "ALTER TABLE goods RENAME TO away; CREATE VIEW goods AS SELECT * FROM away",
            "DROP VIEW goods; ALTER TABLE away RENAME TO goods",
            "`goods` is a view",
        ),
    ] {
        postgres.run("unseen", made);
        let found = messages(&admin, &model);
        assert!(found.iter().any(|found| found.contains(message)), "{made}: {found:?}");
        postgres.run("unseen", unmade);
        assert_eq!(messages(&admin, &model), Vec::<String>::new(), "{unmade}");
    }
}

#[test]
fn a_key_of_numbers_that_the_model_takes_for_strings_is_said_to_be_one() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("numbers");
    postgres.run("numbers", "CREATE TABLE rows (id bigint PRIMARY KEY, n int)");
    let database: Database = postgres.url("numbers").parse().unwrap();
    let admin = Admin::open(&database).unwrap();
    for column in ["", " @column(type: \"bigint\")"] {
        let sdl = format!(
            "type Row @entity(managed: false, table: \"rows\") {{ id: ID! @id{column} n: Int }}"
        );
        let said = messages(&admin, &self::model(&sdl));
        let expected = "column `rows.id` is bigint, but an ID without `@default(fn: AUTOINCREMENT)` is a string";
        assert!(said.iter().any(|message| message == expected), "{column}: {said:#?}");
    }
    let right = "type Row @entity(managed: false, table: \"rows\") { id: ID! @id @default(fn: AUTOINCREMENT) n: Int }";
    let said = messages(&admin, &self::model(right));
    assert!(said.iter().all(|message| !message.contains("is a string")), "{said:#?}");
}

#[test]
fn partitions_need_the_trigger_for_truncate_each() {
    let Some(postgres) = Postgres::start() else { return };
    let (mut admin, model) =
        migrated(&postgres, "partitions", "type Other @entity { id: ID! @id n: Int }");
    let rows = self::model(
        "type Row @entity(managed: false, table: \"rows\") { id: ID! @id @column(type: \"bigint\") n: Int }
        type Other @entity { id: ID! @id n: Int }",
    );
    let _ = model;
    postgres.run(
        "partitions",
        "CREATE TABLE rows (id text PRIMARY KEY, n int) PARTITION BY RANGE (id);
        CREATE TABLE rows_1 PARTITION OF rows FOR VALUES FROM ('a') TO ('m');
        CREATE TABLE _freshql_version (entity text, key text, version bigint, PRIMARY KEY (entity, key));
        INSERT INTO rows VALUES ('a', 1)",
    );
    assert!(messages(&admin, &rows)[0].contains("`rows` is not watched"));
    assert_eq!(admin.watch(&rows).unwrap(), ["rows"]);
    assert_eq!(messages(&admin, &rows), Vec::<String>::new());
    let version =
        postgres.run("partitions", "SELECT entity, key, version > 0 FROM _freshql_version");
    assert_eq!(version, ["/Row||t"]);
    // A partition that is added later fires the row triggers, but not the one for TRUNCATE.
    postgres.run(
        "partitions",
        "CREATE TABLE rows_2 PARTITION OF rows FOR VALUES FROM ('m') TO ('z');
        INSERT INTO rows VALUES ('n', 1); UPDATE rows SET n = 2 WHERE id = 'n'; UPDATE rows SET n = n",
    );
    assert_eq!(
        postgres.run("partitions", "SELECT entity, key FROM _freshql_version ORDER BY 1"),
        ["/Row|", "Row|n"]
    );
    assert!(messages(&admin, &rows)[0].contains("not watched"));
    assert_eq!(admin.watch(&rows).unwrap(), ["rows"]);
    assert_eq!(messages(&admin, &rows), Vec::<String>::new());
    postgres.run("partitions", "DELETE FROM _freshql_change; TRUNCATE rows_2");
    assert_eq!(postgres.run("partitions", "SELECT entity, op FROM _freshql_change"), ["Row|T"]);
    // The triggers are no longer needed when the model has no such entity.
    let others = self::model("type Other @entity { id: ID! @id n: Int }");
    assert_eq!(admin.watch(&others).unwrap(), ["rows"]);
    assert_eq!(
        postgres
            .run("partitions", "SELECT tgname FROM pg_trigger WHERE tgrelid = 'rows'::regclass"),
        Vec::<String>::new()
    );
}

const THEIRS: &str = r#"
CREATE TYPE order_status AS ENUM ('new', 'paid', 'sent');
CREATE TYPE mood AS ENUM ('so-so', 'fine');
CREATE DOMAIN email AS text CHECK (VALUE LIKE '%@%');
CREATE DOMAIN amount AS numeric(12, 2) NOT NULL;
CREATE SCHEMA archive;
CREATE TABLE archive.old_orders (id bigint PRIMARY KEY);
CREATE TABLE customers (
  id serial PRIMARY KEY,
  email email NOT NULL UNIQUE,
  full_name varchar(80) NOT NULL,
  initials char(2),
  born date,
  level text NOT NULL DEFAULT 'basic' CHECK (level IN ('basic', 'gold')),
  mood mood,
  score numeric,
  tags text[],
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE orders (
  id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  customer_id integer NOT NULL REFERENCES customers ON DELETE CASCADE,
  status order_status NOT NULL DEFAULT 'new',
  total amount,
  net numeric(12, 2) GENERATED ALWAYS AS (total * 0.8) STORED,
  placed timestamp NOT NULL,
  details jsonb NOT NULL DEFAULT '{}',
  weight real,
  is_gift boolean NOT NULL DEFAULT false
);
CREATE INDEX ON orders (customer_id, placed);
CREATE TABLE events (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE readings (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value double precision NOT NULL) PARTITION BY HASH (id);
CREATE TABLE readings_0 PARTITION OF readings FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE readings_1 PARTITION OF readings FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE VIEW rich AS SELECT * FROM customers WHERE score > 1000;
INSERT INTO customers (email, full_name, score) VALUES ('a@b', 'A', 12.345), ('c@d', 'C', 7);
INSERT INTO orders (customer_id, total, placed) VALUES (1, 10, '2026-11-22 09:30'), (1, 20.50, '2026-11-23');
INSERT INTO readings (value) SELECT n FROM generate_series(1, 10) n;
"#;

#[test]
fn an_existing_database_is_pulled_and_served_unaltered() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("theirs");
    postgres.run("theirs", THEIRS);
    let database = database(&postgres, "theirs");
    let pulled = freshql::store::admin::pull(&database).unwrap();
    insta::assert_snapshot!("model_of_a_postgresql_database", pulled.sdl);
    let model = model(&pulled.sdl);
    let shape = "SELECT attrelid::regclass, attname, atttypid::regtype FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
      WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND relname NOT LIKE '\\_freshql%' ORDER BY 1, 2;
      SELECT xmin, * FROM orders";
    let before = postgres.run("theirs", shape);

    let folder = tempfile::tempdir().unwrap();
    let first = step(&Migrations::default(), &model).unwrap().unwrap();
    migrations::add(folder.path(), "adopt", &first.sqlite, &first.postgres).unwrap();
    let mut admin = Admin::open(&database).unwrap();
    admin
        .migrate(&Migrations::read_for(folder.path(), Dialect::Postgres).unwrap())
        .unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(admin.watch(&model).unwrap(), ["customers", "orders", "readings"]);
    assert_eq!(messages(&admin, &model), Vec::<String>::new());
    assert_eq!(postgres.run("theirs", shape), before);
    assert_eq!(admin.advice(&model).unwrap(), Vec::<String>::new());

    postgres.run("theirs", "DELETE FROM _freshql_change; UPDATE orders SET total = 11 WHERE total = 10; UPDATE customers SET id = 9 WHERE id = 2; DELETE FROM customers WHERE id = 1; INSERT INTO readings (value) VALUES (1)");
    let records = postgres
        .run("theirs", "SELECT concat_ws(' ', entity, op, nullif(changed, '')) FROM _freshql_change ORDER BY xid, seq");
    assert_eq!(
        records,
        [
            "Order U total net",
            "Customer D",
            "Customer I",
            "Customer D",
            "Order D",
            "Order D",
            "Reading I"
        ]
    );
    assert_eq!(
        postgres
            .run("theirs", "SELECT entity, count(*) FROM _freshql_version GROUP BY 1 ORDER BY 1"),
        ["/Customer|1", "/Order|1", "/Reading|1", "Customer|1", "Reading|1"]
    );
}
