//! An in-memory database on which migrations are tried, to compare what they build with what a
//! model needs.

use rusqlite::Connection;

use super::catalogue::Catalogue;
use super::migrate;
use crate::model::Model;
use crate::store::error::AdminError;
use crate::store::schema::migrations::{MigrateError, Migrations, Problem};

/// Deleted when this is dropped.
pub(in crate::store) struct Scratch(Connection);

impl Scratch {
    /// Builds a database from these migrations.
    pub(in crate::store) fn of(migrations: &Migrations) -> Result<Self, MigrateError> {
        migrate::rehearse(migrations).map(Self)
    }

    pub(in crate::store) fn catalogue(&self) -> Result<Catalogue, AdminError> {
        Ok(Catalogue::read(&self.0)?)
    }

    /// Another database with the same schema and no rows. A virtual table creates the tables in
    /// which it keeps its data (its shadow tables) itself.
    pub(in crate::store) fn emptied(&self) -> Result<Self, AdminError> {
        let empty = Connection::open_in_memory()?;
        let mut statements = self.0.prepare(
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND name <> '_freshql_migration' AND name NOT IN (SELECT name FROM pragma_table_list WHERE type = 'shadow') \
             ORDER BY type <> 'table', type = 'trigger', rowid",
        )?;
        for sql in statements.query_map([], |row| row.get::<_, String>(0))? {
            empty.execute_batch(&sql?)?;
        }
        drop(statements);
        Ok(Self(empty))
    }

    /// Applies migrations.
    pub(in crate::store) fn migrate(
        &mut self,
        migrations: &Migrations,
    ) -> Result<(), MigrateError> {
        migrate::up(&mut self.0, migrations).map(drop)
    }

    /// Runs statements.
    pub(in crate::store) fn run(&self, sql: &str) -> Result<(), AdminError> {
        Ok(self.0.execute_batch(sql)?)
    }

    /// What it lacks for a model, as far as migrations create its tables.
    pub(in crate::store) fn problems(&self, model: &Model) -> Result<Vec<Problem>, AdminError> {
        Ok(migrate::check::check_managed(&self.0, model)?)
    }
}
