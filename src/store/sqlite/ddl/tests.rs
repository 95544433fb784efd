//! The statements as text, and what the resulting tables refuse.

use rusqlite::Connection;

use super::*;
use crate::store::schema::layout::test_models;

fn layout() -> Layout {
    Layout::new(&test_models::every_kind())
}

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    for statement in create_statements(&layout()) {
        connection.execute_batch(&statement).unwrap();
    }
    connection
}

#[test]
fn tables_are_written_for_people() {
    let layout = layout();
    let tables = layout.tables.iter().map(create_table);
    let indexes =
        layout.tables.iter().flat_map(|t| t.indexes.iter().map(|index| create_index(t, index)));
    insta::assert_snapshot!(tables.chain(indexes).collect::<Vec<_>>().join("\n"), @r#"
    CREATE TABLE folders (
      id        INTEGER PRIMARY KEY AUTOINCREMENT,
      path      TEXT,
      title     TEXT NOT NULL,
      parent_id INTEGER REFERENCES folders (id) ON DELETE CASCADE,
      _version  INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE "order" (
      code         TEXT PRIMARY KEY NOT NULL,
      "unit price" INTEGER NOT NULL CHECK ("unit price" / 100 BETWEEN -99999999 AND 99999999),
      size         REAL CHECK (abs(size) < 9e999),
      open         INTEGER NOT NULL DEFAULT 1 CHECK (open IN (0, 1)),
      count        INTEGER CHECK (count BETWEEN -2147483648 AND 2147483647),
      big          INTEGER,
      kind         TEXT CHECK (kind IN ('PLAIN', 'FANCY')),
      extra        TEXT CHECK (extra IS NULL OR json_valid(extra)),
      day          TEXT CHECK (day IS date(day, '+0 days')),
      made         TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')) CHECK (made IS strftime('%Y-%m-%dT%H:%M:%fZ', made, '+0 days')),
      token        TEXT CHECK (length(token) = 36 AND token NOT GLOB '*[^0-9a-f-]*'),
      folder_id    INTEGER REFERENCES folders (id) ON DELETE SET NULL,
      _version     INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE notes (
      id        TEXT PRIMARY KEY NOT NULL CHECK (length(id) = 36 AND id NOT GLOB '*[^0-9a-f-]*'),
      "group"   TEXT NOT NULL REFERENCES "order" (code) ON DELETE CASCADE,
      folder_id INTEGER REFERENCES folders (id) ON DELETE RESTRICT,
      weight    REAL CHECK (abs(weight) < 9e999),
      big       INTEGER,
      text      TEXT,
      _version  INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE UNIQUE INDEX folders_path_key ON folders (path);
    CREATE INDEX folders_parent_id_idx ON folders (parent_id);
    CREATE UNIQUE INDEX order_count_folder_id_key ON "order" (count, folder_id);
    CREATE INDEX order_folder_id_idx ON "order" (folder_id, code);
    CREATE INDEX notes_group_idx ON notes ("group", id);
    CREATE INDEX notes_folder_id_idx ON notes (folder_id, id);
    CREATE INDEX notes_weight_idx ON notes (weight, id);
    CREATE INDEX notes_big_idx ON notes (big, id);
    "#);
}

#[test]
fn first_migration_is_the_statements_with_headings() {
    let layout = layout();
    let text = first_migration(&layout);
    let mut rest = text.as_str();
    for statement in create_statements(&layout) {
        let at = rest.find(&statement).unwrap();
        assert!(
            rest[..at].lines().all(|line| line.is_empty() || line.starts_with("-- ")),
            "{}",
            &rest[..at]
        );
        rest = &rest[at + statement.len()..];
    }
    assert_eq!(rest.trim(), "");
}

#[test]
fn check_constraints_refuse_values_that_no_answer_can_show() {
    let database = database();
    let insert = |column: &str, value: &str| {
        let columns =
            if column == "unit price" { String::new() } else { ", \"unit price\"".to_owned() };
        let values = if column == "unit price" { "" } else { ", 5" };
        let sql = format!(
            "INSERT INTO \"order\" (code, \"{column}\"{columns}) VALUES (hex(randomblob(8)), {value}{values})"
        );
        database.execute_batch(&sql).map(drop)
    };
    for (column, value) in [
        ("open", "2"),
        ("open", "'yes'"),
        ("count", "2147483648"),
        ("count", "'many'"),
        ("big", "1.5"),
        ("unit price", "10000000000"),
        ("unit price", "9.99"),
        ("size", "9e999"),
        ("size", "'big'"),
        ("kind", "'plain'"),
        ("extra", "'{'"),
        ("day", "'2026-02-30'"),
        ("day", "'2026-2-3'"),
        ("day", "'2026-02-03T00:00:00'"),
        ("made", "'2026-11-22 09:30:00'"),
        ("made", "'2026-11-22T09:30:00Z'"),
        ("made", "'2026-11-22T25:30:00.000Z'"),
        ("token", "'0190B4F4-0000-7000-8000-000000000000'"),
        ("token", "'0190b4f4'"),
        ("folder_id", "77"),
    ] {
        assert!(insert(column, value).is_err(), "{column} = {value}");
    }
    for (column, value) in [
        ("open", "0"),
        ("count", "-2147483648"),
        ("count", "NULL"),
        ("big", "9223372036854775807"),
        ("unit price", "9999999999"),
        ("size", "1.7976931348623157e308"),
        ("size", "3"),
        ("kind", "'PLAIN'"),
        ("kind", "NULL"),
        ("extra", "'[1,{\"a\":null}]'"),
        ("day", "'2024-02-29'"),
        ("made", "'2026-11-22T09:30:00.123Z'"),
        ("made", "'9999-12-31T23:59:59.999Z'"),
        ("token", "'0190b4f4-0000-7000-8000-000000000000'"),
    ] {
        assert_eq!(insert(column, value), Ok(()), "{column} = {value}");
    }
}
