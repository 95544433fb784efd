//! Writing, as SQL. Like the statements of [`super::select`], these name their parameters by slot.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query, SqliteQueryBuilder};

use super::select::{Slot, Statement, VERSION_COLUMN, parameter, statement};
use super::sqlite::triggers::version_expression;
use crate::model::{ColumnId, Entity};

/// The slot of the row's key in [`update`] and [`delete`].
pub const KEY_SLOT: Slot = 0;
/// The slot of the expected version in [`update`] and [`delete`].
pub const VERSION_SLOT: Slot = 1;
/// The slot of the first column's value in [`insert`] and [`update`].
pub const FIRST_VALUE_SLOT: Slot = 2;

/// Inserts a row with these columns and returns its key.
pub fn insert(entity: &Entity, columns: &[ColumnId]) -> Statement {
    let mut insert = Query::insert();
    insert.into_table(Alias::new(&entity.table));
    if columns.is_empty() {
        insert.or_default_values();
    } else {
        insert.columns(columns.iter().map(|id| Alias::new(&entity.column(*id).name)));
        insert.values_panic((0..columns.len()).map(|i| parameter(FIRST_VALUE_SLOT + i as Slot)));
    }
    insert.returning_col(Alias::new(&entity.column(entity.key).name));
    let (sql, values) = insert.build(SqliteQueryBuilder);
    statement(sql, values)
}

/// Sets these columns of the row with this key (and, if `versioned`, only if it is at the expected version).
pub fn update(entity: &Entity, columns: &[ColumnId], versioned: bool) -> Statement {
    let mut update = Query::update();
    update.table(Alias::new(&entity.table));
    for (i, id) in columns.iter().enumerate() {
        update.value(Alias::new(&entity.column(*id).name), parameter(FIRST_VALUE_SLOT + i as Slot));
    }
    update.and_where(key(entity));
    if versioned {
        update.and_where(version(entity));
    }
    let (sql, values) = update.build(SqliteQueryBuilder);
    statement(sql, values)
}

/// Deletes the row with this key (and, if `versioned`, only if it is at the expected version).
pub fn delete(entity: &Entity, versioned: bool) -> Statement {
    let mut delete = Query::delete();
    delete.from_table(Alias::new(&entity.table));
    delete.and_where(key(entity));
    if versioned {
        delete.and_where(version(entity));
    }
    let (sql, values) = delete.build(SqliteQueryBuilder);
    statement(sql, values)
}

fn key(entity: &Entity) -> Expr {
    Expr::col(Alias::new(&entity.column(entity.key).name)).eq(parameter(KEY_SLOT))
}

fn version(entity: &Entity) -> Expr {
    let version = match entity.managed {
        true => Expr::col(Alias::new(VERSION_COLUMN)),
        false => Expr::cust(version_expression(&entity.name, &entity.table, &entity.column(entity.key).name)),
    };
    version.eq(parameter(VERSION_SLOT))
}
