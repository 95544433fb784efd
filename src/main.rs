//! The command line. Everything else is in the library.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use freshql::app::{self, DevEvent, StartError, log};
use freshql::config::{
    ByteSize, Config, Consistency, CorsOrigins, Database, Hosts, IdempotencyRetention, Listen,
    LogFormat, Mode, Overrides, Retention,
};
use freshql::document_id::DocumentId;
use freshql::model::Diagnostic;
use freshql::model::diagnostic::render;
use freshql::persisted::fragments;
use freshql::persisted::manifest::Format;
use tracing_subscriber::EnvFilter;

/// Made for many small allocations by several threads at once.
#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves persisted GraphQL queries with ETags derived from the rows that each answer read.
///
/// Without a command it serves.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(flatten)]
    project: ProjectOptions,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Args)]
struct ProjectOptions {
    /// Directory with schema.graphql, queries/, migrations/ and freshql.toml [default: .]
    #[arg(long, global = true, env = "FRESHQL_DIR", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// URL of the database [default: sqlite:DIR/freshql.db]
    #[arg(long, global = true, env = "FRESHQL_DATABASE", value_name = "URL")]
    database: Option<Database>,
    /// Log filter: a level, or directives such as info,freshql=debug [default: info]
    #[arg(long, global = true, env = "FRESHQL_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Log format: text or json [default: text]
    #[arg(long, global = true, env = "FRESHQL_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<LogFormat>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve HTTP
    Serve(Box<ServeOptions>),
    /// Report all mistakes in the model, the queries and the database
    ///
    /// Migrations are tried on an empty in-memory database, from which they can reach nothing else.
    Check {
        /// Which documents of a server that runs (with FRESHQL_ADMIN_TOKEN), or of a manifest, the
        /// model breaks
        #[arg(long, value_name = "URL|FILE")]
        against: Option<String>,
        /// A PEM file with certificates to trust beside those that the machine trusts
        #[arg(long, value_name = "FILE", requires = "against")]
        ca_file: Option<PathBuf>,
    },
    /// Register the documents of a manifest with a server that runs
    ///
    /// The environment variable FRESHQL_ADMIN_TOKEN has the server's admin token. The exit status
    /// is 1 where a document is refused.
    Push {
        /// A manifest of Apollo's, Relay's or GraphQL code generator's
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Where the server is
        #[arg(long, value_name = "URL")]
        to: String,
        /// A PEM file with certificates to trust beside those that the machine trusts
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
    /// Print a token for development, signed with the secret that `[auth]` in freshql.toml names
    ///
    /// `iss`, `aud`, `iat` and `exp` are added where the claims do not have them. Without a secret
    /// in the environment, the one that `freshql dev` made is used.
    Token {
        /// What the token says of its bearer
        #[arg(long, value_name = "JSON", default_value = r#"{"sub":"dev"}"#)]
        claims: String,
        /// Time for which it is valid, such as 30m or 12h
        #[arg(long, value_name = "TIME", default_value = "1h")]
        expires: Retention,
        /// Which of several issuers signs it
        #[arg(long, value_name = "ISSUER")]
        issuer: Option<String>,
    },
    /// Print the generated API as SDL
    Schema,
    /// List the operations with their ids
    ///
    /// Lists the operations in the query files, those registered over HTTP, and those that left the
    /// files but are still served.
    Queries {
        /// Print the list as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the operations of queries/ as the tools of clients read them
    Manifest {
        /// Whose tool: apollo (with `__typename` as Apollo Client adds it), relay or codegen
        #[arg(long, value_name = "FORMAT", default_value = "apollo")]
        format: Format,
        /// Write it to this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Print the ids of documents
    Hash {
        /// Files with one document each
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Compare the answers of all queries with their snapshots
    ///
    /// Each query is asked as the cases in queries/NAME.cases.json say, on a scratch database that
    /// the migrations and tests/seed.sql make. It is also tried whether its ETag tells what it is
    /// to tell. The exit status is 1 where anything is wrong, or differs from the snapshots in
    /// queries/snapshots/.
    Test(TestArguments),
    /// Report what an answer depends on, what its ETag is derived from, and what SQL it took
    ///
    /// Executes the query on the database and writes nothing. The report shows rows and the
    /// parameters of statements.
    Explain(ExplainOptions),
    /// Create, apply and inspect migrations
    #[command(subcommand)]
    Migrate(Migrate),
    /// Work on the model
    #[command(subcommand)]
    Model(Model),
    /// Serve a scratch database in mode open, and reload model and queries when files change
    Dev {
        /// Address and port to listen on; port 0 takes a free port [default: 127.0.0.1:8080]
        #[arg(long, env = "FRESHQL_LISTEN", value_name = "HOST:PORT")]
        listen: Option<Listen>,
    },
    /// Copy the database to a file, while it is in use or not
    ///
    /// The copy is of one moment, and whole: it is checked, and has its name only when it is on the
    /// disk.
    Backup {
        /// Where to
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Replace a file that is there
        #[arg(long)]
        force: bool,
    },
    /// Make the database what it was when a backup was taken
    ///
    /// No server may run on it. The database as it is now is kept beside it, as
    /// freshql.db.before-restore.
    Restore {
        /// The backup
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Check whether the server is ready
    ///
    /// The exit status is 0 if it is: use this for a container's health check.
    Health {
        /// Address and port of the server [default: 127.0.0.1:8080]
        #[arg(long, env = "FRESHQL_LISTEN", value_name = "HOST:PORT")]
        listen: Option<Listen>,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        #[arg(value_name = "SHELL")]
        shell: clap_complete::Shell,
    },
    /// Write manual pages, one for each command
    Man {
        /// The directory to write them to; it is created if it does not exist
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
    /// Write a small project to start from
    Init {
        /// The directory to write it to; it is created if it does not exist
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

#[derive(Subcommand)]
enum Model {
    /// Write a first schema.graphql for a database that already has tables
    Pull {
        /// Replace an existing schema.graphql
        #[arg(long)]
        force: bool,
    },
}

#[derive(Subcommand)]
enum Migrate {
    /// Write the next migration: what the model needs and the migrations do not create yet
    New {
        /// Its topic: lower-case letters, digits, _ and -
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Apply pending migrations
    Up,
    /// Show which migrations are applied
    Status,
    /// Restore what other programs removed from the database: triggers, version columns
    Repair,
}

#[derive(Args)]
struct TestArguments {
    /// Query files, without .graphql [default: all]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Keep the answers as they are now, and write first cases where the database has values for
    /// them
    #[arg(long)]
    update: bool,
    /// Print the results as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ExplainOptions {
    /// A registered document's id, a file with a document, or the name of an operation
    #[arg(value_name = "ID|FILE|NAME")]
    document: String,
    /// The variables [default: {}]
    #[arg(long, value_name = "JSON")]
    variables: Option<String>,
    /// Which of the document's operations, if it has several
    #[arg(long, value_name = "NAME")]
    operation: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
    /// Ask as somebody whose token has these claims, such as '{"sub": "ada", "roles": ["editor"]}'
    #[arg(long = "as", value_name = "CLAIMS")]
    claims: Option<String>,
}

#[derive(Args)]
struct ServeOptions {
    /// Address and port to listen on; port 0 takes a free port [default: 127.0.0.1:8080]
    #[arg(long, env = "FRESHQL_LISTEN", value_name = "HOST:PORT")]
    listen: Option<Listen>,
    /// Documents that may run: trusted, apq or open [default: trusted]
    #[arg(long, env = "FRESHQL_MODE", value_name = "MODE")]
    mode: Option<Mode>,
    /// Apply pending migrations at start
    #[arg(long, env = "FRESHQL_MIGRATE", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    migrate: Option<bool>,
    /// Number of reading connections [default: one per core]
    #[arg(long, env = "FRESHQL_READERS", value_name = "N", value_parser = clap::value_parser!(u64).range(range(&freshql::config::READERS)))]
    readers: Option<u64>,
    /// Memory for stored answers, such as 1GiB; 0 stores none [default: 256 MiB]
    #[arg(long, env = "FRESHQL_CACHE_SIZE", value_name = "SIZE")]
    cache_size: Option<ByteSize>,
    /// Freshness of cached answers: strict, or for instance "bounded 500ms" [default: strict]
    #[arg(long, env = "FRESHQL_CONSISTENCY", value_name = "CONSISTENCY")]
    consistency: Option<Consistency>,
    /// Seconds for which records of the change log are kept [default: 86400]
    #[arg(long, env = "FRESHQL_CHANGE_LOG_MAX_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(range(&freshql::config::LOG_SECONDS)))]
    change_log_max_seconds: Option<u64>,
    /// Number of records of the change log that are kept [default: 1000000]
    #[arg(long, env = "FRESHQL_CHANGE_LOG_MAX_RECORDS", value_name = "N", value_parser = clap::value_parser!(u64).range(range(&freshql::config::LOG_RECORDS)))]
    change_log_max_records: Option<u64>,
    /// Time for which documents that left the query files are still served, such as 12h [default:
    /// 7d]
    #[arg(long, env = "FRESHQL_DOCUMENT_RETENTION", value_name = "TIME")]
    document_retention: Option<Retention>,
    /// Time for which a mutation that is sent again with its Idempotency-Key gets its first answer,
    /// such as 12h [default: 1d]
    #[arg(long, env = "FRESHQL_IDEMPOTENCY_RETENTION", value_name = "TIME")]
    idempotency_retention: Option<IdempotencyRetention>,
    /// Maximum size of a request's body [default: 1 MiB]
    #[arg(long, env = "FRESHQL_MAX_BODY_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(u64).range(range(&freshql::config::MAX_BODY_BYTES)))]
    max_body_bytes: Option<u64>,
    /// Maximum length of a request's path and query [default: 16 KiB]
    #[arg(long, env = "FRESHQL_MAX_URL_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(u64).range(range(&freshql::config::MAX_URL_BYTES)))]
    max_url_bytes: Option<u64>,
    /// Maximum time for a request [default: 30]
    #[arg(long, env = "FRESHQL_TIMEOUT_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(range(&freshql::config::TIMEOUT_SECONDS)))]
    timeout_seconds: Option<u64>,
    /// Maximum number of rows that one answer may read [default: 50000]
    #[arg(long, env = "FRESHQL_MAX_ROWS", value_name = "N", value_parser = clap::value_parser!(u64).range(range(&freshql::config::MAX_ROWS)))]
    max_rows: Option<u64>,
    /// Maximum size of an answer [default: 16 MiB]
    #[arg(long, env = "FRESHQL_MAX_RESPONSE_BYTES", value_name = "BYTES", value_parser = clap::value_parser!(u64).range(range(&freshql::config::MAX_RESPONSE_BYTES)))]
    max_response_bytes: Option<u64>,
    /// Maximum number of steps of SQLite's virtual machine for one answer [default: 50000000]
    #[arg(long, env = "FRESHQL_MAX_STEPS", value_name = "N", value_parser = clap::value_parser!(u64).range(range(&freshql::config::MAX_STEPS)))]
    max_steps: Option<u64>,
    /// Maximum time to receive the head of a request [default: 10]
    #[arg(long, env = "FRESHQL_HEAD_TIMEOUT_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(range(&freshql::config::TIMEOUT_SECONDS)))]
    head_timeout_seconds: Option<u64>,
    /// Maximum time to receive the body of a request [default: 20]
    #[arg(long, env = "FRESHQL_BODY_TIMEOUT_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(range(&freshql::config::TIMEOUT_SECONDS)))]
    body_timeout_seconds: Option<u64>,
    /// Maximum time that a connection may be idle [default: 75]
    #[arg(long, env = "FRESHQL_IDLE_TIMEOUT_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(range(&freshql::config::TIMEOUT_SECONDS)))]
    idle_timeout_seconds: Option<u64>,
    /// Maximum time for a client to accept the next bytes of an answer [default: 30]
    #[arg(long, env = "FRESHQL_WRITE_TIMEOUT_SECONDS", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(range(&freshql::config::TIMEOUT_SECONDS)))]
    write_timeout_seconds: Option<u64>,
    /// Maximum number of simultaneous connections [default: 10000]
    #[arg(long, env = "FRESHQL_MAX_CONNECTIONS", value_name = "N", value_parser = clap::value_parser!(u64).range(range(&freshql::config::MAX_CONNECTIONS)))]
    max_connections: Option<u64>,
    /// Host names that requests may be addressed to, separated by commas, or * [default: localhost
    /// on a loopback address, else *]
    #[arg(long, env = "FRESHQL_HOSTS", value_name = "HOSTS")]
    hosts: Option<Hosts>,
    /// Show the API's schema to everybody [default: true in mode open, else false]
    #[arg(long, env = "FRESHQL_INTROSPECTION", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    introspection: Option<bool>,
    /// CORS origins whose pages may read the answers, separated by commas, or * [default: none]
    #[arg(long, env = "FRESHQL_CORS_ORIGINS", value_name = "ORIGINS")]
    cors_origins: Option<CorsOrigins>,
    /// Allow requests of those pages to carry credentials such as cookies [default: false]
    #[arg(long, env = "FRESHQL_CORS_CREDENTIALS", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    cors_credentials: Option<bool>,
}

/// The options of `serve` where the command is left out: the environment still counts.
#[derive(Parser)]
struct FromEnvironment {
    #[command(flatten)]
    serve: ServeOptions,
}

fn range(range: &std::ops::RangeInclusive<u64>) -> std::ops::RangeInclusive<u64> {
    range.clone()
}

fn main() -> ExitCode {
    match run(parse(std::env::args_os().collect())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// The command line. Without a command the program serves, so that options of `serve` may stand
/// without it, too.
fn parse(arguments: Vec<OsString>) -> Cli {
    let error = match Cli::try_parse_from(&arguments) {
        Ok(cli) => return cli,
        Err(error) => error,
    };
    let names_a_command = |argument: &OsString| {
        Cli::command()
            .get_subcommands()
            .any(|command| argument.to_str() == Some(command.get_name()))
    };
    if error.kind() != ErrorKind::UnknownArgument || arguments.iter().skip(1).any(names_a_command) {
        error.exit();
    }
    let program = arguments.iter().take(1).cloned();
    let rest = arguments.iter().skip(1).cloned();
    Cli::parse_from(program.chain([OsString::from("serve")]).chain(rest))
}

/// What a command needs: the configuration resolved, and the log set up as it says.
fn prepare(project: ProjectOptions, serve: Option<ServeOptions>) -> Result<Config, StartError> {
    let mut overrides = Overrides {
        dir: project.dir,
        database: project.database,
        log: project.log,
        log_format: project.log_format,
        ..Overrides::default()
    };
    if let Some(serve) = serve {
        overrides = Overrides {
            listen: serve.listen,
            mode: serve.mode,
            migrate: serve.migrate,
            // Not an option: command lines are visible to everybody on the machine.
            admin_token: admin_token()?,
            readers: serve.readers,
            cache_size: serve.cache_size,
            consistency: serve.consistency,
            change_log_max_seconds: serve.change_log_max_seconds,
            change_log_max_records: serve.change_log_max_records,
            document_retention: serve.document_retention,
            idempotency_retention: serve.idempotency_retention,
            max_body_bytes: serve.max_body_bytes,
            max_url_bytes: serve.max_url_bytes,
            timeout_seconds: serve.timeout_seconds,
            max_rows: serve.max_rows,
            max_response_bytes: serve.max_response_bytes,
            max_steps: serve.max_steps,
            head_timeout_seconds: serve.head_timeout_seconds,
            body_timeout_seconds: serve.body_timeout_seconds,
            idle_timeout_seconds: serve.idle_timeout_seconds,
            write_timeout_seconds: serve.write_timeout_seconds,
            max_connections: serve.max_connections,
            hosts: serve.hosts,
            introspection: serve.introspection,
            cors_origins: serve.cors_origins,
            cors_credentials: serve.cors_credentials,
            ..overrides
        };
    }
    let config = app::configure(overrides)?;
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("`{}` is not a valid log filter", config.log))?;
    log::start(filter, config.log_format);
    Ok(config)
}

fn directory(project: &ProjectOptions) -> PathBuf {
    project.dir.clone().unwrap_or_else(|| PathBuf::from("."))
}

fn admin_token() -> anyhow::Result<Option<freshql::config::Secret>> {
    match std::env::var("FRESHQL_ADMIN_TOKEN") {
        Ok(text) => Ok(Some(text.parse().context("FRESHQL_ADMIN_TOKEN")?)),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(error) => Err(error).context("FRESHQL_ADMIN_TOKEN"),
    }
}

#[tokio::main]
async fn run(cli: Cli) -> Result<(), StartError> {
    let command = cli.command.unwrap_or_else(|| {
        Command::Serve(Box::new(FromEnvironment::parse_from(["freshql"]).serve))
    });
    match command {
        Command::Serve(options) => {
            let dir = directory(&cli.project);
            match prepare(cli.project, Some(*options)) {
                Ok(config) => app::serve(config).await,
                Err(error) => Err(app::with_the_rest(error, &dir).await),
            }
        }
        Command::Check { against: None, .. } => {
            let dir = directory(&cli.project);
            let config = match prepare(cli.project, None) {
                Ok(config) => config,
                Err(error) => return Err(app::with_the_rest(error, &dir).await),
            };
            let checked = app::check(&config).await?;
            show(&checked.warnings);
            print(&checked.summary)
        }
        Command::Check { against: Some(against), ca_file } => {
            check_against(&prepare(cli.project, None)?, &against, ca_file.as_deref()).await
        }
        Command::Push { file, to, ca_file } => push(&file, &to, ca_file.as_deref()).await,
        Command::Token { claims, expires, issuer } => {
            let minted =
                app::token(&prepare(cli.project, None)?, &claims, expires.0, issuer.as_deref())?;
            tell(&minted.note);
            print(&format!("{}\n", minted.token))
        }
        Command::Schema => print(&app::schema(&prepare(cli.project, None)?)?),
        Command::Queries { json } => {
            print(&app::queries(&prepare(cli.project, None)?, json).await?)
        }
        Command::Manifest { format, out } => {
            let manifest = app::manifest(&prepare(cli.project, None)?, format).await?;
            match &out {
                Some(file) => app::write_manifest(file, &manifest)?,
                None => print(&manifest.text)?,
            }
            manifest.notes.iter().for_each(|note| tell(&format!("note: {note}\n")));
            Ok(())
        }
        Command::Hash { files } => print(&hash(&files)?),
        Command::Model(Model::Pull { force }) => {
            print(&app::model_pull(&prepare(cli.project, None)?, force)?)
        }
        Command::Dev { listen } => {
            let mut config = prepare(cli.project, None)?;
            config.listen = listen.unwrap_or(config.listen);
            let tell = |news: DevEvent<'_>| match news {
                DevEvent::Text(text) => tell(text),
                DevEvent::Diagnostics(diagnostics) => show(diagnostics),
            };
            app::dev(config, tell).await
        }
        Command::Backup { file, force } => {
            print(&app::backup(&prepare(cli.project, None)?, &file, force)?)
        }
        Command::Restore { file } => print(&app::restore(&prepare(cli.project, None)?, &file)?),
        Command::Health { listen } => {
            let mut config = prepare(cli.project, None)?;
            config.listen = listen.unwrap_or(config.listen);
            print(&app::health(&config)?)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "freshql", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Command::Man { directory } => {
            std::fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create {}", directory.display()))?;
            let written = clap_mangen::generate_to(Cli::command(), &directory);
            Ok(written
                .with_context(|| format!("cannot write manual pages to {}", directory.display()))?)
        }
        Command::Init { directory } => print(&app::init(&directory)?),
        Command::Migrate(Migrate::New { name }) => {
            print(&app::migrate_new(&prepare(cli.project, None)?, &name)?)
        }
        Command::Test(TestArguments { names, update, json }) => {
            // As insta does it: where nobody looks, nothing is left for review.
            let pending = std::env::var_os("CI").is_none();
            let options = app::TestOptions {
                names,
                update,
                pending,
                json,
                colors: colors(io::stdout().is_terminal()),
            };
            let (text, is_good) = app::test(&prepare(cli.project, None)?, &options).await?;
            print(&text)?;
            if is_good { Ok(()) } else { Err(StartError::Told) }
        }
        Command::Explain(options) => {
            let ExplainOptions { document, variables, operation, json, claims } = options;
            let wanted = app::ExplainRequest { document, variables, operation, json, claims };
            print(&app::explain(&prepare(cli.project, None)?, &wanted).await?)
        }
        Command::Migrate(Migrate::Up) => print(&app::migrate_up(&prepare(cli.project, None)?)?),
        Command::Migrate(Migrate::Repair) => {
            let repaired = app::migrate_repair(&prepare(cli.project, None)?)?;
            print(&repaired.text)?;
            if repaired.mistakes.is_empty() {
                Ok(())
            } else {
                Err(StartError::Mistakes(repaired.mistakes))
            }
        }
        Command::Migrate(Migrate::Status) => {
            let status = app::migrate_status(&prepare(cli.project, None)?)?;
            print(&status.table)?;
            if status.mistakes.is_empty() {
                Ok(())
            } else {
                Err(StartError::Mistakes(status.mistakes))
            }
        }
    }
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
    if broken.is_empty() { Ok(()) } else { Err(StartError::Told) }
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
    if pushed.refused.is_empty() { Ok(()) } else { Err(StartError::Told) }
}

/// Lines as `sha256sum` writes them.
fn hash(files: &[PathBuf]) -> anyhow::Result<String> {
    let mut lines = String::new();
    for file in files {
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        let missing = fragments::missing(&text);
        if !missing.is_empty() {
            // Its document is more than this file.
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

/// A reader that closes the pipe early (`freshql schema | head`) is not an error.
fn print(text: &str) -> Result<(), StartError> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).into())
        }
        _ => Ok(()),
    }
}

/// Says why the command failed, with the place where it is known.
fn report(error: &StartError) {
    match error {
        StartError::Mistakes(mistakes) => show(mistakes),
        StartError::Told => {}
        StartError::Other(error) => tell(&format!("error: {error:#}\n")),
    }
}

/// Shows mistakes and warnings with their excerpts.
fn show(diagnostics: &[Diagnostic]) {
    let colors = colors(io::stderr().is_terminal());
    tell(&render(diagnostics, &|file| std::fs::read_to_string(file).ok(), colors));
}

fn colors(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none()
}

fn tell(text: &str) {
    // Nobody is left to tell that standard error is closed.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
