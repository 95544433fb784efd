//! What commands do with a PostgreSQL database, apart from serving it.

use std::cell::RefCell;

use super::catalogue::Catalogue;
use super::client::{Blocking, ClientError, Execute, Session};
use super::scratch::MAY_CREATE;
use super::{alter, migrate, rows};
use crate::config::PostgresUrl;
use crate::model::{ColumnId, Diagnostic, Entity, Model, Value};
use crate::store::error::AdminError;
use crate::store::schema::difference::step;
use crate::store::schema::layout::Layout;
use crate::store::schema::migrations::{
    Applied, MigrateError, Migration, Migrations, Problem, Repaired, Status,
};

/// The error code if there is no such database.
const NO_DATABASE: &str = "3D000";

/// A connection for commands.
pub struct Admin(RefCell<Blocking>);

impl From<ClientError> for AdminError {
    fn from(error: ClientError) -> Self {
        Self(error.into())
    }
}

impl From<ClientError> for MigrateError {
    fn from(error: ClientError) -> Self {
        Self::Database(error.into())
    }
}

/// What `CREATE DATABASE` needs where the server makes databases of another encoding by itself.
const UTF8: &str = "… ENCODING 'UTF8' TEMPLATE template0";

fn connect(url: &PostgresUrl) -> Result<Blocking, ClientError> {
    let connection = Blocking::connect(url, Session::for_commands(url))?;
    match connection.connection().parameter("server_encoding") {
        // In another one strings of the API would have no form, or more than one.
        Some(encoding) if encoding != "UTF8" => Err(ClientError::Unsuitable(format!(
            "the encoding of the database is {encoding}, and freshql needs UTF8: make a database with `CREATE DATABASE \
             {UTF8}`, and restore a dump of this one into it"
        ))),
        _ => Ok(connection),
    }
}

impl Admin {
    pub(in crate::store) fn open(url: &PostgresUrl) -> Result<Self, AdminError> {
        let connection = connect(url).map_err(|error| match error.code() {
            NO_DATABASE => {
                AdminError(format!("{error}; make it with `CREATE DATABASE {UTF8}`").into())
            }
            _ => error.into(),
        })?;
        Ok(Self(RefCell::new(connection)))
    }

    pub(in crate::store) fn open_existing(url: &PostgresUrl) -> Result<Option<Self>, ClientError> {
        match connect(url) {
            Ok(connection) => Ok(Some(Self(RefCell::new(connection)))),
            Err(error) if error.code() == NO_DATABASE => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::store) fn can_rehearse(&self) -> Result<bool, ClientError> {
        let mut connection = self.0.borrow_mut();
        if connection.connection().session().pooled {
            return Ok(false);
        }
        let rows = connection.query(Execute::text(MAY_CREATE, &[]))?;
        Ok(rows.first().is_some_and(|row| row.is(0)))
    }

    pub(in crate::store) fn status(&self, migrations: &Migrations) -> Result<Status, ClientError> {
        migrate::status(&mut self.0.borrow_mut(), migrations)
    }

    pub(in crate::store) fn migrate(
        &mut self,
        migrations: &Migrations,
    ) -> Result<Vec<Applied>, MigrateError> {
        migrate::up(self.0.get_mut(), migrations)
    }

    pub(in crate::store) fn check(&self, model: &Model) -> Result<Vec<Problem>, ClientError> {
        let connection = &mut self.0.borrow_mut();
        let catalogue = Catalogue::read(connection)?;
        let facts = migrate::facts(connection, &catalogue)?;
        Ok(migrate::check::problems(&catalogue, &facts, model))
    }

    pub(in crate::store) fn advice(&self, model: &Model) -> Result<Vec<String>, ClientError> {
        Ok(migrate::check::advice(&Catalogue::read(&mut self.0.borrow_mut())?, model))
    }

    pub(in crate::store) fn has_epoch(&self) -> Result<bool, ClientError> {
        migrate::has_epoch(&mut self.0.borrow_mut())
    }

    pub(in crate::store) fn tables(&self) -> Result<Vec<String>, ClientError> {
        let sql = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
            AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
            AND pg_table_is_visible(oid) AND relname NOT LIKE '\\_freshql\\_%' ORDER BY relname";
        let rows = self.0.borrow_mut().query(Execute::text(sql, &[]))?;
        Ok(rows.iter().map(|row| row.string(0)).collect())
    }

    /// Triggers and functions do not depend on what the migrations build.
    pub(in crate::store) fn repair(
        &mut self,
        model: &Model,
        _: &Migrations,
    ) -> Result<Repaired, MigrateError> {
        migrate::locked(self.0.get_mut(), |connection| Ok(migrate::repair(connection, model)?))
    }

    pub(in crate::store) fn watch(&mut self, model: &Model) -> Result<Vec<String>, ClientError> {
        migrate::locked(self.0.get_mut(), |connection| migrate::watch(connection, model))
    }

    pub(in crate::store) fn create(&mut self, model: &Model) -> Result<(), AdminError> {
        let step = step(&Migrations::default(), model).map_err(|error| AdminError(error.into()))?;
        let text = step.map(|step| step.postgres).unwrap_or_default();
        let run = |connection: &mut Blocking| {
            connection.script(&text)?;
            migrate::keep_definition(connection)
        };
        Ok(migrate::locked::<_, ClientError>(self.0.get_mut(), run)?)
    }

    pub(in crate::store) fn load(&mut self, file: &Migration) -> Result<(), Diagnostic> {
        migrate::run_alone(self.0.get_mut(), file)
    }

    /// Here, record numbers are not a clock, and only triggers set versions.
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as SQLite's")]
    pub(in crate::store) fn heal(&mut self, _: &Model) -> Result<(usize, usize), ClientError> {
        Ok((0, 0))
    }

    pub(in crate::store) fn keys(
        &self,
        entity: &Entity,
        most: usize,
    ) -> Result<Vec<Value>, ClientError> {
        alter::keys(&mut self.0.borrow_mut(), entity, most)
    }

    pub(in crate::store) fn alter_row(
        &mut self,
        entity: &Entity,
        key: &Value,
        column: ColumnId,
    ) -> Result<Option<u64>, ClientError> {
        alter::alter(self.0.get_mut(), entity, key, column)
    }

    pub(in crate::store) fn written(&self, sql: &str) -> Result<String, ClientError> {
        let rows = self.0.borrow_mut().query(Execute::text(sql, &[]))?;
        Ok(rows.first().map(|row| row.string(0)).unwrap_or_default())
    }

    pub(in crate::store) fn take_rows(
        &mut self,
        from: &PostgresUrl,
        layout: &Layout,
    ) -> Result<String, ClientError> {
        rows::keep(self.0.get_mut(), from, layout)
    }
}
