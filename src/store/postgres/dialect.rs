//! PostgreSQL's SQL, where it differs from other databases. Managed tables have the types of
//! [`super::ddl`]. In unmanaged tables, a column may have any type that converts to that one, so it
//! is converted where that matters.

use sea_orm::sea_query::{
    Alias, DeleteStatement, Expr, ExprTrait, Func, InsertStatement, PostgresQueryBuilder,
    SelectStatement, UpdateStatement,
};

use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{Column, Entity, Scalar};
use crate::store::dialect::{Batch, Dialect, OfEach, PARENT_NUMBER, PARENT_VALUE, PARENTS};
use crate::store::statement::Type;

#[derive(Debug, Clone, Copy)]
pub(super) struct Postgres;

/// The type that values of this scalar are sent and compared as.
pub(super) fn type_of(scalar: Scalar) -> &'static str {
    match scalar {
        // 32-bit columns are compared with these as well, and their indexes are used.
        Scalar::IdInt | Scalar::BigInt | Scalar::Int => "bigint",
        Scalar::IdText | Scalar::String | Scalar::Enum(_) => "text",
        Scalar::IdUuid | Scalar::Uuid => "uuid",
        Scalar::Float => "double precision",
        Scalar::Boolean => "boolean",
        Scalar::Decimal { .. } => "numeric",
        Scalar::DateTime => "timestamptz",
        Scalar::Date => "date",
        Scalar::Json => "jsonb",
    }
}

/// Whether the column has the type that our migrations give it.
fn is_ours(entity: &Entity, column: &Column) -> bool {
    entity.managed && column.sql_type.is_none()
}

impl Dialect for Postgres {
    fn select(&self, statement: &SelectStatement) -> String {
        statement.to_string(PostgresQueryBuilder)
    }

    fn insert(&self, statement: &InsertStatement) -> String {
        statement.to_string(PostgresQueryBuilder)
    }

    fn update(&self, statement: &UpdateStatement) -> String {
        statement.to_string(PostgresQueryBuilder)
    }

    fn delete(&self, statement: &DeleteStatement) -> String {
        statement.to_string(PostgresQueryBuilder)
    }

    fn placeholder(&self, number: usize, ty: Type) -> String {
        match ty {
            Type::Scalar(scalar) => format!("${number}::{}", type_of(scalar)),
            // The column determines the type, which may be a native enum.
            Type::Written(_) => format!("${number}"),
            Type::List(scalar) => format!("${number}::{}[]", type_of(scalar)),
            Type::String | Type::Part => format!("${number}::text"),
            Type::Version | Type::Number => format!("${number}::bigint"),
            Type::Boolean => format!("${number}::boolean"),
        }
    }

    /// Equality is equality of bytes: lists with a cut are looked up by the value that was logged.
    /// Instants are compared in milliseconds, as they are shown; otherwise, a cursor would come
    /// before the row that it was made from.
    fn compared(&self, entity: &Entity, column: &Column, value: Expr) -> Expr {
        match column.scalar {
            _ if is_ours(entity, column) => value,
            Scalar::IdText | Scalar::String | Scalar::Enum(_) => {
                Expr::cust_with_exprs("($1::text COLLATE \"C\")", [value])
            }
            Scalar::DateTime => Expr::cust_with_exprs("date_trunc('milliseconds', $1)", [value]),
            _ => value,
        }
    }

    fn read(&self, entity: &Entity, column: &Column, value: Expr) -> Expr {
        match column.scalar {
            _ if is_ours(entity, column) => value,
            // Numbers, Booleans and UUIDs are recognized by their length.
            Scalar::IdInt
            | Scalar::BigInt
            | Scalar::Int
            | Scalar::Boolean
            | Scalar::IdUuid
            | Scalar::Uuid => value,
            scalar => Expr::cust_with_exprs(format!("$1::{}", type_of(scalar)), [value]),
        }
    }

    fn version(&self, entity: &Entity, alias: &str) -> Expr {
        match entity.managed {
            true => Expr::col((Alias::new(alias), Alias::new(VERSION_COLUMN))),
            false => Expr::cust(super::triggers::version_expression(
                &entity.name,
                alias,
                &entity.column(entity.key).name,
            )),
        }
    }

    fn folded(&self, string: Expr) -> Expr {
        call("_freshql_fold", [string])
    }

    fn is_one_of(&self, value: Expr, list: Expr) -> Expr {
        Expr::cust_with_exprs("($1 = ANY ($2))", [value, list])
    }

    /// Not `strpos`, which cannot use an index. The parameter is a pattern.
    fn contains(&self, string: Expr, part: Expr) -> Expr {
        Expr::cust_with_exprs("($1 LIKE $2)", [string, part])
    }

    fn ends_with(&self, string: Expr, end: Expr) -> Expr {
        let length = call("length", [end.clone()]);
        call("right", [string, length]).eq(end)
    }

    fn untrue(&self, condition: Expr) -> Expr {
        Expr::cust_with_exprs("(($1) IS NOT TRUE)", [condition])
    }

    fn never(&self) -> Expr {
        Expr::cust("FALSE")
    }

    /// `(SELECT …)` is needed: if the planner sees the array, it makes a new plan for every
    /// execution.
    fn batch(&self, batch: Batch) -> String {
        let parents = format!(
            "unnest((SELECT {})) WITH ORDINALITY AS \"{PARENTS}\"(\"{PARENT_VALUE}\", \"{PARENT_NUMBER}\")",
            batch.parents
        );
        let number = format!("\"{PARENTS}\".\"{PARENT_NUMBER}\" - 1");
        match batch.of_each {
            OfEach::Value(value) => {
                format!("SELECT {number}, ({}) FROM {parents}", self.select(&value))
            }
            OfEach::Rows { of_one, limit, .. } => {
                let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
                format!(
                    "SELECT {number}, \"r\".* FROM {parents} CROSS JOIN LATERAL ({}{limit}) AS \"r\"",
                    self.select(&of_one)
                )
            }
        }
    }
}

fn call<const N: usize>(name: &'static str, arguments: [Expr; N]) -> Expr {
    Func::cust(Alias::new(name)).args(arguments).into()
}
