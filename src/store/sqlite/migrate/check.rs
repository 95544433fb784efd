//! Whether a database has what a model needs: tables, columns, keys, indexes, and the triggers
//! without which an answer could be stale. It only inspects; a migration fixes what it finds.

use rusqlite::Connection;

use super::{Problem, guard, heal};
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::model::{ColumnId, DefaultValue, Model, Scalar};
use crate::store::guard::REMEDY;
use crate::store::schema::layout::CHANGE_LOG;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{Layout, SqlName, Table, TableColumn};
use crate::store::sqlite::catalogue::authors::{self, AuthorTrigger};
use crate::store::sqlite::catalogue::definition::{ColumnText, Definition, Kind};
use crate::store::sqlite::catalogue::keys::other_keys;
use crate::store::sqlite::catalogue::{Catalogue, FoundColumn, FoundTable, recognise};
use crate::store::sqlite::ddl::{create_index, create_table, sql_type, system_table};
use crate::store::sqlite::expression::{check_expression, default_expression};
use crate::store::sqlite::triggers::{self, NAME_PREFIX};
use crate::store::sqlite::words::words;

/// What this database lacks for this model, in the model's order. Anything beyond that is ignored,
/// unless it gets in the way.
///
/// # Errors
/// The database cannot be read.
pub fn check_schema(connection: &Connection, model: &Model) -> rusqlite::Result<Vec<Problem>> {
    check(connection, model, true)
}

/// Like [`check_schema`], but only for tables that migrations create.
pub(in crate::store) fn check_managed(
    connection: &Connection,
    model: &Model,
) -> rusqlite::Result<Vec<Problem>> {
    check(connection, model, false)
}

fn check(
    connection: &Connection,
    model: &Model,
    with_unmanaged: bool,
) -> rusqlite::Result<Vec<Problem>> {
    let layout = Layout::new(model);
    let catalogue = Catalogue::read(connection)?;
    let mut problems = Problems::default();
    let is_of_older_release =
        catalogue.table(CHANGE_LOG).is_some_and(|found| guard::is_outdated(CHANGE_LOG, found));
    for name in layout.system_tables() {
        check_system_table(name, &catalogue, &mut problems);
    }
    if catalogue.table(CHANGE_LOG).is_some() {
        let records = heal::wild_records(connection)?;
        if records > 0 {
            problems.add(format!(
                "{records} records of the change log have numbers that no clock gives: `freshql migrate up` heals it"
            ));
        }
    }
    for table in layout.tables.iter().filter(|table| table.managed || with_unmanaged) {
        if with_unmanaged {
            check_authors(table, &catalogue, &mut problems);
        }
        if !table.managed {
            check_unmanaged(connection, &catalogue, table, &mut problems)?;
            continue;
        }
        let Some(found) = versioned(table, &catalogue, &mut problems) else { continue };
        check_columns(table, found, &mut problems);
        // Authors left these out on purpose.
        if !found.is_adopted() {
            check_foreign_keys(table, found, &mut problems);
        }
        check_indexes(table, found, &mut problems);
        // Each trigger would differ; that has been reported above.
        if !is_of_older_release {
            check_triggers(table, found, &mut problems);
        }
    }
    Ok(problems.0)
}

/// For each entity of the model, the most serious reason why its row versions may not reflect every
/// change. Whatever only keeps rows consistent (foreign keys, indexes) is ignored.
///
/// # Errors
/// The database cannot be read.
pub(in crate::store) fn unguarded(
    connection: &Connection,
    model: &Model,
) -> rusqlite::Result<Vec<Option<String>>> {
    let (layout, catalogue) = (Layout::new(model), Catalogue::read(connection)?);
    let mut system = Problems::default();
    for name in layout.system_tables() {
        check_system_table(name, &catalogue, &mut system);
    }
    let mut reasons = Vec::new();
    for table in &layout.tables {
        let mut problems = Problems(system.0.clone());
        check_authors(table, &catalogue, &mut problems);
        if !table.managed {
            check_unmanaged(connection, &catalogue, table, &mut problems)?;
        } else if let Some(found) = versioned(table, &catalogue, &mut problems) {
            check_triggers(table, found, &mut problems);
            check_columns(table, found, &mut problems);
        }
        // Problems that a command repairs come last: it cannot do so before the others are fixed.
        let worst = problems.0.into_iter().min_by_key(|problem| problem.is_repaired);
        reasons.push(worst.map(|problem| match problem.help {
            _ if problem.is_repaired => format!("{}; {REMEDY}", problem.message),
            Some(help) => format!("{}; {help}", problem.message),
            None => problem.message,
        }));
    }
    Ok(reasons)
}

/// The table, if it exists and its rows have versions.
fn versioned<'a>(
    table: &Table,
    catalogue: &'a Catalogue,
    problems: &mut Problems,
) -> Option<&'a FoundTable> {
    let name = table.name.as_str();
    let Some(found) = catalogue.table(name) else {
        problems.missing(format!("table `{name}` is missing"), Some(create_table(table)));
        return None;
    };
    if found.column(VERSION_COLUMN).is_none() {
        // Apparently a foreign table; there is no point in listing everything that it needs to be
        // adopted.
        let message =
            format!("column `{name}.{VERSION_COLUMN}` is missing, so its rows have no versions");
        problems.0.push(Problem { message, sql: None, help: None, is_repaired: true });
        return None;
    }
    Some(found)
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, message: String) {
        self.missing(message, None);
    }

    fn missing(&mut self, message: String, sql: Option<String>) {
        self.0.push(Problem { message, sql, help: None, is_repaired: false });
    }
}

/// Checks that no trigger of the authors hides changes.
fn check_authors(table: &Table, catalogue: &Catalogue, problems: &mut Problems) {
    let Some(found) = catalogue.table(table.name.as_str()) else { return };
    let authors = found.triggers.iter().filter_map(AuthorTrigger::parse);
    problems.0.extend(authors.filter_map(|trigger| {
        let message = authors::hides(&trigger, &found.name)?;
        Some(Problem { message, sql: None, help: Some(authors::SHOW), is_repaired: false })
    }));
}

/// Checks a table that another program owns: it must be fit to be served, and be watched.
fn check_unmanaged(
    connection: &Connection,
    catalogue: &Catalogue,
    table: &Table,
    problems: &mut Problems,
) -> rusqlite::Result<()> {
    let name = table.name.as_str();
    let Some(found) = catalogue.table(name) else {
        problems
            .add(format!("table `{name}` is missing, and as the model says `managed: false`, no migration makes it"));
        return Ok(());
    };
    let before = problems.0.len();
    check_columns(table, found, problems);
    check_indexes(table, found, problems);
    let is_watched = guard::is_guarded(connection, catalogue, table, found)?;
    if problems.0.len() == before && !is_watched {
        problems.0.push(Problem {
            message: format!(
                "`{name}` is not watched as this model needs it: what others write there would not be seen"
            ),
            sql: None,
            help: Some("run `freshql migrate up`, which makes the triggers and gives every row a new version"),
            is_repaired: true,
        });
    }
    Ok(())
}

/// Whether its types, rules and defaults are those of its authors.
fn is_theirs(table: &Table, found: &FoundTable) -> bool {
    !table.managed || found.is_adopted()
}

fn check_system_table(name: &str, catalogue: &Catalogue, problems: &mut Problems) {
    let create = system_table(name).statements.into_iter().next();
    let Some(found) = catalogue.table(name) else {
        let message = format!("table `{name}` is missing");
        problems.0.push(Problem { message, sql: create, help: None, is_repaired: true });
        return;
    };
    if guard::is_outdated(name, found) {
        problems.add(format!(
            "table `{name}` is that of an older release of freshql, and so are the triggers that write it"
        ));
        return;
    }
    for column in Definition::parse(&create.unwrap_or_default()).columns {
        if found.column(&column.name).is_none() {
            problems.add(format!("column `{name}.{}` is missing", column.name));
        }
    }
}

fn check_columns(table: &Table, found: &FoundTable, problems: &mut Problems) {
    let name = table.name.as_str();
    for column in &table.columns {
        let Some(has) = found.column(column.name.as_str()) else {
            problems.add(format!("column `{name}.{}` is missing", column.name.as_str()));
            continue;
        };
        if is_theirs(table, found) {
            check_adopted_column(table, column, has, problems);
        } else {
            check_column(table, column, has, &found.definition, problems);
        }
        check_collation(table, column, has, problems);
        check_spelling(table, column, has, problems);
    }
    if found
        .column(VERSION_COLUMN)
        .is_some_and(|has| has.key > 0 || affinity(&has.sql_type) != "INTEGER")
    {
        problems.add(format!("column `{name}.{VERSION_COLUMN}` is not an INTEGER beside the key"));
    }
    let is_known = |column: &FoundColumn| {
        column.name.eq_ignore_ascii_case(VERSION_COLUMN)
            || table
                .columns
                .iter()
                .any(|known| known.name.as_str().eq_ignore_ascii_case(&column.name))
    };
    for extra in found.columns.iter().filter(|column| !is_known(column) && !is_theirs(table, found))
    {
        if extra.key > 0 {
            problems.add(format!(
                "column `{name}.{}` is part of the key, and not in the model",
                extra.name
            ));
        } else if !extra.may_be_left_out() {
            problems.add(format!(
                "column `{name}.{}` is NOT NULL without a default, and not in the model: no row can be created",
                extra.name
            ));
        }
    }
}

/// Checks that the column can represent the model's values, and is the key if it should be. Its
/// type, rules and defaults are those of its authors.
fn check_adopted_column(
    table: &Table,
    column: &TableColumn,
    has: &FoundColumn,
    problems: &mut Problems,
) {
    let shown = format!("column `{}.{}`", table.name.as_str(), column.name.as_str());
    if !holds(column, &has.sql_type) {
        let wanted = sql_type(column);
        problems.add(format!(
            "{shown} is {}, and its values would not fit {wanted}",
            or_untyped(&has.sql_type)
        ));
    }
    if column.name == table.key_column().name && has.key != 1 {
        problems.add(format!("{shown} is not the primary key"));
    }
    if !column.nullable && !has.not_null && has.key == 0 {
        problems.add(format!("{shown} may be NULL, and should be NOT NULL"));
    }
}

fn check_column(
    table: &Table,
    column: &TableColumn,
    has: &FoundColumn,
    definition: &Definition,
    problems: &mut Problems,
) {
    let shown = format!("column `{}.{}`", table.name.as_str(), column.name.as_str());
    let wanted = sql_type(column);
    let is_same_type = match column.type_override {
        Some(_) => wanted.eq_ignore_ascii_case(&has.sql_type),
        None => affinity(&wanted) == affinity(&has.sql_type),
    };
    if !is_same_type {
        problems.add(format!("{shown} is {}, and should be {wanted}", or_untyped(&has.sql_type)));
    } else if !holds(column, &has.sql_type) {
        problems.add(format!(
            "{shown} is {}, which does not keep the values of its type as they are",
            has.sql_type
        ));
    }
    let is_key = column.name == table.key_column().name;
    if is_key && has.key != 1 {
        problems.add(format!("{shown} is not the primary key"));
    }
    // The rowid is never NULL, whatever the declaration says.
    let is_row_number = is_key && column.scalar == Scalar::IdInt;
    if !column.nullable && !has.not_null && !is_row_number {
        problems.add(format!("{shown} may be NULL, and should be NOT NULL"));
    }
    if column.nullable && has.not_null {
        problems.add(format!("{shown} is NOT NULL, and may be null in the model"));
    }
    let text = definition.column(column.name.as_str());
    if column.default == Some(DefaultValue::Autoincrement) && !definition.has_autoincrement() {
        problems
            .add(format!("{shown} has no AUTOINCREMENT: the key of a deleted row could come back"));
    }
    if is_default_other(column, text, false) {
        let has = text
            .and_then(|text| text.of(Kind::Default).next())
            .map(|clause| clause.text.trim().to_owned());
        let wanted = default_expression(column).map(|default| format!("DEFAULT {default}"));
        let [has, wanted] =
            [has, wanted].map(|default| default.unwrap_or_else(|| "no default".to_owned()));
        problems.add(format!("{shown} has {has}, and should have {wanted}"));
    }
    // Without a CHECK, others can write values that no answer can show; an existing one must be
    // that of the model.
    let checks = text.map(|text| recognise::checks(text).0).unwrap_or_default();
    if let Some(wanted) = check_expression(column).filter(|_| checks.is_empty()) {
        problems.add(format!("{shown} has no CHECK ({wanted})"));
    }
    if check_expression(column).is_some()
        && checks.iter().any(|check| !recognise::is_for(check, column))
    {
        let values: Vec<String> =
            column.enum_values.iter().map(|value| string_literal(value)).collect();
        problems.add(match values.is_empty() {
            true => format!(
                "{shown} has the CHECK of another type, or of other digits, than the model's"
            ),
            false => format!(
                "{shown} has a CHECK with other values than the model's: {}",
                values.join(", ")
            ),
        });
    }
}

/// Whether the table's default differs from the model's. An adopted table keeps its own.
pub(in crate::store) fn is_default_other(
    column: &TableColumn,
    text: Option<&ColumnText>,
    is_adopted: bool,
) -> bool {
    let has = text.and_then(|text| text.of(Kind::Default).next()).map(|clause| words(&clause.text));
    let wanted = default_expression(column).map(|default| words(&format!("DEFAULT {default}")));
    if is_adopted { has.is_none() && wanted.is_some() } else { has != wanted }
}

/// Checks a column's collation. An answer depends on the rows with a key or part value as recorded
/// in the change log, byte for byte. If SQLite found `a` when `A` is requested, a write of `a`
/// would not be known to change that answer.
fn check_collation(
    table: &Table,
    column: &TableColumn,
    has: &FoundColumn,
    problems: &mut Problems,
) {
    if is_looked_up(table, column) && !has.is_compared_by_bytes() {
        problems.add(format!(
            "column `{}.{}` is compared by the collation {}, and should be by BINARY: rows are looked up by it",
            table.name.as_str(),
            column.name.as_str(),
            has.collation
        ));
    }
}

/// Checks a column's affinity. In a column that is not declared as text, SQLite stores a string
/// that looks like a number as that number: `007` and `7.0` would find the row of `7`, whose record
/// in the change log says 7. Strings of other scalars never look like numbers.
fn check_spelling(table: &Table, column: &TableColumn, has: &FoundColumn, problems: &mut Problems) {
    let is_free = matches!(column.scalar, Scalar::String | Scalar::IdText);
    let makes_numbers = matches!(affinity(&has.sql_type), "INTEGER" | "REAL" | "NUMERIC");
    if is_free && is_looked_up(table, column) && makes_numbers {
        problems.add(format!(
            "column `{}.{}` is declared {}, so SQLite makes numbers of texts that look like one (`007`), and no row can be \
             looked up by it as by a text: declare it TEXT, or take its @id, @unique, @index or relation out of the model",
            table.name.as_str(),
            column.name.as_str(),
            has.sql_type
        ));
    }
}

/// Whether rows are found by it, and the change log records its values.
pub(in crate::store) fn is_looked_up(table: &Table, column: &TableColumn) -> bool {
    column.part || column.name == table.key_column().name
}

fn check_foreign_keys(table: &Table, found: &FoundTable, problems: &mut Problems) {
    for column in &table.columns {
        let Some(reference) = &column.references else { continue };
        let (name, target) = (column.name.as_str(), reference.table.as_str());
        let key = found.foreign_keys.iter().find(|key| {
            key.table.eq_ignore_ascii_case(target)
                && matches!(&key.columns[..], [one] if one.eq_ignore_ascii_case(name))
        });
        match key {
            None => problems.add(format!(
                "column `{}.{name}` has no foreign key to `{target}`",
                table.name.as_str()
            )),
            Some(key) if !reference.on_delete.is_said_by(&key.on_delete) => problems.add(format!(
                "the foreign key `{}.{name}` says ON DELETE {}, and should say {}",
                table.name.as_str(),
                key.on_delete,
                reference.on_delete.sql()
            )),
            Some(_) => {}
        }
    }
}

fn check_indexes(table: &Table, found: &FoundTable, problems: &mut Problems) {
    problems.0.extend(missing_indexes(table, found));
}

/// The missing indexes of a table. An index may have any name: only its columns matter.
pub(in crate::store) fn missing_indexes(table: &Table, found: &FoundTable) -> Vec<Problem> {
    let name_of = |id: &ColumnId| table.column(*id).name.as_str();
    let key = table.key_column().name.as_str();
    let mut missing = Vec::new();
    // Lookups rely on unique indexes; without other indexes they are only slower.
    for index in table.indexes.iter().filter(|index| index.unique || !is_theirs(table, found)) {
        let wanted: Vec<&str> = index.columns.iter().map(name_of).collect();
        let is_there = found.indexes.iter().any(|found| found.covers(&wanted, key, index.unique));
        if !is_there {
            let kind = if index.unique { "unique index" } else { "index" };
            let message =
                format!("{kind} over `{}` ({}) is missing", table.name.as_str(), wanted.join(", "));
            missing.push(Problem {
                message,
                sql: table.managed.then(|| create_index(table, index)),
                help: None,
                is_repaired: table.managed,
            });
        }
    }
    missing
}

/// A trigger that is not as it should be, and how to fix it.
pub(in crate::store) struct TriggerToMend {
    pub(in crate::store) name: String,
    /// What the statements do with it: `made`, `replaced`, `dropped`.
    pub(in crate::store) verb: &'static str,
    pub(in crate::store) sql: String,
}

fn check_triggers(table: &Table, found: &FoundTable, problems: &mut Problems) {
    let shown = table.name.as_str();
    for TriggerToMend { name, verb, sql } in triggers_to_mend(table, found) {
        let message = match verb {
            "made" => {
                format!("trigger `{name}` on `{shown}` is missing: versions would stay as they are")
            }
            "replaced" => {
                format!("trigger `{name}` on `{shown}` is not the one that this model needs")
            }
            _ => format!("trigger `{name}` on `{shown}` is of another version of freshql"),
        };
        problems.0.push(Problem { message, sql: Some(sql), help: None, is_repaired: true });
    }
}

/// The triggers of the table that are missing, different or superfluous.
pub(in crate::store) fn triggers_to_mend(table: &Table, found: &FoundTable) -> Vec<TriggerToMend> {
    let wanted = triggers::triggers_beside(table, &other_keys(table, found, &found.indexes));
    let same = |a: &str, b: &SqlName| a.eq_ignore_ascii_case(b.as_str());
    // A trigger of ours that this version no longer creates would write records of its own.
    let ours = |name: &str| name.to_ascii_lowercase().starts_with(NAME_PREFIX);
    let mut old: Vec<&str> = found.triggers.iter().map(|found| found.name.as_str()).collect();
    old.retain(|name| ours(name) && wanted.iter().all(|trigger| !same(name, &trigger.name)));
    old.sort_unstable();
    let mut mends = Vec::new();
    for trigger in wanted {
        let name = trigger.name.as_str().to_owned();
        match found.triggers.iter().find(|found| same(&found.name, &trigger.name)) {
            None => mends.push(TriggerToMend { name, verb: "made", sql: trigger.sql }),
            Some(found) if words(&found.sql) != words(trigger.sql.trim_end_matches(';')) => {
                let sql = format!("DROP TRIGGER {};\n{}", trigger.name, trigger.sql);
                mends.push(TriggerToMend { name, verb: "replaced", sql });
            }
            Some(_) => {}
        }
    }
    mends.extend(old.into_iter().map(|name| TriggerToMend {
        name: name.to_owned(),
        verb: "dropped",
        sql: format!("DROP TRIGGER {};", SqlName::new(name)),
    }));
    mends
}

/// Whether a column with this declaration, by others or by `@column(type:)`, stores this column's
/// values unchanged.
pub(in crate::store) fn holds(column: &TableColumn, declared: &str) -> bool {
    let own = TableColumn { type_override: None, ..column.clone() };
    match (affinity(&sql_type(&own)), affinity(declared)) {
        // A column without a type stores everything unchanged.
        (_, "BLOB") => true,
        // A numeric column stores strings unchanged, unless they look like numbers.
        ("TEXT", has) => has != "REAL",
        // As REAL, an integer comes back as 5.0, and a large one as a different number.
        ("INTEGER", has) => matches!(has, "INTEGER" | "NUMERIC"),
        (_, has) => has != "TEXT",
    }
}

/// SQLite's rules for the affinity of a declared type (<https://sqlite.org/datatype3.html>, 3.1).
pub(in crate::store) fn affinity(sql_type: &str) -> &'static str {
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

#[cfg(test)]
mod tests;
