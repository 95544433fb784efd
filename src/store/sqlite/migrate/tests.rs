//! Migrations on real files: order, mistakes with their positions, two programs at once.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::store::schema::migrations::add;

/// A folder of migrations next to a database.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new(files: &[(&str, &str)]) -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(project.migrations()).unwrap();
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    fn migrations(&self) -> PathBuf {
        self.folder.path().join("migrations")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.migrations().join(name), text).unwrap();
    }

    fn read(&self) -> Migrations {
        Migrations::read(&self.migrations()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    fn mistakes(&self) -> Vec<String> {
        let mistakes = Migrations::read(&self.migrations()).unwrap_err();
        mistakes
            .into_iter()
            .map(|mistake| format!("{}: {}", file_name(&mistake.file), mistake.message))
            .collect()
    }

    fn database(&self) -> Connection {
        Connection::open(self.folder.path().join("test.db")).unwrap()
    }

    fn up(&self) -> Result<Vec<String>, Vec<(String, String)>> {
        let migrations = self.read();
        let result = up(&mut self.database(), &migrations);
        match result {
            Ok(applied) => Ok(applied.into_iter().map(|applied| applied.name).collect()),
            Err(MigrateError::Files(mistakes)) => {
                let shown = mistakes.iter().map(|mistake| {
                    let text = fs::read_to_string(&mistake.file).unwrap_or_default();
                    let (line, column) = mistake.line_and_column(&text);
                    (
                        format!("{}:{line}:{column}", file_name(&mistake.file)),
                        mistake.message.clone(),
                    )
                });
                Err(shown.collect())
            }
            Err(MigrateError::Database(error)) => panic!("{error}"),
        }
    }

    fn mistake(&self) -> (String, String) {
        let mut mistakes = self.up().unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        mistakes.remove(0)
    }

    fn count(&self, table: &str) -> i64 {
        self.database()
            .query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))
            .unwrap()
    }
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().unwrap().to_string_lossy().into_owned()
}

fn pair(place: &str, message: &str) -> (String, String) {
    (place.to_owned(), message.to_owned())
}

#[test]
fn files_are_read_in_the_order_of_their_numbers() {
    let project = Project::new(&[
        ("0010_ten.sql", ""),
        ("0002_two.sqlite.sql", "-- sqlite"),
        ("0002_two.postgres.sql", "-- postgres"),
        ("0002_two.sql", "-- both"),
        ("0003_only.postgres.sql", "-- postgres"),
        ("10000_more.sql", ""),
        ("20240101120000_time.sql", ""),
        ("README.md", "not a migration"),
        (".0001_hidden.sql", ""),
    ]);
    let files = project.read().files;
    let names: Vec<_> =
        files.iter().map(|file| (file.number, file.name.as_str(), file.text.as_str())).collect();
    assert_eq!(
        names,
        [
            (2, "two", "-- sqlite"),
            (10, "ten", ""),
            (10000, "more", ""),
            (20240101120000, "time", "")
        ]
    );
    assert_eq!(Migrations::read(Path::new("no/such/folder")).unwrap().files, []);
}

#[test]
fn next_number_follows_the_scheme_of_the_files() {
    let next_after = |there: &str| {
        let project = Project::new(&[(there, ""), ("0003_early.sql", "")]);
        let [path, _] = add(&project.migrations(), "x", "", "").unwrap();
        let number: i64 =
            file_name(path.to_str().unwrap()).split_once('_').unwrap().0.parse().unwrap();
        assert_eq!(project.read().files.last().unwrap().number, number);
        number
    };
    assert_eq!(next_after("0009_a.sql"), 10);
    assert_eq!(next_after("10000_a.sql"), 10001);
    assert_eq!(next_after("1700000000_unix.sql"), 1700000001);
    assert!((20260101000000..=99991231235959).contains(&next_after("20240101120000_a.sql")));
    assert!((202601010000..=999912312359).contains(&next_after("202401011200_a.sql")));
    assert!((20260101..=99991231).contains(&next_after("20240101_a.sql")));
    // The clock of whoever named the file was ahead.
    assert_eq!(next_after("98990101120000_a.sql"), 98990101120001);
}

#[test]
fn line_endings_do_not_change_a_checksum() {
    let plain = "CREATE TABLE a (x);\n-- so\nINSERT INTO a\nVALUES ('1\n2');\n";
    let windows = plain.replace('\n', "\r\n");
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    for (then, now) in [(plain, windows.as_str()), (&windows, plain)] {
        let project = Project::new(&[("0001_a.sql", then)]);
        project.up().unwrap();
        assert_eq!(
            project.count("a WHERE x = '1' || char(10) || '2'"),
            1,
            "strings end their lines alike, too"
        );
        project.write("0001_a.sql", now);
        assert_eq!(project.up(), Ok(vec![]));
        // Earlier releases recorded the digest of the exact bytes.
        for text in [then, now] {
            let record = "UPDATE _freshql_migration SET blake3 = ?";
            project.database().execute(record, [digest(text)]).unwrap();
            assert!(status(&project.database(), &project.read()).unwrap().is_current());
        }
        project.write("0001_a.sql", now.replace("-- so", "-- other"));
        assert_eq!(project.mistake().1, "this migration was edited after it was applied");
    }
    let project = Project::new(&[(
        "0001_a.sql",
        "\r\nCREATE TABLE a (\r\n  x\r\n);\r\n\r\nINSERT INTO\r\n  a\r\n  SELEC 1;\r\n",
    )]);
    assert_eq!(project.mistake(), pair("0001_a.sql:8:3", "near \"SELEC\": syntax error"));
}

#[test]
fn a_migration_reaches_its_own_database_only() {
    let other = tempfile::tempdir().unwrap();
    let precious = other.path().join("precious.db");
    let shell = Connection::open(&precious).unwrap();
    shell.execute_batch("CREATE TABLE precious (x)").unwrap();
    let attach = format!(
        "CREATE TABLE a (x);\nATTACH '{}' AS o;\nDROP TABLE o.precious;",
        precious.display()
    );
    let project =
        Project::new(&[("0001_a.sql", &attach), ("0002_b.sql", "\nPRAGMA writable_schema = ON;")]);
    let refused = [
        pair(
            "0001_a.sql:2:1",
            "`ATTACH` in a migration: it may reach nothing but its own database",
        ),
        pair(
            "0002_b.sql:2:8",
            "`PRAGMA writable_schema` in a migration: it may reach nothing but its own database",
        ),
    ];
    assert_eq!(project.up().unwrap_err(), refused);
    let Err(MigrateError::Files(mistakes)) = rehearse(&project.read()) else { panic!("it ran") };
    assert_eq!(
        mistakes.iter().map(|mistake| &mistake.message).collect::<Vec<_>>(),
        refused.each_ref().map(|m| &m.1)
    );
    shell.execute_batch("SELECT * FROM precious").unwrap();
    // After running migrations, the connection is no longer confined by them.
    let mut connection =
        rehearse(&Project::new(&[("0001_a.sql", "CREATE TABLE a (x);")]).read()).unwrap();
    let seed = Migration::new(0, "", "seed.sql".to_owned(), attach);
    assert!(run_alone(&mut connection, &seed).is_err());
    connection.execute_batch("ATTACH ':memory:' AS o").unwrap();
}

#[test]
fn all_wrong_names_are_reported_at_once() {
    let project = Project::new(&[
        ("0001_a.sql", ""),
        ("0001_b.sql", ""),
        ("0001_c.sqlite.sql", ""),
        ("002_short.sql", ""),
        ("0003_.sql", ""),
        ("0004_Upper.sql", ""),
        ("0005_other.mysql.sql", ""),
        ("0000_zero.sql", ""),
        ("9999999999999999999_big.sql", ""),
        ("name.sql", ""),
    ]);
    project.write("0009_bytes.sql", b"\xff\xfe");
    let mistakes = project.mistakes();
    assert_eq!(mistakes.len(), 10, "{mistakes:#?}");
    assert_eq!(
        mistakes.iter().filter(|m| m.ends_with("a migration cannot have this name")).count(),
        7
    );
    assert_eq!(mistakes.iter().filter(|m| m.ends_with("has the same number")).count(), 2);
    assert!(
        mistakes.iter().any(|m| m.starts_with("0009_bytes.sql: cannot be read")),
        "{mistakes:#?}"
    );
}

#[test]
fn up_applies_each_file_once() {
    let project =
        Project::new(&[("0001_a.sql", "CREATE TABLE a (x); INSERT INTO a VALUES (1), (2);")]);
    assert_eq!(project.up(), Ok(vec!["a".to_owned()]));
    assert_eq!(project.up(), Ok(vec![]));
    project
        .write("0003_c.sql", "INSERT INTO a VALUES (3);\nPRAGMA table_info(a);\nSELECT * FROM a;");
    let migrations = project.read();
    let status = status(&project.database(), &migrations).unwrap();
    assert_eq!((status.applied.len(), status.pending.len(), status.is_current()), (1, 1, false));
    assert_eq!(status.applied[0].blake3, migrations.files[0].blake3);
    assert_eq!(project.up(), Ok(vec!["c".to_owned()]));
    assert_eq!(project.count("a"), 3);
    let at: String = project
        .database()
        .query_row("SELECT max(applied_at) FROM _freshql_migration", [], |row| row.get(0))
        .unwrap();
    assert!(at.ends_with('Z') && at.len() == 24, "{at}");
}

#[test]
fn status_of_a_new_database_writes_nothing() {
    let project = Project::new(&[("0001_a.sql", "CREATE TABLE a (x);")]);
    let database = Connection::open_in_memory().unwrap();
    assert_eq!(status(&database, &project.read()).unwrap().pending.len(), 1);
    assert_eq!(epoch(&database).unwrap(), None);
    assert!(!database.table_exists(None::<&str>, "_freshql_migration").unwrap());
}

#[test]
fn file_that_fails_leaves_no_trace_and_has_a_place() {
    let project = Project::new(&[("0001_a.sql", "CREATE TABLE a (x NOT NULL);")]);
    project.write(
        "0002_b.sql",
        "INSERT INTO a VALUES (1);\n-- é\nINSERT INTO a VALUES (1), (nosuch);\n",
    );
    assert_eq!(project.mistake(), pair("0002_b.sql:3:28", "no such column: nosuch"));
    assert_eq!((project.count("a"), project.count("_freshql_migration")), (0, 1));

    project.write("0002_b.sql", "INSERT INTO a VALUES (1);\n\n  INSERT INTO a\n VALUES (NULL);\n");
    assert_eq!(project.mistake(), pair("0002_b.sql:3:3", "NOT NULL constraint failed: a.x"));
    project.write("0002_b.sql", "INSERT INTO a VALUES (1);\nCREATE TABEL b (x);");
    assert_eq!(project.mistake(), pair("0002_b.sql:2:8", "near \"TABEL\": syntax error"));
    project.write("0002_b.sql", "INSERT INTO a VALUES (1)\nINSERT");
    assert_eq!(project.mistake(), pair("0002_b.sql:2:1", "near \"INSERT\": syntax error"));
    project.write("0002_b.sql", "CREATE TABLE b (x");
    assert_eq!(project.mistake().1, "incomplete input");
    assert_eq!(project.count("a"), 0);

    project.write("0002_b.sql", "INSERT INTO a VALUES (1);");
    assert_eq!(project.up(), Ok(vec!["b".to_owned()]));
}

#[test]
fn files_that_are_not_sql_are_reported_at_once_and_nothing_is_applied() {
    let project = Project::new(&[(
        "0001_a.sql",
        "CREATE TABLE a (x);\nCREATE TABEL b (x);\nSELECT 1 FROM;\n",
    )]);
    project.write("0002_b.sql", "INSERT INTO a VALUES (1);");
    project.write(
        "0003_c.sql",
        "INSERT INTO a VALUES (1,,2);\nCOMMIT;\nINSERT INTO nowhere VALUES ('",
    );
    let places = |mistakes: Vec<(String, String)>| {
        mistakes.into_iter().map(|(place, _)| place).collect::<Vec<_>>()
    };
    let wanted = [
        "0001_a.sql:2:8",
        "0001_a.sql:3:14",
        "0003_c.sql:1:25",
        "0003_c.sql:2:1",
        "0003_c.sql:3:29",
    ];
    assert_eq!(places(project.up().unwrap_err()), wanted);
    assert!(!project.database().table_exists(None::<&str>, "a").unwrap());

    // Other failures may have consequences, which are not reported.
    project.write("0001_a.sql", "CREATE TABLE a (x, x);");
    project.write("0003_c.sql", "INSERT INTO a VALUES (1,,2);");
    let Err(MigrateError::Files(mistakes)) = rehearse(&project.read()) else { panic!("it ran") };
    let messages: Vec<_> = mistakes.iter().map(|mistake| mistake.message.as_str()).collect();
    assert_eq!(messages, ["duplicate column name: x", "near \",\": syntax error"]);
}

#[test]
fn file_may_not_handle_transactions() {
    let project = Project::new(&[("0001_a.sql", "CREATE TABLE a (x PRIMARY KEY);\nCOMMIT;")]);
    let message = "`COMMIT` in a migration: each file runs in a transaction of its own";
    assert_eq!(project.mistake(), pair("0001_a.sql:2:1", message));
    project.write("0001_a.sql", "BEGIN;\nCREATE TABLE a (x PRIMARY KEY);\nEND;");
    let places: Vec<_> = project.up().unwrap_err().into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["0001_a.sql:1:1", "0001_a.sql:3:1"]);
    project.write(
        "0001_a.sql",
        "CREATE TABLE a (x PRIMARY KEY ON CONFLICT ROLLBACK);\nINSERT INTO a VALUES (1), (1);",
    );
    assert_eq!(project.mistake().1, "UNIQUE constraint failed: a.x");
    assert!(!project.database().table_exists(None::<&str>, "a").unwrap());
}

#[test]
fn edited_missing_and_late_files_are_named() {
    let project = Project::new(&[
        ("0001_a.sql", "CREATE TABLE a (x);"),
        ("0003_c.sql", "CREATE TABLE c (x);"),
    ]);
    project.up().unwrap();
    project.write("0001_a.sql", "CREATE TABLE a (x, y);");
    project.write("0004_d.sql", "CREATE TABLE d (x);");
    assert_eq!(
        project.mistake(),
        pair("0001_a.sql:1:1", "this migration was edited after it was applied")
    );
    project.write("0001_a.sql", "CREATE TABLE a (x);");
    project.write("0002_b.sql", "CREATE TABLE b (x);");
    let message = "a migration with a higher number was applied before this one";
    assert_eq!(project.mistake(), pair("0002_b.sql:1:1", message));
    fs::remove_file(project.migrations().join("0002_b.sql")).unwrap();
    fs::remove_file(project.migrations().join("0001_a.sql")).unwrap();
    assert_eq!(
        project.mistake(),
        pair("0001_a:1:1", "the database has this migration, and there is no file of it")
    );
    assert!(
        !project.database().table_exists(None::<&str>, "d").unwrap(),
        "nothing is applied while something is wrong"
    );
}

#[test]
fn tables_can_be_rebuilt_while_others_point_to_them() {
    let project = Project::new(&[(
        "0001_a.sql",
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x);
         CREATE TABLE b (a INTEGER REFERENCES a (id) ON DELETE CASCADE);
         INSERT INTO a VALUES (1, 'x'), (2, 'y'); INSERT INTO b VALUES (1), (2);",
    )]);
    project.write(
        "0002_rebuild.sql",
        "CREATE TABLE new_a (id INTEGER PRIMARY KEY, x TEXT NOT NULL);
         INSERT INTO new_a SELECT * FROM a;
         DROP TABLE a;
         ALTER TABLE new_a RENAME TO a;",
    );
    let mut database = project.database();
    database.execute_batch("PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 123").unwrap();
    assert_eq!(up(&mut database, &project.read()).unwrap().len(), 2);
    assert_eq!((project.count("a"), project.count("b")), (2, 2));
    // The connection's settings are restored.
    assert!(
        database.pragma_query_value(None, "foreign_keys", |row| row.get::<_, bool>(0)).unwrap()
    );
    assert_eq!(
        database.pragma_query_value(None, "busy_timeout", |row| row.get::<_, i64>(0)).unwrap(),
        123
    );
}

#[test]
fn references_that_lead_nowhere_are_refused_unless_they_were_there_before() {
    let project = Project::new(&[(
        "0001_a.sql",
        "CREATE TABLE a (id INTEGER PRIMARY KEY); INSERT INTO a VALUES (1), (2);",
    )]);
    project.write(
        "0002_b.sql",
        "CREATE TABLE b (a INTEGER REFERENCES a (id)); INSERT INTO b VALUES (1), (2), (3);",
    );
    let message = "after this migration 1 references from `b` to `a` lead nowhere";
    assert_eq!(project.mistake(), pair("0002_b.sql:1:1", message));
    project.write(
        "0002_b.sql",
        "CREATE TABLE b (a INTEGER REFERENCES a (id)); INSERT INTO b VALUES (1), (2);",
    );
    project.up().unwrap();
    project
        .database()
        .execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO b VALUES (4), (5)")
        .unwrap();
    project.write("0003_c.sql", "DELETE FROM b WHERE a = 5;");
    assert_eq!(project.up(), Ok(vec!["c".to_owned()]));
    project.write("0004_d.sql", "DELETE FROM a;");
    assert_eq!(
        project.mistake().1,
        "after this migration 3 references from `b` to `a` lead nowhere"
    );
}

#[test]
fn many_programs_at_once_apply_each_file_once() {
    let project = Project::new(&[]);
    for number in 1..=20 {
        let text = if number == 1 {
            "CREATE TABLE a (x)".to_owned()
        } else {
            format!("INSERT INTO a VALUES ({number})")
        };
        project.write(&format!("{number:04}_step.sql"), text);
    }
    project.database().execute_batch("PRAGMA journal_mode = WAL").unwrap();
    let applied: usize = std::thread::scope(|scope| {
        let programs: Vec<_> =
            (0..4).map(|_| scope.spawn(|| project.up().unwrap().len())).collect();
        programs.into_iter().map(|program| program.join().unwrap()).sum()
    });
    assert_eq!((applied, project.count("a")), (20, 19));
}

#[test]
fn first_migration_of_a_model_gives_a_database_without_problems() {
    let model = crate::store::schema::layout::test_models::every_kind();
    let layout = crate::store::schema::layout::Layout::new(&model);
    let project = Project::new(&[(
        "0001_create.sqlite.sql",
        &crate::store::sqlite::ddl::first_migration(&layout),
    )]);
    assert_eq!(project.up(), Ok(vec!["create".to_owned()]));
    let database = project.database();
    assert_eq!(check_schema(&database, &model).unwrap(), []);
    let first = epoch(&database).unwrap().unwrap();
    assert_ne!(first, [0; 16]);
    assert_eq!(epoch(&database).unwrap(), Some(first));
}
