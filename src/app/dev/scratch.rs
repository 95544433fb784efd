//! The database of `freshql dev`: a file in `.freshql/` that may be thrown away. It is made by the
//! migrations, or, where these lag behind the model, by the model itself and `seed.sql`. A change
//! that needs other tables makes another file, and the rows come along as far as they fit: nobody
//! should have to type them again because a field was added.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::app::error::StartError;
use crate::app::model_file::within;
use crate::app::seed;
use crate::config::Database;
use crate::model::Model;
use crate::store::schema::layout::Layout;
use crate::store::schema::migrations::{MigrateError, Migrations};
use crate::store::sqlite::ddl::create_statements;
use crate::store::{Admin, admin};

/// Rows for a database that is made from the model.
pub(super) const SEED_FILE: &str = "seed.sql";

/// Where scratch databases are.
const DIRECTORY: &str = ".freshql";

/// The file in it that names the database which was served last.
const LAST: &str = "last";

/// A database that fits the model.
pub(super) struct Scratch {
    pub(super) path: PathBuf,
    /// What there is to say about it; empty, or a line.
    pub(super) note: String,
}

/// Finds or makes the database for this model. Those that nobody needs go if `is_first`: later they
/// may be in use.
pub(super) fn prepare(dir: &Path, model: &Model, is_first: bool) -> Result<Scratch, StartError> {
    let migrations = Migrations::read(&within(dir, "migrations")).map_err(StartError::Mistakes)?;
    let hash = blake3::hash(create_statements(&Layout::new(model)).concat().as_bytes()).to_hex();
    let folder = within(dir, DIRECTORY);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    let shape = format!("dev-{}-", &hash[..12]);
    let last = last_served(&folder);
    if let Some(last) = last.as_ref().filter(|last| name_of(last).starts_with(&shape))
        && let Some(note) = bring_up(last, &migrations, model)?
    {
        clean(&folder, last, is_first);
        return Ok(Scratch { path: last.clone(), note });
    }
    let free = (1..)
        .map(|number: u32| folder.join(format!("{shape}{number}.db")))
        .find(|path| !path.exists());
    let path = free.context("there are too many scratch databases")?;
    let made = match &last {
        Some(last) => successor(&path, last, dir, &migrations, model),
        None => make(&path, dir, &migrations, model),
    };
    let note = made.inspect_err(|_| remove(&path))?;
    std::fs::write(folder.join(LAST), name_of(&path))
        .context("cannot write into the folder of scratch databases")?;
    clean(&folder, &path, is_first);
    Ok(Scratch { path, note })
}

/// The database that was served last.
fn last_served(folder: &Path) -> Option<PathBuf> {
    let name = std::fs::read_to_string(folder.join(LAST)).ok()?;
    let path = folder.join(name.trim());
    (name.starts_with("dev-") && path.is_file()).then_some(path)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Makes a new one that has the rows of the last.
fn successor(
    path: &Path,
    last: &Path,
    dir: &Path,
    migrations: &Migrations,
    model: &Model,
) -> Result<String, StartError> {
    // Where the next migration leads from the last database to this model, it does so with all
    // rows.
    let copied = admin::copy(last, path).context("cannot copy the scratch database")?;
    if copied && let Some(note) = bring_up(path, migrations, model)? {
        return Ok(format!(
            "{note}all rows of the scratch database are kept: {}\n",
            path.display()
        ));
    }
    remove(path);
    let note = make(path, dir, migrations, model)?;
    let kept =
        open(path)?.take_rows(last).context("cannot copy rows from the last scratch database")?;
    Ok(format!("{note}{kept}"))
}

/// Applies to an older scratch database what is pending. None if it fits no more.
fn bring_up(
    path: &Path,
    migrations: &Migrations,
    model: &Model,
) -> Result<Option<String>, StartError> {
    let mut admin = open(path)?;
    let status = admin.status(migrations).context("cannot read the scratch database")?;
    let mut note = String::new();
    if !status.applied.is_empty() {
        match admin.migrate(migrations) {
            Ok(applied) => {
                for applied in applied {
                    note.push_str(&format!("applied {:04}_{}\n", applied.number, applied.name));
                }
            }
            Err(_) => return Ok(None),
        }
    }
    admin.watch(model).context("cannot make the triggers")?;
    Ok(fits(&admin, model)?.is_none().then_some(note))
}

/// Makes a new one.
fn make(
    path: &Path,
    dir: &Path,
    migrations: &Migrations,
    model: &Model,
) -> Result<String, StartError> {
    let mut admin = open(path)?;
    let applied = admin.migrate(migrations).map_err(|error| match error {
        MigrateError::Files(mistakes) => StartError::Mistakes(mistakes),
        error @ MigrateError::Database(_) => StartError::Other(error.into()),
    })?;
    admin.watch(model).context("cannot make the triggers")?;
    let shown = path.display();
    let Some(lack) = fits(&admin, model)? else {
        return Ok(format!(
            "a new scratch database, made by {} migrations: {shown}\n",
            applied.len()
        ));
    };
    drop(admin);
    remove(path);
    let mut admin = open(path)?;
    admin.create(model).context("cannot make the tables")?;
    let seed = if seed::run(&mut admin, &within(dir, SEED_FILE))? { " and seed.sql" } else { "" };
    let why = if migrations.files.is_empty() {
        String::new()
    } else {
        format!(", because {lack} in the migrations")
    };
    let next = "`freshql migrate new <name>` writes what is missing";
    Ok(format!("a new scratch database, made from the model{seed}{why} ({next}): {shown}\n"))
}

/// What a database lacks first, if anything.
fn fits(admin: &Admin, model: &Model) -> Result<Option<String>, StartError> {
    let problems = admin.check(model).context("cannot read the scratch database")?;
    Ok(problems.into_iter().next().map(|problem| problem.message))
}

fn open(path: &Path) -> Result<Admin, StartError> {
    Ok(Admin::open(&Database::Sqlite(path.to_owned()))
        .with_context(|| format!("cannot open {}", path.display()))?)
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
