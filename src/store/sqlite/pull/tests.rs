//! Reading foreign tables: one test for each thing that a table can declare.

use proptest::prelude::*;

use super::*;
use crate::model::parse::parse;
use crate::store::schema::difference;
use crate::store::sqlite::migrate::{self, Migration, Migrations};

fn pulled(sql: &str) -> Pulled {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(sql).unwrap();
    let pulled = pull(&connection).unwrap();
    if !pulled.entities.is_empty()
        && let Err(mistakes) = parse("schema.graphql", &pulled.sdl)
    {
        panic!("{mistakes:#?}\n{}", pulled.sdl);
    }
    pulled
}

/// The model's lines without indentation, from the first type on.
fn lines(sql: &str) -> Vec<String> {
    let sdl = pulled(sql).sdl;
    sdl.lines()
        .skip_while(|line| !line.starts_with("type"))
        .map(|line| line.trim().to_owned())
        .collect()
}

/// The line of the only column besides the key, and the comment above it.
fn column(declaration: &str, values: &str) -> Vec<String> {
    let insert = if values.is_empty() {
        String::new()
    } else {
        format!("INSERT INTO things (x) VALUES {values};")
    };
    let found = lines(&format!(
        "CREATE TABLE things (id INTEGER PRIMARY KEY, x {declaration}, y TEXT); {insert}"
    ));
    found[2..found.len() - 2].to_vec()
}

#[test]
fn small_shop_becomes_a_model() {
    let sql = "
        CREATE TABLE Artist (ArtistId INTEGER NOT NULL, Name NVARCHAR(120), CONSTRAINT PK_Artist PRIMARY KEY (ArtistId));
        CREATE TABLE Album (
            AlbumId INTEGER PRIMARY KEY, Title NVARCHAR(160) NOT NULL, ArtistId INTEGER NOT NULL REFERENCES Artist,
            second_artist_id INTEGER REFERENCES Artist (ArtistId) ON DELETE SET NULL, UNIQUE (ArtistId, Title));
        CREATE INDEX album_titles ON Album (Title);
        CREATE INDEX album_artists ON Album (ArtistId);
        CREATE TABLE employees (id INTEGER PRIMARY KEY, email TEXT NOT NULL UNIQUE, ReportsTo INTEGER REFERENCES employees (id));
        CREATE TABLE album_tags (album_id INTEGER REFERENCES Album, tag TEXT, PRIMARY KEY (album_id, tag));
        CREATE VIEW titles AS SELECT Title FROM Album;
    ";
    insta::assert_snapshot!(pulled(sql).sdl, @r#"
    # A first model of a database that was there before: `freshql model pull` wrote it. It is yours to edit: rename
    # types and fields, take out what the API should not show, add `@cacheControl` and `@entity(orderBy:)`.
    #
    # These are not in it:
    # - `album_tags`: its primary key has several columns
    # - `titles`: it is a view

    type Artist @entity(managed: false, table: "Artist") {
      id: ID! @id @default(fn: AUTOINCREMENT) @column(name: "ArtistId")
      name: String @column(name: "Name")
      albumsByArtist: [Album!]! @derivedFrom(field: "artist")
      albumsBySecondArtist: [Album!]! @derivedFrom(field: "secondArtist")
    }

    type Album
      @entity(managed: false, table: "Album")
      @unique(fields: ["artist", "title"]) {
      id: ID! @id @default(fn: AUTOINCREMENT) @column(name: "AlbumId")
      title: String! @column(name: "Title") @index
      artist: Artist! @relation(column: "ArtistId")
      secondArtist: Artist @relation(onDelete: SET_NULL)
    }

    type Employee @entity(managed: false) {
      id: ID! @id @default(fn: AUTOINCREMENT)
      email: String! @unique
      reportsTo: Employee @relation(column: "ReportsTo")
      employeesByReportsTo: [Employee!]! @derivedFrom(field: "reportsTo")
    }
    "#);
}

#[test]
fn declared_types_are_taken_where_the_values_keep_them() {
    for (declaration, values, line) in [
        ("BOOLEAN NOT NULL", "(0), (1)", "x: Boolean!"),
        ("TINYINT(1)", "(0), (NULL)", "x: Boolean"),
        ("INT", "(134217728), (-5)", "x: Int"),
        ("INTEGER", "(2147483648)", "x: BigInt"),
        ("BIGINT", "(1)", "x: BigInt"),
        ("VARCHAR(10)", "('a')", "x: String"),
        ("DOUBLE PRECISION", "(1), (1.5)", "x: Float"),
        ("DATETIME", "('2026-11-22T09:30:00.000Z')", "x: DateTime"),
        ("DATE", "('2026-11-22')", "x: Date"),
        ("JSON", "('{\"a\": [1]}')", "x: JSON"),
        ("UUID", "('0190b4f4-0000-7000-8000-000000000000')", "x: UUID"),
        ("", "(1), (2)", "x: Int"),
        ("TEXT", "", "x: String"),
        ("REAL", "", "x: Float"),
        ("SMALLINT unsigned", "", "x: Int"),
        ("BIGINT", "(NULL)", "x: BigInt"),
        ("BOOLEAN DEFAULT (FALSE)", "", "x: Boolean @default(value: false)"),
    ] {
        assert_eq!(column(declaration, values), [line], "{declaration} {values}");
    }
}

#[test]
fn values_of_another_form_choose_a_type_that_reads_them_and_a_comment_says_why() {
    for (declaration, values, line, why) in [
        (
            "DECIMAL(10,2)",
            "('0.99'), (1)",
            "x: Float",
            "a Decimal would be kept as a whole number, scaled",
        ),
        ("NUMERIC", "", "x: Float", "a Decimal would be kept"),
        ("INT", "(1700000000)", "x: BigInt", "near the limit of an Int"),
        (
            "DATETIME",
            "('2009-01-01 00:00:00')",
            "x: String",
            "texts such as \"2009-01-01 00:00:00\": a DateTime would",
        ),
        ("TIMESTAMP", "(1700000000)", "x: BigInt", "kept as whole numbers: a DateTime would"),
        ("TIMESTAMP", "(1700000000000)", "x: BigInt", "kept as whole numbers"),
        ("DATE", "('22.11.2026')", "x: String", "a Date would be kept as \"2026-11-22\""),
        ("UUID", "('0190B4F4-0000-7000-8000-000000000000')", "x: String", "lower case"),
        ("BOOLEAN", "(2)", "x: Int", "0 or 1"),
        ("BOOLEAN", "('yes')", "x: String", "0 or 1"),
        ("JSON", "('{')", "x: String", "not all of it is JSON"),
        ("INTEGER", "('many')", "x: String", "declared INTEGER, kept as texts"),
        ("STRING", "('a')", "x: String", "SQLite makes numbers of texts"),
    ] {
        let found = column(declaration, values);
        assert!(
            found[0].starts_with("# ") && found[0].contains(why),
            "{declaration} {values}: {found:?}"
        );
        assert_eq!(
            found.last().map(String::as_str),
            Some(line),
            "{declaration} {values}: {found:?}"
        );
    }
}

#[test]
fn columns_without_values_get_a_type_that_reads_what_may_come() {
    for (declaration, line, why) in [
        (
            "DATETIME",
            "x: String",
            "it may be a DateTime if all programs keep it as \"2026-11-22T09:30:00.000Z\"",
        ),
        ("TIMESTAMP NOT NULL", "x: String!", "it may be a DateTime"),
        ("DATE", "x: String", "it may be a Date if"),
        ("UUID", "x: String", "it may be a UUID"),
        ("JSON", "x: String", "it may be JSON"),
        ("INTERVAL", "x: String", "a String reads whatever is no blob"),
        ("INTEGER", "x: BigInt", "it may be an Int if all values will fit 32 bits"),
        ("BOOLEAN", "x: Boolean", "all programs must keep 0 or 1"),
        (
            "BOOLEAN DEFAULT 'f'",
            "x: String @default(value: \"f\")",
            "a String reads whatever is no blob",
        ),
        ("", "x: String", "a String reads texts and numbers"),
    ] {
        let found = column(declaration, "");
        assert!(
            found[0].contains("and no row has a value yet: ") && found[0].contains(why),
            "{declaration}: {found:?}"
        );
        assert_eq!(found.last().map(String::as_str), Some(line), "{declaration}: {found:?}");
        assert_eq!(
            column(declaration, if declaration.contains("NOT") { "" } else { "(NULL)" }),
            found
        );
    }
}

#[test]
fn columns_that_the_table_itself_fills_may_be_left_out_of_inputs() {
    assert_eq!(
        column("DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP", "('2024-01-01 10:00:00')"),
        [
            "# declared DATETIME, kept as texts such as \"2024-01-01 10:00:00\": a DateTime would be kept as \"2026-11-22T09:30:00.000Z\"",
            "# the table's own default, which the model cannot have: CURRENT_TIMESTAMP (it is NOT NULL; without a `!` inputs may leave it out)",
            "x: String",
        ]
    );
}

#[test]
fn what_needs_another_programs_functions_is_left_out_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("own.db");
    // As if a program with its own collation had created it.
    Connection::open(&file)
        .unwrap()
        .execute_batch(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, x INT);
             CREATE UNIQUE INDEX by_name ON notes (name);
             CREATE TABLE tags (id INTEGER PRIMARY KEY, tag TEXT UNIQUE COLLATE NOCASE);
             CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT, sort TEXT);
             CREATE TRIGGER sorted AFTER INSERT ON books BEGIN UPDATE books SET sort = title_sort(NEW.title) WHERE id = NEW.id; END;
             INSERT INTO notes VALUES (1, 'a', 1); PRAGMA writable_schema = ON;
             UPDATE sqlite_schema SET sql = replace(sql, 'NOCASE', 'unicase');",
        )
        .unwrap();
    let pulled = pull(&Connection::open(file).unwrap()).unwrap();
    assert_eq!(pulled.entities, ["books"]);
    let reason = "its statement does not run here: no such collation sequence: unicase";
    assert_eq!(
        pulled.left_out,
        ["notes", "tags"].map(|table| (table.to_owned(), reason.to_owned()))
    );
    assert!(
        pulled
            .sdl
            .contains("# No row can be created here: no such function: title_sort.\ntype Book "),
        "{}",
        pulled.sdl
    );
    let comment = "-- This does not run here: no such collation sequence: unicase.\n-- CREATE TABLE IF NOT EXISTS notes (";
    assert!(pulled.baseline.contains(comment), "{}", pulled.baseline);
    Connection::open_in_memory().unwrap().execute_batch(&pulled.baseline).unwrap();
}

#[test]
fn statements_that_end_in_a_comment_stay_statements() {
    let found = pulled(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT) -- so
         ; CREATE VIEW v AS SELECT x FROM a -- the texts;
         ; CREATE INDEX i ON a (x) /* all of them */ ; CREATE VIEW w AS SELECT 1 AS one /* never closed",
    );
    let scratch = Connection::open_in_memory().unwrap();
    scratch
        .execute_batch(&found.baseline)
        .unwrap_or_else(|error| panic!("{error}\n{}", found.baseline));
    let made: i64 =
        scratch.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(made, 4, "{}", found.baseline);
}

#[test]
fn strings_that_affinity_turns_into_numbers_are_no_keys() {
    let sql = "CREATE TABLE a (k STRING PRIMARY KEY, x TEXT); INSERT INTO a VALUES ('x7', '');
        CREATE TABLE d (k DATE NOT NULL PRIMARY KEY, x TEXT);
        CREATE TABLE p (k TEXT PRIMARY KEY, x TEXT); CREATE TABLE n (id INTEGER PRIMARY KEY, x TEXT);
        CREATE TABLE c (id INTEGER PRIMARY KEY, code STRING UNIQUE, p NUMERIC REFERENCES p, n TEXT REFERENCES n);";
    let found = pulled(sql);
    assert_eq!(
        found.left_out,
        [("a", "STRING"), ("d", "DATE")].map(|(table, ty)| {
            let why =
                format!("its primary key `k` is declared {ty}, so SQLite makes numbers of texts that look like one");
            (table.to_owned(), why)
        })
    );
    let all = lines(sql);
    assert_eq!(
        all[all.iter().position(|line| line.starts_with("type C")).unwrap() + 2..all.len() - 1],
        [
            "# declared STRING, so SQLite makes numbers of texts that look like one",
            "code: String",
            "# declared NUMERIC, kept as numbers: a Decimal would be kept as a whole number, scaled; points to `p`, and keeps keys of it as NUMERIC, since it is declared NUMERIC",
            "p: Float",
            "# points to `n`, and keeps keys of it as TEXT, since it is declared TEXT",
            "n: String",
        ]
    );
}

#[test]
fn values_that_no_type_reads_are_left_out_with_the_reason() {
    for (declaration, values, why) in [
        ("BLOB", "(x'00')", "holds bytes"),
        ("BLOB", "", "holds bytes"),
        ("", "(1), ('a')", "holds numbers and texts"),
        ("TEXT", "(CAST(x'ff' AS TEXT))", "holds bytes"),
        ("INT AS (id + 1)", "", "computed by SQLite"),
    ] {
        let found = column(declaration, values);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("# left out: `x`, ") && found[0].contains(why), "{found:?}");
    }
    let text = pulled("CREATE TABLE a (id INTEGER PRIMARY KEY, x BLOB NOT NULL, y TEXT)").sdl;
    assert!(text.contains("# `x` must have a value, so no row can be created.\ntype A "), "{text}");
}

#[test]
fn defaults_are_taken_where_the_model_can_say_them() {
    for (declaration, line) in [
        ("SMALLINT NOT NULL DEFAULT 3", "x: Int! @default(value: 3)"),
        ("TINYINT DEFAULT (-3)", "x: Int @default(value: -3)"),
        ("BOOLEAN DEFAULT TRUE", "x: Boolean @default(value: true)"),
        ("REAL DEFAULT 1", "x: Float @default(value: 1.0)"),
        ("BIGINT DEFAULT 9", "x: BigInt @default(value: \"9\")"),
        ("TEXT DEFAULT 'it''s \"so\"'", "x: String @default(value: \"it's \\\"so\\\"\")"),
        ("DATE DEFAULT CURRENT_DATE", "x: Date @default(fn: NOW)"),
        ("TEXT DEFAULT NULL", "x: String"),
    ] {
        assert_eq!(column(declaration, ""), [line]);
    }
    let other = column("TEXT DEFAULT (upper('a'))", "");
    assert_eq!(
        other,
        ["# the table's own default, which the model cannot have: upper('a')", "x: String"]
    );
}

#[test]
fn the_table_decides_who_generates_its_keys() {
    let key = |declaration: &str, values: &str| {
        let insert = if values.is_empty() {
            String::new()
        } else {
            format!("INSERT INTO a (k) VALUES ({values});")
        };
        lines(&format!("CREATE TABLE a (k {declaration}, x TEXT); {insert}"))[1].clone()
    };
    assert_eq!(key("INTEGER PRIMARY KEY", "1"), "k: ID! @id @default(fn: AUTOINCREMENT)");
    assert_eq!(key("VARCHAR(9) PRIMARY KEY", "'DE'"), "k: ID! @id");
    assert_eq!(key("TEXT PRIMARY KEY", ""), "k: ID! @id");
    assert_eq!(key("UUID PRIMARY KEY", ""), "k: ID! @id @default(fn: UUID_V7)");
    let uuid = "'0190b4f4-0000-7000-8000-000000000000'";
    assert_eq!(key("CHAR(36) PRIMARY KEY", uuid), "k: ID! @id @default(fn: UUID_V7)");
    assert_eq!(
        key("BIGINT NOT NULL PRIMARY KEY", "1"),
        "k: ID! @id @default(fn: AUTOINCREMENT) @column(type: \"BIGINT\")"
    );
}

#[test]
fn tables_that_cannot_be_entities_are_listed_with_the_reason() {
    let reasons = |sql: &str| {
        let pulled = pulled(sql);
        pulled
            .left_out
            .into_iter()
            .map(|(table, why)| format!("{table}: {why}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        reasons(
            "CREATE TABLE a (x); CREATE TABLE b (x, y, PRIMARY KEY (x, y)); CREATE VIEW c AS SELECT 1;
             CREATE TABLE d (x TEXT PRIMARY KEY) WITHOUT ROWID; CREATE TABLE e (id INTEGER PRIMARY KEY, _version INT);
             CREATE TABLE f (x TEXT PRIMARY KEY); INSERT INTO f VALUES (NULL); CREATE TABLE g (x INT PRIMARY KEY);
             CREATE TABLE h (x BLOB PRIMARY KEY); INSERT INTO h VALUES (x'00');
             CREATE TABLE i (id INTEGER PRIMARY KEY, x BLOB); CREATE TABLE j (x TEXT PRIMARY KEY COLLATE NOCASE);"
        ),
        [
            "a: it has no primary key",
            "b: its primary key has several columns",
            "c: it is a view",
            "d: it is WITHOUT ROWID, where triggers cannot see which row another displaces",
            "e: it has a column `_version` of its own",
            "f: its primary key `x` is NULL in some rows",
            "g: its primary key `x` INT is neither SQLite's row number nor NOT NULL",
            "h: its primary key `x` holds other things than texts",
            "i: it has no column beside the key that the model can have",
            "j: its primary key `x` is compared by the collation NOCASE",
        ]
    );
    let text =
        pulled("CREATE TABLE good (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE bad (x)").sdl;
    assert!(text.contains("# - `bad`: it has no primary key\n"), "{text}");
}

#[test]
fn names_that_no_model_can_have_are_left_out() {
    let long = "x".repeat(64);
    let pulled = pulled(&format!(
        "CREATE TABLE \"a\"\"b\" (id INTEGER PRIMARY KEY, x TEXT); CREATE TABLE {long} (id INTEGER PRIMARY KEY, x TEXT);
         CREATE TABLE k (\"i\"\"d\" INTEGER PRIMARY KEY, x TEXT); CREATE TABLE p (id INTEGER PRIMARY KEY, x TEXT);
         CREATE TABLE c (id INTEGER PRIMARY KEY, x TEXT, \"y\nz\" TEXT UNIQUE, \"\"\"p\" INT REFERENCES p, _freshql_x INT);
         INSERT INTO c (id) VALUES (1);"
    ));
    let why = "its name has quotes or control characters";
    let wanted = [("a\"b", why), (&long, "its name is too long"), ("k", why)];
    assert_eq!(pulled.left_out, wanted.map(|(table, why)| (table.to_owned(), why.to_owned())));
    assert_eq!(pulled.entities, ["p", "c"]);
    assert_eq!(pulled.sdl.matches("  # left out: ").count(), 3, "{}", pulled.sdl);
}

#[test]
fn indexes_are_taken_once_and_only_where_rows_can_be_looked_up_by_them() {
    let found = lines(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, b TEXT UNIQUE, c TEXT, d TEXT COLLATE NOCASE UNIQUE, e INT, f JSON,
             a_id INT REFERENCES a);
         INSERT INTO a (e, f) VALUES (1, '{}');
         CREATE INDEX b1 ON a (b); CREATE INDEX c1 ON a (c); CREATE INDEX c2 ON a (c); CREATE INDEX ec ON a (e, c);
         CREATE INDEX e1 ON a (e); CREATE INDEX part ON a (e) WHERE e > 1; CREATE INDEX low ON a (lower(c));
         CREATE INDEX f1 ON a (f); CREATE INDEX rel ON a (a_id); CREATE UNIQUE INDEX rel2 ON a (a_id, c);",
    );
    assert_eq!(
        found,
        [
            "type A",
            "@entity(managed: false, table: \"a\")",
            "@unique(fields: [\"a\", \"c\"])",
            "@index(fields: [\"e\", \"c\"]) {",
            "id: ID! @id @default(fn: AUTOINCREMENT)",
            "b: String @unique",
            "c: String @index",
            "d: String",
            "e: Int",
            "f: JSON",
            "a: A",
            "asByA: [A!]! @derivedFrom(field: \"a\")",
            "}",
        ]
    );
    let sdl = pulled("CREATE TABLE a (id INTEGER PRIMARY KEY, d TEXT COLLATE NOCASE UNIQUE)").sdl;
    let note = "# Unique, but by the collation NOCASE, so rows cannot be looked up by it: `d`.\n";
    assert!(sdl.contains(note), "{sdl}");
}

#[test]
fn foreign_keys_that_cannot_be_relations_stay_columns_with_the_reason() {
    let child = |column: &str, more: &str| {
        let sql = format!(
            "CREATE TABLE p (id INTEGER PRIMARY KEY, code TEXT UNIQUE, x TEXT); CREATE TABLE q (a, b, PRIMARY KEY (a, b));
             CREATE TABLE child (id INTEGER PRIMARY KEY, {column}); {more}"
        );
        let all = lines(&sql);
        let at = all.iter().position(|line| line.starts_with("type Child")).unwrap();
        all[at + 2..all.len() - 1].to_vec()
    };
    assert_eq!(
        child("p_code TEXT REFERENCES p (code)", ""),
        ["# points to `p.code`, which is not the key", "pCode: String"]
    );
    assert_eq!(
        child("a BIGINT, b INT, FOREIGN KEY (a, b) REFERENCES q (a, b)", "")[0],
        "# part of a foreign key to `q` over several columns"
    );
    assert_eq!(
        child("q_id BIGINT REFERENCES q", ""),
        ["# points to `q`, which is no entity", "qId: BigInt"]
    );
    assert_eq!(
        child(
            "p_id INT REFERENCES p",
            "PRAGMA foreign_keys = OFF; INSERT INTO child VALUES (1, 7);"
        ),
        ["# 1 row points to rows of `p` that are not there", "pId: Int"]
    );
    assert_eq!(
        child("p_id TEXT COLLATE NOCASE REFERENCES p", ""),
        ["# points to `p`, and is compared by the collation NOCASE", "pId: String"]
    );
    assert_eq!(
        child("p_id INT REFERENCES p ON DELETE CASCADE", ""),
        ["p: P @relation(onDelete: CASCADE)"]
    );
}

#[test]
fn look_ups_give_way_to_other_names() {
    let found = lines(
        "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT UNIQUE, b TEXT UNIQUE, name_and_b TEXT UNIQUE, UNIQUE (name, b));
         CREATE TABLE item_by_name (id INTEGER PRIMARY KEY, x TEXT);",
    );
    assert_eq!(
        found[..6],
        [
            "type Item @entity(managed: false) {",
            "id: ID! @id @default(fn: AUTOINCREMENT)",
            "name: String",
            "b: String @unique",
            "nameAndB: String @unique",
            "}",
        ]
    );
}

/// Names that turn into other names: the API's own, plurals, lookups, relations with their keys.
const NAMES: [&str; 40] = [
    "item",
    "items",
    "Item Connection",
    "item_by_names",
    "item_by_name",
    "ItemByNames",
    "name",
    "names",
    "Name",
    "etag",
    "and",
    "id",
    "ID",
    "id_id",
    "item_id",
    "itemId",
    "ITEM_ID",
    "sheep",
    "sheep_list",
    "_",
    "__x",
    "2",
    "n2",
    "N 2",
    "学生",
    "query",
    "mutation",
    "create_item",
    "page_info",
    "string_filter",
    "date",
    "json",
    "true",
    "select",
    "patch",
    "expectedEtag",
    "expected_etag",
    "order",
    "data-x",
    "data x",
];

fn any_tables() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(&NAMES[..]);
    let key = (name(), prop::sample::select(&["INTEGER", "TEXT", "INT NOT NULL", "UUID"][..]));
    let column = (
        name(),
        prop::sample::select(
            &["TEXT", "INT", "STRING", "DATETIME", "TEXT UNIQUE", "TEXT NOT NULL UNIQUE"][..],
        ),
    );
    let relation = (name(), name(), any::<bool>());
    let table =
        (name(), key, prop::collection::vec(column, 0..4), prop::collection::vec(relation, 0..4));
    prop::collection::vec(table, 1..6).prop_map(|tables| {
        let mut text = String::new();
        let mut there: Vec<String> = Vec::new();
        for (name, (key, ty), columns, relations) in tables {
            if there.contains(&name.to_lowercase()) {
                continue;
            }
            there.push(name.to_lowercase());
            let mut own = vec![key.to_lowercase()];
            let mut parts = vec![format!("\"{key}\" {ty} PRIMARY KEY")];
            for (column, ty) in columns {
                if !own.contains(&column.to_lowercase()) {
                    own.push(column.to_lowercase());
                    parts.push(format!("\"{column}\" {ty}"));
                }
            }
            for (column, target, is_unique) in relations {
                if !own.contains(&column.to_lowercase()) {
                    own.push(column.to_lowercase());
                    let unique = if is_unique { " NOT NULL UNIQUE" } else { "" };
                    parts.push(format!("\"{column}\" INTEGER{unique} REFERENCES \"{target}\""));
                }
            }
            text.push_str(&format!("CREATE TABLE \"{name}\" ({});\n", parts.join(", ")));
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn generated_names_do_not_collide_and_the_next_migration_fits_the_model(tables in any_tables()) {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(&tables).unwrap();
        let pulled = pull(&connection).unwrap();
        if !pulled.entities.is_empty() {
            let model = match parse("schema.graphql", &pulled.sdl) {
                Ok(parsed) => parsed.model,
                Err(mistakes) => return Err(TestCaseError::fail(format!("{mistakes:#?}\n{}\n{tables}", pulled.sdl))),
            };
            let first = Migration::new(1, "existing", "1.sql".to_owned(), pulled.baseline.clone());
            let mut migrations = Migrations { files: vec![first], ..Migrations::default() };
            let step = difference::step(&migrations, &model);
            let step = step.map_err(|error| TestCaseError::fail(format!("{error}\n{}\n{tables}", pulled.sdl)))?.unwrap();
            migrations.files.push(Migration::new(2, "adopt", "2.sql".to_owned(), step.sqlite));
            let mut connection = connection;
            migrate::up(&mut connection, &migrations).unwrap();
            migrate::guard(&mut connection, &model).unwrap();
            prop_assert_eq!(migrate::check_schema(&connection, &model).unwrap(), vec![], "{}\n{}", pulled.sdl, tables);
        }
    }
}
