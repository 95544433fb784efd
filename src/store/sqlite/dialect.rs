//! SQLite's SQL, where it differs from other databases.

use sea_orm::sea_query::{
    Alias, DeleteStatement, Expr, ExprTrait, Func, InsertStatement, IntoTableRef, Query,
    SelectStatement, SqliteQueryBuilder, SubQueryStatement, UpdateStatement,
};

use super::triggers::version_expression;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{Column, ColumnId, Entity, Model};
use crate::store::dialect::{Batch, Dialect, OfEach, PARENT_NUMBER, PARENTS, ROOT};
use crate::store::render;
use crate::store::select::Shape;
use crate::store::statement::{Statement, Type};

/// The name of [`crate::store::select::fold_case`] as an SQL function, because SQLite's `lower` handles
/// only ASCII.
pub(super) const FOLD_FUNCTION: &str = "_freshql_fold";

/// SQLite.
#[derive(Debug, Clone, Copy)]
pub struct Sqlite;

impl Dialect for Sqlite {
    fn select(&self, statement: &SelectStatement) -> String {
        statement.to_string(SqliteQueryBuilder)
    }

    fn insert(&self, statement: &InsertStatement) -> String {
        statement.to_string(SqliteQueryBuilder)
    }

    fn update(&self, statement: &UpdateStatement) -> String {
        statement.to_string(SqliteQueryBuilder)
    }

    fn delete(&self, statement: &DeleteStatement) -> String {
        statement.to_string(SqliteQueryBuilder)
    }

    fn placeholder(&self, number: usize, _: Type) -> String {
        format!("?{number}")
    }

    /// SQLite compares strings by their bytes by default; a lookup column with another collation is
    /// refused elsewhere.
    fn compared(&self, _: &Entity, _: &Column, value: Expr) -> Expr {
        value
    }

    fn read(&self, _: &Entity, _: &Column, value: Expr) -> Expr {
        value
    }

    fn version(&self, entity: &Entity, alias: &str) -> Expr {
        match entity.managed {
            true => Expr::col((Alias::new(alias), Alias::new(VERSION_COLUMN))),
            false => {
                Expr::cust(version_expression(&entity.name, alias, &entity.column(entity.key).name))
            }
        }
    }

    fn folded(&self, string: Expr) -> Expr {
        call(FOLD_FUNCTION, [string])
    }

    fn is_one_of(&self, value: Expr, list: Expr) -> Expr {
        let mut values = Query::select();
        values
            .column(Alias::new("value"))
            .from_function(Func::cust(Alias::new("json_each")).arg(list), Alias::new("v"));
        value.in_subquery(values)
    }

    /// Not LIKE, which is case-insensitive for ASCII letters.
    fn contains(&self, string: Expr, part: Expr) -> Expr {
        call("instr", [string, part]).gt(Expr::cust("0"))
    }

    fn ends_with(&self, string: Expr, end: Expr) -> Expr {
        let length = call("length", [end.clone()]);
        call("substr", [string, Expr::cust("0").sub(length)]).eq(end)
    }

    /// Not `IS NOT TRUE`: if a column is named `true`, SQLite takes the word for the column.
    fn untrue(&self, condition: Expr) -> Expr {
        condition.is_not(Expr::cust("1"))
    }

    fn never(&self) -> Expr {
        Expr::cust("0")
    }

    /// SQLite has no LATERAL: select the keys of each parent's rows first, then read the rows by
    /// their keys.
    fn batch(&self, batch: Batch) -> String {
        let list = Expr::custom_keyword(Alias::new(batch.parents));
        let parents = Func::cust(Alias::new("json_each")).arg(list);
        let select = match batch.of_each {
            OfEach::Value(value) => {
                let mut select = Query::select();
                select.column((Alias::new(PARENTS), Alias::new(PARENT_NUMBER)));
                select.expr(Expr::SubQuery(
                    None,
                    Box::new(SubQueryStatement::SelectStatement(*value)),
                ));
                select.from_function(parents, Alias::new(PARENTS));
                select
            }
            OfEach::Rows { mut of_all, table, .. } => {
                of_all.from_function(parents, Alias::new(PARENTS));
                of_all.cross_join(Alias::new(&table).into_table_ref().alias(Alias::new(ROOT)));
                *of_all
            }
        };
        self.select(&select)
    }
}

fn call<const N: usize>(name: &'static str, arguments: [Expr; N]) -> Expr {
    Func::cust(Alias::new(name)).args(arguments).into()
}

/// The statement of a query for one parent.
pub fn query(model: &Model, shape: &Shape) -> Statement {
    render::query(model, &Sqlite, shape)
}

/// The statement of a query for many parents.
pub fn batch(model: &Model, shape: &Shape) -> Statement {
    render::batch(model, &Sqlite, shape)
}

/// The statement that creates a row with these columns.
pub fn insert(model: &Model, entity: &Entity, columns: &[ColumnId]) -> Statement {
    render::insert(model, &Sqlite, entity, columns)
}

/// The statement that sets these columns of a row, at any version or only at the expected one.
pub fn update(model: &Model, entity: &Entity, columns: &[ColumnId], versioned: bool) -> Statement {
    render::update(model, &Sqlite, entity, columns, versioned)
}

/// The statement that deletes a row, at any version or only at the expected one.
pub fn delete(model: &Model, entity: &Entity, versioned: bool) -> Statement {
    render::delete(model, &Sqlite, entity, versioned)
}
