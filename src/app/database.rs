//! What commands do with the database's schema: bring it to the state that the migrations describe,
//! or report what is missing and which command fixes it. Everything here blocks.

use anyhow::Context;

use super::error::StartError;
use super::model_file::{load_model, read_model, within};
use super::table::table;
use crate::config::{Config, Database};
use crate::model::{Diagnostic, Model};
use crate::store::schema::difference::{self, DifferenceError};
use crate::store::schema::migrations::{self, MigrateError, Migrations, Status};
use crate::store::{Admin, admin};

/// The warning where the server does not allow migrations to be tried first.
const UNTRIED: &str = "the migrations were not tried first: that takes a separate database on the server, which the role may not \
     create (CREATEDB) or the pooler does not lead to";

/// Gets the database ready to be served: applies pending migrations if the configuration says so,
/// then checks.
///
/// # Errors
/// What must be fixed first.
pub(super) fn prepare(config: &Config, model: &Model) -> Result<(), StartError> {
    if config.migrate {
        for migration in apply(config)? {
            tracing::info!(migration, "applied a migration");
        }
        repair_what_is_missing(config, model)?;
    }
    let mut found = mistakes(config, model)?;
    if !found.is_there && found.mistakes.is_empty() {
        found.mistakes.push(no_database(config));
    }
    if found.mistakes.is_empty() { Ok(()) } else { Err(StartError::Mistakes(found.mistakes)) }
}

/// Applies pending migrations; returns which.
///
/// # Errors
/// The mistakes of a migration; those before it stay applied.
pub fn migrate_up(config: &Config) -> Result<String, StartError> {
    let applied = apply(config)?;
    if applied.is_empty() {
        let rest = match migrate_status(config) {
            Ok(status) if !status.mistakes.is_empty() => {
                "note: the database lacks something that the model needs; `freshql migrate status` says what\n"
            }
            _ => "",
        };
        return Ok(format!("nothing to apply\n{rest}"));
    }
    Ok(applied.iter().map(|name| format!("applied {name}\n")).collect())
}

/// The result of a repair.
#[derive(Debug)]
pub struct Repaired {
    /// One line for each repair.
    pub text: String,
    /// What still prevents the database from being served.
    pub mistakes: Vec<Diagnostic>,
}

/// Restores what other programs have removed from the database: triggers, version columns, system
/// tables. Rows that may have changed in the meantime count as changed.
///
/// # Errors
/// There is no database, or it lacks migrations, or cannot be read or written.
pub fn migrate_repair(config: &Config) -> Result<Repaired, StartError> {
    let model = load_model(config)?;
    let migrations = read(config)?;
    let Some(mut admin) = open_existing(config)? else {
        return Err(StartError::Mistakes(vec![no_database(config)]));
    };
    let status = admin.status(&migrations).context("cannot read the database")?;
    if let Some(pending) = pending(config, &status) {
        return Err(StartError::Mistakes(vec![pending]));
    }
    let mut repaired = repair(config, &model, &migrations, &mut admin)?;
    drop(admin);
    repaired.mistakes = mistakes(config, &model)?.mistakes;
    Ok(repaired)
}

fn repair(
    config: &Config,
    model: &Model,
    migrations: &Migrations,
    admin: &mut Admin,
) -> Result<Repaired, StartError> {
    let mut repaired = admin.repair(model, migrations).map_err(|error| match error {
        MigrateError::Files(mistakes) => StartError::Mistakes(mistakes),
        MigrateError::Database(cause) => {
            let message =
                format!("cannot repair {}; nothing was changed: {cause}", config.database);
            StartError::Other(anyhow::anyhow!(message))
        }
    })?;
    let watched =
        admin.watch(model).with_context(|| format!("cannot repair {}", config.database))?;
    repaired.done.extend(
        watched
            .iter()
            .map(|table| format!("made the triggers of `{table}`, and renewed its versions")),
    );
    let text = match repaired.done.is_empty() {
        true => "nothing to repair\n".to_owned(),
        false => repaired.done.iter().map(|line| format!("{line}\n")).collect(),
    };
    Ok(Repaired { text, mistakes: Vec::new() })
}

/// Repairs what a server cannot do without, if something is missing that the migrations build.
fn repair_what_is_missing(config: &Config, model: &Model) -> Result<(), StartError> {
    let migrations = read(config)?;
    let Some(mut admin) = open_existing(config)? else { return Ok(()) };
    let problems = admin.check(model).context("cannot read the database")?;
    let is_built = matches!(difference::step(&read_for_difference(config)?, model), Ok(None));
    if !problems.iter().any(|problem| problem.is_repaired) || !is_built {
        return Ok(());
    }
    for line in repair(config, model, &migrations, &mut admin)?.text.lines() {
        tracing::warn!("repaired the database: {line}");
    }
    Ok(())
}

/// Writes the next migration, from what the migrations build to what the model needs; returns what
/// was written and what to check. Nothing is written if nothing is missing, or if anything is
/// wrong.
///
/// # Errors
/// The mistakes of the model or of the migrations, or an invalid name.
pub fn migrate_new(config: &Config, name: &str) -> Result<String, StartError> {
    if !migrations::is_name(name) {
        let message = format!(
            "`{name}` is not a valid name for a migration; it may have {}",
            migrations::NAMES
        );
        return Err(anyhow::anyhow!(message).into());
    }
    let (model, migrations) = match (load_model(config), read_for_difference(config)) {
        (Ok(model), Ok(migrations)) => (model, migrations),
        (Err(StartError::Mistakes(mut mistakes)), _) => {
            mistakes.extend(mistakes_of_files(config)?);
            return Err(StartError::Mistakes(mistakes));
        }
        (Err(error), _) | (_, Err(error)) => return Err(error),
    };
    let step = difference::step(&migrations, &model).map_err(|error| match error {
        DifferenceError::Migrations(mistakes) => StartError::Mistakes(mistakes),
        error => StartError::Other(error.into()),
    })?;
    let Some(step) = step else {
        let mut text =
            "the migrations build what the model needs; nothing was written\n".to_owned();
        if open_existing(config)?.is_some() {
            let lacks = mistakes(config, &model)?.mistakes;
            let line = |lack: &Diagnostic| format!("but the database differs: {}\n", lack.message);
            text.extend(lacks.iter().map(line));
            let help = lacks.last().and_then(|lack| lack.help.as_deref());
            text.extend(help.map(|help| format!("{help}\n")));
        }
        return Ok(text);
    };
    let folder = within(&config.dir, "migrations");
    let paths = migrations::add(&folder, name, &step.sqlite, &step.postgres);
    let paths = paths.with_context(|| format!("cannot write into {}", folder.display()))?;
    let written = paths.iter().map(|path| format!("wrote {}\n", path.display()));
    Ok(written.chain(step.advice.iter().map(|advice| format!("note: {advice}\n"))).collect())
}

/// How the migrations compare with the database.
#[derive(Debug)]
pub struct MigrationStatus {
    /// A table of all migrations: applied, pending, or inconsistent.
    pub table: String,
    /// Pending migrations, and everything that prevents the database from being served.
    pub mistakes: Vec<Diagnostic>,
}

/// Compares all migrations with the database, and checks that the database has what they and the
/// model require.
///
/// # Errors
/// The files have invalid names, or the database cannot be read.
pub fn migrate_status(config: &Config) -> Result<MigrationStatus, StartError> {
    let migrations = read(config)?;
    let status = match open_existing(config)? {
        Some(admin) => admin.status(&migrations).context("cannot read the database")?,
        None => Status { pending: migrations.files.clone(), ..Status::default() },
    };
    let table = table_of(&status);
    let mistakes = match load_model(config) {
        Ok(model) => {
            let mut found = mistakes(config, &model)?;
            if !found.is_there && found.mistakes.is_empty() {
                found.mistakes.push(no_database(config));
            }
            found.mistakes
        }
        Err(error) => [error.mistakes()?, mistakes_of_files(config)?].concat(),
    };
    Ok(MigrationStatus { table, mistakes })
}

/// Whether the project has no migration for its database.
pub(super) fn has_no_migrations(config: &Config) -> bool {
    read(config).is_ok_and(|migrations| migrations.files.is_empty())
}

fn table_of(status: &Status) -> String {
    let mut rows: Vec<_> = status
        .applied
        .iter()
        .map(|applied| {
            let number = applied.number;
            let state = if status.edited.iter().any(|migration| migration.number == number) {
                "edited since it was applied"
            } else if status.missing.iter().any(|missing| missing.number == number) {
                "applied, but its file is missing"
            } else {
                "applied"
            };
            [name(number, &applied.name), applied.applied_at.clone(), state.to_owned()]
        })
        .collect();
    rows.extend(status.pending.iter().map(|migration| {
        let is_late = status.late.iter().any(|late| late.number == migration.number);
        let state = if is_late { "pending, but a later one is applied" } else { "pending" };
        [name(migration.number, &migration.name), "-".to_owned(), state.to_owned()]
    }));
    rows.sort();
    rows.insert(0, ["MIGRATION", "APPLIED AT", "STATE"].map(str::to_owned));
    table(&rows)
}

pub(super) struct DatabaseState {
    pub(super) is_there: bool,
    /// What prevents it from being served.
    pub(super) mistakes: Vec<Diagnostic>,
    /// What deserves a second look.
    pub(super) warnings: Vec<Diagnostic>,
}

/// What is wrong with the migrations and with the database, if there is one.
///
/// # Errors
/// The database cannot be read.
pub(super) fn mistakes(config: &Config, model: &Model) -> Result<DatabaseState, StartError> {
    let admin = open_existing(config)?;
    let is_there = admin.is_some();
    let found = |mistakes| Ok(DatabaseState { is_there, mistakes, warnings: Vec::new() });
    let migrations = match read(config) {
        Ok(migrations) => migrations,
        Err(error) => return found(error.mistakes()?),
    };
    let Some(admin) = admin else { return found(rehearsed(config, &migrations)?) };
    let status = admin.status(&migrations).context("cannot read the database")?;
    if let Some(mistake) = of_another_project(config, model, &admin, &status)? {
        return found(vec![mistake]);
    }
    let mut mistakes = status.mistakes();
    if !status.pending.is_empty() {
        let is_pending = |mistake: &Diagnostic| {
            status.pending.iter().any(|pending| pending.file == mistake.file)
        };
        mistakes.extend(rehearsed(config, &migrations)?.into_iter().filter(is_pending));
    }
    if mistakes.is_empty() {
        mistakes.extend(pending(config, &status));
    }
    if mistakes.is_empty() {
        mistakes = lacks(config, model, &admin)?;
    }
    let warnings = match mistakes.is_empty() {
        true => admin.advice(model).context("cannot read the database")?,
        false => Vec::new(),
    };
    let warning = |advice| Diagnostic::warning(config.database.to_string(), 0..0, advice);
    Ok(DatabaseState { is_there, mistakes, warnings: warnings.into_iter().map(warning).collect() })
}

/// A database created by other migrations, with other tables: the wrong `--database`, or the wrong
/// directory.
fn of_another_project(
    config: &Config,
    model: &Model,
    admin: &Admin,
    status: &Status,
) -> Result<Option<Diagnostic>, StartError> {
    let is_other = |number: i64| {
        status.edited.iter().any(|migration| migration.number == number)
            || status.missing.iter().any(|missing| missing.number == number)
    };
    if status.applied.is_empty() || !status.applied.iter().all(|applied| is_other(applied.number)) {
        return Ok(None);
    }
    let tables = admin.tables().context("cannot read the database")?;
    let is_ours = |table: &String| {
        model.entities.iter().any(|entity| entity.table.eq_ignore_ascii_case(table))
    };
    if tables.is_empty() || tables.iter().any(is_ours) {
        return Ok(None);
    }
    let ours: Vec<String> = model.entities.iter().map(|entity| entity.table.clone()).collect();
    let message = format!(
        "this is the database of another project: it has the tables {}, and none of this model's: {}",
        some(&tables),
        some(&ours)
    );
    let help = "name this project's database with `--database`, or the other project's directory with `--dir`";
    Ok(Some(Diagnostic::error(config.database.to_string(), 0..0, message).with_help(help)))
}

/// The first few names, and the number of the others.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN { format!("{shown} and {} more", names.len() - SHOWN) } else { shown }
}

fn pending(config: &Config, status: &Status) -> Option<Diagnostic> {
    if status.pending.is_empty() {
        return None;
    }
    let names: Vec<_> =
        status.pending.iter().map(|pending| name(pending.number, &pending.name)).collect();
    let message = format!("pending migrations: {}", names.join(", "));
    Some(Diagnostic::error(config.database.to_string(), 0..0, message).with_help(remedy(config)))
}

/// What the database lacks for the model although all migrations are applied. What the migrations
/// do not build requires a new one; everything else has been changed by hand.
fn lacks(config: &Config, model: &Model, admin: &Admin) -> Result<Vec<Diagnostic>, StartError> {
    let problems = admin.check(model).context("cannot read the database")?;
    let has_epoch = admin.has_epoch();
    let database = |message: String| Diagnostic::error(config.database.to_string(), 0..0, message);
    let next = match problems.is_empty() {
        true => None,
        false => difference::step(&read_for_difference(config)?, model).unwrap_or_default(),
    };
    let mut mistakes: Vec<Diagnostic> = Vec::new();
    for problem in problems {
        let mistake = database(problem.message);
        mistakes.push(match (&next, problem.sql) {
            (Some(_), _) => mistake,
            (None, _) if problem.is_repaired && problem.help.is_none() => mistake
                .with_help(format!("run `{} migrate repair`, which puts it back", command(config))),
            (None, Some(sql)) => mistake.with_help(format!("add a migration that says\n{sql}")),
            (None, None) if problem.help.is_some() => {
                mistake.with_help(problem.help.unwrap_or_default())
            }
            (None, None) => {
                mistake.with_help("add a migration that changes it, or change the model")
            }
        });
    }
    if let Some(last) = mistakes.pop_if(|_| next.is_some()) {
        let command = command(config);
        mistakes.push(last.with_help(format!(
            "the migrations do not build what the model needs: run `{command} migrate new <name>`, which writes the next \
             one, and `{command} migrate up`"
        )));
    }
    // A missing database has no epoch either; the missing tables have been reported.
    if mistakes.is_empty() && !has_epoch.context("cannot read the database")? {
        let mistake = database("the database has no epoch, which is part of every ETag".to_owned());
        mistakes.push(
            mistake
                .with_help(format!("run `{} migrate repair`, which gives it one", command(config))),
        );
    }
    Ok(mistakes)
}

/// The mistakes in the migrations that can be found without a database.
///
/// # Errors
/// They cannot be tried.
pub(super) fn mistakes_of_files(config: &Config) -> Result<Vec<Diagnostic>, StartError> {
    match read(config) {
        Ok(migrations) => rehearsed(config, &migrations),
        Err(error) => error.mistakes(),
    }
}

/// Tries the files on a separate database.
fn rehearsed(config: &Config, migrations: &Migrations) -> Result<Vec<Diagnostic>, StartError> {
    match admin::rehearse(&config.database, migrations) {
        Ok(is_tried) => {
            if !is_tried && !migrations.files.is_empty() {
                tracing::warn!("{UNTRIED}");
            }
            Ok(Vec::new())
        }
        Err(MigrateError::Files(mistakes)) => Ok(mistakes),
        Err(error @ MigrateError::Database(_)) => Err(StartError::Other(error.into())),
    }
}

pub(super) fn no_database(config: &Config) -> Diagnostic {
    let help = match &config.database {
        Database::Sqlite(_) => remedy(config),
        Database::Postgres(_) => format!("make it with `CREATE DATABASE`, and {}", remedy(config)),
    };
    Diagnostic::error(config.database.to_string(), 0..0, "there is no database yet").with_help(help)
}

fn apply(config: &Config) -> Result<Vec<String>, StartError> {
    let migrations = read(config)?;
    let mut admin = open(&config.database)?;
    let is_pending = !admin.status(&migrations).context("cannot read the database")?.is_current();
    if is_pending && !admin.can_rehearse().context("cannot read the database")? {
        tracing::warn!("{UNTRIED}");
    }
    let applied = admin.migrate(&migrations)?;
    let mut done: Vec<String> =
        applied.iter().map(|applied| name(applied.number, &applied.name)).collect();
    // The model determines how foreign tables are watched. Mistakes in it are reported elsewhere.
    if let Ok(parsed) = read_model(config) {
        let (records, rows) = admin.heal(&parsed.model).context("cannot heal the change log")?;
        if records + rows > 0 {
            done.push(format!(
                "new numbers for {records} records of the change log and {rows} rows"
            ));
        }
        let guarded = admin.watch(&parsed.model).context("cannot make the triggers")?;
        done.extend(guarded.iter().map(|table| format!("triggers on `{table}`")));
    }
    Ok(done)
}

/// Opens a connection to a database. A missing SQLite file is created.
pub(super) fn open(database: &Database) -> Result<Admin, StartError> {
    Ok(Admin::open(database).with_context(|| format!("cannot open {database}"))?)
}

pub(super) fn read(config: &Config) -> Result<Migrations, StartError> {
    let dialect = admin::dialect(&config.database);
    Migrations::read_for(&within(&config.dir, "migrations"), dialect).map_err(StartError::Mistakes)
}

/// The SQLite files, from which the next migration is written for both databases.
fn read_for_difference(config: &Config) -> Result<Migrations, StartError> {
    Migrations::read(&within(&config.dir, "migrations")).map_err(StartError::Mistakes)
}

/// Inspecting a database does not create it.
fn open_existing(config: &Config) -> Result<Option<Admin>, StartError> {
    Ok(Admin::open_existing(&config.database)
        .with_context(|| format!("cannot open {}", config.database))?)
}

fn name(number: i64, name: &str) -> String {
    format!("{number:04}_{name}")
}

/// The command that brings an outdated database up to date.
fn remedy(config: &Config) -> String {
    format!("run `{} migrate up`, or start with `serve --migrate`", command(config))
}

/// The command line for this project.
pub(super) fn command(config: &Config) -> String {
    let dir = if config.dir.as_os_str() == "." {
        String::new()
    } else {
        format!(" --dir {}", config.dir.display())
    };
    let is_default = config.database == Database::Sqlite(config.dir.join("freshql.db"));
    let database =
        if is_default { String::new() } else { format!(" --database {}", config.database) };
    format!("freshql{dir}{database}")
}
