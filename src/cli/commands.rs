//! Runs the commands: configures them, and prints what the library returns.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{CommandFactory, Parser};
use freshql::app::{self, DevEvent, StartError, log};
use freshql::config::{Config, PartialConfig, Place, SETTINGS, Secret};
use freshql::document_id::DocumentId;
use freshql::persisted::fragments;
use freshql::persisted::manifest::Format;
use tracing_subscriber::EnvFilter;

use super::options::{ListenOption, ProjectOptions, ServeOptions};
use super::terminal::{colors, print, show, tell};
use super::{Cli, Command, ExplainOptions, FromEnvironment, Migrate, Model, TestArguments};

/// Runs a command; without one, the program serves.
#[tokio::main]
pub(crate) async fn run(cli: Cli) -> Result<(), StartError> {
    let project = cli.project;
    let command = cli.command.unwrap_or_else(|| {
        Command::Serve(Box::new(FromEnvironment::parse_from(["freshql"]).serve))
    });
    match command {
        Command::Serve(options) => serve(project, *options).await,
        Command::Check { against: None, .. } => check(project).await,
        Command::Check { against: Some(against), ca_file } => {
            check_against(&prepare(project)?, &against, ca_file.as_deref()).await
        }
        Command::Push { file, to, ca_file } => push(&file, &to, ca_file.as_deref()).await,
        Command::Token { claims, expires, issuer } => {
            let minted = app::token(&prepare(project)?, &claims, expires.0, issuer.as_deref())?;
            tell(&minted.note);
            print(&format!("{}\n", minted.token))
        }
        Command::Schema => print(&app::schema(&prepare(project)?)?),
        Command::Queries { json } => print(&app::queries(&prepare(project)?, json).await?),
        Command::Manifest { format, out } => manifest(project, format, out.as_deref()).await,
        Command::Hash { files } => print(&hash(&files)?),
        Command::Test(arguments) => test(project, arguments).await,
        Command::Explain(options) => {
            let ExplainOptions { document, variables, operation, json, claims } = options;
            let wanted = app::ExplainRequest { document, variables, operation, json, claims };
            print(&app::explain(&prepare(project)?, &wanted).await?)
        }
        Command::Migrate(command) => migrate(&prepare(project)?, command),
        Command::Model(Model::Pull { force }) => {
            print(&app::model_pull(&prepare(project)?, force)?)
        }
        Command::Dev { address } => {
            let tell = |news: DevEvent<'_>| match news {
                DevEvent::Text(text) => tell(text),
                DevEvent::Diagnostics(diagnostics) => show(diagnostics),
            };
            app::dev(prepare_listening(project, address)?, tell).await
        }
        Command::Backup { file, force } => print(&app::backup(&prepare(project)?, &file, force)?),
        Command::Restore { file } => print(&app::restore(&prepare(project)?, &file)?),
        Command::Health { address } => print(&app::health(&prepare_listening(project, address)?)?),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "freshql", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Man { directory } => Ok(manual(&directory)?),
        Command::Init { directory } => print(&app::init(&directory)?),
    }
}

/// What a command needs: the resolved configuration, with logging set up accordingly.
fn prepare(project: ProjectOptions) -> Result<Config, StartError> {
    configure(project.config)
}

/// Like [`prepare`], for a command that also needs the server's address.
fn prepare_listening(project: ProjectOptions, address: ListenOption) -> Result<Config, StartError> {
    configure(project.config.or(address.config))
}

fn configure(given: PartialConfig) -> Result<Config, StartError> {
    let config = app::configure(given)?;
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("`{}` is not a valid log filter", config.log))?;
    log::start(filter, config.log_format);
    Ok(config)
}

/// The settings that can be given only in the environment.
fn environment() -> anyhow::Result<PartialConfig> {
    let mut given = PartialConfig::default();
    for setting in SETTINGS.iter().filter(|setting| setting.place == Place::Environment) {
        let variable = setting.variable().unwrap_or_default();
        if let Some(text) = std::env::var_os(&variable) {
            given.set(setting, &text).context(variable)?;
        }
    }
    Ok(given)
}

fn admin_token() -> anyhow::Result<Option<Secret>> {
    Ok(environment()?.admin_token)
}

async fn serve(project: ProjectOptions, options: ServeOptions) -> Result<(), StartError> {
    let dir = project.config.dir();
    let given = project.config.or(options.config).or(environment()?);
    match configure(given) {
        Ok(config) => app::serve(config).await,
        Err(error) => Err(app::with_the_rest(error, &dir).await),
    }
}

async fn check(project: ProjectOptions) -> Result<(), StartError> {
    let dir = project.config.dir();
    let config = match prepare(project) {
        Ok(config) => config,
        Err(error) => return Err(app::with_the_rest(error, &dir).await),
    };
    let checked = app::check(&config).await?;
    show(&checked.warnings);
    print(&checked.summary)
}

async fn manifest(
    project: ProjectOptions,
    format: Format,
    out: Option<&Path>,
) -> Result<(), StartError> {
    let manifest = app::manifest(&prepare(project)?, format).await?;
    match out {
        Some(file) => app::write_manifest(file, &manifest)?,
        None => print(&manifest.text)?,
    }
    manifest.notes.iter().for_each(|note| tell(&format!("note: {note}\n")));
    Ok(())
}

async fn test(project: ProjectOptions, arguments: TestArguments) -> Result<(), StartError> {
    let TestArguments { names, update, json } = arguments;
    // Like insta: in CI, nothing is left for review.
    let pending = std::env::var_os("CI").is_none();
    let colors = colors(io::stdout().is_terminal());
    let options = app::TestOptions { names, update, pending, json, colors };
    let (text, is_good) = app::test(&prepare(project)?, &options).await?;
    print(&text)?;
    if is_good { Ok(()) } else { Err(StartError::Reported) }
}

fn migrate(config: &Config, command: Migrate) -> Result<(), StartError> {
    let (text, mistakes) = match command {
        Migrate::New { name } => (app::migrate_new(config, &name)?, Vec::new()),
        Migrate::Up => (app::migrate_up(config)?, Vec::new()),
        Migrate::Repair => {
            let repaired = app::migrate_repair(config)?;
            (repaired.text, repaired.mistakes)
        }
        Migrate::Status => {
            let status = app::migrate_status(config)?;
            (status.table, status.mistakes)
        }
    };
    print(&text)?;
    if mistakes.is_empty() { Ok(()) } else { Err(StartError::Mistakes(mistakes)) }
}

fn manual(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    clap_mangen::generate_to(Cli::command(), directory)
        .with_context(|| format!("cannot write manual pages to {}", directory.display()))
}

async fn check_against(
    config: &Config,
    against: &str,
    ca_file: Option<&Path>,
) -> Result<(), StartError> {
    let token = admin_token()?;
    let against = app::Remote { url: against, token: token.as_ref(), certificates: ca_file };
    let (documents, broken) = app::broken(config, against).await?;
    broken.iter().for_each(|line| tell(&format!("{line}\n")));
    let counted =
        |count: usize, of: &str| format!("{count} {of}{}", if count == 1 { "" } else { "s" });
    let documents = counted(documents, "document");
    print(&match broken.len() {
        0 => format!("the model fits all of {documents}\n"),
        mistakes => format!("{} in {documents}\n", counted(mistakes, "mistake")),
    })?;
    if broken.is_empty() { Ok(()) } else { Err(StartError::Reported) }
}

async fn push(file: &Path, to: &str, ca_file: Option<&Path>) -> Result<(), StartError> {
    let is_watched = io::stderr().is_terminal();
    let progress = |done: usize, all: usize| {
        if is_watched {
            let filled = done * 30 / all.max(1);
            let end = if done == all { "\n" } else { "" };
            tell(&format!("\r[{:<30}] {done} of {all} documents{end}", "#".repeat(filled)));
        }
    };
    let token = admin_token()?;
    let to = app::Remote { url: to, token: token.as_ref(), certificates: ca_file };
    let pushed = app::push(file, to, progress).await?;
    pushed.refused.iter().for_each(|line| tell(&format!("refused: {line}\n")));
    print(&format!(
        "{} new, {} known, {} refused\n",
        pushed.new,
        pushed.known,
        pushed.refused.len()
    ))?;
    if pushed.refused.is_empty() { Ok(()) } else { Err(StartError::Reported) }
}

/// Lines in the format of `sha256sum`.
fn hash(files: &[PathBuf]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let missing = fragments::missing(&text);
        if !missing.is_empty() {
            // Its document consists of more than this file.
            anyhow::bail!(
                "{} needs fragments of other files ({}); `freshql queries` lists the ids of such documents",
                file.display(),
                missing.join(", ")
            );
        }
        lines.push_str(&format!("{}  {}\n", DocumentId::of(&text), file.display()));
    }
    Ok(lines)
}
