//! Whatever a program writes, and however: each row that it changed has a record, and each existing
//! row has the number of its own last record.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use proptest::prelude::*;
use rusqlite::Connection;
use rusqlite::types::Value;

use super::*;
use crate::store::schema::layout::{Layout, test_models};
use crate::store::sqlite::ddl::create_statements;

/// A database of the odd model, and the judge of what happens to it.
struct Database {
    connection: Connection,
    layout: Layout,
    /// Foreign triggers change rows while our triggers run: such rows get the version of the outer
    /// change.
    has_authors: bool,
}

/// A row as a program sees it: its column values, and the version.
#[derive(Debug, Clone)]
struct Row {
    content: Vec<Value>,
    version: i64,
}

#[derive(Debug)]
struct Record {
    seq: i64,
    entity: String,
    id: Value,
    op: String,
    changed: Option<String>,
    parts: serde_json::Map<String, serde_json::Value>,
}

fn layout(managed: bool) -> Layout {
    let mut model = test_models::every_kind();
    model.entities.iter_mut().for_each(|entity| entity.managed = managed);
    Layout::new(&model)
}

/// (entity, id, spelled so that 1 and '1' differ)
type RowName = (String, String);

fn spelled(entity: &str, id: &Value) -> RowName {
    (entity.to_owned(), format!("{id:?}"))
}

impl Database {
    fn open(connection: Connection) -> Self {
        Self { connection, layout: layout(true), has_authors: false }
    }

    fn new(recursive_triggers: bool, foreign_keys: bool) -> Self {
        Self::with(true, recursive_triggers, foreign_keys)
    }

    /// Whether the tables are managed or not.
    fn with(managed: bool, recursive_triggers: bool, foreign_keys: bool) -> Self {
        let database =
            Self { layout: layout(managed), ..Self::open(Connection::open_in_memory().unwrap()) };
        database.run(&format!(
            "PRAGMA recursive_triggers = {recursive_triggers}; PRAGMA foreign_keys = {foreign_keys}"
        ));
        for statement in create_statements(&database.layout) {
            database.run(&statement);
        }
        database
    }

    fn run(&self, sql: &str) {
        self.connection.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    fn rows(&self) -> BTreeMap<RowName, Row> {
        let mut rows = BTreeMap::new();
        for table in &self.layout.tables {
            let names: Vec<String> = table.columns.iter().map(|c| c.name.to_string()).collect();
            let version = match table.managed {
                true => "_version".to_owned(),
                false => version_expression(
                    &table.entity_name,
                    table.name.as_str(),
                    table.key_column().name.as_str(),
                ),
            };
            let sql = format!("SELECT {version}, {} FROM {}", names.join(", "), table.name);
            let mut statement = self.connection.prepare(&sql).unwrap();
            let found = statement
                .query_map([], |row| {
                    let content: Vec<Value> =
                        (1..=names.len()).map(|i| row.get(i)).collect::<Result<_, _>>()?;
                    Ok(Row { content, version: row.get(0)? })
                })
                .unwrap();
            for row in found {
                let row = row.unwrap();
                rows.insert(
                    spelled(&table.entity_name, &row.content[usize::from(table.key.0)]),
                    row,
                );
            }
        }
        rows
    }

    fn newest(&self) -> i64 {
        self.connection
            .query_row("SELECT ifnull(max(seq), 0) FROM _freshql_change", [], |row| row.get(0))
            .unwrap()
    }

    fn records(&self, after: i64) -> Vec<Record> {
        let sql = "SELECT seq, entity, id, op, changed, parts FROM _freshql_change WHERE seq > ? ORDER BY seq";
        let mut statement = self.connection.prepare(sql).unwrap();
        let records = statement.query_map([after], |row| {
            let parts: String = row.get(5)?;
            Ok(Record {
                seq: row.get(0)?,
                entity: row.get(1)?,
                id: row.get(2)?,
                op: row.get(3)?,
                changed: row.get(4)?,
                parts: serde_json::from_str(&parts).unwrap(),
            })
        });
        records.unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Runs the statement and checks its effects; returns the records that it left, one per line.
    fn judged(&self, sql: &str) -> String {
        self.judge(|| self.run(sql))
    }

    fn judge(&self, change: impl FnOnce()) -> String {
        let (before, newest) = (self.rows(), self.newest());
        change();
        let (after, records) = (self.rows(), self.records(newest));
        let all = self.records(0);

        let names: BTreeSet<&RowName> = before.keys().chain(after.keys()).collect();
        for name in names {
            let (old, new) = (before.get(name), after.get(name));
            let own: Vec<&Record> =
                records.iter().filter(|r| spelled(&r.entity, &r.id) == *name).collect();
            if old.map(|r| &r.content) != new.map(|r| &r.content) {
                assert!(!own.is_empty(), "{name:?} has changed, and the log does not say so");
                if let Some(new) = new {
                    assert!(new.version > newest, "{name:?} has changed, and its version is old");
                }
                self.judge_details(name, old, new, &own);
            }
            if let Some(new) = new {
                let mut stamped =
                    all.iter().filter(|r| r.op != "D" && spelled(&r.entity, &r.id) == *name);
                let is_stamped = stamped.any(|r| r.seq == new.version);
                assert!(
                    is_stamped || self.has_authors,
                    "{name:?} has another version than its record"
                );
            }
        }
        let lines = records.iter().map(|r| {
            let changed =
                r.changed.as_ref().map(|changed| format!(" [{changed}]")).unwrap_or_default();
            let Value::Text(id) = &r.id else {
                return format!("{} {} {:?}{changed}", r.op, r.entity, r.id);
            };
            format!("{} {} {id}{changed}", r.op, r.entity)
        });
        lines.collect::<Vec<_>>().join("\n").replace("Integer(", "").replace(')', "")
    }

    /// Checks that the records name every column that differs, and every value under which lists
    /// contained or contain the row.
    fn judge_details(&self, name: &RowName, old: Option<&Row>, new: Option<&Row>, own: &[&Record]) {
        let table = self.layout.tables.iter().find(|table| table.entity_name == name.0).unwrap();
        let whole = own.iter().any(|record| record.op != "U");
        for (i, column) in table.columns.iter().enumerate() {
            let (old, new) = (old.map(|row| &row.content[i]), new.map(|row| &row.content[i]));
            let told = own
                .iter()
                .filter_map(|r| r.changed.as_ref())
                .any(|c| column_names(table, c).contains(&i));
            assert!(
                old == new || whole || told,
                "{name:?}: nothing says that {} has changed",
                column.name
            );
            for value in [old, new].into_iter().flatten().filter(|_| column.part) {
                let mut values =
                    own.iter().flat_map(|r| r.parts[column.name.as_str()].as_array().unwrap());
                let told = values.any(|json| is_part(json, value));
                assert!(told, "{name:?}: nothing says that {} was or is {value:?}", column.name);
            }
        }
    }
}

/// The columns named in `changed`; a name that contains a space is found, too.
fn column_names(table: &Table, changed: &str) -> Vec<usize> {
    let padded = format!(" {changed} ");
    let stands = |i: &usize| padded.contains(&format!(" {} ", table.columns[*i].name.as_str()));
    (0..table.columns.len()).filter(stands).collect()
}

/// Whether a value in `parts` is this one. Floats are strings there, and each SQLite spells them
/// its own way.
fn is_part(json: &serde_json::Value, value: &Value) -> bool {
    match value {
        Value::Null => json.is_null(),
        Value::Integer(number) => json.as_i64() == Some(*number),
        Value::Real(number) => json.as_str().and_then(|text| text.parse().ok()) == Some(*number),
        Value::Text(text) => json.as_str() == Some(text),
        Value::Blob(_) => panic!("no column holds blobs"),
    }
}

const SEED: &str = "
    INSERT INTO folders (id, path, title, parent_id) VALUES (1, '/', 'root', NULL), (2, '/a', 'a', 1), (3, NULL, 'b', 2);
    INSERT INTO \"order\" (code, \"unit price\", count, folder_id) VALUES ('x', 100, 1, 2), ('y', 200, 2, 2), ('X', 5, NULL, 3);
    INSERT INTO notes (id, \"group\", folder_id, weight) VALUES
      ('0190b4f4-0000-7000-8000-000000000001', 'x', NULL, 0.1), ('0190b4f4-0000-7000-8000-000000000002', 'x', 3, NULL),
      ('0190b4f4-0000-7000-8000-000000000003', 'y', NULL, 1e300);";

/// With `recursive_triggers` on and off: external writers may use either.
fn both(test: impl Fn(Database)) {
    for recursive_triggers in [true, false] {
        let database = Database::new(recursive_triggers, true);
        database.judged(SEED);
        test(database);
    }
}

#[test]
fn changes_by_external_triggers_are_logged_and_versioned_in_either_order() {
    const AUTHORS: &str = "
        CREATE TRIGGER touch AFTER UPDATE ON folders
          BEGIN UPDATE folders SET path = hex(randomblob(4)) WHERE id = NEW.id; END;
        CREATE TRIGGER one_is_open AFTER UPDATE ON \"order\" WHEN NEW.open = 1 AND NEW.count >= 7
          BEGIN UPDATE \"order\" SET open = 0, count = NULL WHERE code <> NEW.code AND open = 1; END;
        CREATE TRIGGER heir AFTER UPDATE ON folders WHEN NEW.title = 'heir'
          BEGIN INSERT INTO folders (title) SELECT 'new' WHERE NOT EXISTS (SELECT 1 FROM folders WHERE title = 'new'); END;
        CREATE TRIGGER first AFTER INSERT ON folders
          BEGIN UPDATE folders SET path = 'p' || NEW.id, parent_id = NULL WHERE id IN (NEW.id, NEW.id - 1); END;";
    for are_first in [true, false] {
        let mut database = Database::new(false, true);
        database.judged(SEED);
        database.has_authors = true;
        database.run(AUTHORS);
        if are_first {
            for trigger in database.layout.tables.iter().flat_map(triggers) {
                database.run(&format!("DROP TRIGGER {};\n{}", trigger.name, trigger.sql));
            }
        }
        for sql in [
            "UPDATE folders SET title = 'A' WHERE id = 2",
            "UPDATE folders SET title = title || '.'",
            "UPDATE \"order\" SET count = 7 WHERE code = 'x'",
            "UPDATE \"order\" SET open = 1, count = 8 WHERE code = 'y'",
            "UPDATE folders SET title = 'heir' WHERE id = 3",
            "INSERT INTO folders (id, title) VALUES (20, 'c'), (21, 'd')",
            "UPDATE folders SET id = 40 WHERE id = 20",
        ] {
            assert_ne!(database.judged(sql), "", "{sql}");
        }
    }
}

#[test]
fn insert_gives_each_row_its_version() {
    both(|database| {
        let log =
            database.judged("INSERT INTO folders (title, parent_id) VALUES ('c', 1), ('d', NULL)");
        assert_eq!(log, "I Folder 4\nI Folder 5");
        assert_eq!(
            database
                .judged("INSERT INTO folders (title) SELECT title || '2' FROM folders")
                .lines()
                .count(),
            5
        );
    });
}

/// Records of one statement and of one millisecond are consecutive; when the time has advanced, so
/// have the numbers.
#[test]
fn versions_are_microseconds_and_never_decrease() {
    both(|database| {
        let now = || -> i64 {
            let sql = "SELECT CAST((julianday('now') - 2440587.5) * 86400e6 AS INTEGER)";
            database.connection.query_row(sql, [], |row| row.get(0)).unwrap()
        };
        let (before, newest) = (now(), database.newest());
        database.run("INSERT INTO folders (title) VALUES ('a'), ('b'), ('c')");
        let seqs: Vec<i64> = database.records(newest).iter().map(|record| record.seq).collect();
        assert!(
            seqs.len() == 3 && seqs[0] >= before && seqs[2] <= now().max(newest) + 3,
            "{before}, {newest}: {seqs:?}"
        );
        // The clock was an hour ahead, and was set back.
        let ahead = now() + 3_600_000_000;
        database
            .run(&format!("INSERT INTO _freshql_change (seq, entity, op, parts) VALUES ({ahead}, 'x', 'D', '{{}}')"));
        database.judged("UPDATE folders SET title = 'd' WHERE id = 1");
        assert_eq!(database.newest(), ahead + 1);
        // A number that would exhaust the clock.
        let sql = "INSERT INTO _freshql_change (seq, entity, op) VALUES (1 << 53, 'x', 'D')";
        assert!(database.connection.execute_batch(sql).is_err());
    });
}

#[test]
fn update_names_the_columns_that_differ() {
    both(|database| {
        let log = database
            .judged("UPDATE folders SET title = 'A', path = '/A', parent_id = 1 WHERE id = 2");
        assert_eq!(log, "U Folder 2 [path title]");
        let log = database.judged("UPDATE \"order\" SET \"unit price\" = \"unit price\" + 1");
        assert_eq!(log, "U Group x [unit price]\nU Group y [unit price]\nU Group X [unit price]");
        assert_eq!(
            database.judged("UPDATE folders SET path = NULL"),
            "U Folder 1 [path]\nU Folder 2 [path]"
        );
    });
}

#[test]
fn update_that_changes_nothing_leaves_no_record() {
    both(|database| {
        assert_eq!(database.judged("UPDATE folders SET title = title, path = path"), "");
        assert_eq!(database.judged("UPDATE \"order\" SET count = 1 WHERE code = 'x'"), "");
    });
}

#[test]
fn version_written_by_another_program_is_corrected() {
    both(|database| {
        assert_eq!(
            database.judged("UPDATE folders SET _version = 1000000 WHERE id = 1"),
            "U Folder 1 []"
        );
        assert_eq!(
            database.judged("UPDATE folders SET _version = 0, title = 'z' WHERE id = 1"),
            "U Folder 1 [title]"
        );
        // The number of the newest record, which belongs to another row.
        let newest = "(SELECT max(seq) FROM _freshql_change)";
        assert_eq!(
            database.judged(&format!("UPDATE folders SET _version = {newest} WHERE id = 2")),
            "U Folder 2 []"
        );
        let log = database
            .judged(&format!("UPDATE folders SET _version = {newest}, title = 'y' WHERE id = 2"));
        assert_eq!(log, "U Folder 2 [title]");
        // The number that the next record will have: the row looks as if nobody had recorded it.
        // Two records are harmless.
        let log = database.judged(&format!(
            "UPDATE folders SET _version = {newest} + 1, title = 'x' WHERE id = 2"
        ));
        assert!(log.lines().all(|line| line == "U Folder 2 [title]"), "{log}");
        let log = database.judged(&format!(
            "INSERT INTO folders (id, title, _version) VALUES (9, 'n', {newest} + 1)"
        ));
        assert!(log.lines().all(|line| line == "I Folder 9"), "{log}");
        assert_eq!(
            database.judged("INSERT INTO folders (title, _version) VALUES ('n', -5)"),
            "I Folder 10"
        );
    });
}

#[test]
fn rows_of_unmanaged_tables_have_versions_in_a_side_table() {
    for recursive_triggers in [true, false] {
        let database = Database::with(false, recursive_triggers, true);
        database.run("PRAGMA foreign_keys = OFF");
        database.judged(SEED);
        assert_eq!(
            database.judged("UPDATE folders SET title = 'A' WHERE id = 2"),
            "U Folder 2 [title]"
        );
        assert_eq!(database.judged("UPDATE folders SET title = title"), "");
        // The conflict clause of a statement applies to the statements in its triggers, too.
        database.judged("INSERT OR IGNORE INTO folders (id, title) VALUES (9, 'n')");
        database.judged("DELETE FROM folders WHERE id = 9");
        database.judged("INSERT OR IGNORE INTO folders (id, title) VALUES (9, 'n')");
        database.judged("UPDATE OR IGNORE folders SET title = 'm' WHERE id = 9");
        database.judged("UPDATE OR FAIL folders SET id = 10 WHERE id = 9");
        database.judged("REPLACE INTO folders (id, path, title) VALUES (1, '/a', 'both')");
        // Its owner restores whatever is deleted, with changes.
        database.run(
            "CREATE TRIGGER theirs AFTER DELETE ON folders BEGIN
               INSERT INTO folders (id, title) VALUES (OLD.id, OLD.title || '!'); END",
        );
        database.judged("DELETE FROM folders WHERE id = 10");
        assert_eq!(
            database.rows()[&spelled("Folder", &Value::Integer(10))].content[2],
            Value::Text("m!".to_owned())
        );
        let left = "SELECT count(*) FROM _freshql_version WHERE entity = 'Folder' AND key <> x''
            AND key NOT IN (SELECT id FROM folders)";
        let left: i64 = database.connection.query_row(left, [], |row| row.get(0)).unwrap();
        assert!(left <= 2, "{left} versions of rows that are gone");
    }
}

/// Whatever somebody writes into the table of versions by hand, no row gets back a version that it
/// had.
#[test]
fn versions_of_unmanaged_rows_never_decrease_by_hand() {
    for recursive_triggers in [false, true] {
        let database = Database::with(false, recursive_triggers, true);
        database.run("INSERT INTO folders (id, title) VALUES (1, 'a'), (2, 'b'), (3, 'c')");
        let now = || database.rows()[&spelled("Folder", &Value::Integer(1))].version;
        let first = now();
        database.run("UPDATE folders SET title = 'aa' WHERE id = 1");
        // A record that says a row may be gone is not enough to delete its version.
        let _ = database
            .connection
            .execute("INSERT OR IGNORE INTO folders (id, title) VALUES (1, 'x')", []);
        for sql in [
            "DELETE FROM _freshql_version",
            "DELETE FROM _freshql_version WHERE key = 1",
            "DELETE FROM _freshql_version WHERE key = x''",
            "UPDATE _freshql_version SET version = version - 1",
            "UPDATE _freshql_version SET version = 1 WHERE key = x''",
            "UPDATE _freshql_version SET key = 7 WHERE key = 1",
            "UPDATE _freshql_version SET entity = 'x' WHERE key = 1",
            "UPDATE OR REPLACE _freshql_version SET key = x'' WHERE key = 2",
            "UPDATE OR REPLACE _freshql_version SET key = 1 WHERE key = 2",
            "REPLACE INTO _freshql_version (entity, key, version) VALUES ('Folder', 1, 5)",
            "REPLACE INTO _freshql_version (entity, key, version) VALUES ('Folder', x'', 5)",
            "INSERT INTO _freshql_version (entity, key, version) VALUES ('Folder', 1, 5)
               ON CONFLICT DO UPDATE SET version = excluded.version",
            "UPDATE _freshql_version SET version = 1 << 53",
            "UPDATE _freshql_version SET version = version + 1000000000000",
            "INSERT INTO _freshql_version (entity, key, version) VALUES ('Folder', 8, 1 << 52)",
        ] {
            let before = database.rows();
            let error = database.connection.execute_batch(sql).expect_err(sql);
            assert!(
                error.to_string().contains("the versions of rows are kept by freshql"),
                "{error}"
            );
            let after = database.rows();
            assert!(before.iter().all(|(name, row)| after[name].version == row.version), "{sql}");
        }
        assert!(now() > first);
        // Neither a raised version nor a log emptied by hand prevents anybody from writing.
        database.run("UPDATE _freshql_version SET version = version + 1");
        let raised = now();
        database.run("DELETE FROM _freshql_change");
        database.run(
            "UPDATE folders SET title = 'aaa' WHERE id = 1; UPDATE folders SET id = 9 WHERE id = 1",
        );
        database.run(
            "DELETE FROM folders WHERE id = 9; INSERT INTO folders (id, title) VALUES (1, 'anew')",
        );
        assert!(now() > raised);
        let left =
            "SELECT group_concat(key) FROM _freshql_version WHERE entity = 'Folder' AND key <> x''";
        let left: String = database.connection.query_row(left, [], |row| row.get(0)).unwrap();
        assert_eq!(left, "1,2,3");
        for statement in renew_statements(&database.layout.tables[0]) {
            database.run(&statement);
        }
        assert!(now() > raised && raised > first);
    }
}

#[test]
fn versions_of_unmanaged_rows_are_looked_up_by_their_key() {
    let database = Database::with(false, true, true);
    for (entity, table, key) in [("Folder", "folders", "id"), ("Group", "order", "code")] {
        let expression = version_expression(entity, table, key);
        let sql = format!("EXPLAIN QUERY PLAN SELECT {expression} FROM \"{table}\"");
        let mut statement = database.connection.prepare(&sql).unwrap();
        let plan: Vec<String> =
            statement.query_map([], |row| row.get(3)).unwrap().map(Result::unwrap).collect();
        let searches = plan.iter().filter(|line| {
            line.contains("SEARCH _freshql_version USING PRIMARY KEY (entity=? AND key=?)")
        });
        assert_eq!(searches.count(), 2, "{plan:?}");
    }
}

#[test]
fn delete_and_its_cascades_are_logged() {
    both(|database| {
        assert_eq!(
            database.judged("DELETE FROM notes WHERE weight > 5"),
            "D Note 0190b4f4-0000-7000-8000-000000000003"
        );
        let log = database.judged("DELETE FROM \"order\" WHERE code = 'x'");
        assert_eq!(
            log.lines().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
            [
                "D Group x",
                "D Note 0190b4f4-0000-7000-8000-000000000001",
                "D Note 0190b4f4-0000-7000-8000-000000000002"
            ]
        );
        // A tree of folders is deleted, to any depth; orders stay without theirs.
        let log = database.judged("DELETE FROM folders WHERE id = 1");
        assert_eq!(
            log.lines().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(),
            [
                "D Folder 1",
                "D Folder 2",
                "D Folder 3",
                "U Group X [folder_id]",
                "U Group y [folder_id]"
            ]
        );
        assert_eq!(database.judged("DELETE FROM \"order\"").lines().count(), 2);
    });
}

#[test]
fn recreated_row_gets_a_new_version() {
    both(|database| {
        let version = || database.rows()[&spelled("Folder", &Value::Integer(3))].version;
        let old = version();
        database.judged("DELETE FROM notes; DELETE FROM folders WHERE id = 3");
        database.judged("INSERT INTO folders (id, title, parent_id) VALUES (3, 'b', 2)");
        assert!(version() > old);
    });
}

#[test]
fn replace_logs_every_row_that_it_displaces() {
    both(|database| {
        database.judged("DELETE FROM notes");
        // By the key; by a unique column; by both, two rows at once; by the rowid.
        let log = database
            .judged("INSERT OR REPLACE INTO folders (id, path, title) VALUES (5, '/a', 'new')");
        assert!(log.contains("D Folder 2") && log.ends_with("I Folder 5"), "{log}");
        let log =
            database.judged("REPLACE INTO folders (id, path, title) VALUES (1, '/a', 'both')");
        assert!(
            log.contains("D Folder 1") && log.contains("D Folder 5") && log.ends_with("I Folder 1"),
            "{log}"
        );
        let number = "(SELECT rowid FROM \"order\" WHERE code = 'y')";
        let log = database.judged(&format!(
            "REPLACE INTO \"order\" (rowid, code, \"unit price\") VALUES ({number}, 'z', 1)"
        ));
        assert!(log.contains("D Group y") && log.ends_with("I Group z"), "{log}");
    });
    both(|database| {
        database.judged("DELETE FROM notes");
        database.judged("UPDATE folders SET path = '/b' WHERE id = 3");
        let log = database.judged("UPDATE OR REPLACE folders SET path = '/b' WHERE id = 1");
        assert!(log.contains("D Folder 3") && log.ends_with("U Folder 1 [path]"), "{log}");
    });
    both(|database| {
        database.run("PRAGMA foreign_keys = OFF");
        let log = database.judged("UPDATE OR REPLACE folders SET rowid = 2 WHERE id = 3");
        assert!(
            log.contains("D Folder 2") && log.contains("D Folder 3") && log.ends_with("I Folder 2"),
            "{log}"
        );
        let log = database.judged("UPDATE OR REPLACE \"order\" SET _rowid_ = 1 WHERE code = 'y'");
        assert!(log.contains("D Group x"), "{log}");
    });
}

#[test]
fn upsert_is_an_update() {
    both(|database| {
        let log = database.judged(
            "INSERT INTO folders (id, path, title) VALUES (8, '/a', 'A'), (9, '/n', 'N')
             ON CONFLICT (path) DO UPDATE SET title = excluded.title",
        );
        assert_eq!(log, "D Folder 2\nU Folder 2 [title]\nI Folder 9");
        database.judged("INSERT INTO folders (id, title) VALUES (9, 'O') ON CONFLICT DO NOTHING");
        database.judged("INSERT OR IGNORE INTO folders (id, title) VALUES (9, 'O'), (10, 'P')");
    });
}

#[test]
fn changed_key_is_a_change_of_both_rows() {
    both(|database| {
        database.run("PRAGMA foreign_keys = OFF");
        assert_eq!(
            database.judged("UPDATE folders SET id = 7 WHERE id = 3"),
            "D Folder 3\nI Folder 7"
        );
        assert_eq!(
            database.judged("UPDATE \"order\" SET code = 'Y' WHERE code = 'y'"),
            "D Group y\nI Group Y"
        );
        assert_eq!(database.judged("UPDATE folders SET id = id + 100").lines().count(), 6);
    });
}

#[test]
fn change_that_a_collation_does_not_see_is_logged() {
    let database = Database::open(Connection::open_in_memory().unwrap());
    for statement in create_statements(&database.layout) {
        // An author of migrations may add a collation.
        database.run(&statement.replace("title     TEXT", "title     TEXT COLLATE NOCASE"));
    }
    database.judged(SEED);
    assert_eq!(
        database.judged("UPDATE folders SET title = 'ROOT' WHERE id = 1"),
        "U Folder 1 [title]"
    );
}

#[test]
fn changes_and_last_insert_rowid_ignore_our_triggers() {
    both(|database| {
        let connection = &database.connection;
        let sql = "INSERT INTO folders (title) VALUES ('n') RETURNING id, title";
        let row: (i64, String) =
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!((row.0, row.1.as_str()), (4, "n"));
        assert_eq!(connection.last_insert_rowid(), 4);
        assert_eq!(connection.execute("UPDATE folders SET title = 'm'", []).unwrap(), 4);
        assert_eq!(connection.last_insert_rowid(), 4);
        assert_eq!(connection.execute("DELETE FROM folders WHERE id = 4", []).unwrap(), 1);
    });
}

#[test]
fn failed_statement_leaves_no_record() {
    both(|database| {
        let (newest, rows) = (database.newest(), database.rows().len());
        let fails = |sql: &str| assert!(database.connection.execute_batch(sql).is_err(), "{sql}");
        fails("INSERT INTO folders (id, title) VALUES (20, 't'), (1, 't')");
        fails("DELETE FROM folders WHERE id = 3");
        fails("UPDATE folders SET path = '/'");
        fails("BEGIN; UPDATE folders SET title = 't'; INSERT INTO folders (id) VALUES (1)");
        database.run("ROLLBACK");
        assert_eq!((database.newest(), database.rows().len()), (newest, rows));
    });
}

#[test]
fn trigger_of_another_program_on_the_same_table_is_seen() {
    both(|database| {
        database.run(
            "CREATE TRIGGER theirs AFTER UPDATE OF title ON folders BEGIN
               UPDATE folders SET path = upper(NEW.title) WHERE id = NEW.id; END",
        );
        let log = database.judged("UPDATE folders SET title = 'theirs' WHERE id = 2");
        assert!(log.contains("title") && log.contains("path"), "{log}");
    });
}

#[test]
fn writes_of_the_sqlite3_shell_get_versions() {
    let Ok(version) = Command::new("sqlite3").arg("--version").output() else { return };
    assert!(version.status.success());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shell.db");
    let database = Database::open(Connection::open(&file).unwrap());
    for statement in create_statements(&database.layout) {
        database.run(&statement);
    }
    let shell = |sql: &str| {
        database.judge(|| {
            let output = Command::new("sqlite3").arg("-bail").arg(&file).arg(sql).output().unwrap();
            assert!(output.status.success(), "{}: {sql}", String::from_utf8_lossy(&output.stderr));
        })
    };
    shell(SEED);
    assert_eq!(shell("UPDATE folders SET title = 'shell' WHERE id = 2"), "U Folder 2 [title]");
    assert_eq!(shell("UPDATE folders SET title = title"), "");
    assert_eq!(shell("UPDATE folders SET _version = 0 WHERE id = 2"), "U Folder 2 []");
    assert_eq!(
        shell("REPLACE INTO folders (id, path, title) VALUES (6, '/a', 'a')"),
        "D Folder 2\nI Folder 6"
    );
    shell(
        "INSERT INTO folders (id, path, title) VALUES (7, '/a', 'b') ON CONFLICT DO UPDATE SET title = excluded.title",
    );
    shell("UPDATE OR REPLACE folders SET path = '/a' WHERE id = 1");
    shell("BEGIN; DELETE FROM notes; DELETE FROM \"order\"; COMMIT");
    shell("PRAGMA foreign_keys = ON; DELETE FROM folders");
}

/// A value for each column, from a domain small enough to collide.
fn value_of(column: &TableColumn) -> BoxedStrategy<String> {
    let one_of = |values: &[&str]| {
        proptest::sample::select(values.iter().map(|v| (*v).to_owned()).collect::<Vec<_>>())
    };
    match (column.name.as_str(), column.scalar) {
        ("id", Scalar::IdUuid) => one_of(&[
            "'0190b4f4-0000-7000-8000-000000000001'",
            "'0190b4f4-0000-7000-8000-000000000002'",
            "'0190b4f4-0000-7000-8000-000000000004'",
        ]),
        (_, Scalar::IdInt) => one_of(&["1", "2", "3", "4", "NULL"]),
        (_, Scalar::IdText) => one_of(&["'x'", "'y'", "'X'"]),
        (_, Scalar::String) => one_of(&["'a'", "'A'", "'b'", "''", "NULL", "title"]),
        (_, Scalar::Float) => one_of(&["0.1", "0.30000000000000004", "1e300", "-0.0", "NULL"]),
        (_, Scalar::BigInt) => one_of(&["9223372036854775807", "9223372036854775806", "NULL"]),
        (_, Scalar::Boolean) => one_of(&["0", "1"]),
        (_, Scalar::Enum(_)) => one_of(&["'PLAIN'", "'FANCY'", "NULL"]),
        (_, Scalar::Json) => one_of(&["'{}'", "'{\"a\":1}'"]),
        (_, Scalar::Date) => one_of(&["'2026-01-01'", "NULL"]),
        (_, Scalar::DateTime) => {
            one_of(&["'2026-01-01T00:00:00.000Z'", "'2026-01-01T00:00:00.001Z'"])
        }
        (_, Scalar::Uuid | Scalar::IdUuid) => {
            one_of(&["'0190b4f4-0000-7000-8000-000000000001'", "NULL"])
        }
        (_, Scalar::Int | Scalar::Decimal { .. }) => one_of(&["1", "2", "NULL"]),
    }
    .boxed()
}

/// A statement on one of the tables, sensible or not.
fn statement(table: &Table) -> BoxedStrategy<String> {
    let name = table.name.to_string();
    let key = table.key_column().name.to_string();
    let columns: Vec<String> = table.columns.iter().map(|c| c.name.to_string()).collect();
    let values: Vec<BoxedStrategy<String>> = table.columns.iter().map(value_of).collect();
    let managed = table.managed;
    let conflict =
        proptest::sample::select(vec!["", "", "OR REPLACE", "OR REPLACE", "OR IGNORE", "OR FAIL"]);
    let condition = {
        let columns = columns.clone();
        (0..columns.len(), values.clone()).prop_map(move |(i, values)| {
            if i == 0 { "true".to_owned() } else { format!("{} IS {}", columns[i], values[i]) }
        })
    };
    let key_condition = {
        let key = key.clone();
        values[0].clone().prop_map(move |value| format!("{key} = {value}"))
    };
    let condition = prop_oneof![key_condition, condition].boxed();

    let insert = {
        let (name, columns) = (name.clone(), columns.clone());
        (conflict.clone(), values.clone(), 0..5_u8, -1..30_i64).prop_map(
            move |(conflict, values, upsert, version)| {
                let upsert = match upsert {
                    0 => format!(" ON CONFLICT DO UPDATE SET {} = excluded.{0}", columns[1]),
                    1 if managed => {
                        format!(
                            " ON CONFLICT DO UPDATE SET {0} = excluded.{0}, _version = 3",
                            columns[2]
                        )
                    }
                    2 => " ON CONFLICT DO NOTHING".to_owned(),
                    _ => String::new(),
                };
                let (mut columns, mut values) = (columns.join(", "), values.join(", "));
                if managed {
                    columns.push_str(", _version");
                    values.push_str(&format!(", {version}"));
                }
                // A name can refer to the row's own columns only in an UPDATE.
                let values = values.replace("title", "'t'");
                format!("INSERT {conflict} INTO {name} ({columns}) VALUES ({values}){upsert}")
            },
        )
    };
    let update = {
        let (name, columns) = (name.clone(), columns.clone());
        (conflict.clone(), 0..columns.len(), 0..columns.len(), values.clone(), condition.clone())
            .prop_map(move |(conflict, a, b, values, condition)| {
                format!(
                    "UPDATE {conflict} {name} SET {} = {}, {} = {} WHERE {condition}",
                    columns[a], values[a], columns[b], values[b]
                )
            })
    };
    let sly = {
        let (name, key) = (name.clone(), key.clone());
        let mut sets = vec![
            "_version = 2".to_owned(),
            "_version = (SELECT max(seq) FROM _freshql_change)".to_owned(),
            "_version = (SELECT max(seq) + 1 FROM _freshql_change)".to_owned(),
            "rowid = 2".to_owned(),
            "rowid = rowid + 1".to_owned(),
            format!("{key} = {key}"),
            format!("{key} = {key} + 1"),
        ];
        sets.retain(|set| managed || !set.starts_with("_version"));
        (conflict, proptest::sample::select(sets), condition.clone()).prop_map(
            move |(conflict, set, condition)| {
                format!("UPDATE {conflict} {name} SET {set} WHERE {condition}")
            },
        )
    };
    let delete = {
        let name = name.clone();
        condition.prop_map(move |condition| format!("DELETE FROM {name} WHERE {condition}"))
    };
    let copy = {
        let others = columns[1..].join(", ");
        Just(format!(
            "INSERT OR REPLACE INTO {name} ({key}, {others}) SELECT {key}, {others} FROM {name}"
        ))
    };
    prop_oneof![4 => insert, 4 => update, 2 => sly, 1 => delete, 1 => copy].boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]
    #[test]
    fn no_statement_changes_a_row_without_a_record(
        recursive_triggers: bool,
        foreign_keys: bool,
        (managed, statements) in any::<bool>().prop_flat_map(|managed| {
            let all: Vec<_> = layout(managed).tables.iter().map(statement).collect();
            (Just(managed), proptest::collection::vec(proptest::strategy::Union::new(all), 1..25))
        }),
    ) {
        let database = Database::with(managed, recursive_triggers, foreign_keys);
        database.judged(SEED);
        for statement in statements {
            // A failure changes nothing (or, with OR FAIL, only what it has recorded).
            database.judge(|| drop(database.connection.execute_batch(&statement)));
        }
    }
}
