//! What commands do with a SQLite file, other than serving it.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::ddl::create_statements;
use super::{alter, migrate, rows};
use crate::model::{ColumnId, Diagnostic, Entity, Model, Value};
use crate::store::error::AdminError;
use crate::store::schema::layout::Layout;
use crate::store::schema::migrations::{
    Applied, MigrateError, Migration, Migrations, Problem, Repaired, Status,
};

/// A connection for the commands.
pub struct Admin(Connection);

impl Admin {
    pub(in crate::store) fn open(path: &Path) -> Result<Self, AdminError> {
        Ok(Self(super::open(path).map_err(|error| AdminError(error.into()))?))
    }

    pub(in crate::store) fn status(&self, migrations: &Migrations) -> rusqlite::Result<Status> {
        migrate::status(&self.0, migrations)
    }

    pub(in crate::store) fn migrate(
        &mut self,
        migrations: &Migrations,
    ) -> Result<Vec<Applied>, MigrateError> {
        migrate::up(&mut self.0, migrations)
    }

    pub(in crate::store) fn check(&self, model: &Model) -> rusqlite::Result<Vec<Problem>> {
        migrate::check_schema(&self.0, model)
    }

    pub(in crate::store) fn advice(&self, model: &Model) -> rusqlite::Result<Vec<String>> {
        migrate::advice(&self.0, model)
    }

    pub(in crate::store) fn has_epoch(&self) -> rusqlite::Result<bool> {
        Ok(migrate::epoch(&self.0)?.is_some())
    }

    pub(in crate::store) fn tables(&self) -> rusqlite::Result<Vec<String>> {
        let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
                   AND name NOT LIKE '\\_freshql\\_%' ESCAPE '\\' ORDER BY name";
        self.0.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
    }

    pub(in crate::store) fn repair(
        &mut self,
        model: &Model,
        migrations: &Migrations,
    ) -> Result<Repaired, MigrateError> {
        let built = migrate::rehearse(migrations)?;
        Ok(migrate::repair(&self.0, model, &built)?)
    }

    /// Only if the database contains everything that the rows' new versions need.
    pub(in crate::store) fn heal(&mut self, model: &Model) -> rusqlite::Result<(usize, usize)> {
        let transaction = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let problems = migrate::check_schema(&transaction, model)?;
        let is_only_that = problems.len() == 1 && migrate::heal::wild_records(&transaction)? > 0;
        let healed = if is_only_that { migrate::heal::heal(&transaction, model)? } else { (0, 0) };
        transaction.commit()?;
        Ok(healed)
    }

    pub(in crate::store) fn watch(&mut self, model: &Model) -> rusqlite::Result<Vec<String>> {
        migrate::guard(&mut self.0, model)
    }

    pub(in crate::store) fn create(&mut self, model: &Model) -> rusqlite::Result<()> {
        let statements = create_statements(&Layout::new(model)).join("\n");
        self.0.execute_batch(&format!("BEGIN;\n{statements}\nCOMMIT"))
    }

    pub(in crate::store) fn load(&mut self, file: &Migration) -> Result<(), Diagnostic> {
        let failed = |error: rusqlite::Error| {
            Diagnostic::error(&file.file, 0..0, format!("breaks a rule: {error}"))
        };
        self.0.execute_batch("BEGIN").map_err(failed)?;
        migrate::run_alone(&mut self.0, file)?;
        self.0.execute_batch("COMMIT").map_err(failed)
    }

    pub(in crate::store) fn keys(
        &self,
        entity: &Entity,
        most: usize,
    ) -> rusqlite::Result<Vec<Value>> {
        alter::keys(&self.0, entity, most)
    }

    pub(in crate::store) fn alter_row(
        &mut self,
        entity: &Entity,
        key: &Value,
        column: ColumnId,
    ) -> rusqlite::Result<Option<u64>> {
        alter::alter(&self.0, entity, key, column)
    }

    pub(in crate::store) fn written(&self, sql: &str) -> rusqlite::Result<String> {
        self.0.query_row(sql, [], |row| row.get(0))
    }

    pub(in crate::store) fn take_rows(
        &mut self,
        from: &Path,
        layout: &Layout,
    ) -> rusqlite::Result<String> {
        rows::keep(&self.0, from, layout)
    }
}
