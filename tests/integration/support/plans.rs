//! How a PostgreSQL server plans the statements that it was sent.

use freshql::config::Database;
use freshql::store::postgres::client::{Connection, Execute, Parameter, Role, Session};

use crate::wiretap::{Sent, Wiretap};

/// The statements so far that name one of these tables.
pub(crate) fn statements_on(tap: &Wiretap, tables: &[&str]) -> Vec<(String, Vec<Sent>)> {
    let all = tap.statements().into_iter();
    all.filter(|(sql, _)| tables.iter().any(|table| sql.contains(&format!("\"{table}\""))))
        .collect()
}

/// These statements use generic plans, and none reads one of the tables as a whole.
pub(crate) async fn run_by_indexes(
    database: &str,
    tables: &[&str],
    statements: &[(String, Vec<Sent>)],
) {
    let Database::Postgres(to) = database.parse().unwrap() else { panic!() };
    let mut connection = Connection::connect(&to, Session::new(Role::Write)).await.unwrap();
    for (sql, values) in statements {
        let mut parameters: Vec<Parameter<'_>> = values.iter().map(parameter).collect();
        // Here, the statement is analysed at another time than the one that it is told.
        if let Some((_, behind)) = sql.split_once("coalesce($")
            && let Some((number, _)) = behind.split_once("::timestamptz = 'now'")
        {
            parameters[number.parse::<usize>().unwrap() - 1] = Parameter::Null;
        }
        for _ in 0..8 {
            // Rolled back each time: a row can be deleted only once.
            connection.script("BEGIN").await.unwrap();
            let _ = connection.query(Execute::binary(sql, &parameters)).await;
            connection.script("ROLLBACK").await.unwrap();
        }
        let plans = "SELECT name, custom_plans::text, generic_plans::text, array_length(parameter_types, 1)::text \
                     FROM pg_prepared_statements WHERE statement = $1::text";
        let rows = connection.query(Execute::text(plans, &[Parameter::Text(sql)])).await.unwrap();
        let row = rows.first().unwrap();
        let (custom, generic): (u32, u32) =
            (row.string(1).parse().unwrap(), row.string(2).parse().unwrap());
        assert!(
            custom <= 5 && generic >= 3,
            "{custom} custom plans, {generic} generic ones: {sql}"
        );
        let nulls = vec!["NULL"; row.string(3).parse().unwrap_or(0)].join(", ");
        let name = row.string(0);
        let arguments = if nulls.is_empty() { String::new() } else { format!("({nulls})") };
        let explain =
            format!("SET plan_cache_mode = force_generic_plan; EXPLAIN EXECUTE {name}{arguments}");
        let plan = connection.script(&explain).await.unwrap();
        let plan: Vec<String> =
            plan.iter().flat_map(|rows| rows.iter().map(|row| row.string(0))).collect();
        connection.script("RESET plan_cache_mode").await.unwrap();
        let scans = plan.iter().filter(|line| {
            tables.iter().any(|table| line.contains(&format!("Seq Scan on {table}")))
        });
        assert_eq!(scans.count(), 0, "{sql}\n{}", plan.join("\n"));
    }
}

fn parameter((is_binary, value): &Sent) -> Parameter<'_> {
    match value {
        None => Parameter::Null,
        Some(value) if *is_binary => Parameter::Binary(value),
        Some(value) => Parameter::Text(std::str::from_utf8(value).unwrap()),
    }
}
