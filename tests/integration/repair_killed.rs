//! `freshql migrate repair` is killed while it works: the database is unchanged or repaired, and
//! never in between.

use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use rusqlite::Connection;

use crate::commands::freshql;
use crate::harness::project;
use crate::program::of_project;

const ROWS: i64 = 10_000;

/// How many triggers maintain the versions of merchants, how many merchants have their old version,
/// and the result of the integrity check.
fn state(database: &Path, old: i64) -> (i64, i64, String) {
    let database = Connection::open(database).unwrap();
    let one = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let triggers =
        "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'merchants'";
    let rows = format!("SELECT count(*) FROM merchants WHERE _version <= {old}");
    let sound = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    (one(triggers), one(&rows), sound)
}

#[test]
fn a_repair_that_is_killed_has_done_all_or_nothing_and_can_be_run_again() {
    let project = project();
    let database = project.path().join("freshql.db");
    assert!(freshql(project.path(), &["migrate", "up"]).status.success());
    let (whole, broken) = (state(&database, 0).0, project.path().join("broken.db"));
    let connection = Connection::open(&database).unwrap();
    let sql = format!(
        "DELETE FROM merchants;
         INSERT INTO merchants (id, name, description, city)
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n LIMIT {ROWS})
         SELECT printf('01a21776-0000-7000-8000-%012d', n), 'Merchant ' || n, 'd', 'c' FROM n"
    );
    connection.execute_batch(&sql).unwrap();
    let triggers =
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'merchants'";
    let mut triggers = connection.prepare(triggers).unwrap();
    let names: Vec<String> =
        triggers.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    drop(triggers);
    names
        .iter()
        .for_each(|name| connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
    let old: i64 =
        connection.query_row("SELECT max(_version) FROM merchants", [], |row| row.get(0)).unwrap();
    connection.close().unwrap();
    std::fs::copy(&database, &broken).unwrap();
    let (before, after) = ((0, ROWS, "ok".to_owned()), (whole, 0, "ok".to_owned()));
    assert_eq!(state(&database, old), before);

    let begun = Instant::now();
    assert!(freshql(project.path(), &["migrate", "repair"]).status.success());
    let takes = begun.elapsed();
    assert_eq!(state(&database, old), after);
    let mut killed = 0;
    for part in 1..6 {
        for ending in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", database.display()));
        }
        std::fs::copy(&broken, &database).unwrap();
        let mut repair = of_project(project.path())
            .args(["migrate", "repair"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(takes * part / 6);
        repair.kill().unwrap();
        killed += i32::from(!repair.wait().unwrap().success());
        let found = state(&database, old);
        assert!(found == before || found == after, "{found:?} is neither {before:?} nor {after:?}");
        let again = freshql(project.path(), &["migrate", "repair"]);
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        assert_eq!(state(&database, old), after);
        assert!(freshql(project.path(), &["migrate", "status"]).status.success());
    }
    assert!(killed > 0, "it was never killed while it worked");
}
