//! PostgreSQL's SQL, where it is not that of other databases. Tables of our own have the types of
//! [`super::ddl`]; of others' tables a column may have any type that goes into that one, so it is
//! brought into it where that matters.

use sea_orm::sea_query::{
    Alias, DeleteStatement, Expr, ExprTrait, Func, InsertStatement, PostgresQueryBuilder,
    SelectStatement, UpdateStatement,
};

use crate::model::{Column, Entity, Scalar};
use crate::store::dialect::{Batch, Dialect, OfEach, PARENT_NUMBER, PARENT_VALUE, PARENTS};
use crate::store::schema::layout::VERSION_COLUMN;
use crate::store::statement::Type;

/// PostgreSQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct Postgres;

/// What a value of this type is sent as, and compared as.
pub(super) fn type_of(scalar: Scalar) -> &'static str {
    match scalar {
        // Columns of 32 bits are compared with these as well, by their indexes too.
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
            // The type is the column's, of which a native enum may be one.
            Type::Written(_) => format!("${number}"),
            Type::List(scalar) => format!("${number}::{}[]", type_of(scalar)),
            Type::String | Type::Part => format!("${number}::text"),
            Type::Version | Type::Number => format!("${number}::bigint"),
            Type::Boolean => format!("${number}::boolean"),
        }
    }

    /// Equality is that of the bytes: a part that a list is cut by is looked for under the value
    /// that was logged. Instants are compared as they are shown, in milliseconds; else a cursor
    /// would stand in front of the row that it was made of.
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
            // Numbers, Booleans and UUIDs are told by their length.
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

    /// Not `strpos`, which no index serves. The parameter is a pattern.
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

    /// `(SELECT …)` is not decoration: where the planner sees the array it makes a plan anew for
    /// every execution.
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
