//! The program itself, in its own process: commands that end, and servers. Nothing of the tests'
//! own environment reaches it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use crate::database::{Driver, TestDatabase, driver};
use crate::harness::DEMO_SECRET;

/// The program, without arguments.
pub(crate) fn bare() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freshql"));
    command.env_clear();
    command
}

/// The program for a project. The command follows.
pub(crate) fn of_project(directory: &Path) -> Command {
    let mut command = bare();
    command.arg("--dir").arg(directory);
    command
}

/// A server in its own process.
pub(crate) struct Program {
    pub(crate) process: Child,
    /// `http://…`
    pub(crate) address: String,
    /// What it says after it has told where it listens. To be read: a full pipe would stop it.
    pub(crate) log: Lines<BufReader<ChildStderr>>,
    /// None: a file in the project, or a database of the test.
    pub(crate) database: Option<TestDatabase>,
}

impl Program {
    pub(crate) async fn start(project: &Path) -> Self {
        Self::start_with(project, &[]).await
    }

    /// The same, with more in its environment.
    pub(crate) async fn start_with(project: &Path, variables: &[(&str, &str)]) -> Self {
        let is_on_server = driver() == Driver::Postgres
            && variables.iter().all(|(name, _)| *name != "FRESHQL_DATABASE");
        let database = is_on_server.then(TestDatabase::new);
        let mut command = bare();
        command
            .envs([DEMO_SECRET])
            .envs(database.as_ref().map(|database| ("FRESHQL_DATABASE", database.url())))
            .envs(variables.iter().copied())
            .env("FRESHQL_DIR", project)
            .env("FRESHQL_LISTEN", "127.0.0.1:0")
            .env("FRESHQL_MIGRATE", "true");
        Self { database, ..Self::run(command).await }
    }

    /// Runs a command that serves, and waits until it listens.
    pub(crate) async fn run(command: Command) -> Self {
        let (process, log) = spawn(command);
        let mut program = Self { process, address: String::new(), log, database: None };
        let line = program.until("listening on ").await;
        program.address = line.split_once("listening on ").unwrap().1.to_owned();
        program
    }

    /// The next line of its log that contains this.
    pub(crate) async fn until(&mut self, part: &str) -> String {
        until(&mut self.log, part).await
    }

    /// Reads its log from here on, and forgets it.
    pub(crate) fn unread(self) -> (Child, String) {
        let Self { process, address, mut log, .. } = self;
        tokio::spawn(async move { while let Ok(Some(_)) = log.next_line().await {} });
        (process, address)
    }
}

/// Runs a command whose log can be read, and which ends with the test.
pub(crate) fn spawn(command: Command) -> (Child, Lines<BufReader<ChildStderr>>) {
    let mut process = tokio::process::Command::from(command)
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let log = BufReader::new(process.stderr.take().unwrap()).lines();
    (process, log)
}

/// The next line that contains this.
pub(crate) async fn until(log: &mut Lines<BufReader<ChildStderr>>, part: &str) -> String {
    let mut said = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(60), log.next_line()).await {
            Ok(Ok(Some(line))) if line.contains(part) => return line,
            Ok(Ok(Some(line))) => said.push(line),
            other => panic!("it does not say {part:?}, but {said:#?} ({other:?})"),
        }
    }
}
