//! The command line: which commands there are, and what each takes. The options that stand for
//! settings come from [`freshql::config::SETTINGS`].

mod commands;
mod options;
mod terminal;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand};
use freshql::config::Retention;
use freshql::persisted::manifest::Format;

pub(crate) use self::commands::run;
use self::options::{ListenOption, ProjectOptions, ServeOptions};
pub(crate) use self::terminal::report;

/// Serves persisted GraphQL queries with ETags derived from the rows that each answer read.
///
/// Without a command it serves.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) project: ProjectOptions,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
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
        #[command(flatten)]
        address: ListenOption,
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
        #[command(flatten)]
        address: ListenOption,
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
pub(crate) enum Model {
    /// Write a first schema.graphql for a database that already has tables
    Pull {
        /// Replace an existing schema.graphql
        #[arg(long)]
        force: bool,
    },
}

#[derive(Subcommand)]
pub(crate) enum Migrate {
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
pub(crate) struct TestArguments {
    /// Query files, without .graphql [default: all]
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Keep the answers as they are now, and write first cases where the database has values for
    /// them
    #[arg(long)]
    pub(crate) update: bool,
    /// Print the results as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct ExplainOptions {
    /// A registered document's id, a file with a document, or the name of an operation
    #[arg(value_name = "ID|FILE|NAME")]
    pub(crate) document: String,
    /// The variables [default: {}]
    #[arg(long, value_name = "JSON")]
    pub(crate) variables: Option<String>,
    /// Which of the document's operations, if it has several
    #[arg(long, value_name = "NAME")]
    pub(crate) operation: Option<String>,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Ask as somebody whose token has these claims, such as '{"sub": "ada", "roles": ["editor"]}'
    #[arg(long = "as", value_name = "CLAIMS")]
    pub(crate) claims: Option<String>,
}

/// The options of `serve` where the command is left out: the environment still counts.
#[derive(Parser)]
struct FromEnvironment {
    #[command(flatten)]
    serve: ServeOptions,
}

/// The command line. Without a command the program serves, so that options of `serve` may stand
/// without it, too.
pub(crate) fn parse(arguments: Vec<OsString>) -> Cli {
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
