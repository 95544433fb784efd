//! Renders mutations of a single row.

use sea_orm::sea_query::{Alias, Expr, ExprTrait, Query};

use super::Renderer;
use crate::model::{ColumnId, Entity, Model};
use crate::store::dialect::Dialect;
use crate::store::select::Slot;
use crate::store::statement::{Statement, Type};

/// The slot of the row's key in [`update`] and [`delete`].
pub(in crate::store) const KEY_SLOT: Slot = 0;
/// The slot of the expected version in [`update`] and [`delete`].
pub(in crate::store) const VERSION_SLOT: Slot = 1;
/// The slot of the first column's value in [`insert`] and [`update`].
pub(in crate::store) const FIRST_VALUE_SLOT: Slot = 2;

/// Inserts a row with these columns and returns its key.
pub(in crate::store) fn insert(
    model: &Model,
    dialect: &dyn Dialect,
    entity: &Entity,
    columns: &[ColumnId],
) -> Statement {
    let renderer = Renderer::new(model, dialect, None);
    let mut insert = Query::insert();
    insert.into_table(Alias::new(&entity.table));
    if columns.is_empty() {
        insert.or_default_values();
    } else {
        insert.columns(columns.iter().map(|id| Alias::new(&entity.column(*id).name)));
        insert.values_panic(
            (FIRST_VALUE_SLOT..).zip(columns).map(|(slot, id)| renderer.written(entity, *id, slot)),
        );
    }
    let key = entity.column(entity.key);
    insert.returning(Query::returning().expr(dialect.read(
        entity,
        key,
        Expr::col(Alias::new(&key.name)),
    )));
    renderer.finish(dialect.insert(&insert), [Type::Scalar(key.scalar)])
}

/// Sets these columns of the row with this key; if `versioned`, only if it has the expected
/// version.
pub(in crate::store) fn update(
    model: &Model,
    dialect: &dyn Dialect,
    entity: &Entity,
    columns: &[ColumnId],
    versioned: bool,
) -> Statement {
    let renderer = Renderer::new(model, dialect, None);
    let mut update = Query::update();
    update.table(Alias::new(&entity.table));
    for (slot, id) in (FIRST_VALUE_SLOT..).zip(columns) {
        update.value(Alias::new(&entity.column(*id).name), renderer.written(entity, *id, slot));
    }
    update.and_where(renderer.key(entity));
    if versioned {
        update.and_where(renderer.is_at_version(entity));
    }
    renderer.finish(dialect.update(&update), [])
}

/// Deletes the row with this key; if `versioned`, only if it has the expected version.
pub(in crate::store) fn delete(
    model: &Model,
    dialect: &dyn Dialect,
    entity: &Entity,
    versioned: bool,
) -> Statement {
    let renderer = Renderer::new(model, dialect, None);
    let mut delete = Query::delete();
    delete.from_table(Alias::new(&entity.table));
    delete.and_where(renderer.key(entity));
    if versioned {
        delete.and_where(renderer.is_at_version(entity));
    }
    renderer.finish(dialect.delete(&delete), [])
}

impl Renderer<'_> {
    fn key(&self, entity: &Entity) -> Expr {
        let column = entity.column(entity.key);
        let key = self.dialect.compared(entity, column, Expr::col(Alias::new(&column.name)));
        key.eq(self.value_of(entity, entity.key, KEY_SLOT))
    }

    fn is_at_version(&self, entity: &Entity) -> Expr {
        self.dialect.version(entity, &entity.table).eq(self.parameter(VERSION_SLOT, Type::Version))
    }
}
