//! `freshql model pull`: a first model for an existing database.

use anyhow::Context;

use super::database::command;
use super::error::StartError;
use super::model_file::{MODEL_FILE, within};
use crate::config::Config;
use crate::model::parse::parse;
use crate::store::admin;
use crate::store::schema::migrations::Migrations;
use crate::store::schema::pull::Pulled;

/// Writes `schema.graphql` from the tables of the database and, if there are no migrations, a first
/// one that describes what exists. Returns what happened to the tables. An existing model is
/// replaced only with `force`.
///
/// # Errors
/// There is no such database, it has no table that could be an entity, or a model exists already.
/// Nothing was written.
pub fn model_pull(config: &Config, force: bool) -> Result<String, StartError> {
    let target = within(&config.dir, MODEL_FILE);
    let shown = target.display().to_string();
    if target.exists() && !force {
        let message = anyhow::anyhow!("{shown} already exists; `--force` replaces it");
        return Err(message.into());
    }
    let pulled = admin::pull(&config.database)
        .with_context(|| format!("cannot read {}", config.database))?;
    if pulled.entities.is_empty() {
        let reasons: Vec<String> = pulled
            .left_out
            .iter()
            .map(|(table, reason)| format!("\n  `{table}`: {reason}"))
            .collect();
        let message = anyhow::anyhow!(
            "{} has no table that could be an entity{}",
            config.database,
            reasons.concat()
        );
        return Err(message.into());
    }
    // A model with mistakes would be a bug of ours; report it here and not at the next command.
    parse(&shown, &pulled.sdl).map_err(StartError::Mistakes)?;
    let folder = within(&config.dir, "migrations");
    let migrations = Migrations::read(&folder).map_err(StartError::Mistakes)?;
    let mut written = Vec::new();
    // On a server, existing tables remain their owner's, and no file creates them again.
    if migrations.files.is_empty() && !pulled.baseline.is_empty() {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        let baseline = folder.join("0001_existing.sqlite.sql");
        std::fs::write(&baseline, &pulled.baseline)
            .with_context(|| format!("cannot write {}", baseline.display()))?;
        written.push(baseline.display().to_string());
    }
    std::fs::write(&target, &pulled.sdl).with_context(|| format!("cannot write {shown}"))?;
    written.push(shown);
    Ok(summary(&written, &pulled, &command(config)))
}

fn summary(written: &[String], pulled: &Pulled, command: &str) -> String {
    let mut text: String = written.iter().map(|file| format!("wrote {file}\n")).collect();
    match pulled.entities.len() {
        1 => text.push_str("1 table is an entity\n"),
        many => text.push_str(&format!("{many} tables are entities\n")),
    }
    for (table, reason) in &pulled.left_out {
        text.push_str(&format!("left out `{table}`: {reason}\n"));
    }
    let next = format!(
        "next: read it, then `{command} migrate new adopt`, `{command} migrate up`, `{command} serve`\n"
    );
    text.push_str(&next);
    text
}
