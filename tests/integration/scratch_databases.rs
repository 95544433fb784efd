//! The scratch databases of `freshql dev` and `freshql test` on a PostgreSQL server: what happens
//! to them when a run ends or is killed, and what is reported if they cannot be created.

use std::path::Path;
use std::process::Output;

use freshql::config::Database;
use freshql::store::{Admin, ScratchDatabases};

use crate::postgres::Postgres;
use crate::program::of_project;

fn freshql(directory: &Path, database: &str, arguments: &[&str]) -> Output {
    of_project(directory).args(["--database", database]).args(arguments).output().unwrap()
}

/// The databases that freshql has created.
fn made(postgres: &Postgres) -> Vec<String> {
    postgres.run(
        "postgres",
        "SELECT datname FROM pg_database WHERE datname LIKE 'freshql\\_%' ORDER BY 1",
    )
}

#[test]
fn leftovers_of_a_killed_run_are_removed_by_the_next_and_running_ones_keep_theirs() {
    let Some(postgres) = Postgres::start() else { return };
    let database: Database = postgres.url("not_made_yet").parse().unwrap();
    let mut killed = ScratchDatabases::of_run(&database).unwrap();
    let name = killed.new_name("original").unwrap();
    killed.make(&name).unwrap();
    let mut living = ScratchDatabases::of_run(&database).unwrap();
    let other = living.new_name("original").unwrap();
    living.make(&other).unwrap();
    let copy = living.new_name("case").unwrap();
    living.copy(&other, &copy).unwrap();
    assert_eq!(made(&postgres).len(), 3);

    // Its session ends abruptly, like that of a killed process.
    let (session, _) = name.split_at("freshql_test_".len() + 33);
    postgres.run(
        "postgres",
        &format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE application_name = '{session}'"
        ),
    );
    std::mem::forget(killed);
    drop(ScratchDatabases::of_run(&database).unwrap());
    assert_eq!(made(&postgres), [copy, other]);
    drop(living);
    assert_eq!(made(&postgres), Vec::<String>::new());
}

#[test]
fn scratch_databases_of_a_project_are_kept_and_unused_ones_dropped() {
    let Some(postgres) = Postgres::start() else { return };
    let database: Database = postgres.url("postgres").parse().unwrap();
    let (mine, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut others = ScratchDatabases::of_project(&database, theirs.path()).unwrap();
    let of_others = others.new_name("abc").unwrap();
    others.make(&of_others).unwrap();

    let mut first = ScratchDatabases::of_project(&database, mine.path()).unwrap();
    let old = first.new_name("abc").unwrap();
    let served = first.make(&old).unwrap();
    let used = first.new_name("abc").unwrap();
    assert_ne!(old, used);
    let user = Admin::open(&first.make(&used).unwrap()).unwrap();
    // It is copied while a server uses it, which then has to reconnect.
    let server = Admin::open(&served).unwrap();
    let last = first.new_name("abd").unwrap();
    first.copy(&old, &last).unwrap();
    assert!(server.tables().is_err());
    assert!(Admin::open(&served).unwrap().tables().unwrap().is_empty());
    drop((first, server));

    let mut second = ScratchDatabases::of_project(&database, mine.path()).unwrap();
    // The last run was killed while it copied.
    postgres.run("postgres", &format!("ALTER DATABASE {last} ALLOW_CONNECTIONS false"));
    let found = second.find(&last).unwrap().expect("it stays");
    assert!(Admin::open(&found).unwrap().tables().unwrap().is_empty());
    assert_eq!(second.find(&of_others).unwrap(), None);
    let is_left = |name: &String| made(&postgres).contains(name);
    // The session that has inspected it may take a moment to end.
    let begun = std::time::Instant::now();
    while is_left(&old) && begun.elapsed().as_secs() < 20 {
        second.remove_others(&[&last]);
    }
    let mut left = [last, used, of_others];
    left.sort();
    assert_eq!(made(&postgres), left);
    drop(user);
}

#[test]
fn a_role_without_createdb_is_told_what_to_do() {
    let Some(postgres) = Postgres::start() else { return };
    postgres.create("shelf");
    postgres.run("shelf", "CREATE ROLE app LOGIN; GRANT ALL ON SCHEMA public TO app");
    let url = postgres.url("shelf").replace("freshql@", "app@");
    let directory = tempfile::tempdir().unwrap();
    freshql::app::init(directory.path()).unwrap();
    let said = |arguments: &[&str]| {
        let output = freshql(directory.path(), &url, arguments);
        (output.status.success(), String::from_utf8(output.stderr).unwrap())
    };
    let (is_good, text) = said(&["test"]);
    assert!(!is_good);
    let remedy = "run `ALTER ROLE app CREATEDB` there as a superuser, or use SQLite with `--database sqlite:freshql.db`";
    assert!(
        text.contains("the role app may not create databases on the server of postgres://app@"),
        "{text}"
    );
    assert!(text.contains(remedy), "{text}");

    // Commands that do not need one work without it, and report that if there are migrations to
    // try.
    let untried = "the migrations were not tried first";
    let (is_good, text) = said(&["check"]);
    assert!(!is_good && text.contains(untried), "{text}");
    let (is_good, text) = said(&["migrate", "up"]);
    assert!(is_good && text.contains(untried), "{text}");
    let (is_good, text) = said(&["migrate", "up"]);
    assert!(is_good && !text.contains(untried), "{text}");
    postgres.run("shelf", "ALTER ROLE app CREATEDB");
    let (is_good, text) = said(&["check"]);
    assert!(is_good && text.is_empty(), "{text}");
    assert_eq!(made(&postgres), Vec::<String>::new());
}

#[test]
fn a_pooler_is_told_apart_from_the_server_that_makes_databases() {
    let database: Database =
        "postgres://app@127.0.0.1:6432/shelf?pooler=transaction".parse().unwrap();
    let Err(error) = ScratchDatabases::of_run(&database) else { panic!("there is no such pooler") };
    let text = error.to_string();
    assert!(text.contains("leave `pooler`"), "{text}");
}

/// Columns as migrations of authors add them, with the values that a copy by text could lose.
const THINGS: &str = "
CREATE TYPE mood AS ENUM ('calm', 'Wild at heart');
CREATE DOMAIN amount AS numeric(10,2) CHECK (VALUE >= 0);
CREATE TABLE places (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text);
CREATE TABLE things (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, doc jsonb NOT NULL, raw json, tags text[], grid int[][],
  mood mood, moods mood[], bytes bytea, exact numeric, amount amount, f double precision, r real, at timestamptz,
  at_local timestamp, day date, span interval, ip inet, valid daterange, code char(4), flag boolean, u uuid, money_ money,
  bits bit(3), twice bigint GENERATED ALWAYS AS (id * 2) STORED, place bigint REFERENCES places, \"Odd name\" text)";

const VALUES: &str = "
INSERT INTO places (name) VALUES ('p'), (NULL);
INSERT INTO things (doc, raw, tags, grid, mood, moods, bytes, exact, amount, f, r, at, at_local, day, span, ip, valid, code, flag,
    u, money_, bits, place, \"Odd name\") VALUES
  ('null', 'null', '{}', '{{1,2},{3,4}}', 'calm', '{calm,\"Wild at heart\"}', '\\x00ff27', 12345678901234567890.123456789012345678901,
   0.10, 'NaN', 'Infinity', 'infinity', '-infinity', '0044-03-15 BC', '-1 year 3 days 04:05:06.000007', '10.0.0.0/8', '[2024-01-01,)',
   'ab', true, '33333333-3333-4333-8333-333333333333', '-12.34', '101', 2, E'line\n''quote\\back \\u2028 \"'),
  ('{\"b\": 1.500, \"a\": [null, \"\\u00e9\"]}', '{\"b\":1,  \"a\":1e2, \"a\":null}', '{NULL,\"a,b\",\"\",\"NULL\"}', NULL, NULL, NULL, '', 'NaN', NULL,
   1e-300, 0.1, '2024-03-31 02:30:00.123456+09', '2024-03-31 02:30:00.123456', 'infinity', NULL, '::1', 'empty', '', false, NULL, NULL, NULL, NULL, ''),
  ('\"text\"', NULL, NULL, NULL, NULL, NULL, NULL, -0.000, NULL, -0.0, NULL, '0001-01-01 00:00:00+00', NULL, NULL, NULL, NULL, NULL, NULL, NULL,
   NULL, NULL, NULL, NULL, NULL)";

#[test]
fn rows_of_real_types_are_carried_over_as_they_are() {
    let Some(postgres) = Postgres::start() else { return };
    let model =
        "type Note @entity { id: ID! @id @default(fn: AUTOINCREMENT) text: String! data: JSON! }";
    let model = freshql::model::parse("schema.graphql", model).unwrap().model;
    for database in ["last", "next"] {
        postgres.create(database);
        postgres.run(database, THINGS);
        let url: Database = postgres.url(database).parse().unwrap();
        Admin::open(&url).unwrap().create(&model).unwrap();
    }
    postgres.run("last", VALUES);
    postgres.run("last", "INSERT INTO notes (text, data) VALUES ('n', 'null'), ('', '[null]')");
    let [last, next]: [Database; 2] =
        ["last", "next"].map(|name| postgres.url(name).parse().unwrap());
    let said = Admin::open(&next).unwrap().take_rows(&last, &model).unwrap();
    assert_eq!(said, "7 rows of the last scratch database are kept\n");
    for query in [
        "SELECT * FROM things ORDER BY id",
        "SELECT * FROM places ORDER BY id",
        "SELECT id, text, data FROM notes ORDER BY id",
        "SELECT doc IS NULL, raw IS NULL, array_dims(grid), f::text, exact::text FROM things ORDER BY id",
    ] {
        assert_eq!(postgres.run("next", query), postgres.run("last", query), "{query}");
    }
    // The next keys follow the rows that came.
    let made = "INSERT INTO things (doc) VALUES ('1') RETURNING id, twice";
    assert_eq!(postgres.run("next", made), ["4|8"]);
}
