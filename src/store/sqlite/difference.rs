//! Changes as SQLite statements. If `ALTER TABLE` cannot make a change, the table is rebuilt:
//! create a new table, copy the rows, drop the old table, rename the new one
//! (<https://sqlite.org/lang_altertable.html>, 7). The triggers are created last, so copying a row
//! does not count as a change: the row keeps its version, and the log gets no record.

use crate::model::DefaultValue;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::schema::difference::changes::{
    Abandoned, Alteration, Altered, Changes, Dropped, Fate,
};
use crate::store::schema::difference::convert;
use crate::store::schema::difference::notes::{self, FILL_IN, SYSTEM_COLUMNS};
use crate::store::schema::difference::system::add_system_columns;
use crate::store::schema::layout::{SqlName, TableColumn};
use crate::store::schema::section::{Section, versions_kept};
use crate::store::sqlite::catalogue::definition::{Clause, ColumnText, Kind};
use crate::store::sqlite::catalogue::{ADOPTED, Catalogue, FoundTable, recognise};
use crate::store::sqlite::ddl::{self, VERSION_DEFINITION, is_strict_type, table_statement};
use crate::store::sqlite::expression::default_expression;
use crate::store::sqlite::triggers::NAME_PREFIX;
use crate::store::sqlite::words::words;

/// A random UUID of version 4, because the creation time of existing rows is unknown.
const RANDOM_UUID: &str = "lower(printf('%s-%s-4%s-8%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2), substr(hex(randomblob(2)), 2), hex(randomblob(6))))";

/// The migration's text. `first`: what has been done before the changes were determined.
pub(in crate::store) fn text(
    first: Option<Section>,
    changes: &Changes<'_>,
    catalogue: &Catalogue,
) -> String {
    let is_mentioned = !catalogue.views.is_empty()
        || catalogue
            .tables
            .iter()
            .flat_map(|table| &table.triggers)
            .any(|t| !t.name.starts_with(NAME_PREFIX));
    let mut sections: Vec<Section> = first.into_iter().collect();
    sections.extend(changes.system.iter().map(|name| system_table(changes, name)));
    sections.extend(notes::section(
        SYSTEM_COLUMNS,
        add_system_columns(&changes.system_columns, ddl::system_table),
    ));
    let indexes = changes
        .altered
        .iter()
        .filter(|altered| !altered.is_rebuilt())
        .flat_map(|a| &a.dropped_indexes);
    sections.extend(notes::section(
        "Indexes that go.",
        indexes.map(|index| format!("DROP INDEX {};", SqlName::new(&index.name))).collect(),
    ));
    sections.extend(changes.altered.iter().filter_map(|altered| {
        let statements =
            if altered.is_rebuilt() { rebuilt(altered, is_mentioned) } else { in_place(altered) };
        notes::section(&heading(altered), statements)
    }));
    sections.extend(changes.created.iter().map(|table| ddl::created(table)));
    sections.extend(changes.altered.iter().filter_map(kept));
    sections
        .extend(changes.created.iter().map(|table| versions_kept(table, ddl::all_triggers(table))));
    sections.extend(changes.abandoned.iter().map(|table| abandoned(table, is_mentioned)));
    sections.extend(notes::destructive(changes));
    if sections.is_empty() {
        sections.push(Section {
            heading: "Nothing changes in SQLite.".to_owned(),
            statements: Vec::new(),
        });
    }
    ddl::text(sections)
}

/// Recreating the log loses its records, which costs its readers their caches.
fn system_table(changes: &Changes<'_>, name: &str) -> Section {
    let mut section = ddl::system_table(name);
    if changes.outdated.contains(&name) {
        section.statements.insert(0, format!("DROP TABLE {name};"));
    }
    section
}

fn heading(altered: &Altered<'_>) -> String {
    let name = altered.table.name.as_str();
    if altered.is_new_here {
        return format!(
            "{name} was there before freshql: its own types and rules stay as they are."
        );
    }
    if altered.is_rebuilt() {
        return format!(
            "{name}: built anew, since SQLite cannot change a column in place. Rows keep their versions."
        );
    }
    format!("Changes to {name}.")
}

fn in_place(altered: &Altered<'_>) -> Vec<String> {
    let table = &altered.table.name;
    let triggers =
        altered.dropped_triggers.iter().map(|t| format!("DROP TRIGGER {};", SqlName::new(&t.name)));
    // While the table was unmanaged (`managed: false`), it may have got triggers that no migration
    // created.
    let unknown = altered.created_triggers.iter().filter(|_| altered.is_new_here);
    let unknown = unknown.map(|trigger| format!("DROP TRIGGER IF EXISTS {};", trigger.name));
    let triggers = triggers.chain(unknown);
    let comes = altered.columns.iter().filter(|(_, fate)| matches!(fate, Fate::Comes));
    let columns = comes.map(|(column, _)| {
        format!(
            "ALTER TABLE {table} ADD COLUMN {} {};",
            column.name,
            ddl::column_definition(column, false)
        )
    });
    let version = altered.is_new_here.then(|| {
        format!("ALTER TABLE {table} ADD COLUMN {VERSION_COLUMN} {};", version_definition(altered))
    });
    let indexes =
        altered.created_indexes.iter().map(|index| ddl::create_index(altered.table, index));
    triggers.chain(columns).chain(version).chain(indexes).collect()
}

fn version_definition(altered: &Altered<'_>) -> String {
    match altered.found.definition.column(VERSION_COLUMN) {
        Some(version) => version.text(),
        None => VERSION_DEFINITION.replace("NOT NULL", &format!("CONSTRAINT {ADOPTED} NOT NULL")),
    }
}

/// The triggers of a table, if they must be created.
fn kept(altered: &Altered<'_>) -> Option<Section> {
    let table = altered.table;
    let triggers = if altered.is_rebuilt() { &altered.triggers } else { &altered.created_triggers };
    let mut statements: Vec<String> = triggers.iter().map(|trigger| trigger.sql.clone()).collect();
    if altered.is_unkept {
        statements.push(notes::renew(&table.name));
    }
    (!statements.is_empty()).then(|| versions_kept(table, statements))
}

/// A table that is rebuilt.
struct Rebuild<'a> {
    found: &'a FoundTable,
    /// Names and definitions.
    columns: Vec<(String, String)>,
    rules: Vec<String>,
    options: String,
    /// The name, the expression for the value, and a note for the author.
    copied: Vec<(String, String, Option<String>)>,
    /// Whether rowids that the old table has used must not be reused.
    goes_on_counting: bool,
    /// Its indexes, and the triggers of others.
    after: Vec<String>,
}

impl Rebuild<'_> {
    /// If views or triggers of others mention tables, SQLite would check them all while this table
    /// is missing. The legacy way of renaming does not.
    fn statements(self, is_mentioned: bool) -> Vec<String> {
        let table = SqlName::new(&self.found.name);
        let new = SqlName::generated(format!("{NAME_PREFIX}new_{}", self.found.name));
        let into: Vec<&str> = self.copied.iter().map(|(name, ..)| name.as_str()).collect();
        let last = self.copied.len().saturating_sub(1);
        let values = self.copied.iter().enumerate().map(|(at, (_, value, note))| {
            let comma = if at == last { "" } else { "," };
            let note = note.as_ref().map(|note| format!(" -- {note}")).unwrap_or_default();
            format!("  {value}{comma}{note}")
        });
        let values = values.collect::<Vec<_>>().join("\n");
        let mut statements = vec![
            table_statement(&new, &self.columns, &self.rules, &self.options),
            format!("INSERT INTO {new} ({})\nSELECT\n{values}\nFROM {table};", into.join(", ")),
        ];
        if self.goes_on_counting {
            let (old, new) = (ddl_literal(&table), ddl_literal(&new));
            statements.push(format!("DELETE FROM sqlite_sequence WHERE name = {new};"));
            statements.push(format!(
                "INSERT INTO sqlite_sequence (name, seq) SELECT {new}, seq FROM sqlite_sequence WHERE name = {old};"
            ));
        }
        statements.push(format!("DROP TABLE {table};"));
        let rename = format!("ALTER TABLE {new} RENAME TO {table};");
        if is_mentioned {
            statements.push(format!(
                "PRAGMA legacy_alter_table = ON;\n{rename}\nPRAGMA legacy_alter_table = OFF;"
            ));
        } else {
            statements.push(rename);
        }
        statements.extend(self.after);
        statements
    }
}

fn ddl_literal(name: &SqlName) -> String {
    crate::store::schema::layout::name::string_literal(name.as_str())
}

fn rebuilt(altered: &Altered<'_>, is_mentioned: bool) -> Vec<String> {
    let Altered { table, found, .. } = altered;
    let key = &table.key_column().name;
    let mut columns = Vec::new();
    let mut copied = Vec::new();
    let mut types: Vec<String> = Vec::new();
    let mut rewritten: Vec<&str> = Vec::new();
    for (column, fate) in &altered.columns {
        let is_key = column.name == *key;
        let text = found.definition.column(column.name.as_str());
        let stays = matches!(fate, Fate::Stays) && !(is_key && altered.is_rekeyed);
        let definition = match text.filter(|_| stays) {
            Some(text) => without(text, &[Kind::PrimaryKey], !is_key && altered.is_rekeyed),
            None => {
                rewritten.push(column.name.as_str());
                let own = text.map(|text| own_rules(text, fate)).unwrap_or_default();
                std::iter::once(ddl::column_definition(column, is_key))
                    .chain(own)
                    .collect::<Vec<_>>()
                    .join(" ")
            }
        };
        types.push(
            text.filter(|_| stays)
                .map_or_else(|| ddl::sql_type(column), |text| text.sql_type.clone()),
        );
        columns.push((column.name.to_string(), definition));
        copied.extend(match fate {
            Fate::Stays => Some((column.name.to_string(), column.name.to_string(), None)),
            Fate::Comes => new_value(altered, column),
            Fate::Changes(alteration) => Some(changed_value(altered, column, alteration)),
        });
    }
    columns.push((VERSION_COLUMN.to_owned(), version_definition(altered)));
    if !altered.is_new_here {
        copied.push((VERSION_COLUMN.to_owned(), VERSION_COLUMN.to_owned(), None));
    }
    let known = |name: &str| {
        name.eq_ignore_ascii_case(VERSION_COLUMN)
            || table.columns.iter().any(|column| column.name.as_str().eq_ignore_ascii_case(name))
    };
    for extra in found.definition.columns.iter().filter(|column| !known(&column.name)) {
        let name = SqlName::new(&extra.name).to_string();
        let dropped = altered.dropped.iter().find(|dropped| dropped.found.name == extra.name);
        if dropped.is_some_and(|dropped| dropped.foreign_key.is_some()) {
            rewritten.push(&extra.name);
        }
        columns.push((name.clone(), extra_definition(extra, dropped, altered.is_rekeyed)));
        types.push(extra.sql_type.clone());
        if found.column(&extra.name).is_some_and(|column| !column.is_generated) {
            copied.push((name.clone(), name, None));
        }
    }
    let has_key_inline = rewritten.iter().any(|name| *name == key.as_str());
    let rules = found.definition.constraints.iter().filter(|rule| match rule.kind {
        Kind::PrimaryKey => !has_key_inline,
        Kind::References => !rewritten.iter().any(|name| is_key_of(rule, name)),
        _ => true,
    });
    let was_strict = words(&found.definition.options).contains("strict");
    let is_adopted = words(&version_definition(altered)).contains(ADOPTED);
    let is_strict =
        (was_strict || !is_adopted) && types.iter().all(|sql_type| is_strict_type(sql_type));
    let counts = table.key_column().default == Some(DefaultValue::Autoincrement);
    let rebuild = Rebuild {
        found,
        columns,
        rules: rules.map(|rule| rule.text.clone()).collect(),
        options: if is_strict { "STRICT".to_owned() } else { String::new() },
        copied,
        goes_on_counting: counts && found.definition.has_autoincrement(),
        after: after(altered),
    };
    notes::gone_values(altered).into_iter().chain(rebuild.statements(is_mentioned)).collect()
}

/// The indexes of a table, and what its authors have added.
fn after(altered: &Altered<'_>) -> Vec<String> {
    let mut after = Vec::new();
    for index in &altered.found.indexes {
        let is_dropped = altered.dropped_indexes.iter().any(|dropped| dropped.name == index.name);
        let wanted = altered
            .table
            .indexes
            .iter()
            .find(|w| w.name.as_str().eq_ignore_ascii_case(&index.name));
        match (&index.sql, wanted) {
            (None, _) => {}
            _ if is_dropped => {}
            (Some(_), Some(wanted)) => after.push(ddl::create_index(altered.table, wanted)),
            (Some(sql), None) => after.push(format!("{sql};")),
        }
    }
    after.extend(
        altered.created_indexes.iter().map(|index| ddl::create_index(altered.table, index)),
    );
    after.extend(triggers_of_others(altered.found));
    after
}

fn triggers_of_others(found: &FoundTable) -> impl Iterator<Item = String> {
    let theirs =
        found.triggers.iter().filter(|t| !t.name.to_ascii_lowercase().starts_with(NAME_PREFIX));
    theirs.map(|trigger| format!("{};", trigger.sql))
}

fn is_key_of(rule: &Clause, column: &str) -> bool {
    let columns = words(&rule.text);
    let columns = columns
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(columns, _)| columns);
    columns == Some(&words(&SqlName::new(column).to_string()))
}

fn without(text: &ColumnText, kinds: &[Kind], is_wanted: bool) -> String {
    if !is_wanted {
        return text.text();
    }
    let clauses =
        text.clauses.iter().filter(|clause| !kinds.contains(&clause.kind)).cloned().collect();
    ColumnText { clauses, ..text.clone() }.text()
}

/// The rules that authors have written for a column and that freshql cannot express.
fn own_rules(text: &ColumnText, fate: &Fate<'_>) -> Vec<String> {
    let is_compared_anew = matches!(fate, Fate::Changes(change) if change.collation);
    let (_, checks) = recognise::checks(text);
    let is_own = |clause: &&Clause| match clause.kind {
        Kind::Check => checks.contains(&clause.text.as_str()),
        Kind::Unique => true,
        Kind::Collate => !is_compared_anew,
        _ => false,
    };
    text.clauses.iter().filter(is_own).map(|clause| clause.text.clone()).collect()
}

fn extra_definition(text: &ColumnText, dropped: Option<&Dropped<'_>>, is_rekeyed: bool) -> String {
    let mut kinds = Vec::new();
    if is_rekeyed {
        kinds.push(Kind::PrimaryKey);
    }
    if dropped.is_some_and(|dropped| dropped.relax) {
        kinds.push(Kind::NotNull);
    }
    if dropped.is_some_and(|dropped| dropped.foreign_key.is_some()) {
        kinds.push(Kind::References);
    }
    without(text, &kinds, true)
}

/// The value for existing rows in a new column; None if the default, or NULL, is right.
fn new_value(
    altered: &Altered<'_>,
    column: &TableColumn,
) -> Option<(String, String, Option<String>)> {
    let name = column.name.to_string();
    match column.default {
        Some(DefaultValue::Autoincrement) => None,
        Some(DefaultValue::UuidV7) if !column.nullable => {
            Some((name, RANDOM_UUID.to_owned(), None))
        }
        _ if column.nullable || default_expression(column).is_some() => None,
        _ => Some((name, "NULL".to_owned(), Some(notes::fill_in(altered, column)))),
    }
}

fn changed_value(
    altered: &Altered<'_>,
    column: &TableColumn,
    alteration: &Alteration<'_>,
) -> (String, String, Option<String>) {
    let name = column.name.to_string();
    let mut value = convert::in_sqlite(alteration.was, column.scalar, &column.name);
    let mut note = (value != name).then(|| notes::converted(altered, column));
    // A new kind of id cannot be derived from the old one.
    if column.scalar.is_id() && !convert::is_kept_alike(alteration.was, column.scalar) {
        note = Some(format!(
            "{FILL_IN}: the identifiers are of another kind; as it stands this is for empty tables"
        ));
    }
    if !column.nullable && !alteration.found.not_null && alteration.nullability {
        match filler(column) {
            Some(filler) => value = format!("coalesce({value}, {filler})"),
            None => note = Some(notes::not_null(altered, column)),
        }
    }
    (name, value, note)
}

/// The replacement for NULL.
fn filler(column: &TableColumn) -> Option<String> {
    match column.default {
        Some(DefaultValue::UuidV7) => Some(RANDOM_UUID.to_owned()),
        _ => default_expression(column),
    }
}

/// A table whose entity no longer exists keeps its rows, but not its foreign keys, which would
/// prevent others from being deleted.
fn abandoned(abandoned: &Abandoned<'_>, is_mentioned: bool) -> Section {
    let found = abandoned.found;
    let name = SqlName::new(&found.name);
    let triggers =
        abandoned.triggers.iter().map(|t| format!("DROP TRIGGER {};", SqlName::new(&t.name)));
    if found.foreign_keys.is_empty() {
        return Section { heading: notes::abandoned(&found.name), statements: triggers.collect() };
    }
    let columns = found.definition.columns.iter().map(|column| {
        (SqlName::new(&column.name).to_string(), without(column, &[Kind::References], true))
    });
    let is_stored =
        |column: &&ColumnText| found.column(&column.name).is_some_and(|found| !found.is_generated);
    let copied = found.definition.columns.iter().filter(is_stored).map(|column| {
        let name = SqlName::new(&column.name).to_string();
        (name.clone(), name, None)
    });
    let rules = found.definition.constraints.iter().filter(|rule| rule.kind != Kind::References);
    let indexes =
        found.indexes.iter().filter_map(|index| index.sql.as_ref()).map(|sql| format!("{sql};"));
    let rebuild = Rebuild {
        found,
        columns: columns.collect(),
        rules: rules.map(|rule| rule.text.clone()).collect(),
        options: found.definition.options.clone(),
        copied: copied.collect(),
        goes_on_counting: found.definition.has_autoincrement(),
        after: indexes.chain(triggers_of_others(found)).collect(),
    };
    let heading = format!(
        "{}\n{name} is built anew without its foreign keys.",
        notes::abandoned(&found.name)
    );
    Section { heading, statements: rebuild.statements(is_mentioned) }
}

#[cfg(test)]
mod tests;
