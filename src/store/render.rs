//! Renders queries and mutations as statements, as far as all databases agree. Where they differ,
//! the [`Dialect`] decides.

mod filter;
mod page;
mod write;

use std::cell::{Cell, RefCell};

use sea_orm::sea_query::{
    Alias, Asterisk, BinOper, Expr, ExprTrait, Func, IntoColumnRef, IntoIden, Order as Direction,
    Query, SelectStatement,
};

use super::dialect::{Batch, Dialect, OfEach, PARENT_NUMBER, PARENT_VALUE, PARENTS, ROOT};
use super::select::{PARENT, Shape, Slot, Visible};
use super::statement::{Parameter, Statement, Type};
use crate::model::{ColumnId, Entity, Model};

/// The alias of the same table where the rows of a page are selected before they are read.
const CHOSEN: &str = "c";

pub(in crate::store) use write::{
    FIRST_VALUE_SLOT, KEY_SLOT, VERSION_SLOT, delete, insert, update,
};

/// The statement of a query for one parent.
pub(in crate::store) fn query(model: &Model, dialect: &dyn Dialect, shape: &Shape) -> Statement {
    let renderer = Renderer::new(model, dialect, None);
    let (select, limit) = renderer.shape(shape);
    let sql = limited(dialect.select(&select), limit.as_deref());
    renderer.finish(sql, columns(model, shape))
}

/// The statement of a query for many parents at once.
pub(in crate::store) fn batch(model: &Model, dialect: &dyn Dialect, shape: &Shape) -> Statement {
    let renderer = Renderer::new(
        model,
        dialect,
        Some(Expr::col((Alias::new(PARENTS), Alias::new(PARENT_VALUE)))),
    );
    let parent = match shape {
        Shape::Row { from, keys, .. } => model.entity(from.entity()).column(keys[0]).scalar,
        Shape::Page { list, .. }
        | Shape::Count(list)
        | Shape::AnyUpToAfter(list)
        | Shape::AnyFromBefore(list) => {
            let entity = model.entity(list.from.entity());
            entity.column(list.cut.unwrap_or(entity.key)).scalar
        }
    };
    let parents = renderer.placeholder(PARENT, Type::List(parent));
    let (of_one, limit) = renderer.shape(shape);
    let of_each = match shape {
        Shape::Row { from, keys, columns } => {
            let entity = model.entity(from.entity());
            let mut chosen = renderer.chosen(from);
            renderer.look_up(&mut chosen, entity, keys, CHOSEN);
            let of_all = renderer.of_all(entity, columns, &chosen, None);
            OfEach::Rows {
                of_one: of_one.into(),
                limit,
                of_all: of_all.into(),
                table: entity.table.clone(),
            }
        }
        Shape::Page { list, columns } => {
            let entity = model.entity(list.from.entity());
            let mut chosen = renderer.chosen(&list.from);
            renderer.page(&mut chosen, list, CHOSEN);
            let mut of_all = renderer.of_all(entity, columns, &chosen, limit.as_deref());
            renderer.order(&mut of_all, list, ROOT);
            OfEach::Rows {
                of_one: of_one.into(),
                limit,
                of_all: of_all.into(),
                table: entity.table.clone(),
            }
        }
        Shape::Count(_) | Shape::AnyUpToAfter(_) | Shape::AnyFromBefore(_) => {
            OfEach::Value(of_one.into())
        }
    };
    let sql = dialect.batch(Batch { parents, of_each });
    let columns = std::iter::once(Type::Number).chain(columns(model, shape));
    renderer.finish(sql, columns)
}

/// Statements that find a row by its key among those that are visible, with parameters in common:
/// their numbers begin after `behind`. The slots of each statement follow those of the one before
/// it; next to the visible rows stands how many slots there are in addition to the key's.
pub(in crate::store) fn finding(
    model: &Model,
    dialect: &dyn Dialect,
    rows: &[(&Visible, Slot)],
    behind: usize,
) -> (Vec<String>, Box<[Parameter]>) {
    let renderer = Renderer { behind, ..Renderer::new(model, dialect, None) };
    let find = |(from, values): &(&Visible, Slot)| {
        let entity = model.entity(from.entity());
        let mut select = renderer.visible(from, ROOT, 0);
        select.expr(Expr::cust("1"));
        renderer.look_up(&mut select, entity, &[entity.key], ROOT);
        renderer.first_slot.set(renderer.first_slot.get() + 1 + values);
        dialect.select(&select)
    };
    let texts = rows.iter().map(find).collect();
    (texts, renderer.parameters.into_inner().into())
}

/// The types of a query's columns.
fn columns(model: &Model, shape: &Shape) -> Vec<Type> {
    match shape {
        Shape::Row { columns, .. } | Shape::Page { columns, .. } => {
            let entity = match shape {
                Shape::Row { from, .. } => model.entity(from.entity()),
                Shape::Page { list, .. } => model.entity(list.from.entity()),
                _ => unreachable!("the other shapes have no rows"),
            };
            let scalar = |id: &ColumnId| Type::Scalar(entity.column(*id).scalar);
            [scalar(&entity.key), Type::Version]
                .into_iter()
                .chain(columns.iter().map(scalar))
                .collect()
        }
        Shape::Count(_) => vec![Type::Number],
        Shape::AnyUpToAfter(_) | Shape::AnyFromBefore(_) => vec![Type::Boolean],
    }
}

fn limited(sql: String, limit: Option<&str>) -> String {
    match limit {
        Some(limit) => format!("{sql} LIMIT {limit}"),
        None => sql,
    }
}

/// A statement being rendered.
struct Renderer<'a> {
    model: &'a Model,
    dialect: &'a dyn Dialect,
    /// The expression for slot 0 in a batch.
    parent: Option<Expr>,
    parameters: RefCell<Vec<Parameter>>,
    /// The number of parameters in front of these.
    behind: usize,
    /// The slot that the current query calls 0.
    first_slot: Cell<Slot>,
}

impl<'a> Renderer<'a> {
    fn new(model: &'a Model, dialect: &'a dyn Dialect, parent: Option<Expr>) -> Self {
        let (parameters, first_slot) = (RefCell::default(), Cell::new(0));
        Self { model, dialect, parent, parameters, behind: 0, first_slot }
    }

    fn finish(self, sql: String, columns: impl IntoIterator<Item = Type>) -> Statement {
        Statement {
            sql: sql.into(),
            parameters: self.parameters.into_inner().into(),
            columns: columns.into_iter().collect(),
        }
    }

    /// The placeholder of the parameter for this slot: the same one wherever the slot is used.
    fn placeholder(&self, slot: Slot, ty: Type) -> String {
        let parameter = Parameter { slot: self.first_slot.get() + slot, ty };
        let mut parameters = self.parameters.borrow_mut();
        let number = parameters.iter().position(|known| *known == parameter).unwrap_or_else(|| {
            parameters.push(parameter);
            parameters.len() - 1
        });
        self.dialect.placeholder(self.behind + number + 1, ty)
    }

    fn parameter(&self, slot: Slot, ty: Type) -> Expr {
        match &self.parent {
            Some(parent) if slot == PARENT => parent.clone(),
            _ => Expr::custom_keyword(Alias::new(self.placeholder(slot, ty))),
        }
    }

    /// A parameter to compare this column with.
    fn value_of(&self, entity: &Entity, id: ColumnId, slot: Slot) -> Expr {
        self.parameter(slot, Type::Scalar(entity.column(id).scalar))
    }

    /// A parameter to assign to this column.
    fn written(&self, entity: &Entity, id: ColumnId, slot: Slot) -> Expr {
        self.parameter(slot, Type::Written(entity.column(id).scalar))
    }

    fn column(&self, entity: &Entity, id: ColumnId, alias: &str) -> Expr {
        self.dialect.compared(entity, entity.column(id), Expr::col(column_ref(entity, id, alias)))
    }

    /// The rows of an entity that a statement may see. This is the only way to put a table into a
    /// FROM clause. `depth` is that of the alias.
    fn visible(&self, rows: &Visible, alias: &str, depth: usize) -> SelectStatement {
        let entity = self.model.entity(rows.entity());
        let mut select = Query::select();
        select.from_as(Alias::new(&entity.table), Alias::new(alias));
        if let Some(only) = rows.only() {
            select.and_where(self.condition(entity, only, alias, depth));
        }
        select
    }

    /// The query of a shape, and the placeholder of its limit, which comes last.
    fn shape(&self, shape: &Shape) -> (SelectStatement, Option<String>) {
        match shape {
            Shape::Row { from, keys, columns } => {
                let entity = self.model.entity(from.entity());
                let mut select = self.visible(from, ROOT, 0);
                self.select_row(&mut select, entity, columns);
                self.look_up(&mut select, entity, keys, ROOT);
                (select, None)
            }
            Shape::Page { list, columns } => {
                let entity = self.model.entity(list.from.entity());
                let mut select = self.visible(&list.from, ROOT, 0);
                self.select_row(&mut select, entity, columns);
                self.page(&mut select, list, ROOT);
                (select, Some(self.placeholder(list.limit, Type::Number)))
            }
            Shape::Count(list) => {
                let mut select = self.visible(&list.from, ROOT, 0);
                select.expr(Func::count(Expr::col(Asterisk)));
                self.restrict(&mut select, list, ROOT);
                (select, None)
            }
            Shape::AnyUpToAfter(list) => (self.any(list, list.after.as_ref(), true), None),
            Shape::AnyFromBefore(list) => (self.any(list, list.before.as_ref(), false), None),
        }
    }

    fn select_row(&self, select: &mut SelectStatement, entity: &Entity, columns: &[ColumnId]) {
        let read = |id: ColumnId| {
            self.dialect.read(entity, entity.column(id), Expr::col(column_ref(entity, id, ROOT)))
        };
        select.expr(read(entity.key)).expr(self.dialect.version(entity, ROOT));
        select.exprs(columns.iter().copied().map(read));
    }

    fn look_up(
        &self,
        select: &mut SelectStatement,
        entity: &Entity,
        keys: &[ColumnId],
        alias: &str,
    ) {
        for (slot, key) in (PARENT..).zip(keys) {
            select
                .and_where(self.column(entity, *key, alias).eq(self.value_of(entity, *key, slot)));
        }
    }

    /// What a batch reads of the selected rows, without the tables.
    fn of_all(
        &self,
        entity: &Entity,
        columns: &[ColumnId],
        chosen: &SelectStatement,
        limit: Option<&str>,
    ) -> SelectStatement {
        let mut select = Query::select();
        select.column((Alias::new(PARENTS), Alias::new(PARENT_NUMBER)));
        self.select_row(&mut select, entity, columns);
        let chosen = limited(self.dialect.select(chosen), limit);
        let chosen = Expr::custom_keyword(Alias::new(format!("({chosen})")));
        select
            .and_where(Expr::col(column_ref(entity, entity.key, ROOT)).binary(BinOper::In, chosen));
        select.order_by((Alias::new(PARENTS), Alias::new(PARENT_NUMBER)), Direction::Asc);
        select
    }

    /// The keys of an entity's visible rows; the caller adds the conditions.
    fn chosen(&self, from: &Visible) -> SelectStatement {
        let entity = self.model.entity(from.entity());
        let mut select = self.visible(from, CHOSEN, 0);
        select.column(column_ref(entity, entity.key, CHOSEN));
        select
    }
}

fn column_ref(entity: &Entity, id: ColumnId, alias: &str) -> impl IntoColumnRef + use<> {
    (Alias::new(alias).into_iden(), Alias::new(&entity.column(id).name).into_iden())
}
