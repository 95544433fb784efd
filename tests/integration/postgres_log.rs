//! How the triggers on PostgreSQL treat writes, whoever makes them and how: which rows get a new
//! version, and which records are written to the change log.

use std::path::Path;

use crate::postgres::Postgres;
use freshql::model::{Model, parse};
use freshql::store::schema::difference::step;
use freshql::store::schema::migrations::{self, Migrations};

const SDL: &str = r#"
type Shop @entity { id: ID! @id name: String! @unique goods: [Good!]! @derivedFrom(field: "shop") }
type Good @entity {
  id: ID! @id
  name: String! @index
  price: Decimal! @column(precision: 10, scale: 2) @index
  weight: Float @index
  open: Boolean! @default(value: true) @index
  made: DateTime @index
  day: Date @index
  note: String
  extra: JSON
  shop: Shop @relation(onDelete: SET_NULL)
}
type Part @entity { id: ID! @id good: Good! @relation(onDelete: CASCADE) }
"#;

fn model(sdl: &str) -> Model {
    parse("schema.graphql", sdl).unwrap_or_else(|mistakes| panic!("{mistakes:#?}\n{sdl}")).model
}

/// A database for that model, with some rows and an empty log.
struct Log<'p> {
    postgres: &'p Postgres,
    database: &'static str,
}

impl<'p> Log<'p> {
    fn new(postgres: &'p Postgres, database: &'static str) -> Self {
        postgres.create(database);
        let text = step(&Migrations::default(), &model(SDL)).unwrap().unwrap().postgres;
        postgres.migrate(database, &text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let log = Self { postgres, database };
        log.run(
            "INSERT INTO shops (id, name) VALUES ('s', 'Speicher'), ('t', 'Teehaus');
             INSERT INTO goods (id, name, price, shop_id) VALUES ('a', 'Apple', 12.5, 's'), ('b', 'Bowl', 1, 't'), ('c', 'Cup', 0.99, 's');
             INSERT INTO parts (id, good_id) VALUES ('p', 'a'), ('q', 'a'), ('r', 'b')",
        );
        log.forget();
        log
    }

    fn run(&self, sql: &str) -> Vec<String> {
        self.postgres.run(self.database, sql)
    }

    fn forget(&self) {
        self.run("DELETE FROM _freshql_change");
    }

    /// Runs this and returns the records that it leaves: entity, key, operation, changed columns.
    #[track_caller]
    fn records_of(&self, sql: &str) -> Vec<String> {
        self.run(sql);
        let records = self.records();
        self.forget();
        records
    }

    fn records(&self) -> Vec<String> {
        self.run("SELECT concat_ws(' ', entity, id, op, nullif(changed, '')) FROM _freshql_change ORDER BY xid, seq")
    }

    fn version(&self, table: &str, id: &str) -> i64 {
        self.run(&format!("SELECT _version FROM {table} WHERE id = '{id}'"))[0].parse().unwrap()
    }

    fn microseconds(&self) -> i64 {
        self.run("SELECT floor(extract(epoch FROM clock_timestamp()) * 1000000)::bigint")[0]
            .parse()
            .unwrap()
    }
}

#[test]
fn every_way_to_write_leaves_exactly_its_records() {
    let Some(postgres) = Postgres::start() else { return };
    let log = Log::new(&postgres, "ways");
    let before = log.microseconds();

    assert_eq!(
        log.records_of("UPDATE goods SET name = 'Ant', note = 'x' WHERE id = 'a'"),
        ["Good a U name note"]
    );
    assert!(
        (before..=log.microseconds()).contains(&log.version("goods", "a")),
        "versions are of the clock"
    );
    let version = log.version("goods", "a");
    assert_eq!(
        log.records_of("UPDATE goods SET name = 'Ant' WHERE id = 'a'"),
        Vec::<String>::new(),
        "nothing has changed"
    );
    assert_eq!(log.version("goods", "a"), version);
    assert_eq!(log.records_of("UPDATE goods SET _version = 7 WHERE id = 'a'"), ["Good a U"]);
    assert!(log.version("goods", "a") > version, "nobody sets a version back");
    // The clock is behind the row's version: one more.
    log.run("ALTER TABLE goods DISABLE TRIGGER zz_freshql_version; UPDATE goods SET _version = 4000000000000000 WHERE id = 'b';
             ALTER TABLE goods ENABLE ALWAYS TRIGGER zz_freshql_version; DELETE FROM _freshql_change");
    log.run("UPDATE goods SET name = 'Bell' WHERE id = 'b'");
    assert_eq!(log.version("goods", "b"), 4_000_000_000_000_001);
    log.forget();

    assert_eq!(
        log.records_of("UPDATE goods SET id = 'z' WHERE id = 'c'"),
        ["Good c D", "Good z I"],
        "another key is another row"
    );
    assert_eq!(
        log.records_of("COPY shops (id, name) FROM stdin;\nu\tUfer\nv\tVilla\n\\.\n"),
        ["Shop u I", "Shop v I"]
    );
    assert_eq!(
        log.records_of("INSERT INTO shops (id, name) VALUES ('u', 'Urne'), ('w', 'Wabe') ON CONFLICT (id) DO UPDATE SET name = excluded.name"),
        ["Shop u U name", "Shop w I"]
    );
    assert_eq!(
        log.records_of("INSERT INTO shops (id, name) VALUES ('u', 'x') ON CONFLICT DO NOTHING"),
        Vec::<String>::new()
    );
    assert_eq!(
        log.records_of(
            "MERGE INTO shops USING (VALUES ('v', 'Vase'), ('w', NULL), ('x', 'Xylo')) AS new (id, name) ON shops.id = new.id
               WHEN MATCHED AND new.name IS NULL THEN DELETE
               WHEN MATCHED THEN UPDATE SET name = new.name
               WHEN NOT MATCHED THEN INSERT (id, name) VALUES (new.id, new.name)"
        ),
        ["Shop v U name", "Shop w D", "Shop x I"]
    );
    assert_eq!(
        log.records_of("DELETE FROM shops WHERE id = 's'"),
        ["Shop s D", "Good a U shop_id", "Good z U shop_id"]
    );
    assert_eq!(
        log.records_of("DELETE FROM goods WHERE id = 'a'"),
        ["Good a D", "Part p D", "Part q D"]
    );
    assert_eq!(
        log.records_of(
            "WITH gone AS (DELETE FROM parts RETURNING id) INSERT INTO shops (id, name) SELECT id, id FROM gone"
        ),
        ["Part r D", "Shop r I"]
    );
    assert_eq!(log.records_of("TRUNCATE goods CASCADE"), ["Good T", "Part T"]);
    assert_eq!(
        log.records_of("BEGIN; INSERT INTO shops (id, name) VALUES ('lost', 'lost'); ROLLBACK"),
        Vec::<String>::new()
    );
}

#[test]
fn records_of_savepoints_and_of_prepared_transactions_are_those_of_what_was_committed() {
    let Some(postgres) = Postgres::start() else { return };
    let log = Log::new(&postgres, "transactions");
    let records = log.records_of(
        "BEGIN; UPDATE shops SET name = 'A' WHERE id = 's'; SAVEPOINT one; UPDATE shops SET name = 'B' WHERE id = 't';
         RELEASE one; SAVEPOINT two; UPDATE shops SET name = 'C' WHERE id = 't'; ROLLBACK TO two; COMMIT",
    );
    assert_eq!(records, ["Shop s U name", "Shop t U name"]);
    log.run(
        "BEGIN; UPDATE shops SET name = 'D' WHERE id = 's'; SAVEPOINT one; UPDATE shops SET name = 'E' WHERE id = 't'; RELEASE one; COMMIT",
    );
    assert_eq!(
        log.run("SELECT count(DISTINCT xid) FROM _freshql_change"),
        ["1"],
        "all carry the outer transaction's id"
    );
    log.forget();

    log.run("BEGIN; UPDATE shops SET name = 'F' WHERE id = 's'; PREPARE TRANSACTION 'later'");
    assert_eq!(log.records(), Vec::<String>::new());
    assert_eq!(log.records_of("COMMIT PREPARED 'later'"), ["Shop s U name"]);
    log.run("BEGIN; UPDATE shops SET name = 'G' WHERE id = 's'; PREPARE TRANSACTION 'never'");
    assert_eq!(log.records_of("ROLLBACK PREPARED 'never'"), Vec::<String>::new());
}

#[test]
fn what_a_subscription_applies_leaves_versions_and_records() {
    let Some(origin) = Postgres::start_with(|_| "-c wal_level=logical".to_owned()) else { return };
    origin.create("origin");
    origin.run(
        "origin",
        "CREATE TABLE shops (id text PRIMARY KEY, name text NOT NULL); CREATE PUBLICATION all_of_it FOR TABLE shops;
         INSERT INTO shops VALUES ('x', 'X')",
    );
    let postgres = Postgres::start().unwrap();
    let log = Log::new(&postgres, "subscriber");
    log.run(&format!(
        "CREATE SUBSCRIPTION theirs CONNECTION '{}' PUBLICATION all_of_it",
        origin.url("origin")
    ));
    let applied = || {
        let begun = std::time::Instant::now();
        while log.records().is_empty() {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "nothing is applied");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let records = log.records();
        log.forget();
        records
    };
    // The initial copy, then the streamed changes.
    assert_eq!(applied(), ["Shop x I"]);
    let version = log.version("shops", "x");
    origin.run("origin", "UPDATE shops SET name = 'Y' WHERE id = 'x'");
    assert_eq!(applied(), ["Shop x U name"]);
    assert!(log.version("shops", "x") > version);
    origin.run("origin", "DELETE FROM shops WHERE id = 'x'");
    assert_eq!(applied(), ["Shop x D"]);
}

#[test]
fn replicas_and_roles_without_rights_to_the_log_write_versions_and_records() {
    let Some(postgres) = Postgres::start() else { return };
    let log = Log::new(&postgres, "roles");
    let version = log.version("shops", "s");
    assert_eq!(
        log.records_of("SET session_replication_role = replica; UPDATE shops SET name = 'A' WHERE id = 's'; DELETE FROM goods WHERE id = 'a'"),
        ["Shop s U name", "Good a D"]
    );
    assert!(log.version("shops", "s") > version);
    log.run(
        "CREATE ROLE clerk; GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON shops TO clerk; GRANT TEMP ON DATABASE roles TO clerk",
    );
    // The triggers do not write to objects that the role has created under our names, although
    // these come first in its search path.
    let as_clerk = |sql: &str| {
        log.records_of(&format!(
            "SET ROLE clerk; CREATE TEMP TABLE _freshql_change (entity text, id text, op \"char\", changed text, parts text[]);
             SET search_path = pg_temp, public; SET extra_float_digits = -15; SET datestyle = 'German, DMY'; {sql}"
        ))
    };
    assert_eq!(as_clerk("UPDATE shops SET name = 'B' WHERE id = 's'"), ["Shop s U name"]);
    assert_eq!(as_clerk("INSERT INTO shops (id, name) VALUES ('u', 'Ufer')"), ["Shop u I"]);
    assert_eq!(as_clerk("DELETE FROM shops WHERE id = 'u'"), ["Shop u D"]);
    let refused = log.postgres.migrate(
        "roles",
        "SET ROLE clerk; INSERT INTO _freshql_change (entity, op) VALUES ('x', 'T')",
    );
    assert!(refused.unwrap_err().contains("permission denied"));
}

#[test]
fn list_keys_are_logged_alike_whatever_the_session_settings() {
    let Some(postgres) = Postgres::start() else { return };
    let log = Log::new(&postgres, "parts");
    let long = "é".repeat(101);
    log.run(&format!(
        "SET extra_float_digits = -15; SET datestyle = 'German, DMY'; SET TimeZone = 'Asia/Tokyo'; SET intervalstyle = 'iso_8601';
         INSERT INTO goods (id, name, price, weight, open, made, day, shop_id) VALUES
           ('x', '{long}', 1234567.10, 0.1::float8 + 0.2, false, '2026-11-22T09:30:00.123Z', '0044-03-15', 's')"
    ));
    let parts = log
        .run("SELECT unnest(parts[1:18]) IS NULL, unnest(parts[1:18]) FROM _freshql_change")
        .join(" ");
    let sha256 =
        log.run(&format!("SELECT encode(sha256(convert_to('{long}', 'UTF8')), 'hex')"))[0].clone();
    let expected = [
        ("name", sha256.as_str()),
        ("price", "1234567.10"),
        ("weight", "0.30000000000000004"),
        ("open", "false"),
        ("made", "1795339800123"),
        ("day", "0044-03-15"),
    ];
    let expected = expected.map(|(name, value)| format!("f|{name} t| f|{value}")).join(" ");
    assert_eq!(parts, expected);
    log.forget();
    log.run("UPDATE goods SET shop_id = 't', note = 'n' WHERE id = 'x'");
    let parts = log.run("SELECT unnest(parts[19:21]) FROM _freshql_change");
    assert_eq!(parts, ["shop_id", "s", "t"]);
}

#[test]
fn partitions_write_the_records_of_their_table() {
    let Some(postgres) = Postgres::start() else { return };
    let log = Log::new(&postgres, "partitions");
    // An author has partitioned the table before the triggers were created.
    let text =
        step(&Migrations::default(), &model("type Row @entity { id: ID! @id n: Int! @index }"))
            .unwrap()
            .unwrap()
            .postgres;
    let kept = text.split("-- The versions of rows: kept for whoever writes.").nth(1).unwrap();
    log.run(
        "CREATE TABLE rows (id text COLLATE \"C\" PRIMARY KEY, n integer NOT NULL, _version bigint NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
         CREATE TABLE rows_1 PARTITION OF rows FOR VALUES FROM ('a') TO ('m')",
    );
    log.run(kept);
    log.run("CREATE TABLE rows_2 PARTITION OF rows FOR VALUES FROM ('m') TO ('z')");
    assert_eq!(
        log.records_of("INSERT INTO rows VALUES ('b', 1), ('n', 2)"),
        ["Row b I", "Row n I"]
    );
    assert_eq!(log.records_of("UPDATE rows_2 SET n = 3"), ["Row n U n"]);
    assert!(log.version("rows", "n") > 0);
    assert_eq!(
        log.records_of("UPDATE rows SET id = 'o' WHERE id = 'b'"),
        ["Row b D", "Row o I"],
        "it has moved"
    );
    assert_eq!(
        log.records_of("INSERT INTO rows VALUES ('o', 9), ('p', 9) ON CONFLICT (id) DO UPDATE SET n = excluded.n"),
        ["Row o U n", "Row p I"]
    );
    assert_eq!(
        log.records_of(
            "SET session_replication_role = replica; UPDATE rows_2 SET n = 4 WHERE id = 'p'"
        ),
        ["Row p U n"]
    );
    // A table that is attached with rows has our triggers from then on.
    log.run(
        "CREATE TABLE rows_3 (_version bigint NOT NULL DEFAULT 0, n integer NOT NULL, id text COLLATE \"C\" NOT NULL);
         INSERT INTO rows_3 VALUES (0, 1, '1'); ALTER TABLE rows ATTACH PARTITION rows_3 FOR VALUES FROM ('0') TO ('9');
         DELETE FROM _freshql_change",
    );
    assert_eq!(log.records_of("UPDATE rows_3 SET n = 2"), ["Row 1 U n"]);
    assert!(log.version("rows", "1") > 0);
    assert_eq!(log.records_of("TRUNCATE rows"), ["Row T"]);
    log.run("ALTER TABLE rows DETACH PARTITION rows_3");
    log.forget();
    assert_eq!(
        log.records_of("INSERT INTO rows_3 VALUES (0, 1, '5')"),
        Vec::<String>::new(),
        "it is none of the table's rows"
    );
}

#[test]
fn a_migration_replaces_the_triggers_of_an_earlier_release() {
    let Some(postgres) = Postgres::start() else { return };
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        top.join("migrations/0001_create.sqlite.sql"),
        folder.path().join("0001_create.sqlite.sql"),
    )
    .unwrap();
    let former = include_str!("former/0001_create.postgres.sql");
    std::fs::write(folder.path().join("0001_create.postgres.sql"), former).unwrap();
    postgres.create("former");
    postgres.migrate("former", former).unwrap();
    let log = Log { postgres: &postgres, database: "former" };
    log.run(
        "INSERT INTO merchants (id, name, description, city) VALUES (gen_random_uuid(), 'a', '', ''), (gen_random_uuid(), 'b', '', '')",
    );
    let demo = model(&std::fs::read_to_string(top.join("schema.graphql")).unwrap());
    let next = |migrations: &Migrations| step(migrations, &demo).unwrap();
    let upgrade =
        next(&Migrations::read(folder.path()).unwrap()).expect("the triggers are outdated");
    assert_eq!(upgrade.sqlite, "-- Nothing changes in SQLite.\n");
    postgres
        .migrate("former", &upgrade.postgres)
        .unwrap_or_else(|error| panic!("{error}\n{}", upgrade.postgres));
    assert_eq!(
        log.run("SELECT _version FROM merchants ORDER BY 1"),
        ["1", "2"],
        "no row changes by this"
    );
    assert_eq!(log.records_of("UPDATE merchants SET city = 'x' WHERE name = 'a'").len(), 1);
    assert!(log.run("SELECT max(_version) FROM merchants")[0].len() == 16);

    migrations::add(folder.path(), "triggers", &upgrade.sqlite, &upgrade.postgres).unwrap();
    assert_eq!(next(&Migrations::read(folder.path()).unwrap()), None);
    // The result is the same as in a new project.
    postgres.create("fresh");
    postgres.migrate("fresh", &next(&Migrations::default()).unwrap().postgres).unwrap();
    let shape = "SELECT pg_get_triggerdef(oid), tgenabled FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1;
        SELECT proname, prosrc, prosecdef, proconfig FROM pg_proc WHERE proname LIKE '\\_freshql%' ORDER BY 1;
        SELECT relname FROM pg_class WHERE relname LIKE '\\_freshql%' ORDER BY 1";
    assert_eq!(log.run(shape), postgres.run("fresh", shape));
}
