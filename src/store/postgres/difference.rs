//! The changes as PostgreSQL's statements (14 and later). All changes are made in place:
//! `ALTER … TYPE … USING` rewrites rows without firing triggers, so they keep their versions.

use crate::model::DefaultValue;
use crate::model::parse::sql_names::VERSION_COLUMN;
use crate::store::postgres::ddl::{
    self as layout, ADOPTED_VERSION, add_foreign_key, check_expression, column_definition,
    constraint, constraint_name, default_expression, primary_key, sql_type, type_of,
};
use crate::store::postgres::triggers;
use crate::store::schema::difference::changes::{Alteration, Altered, Changes, Fate};
use crate::store::schema::difference::convert;
use crate::store::schema::difference::notes::{self, FILL_IN, SYSTEM_COLUMNS};
use crate::store::schema::difference::renames::{self, Rename};
use crate::store::schema::difference::system::add_system_columns;
use crate::store::schema::layout::name::string_literal;
use crate::store::schema::layout::{SqlName, Table, TableColumn, TableIndex};
use crate::store::schema::section::Section;
use crate::store::sqlite::catalogue::Catalogue;
use crate::store::sqlite::ddl::{self, is_strict_type};

/// The migration's text. `renames`: what comes before the changes.
pub(in crate::store) fn text(
    renames: &[Rename<'_>],
    changes: &Changes<'_>,
    catalogue: &Catalogue,
) -> String {
    let is_missing = |name: &&&str| !changes.outdated.contains(*name);
    let missing = changes.system.iter().filter(is_missing);
    let mut sections: Vec<Section> =
        renames::in_postgres(renames).into_iter().chain(former(changes)).collect();
    sections.extend(missing.map(|name| layout::system_table(name)));
    if changes.system.contains(&"_freshql_meta") {
        sections.push(layout::folding());
    }
    sections.extend(notes::section(
        SYSTEM_COLUMNS,
        add_system_columns(&changes.system_columns, layout::system_table),
    ));
    sections
        .extend(notes::section("Foreign keys that go, or come back below.", dropped_keys(changes)));
    sections
        .extend(notes::section("Indexes that go, or come back below.", dropped_indexes(changes)));
    sections.extend(changes.altered.iter().filter_map(|altered| {
        let name = altered.table.name.as_str();
        let heading = if altered.is_new_here {
            format!("{name} was there before freshql: its own types and rules stay as they are.")
        } else {
            format!("Changes to {name}.")
        };
        notes::section(&heading, in_place(altered))
    }));
    let existing: Vec<SqlName> =
        catalogue.tables.iter().map(|table| SqlName::new(&table.name)).collect();
    sections.extend(layout::created(&changes.created, &existing.iter().collect::<Vec<_>>()));
    sections.extend(notes::section("Foreign keys that come.", added_keys(changes)));
    let is_outdated = !changes.outdated_on_postgres.is_empty();
    // Functions do not follow a renamed column.
    let is_renamed = |table: &Table| renames.iter().any(|rename| rename.table.name == table.name);
    sections.extend(
        changes
            .altered
            .iter()
            .filter_map(|altered| kept(altered, is_outdated || is_renamed(altered.table))),
    );
    sections.extend(changes.created.iter().map(|table| layout::versions_kept(table)));
    let is_altered =
        |table: &Table| changes.altered.iter().any(|altered| altered.table.name == table.name);
    let mut upgraded: Vec<&Table> = changes.outdated_on_postgres.clone();
    for rename in renames {
        if upgraded.iter().all(|table| table.name != rename.table.name) {
            upgraded.push(rename.table);
        }
    }
    upgraded.retain(|table| !is_altered(table));
    sections.extend(upgraded.iter().map(|table| layout::versions_kept(table)));
    sections.extend(changes.abandoned.iter().map(|abandoned| {
        let statements = triggers::drop_statements(&abandoned.found.name);
        Section { heading: notes::abandoned(&abandoned.found.name), statements }
    }));
    sections.extend(notes::destructive(changes));
    ddl::text(sections)
}

/// Removes the triggers and the log of an earlier release, for all tables at once. The new
/// triggers' clock is ahead of the numbers that the old ones counted.
fn former(changes: &Changes<'_>) -> Vec<Section> {
    if changes.outdated_on_postgres.is_empty() {
        return Vec::new();
    }
    let tables = changes.outdated_on_postgres.iter().map(|table| &table.name);
    let tables: Vec<String> = tables.flat_map(triggers::drop_former_statements).collect();
    let heading =
        "The triggers of an earlier release of freshql go, and the log that they wrote.".to_owned();
    let mut log = layout::system_table("_freshql_change");
    log.statements.push(layout::folding().statements.concat());
    vec![
        Section {
            heading,
            statements: tables.into_iter().chain(triggers::drop_former_log()).collect(),
        },
        log,
    ]
}

/// Gives the constraints of a renamed column the names that they would have if it had always had its
/// name. `was`: the column before anything else about it changes.
pub(in crate::store) fn renamed_constraints(
    table: &Table,
    former: &str,
    was: &TableColumn,
) -> Vec<String> {
    let has_check = check_expression(was).is_some() && was.references.is_none();
    let endings = [("check", has_check), ("fkey", was.references.is_some())];
    let renamed = endings.into_iter().filter(|(_, is_there)| *is_there).map(|(ending, _)| {
        format!(
            "ALTER TABLE {} RENAME CONSTRAINT {} TO {};",
            table.name,
            constraint_name(table.name.as_str(), former, ending),
            constraint(table, was, ending)
        )
    });
    renamed.collect()
}

fn dropped_keys(changes: &Changes<'_>) -> Vec<String> {
    let drop = |table: &str, column: &str| {
        let name = constraint_name(table, column, "fkey");
        format!("ALTER TABLE {} DROP CONSTRAINT IF EXISTS {name};", SqlName::new(table))
    };
    let mut statements = Vec::new();
    for altered in &changes.altered {
        let table = altered.table.name.as_str();
        let changed = altered.alterations().filter(|(column, change)| is_replaced(column, change));
        let with_key = changed.filter(|(_, change)| change.foreign_key.is_some());
        statements.extend(with_key.map(|(column, _)| drop(table, column.name.as_str())));
        let dropped = altered.dropped.iter().filter(|dropped| dropped.foreign_key.is_some());
        statements.extend(dropped.map(|dropped| drop(table, &dropped.found.name)));
    }
    for found in changes.abandoned.iter().map(|abandoned| abandoned.found) {
        let keys = found.foreign_keys.iter().filter_map(|key| key.columns.first());
        statements.extend(keys.map(|column| drop(&found.name, column)));
    }
    statements
}

/// Whether its foreign key must be dropped and added again.
fn is_replaced(column: &TableColumn, change: &Alteration<'_>) -> bool {
    change.reference || old_type(change) != sql_type(column)
}

fn added_keys(changes: &Changes<'_>) -> Vec<String> {
    let mut statements = Vec::new();
    for altered in &changes.altered {
        let comes = altered.columns.iter().filter(|(column, fate)| match fate {
            Fate::Stays => false,
            Fate::Comes => true,
            Fate::Changes(change) => is_replaced(column, change),
        });
        statements.extend(comes.filter_map(|(column, _)| add_foreign_key(altered.table, column)));
    }
    statements
}

/// Whether a column's nullability changes, which determines where NULLs are in an index.
fn is_reordered(altered: &Altered<'_>, index: &TableIndex) -> bool {
    let changed = |column: &TableColumn| {
        altered.alterations().any(|(other, change)| other.name == column.name && change.nullability)
    };
    let is_there = altered
        .found
        .indexes
        .iter()
        .any(|found| found.name.eq_ignore_ascii_case(index.name.as_str()));
    let is_created = altered.created_indexes.iter().any(|created| created.name == index.name);
    is_there && !is_created && altered.table.index_columns(index).any(changed)
}

fn dropped_indexes(changes: &Changes<'_>) -> Vec<String> {
    let drop = |name: &str| format!("DROP INDEX IF EXISTS {};", SqlName::new(name));
    let mut statements = Vec::new();
    for altered in &changes.altered {
        statements.extend(altered.dropped_indexes.iter().map(|index| drop(&index.name)));
        let reordered = altered.table.indexes.iter().filter(|index| is_reordered(altered, index));
        statements.extend(reordered.map(|index| drop(index.name.as_str())));
    }
    statements
}

fn in_place(altered: &Altered<'_>) -> Vec<String> {
    let table = &altered.table.name;
    let mut statements = notes::gone_values(altered);
    if altered.is_rekeyed {
        statements
            .push(format!("ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {};", primary_key(table)));
        statements.extend(former_keys(altered));
    }
    let mut has_key = !altered.is_rekeyed;
    for (column, fate) in &altered.columns {
        match fate {
            Fate::Stays => {}
            Fate::Comes => {
                has_key |= column.name == altered.table.key_column().name;
                statements.extend(added(altered, column));
            }
            Fate::Changes(change) => statements.extend(changed(altered, column, change)),
        }
    }
    if !has_key {
        let key = &altered.table.key_column().name;
        statements.push(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {} PRIMARY KEY ({key});",
            primary_key(table)
        ));
    }
    if altered.is_new_here {
        statements
            .push(format!("ALTER TABLE {table} ADD COLUMN {VERSION_COLUMN} {ADOPTED_VERSION};"));
    }
    let relaxed = altered.dropped.iter().filter(|dropped| dropped.relax && dropped.found.key == 0);
    statements.extend(relaxed.map(|dropped| {
        format!(
            "ALTER TABLE {table} ALTER COLUMN {} DROP NOT NULL;",
            SqlName::new(&dropped.found.name)
        )
    }));
    let reordered = altered.table.indexes.iter().filter(|index| is_reordered(altered, index));
    let indexes = reordered.chain(altered.created_indexes.iter().copied());
    statements.extend(indexes.map(|index| layout::create_index(altered.table, index)));
    statements
}

/// Columns that used to be the primary key are no longer generated, and may be NULL if the model
/// allows it.
fn former_keys(altered: &Altered<'_>) -> Vec<String> {
    let table = &altered.table.name;
    let is_former =
        |name: &str| !name.eq_ignore_ascii_case(altered.table.key_column().name.as_str());
    let former =
        altered.found.columns.iter().filter(|column| column.key > 0 && is_former(&column.name));
    former
        .flat_map(|found| {
            let name = SqlName::new(&found.name);
            let known = altered.table.columns.iter().find(|column| column.name == name);
            let nullable = known.is_none_or(|column| column.nullable);
            let drop = |what: &str| format!("ALTER TABLE {table} ALTER COLUMN {name} DROP {what};");
            [Some(drop("IDENTITY IF EXISTS")), nullable.then(|| drop("NOT NULL"))]
                .into_iter()
                .flatten()
        })
        .collect()
}

fn added(altered: &Altered<'_>, column: &TableColumn) -> Vec<String> {
    let (table, name) = (&altered.table.name, &column.name);
    let add = |definition: String| format!("ALTER TABLE {table} ADD COLUMN {name} {definition};");
    let definition = column_definition(altered.table, column);
    match column.default {
        Some(DefaultValue::UuidV7) if !column.nullable => vec![
            add(format!("{definition} DEFAULT gen_random_uuid()")),
            format!("ALTER TABLE {table} ALTER COLUMN {name} DROP DEFAULT;"),
        ],
        Some(_) => vec![add(definition)],
        None if column.nullable || *name == altered.table.key_column().name => {
            vec![add(definition)]
        }
        None => {
            let nullable = TableColumn { nullable: true, ..column.clone() };
            let note = notes::fill_in(altered, column);
            vec![
                add(column_definition(altered.table, &nullable)),
                format!(
                    "ALTER TABLE {table}\n  ALTER COLUMN {name} TYPE {} USING (NULL), -- {note}\n  \
                     ALTER COLUMN {name} SET NOT NULL;",
                    sql_type(column)
                ),
            ]
        }
    }
}

/// The column's current type.
fn old_type(change: &Alteration<'_>) -> String {
    if is_strict_type(&change.found.sql_type) {
        type_of(change.was)
    } else {
        change.found.sql_type.clone()
    }
}

fn changed(altered: &Altered<'_>, column: &TableColumn, change: &Alteration<'_>) -> Vec<String> {
    let (table, name) = (&altered.table.name, &column.name);
    let check = constraint(altered.table, column, "check");
    let new_type = sql_type(column);
    let is_retyped = old_type(change) != new_type;
    let becomes_required = change.nullability && !column.nullable;
    let mut actions: Vec<String> = Vec::new();
    let mut act = |action: String| actions.push(action);
    let old_check = check_expression(&TableColumn {
        scalar: change.was,
        enum_values: change.values.clone(),
        references: column.references.clone().filter(|_| change.foreign_key.is_some()),
        ..column.clone()
    });
    let is_checked_anew = is_retyped || old_check != check_expression(column);
    if is_checked_anew && (old_check.is_some() || change.foreign_key.is_some()) {
        act(format!("DROP CONSTRAINT IF EXISTS {check}"));
    }
    if change.found.default.is_some() && (change.default || is_retyped) {
        act(format!("ALTER COLUMN {name} DROP DEFAULT"));
    }
    let counts = column.default == Some(DefaultValue::Autoincrement);
    if change.counting && !counts {
        act(format!("ALTER COLUMN {name} DROP IDENTITY IF EXISTS"));
    }
    if is_retyped || becomes_required {
        let value = if is_retyped {
            convert::in_postgres(change.was, column.scalar, name, &new_type)
        } else {
            name.to_string()
        };
        let filler = match column.default {
            Some(DefaultValue::UuidV7) => Some("gen_random_uuid()".to_owned()),
            _ => default_expression(column),
        };
        match filler.filter(|_| becomes_required) {
            Some(filler) => {
                act(format!(
                    "ALTER COLUMN {name} TYPE {new_type} USING (coalesce({value}, CAST({filler} AS {})))",
                    base(&new_type)
                ));
            }
            None if is_retyped => {
                act(format!("ALTER COLUMN {name} TYPE {new_type} USING ({value})"))
            }
            None => {}
        }
    }
    if change.nullability && *name != altered.table.key_column().name {
        act(format!(
            "ALTER COLUMN {name} {} NOT NULL",
            if column.nullable { "DROP" } else { "SET" }
        ));
    }
    if let Some(default) = default_expression(column).filter(|_| change.default || is_retyped) {
        act(format!("ALTER COLUMN {name} SET DEFAULT {default}"));
    }
    if let Some(expression) = check_expression(column).filter(|_| is_checked_anew) {
        act(format!("ADD CONSTRAINT {check} CHECK ({expression})"));
    }
    let mut statements = Vec::new();
    let mut comments = Vec::new();
    if becomes_required && column.default.is_none() {
        comments.push(format!("-- {}", notes::not_null(altered, column)));
    }
    if column.scalar.is_id() && !convert::is_kept_alike(change.was, column.scalar) {
        let name = column.name.as_str();
        comments.push(format!(
            "-- {FILL_IN}: `{name}` is of another kind; as it stands this is for empty tables."
        ));
    } else if is_retyped {
        comments.push(format!("-- {}.", notes::converted(altered, column)));
    }
    if !actions.is_empty() {
        comments.push(format!("ALTER TABLE {table}\n  {};", actions.join(",\n  ")));
        statements.push(comments.join("\n"));
    }
    if change.counting && counts {
        let (table_name, column_name) =
            (string_literal(&table.to_string()), string_literal(name.as_str()));
        statements.push(format!(
            "ALTER TABLE {table} ALTER COLUMN {name} ADD GENERATED BY DEFAULT AS IDENTITY;"
        ));
        statements.push(format!(
            "SELECT setval(pg_get_serial_sequence({table_name}, {column_name}), (SELECT coalesce(max({name}), 0) + 1 FROM {table}), false);"
        ));
    }
    statements
}

fn base(sql_type: &str) -> &str {
    sql_type.split(" COLLATE ").next().unwrap_or(sql_type)
}

fn kept(altered: &Altered<'_>, is_outdated: bool) -> Option<Section> {
    let changes = altered.is_rebuilt()
        || is_outdated
        || !altered.created_triggers.is_empty()
        || !altered.dropped_triggers.is_empty();
    let mut section = layout::versions_kept(altered.table);
    if altered.is_unkept {
        section.statements.push(notes::renew(&altered.table.name));
    }
    changes.then_some(section)
}
