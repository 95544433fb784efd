//! Each kind of change: the text of the step, and what happens to the rows.

use rusqlite::Connection;

use crate::model::Model;
use crate::store::schema::difference::{self, DifferenceError, Step, step};
use crate::store::schema::layout::Layout;
use crate::store::schema::migrations::{Migration, Migrations};
use crate::store::sqlite::migrate;

fn model(sdl: &str) -> Model {
    crate::model::parse("schema.graphql", sdl)
        .unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
        .model
}

/// A database that has gone through several models.
struct Project {
    migrations: Migrations,
    database: Connection,
}

impl Project {
    fn new(sdl: &str) -> Self {
        let database = Connection::open_in_memory().unwrap();
        database.execute_batch("PRAGMA foreign_keys = ON; PRAGMA recursive_triggers = ON").unwrap();
        let mut project = Self { migrations: Migrations::default(), database };
        project.step(sdl);
        project
    }

    fn step(&mut self, sdl: &str) -> Step {
        self.try_step(sdl).unwrap_or_else(|mistake| panic!("{mistake}"))
    }

    /// The step to this model, applied; or why it could not be applied.
    fn try_step(&mut self, sdl: &str) -> Result<Step, String> {
        let model = model(sdl);
        let step = step(&self.migrations, &model).unwrap().expect("a difference");
        let number = i64::try_from(self.migrations.files.len()).unwrap() + 1;
        let mut migrations = self.migrations.clone();
        migrations.files.push(Migration::new(
            number,
            "step",
            "step.sql".to_owned(),
            step.sqlite.clone(),
        ));
        migrate::up(&mut self.database, &migrations)
            .map_err(|error| format!("{error}\n{}", step.sqlite))?;
        self.migrations = migrations;
        assert_eq!(migrate::check_schema(&self.database, &model).unwrap(), []);
        assert_eq!(difference::step(&self.migrations, &model).unwrap(), None);
        Ok(step)
    }

    fn run(&self, sql: &str) {
        self.database.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// The rows of a query, as space-separated columns.
    fn rows(&self, sql: &str) -> Vec<String> {
        let mut statement = self.database.prepare(sql).unwrap();
        let columns = statement.column_count();
        let cell = |row: &rusqlite::Row<'_>, at: usize| -> String {
            match row.get_ref(at).unwrap() {
                rusqlite::types::ValueRef::Null => "null".to_owned(),
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Real(number) => format!("{number:?}"),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                rusqlite::types::ValueRef::Blob(_) => "blob".to_owned(),
            }
        };
        let rows = statement
            .query_map([], |row| {
                Ok((0..columns).map(|at| cell(row, at)).collect::<Vec<_>>().join(" "))
            })
            .unwrap();
        rows.map(Result::unwrap).collect()
    }

    fn log(&self) -> Vec<String> {
        self.rows("SELECT count(*) FROM _freshql_change")
    }
}

const SHOP: &str = r#"
enum Status { DRAFT ACTIVE }
type Shop @entity { id: ID! @id @default(fn: AUTOINCREMENT) name: String! @unique goods: [Good!]! @derivedFrom(field: "shop") }
type Good @entity {
  id: ID! @id
  name: String! @index
  price: Decimal! @column(precision: 10, scale: 2)
  stock: Int! @default(value: 0)
  status: Status! @default(value: DRAFT)
  shop: Shop! @relation(onDelete: CASCADE)
}
"#;

#[test]
fn first_step_is_the_first_migration() {
    let model = model(SHOP);
    let step = step(&Migrations::default(), &model).unwrap().unwrap();
    assert_eq!(step.sqlite, crate::store::sqlite::ddl::first_migration(&Layout::new(&model)));
    assert_eq!(step.advice, Vec::<String>::new());
    insta::assert_snapshot!("first_step_sqlite", step.sqlite);
    insta::assert_snapshot!("first_step_postgres", step.postgres);
}

#[test]
fn columns_that_a_release_adds_to_freshqls_own_tables_are_the_next_migration() {
    let first = crate::store::sqlite::ddl::first_migration(&Layout::new(&model(SHOP)));
    let columns = ",\n  source        TEXT NOT NULL DEFAULT 'http' CHECK (source IN ('http', 'file')),\n  retired_at    INTEGER\n";
    assert!(first.contains(columns), "{first}");
    let old = Migration::new(1, "create", "create.sql".to_owned(), first.replace(columns, "\n"));
    let mut database = Connection::open_in_memory().unwrap();
    let migrations = Migrations { files: vec![old], ..Migrations::default() };
    migrate::up(&mut database, &migrations).unwrap();
    let mut project = Project { migrations, database };
    project.run("INSERT INTO _freshql_document (id, text) VALUES ('a', '{ __typename }')");

    let step = project.step(SHOP);
    insta::assert_snapshot!(step.sqlite, @"
    -- What this release of freshql adds to its own tables.

    ALTER TABLE _freshql_document ADD COLUMN source TEXT NOT NULL DEFAULT 'http' CHECK (source IN ('http', 'file'));

    ALTER TABLE _freshql_document ADD COLUMN retired_at INTEGER;
    ");
    insta::assert_snapshot!(step.postgres, @"
    -- What this release of freshql adds to its own tables.

    ALTER TABLE _freshql_document ADD COLUMN source text NOT NULL DEFAULT 'http' CHECK (source IN ('http', 'file'));

    ALTER TABLE _freshql_document ADD COLUMN retired_at timestamptz;
    ");
    assert_eq!(
        project.rows("SELECT id, source, retired_at FROM _freshql_document"),
        ["a http null"]
    );
}

/// The shop's model with a replacement.
fn shop(replace: &str, by: &str) -> String {
    assert!(SHOP.contains(replace), "{replace} is nowhere");
    SHOP.replace(replace, by)
}

/// A shop with goods whose versions are no longer those of their creation.
fn stocked() -> Project {
    let project = Project::new(SHOP);
    project.run(
        "INSERT INTO shops (name) VALUES ('Speicher'), ('Argile');
         INSERT INTO goods (id, name, price, stock, status, shop_id) VALUES
           ('a', 'Apple', 1250, 3, 'ACTIVE', 1), ('b', 'Bowl', 100, 0, 'DRAFT', 2), ('c', 'Cup', 99, 7, 'ACTIVE', 1);
         UPDATE goods SET stock = 4 WHERE id = 'a';
         DELETE FROM goods WHERE id = 'c';",
    );
    project
}

/// A step on a stocked shop: rows, versions and log stay as they were.
fn step_of(sdl: &str) -> (Project, Step) {
    let mut project = stocked();
    let before = (
        project.rows("SELECT id, name, _version FROM goods"),
        project.rows("SELECT id, name, _version FROM shops"),
        project.log(),
    );
    let step = project.step(sdl);
    let after = (
        project.rows("SELECT id, name, _version FROM goods"),
        project.rows("SELECT id, name, _version FROM shops"),
        project.log(),
    );
    assert_eq!(after, before);
    // From here on the triggers maintain the versions.
    project.run("UPDATE goods SET name = 'Ant' WHERE id = 'a'");
    let newest = project.rows("SELECT max(seq) FROM _freshql_change");
    assert_eq!(project.rows("SELECT _version FROM goods WHERE id = 'a'"), newest);
    (project, step)
}

/// Why a step does not run on a stocked shop; it must run on an empty one.
fn refusal_of(sdl: &str) -> String {
    let mut project = stocked();
    let refusal = project.try_step(sdl).expect_err("the step must be refused");
    assert_eq!(project.rows("SELECT count(*) FROM goods"), ["2"]);
    project.run("DELETE FROM shops");
    project.step(sdl);
    refusal.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn same_model_makes_no_step() {
    let project = stocked();
    assert_eq!(step(&project.migrations, &model(SHOP)).unwrap(), None);
    let other_words =
        shop("name: String! @index", "\"What it is.\"\n  name: String! @index @hidden");
    assert_eq!(step(&project.migrations, &model(&other_words)).unwrap(), None);
}

#[test]
fn new_nullable_field_is_added_in_place() {
    let (project, step) = step_of(&shop("stock: Int!", "note: String\n  stock: Int!"));
    insta::assert_snapshot!("new_nullable_field_sqlite", step.sqlite);
    insta::assert_snapshot!("new_nullable_field_postgres", step.postgres);
    assert_eq!(project.rows("SELECT note FROM goods"), ["null", "null"]);
}

#[test]
fn new_field_with_a_default_gives_it_to_the_rows_that_exist() {
    let (project, step) = step_of(&shop(
        "stock: Int!",
        "open: Boolean! @default(value: true)\n  made: DateTime! @default(fn: NOW)\n  token: UUID! @default(fn: UUID_V7)\n  stock: Int!",
    ));
    assert_eq!(
        project.rows("SELECT open, length(made), length(token) FROM goods"),
        ["1 24 36", "1 24 36"]
    );
    assert_eq!(project.rows("SELECT count(DISTINCT token) FROM goods"), ["2"]);
    assert_eq!(step.advice, Vec::<String>::new());
}

#[test]
fn a_new_required_field_leaves_a_placeholder_that_must_be_filled_in() {
    let sdl = shop("stock: Int!", "weight: Float!\n  stock: Int!");
    assert_eq!(refusal_of(&sdl), "step.sql: NOT NULL constraint failed: _freshql_new_goods.weight");
    let step = step(&stocked().migrations, &model(&sdl)).unwrap().unwrap();
    insta::assert_snapshot!("new_required_field_sqlite", step.sqlite);
    insta::assert_snapshot!("new_required_field_postgres", step.postgres);
    assert_eq!(
        step.advice,
        ["`goods.weight` is new and has no default: write its value for existing rows at FILL IN"]
    );
}

#[test]
fn a_dropped_field_keeps_its_data_and_does_not_block_inserts() {
    let (project, step) =
        step_of(&shop("price: Decimal! @column(precision: 10, scale: 2)\n", "\n"));
    insta::assert_snapshot!("dropped_field_sqlite", step.sqlite);
    insta::assert_snapshot!("dropped_field_postgres", step.postgres);
    assert_eq!(project.rows("SELECT price FROM goods"), ["1250", "100"]);
    project.run("INSERT INTO goods (id, name, shop_id) VALUES ('d', 'Dish', 1)");
    assert_eq!(
        step.advice,
        [
            "`goods.price` is no longer in the model: its data stays unless you uncomment the statement"
        ]
    );
}

#[test]
fn dropped_relation_no_longer_acts() {
    let sdl = shop("  shop: Shop! @relation(onDelete: CASCADE)\n", "")
        .replace("goods: [Good!]! @derivedFrom(field: \"shop\")", "");
    let (project, _) = step_of(&sdl);
    project.run("DELETE FROM shops");
    assert_eq!(project.rows("SELECT id, shop_id FROM goods"), ["a 1", "b 2"]);
    assert_eq!(
        project.rows("SELECT name FROM pragma_index_list('goods') WHERE origin = 'c'"),
        ["goods_name_idx"]
    );
}

#[test]
fn dropped_tables_and_columns_go_only_on_request() {
    let sdl = "type Good @entity { id: ID! @id name: String! stock: Int! @default(value: 0) }";
    let project = stocked();
    let step = step(&project.migrations, &model(sdl)).unwrap().unwrap();
    insta::assert_snapshot!("dropped_entity_sqlite", step.sqlite);
    insta::assert_snapshot!("dropped_entity_postgres", step.postgres);
    let mut migrations = project.migrations.clone();
    let text =
        step.sqlite.replace("-- ALTER TABLE", "ALTER TABLE").replace("-- DROP TABLE", "DROP TABLE");
    migrations.files.push(Migration::new(9, "step", "step.sql".to_owned(), text));
    let mut database = project.database;
    migrate::up(&mut database, &migrations).unwrap();
    assert_eq!(migrate::check_schema(&database, &model(sdl)).unwrap(), []);
    assert_eq!(difference::step(&migrations, &model(sdl)).unwrap(), None);
    let columns: i64 = database
        .query_row("SELECT count(*) FROM pragma_table_info('goods')", [], |row| row.get(0))
        .unwrap();
    assert_eq!(columns, 4);
}

#[test]
fn entity_that_comes_back_gets_new_versions() {
    let mut project = stocked();
    project.step(
        "type Shop @entity { id: ID! @id @default(fn: AUTOINCREMENT) name: String! @unique }",
    );
    assert_eq!(project.rows("SELECT count(*) FROM goods"), ["2"]);
    project.run("DELETE FROM shops WHERE id = 2; UPDATE goods SET name = 'Unseen', shop_id = 1");
    let newest = project.rows("SELECT max(seq) FROM _freshql_change").concat();
    project.step(SHOP);
    assert_eq!(
        project.rows(&format!("SELECT id, name, _version > {newest} FROM goods")),
        ["a Unseen 1", "b Unseen 1"]
    );
}

#[test]
fn nullability_changes_both_ways() {
    let nullable = shop("name: String! @index", "name: String @index");
    let (mut project, step) = step_of(&nullable);
    insta::assert_snapshot!("field_becomes_nullable_postgres", step.postgres);
    let step = project.step(SHOP);
    insta::assert_snapshot!("field_becomes_required_sqlite", step.sqlite);
    insta::assert_snapshot!("field_becomes_required_postgres", step.postgres);
    project.step(&nullable);
    project.run("UPDATE goods SET name = NULL WHERE id = 'b'");
    let refusal = project.try_step(SHOP).unwrap_err();
    assert!(
        refusal.starts_with("step.sql: NOT NULL constraint failed: _freshql_new_goods.name"),
        "{refusal}"
    );
    project.step(&shop("name: String! @index", "name: String! @index @default(value: \"thing\")"));
    assert_eq!(project.rows("SELECT name FROM goods"), ["Ant", "thing"]);
}

#[test]
fn defaults_change() {
    let (project, step) =
        step_of(&shop("stock: Int! @default(value: 0)", "stock: Int! @default(value: 5)"));
    insta::assert_snapshot!("default_changes_postgres", step.postgres);
    project.run("INSERT INTO goods (id, name, price, shop_id) VALUES ('d', 'Dish', 1, 1)");
    assert_eq!(project.rows("SELECT stock FROM goods"), ["4", "0", "5"]);
    let (project, _) = step_of(&shop("stock: Int! @default(value: 0)", "stock: Int!"));
    assert!(
        project
            .database
            .execute("INSERT INTO goods (id, name, price, shop_id) VALUES ('d', 'D', 1, 1)", [])
            .is_err()
    );
}

#[test]
fn enum_gains_and_loses_values() {
    let (project, _) = step_of(&shop("DRAFT ACTIVE", "DRAFT ACTIVE GONE"));
    project.run("UPDATE goods SET status = 'GONE'");
    let sdl = shop("DRAFT ACTIVE }", "DRAFT DONE }");
    assert!(refusal_of(&sdl).starts_with("step.sql: CHECK constraint failed"));
    let step = step(&stocked().migrations, &model(&sdl)).unwrap().unwrap();
    insta::assert_snapshot!("enum_loses_a_value_sqlite", step.sqlite);
    insta::assert_snapshot!("enum_loses_a_value_postgres", step.postgres);
}

#[test]
fn suggested_update_lets_an_enum_lose_a_value_and_is_logged() {
    let sdl = shop("DRAFT ACTIVE }", "DRAFT DONE }");
    let mut project = stocked();
    let step = step(&project.migrations, &model(&sdl)).unwrap().unwrap();
    let text = step.sqlite.replace("-- UPDATE", "UPDATE");
    let newest = project.rows("SELECT max(seq) FROM _freshql_change").concat();
    project.migrations.files.push(Migration::new(2, "step", "step.sql".to_owned(), text));
    migrate::up(&mut project.database, &project.migrations).unwrap();
    let rows = project.rows(&format!("SELECT id, status, _version > {newest} FROM goods"));
    assert_eq!(rows, ["a DRAFT 1", "b DRAFT 0"]);
}

#[test]
fn a_field_may_be_called_rowid() {
    let (project, _) = step_of(&shop("stock:", "rowid: Int\n  oid: String\n  stock:"));
    assert_eq!(project.rows("SELECT id, rowid, oid FROM goods"), ["a null null", "b null null"]);
}

#[test]
fn indexes_come_and_go() {
    let (project, step) = step_of(
        &shop("name: String! @index", "name: String!")
            .replace("stock: Int! @default(value: 0)", "stock: Int! @default(value: 0) @index"),
    );
    insta::assert_snapshot!("index_moves_sqlite", step.sqlite);
    let indexes = "SELECT name FROM pragma_index_list('goods') WHERE origin = 'c' ORDER BY 1";
    assert_eq!(project.rows(indexes), ["goods_shop_id_idx", "goods_stock_idx"]);
    // An index that begins with the same columns does not return rows in key order.
    let both =
        shop("type Good @entity {", "type Good @entity @index(fields: [\"name\", \"price\"]) {");
    let (project, _) = step_of(&both);
    assert_eq!(
        project.rows(indexes),
        ["goods_name_idx", "goods_name_price_idx", "goods_shop_id_idx"]
    );
    let mut project = Project::new(&both.replace("name: String! @index", "name: String!"));
    assert_eq!(project.rows(indexes), ["goods_name_price_idx", "goods_shop_id_idx"]);
    project.step(&both);
    assert_eq!(
        project.rows(indexes),
        ["goods_name_idx", "goods_name_price_idx", "goods_shop_id_idx"]
    );
    // One that continues with the key does.
    let keyed =
        shop("type Good @entity {", "type Good @entity @index(fields: [\"name\", \"id\"]) {");
    assert_eq!(Project::new(&keyed).rows(indexes), ["goods_name_id_idx", "goods_shop_id_idx"]);
    assert_eq!(step_of(&keyed).0.rows(indexes), ["goods_name_id_idx", "goods_shop_id_idx"]);
}

#[test]
fn uniqueness_comes_and_goes() {
    let (project, _) = step_of(&shop("name: String! @index", "name: String! @unique"));
    assert!(project.database.execute("UPDATE goods SET name = 'Ant'", []).is_err());
    let (project, _) = step_of(&shop("name: String! @unique", "name: String!"));
    project.run("UPDATE shops SET name = 'one'");
    let refusal = refusal_of(&shop(
        "stock: Int! @default(value: 0)",
        "stock: Int! @default(value: 0)\n  one: Boolean! @default(value: true) @unique",
    ));
    assert_eq!(refusal, "step.sql: UNIQUE constraint failed: goods.one");
}

#[test]
fn relations_change_their_ways() {
    let (project, step) = step_of(&shop(
        "shop: Shop! @relation(onDelete: CASCADE)",
        "shop: Shop @relation(onDelete: SET_NULL)",
    ));
    insta::assert_snapshot!("relation_changes_sqlite", step.sqlite);
    insta::assert_snapshot!("relation_changes_postgres", step.postgres);
    project.run("DELETE FROM shops WHERE id = 1");
    assert_eq!(project.rows("SELECT id, shop_id FROM goods"), ["a null", "b 2"]);
    let (project, _) = step_of(&shop("  stock:", "  seller: Shop\n  stock:"));
    assert!(project.database.execute("UPDATE goods SET seller_id = 77", []).is_err());
}

#[test]
fn types_are_converted_without_loss_or_not_at_all() {
    let price = "price: Decimal! @column(precision: 10, scale: 2)";
    let converted = |by: &str| step_of(&shop(price, by)).0.rows("SELECT price FROM goods");
    assert_eq!(converted("price: Decimal! @column(precision: 12, scale: 4)"), ["125000", "10000"]);
    assert_eq!(converted("price: Decimal! @column(precision: 12, scale: 1)"), ["125", "10"]);
    assert_eq!(converted("price: Decimal! @column(precision: 12, scale: 2)"), ["1250", "100"]);
    assert_eq!(converted("price: Float!"), ["12.5", "1.0"]);
    assert_eq!(converted("price: String!"), ["12.50", "1.00"]);
    let refused = |replace: &str, by: &str| refusal_of(&shop(replace, by));
    assert_eq!(
        refused(price, "price: Int!"),
        "step.sql: cannot store TEXT value in INTEGER column _freshql_new_goods.price"
    );
    assert!(
        refused(price, "price: Decimal! @column(precision: 10, scale: 0)")
            .contains("cannot store TEXT")
    );
    assert!(refused(price, "price: Boolean!").contains("cannot store TEXT"));
    assert!(refused("name: String! @index", "name: Int! @index").contains("cannot store TEXT"));
    assert!(refused("name: String! @index", "name: Decimal! @index").contains("cannot store TEXT"));
    assert!(
        refused("name: String! @index", "name: DateTime! @index")
            .contains("CHECK constraint failed")
    );

    let stock = "stock: Int! @default(value: 0)";
    let converted = |by: &str| step_of(&shop(stock, by)).0.rows("SELECT stock FROM goods");
    assert_eq!(converted("stock: BigInt!"), ["4", "0"]);
    assert_eq!(converted("stock: Decimal! @column(precision: 10, scale: 3)"), ["4000", "0"]);
    assert_eq!(converted("stock: String!"), ["4", "0"]);
    assert_eq!(converted("stock: Float!"), ["4.0", "0.0"]);
    let mut project = stocked();
    project.run("UPDATE goods SET stock = stock > 0");
    project.step(&shop(stock, "stock: Boolean!"));
    project.step(&shop(stock, "stock: String!"));
    assert_eq!(project.rows("SELECT stock FROM goods"), ["true", "false"]);
}

#[test]
fn type_change_in_both_dialects() {
    let price = "price: Decimal! @column(precision: 10, scale: 2)";
    let (_, step) = step_of(&shop(price, "price: Decimal! @column(precision: 12, scale: 1)"));
    insta::assert_snapshot!("decimal_changes_sqlite", step.sqlite);
    insta::assert_snapshot!("decimal_changes_postgres", step.postgres);
}

#[test]
fn keys_of_another_kind_need_empty_tables() {
    let refusal = refusal_of(&shop(
        "type Shop @entity { id: ID! @id @default(fn: AUTOINCREMENT)",
        "type Shop @entity { id: ID! @id @default(fn: UUID_V7)",
    ));
    assert!(refusal.starts_with("step.sql: CHECK constraint failed"), "{refusal}");
    // Numbers become keys that are strings given by the client.
    let mut project = stocked();
    let by_text = shop(
        "type Shop @entity { id: ID! @id @default(fn: AUTOINCREMENT)",
        "type Shop @entity { id: ID! @id",
    );
    let step = project.step(&by_text);
    insta::assert_snapshot!("key_of_another_kind_postgres", step.postgres);
    assert_eq!(project.rows("SELECT id, typeof(id) FROM shops"), ["1 text", "2 text"]);
}

#[test]
fn another_field_becomes_the_key() {
    let mut project = stocked();
    let before = project.rows("SELECT id, 36, _version FROM goods");
    let step = project.step(&shop(
        "id: ID! @id\n  name: String! @index",
        "uid: ID! @id @default(fn: UUID_V7)\n  id: String! @unique\n  name: String! @index",
    ));
    insta::assert_snapshot!("another_key_sqlite", step.sqlite);
    insta::assert_snapshot!("another_key_postgres", step.postgres);
    assert_eq!(project.rows("SELECT id, length(uid), _version FROM goods"), before);
}

#[test]
fn numbers_of_deleted_rows_do_not_come_back() {
    let (mut project, _) =
        step_of(&shop("name: String! @unique", "name: String! @unique\n  city: String"));
    project.run("DELETE FROM shops WHERE id = 2");
    project.step(&shop(
        "name: String! @unique",
        "name: String! @unique\n  city: String! @default(value: \"\")",
    ));
    project.run("INSERT INTO shops (name) VALUES ('next')");
    assert_eq!(project.rows("SELECT id FROM shops"), ["1", "3"]);
    project.run("DELETE FROM shops");
    project.step(&shop(
        "name: String! @unique",
        "name: String! @unique\n  city: String! @default(value: \"x\")",
    ));
    project.run("INSERT INTO shops (name) VALUES ('again')");
    assert_eq!(project.rows("SELECT id FROM shops"), ["4"]);
}

#[test]
fn hand_written_definitions_are_kept() {
    let mut project = stocked();
    let text = "ALTER TABLE goods ADD COLUMN colour TEXT DEFAULT 'red' CHECK (colour <> '');
        ALTER TABLE goods ADD COLUMN twice INTEGER GENERATED ALWAYS AS (stock * 2) VIRTUAL;
        CREATE INDEX by_colour ON goods (colour) WHERE colour <> 'red';
        CREATE TABLE notes (good TEXT REFERENCES goods (id) ON DELETE CASCADE, text TEXT);
        CREATE VIEW in_stock AS SELECT id, colour FROM goods WHERE stock > 0;
        CREATE TRIGGER noted AFTER UPDATE OF name ON goods BEGIN INSERT INTO notes VALUES (NEW.id, OLD.name); END;
        CREATE TRIGGER by_note AFTER DELETE ON notes BEGIN UPDATE goods SET stock = 0 WHERE id = OLD.good; END;";
    project.migrations.files.push(Migration::new(2, "own", "own.sql".to_owned(), text.to_owned()));
    migrate::up(&mut project.database, &project.migrations).unwrap();
    assert_eq!(step(&project.migrations, &model(SHOP)).unwrap(), None, "it is nobody's business");

    project.run(
        "INSERT INTO notes VALUES ('b', 'first'); UPDATE goods SET colour = 'blue' WHERE id = 'b'",
    );
    let step =
        project.step(&shop("stock: Int! @default(value: 0)", "stock: Int! @default(value: 1)"));
    insta::assert_snapshot!("rebuild_with_what_is_not_ours_sqlite", step.sqlite);
    assert_eq!(project.rows("SELECT id, colour, twice FROM goods"), ["a red 8", "b blue 0"]);
    project.run("UPDATE goods SET name = 'Ant' WHERE id = 'a'");
    assert_eq!(project.rows("SELECT * FROM notes"), ["b first", "a Apple"]);
    project.run("DELETE FROM notes WHERE good = 'a'");
    assert_eq!(project.rows("SELECT id FROM in_stock"), Vec::<String>::new());
    assert_eq!(project.rows("SELECT count(*) FROM sqlite_schema WHERE name = 'by_colour'"), ["1"]);
    assert!(project.database.execute("UPDATE goods SET colour = ''", []).is_err());
}

#[test]
fn a_hand_written_column_that_blocks_inserts_is_relaxed() {
    let mut project = Project::new(SHOP);
    let text = "DROP TABLE goods; CREATE TABLE goods (id TEXT PRIMARY KEY NOT NULL, extra TEXT NOT NULL /* so */, _version INTEGER NOT NULL DEFAULT 0);";
    project.migrations.files.push(Migration::new(2, "own", "own.sql".to_owned(), text.to_owned()));
    migrate::up(&mut project.database, &project.migrations).unwrap();
    project.step(SHOP);
    project.run(
        "INSERT INTO shops (name) VALUES ('x'); INSERT INTO goods (id, name, price, shop_id) VALUES ('a', 'b', 1, 1)",
    );
}

#[test]
fn table_that_was_there_before_gets_only_what_freshql_needs() {
    let text = "CREATE TABLE makers (id INTEGER PRIMARY KEY AUTOINCREMENT, name VARCHAR(100) NOT NULL COLLATE BINARY, since datetime);
        CREATE TABLE things (code TEXT NOT NULL PRIMARY KEY, maker INTEGER, kind TEXT DEFAULT 'x' CHECK (length(kind) < 9),
          FOREIGN KEY (maker) REFERENCES makers (id));
        INSERT INTO makers (name) VALUES ('one'), ('two'); INSERT INTO things VALUES ('a', 1, 'y'), ('b', NULL, 'z');";
    let sdl = "type Maker @entity(table: \"makers\") { id: ID! @id @default(fn: AUTOINCREMENT) name: String!
          since: String @column(type: \"datetime\") things: [Thing!]! @derivedFrom(field: \"maker\") }
        type Thing @entity(table: \"things\") { code: ID! @id maker: Maker @relation(column: \"maker\") kind: String }";
    let database = Connection::open_in_memory().unwrap();
    let file = Migration::new(1, "existing", "existing.sql".to_owned(), text.to_owned());
    let mut project =
        Project { migrations: Migrations { files: vec![file], ..Migrations::default() }, database };
    let step = project.step(sdl);
    insta::assert_snapshot!("adopted_tables_sqlite", step.sqlite);
    project.run("UPDATE things SET kind = 'w' WHERE code = 'a'");
    let newest = project.rows("SELECT max(seq) FROM _freshql_change").concat();
    let rows = [format!("a 1 w {newest}"), "b null z 0".to_owned()];
    assert_eq!(project.rows("SELECT code, maker, kind, _version FROM things"), rows);

    // Later changes leave the rest as its authors have written it.
    let step =
        project.step(&sdl.replace("kind: String", "kind: String! @default(value: \"none\")"));
    insta::assert_snapshot!("adopted_table_changes_sqlite", step.sqlite);
    assert_eq!(project.rows("SELECT code, maker, kind, _version FROM things"), rows);
}

#[test]
fn database_of_a_release_that_counted_its_versions_goes_over_to_the_clock() {
    let mut project = Project::new(SHOP);
    // As in earlier releases: a counter, and triggers that took its next number.
    let log = "DROP TABLE _freshql_change; CREATE TABLE _freshql_change (seq INTEGER PRIMARY KEY AUTOINCREMENT,
          entity TEXT NOT NULL, id ANY, op TEXT NOT NULL CHECK (op IN ('I', 'U', 'D')), changed TEXT, parts TEXT,
          at INTEGER NOT NULL DEFAULT (unixepoch())) STRICT;
        DROP TRIGGER _freshql_shops_inserted; CREATE TRIGGER _freshql_shops_inserted AFTER INSERT ON shops BEGIN
          INSERT INTO _freshql_change (entity, id, op, parts) VALUES ('Shop', NEW.id, 'I', json_object('name', json_array(NEW.name)));
          UPDATE shops SET _version = last_insert_rowid() WHERE id = NEW.id; END;";
    project.migrations.files.push(Migration::new(2, "old", "old.sql".to_owned(), log.to_owned()));
    migrate::up(&mut project.database, &project.migrations).unwrap();
    project.run("INSERT INTO shops (name) VALUES ('Speicher')");
    assert_eq!(project.rows("SELECT _version FROM shops"), ["1"]);
    let problems = migrate::check_schema(&project.database, &model(SHOP)).unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let message = "table `_freshql_change` is that of an older release of freshql, and so are the triggers that write it";
    assert_eq!(problems[0].message, message);

    project.step(SHOP);
    assert_eq!(project.rows("SELECT name, _version FROM shops"), ["Speicher 1"]);
    project.run("INSERT INTO shops (name) VALUES ('Argile')");
    let is_time = "SELECT _version / 1000000 BETWEEN unixepoch() - 60 AND unixepoch() FROM shops WHERE id = 2";
    assert_eq!(project.rows(is_time), ["1"]);
}

#[test]
fn collation_that_hides_a_change_goes() {
    let text =
        "CREATE TABLE things (code TEXT NOT NULL PRIMARY KEY COLLATE NOCASE, kind TEXT COLLATE NOCASE) WITHOUT ROWID;
        INSERT INTO things VALUES ('a', 'y');";
    let file = Migration::new(1, "existing", "existing.sql".to_owned(), text.to_owned());
    let database = Connection::open_in_memory().unwrap();
    let mut project =
        Project { migrations: Migrations { files: vec![file], ..Migrations::default() }, database };
    project.step("type Thing @entity(table: \"things\") { code: ID! @id kind: String }");
    project.run("INSERT INTO things (code, kind) VALUES ('A', 'Y')");
    assert_eq!(project.rows("SELECT count(*) FROM things WHERE kind = 'y'"), ["2"]);
}

#[test]
fn names_that_need_quotes_are_quoted_everywhere() {
    let before = "enum Kind { A B }
        type Order @entity(table: \"order\") { id: ID! @id @default(fn: AUTOINCREMENT) group: String! @unique
          unit: Int! @column(name: \"unit price\") kind: Kind! @default(value: A) up: Order @relation(column: \"to\") }";
    let mut project = Project::new(before);
    project.run("INSERT INTO \"order\" (\"group\", \"unit price\", \"to\") VALUES ('x', 1, 1)");
    project.step(&before.replace("A B", "A B C").replace("unit: Int!", "unit: Int"));
    project.step("type Order @entity(table: \"order\") { id: ID! @id @default(fn: AUTOINCREMENT) other: String }");
    assert_eq!(project.rows("SELECT \"group\", \"unit price\", \"to\" FROM \"order\""), ["x 1 1"]);
}

#[test]
fn migration_that_does_not_run_is_named_with_its_place() {
    let file = Migration::new(
        1,
        "bad",
        "0001_bad.sql".to_owned(),
        "CREATE TABLE a (x);\nSELEC 1;".to_owned(),
    );
    let Err(DifferenceError::Migrations(mistakes)) =
        step(&Migrations { files: vec![file], ..Migrations::default() }, &model(SHOP))
    else {
        panic!("it ran");
    };
    assert_eq!((mistakes[0].file.as_str(), mistakes[0].span.start), ("0001_bad.sql", 20));
}
