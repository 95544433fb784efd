//! `@renamedFrom`: the migration renames the column, so the rows keep its values and their versions,
//! whatever kind of field it is and whatever else changes with it.

use freshql::config::Database;
use freshql::model::{Model, parse};
use freshql::store::Admin;
use freshql::store::schema::difference::step;
use freshql::store::schema::migrations::{self, Dialect, Migrations};

use crate::database::{Driver, Outsider, TestDatabase};

const BEFORE: &str = r#"
enum Kind { A B }
type Box @entity { code: ID! @id label: String! things: [Thing!]! @derivedFrom(field: "box") }
type Thing @entity(orderBy: [{title: ASC}]) @index(fields: ["kind", "price"]) @unique(fields: ["box", "title"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  title: String! @index
  price: Decimal! @column(precision: 6, scale: 2)
  kind: Kind! @default(value: A)
  made: DateTime @column(name: "made_at")
  on: Boolean! @default(value: true)
  weight: Float
  box: Box @relation(onDelete: SET_NULL)
  note: String
}
"#;

/// Every field of `Thing` but the key has another name, and the key of `Box` has, too; `note` becomes
/// required, and `extra` comes.
const AFTER: &str = r#"
enum Kind { A B }
type Box @entity { key: ID! @id @renamedFrom(name: "code") label: String! things: [Thing!]! @derivedFrom(field: "crate") }
type Thing @entity(orderBy: [{name: ASC}]) @index(fields: ["sort", "cost"]) @unique(fields: ["crate", "name"]) {
  id: ID! @id @default(fn: AUTOINCREMENT)
  name: String! @index @renamedFrom(name: "title")
  cost: Decimal! @column(precision: 6, scale: 2) @renamedFrom(name: "price")
  sort: Kind! @default(value: A) @renamedFrom(name: "kind")
  order: DateTime @renamedFrom(name: "made_at")
  isOn: Boolean! @default(value: true) @renamedFrom(name: "on")
  grams: Float @renamedFrom(name: "weight")
  crate: Box @relation(onDelete: SET_NULL) @renamedFrom(name: "box")
  remark: String! @default(value: "none") @renamedFrom(name: "note")
  extra: Int
}
"#;

const ROWS: &str = "
  INSERT INTO boxes (code, label) VALUES ('x', 'X');
  INSERT INTO things (title, price, kind, made_at, \"on\", weight, box_id, note) VALUES
    ('one', 1250, 'B', '2026-11-22T09:30:00.000Z', FALSE, 1.5, 'x', 'n'),
    ('two', 100, 'A', NULL, TRUE, NULL, NULL, NULL);
  UPDATE things SET weight = 2.5 WHERE title = 'one'";

fn model(sdl: &str) -> Model {
    parse("schema.graphql", sdl).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).model
}

/// A database and the migrations that lead from model to model.
struct Project {
    database: TestDatabase,
    outsider: Outsider,
    folder: tempfile::TempDir,
}

impl Project {
    fn new(driver: Driver) -> Self {
        let database = TestDatabase::new_on(driver);
        let outsider = database.outsider();
        Self { database, outsider, folder: tempfile::tempdir().unwrap() }
    }

    /// Leads to this model; false if nothing had to be done.
    fn step(&self, sdl: &str) -> bool {
        let (folder, model) = (self.folder.path(), model(sdl));
        let Some(step) = step(&Migrations::read(folder).unwrap(), &model).unwrap() else {
            return false;
        };
        migrations::add(folder, "step", &step.sqlite, &step.postgres).unwrap();
        let dialect = match self.database.config() {
            Database::Sqlite(_) => Dialect::Sqlite,
            Database::Postgres(_) => Dialect::Postgres,
        };
        let mut admin = Admin::open(&self.database.config()).unwrap();
        admin
            .migrate(&Migrations::read_for(folder, dialect).unwrap())
            .unwrap_or_else(|error| panic!("{error:?}\n{}\n{}", step.sqlite, step.postgres));
        assert_eq!(admin.check(&model).unwrap(), []);
        true
    }

    fn versions(&self) -> Vec<Vec<Option<String>>> {
        self.outsider.rows("SELECT id, _version FROM things ORDER BY id")
    }

    /// What a database of this kind says about its tables.
    fn shape(&self, driver: Driver) -> Vec<Vec<Option<String>>> {
        self.outsider.rows(match driver {
            // SQLite keeps the words of who created a table.
            Driver::Sqlite => {
                "SELECT type, name FROM sqlite_schema WHERE name NOT LIKE 'sqlite%'
                   AND name <> '_freshql_migration' ORDER BY 1, 2"
            }
            Driver::Postgres => {
                "SELECT 'constraint', conname::text, pg_get_constraintdef(oid) FROM pg_constraint
                   WHERE conrelid IN ('things'::regclass, 'boxes'::regclass)
                 UNION ALL SELECT 'index', indexname::text, indexdef FROM pg_indexes WHERE tablename IN ('things', 'boxes')
                 UNION ALL SELECT 'function', proname::text, prosrc FROM pg_proc WHERE proname LIKE '_freshql_%log'
                 UNION ALL SELECT 'trigger', tgname::text, pg_get_triggerdef(oid) FROM pg_trigger
                   WHERE tgrelid IN ('things'::regclass, 'boxes'::regclass) AND NOT tgisinternal ORDER BY 1, 2, 3"
            }
        })
    }
}

#[test]
fn rows_keep_the_values_of_renamed_fields_and_their_versions() {
    for driver in [Driver::Sqlite, Driver::Postgres] {
        let project = Project::new(driver);
        assert!(project.step(BEFORE));
        let rows = match driver {
            Driver::Sqlite => ROWS.to_owned(),
            Driver::Postgres => ROWS.replace("1250", "12.50").replace("100", "1.00"),
        };
        project.outsider.execute(&rows);
        let before = project.versions();

        assert!(project.step(AFTER));
        assert_eq!(project.versions(), before, "{driver:?}");
        let values = project.outsider.rows(
            "SELECT name, CAST(cost AS text), sort, CAST(grams AS text), crate_id, remark, CAST(extra AS text)
             FROM things ORDER BY id",
        );
        let values: Vec<String> = values
            .into_iter()
            .map(|row| {
                row.into_iter().map(|v| v.unwrap_or("null".into())).collect::<Vec<_>>().join(" ")
            })
            .collect();
        let cost = if driver == Driver::Sqlite { ["1250", "100"] } else { ["12.50", "1.00"] };
        assert_eq!(
            values,
            [
                format!("one {} B 2.5 x n null", cost[0]),
                format!("two {} A null null none null", cost[1])
            ],
            "{driver:?}"
        );
        assert_eq!(
            project
                .outsider
                .int("SELECT count(*) FROM things WHERE \"order\" IS NOT NULL AND NOT is_on"),
            1
        );

        // The model may keep saying it, and may stop.
        assert!(!project.step(AFTER), "{driver:?}");
        let silent = without_former_names(AFTER);
        assert!(!project.step(&silent), "{driver:?}");

        // The tables are those of somebody who begins with this model.
        let fresh = Project::new(driver);
        fresh.step(&silent);
        assert_eq!(project.shape(driver), fresh.shape(driver), "{driver:?}");

        // The triggers follow the new names.
        project.outsider.execute("UPDATE things SET name = 'three' WHERE name = 'one'");
        assert_ne!(project.versions()[0], before[0], "{driver:?}");
        assert_eq!(project.versions()[1], before[1], "{driver:?}");
        project.outsider.execute("DELETE FROM boxes");
        assert_eq!(project.outsider.int("SELECT count(*) FROM things WHERE crate_id IS NULL"), 2);
    }
}

/// The model without `@renamedFrom`.
fn without_former_names(sdl: &str) -> String {
    let mut parts = sdl.split(" @renamedFrom(");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once(')').unwrap().1)
}

#[test]
fn names_that_are_exchanged_or_never_were_rename_nothing() {
    let first = "type A @entity { id: ID! @id b: String c: Int }";
    let project = Project::new(Driver::Sqlite);
    project.step(first);
    project.outsider.execute("INSERT INTO \"as\" (id, b, c) VALUES ('1', 'x', 7)");
    // A former name that the table never had: the column comes.
    project
        .step("type A @entity { id: ID! @id b: String c: Int d: Int @renamedFrom(name: \"zzz\") }");
    // Two fields cannot both have been the same one; the first is.
    project.step(
        "type A @entity { id: ID! @id c: Int d: Int e: String @renamedFrom(name: \"b\") f: String @renamedFrom(name: \"b\") }",
    );
    let rows = project.outsider.rows("SELECT e, f, CAST(c AS text) FROM \"as\"");
    assert_eq!(rows, [[Some("x".to_owned()), None, Some("7".to_owned())]]);
}
