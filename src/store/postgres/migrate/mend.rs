//! Finds what row versions rely on (system tables, functions, triggers) and that is missing or
//! different, and the statements that restore it.

use super::split::words;
use crate::store::postgres::catalogue::bits::{BEFORE, DELETE, INSERT, ROW, TRUNCATE, UPDATE};
use crate::store::postgres::catalogue::{Catalogue, FoundFunction, FoundTable};
use crate::store::postgres::ddl;
use crate::store::postgres::triggers::{self, Function, TRUNCATE_TRIGGER, Trigger};
use crate::store::schema::layout::{Layout, SqlName, Table};

/// Something to restore.
#[derive(Debug)]
pub(in crate::store) struct Mend {
    pub(in crate::store) message: String,
    pub(in crate::store) sql: Vec<String>,
    /// Whether rows may have changed in the meantime without a new version.
    pub(in crate::store) renews: bool,
}

/// Tables and functions that are created together with a system table.
const BESIDE_THE_LOG: [&str; 2] = ["_freshql_run", "_freshql_note"];
const FUNCTIONS: [&str; 2] = ["_freshql_part", "_freshql_fold"];

/// Tables and functions that all entities share.
pub(in crate::store) fn system(catalogue: &Catalogue, layout: &Layout) -> Vec<Mend> {
    let mut mends = Vec::new();
    let mut add =
        |message: String, sql: Vec<String>| mends.push(Mend { message, sql, renews: false });
    let is_outdated = is_outdated(catalogue);
    if is_outdated {
        let message = "table `_freshql_change` is that of an earlier release of freshql, and so are the triggers that write it";
        let mut sql: Vec<String> = Vec::new();
        for table in
            layout.tables.iter().filter(|table| catalogue.table(table.name.as_str()).is_some())
        {
            sql.extend(triggers::drop_former_statements(&table.name));
        }
        sql.extend(triggers::drop_former_log());
        sql.extend(ddl::system_table("_freshql_change").statements);
        add(message.to_owned(), sql);
    }
    for name in layout.system_tables() {
        let statements = ddl::system_table(name).statements;
        match catalogue.table(name) {
            None => {
                // What is created together with the log may still be there.
                let is_there = |sql: &String| {
                    BESIDE_THE_LOG
                        .iter()
                        .any(|other| makes(sql, other) && catalogue.table(other).is_some())
                };
                let is_function = |sql: &String| {
                    makes(sql, "_freshql_part") && catalogue.function("_freshql_part").is_some()
                };
                let sql = statements
                    .into_iter()
                    .filter(|sql| !is_there(sql) && !is_function(sql))
                    .collect();
                add(format!("table `{name}` is missing"), sql);
            }
            Some(_) if name == "_freshql_change" && !is_outdated => {
                for other in BESIDE_THE_LOG.iter().filter(|other| catalogue.table(other).is_none())
                {
                    let sql = statements.iter().filter(|sql| makes(sql, other)).cloned().collect();
                    add(format!("table `{other}` is missing"), sql);
                }
            }
            Some(_) => {}
        }
    }
    let functions = ddl::system_table("_freshql_change")
        .statements
        .into_iter()
        .chain(ddl::folding().statements);
    let functions: Vec<String> = functions.collect();
    let is_made = is_outdated || catalogue.table("_freshql_change").is_none();
    for name in FUNCTIONS.iter().filter(|name| catalogue.function(name).is_none()) {
        if is_made && *name == "_freshql_part" {
            continue;
        }
        let sql = functions.iter().filter(|sql| makes(sql, name)).cloned().collect();
        add(format!("function `{name}` is missing"), sql);
    }
    mends
}

/// Whether a statement creates the table or function with this name.
fn makes(sql: &str, name: &str) -> bool {
    let sql = sql.lines().find(|line| !line.starts_with("--")).unwrap_or_default();
    sql.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
}

/// Whether an earlier release created the log.
pub(in crate::store) fn is_outdated(catalogue: &Catalogue) -> bool {
    let op = catalogue
        .table("_freshql_change")
        .map(|log| log.column("op").map(|column| column.base.as_str()));
    matches!(op, Some(op) if op != Some("char"))
}

/// How closely the database must match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Exactness {
    /// As this release creates it for this model.
    Exact,
    /// It may do more: it was created by migrations for a newer model.
    AtLeast,
}

/// The functions and triggers of a table and of its partitions.
pub(in crate::store) fn triggers(
    catalogue: &Catalogue,
    table: &Table,
    found: &FoundTable,
    exactness: Exactness,
) -> Vec<Mend> {
    let mut mends = Vec::new();
    for function in triggers::functions(table) {
        let what = match catalogue.function(function.name.as_str()) {
            None => "is missing: versions would stay as they are",
            Some(has) if !is_same(&function, has, exactness) => {
                "is not the one that this model needs"
            }
            Some(_) => continue,
        };
        let message = format!("function `{}` {what}", function.name.as_str());
        mends.push(Mend { message, sql: vec![function.sql()], renews: true });
    }
    for trigger in triggers::triggers(table) {
        mends.extend(of_trigger(&trigger, found, &table.name, &table.name.to_string()));
    }
    for part in catalogue.descendants(found).into_iter().filter(|part| part.is_partition) {
        let name = SqlName::new(&part.name);
        for trigger in triggers::triggers(table) {
            // Row triggers come with those of the partitioned table.
            let is_rows = trigger.name != TRUNCATE_TRIGGER;
            if is_rows && part.trigger(trigger.name).is_none() {
                continue;
            }
            mends.extend(of_trigger(&trigger, part, &name, &part.qualified()));
        }
    }
    let former = found.triggers.iter().filter(|trigger| triggers::is_former(&trigger.name));
    mends.extend(former.map(|trigger| Mend {
        message: format!(
            "trigger `{}` on `{}` is of an earlier release of freshql",
            trigger.name, found.name
        ),
        sql: vec![format!(
            "DROP TRIGGER IF EXISTS {} ON {};",
            SqlName::new(&trigger.name),
            table.name
        )],
        renews: false,
    }));
    mends
}

fn of_trigger(
    trigger: &Trigger,
    found: &FoundTable,
    shown: &SqlName,
    qualified: &str,
) -> Option<Mend> {
    let (name, table) = (trigger.name, shown.as_str());
    let always = format!("ALTER TABLE {qualified} ENABLE ALWAYS TRIGGER {name};");
    let made = || {
        let Trigger { event, for_each, function, .. } = trigger;
        format!(
            "CREATE OR REPLACE TRIGGER {name} {event} ON {qualified}\n  {for_each} EXECUTE FUNCTION {function}();"
        )
    };
    let (message, sql, renews) = match found.trigger(name) {
        None if name == TRUNCATE_TRIGGER => (
            format!("trigger `{name}` on `{table}` is missing: nobody would see a TRUNCATE"),
            vec![made(), always],
            false,
        ),
        None => (
            format!("trigger `{name}` on `{table}` is missing: versions would stay as they are"),
            vec![made(), always],
            true,
        ),
        Some(has)
            if has.bits != bits_of(trigger)
                || has.function != trigger.function.as_str()
                || has.has_when =>
        {
            (
                format!("trigger `{name}` on `{table}` is not the one that this model needs"),
                vec![made(), always],
                true,
            )
        }
        Some(has) if has.enabled == "D" => (
            format!("trigger `{name}` on `{table}` is disabled"),
            vec![always],
            name != TRUNCATE_TRIGGER,
        ),
        Some(has) if has.enabled != "A" => (
            format!(
                "trigger `{name}` on `{table}` does not fire always: what replication writes would not be seen"
            ),
            vec![always],
            name != TRUNCATE_TRIGGER,
        ),
        Some(_) => return None,
    };
    Some(Mend { message, sql, renews })
}

fn bits_of(trigger: &Trigger) -> i64 {
    match trigger.name {
        triggers::VERSION_TRIGGER => ROW | BEFORE | INSERT | UPDATE,
        TRUNCATE_TRIGGER => BEFORE | TRUNCATE,
        _ => ROW | INSERT | UPDATE | DELETE,
    }
}

fn is_same(wanted: &Function, has: &FoundFunction, exactness: Exactness) -> bool {
    let path = has.settings.iter().find_map(|setting| setting.strip_prefix("search_path="));
    // A function that runs as its owner must not use anything that the caller has put into their
    // own schema.
    let has_path = path.is_some_and(|path| path.ends_with(", pg_temp") && !path.contains("$user"));
    let has_floats = has.settings.iter().any(|setting| setting == "extra_float_digits=1");
    let source = words(&has.source);
    let does_it = match exactness {
        Exactness::Exact => words(&wanted.body) == source,
        Exactness::AtLeast => {
            wanted.fragments.iter().all(|fragment| has_words(&source, &words(fragment)))
        }
    };
    does_it
        && wanted.is_definer == has.is_definer
        && (has_path || !wanted.is_definer)
        && (has_floats || !wanted.has_floats)
}

/// Whether a text contains these words, not only as parts of longer ones.
fn has_words(text: &str, wanted: &str) -> bool {
    let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(wanted).any(|(at, found)| {
        !is_word(text[..at].chars().next_back())
            && !is_word(text[at + found.len()..].chars().next())
    })
}
