//! Each kind of change: what the step says, and what becomes of the rows.

use super::*;

fn model(sdl: &str) -> Model {
    crate::model::parse("schema.graphql", sdl).unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).model
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

    /// The step to this model, applied; or why it could not be.
    fn try_step(&mut self, sdl: &str) -> Result<Step, String> {
        let model = model(sdl);
        let step = step(&self.migrations, &model).unwrap().expect("a difference");
        let number = u32::try_from(self.migrations.files.len()).unwrap() + 1;
        let mut migrations = self.migrations.clone();
        migrations.files.push(Migration::new(number, "step", "step.sql".to_owned(), step.sqlite.clone()));
        migrate::up(&mut self.database, &migrations).map_err(|error| format!("{error}\n{}", step.sqlite))?;
        self.migrations = migrations;
        assert_eq!(migrate::check_schema(&self.database, &model).unwrap(), []);
        assert_eq!(super::step(&self.migrations, &model).unwrap(), None);
        Ok(step)
    }

    fn run(&self, sql: &str) {
        self.database.execute_batch(sql).unwrap_or_else(|error| panic!("{error}: {sql}"));
    }

    /// The rows of a query, columns with spaces between them.
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
            .query_map([], |row| Ok((0..columns).map(|at| cell(row, at)).collect::<Vec<_>>().join(" ")))
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
    assert_eq!(step.sqlite, crate::store::layout::first_migration(&Layout::new(&model)));
    assert_eq!(step.advice, Vec::<String>::new());
    insta::assert_snapshot!("first_step_sqlite", step.sqlite);
    insta::assert_snapshot!("first_step_postgres", step.postgres);
}
