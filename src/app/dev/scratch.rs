//! The database of `freshql dev`: a file in `.freshql/` that may be thrown away. There is one for each shape of the
//! tables, named by its hash, so that a change of the model that changes no table keeps the data. It is made by the
//! migrations, or, where these lag behind the model, by the model itself and `seed.sql`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use rusqlite::Connection;

use crate::app::{StartError, within};
use crate::model::{Diagnostic, Model};
use crate::store::layout::{Layout, create_statements};
use crate::store::migrate::{self, MigrateError, Migration, Migrations};
use crate::store::sqlite;

/// Rows for a database that is made from the model.
pub(super) const SEED_FILE: &str = "seed.sql";

/// Where scratch databases are.
const DIRECTORY: &str = ".freshql";

/// A database that fits the model.
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    /// What there is to say about it; empty, or a line.
    pub(super) note: String,
}

/// Finds or makes the database for this model. Those of other models go if `is_first`: later they may be in use.
pub(super) fn prepare(dir: &Path, model: &Model, is_first: bool) -> Result<Scratch, StartError> {
    let migrations = Migrations::read(&within(dir, "migrations")).map_err(StartError::Mistakes)?;
    let statements = create_statements(&Layout::new(model));
    let hash = blake3::hash(statements.concat().as_bytes()).to_hex();
    let folder = within(dir, DIRECTORY);
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // The newest of this shape: another takes its place when a migration is edited.
    let path = |number: u32| folder.join(format!("dev-{}-{number}.db", &hash[..12]));
    let newest = (1..).take_while(|number| path(*number).exists()).last().unwrap_or(0);
    if newest > 0
        && let Some(note) = bring_up(&path(newest), &migrations, model)?
    {
        clean(&folder, &path(newest), is_first);
        return Ok(Scratch { path: path(newest), note });
    }
    let path = path(newest + 1);
    let note = make(&path, dir, &migrations, model, &statements).inspect_err(|_| remove(&path))?;
    clean(&folder, &path, is_first);
    Ok(Scratch { path, note })
}

/// Applies to an older scratch database what is pending. None if it fits no more.
fn bring_up(path: &Path, migrations: &Migrations, model: &Model) -> Result<Option<String>, StartError> {
    let mut connection = open(path)?;
    let status = migrate::status(&connection, migrations).context("cannot read the scratch database")?;
    let mut note = String::new();
    if !status.applied.is_empty() {
        match migrate::up(&mut connection, migrations) {
            Ok(applied) => {
                for applied in applied {
                    note.push_str(&format!("applied {:04}_{}\n", applied.number, applied.name));
                }
            }
            Err(_) => return Ok(None),
        }
    }
    migrate::guard(&mut connection, model).context("cannot make the triggers")?;
    Ok(fits(&connection, model)?.is_none().then_some(note))
}

/// Makes a new one.
fn make(
    path: &Path,
    dir: &Path,
    migrations: &Migrations,
    model: &Model,
    statements: &[String],
) -> Result<String, StartError> {
    let mut connection = open(path)?;
    let applied = migrate::up(&mut connection, migrations).map_err(|error| match error {
        MigrateError::Files(mistakes) => StartError::Mistakes(mistakes),
        error @ MigrateError::Database(_) => StartError::Other(error.into()),
    })?;
    migrate::guard(&mut connection, model).context("cannot make the triggers")?;
    let shown = path.display();
    let Some(lack) = fits(&connection, model)? else {
        return Ok(format!("a new scratch database, made by {} migrations: {shown}\n", applied.len()));
    };
    drop(connection);
    remove(path);
    let mut connection = open(path)?;
    connection
        .execute_batch(&format!("BEGIN;\n{}\nCOMMIT", statements.join("\n")))
        .context("cannot make the tables")?;
    let seed = seed(&mut connection, &within(dir, SEED_FILE))?;
    let why = if migrations.files.is_empty() { String::new() } else { format!(", because {lack} in the migrations") };
    let next = "`freshql migrate new <name>` writes what is missing";
    Ok(format!("a new scratch database, made from the model{seed}{why} ({next}): {shown}\n"))
}

/// Loads `seed.sql`, if there is one.
fn seed(connection: &mut Connection, path: &Path) -> Result<&'static str, StartError> {
    let file = path.display().to_string();
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(""),
        Err(error) => return Err(anyhow::Error::new(error).context(file).into()),
    };
    let seed = Migration { number: 0, name: String::new(), file, text, blake3: String::new() };
    connection.execute_batch("BEGIN").context("cannot write the scratch database")?;
    migrate::run_alone(connection, &seed).map_err(|mistake: Diagnostic| StartError::Mistakes(vec![mistake]))?;
    connection.execute_batch("COMMIT").with_context(|| format!("{} breaks a rule", seed.file))?;
    Ok(" and seed.sql")
}

/// What a database lacks first, if anything.
fn fits(connection: &Connection, model: &Model) -> Result<Option<String>, StartError> {
    let problems = migrate::check_schema(connection, model).context("cannot read the scratch database")?;
    Ok(problems.into_iter().next().map(|problem| problem.message))
}

fn open(path: &Path) -> Result<Connection, StartError> {
    Ok(sqlite::open(path).with_context(|| format!("cannot open {}", path.display()))?)
}

/// Removes the scratch databases that nobody needs any more.
fn clean(folder: &Path, kept: &Path, is_first: bool) {
    if !is_first {
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let is_scratch = path.extension().is_some_and(|extension| extension == "db")
            && entry.file_name().to_string_lossy().starts_with("dev-");
        if is_scratch && path != kept {
            remove(&path);
        }
    }
}

/// With the files that SQLite keeps beside it.
fn remove(path: &Path) {
    for ending in ["", "-wal", "-shm"] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        // What cannot be removed is in nobody's way.
        let _ = std::fs::remove_file(name);
    }
}
