//! The command line: its commands and their options. Options that are settings come from
//! [`freshql::config::SETTINGS`].

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
        /// Report which documents of a running server (with FRESHQL_ADMIN_TOKEN), or of a manifest,
        /// would break with the model
        #[arg(long, value_name = "URL|FILE")]
        against: Option<String>,
        /// A PEM file with certificates to trust in addition to the machine's
        #[arg(long, value_name = "FILE", requires = "against")]
        ca_file: Option<PathBuf>,
    },
    /// Register the documents of a manifest with a running server
    ///
    /// The environment variable FRESHQL_ADMIN_TOKEN contains the server's admin token. The exit
    /// status is 1 if a document is refused.
    Push {
        /// A manifest of Apollo, Relay or GraphQL code generator
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// URL of the server
        #[arg(long, value_name = "URL")]
        to: String,
        /// A PEM file with certificates to trust in addition to the machine's
        #[arg(long, value_name = "FILE")]
        ca_file: Option<PathBuf>,
    },
    /// Print a token for development, signed with the secret that `[auth]` in freshql.toml names
    ///
    /// `iss`, `aud`, `iat` and `exp` are added if the claims do not have them. Without a secret in
    /// the environment, the one that `freshql dev` created is used.
    Token {
        /// The claims of the token
        #[arg(long, value_name = "JSON", default_value = r#"{"sub":"dev"}"#)]
        claims: String,
        /// How long the token is valid, such as 30m or 12h
        #[arg(long, value_name = "TIME", default_value = "1h")]
        expires: Retention,
        /// The issuer to sign as, if there are several
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
    /// Print the operations of queries/ as a manifest for client tools
    Manifest {
        /// The tool: apollo (with `__typename` as Apollo Client adds it), relay or codegen
        #[arg(long, value_name = "FORMAT", default_value = "apollo")]
        format: Format,
        /// Write the manifest to this file
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
    /// Each query runs with the cases in queries/NAME.cases.json, on a scratch database built from
    /// the migrations and tests/seed.sql. The ETag is tested, too: it must change if and only if
    /// the answer's rows do. The exit status is 1 if anything is wrong, or differs from the
    /// snapshots in queries/snapshots/.
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
    /// Copy the database to a file, whether or not it is in use
    ///
    /// The copy shows one moment and is complete: it is checked, and gets its name only once it is
    /// on disk.
    Backup {
        /// The file to write
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Replace an existing file
        #[arg(long)]
        force: bool,
    },
    /// Restore the database from a backup
    ///
    /// No server may be running on the database. The previous database is kept next to it, as
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
    /// Accept the answers as they are now, and write first cases if the database has values for
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
    /// Run as a viewer whose token has these claims, such as '{"sub": "ada", "roles": ["editor"]}'
    #[arg(long = "as", value_name = "CLAIMS")]
    pub(crate) claims: Option<String>,
}

/// The options of `serve` if the command is omitted: the environment still applies.
#[derive(Parser)]
struct FromEnvironment {
    #[command(flatten)]
    serve: ServeOptions,
}

/// Parses the command line. Without a command the program serves, so options of `serve` are also
/// accepted without it.
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
