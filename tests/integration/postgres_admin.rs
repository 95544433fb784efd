//! The commands on a PostgreSQL database: what migrations leave, what `check` finds, and what `repair` puts back.

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

/// A migrated database of this model.
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
        let up = || Admin::open(&database).unwrap().migrate(&migrations).unwrap_or_else(|e| panic!("{e}")).len();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(up)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(applied, migrations.files.len());
    let admin = Admin::open(&database).unwrap();
    let status = admin.status(&migrations).unwrap();
    assert!(status.is_current() && status.applied.len() == applied, "{status:?}");
    assert!(status.applied[0].applied_at.ends_with('Z') && status.applied[0].applied_at.len() == 24);
    assert_eq!(messages(&admin, &model), Vec::<String>::new());
    assert!(admin.has_epoch().unwrap());
    assert_eq!(admin.tables().unwrap(), ["merchants", "products", "reviews"]);
    assert_eq!(postgres.run("demo", "SELECT count(*) FROM _freshql_meta WHERE key = 'history'"), ["1"]);
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
        let MigrateError::Files(mut mistakes) = Admin::open(&database).unwrap().migrate(&migrations).unwrap_err()
        else {
            panic!("{text}");
        };
        let MigrateError::Files(again) = rehearse(&database, &migrations).unwrap_err() else { panic!("{text}") };
        assert_eq!(again, mistakes);
        assert_eq!(
            postgres.run("mistakes", "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"),
            Vec::<String>::new()
        );
        let mistake = mistakes.remove(0);
        (text[mistake.span].to_owned(), mistake.message)
    };
    let (place, message) = mistake_of("CREATE TABLE é (x int);\r\n-- ü\r\nINSERT INTO é\r\n  VALUES (1), (nowhere);");
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
    let databases = postgres.run("postgres", "SELECT datname FROM pg_database WHERE datname LIKE '\\_freshql%'");
    assert_eq!(databases, Vec::<String>::new());
}

const SDL: &str = r#"
type Shop @entity { id: ID! @id name: String! @unique goods: [Good!]! @derivedFrom(field: "shop") }
type Good @entity { id: ID! @id weight: Float @index note: String shop: Shop @relation(onDelete: SET_NULL) }
"#;

#[test]
fn what_versions_rest_on_is_missed_and_put_back_with_new_versions() {
    let Some(postgres) = Postgres::start() else { return };
    let (mut admin, model) = migrated(&postgres, "damage", SDL);
    let run = |sql: &str| postgres.run("damage", sql);
    run(
        "INSERT INTO shops (id, name) VALUES ('s', 'S'); INSERT INTO goods (id, shop_id) VALUES ('a', 's'), ('b', 's')",
    );
    assert_eq!(messages(&admin, &model), Vec::<String>::new());
    let versions = || run("SELECT min(_version) FROM goods")[0].parse::<i64>().unwrap();
    for (damage, message, renews) in [
        ("DROP TRIGGER zz_freshql_log ON goods", "trigger `zz_freshql_log` on `goods` is missing", true),
        (
            "DROP TRIGGER zz_freshql_truncate ON goods",
            "trigger `zz_freshql_truncate` on `goods` is missing: nobody would see",
            false,
        ),
        ("ALTER TABLE goods DISABLE TRIGGER USER", "trigger `zz_freshql_version` on `goods` is disabled", true),
        ("ALTER TABLE goods ENABLE TRIGGER zz_freshql_log", "`zz_freshql_log` on `goods` does not fire always", true),
        ("DROP FUNCTION _freshql_goods_log() CASCADE", "function `_freshql_goods_log` is missing", true),
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
        ("ALTER FUNCTION _freshql_goods_log() SECURITY INVOKER", "function `_freshql_goods_log` is not the one", true),
        (
            "ALTER FUNCTION _freshql_goods_log() RESET extra_float_digits",
            "function `_freshql_goods_log` is not the one",
            true,
        ),
        ("ALTER TABLE goods DROP COLUMN _version", "column `goods._version` is missing", true),
        ("DROP TABLE _freshql_change CASCADE", "table `_freshql_change` is missing", false),
        ("DROP TABLE _freshql_run, _freshql_note", "table `_freshql_run` is missing", false),
        ("DROP FUNCTION _freshql_fold, _freshql_part", "function `_freshql_part` is missing", false),
        ("DROP INDEX goods_weight_idx", "index over `goods` (weight) is missing", false),
        ("DELETE FROM _freshql_meta", "", false),
    ] {
        let before = versions();
        run(damage);
        let found = messages(&admin, &model);
        assert!(found.iter().any(|found| found.contains(message)) || message.is_empty(), "{damage}: {found:?}");
        let repaired = admin.repair(&model, &Migrations::default()).unwrap_or_else(|error| panic!("{damage}: {error}"));
        assert!(!repaired.done.is_empty() && repaired.left.is_empty(), "{damage}: {repaired:?}");
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
    assert!(admin.repair(&model, &Migrations::default()).unwrap().done.is_empty(), "nothing is left to do");
}

#[test]
fn what_nobody_would_see_is_told() {
    let Some(postgres) = Postgres::start() else { return };
    let (admin, model) = migrated(&postgres, "unseen", SDL);
    for (made, unmade, message) in [
        (
            "CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
          CREATE TRIGGER zzz BEFORE UPDATE ON goods FOR EACH ROW EXECUTE FUNCTION theirs()",
            "DROP TRIGGER zzz ON goods",
            "`zzz` on `goods` fires behind freshql's",
        ),
        ("CREATE TABLE more () INHERITS (goods)", "DROP TABLE more", "`more` inherits from `goods`"),
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
fn partitions_need_the_trigger_for_truncate_each() {
    let Some(postgres) = Postgres::start() else { return };
    let (mut admin, model) = migrated(&postgres, "partitions", "type Other @entity { id: ID! @id n: Int }");
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
    let version = postgres.run("partitions", "SELECT entity, key, version > 0 FROM _freshql_version");
    assert_eq!(version, ["/Row||t"]);
    // A partition that comes later fires the triggers for rows, but not that for TRUNCATE.
    postgres.run(
        "partitions",
        "CREATE TABLE rows_2 PARTITION OF rows FOR VALUES FROM ('m') TO ('z');
        INSERT INTO rows VALUES ('n', 1); UPDATE rows SET n = 2 WHERE id = 'n'; UPDATE rows SET n = n",
    );
    assert_eq!(postgres.run("partitions", "SELECT entity, key FROM _freshql_version ORDER BY 1"), ["/Row|", "Row|n"]);
    assert!(messages(&admin, &rows)[0].contains("not watched"));
    assert_eq!(admin.watch(&rows).unwrap(), ["rows"]);
    assert_eq!(messages(&admin, &rows), Vec::<String>::new());
    postgres.run("partitions", "DELETE FROM _freshql_change; TRUNCATE rows_2");
    assert_eq!(postgres.run("partitions", "SELECT entity, op FROM _freshql_change"), ["Row|T"]);
    // Nobody needs the triggers when the model has no such entity any more.
    let others = self::model("type Other @entity { id: ID! @id n: Int }");
    assert_eq!(admin.watch(&others).unwrap(), ["rows"]);
    assert_eq!(
        postgres.run("partitions", "SELECT tgname FROM pg_trigger WHERE tgrelid = 'rows'::regclass"),
        Vec::<String>::new()
    );
}
