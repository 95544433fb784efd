//! Whether a database has what a model needs: tables, columns, keys, indexes, and the triggers without which an answer
//! could be stale. It only looks; what it finds, a migration mends.

use std::collections::HashMap;
use std::fmt;

use rusqlite::Connection;

use crate::model::{ColumnId, DefaultValue, Model, OnDelete, Scalar};
use crate::store::layout::ddl::{SYSTEM_TABLE_NAMES, create_index, create_statements, create_table, sql_type};
use crate::store::layout::name::string_literal;
use crate::store::layout::{Layout, SqlName, Table, TableColumn, VERSION_COLUMN};
use crate::store::triggers::{self, NAME_PREFIX};

/// Something that a database lacks, or has otherwise than the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong. Lower case, no full stop.
    pub message: String,
    /// The statement that would mend it, where one statement can: for what was removed by hand.
    pub sql: Option<String>,
}

/// What mends the problems of a database that lacks migrations.
pub const MIGRATE_UP: &str = "freshql migrate up";
/// What mends the problems of a database that has all migrations: it writes the one that is missing.
pub const MIGRATE_NEW: &str = "freshql migrate new <name>";

impl Problem {
    /// The command that mends it, given whether migrations are pending.
    pub fn command(&self, is_pending: bool) -> &'static str {
        if is_pending { MIGRATE_UP } else { MIGRATE_NEW }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What this database lacks for this model, tables in the model's order. What it has beyond it does not matter, unless
/// it is in the way.
///
/// # Errors
/// If the database cannot be read.
pub fn check_schema(connection: &Connection, model: &Model) -> rusqlite::Result<Vec<Problem>> {
    let layout = Layout::new(model);
    let catalogue = Catalogue::read(connection)?;
    let mut problems = Problems::default();
    let creates = create_statements(&layout);
    for name in SYSTEM_TABLE_NAMES.iter().filter(|name| catalogue.table(name).is_none()) {
        let start = format!("CREATE TABLE {name} ");
        problems
            .missing(format!("table `{name}` is missing"), creates.iter().find(|sql| sql.starts_with(&start)).cloned());
    }
    for table in &layout.tables {
        let Some(sql) = catalogue.table(table.name.as_str()) else {
            problems.missing(format!("table `{}` is missing", table.name.as_str()), Some(create_table(table)));
            continue;
        };
        let is_adopted = is_adopted(sql);
        check_columns(connection, table, sql, is_adopted, &mut problems)?;
        // What its authors left out, they did without so far; only uniqueness is what look-ups rest on.
        if !is_adopted {
            check_foreign_keys(connection, table, &mut problems)?;
        }
        check_indexes(connection, table, is_adopted, &mut problems)?;
        check_triggers(table, &catalogue, &mut problems);
    }
    Ok(problems.0)
}

/// Whether a table was there before freshql: then its version column, which a migration has added, says so. It keeps the
/// types, rules and defaults of its authors, as long as the model's values fit in.
fn is_adopted(table_sql: &str) -> bool {
    is_same_words(table_sql, &format!("{VERSION_COLUMN} INTEGER CONSTRAINT adopted NOT NULL"))
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, message: String) {
        self.missing(message, None);
    }

    fn missing(&mut self, message: String, sql: Option<String>) {
        self.0.push(Problem { message, sql });
    }
}

/// The database's own list of what it has. SQLite's names do not mind case.
struct Catalogue {
    tables: HashMap<String, String>,
    /// Name to (table, text).
    triggers: HashMap<String, (String, String)>,
}

impl Catalogue {
    fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut catalogue = Self { tables: HashMap::new(), triggers: HashMap::new() };
        let mut statement =
            connection.prepare("SELECT type, lower(name), lower(tbl_name), ifnull(sql, '') FROM sqlite_schema")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let kind: String = row.get(0)?;
            match kind.as_str() {
                "table" => drop(catalogue.tables.insert(row.get(1)?, row.get(3)?)),
                "trigger" => drop(catalogue.triggers.insert(row.get(1)?, (row.get(2)?, row.get(3)?))),
                _ => {}
            }
        }
        Ok(catalogue)
    }

    fn table(&self, name: &str) -> Option<&str> {
        self.tables.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

struct FoundColumn {
    name: String,
    sql_type: String,
    not_null: bool,
    has_default: bool,
    /// Place in the primary key, from 1; 0 outside of it.
    key: i64,
    /// Computed by SQLite.
    is_generated: bool,
}

fn check_columns(
    connection: &Connection,
    table: &Table,
    table_sql: &str,
    is_adopted: bool,
    problems: &mut Problems,
) -> rusqlite::Result<()> {
    let mut statement = connection
        .prepare("SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?)")?;
    let found: Vec<FoundColumn> = statement
        .query_map([table.name.as_str()], |row| {
            Ok(FoundColumn {
                name: row.get(0)?,
                sql_type: row.get(1)?,
                not_null: row.get(2)?,
                has_default: row.get(3)?,
                key: row.get(4)?,
                is_generated: row.get::<_, i64>(5)? > 0,
            })
        })?
        .collect::<Result<_, _>>()?;
    let find = |name: &str| found.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    let name = table.name.as_str();
    for column in &table.columns {
        let Some(has) = find(column.name.as_str()) else {
            problems.add(format!("column `{name}.{}` is missing", column.name.as_str()));
            continue;
        };
        if is_adopted {
            check_adopted_column(table, column, has, problems);
        } else {
            check_column(table, column, has, table_sql, problems);
        }
        check_collation(connection, table, column, problems)?;
    }
    match find(VERSION_COLUMN) {
        None => problems.add(format!("column `{name}.{VERSION_COLUMN}` is missing")),
        Some(has) if has.key > 0 || affinity(&has.sql_type) != "INTEGER" => {
            problems.add(format!("column `{name}.{VERSION_COLUMN}` is not an INTEGER beside the key"));
        }
        Some(_) => {}
    }
    let is_known = |column: &FoundColumn| {
        column.name.eq_ignore_ascii_case(VERSION_COLUMN)
            || table.columns.iter().any(|known| known.name.as_str().eq_ignore_ascii_case(&column.name))
    };
    for extra in found.iter().filter(|column| !is_known(column) && !is_adopted) {
        if extra.key > 0 {
            problems.add(format!("column `{name}.{}` is part of the key, and not in the model", extra.name));
        } else if extra.not_null && !extra.has_default && !extra.is_generated {
            problems.add(format!(
                "column `{name}.{}` is NOT NULL without a default, and not in the model: no row can be created",
                extra.name
            ));
        }
    }
    Ok(())
}

/// The column can hold the model's values, and is the key if it should be.
fn check_adopted_column(table: &Table, column: &TableColumn, has: &FoundColumn, problems: &mut Problems) {
    let shown = format!("column `{}.{}`", table.name.as_str(), column.name.as_str());
    let wanted = sql_type(column);
    let is_number = |affinity: &str| matches!(affinity, "INTEGER" | "REAL" | "NUMERIC");
    let (a, b) = (affinity(&wanted), affinity(&has.sql_type));
    // Texts stay texts in a column of numbers, unless they look like one. A column without a type keeps all as it is.
    let takes = match column.scalar {
        Scalar::IdText | Scalar::String => matches!(b, "TEXT" | "BLOB" | "NUMERIC" | "INTEGER"),
        _ => a == b || b == "BLOB" || b == "NUMERIC" || (is_number(a) && is_number(b)),
    };
    if !takes {
        problems.add(format!("{shown} is {}, and its values would not fit {wanted}", or_untyped(&has.sql_type)));
    }
    if column.name == table.key_column().name && has.key != 1 {
        problems.add(format!("{shown} is not the primary key"));
    }
    let is_row_number = has.key == 1 && column.scalar == Scalar::IdInt;
    if !column.nullable && !has.not_null && has.key == 0 && !is_row_number {
        problems.add(format!("{shown} may be NULL, and should be NOT NULL"));
    }
}

fn check_column(table: &Table, column: &TableColumn, has: &FoundColumn, table_sql: &str, problems: &mut Problems) {
    let shown = format!("column `{}.{}`", table.name.as_str(), column.name.as_str());
    let wanted = sql_type(column);
    let is_same_type = match column.type_override {
        Some(_) => wanted.eq_ignore_ascii_case(&has.sql_type),
        None => affinity(&wanted) == affinity(&has.sql_type),
    };
    if !is_same_type {
        problems.add(format!("{shown} is {}, and should be {wanted}", or_untyped(&has.sql_type)));
    }
    let is_key = column.name == table.key_column().name;
    if is_key && has.key != 1 {
        problems.add(format!("{shown} is not the primary key"));
    }
    // SQLite's number of the row is never NULL, whatever the declaration says.
    let is_row_number = is_key && column.scalar == Scalar::IdInt;
    if !column.nullable && !has.not_null && !is_row_number {
        problems.add(format!("{shown} may be NULL, and should be NOT NULL"));
    }
    if column.nullable && has.not_null {
        problems.add(format!("{shown} is NOT NULL, and may be null in the model"));
    }
    if column.default == Some(DefaultValue::Autoincrement) && !is_same_words(table_sql, "autoincrement") {
        problems.add(format!("{shown} has no AUTOINCREMENT: the key of a deleted row could come back"));
    }
    // Where a CHECK lists an enum's values, it must list those of the model.
    if !column.enum_values.is_empty() {
        let values: Vec<String> = column.enum_values.iter().map(|value| string_literal(value)).collect();
        let start = format!("{} IN (", column.name);
        let wanted = format!("{start}{})", values.join(", "));
        if is_same_words(table_sql, &start) && !is_same_words(table_sql, &wanted) {
            problems.add(format!("{shown} has a CHECK with other values than the model's: {}", values.join(", ")));
        }
    }
}

/// An answer depends on the rows with a key or with a value of a part as these stand in the change log, byte for byte. If
/// SQLite found `a` where `A` is asked for, a write of `a` would not be known to change that answer.
fn check_collation(
    connection: &Connection,
    table: &Table,
    column: &TableColumn,
    problems: &mut Problems,
) -> rusqlite::Result<()> {
    if !column.part && column.name != table.key_column().name {
        return Ok(());
    }
    let (_, collation, ..) = connection.column_metadata(None, table.name.as_str(), column.name.as_str())?;
    let collation = collation.map_or("BINARY".into(), |name| name.to_string_lossy());
    if !collation.eq_ignore_ascii_case("BINARY") {
        problems.add(format!(
            "column `{}.{}` is compared by the collation {collation}, and should be by BINARY: rows are looked up by it",
            table.name.as_str(),
            column.name.as_str()
        ));
    }
    Ok(())
}

fn check_foreign_keys(connection: &Connection, table: &Table, problems: &mut Problems) -> rusqlite::Result<()> {
    let sql = "SELECT lower(\"from\"), lower(\"table\"), on_delete FROM pragma_foreign_key_list(?)";
    let mut statement = connection.prepare(sql)?;
    let found: Vec<(String, String, String)> = statement
        .query_map([table.name.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for column in &table.columns {
        let Some(reference) = &column.references else { continue };
        let (name, target) = (column.name.as_str(), reference.table.as_str());
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        let wanted: &[&str] = match reference.on_delete {
            // Ours says RESTRICT; other people's tables say nothing, which fails as well, only later.
            OnDelete::Restrict => &["RESTRICT", "NO ACTION"],
            OnDelete::Cascade => &["CASCADE"],
            OnDelete::SetNull => &["SET NULL"],
        };
        match found.iter().find(|(from, to, _)| same(from, name) && same(to, target)) {
            None => problems.add(format!("column `{}.{name}` has no foreign key to `{target}`", table.name.as_str())),
            Some((_, _, action)) if !wanted.contains(&action.as_str()) => problems.add(format!(
                "the foreign key `{}.{name}` says ON DELETE {action}, and should say {}",
                table.name.as_str(),
                wanted[0]
            )),
            Some(_) => {}
        }
    }
    Ok(())
}

struct FoundIndex {
    unique: bool,
    columns: Vec<String>,
}

/// An index may have any name: its columns count.
fn check_indexes(
    connection: &Connection,
    table: &Table,
    is_adopted: bool,
    problems: &mut Problems,
) -> rusqlite::Result<()> {
    let mut list = connection.prepare("SELECT name, \"unique\" FROM pragma_index_list(?) WHERE partial = 0")?;
    let names: Vec<(String, bool)> =
        list.query_map([table.name.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut columns = connection.prepare("SELECT ifnull(name, '') FROM pragma_index_info(?) ORDER BY seqno")?;
    let mut found = Vec::new();
    for (name, unique) in names {
        let columns = columns.query_map([name], |row| row.get(0))?.collect::<Result<_, _>>()?;
        found.push(FoundIndex { unique, columns });
    }
    let name_of = |id: &ColumnId| table.column(*id).name.as_str();
    for index in table.indexes.iter().filter(|index| index.unique || !is_adopted) {
        let wanted: Vec<&str> = index.columns.iter().map(name_of).collect();
        let begins = |found: &FoundIndex| {
            found.columns.len() >= wanted.len()
                && found.columns.iter().zip(&wanted).all(|(column, wanted)| column.eq_ignore_ascii_case(wanted))
        };
        let same_set = |found: &FoundIndex| {
            found.columns.len() == wanted.len()
                && found.columns.iter().all(|column| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(column)))
        };
        let is_there = found.iter().any(|f| if index.unique { f.unique && same_set(f) } else { begins(f) });
        if !is_there {
            let kind = if index.unique { "unique index" } else { "index" };
            problems.missing(
                format!("{kind} over `{}` ({}) is missing", table.name.as_str(), wanted.join(", ")),
                Some(create_index(table, index)),
            );
        }
    }
    Ok(())
}

fn check_triggers(table: &Table, catalogue: &Catalogue, problems: &mut Problems) {
    for trigger in triggers::triggers(table) {
        let name = trigger.name.as_str();
        match catalogue.triggers.get(&name.to_ascii_lowercase()) {
            None => problems.missing(
                format!("trigger `{name}` on `{}` is missing: versions would stay as they are", table.name.as_str()),
                Some(trigger.sql),
            ),
            Some((_, text)) if words(text) != words(trigger.sql.trim_end_matches(';')) => problems.missing(
                format!("trigger `{name}` on `{}` is not the one that this model needs", table.name.as_str()),
                Some(format!("DROP TRIGGER {};\n{}", trigger.name, trigger.sql)),
            ),
            Some(_) => {}
        }
    }
    // A trigger of ours that this version no longer makes would write records of its own.
    let known: Vec<SqlName> = triggers::triggers(table).into_iter().map(|trigger| trigger.name).collect();
    let ours = format!("{NAME_PREFIX}{}_", table.name.as_str()).to_ascii_lowercase();
    let mut old: Vec<&String> = catalogue
        .triggers
        .iter()
        .filter(|(name, (on, _))| name.starts_with(&ours) && on.eq_ignore_ascii_case(table.name.as_str()))
        .map(|(name, _)| name)
        .filter(|name| known.iter().all(|known| !known.as_str().eq_ignore_ascii_case(name)))
        .collect();
    old.sort();
    for name in old {
        problems.missing(
            format!("trigger `{name}` on `{}` is of another version of freshql", table.name.as_str()),
            Some(format!("DROP TRIGGER {};", SqlName::new(name))),
        );
    }
}

/// SQLite's rules for the affinity of a declared type (<https://sqlite.org/datatype3.html>, 3.1).
fn affinity(sql_type: &str) -> &'static str {
    let upper = sql_type.to_ascii_uppercase();
    let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
    if has(&["INT"]) {
        "INTEGER"
    } else if has(&["CHAR", "CLOB", "TEXT"]) {
        "TEXT"
    } else if upper.is_empty() || has(&["BLOB"]) {
        "BLOB"
    } else if has(&["REAL", "FLOA", "DOUB"]) {
        "REAL"
    } else {
        "NUMERIC"
    }
}

fn or_untyped(sql_type: &str) -> &str {
    if sql_type.is_empty() { "without a type" } else { sql_type }
}

fn is_same_words(text: &str, part: &str) -> bool {
    words(text).contains(&words(part))
}

/// The text without comments, white space and needless quotes, so that only what it says is compared: an author may
/// have laid it out otherwise, and SQLite itself puts quotes around a renamed table. Words are set apart by one space.
fn words(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut gap = false;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if first == '\'' || first == '"' {
            rest[1..].find(first).map_or(rest.len(), |end| end + 2)
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        rest = after;
        if first.is_whitespace() || token.starts_with("--") || token.starts_with("/*") {
            gap = true;
            continue;
        }
        let token = match token.strip_prefix('"').and_then(|token| token.strip_suffix('"')) {
            Some(name) => SqlName::new(name).to_string(),
            None if first == '\'' => token.to_owned(),
            None => token.to_ascii_lowercase(),
        };
        let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '\'' || c == '"');
        if gap && is_word(out.chars().next_back()) && is_word(token.chars().next()) {
            out.push(' ');
        }
        gap = false;
        out.push_str(&token);
    }
    out
}

#[cfg(test)]
mod tests;
