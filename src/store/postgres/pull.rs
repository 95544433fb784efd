//! Inspects a PostgreSQL database that others have created. Its columns contain only values of
//! their types, so the types determine the model; rows are only examined for numbers without
//! declared digits.

use std::cell::RefCell;

use super::catalogue::{Catalogue, FoundColumn, FoundTable};
use super::client::{Blocking, ClientError, Execute, Session};
use crate::config::PostgresUrl;
use crate::model::naming::singularize;
use crate::model::scalar::MAX_DIGITS;
use crate::model::{EnumId, Scalar};
use crate::store::error::AdminError;
use crate::store::schema::layout::SqlName;
use crate::store::schema::pull::gathered::Values;
use crate::store::schema::pull::names::pascal;
use crate::store::schema::pull::source::{
    Baseline, Column, Foreign, ForeignKey, Index, Known, Table, TableKind,
};
use crate::store::schema::pull::values::OUR_NOW;
use crate::store::schema::pull::{self, Pulled};

/// The first model for this database.
///
/// # Errors
/// It cannot be read.
pub(in crate::store) fn pull(url: &PostgresUrl) -> Result<Pulled, AdminError> {
    let mut connection = Blocking::connect(url, Session::for_commands(url))?;
    // What is read here must be consistent, even if others write in the meantime.
    connection.script("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")?;
    let catalogue = Catalogue::read(&mut connection)?;
    pull::pull(&Server { catalogue, connection: RefCell::new(connection) })
}

struct Server {
    catalogue: Catalogue,
    connection: RefCell<Blocking>,
}

impl Server {
    fn number(&self, sql: &str, column: usize) -> Result<Option<i64>, ClientError> {
        let rows = self.connection.borrow_mut().query(Execute::text(sql, &[]))?;
        Ok(rows.first().and_then(|row| row.int(column)))
    }
}

impl Foreign for Server {
    fn tables(&self) -> Result<Vec<Table>, AdminError> {
        let is_theirs = |table: &&FoundTable| {
            let is_ours = table.name.starts_with("_freshql_");
            !is_ours && !table.is_partition
        };
        self.catalogue.tables.iter().filter(is_theirs).map(|found| self.table(found)).collect()
    }

    /// Unmanaged tables need no migration.
    fn baseline(&self) -> Result<Baseline, AdminError> {
        Ok(Baseline { text: String::new(), left_out: Vec::new() })
    }

    /// The types are sufficient.
    fn values(&self, table: &Table) -> Result<Vec<Values>, AdminError> {
        Ok(vec![Values::default(); table.columns.len()])
    }

    fn lost_rows(
        &self,
        table: &Table,
        column: &str,
        other: &Table,
        key: &str,
    ) -> Result<i64, AdminError> {
        let name = |table: &Table| {
            self.catalogue.table(&table.name).map(FoundTable::qualified).unwrap_or_default()
        };
        let is_valid = self.catalogue.table(&table.name).is_some_and(|found| {
            found
                .constraints
                .iter()
                .any(|key| key.kind == "f" && key.columns == [column] && key.is_valid)
        });
        if is_valid {
            return Ok(0);
        }
        let column = SqlName::new(column);
        let sql = format!(
            "SELECT count(*) FROM {} a WHERE a.{column} IS NOT NULL \
             AND NOT EXISTS (SELECT FROM {} b WHERE b.{} = a.{column})",
            name(table),
            name(other),
            SqlName::new(key),
        );
        Ok(self.number(&sql, 0)?.unwrap_or_default())
    }

    fn refuses(&self, _: &str) -> Option<String> {
        None
    }
}

impl Server {
    fn table(&self, found: &FoundTable) -> Result<Table, AdminError> {
        let key = found.key();
        let key_column = match key {
            [one] => found.column(one),
            _ => None,
        };
        let kind = if matches!(found.kind.as_str(), "v" | "m") {
            TableKind::View
        } else {
            TableKind::Table
        };
        let counts =
            key_column.is_some_and(|key| is_whole(key) && (key.is_identity || is_counted(key)));
        let mut columns = Vec::new();
        if kind == TableKind::Table {
            for column in &found.columns {
                columns.push(self.column(found, column)?);
            }
        }
        let indexes = found.indexes.iter().filter(|index| !index.is_primary && !index.is_partial);
        let whole = indexes.filter_map(|index| {
            let columns: Option<Vec<String>> = index.columns.iter().cloned().collect();
            Some(Index { unique: index.unique, columns: columns? })
        });
        Ok(Table {
            name: found.name.clone(),
            kind,
            columns,
            foreign_keys: found
                .constraints
                .iter()
                .filter(|c| c.kind == "f")
                .filter_map(|key| self.foreign_key(key))
                .collect(),
            indexes: whole.collect(),
            has_key_index: !counts,
            unfit: self.unfit(found, key_column),
        })
    }

    /// Why it cannot be an entity.
    fn unfit(&self, found: &FoundTable, key: Option<&FoundColumn>) -> Option<String> {
        if !found.is_visible {
            let schema = &found.schema;
            return Some(format!(
                "it is in the schema `{schema}`, where no unqualified name is looked for: \
                 `ALTER ROLE … SET search_path = …, {schema}` changes that"
            ));
        }
        if found.kind == "f" {
            return Some("it is a foreign table: nobody would see its rows change".to_owned());
        }
        if found.is_filtered {
            return Some(
                "row-level security applies to this role, and nobody would see when a policy shows other rows"
                    .to_owned(),
            );
        }
        if !found.parents.is_empty() && !found.is_partition {
            return Some("it inherits from another table".to_owned());
        }
        let descendants = self.catalogue.descendants(found);
        if descendants.iter().any(|heir| !heir.is_partition) {
            return Some(
                "others inherit from it, and nobody would see their rows change".to_owned(),
            );
        }
        if let Some(foreign) = descendants.iter().find(|part| part.kind == "f") {
            return Some(format!(
                "its partition `{}` is a foreign table: nobody would see its rows change",
                foreign.name
            ));
        }
        // Elsewhere, names are compared as SQLite does.
        let is_alike = |name: &str, other: &str| name != other && name.eq_ignore_ascii_case(other);
        let mut visible = self.catalogue.tables.iter().filter(|table| table.is_visible);
        if let Some(other) = visible.find(|other| is_alike(&found.name, &other.name)) {
            return Some(format!(
                "its name differs from that of `{}` only in upper and lower case",
                other.name
            ));
        }
        for column in &found.columns {
            let other = found.columns.iter().find(|other| is_alike(&column.name, &other.name));
            if let Some(other) = other {
                return Some(format!(
                    "the names of its columns `{}` and `{}` differ only in upper and lower case",
                    column.name, other.name
                ));
            }
        }
        let key = key?;
        let is_text = matches!(key.base.as_str(), "text" | "varchar") && key.is_compared_by_bytes();
        let fits = is_whole(key) || key.base == "uuid" || is_text;
        (!fits).then(|| format!("its primary key `{}` is {}", key.name, key.sql_type))
    }

    fn foreign_key(&self, key: &super::catalogue::FoundConstraint) -> Option<ForeignKey> {
        let table = self.catalogue.by_oid(key.target?)?;
        Some(ForeignKey {
            columns: key.columns.clone(),
            // A table of another schema may have the name of one that the model has.
            table: match table.is_visible {
                true => table.name.clone(),
                false => format!("{}.{}", table.schema, table.name),
            },
            target: key.target_columns.first().cloned(),
            on_delete: key.on_delete_sql().to_owned(),
        })
    }

    fn column(&self, table: &FoundTable, found: &FoundColumn) -> Result<Column, AdminError> {
        let key = table.key().iter().position(|name| *name == found.name).map_or(0, |at| at + 1);
        let mut known = self.known(table, found)?;
        if found.is_generated && known.scalar.is_some() {
            known.directives.push("@readonly".to_owned());
        }
        // How keys are generated is handled elsewhere.
        let default =
            found.default.as_deref().filter(|_| key == 0 && !found.is_generated).map(default_of);
        Ok(Column {
            name: found.name.clone(),
            sql_type: plain_type(found, &known).to_owned(),
            // It cannot be given a value.
            not_null: found.not_null && !found.is_generated,
            default,
            key: i64::try_from(key).unwrap_or_default(),
            is_generated: false,
            collation: match found.is_compared_by_bytes() {
                true => "BINARY".to_owned(),
                false => found
                    .collation
                    .clone()
                    .filter(|_| !found.is_deterministic)
                    .unwrap_or_else(|| found.base.clone()),
            },
            known: Some(known),
        })
    }

    /// What the model has for this column.
    fn known(&self, table: &FoundTable, found: &FoundColumn) -> Result<Known, AdminError> {
        let of = |scalar| Known { scalar: Some(scalar), ..Known::default() };
        let noted = |scalar, note: &str| Known { note: Some(note.to_owned()), ..of(scalar) };
        Ok(match found.base.as_str() {
            _ if found.kind == "e" => enumerated(pascal(&found.base_type), &found.values),
            "text" | "varchar" => match checked_values(table, found) {
                Some(values) => enumerated(
                    format!("{}{}", pascal(&singularize(&table.name)), pascal(&found.name)),
                    &values,
                ),
                None => of(Scalar::String),
            },
            "citext" | "bpchar" => noted(
                Scalar::String,
                &format!(
                    "declared {}: freshql compares strings by their bytes, for which its index does not serve",
                    found.sql_type
                ),
            ),
            "name" => of(Scalar::String),
            "int2" | "int4" => of(Scalar::Int),
            "int8" => of(Scalar::BigInt),
            "float4" | "float8" => of(Scalar::Float),
            "bool" => of(Scalar::Boolean),
            "uuid" => of(Scalar::Uuid),
            "jsonb" | "json" => of(Scalar::Json),
            "date" => of(Scalar::Date),
            "timestamptz" => of(Scalar::DateTime),
            "timestamp" => noted(Scalar::DateTime, "declared without a time zone, and read as UTC"),
            "numeric" => self.numeric(table, found)?,
            _ => Known {
                note: Some(format!("declared {}, and no type reads it", found.sql_type)),
                ..Known::default()
            },
        })
    }

    /// A number with the declared digits; if there are none, with those that its rows have.
    fn numeric(&self, table: &FoundTable, found: &FoundColumn) -> Result<Known, AdminError> {
        let declared =
            found.base_type.strip_prefix("numeric(").and_then(|rest| rest.strip_suffix(')'));
        let digits = declared.and_then(|declared| {
            let (precision, scale) = declared.split_once(',').unwrap_or((declared, "0"));
            Some((precision.parse::<i64>().ok()?, scale.parse::<i64>().ok()?))
        });
        let (precision, scale, note) = match digits {
            Some((precision, scale)) => (precision, scale, None),
            None => {
                let column = SqlName::new(&found.name);
                let sql = format!(
                    "SELECT max(length(trunc(abs({column}))::text)), max(min_scale({column})) FROM {} WHERE {column} <> 'NaN'",
                    table.qualified()
                );
                let rows = self.connection.borrow_mut().query(Execute::text(&sql, &[]))?;
                let row = rows.first();
                let number = |at| row.as_ref().and_then(|row| row.int(at)).unwrap_or(0);
                let (whole, scale) = (number(0), number(1));
                let most = i64::from(MAX_DIGITS);
                let precision = if whole + scale > most { whole + scale } else { most };
                (
                    precision,
                    scale,
                    Some(
                        "declared without digits: these are the most that its rows have room for"
                            .to_owned(),
                    ),
                )
            }
        };
        if !(1..=i64::from(MAX_DIGITS)).contains(&precision) || !(0..=precision).contains(&scale) {
            let note = format!(
                "declared {}, and a Decimal has at most {MAX_DIGITS} digits",
                found.sql_type
            );
            return Ok(Known { note: Some(note), ..Known::default() });
        }
        let scalar = Scalar::Decimal {
            precision: u8::try_from(precision).unwrap_or(MAX_DIGITS),
            scale: u8::try_from(scale).unwrap_or_default(),
        };
        let directives = vec![format!("@column(precision: {precision}, scale: {scale})")];
        Ok(Known { scalar: Some(scalar), directives, note, ..Known::default() })
    }
}

fn is_whole(column: &FoundColumn) -> bool {
    matches!(column.base.as_str(), "int2" | "int4" | "int8")
}

/// `serial`.
fn is_counted(column: &FoundColumn) -> bool {
    column.default.as_deref().is_some_and(|default| default.starts_with("nextval("))
}

/// The name of a type that is the same in every database.
fn plain_type<'t>(found: &'t FoundColumn, known: &Known) -> &'t str {
    match known.scalar {
        Some(Scalar::String | Scalar::Enum(_)) => "text",
        Some(Scalar::Int) => "integer",
        Some(Scalar::BigInt) => "bigint",
        Some(Scalar::Uuid) => "uuid",
        _ => &found.sql_type,
    }
}

/// An enum, if the model can express all of its values.
fn enumerated(name: String, values: &[String]) -> Known {
    let is_name = |value: &String| {
        let starts = value.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && !value.starts_with("__");
        starts
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !matches!(value.as_str(), "true" | "false" | "null")
    };
    if values.is_empty() || !values.iter().all(is_name) {
        let note = format!("its values are no names in GraphQL: {}", values.join(", "));
        return Known { scalar: Some(Scalar::String), note: Some(note), ..Known::default() };
    }
    Known {
        scalar: Some(Scalar::Enum(EnumId(0))),
        values: Some((name, values.to_vec())),
        ..Known::default()
    }
}

/// The values that a CHECK allows for a column, as PostgreSQL writes `column IN ('a', 'b')`.
fn checked_values(table: &FoundTable, column: &FoundColumn) -> Option<Vec<String>> {
    let checks = table
        .constraints
        .iter()
        .filter(|check| check.kind == "c" && check.columns == [column.name.as_str()]);
    checks
        .filter_map(|check| {
            let name = SqlName::new(&column.name).to_string();
            let plain: String = check
                .definition
                .replace("::text", "")
                .replace("::character varying", "")
                .replace("[]", "");
            let inner = plain.strip_prefix("CHECK ")?.trim_matches(|c| c == '(' || c == ')');
            let list =
                inner.strip_prefix(&name)?.trim_start_matches(')').strip_prefix(" = ANY (")?;
            let list = list.trim_start_matches('(').strip_prefix("ARRAY[")?.split(']').next()?;
            let value = |item: &str| {
                let item = item.trim().trim_start_matches('(').trim_end_matches(')');
                Some(item.strip_prefix('\'')?.strip_suffix('\'')?.to_owned())
            };
            list.split(", ").map(value).collect()
        })
        .next()
}

/// A default without the casts that PostgreSQL adds; the current time as freshql itself writes it.
fn default_of(written: &str) -> String {
    if let Some(number) = negative(written) {
        return number.to_owned();
    }
    let plain =
        match written.strip_prefix('\'').and_then(|rest| rest.rfind('\'').map(|end| (rest, end))) {
            Some((rest, end)) if rest[end + 1..].starts_with("::") || rest.len() == end + 1 => {
                &written[..end + 2]
            }
            // A cast of the whole, not of an argument in it.
            _ => written.split("::").next().filter(|value| is_balanced(value)).unwrap_or(written),
        };
    match plain.to_ascii_lowercase().as_str() {
        "now()" | "current_timestamp" | "clock_timestamp()" | "transaction_timestamp()" => {
            OUR_NOW.to_owned()
        }
        "current_date" => "current_date".to_owned(),
        _ => plain.to_owned(),
    }
}

/// `'-1'::integer` and `('-1'::integer)::numeric`, as PostgreSQL writes negative numbers.
fn negative(written: &str) -> Option<&str> {
    let (number, casts) = written.trim_start_matches('(').strip_prefix('\'')?.split_once('\'')?;
    let is_of_number =
        casts.trim_start_matches("::").split([':', ')']).next().is_some_and(|cast| {
            matches!(
                cast,
                "smallint" | "integer" | "bigint" | "numeric" | "real" | "double precision"
            )
        });
    (number.starts_with('-') && is_of_number).then_some(number)
}

fn is_balanced(expression: &str) -> bool {
    expression.matches('(').count() == expression.matches(')').count()
}
