//! What the commands do with the database's schema: bring it to the state that the migrations describe, or say what is
//! missing and which command mends it. Everything here blocks.

use anyhow::Context;
use rusqlite::Connection;

use super::{StartError, load_model, table, within};
use crate::config::{Config, Database};
use crate::model::{Diagnostic, Model};
use crate::store::difference::{self, DifferenceError};
use crate::store::migrate::{self, MigrateError, Migrations};
use crate::store::sqlite;

/// Makes the database ready to be served: applies pending migrations if the configuration says so, then checks.
///
/// # Errors
/// What has to be mended first.
pub(super) fn prepare(config: &Config, model: &Model) -> Result<(), StartError> {
    if config.migrate {
        for migration in apply(config)? {
            tracing::info!(migration, "applied a migration");
        }
    }
    let mistakes = match mistakes(config, model)? {
        Some(mistakes) => mistakes,
        None => {
            let message = "there is no database yet";
            vec![Diagnostic::error(config.database.to_string(), 0..0, message).with_help(remedy(config))]
        }
    };
    if mistakes.is_empty() { Ok(()) } else { Err(StartError::Mistakes(mistakes)) }
}

/// Applies pending migrations; says which.
///
/// # Errors
/// A migration's mistakes; those before it stay applied.
pub fn migrate_up(config: &Config) -> Result<String, StartError> {
    let applied = apply(config)?;
    if applied.is_empty() {
        return Ok("nothing to apply\n".to_owned());
    }
    Ok(applied.iter().map(|name| format!("applied {name}\n")).collect())
}

/// Writes the next migration, from what the migrations build to what the model needs; says what was written, and what
/// to look at. Nothing is written where nothing is missing, or where anything is wrong.
///
/// # Errors
/// The mistakes of the model or of the migrations, or a name that is none.
pub fn migrate_new(config: &Config, name: &str) -> Result<String, StartError> {
    if !migrate::is_name(name) {
        let message = format!("`{name}` is no name for a migration: it may have {}", migrate::NAMES);
        return Err(anyhow::anyhow!(message).into());
    }
    let model = load_model(&config.dir)?;
    let migrations = read(config)?;
    let step = difference::step(&migrations, &model).map_err(|error| match error {
        DifferenceError::Migrations(mistakes) => StartError::Mistakes(mistakes),
        error => StartError::Other(error.into()),
    })?;
    let Some(step) = step else {
        return Ok("the migrations build what the model needs; nothing was written\n".to_owned());
    };
    let folder = within(&config.dir, "migrations");
    let paths = migrate::add(&folder, name, &step.sqlite, &step.postgres);
    let paths = paths.with_context(|| format!("cannot write into {}", folder.display()))?;
    let written = paths.iter().map(|path| format!("wrote {}\n", path.display()));
    Ok(written.chain(step.advice.iter().map(|advice| format!("look at it: {advice}\n"))).collect())
}

/// A table of all migrations: which the database has, which are pending, and what does not fit.
///
/// # Errors
/// The files' mistakes, or a database that cannot be read.
pub fn migrate_status(config: &Config) -> Result<String, StartError> {
    let migrations = read(config)?;
    let status = match open_existing(config)? {
        Some(connection) => migrate::status(&connection, &migrations).context("cannot read the database")?,
        None => migrate::Status { pending: migrations.files.clone(), ..migrate::Status::default() },
    };
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
    Ok(table(&rows))
}

/// What is wrong with the migrations and with the database; None where there is no database.
pub(super) fn mistakes(config: &Config, model: &Model) -> Result<Option<Vec<Diagnostic>>, StartError> {
    let migrations = read(config)?;
    let Some(connection) = open_existing(config)? else { return Ok(None) };
    let status = migrate::status(&connection, &migrations).context("cannot read the database")?;
    let mut mistakes = status.mistakes();
    if mistakes.is_empty() && !status.pending.is_empty() {
        let names: Vec<_> = status.pending.iter().map(|pending| name(pending.number, &pending.name)).collect();
        let message = format!("pending migrations: {}", names.join(", "));
        mistakes.push(Diagnostic::error(config.database.to_string(), 0..0, message).with_help(remedy(config)));
    }
    if mistakes.is_empty() {
        let problems = migrate::check_schema(&connection, model).context("cannot read the database")?;
        mistakes.extend(problems.into_iter().map(|problem| {
            let help = match problem.sql {
                Some(sql) => format!("add a migration that says\n{sql}"),
                None => "add a migration that changes it, or change the model".to_owned(),
            };
            Diagnostic::error(config.database.to_string(), 0..0, problem.message).with_help(help)
        }));
    }
    Ok(Some(mistakes))
}

fn apply(config: &Config) -> Result<Vec<String>, StartError> {
    let migrations = read(config)?;
    let Database::Sqlite(path) = &config.database;
    let mut connection = sqlite::open(path).with_context(|| format!("cannot open {}", config.database))?;
    let applied = migrate::up(&mut connection, &migrations).map_err(|error| match error {
        MigrateError::Files(mistakes) => StartError::Mistakes(mistakes),
        error @ MigrateError::Database(_) => StartError::Other(error.into()),
    })?;
    Ok(applied.iter().map(|applied| name(applied.number, &applied.name)).collect())
}

fn read(config: &Config) -> Result<Migrations, StartError> {
    Migrations::read(&within(&config.dir, "migrations")).map_err(StartError::Mistakes)
}

/// Looking at a database does not create it.
fn open_existing(config: &Config) -> Result<Option<Connection>, StartError> {
    let Database::Sqlite(path) = &config.database;
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(sqlite::open(path).with_context(|| format!("cannot open {}", config.database))?))
}

fn name(number: u32, name: &str) -> String {
    format!("{number:04}_{name}")
}

/// The command that mends a database which is behind.
fn remedy(config: &Config) -> String {
    let dir = if config.dir.as_os_str() == "." { String::new() } else { format!(" --dir {}", config.dir.display()) };
    let is_default = config.database == Database::Sqlite(config.dir.join("freshql.db"));
    let database = if is_default { String::new() } else { format!(" --database {}", config.database) };
    format!("run `freshql{dir}{database} migrate up`, or start with `serve --migrate`")
}
