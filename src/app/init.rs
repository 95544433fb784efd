//! `freshql init`: a project to start from. Its files are in this directory, except for the first
//! migration, which is generated from the model for both dialects.

use std::path::{Path, PathBuf};

use anyhow::Context;

use super::error::StartError;
use super::model_file::MODEL_FILE;
use crate::config::FILE_NAME;
use crate::model::parse::parse;
use crate::store::schema::difference;
use crate::store::schema::migrations::Migrations;

const MODEL: &str = include_str!("init/schema.graphql");
const CONFIGURATION: &str = include_str!("init/freshql.toml");
const IGNORED: &str = include_str!("init/gitignore");
const ATTRIBUTES: &str = include_str!("init/gitattributes");
const BOOKS: &str = include_str!("init/queries/books.graphql");
const AUTHOR: &str = include_str!("init/queries/author.graphql");
const SEED_OF_SQLITE: &str = include_str!("init/0002_first_books.sqlite.sql");
const SEED_OF_POSTGRES: &str = include_str!("init/0002_first_books.postgres.sql");

/// Writes a small project: a model, two queries, migrations, the configuration. Returns what was
/// written, and what to do next.
///
/// # Errors
/// One of its files exists already (then nothing was written), or cannot be written.
pub fn init(directory: &Path) -> Result<String, StartError> {
    let files = files()?;
    let there: Vec<String> = files
        .iter()
        .map(|(name, _)| directory.join(name))
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| path.display().to_string())
        .collect();
    if !there.is_empty() {
        let message = anyhow::anyhow!(
            "nothing was written, because these are there already: {}",
            there.join(", ")
        );
        return Err(message.into());
    }
    let mut text = String::new();
    for (name, content) in &files {
        let path = directory.join(name);
        write(&path, content).with_context(|| format!("cannot write {}", path.display()))?;
        text.push_str(&format!("wrote {}\n", path.display()));
    }
    let shown = directory.display();
    text.push_str(&format!(
        "next: `freshql --dir {shown} serve`, and open http://127.0.0.1:8080\n"
    ));
    text.push_str(&format!("or `freshql --dir {shown} dev`, which follows as you edit\n"));
    Ok(text)
}

/// Names relative to the project directory, and contents.
fn files() -> Result<Vec<(&'static str, String)>, StartError> {
    let model = parse(MODEL_FILE, MODEL).map_err(StartError::Mistakes)?.model;
    let first = difference::step(&Migrations::default(), &model)
        .context("the model has no first migration")?;
    let first = first.context("the model needs no tables")?;
    Ok(vec![
        (MODEL_FILE, MODEL.to_owned()),
        ("queries/books.graphql", BOOKS.to_owned()),
        ("queries/author.graphql", AUTHOR.to_owned()),
        ("migrations/0001_create.sqlite.sql", first.sqlite),
        ("migrations/0001_create.postgres.sql", first.postgres),
        ("migrations/0002_first_books.sqlite.sql", SEED_OF_SQLITE.to_owned()),
        ("migrations/0002_first_books.postgres.sql", SEED_OF_POSTGRES.to_owned()),
        (FILE_NAME, CONFIGURATION.to_owned()),
        (".gitignore", IGNORED.to_owned()),
        (".gitattributes", ATTRIBUTES.to_owned()),
    ])
}

/// Creates the file; fails if it has been created in the meantime.
fn write(path: &PathBuf, content: &str) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(path)?;
    std::io::Write::write_all(&mut file, content.as_bytes())
}
