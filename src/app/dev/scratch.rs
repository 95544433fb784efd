//! The disposable database of `freshql dev`. It is built from the migrations, or, where they lag
//! behind the model, from the model itself and `seed.sql`. A change that needs other tables makes a
//! new database, and rows are copied as far as they fit: nobody should have to enter them again
//! because a field was added.

use std::path::Path;

use anyhow::Context;

use crate::app::database::{open, read};
use crate::app::error::StartError;
use crate::app::model_file::within;
use crate::app::seed;
use crate::config::{Config, Database};
use crate::model::Model;
use crate::store::schema::migrations::Migrations;
use crate::store::{Admin, ScratchDatabases, shape};

/// Rows for a database that is built from the model.
pub(super) const SEED: &str = "seed";

/// What is kept between two runs.
const DIRECTORY: &str = ".freshql";

/// A database that fits the model.
pub(super) struct Scratch {
    pub(super) database: Database,
    /// What to report about it: empty, or one line.
    pub(super) note: String,
}

/// Finds or makes the database for this model. Databases that are no longer needed are removed only
/// if `is_first`: later, they may be in use.
pub(super) fn prepare(
    config: &Config,
    model: &Model,
    is_first: bool,
) -> Result<Scratch, StartError> {
    let migrations = read(config)?;
    let folder = within(&config.dir, DIRECTORY);
    let databases = ScratchDatabases::of_project(&config.database, &folder)
        .context("cannot make a scratch database")?;
    let mut project = Project { config, model, migrations, databases };
    let shape = shape(&config.database, model).context("the model has no tables")?;
    let file = folder.join(project.databases.last());
    let (last, source) = project.last(&std::fs::read_to_string(&file).unwrap_or_default())?;
    let keep = |databases: &mut ScratchDatabases, names: &[&str]| {
        if is_first {
            databases.remove_others(names);
        }
    };
    // The last database fits; or else the one that its rows come from, if the author has taken back
    // what the last one was made for.
    for (fitting, is_last) in [(&last, true), (&source, false)] {
        let Some(named) = fitting.as_ref().filter(|named| named.name.contains(&shape)) else {
            continue;
        };
        let Some(note) = project.bring_up(&named.database)? else { continue };
        if is_last {
            let source = source.as_ref().map_or("", |source| &source.name);
            keep(&mut project.databases, &[&named.name, source]);
        } else {
            write(&file, &named.name)?;
            keep(&mut project.databases, &[&named.name]);
        }
        return Ok(Scratch { database: named.database.clone(), note });
    }
    let name =
        project.databases.new_name(&shape).context("cannot look for the scratch database")?;
    let source = source.or(last);
    let made = match &source {
        Some(source) => project.successor(&name, source),
        None => project.make(&name),
    };
    let (database, note) = made.inspect_err(|_| project.databases.remove(&name))?;
    match &source {
        Some(source) => {
            let written = project.written(&database)?;
            write(&file, &format!("{name}\n{} {written}\n", source.name))?;
            keep(&mut project.databases, &[&name, &source.name]);
        }
        None => {
            write(&file, &name)?;
            keep(&mut project.databases, &[&name]);
        }
    }
    Ok(Scratch { database, note })
}

fn write(file: &Path, text: &str) -> Result<(), StartError> {
    Ok(std::fs::write(file, text).context("cannot write into the folder of scratch databases")?)
}

/// A scratch database and its name.
struct Named {
    database: Database,
    name: String,
}

/// What the databases are built from.
struct Project<'a> {
    config: &'a Config,
    model: &'a Model,
    migrations: Migrations,
    databases: ScratchDatabases,
}

impl Project<'_> {
    /// The database that was served last, and the one that its rows come from, as long as nobody has
    /// written to the last one: a half-edited model may have left rows and columns behind that the
    /// next model has again. `noted`: the name of the last one, and in the next line the name of the
    /// source, and what had been written when the last one was made.
    fn last(&mut self, noted: &str) -> Result<(Option<Named>, Option<Named>), StartError> {
        let mut lines = noted.lines();
        let last = self.find(lines.next().unwrap_or_default().trim())?;
        let source = match (&last, lines.next().and_then(|line| line.split_once(' '))) {
            (Some(last), Some((source, written))) if self.written(&last.database)? == written => {
                self.find(source)?
            }
            _ => None,
        };
        Ok((last, source))
    }

    fn find(&mut self, name: &str) -> Result<Option<Named>, StartError> {
        let found = self.databases.find(name).context("cannot look for the scratch database")?;
        Ok(found.map(|database| Named { database, name: name.to_owned() }))
    }

    /// Stands for what has been written to a database.
    fn written(&self, database: &Database) -> Result<String, StartError> {
        let admin = open(database)?;
        Ok(admin.written().context("cannot read the scratch database")?)
    }

    /// Makes a new database with the rows of the last one.
    fn successor(&mut self, name: &str, last: &Named) -> Result<(Database, String), StartError> {
        // If the next migration leads from the last database to this model, it keeps all rows.
        let copy =
            self.databases.copy(&last.name, name).context("cannot copy the scratch database")?;
        if let Some(note) = self.bring_up(&copy)? {
            let note = format!("{note}all rows of the scratch database are kept: {copy}\n");
            return Ok((copy, note));
        }
        self.databases.remove(name);
        let (database, note) = self.make(name)?;
        let kept = open(&database)?
            .take_rows(&last.database, self.model)
            .context("cannot copy rows from the last scratch database")?;
        let all = if kept.contains("not kept: ") {
            format!(
                "the last scratch database still has them: until something is written to the new one, \
                 the next change of the model takes its rows from {}\n",
                last.database
            )
        } else {
            String::new()
        };
        Ok((database, format!("{note}{kept}{all}")))
    }

    /// Applies pending migrations to an older scratch database. None if it no longer fits.
    fn bring_up(&self, database: &Database) -> Result<Option<String>, StartError> {
        let mut admin = open(database)?;
        let status = admin.status(&self.migrations).context("cannot read the scratch database")?;
        let mut note = String::new();
        if !status.applied.is_empty() {
            match admin.migrate(&self.migrations) {
                Ok(applied) => {
                    for applied in applied {
                        note.push_str(&format!("applied {:04}_{}\n", applied.number, applied.name));
                    }
                }
                Err(_) => return Ok(None),
            }
        }
        admin.watch(self.model).context("cannot make the triggers")?;
        Ok(self.lack(&admin)?.is_none().then_some(note))
    }

    /// Makes a new database.
    fn make(&mut self, name: &str) -> Result<(Database, String), StartError> {
        let database = self.make_empty(name)?;
        let mut admin = open(&database)?;
        let applied = admin.migrate(&self.migrations)?;
        admin.watch(self.model).context("cannot make the triggers")?;
        let Some(lack) = self.lack(&admin)? else {
            let note = format!(
                "a new scratch database, made by {} migrations: {database}\n",
                applied.len()
            );
            return Ok((database, note));
        };
        drop(admin);
        self.databases.remove(name);
        let database = self.make_empty(name)?;
        let mut admin = open(&database)?;
        admin.create(self.model).context("cannot make the tables")?;
        let seed = seed::run(&mut admin, &database, &self.config.dir, SEED)?;
        let seed = seed.map_or(String::new(), |name| format!(" and {name}"));
        let why = if self.migrations.files.is_empty() {
            String::new()
        } else {
            format!(", because {lack} in the migrations")
        };
        let next = "`freshql migrate new <name>` writes what is missing";
        let note = format!(
            "a new scratch database, made from the model{seed}{why} ({next}): {database}\n"
        );
        Ok((database, note))
    }

    fn make_empty(&mut self, name: &str) -> Result<Database, StartError> {
        Ok(self.databases.make(name).context("cannot make a scratch database")?)
    }

    /// What a database lacks first, if anything.
    fn lack(&self, admin: &Admin) -> Result<Option<String>, StartError> {
        let problems = admin.check(self.model).context("cannot read the scratch database")?;
        Ok(problems.into_iter().next().map(|problem| problem.message))
    }
}
