//! A PostgreSQL server for a test: a new cluster in a temporary directory, reachable through a
//! socket, and removed after the test. If PostgreSQL is not installed, tests that need it report
//! that and pass; with `CI=true` they fail instead.

use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running server.
pub(crate) struct Postgres {
    directory: TempDir,
    programs: PathBuf,
}

impl Postgres {
    /// Starts a server; `None` if PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(|_| String::new())
    }

    /// Starts a server with more settings, in the form `-c NAME=VALUE …`: `prepare` gets the data
    /// directory, where it may also write files.
    pub(crate) fn start_with(prepare: impl FnOnce(&Path) -> String) -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PostgreSQL is not installed, and CI must test with it"
            );
            // Written without the macro, whose output the test runner captures.
            let message = b"\n*** SKIPPED: PostgreSQL (15 or later) is not installed; scripts/setup installs it\n";
            std::io::stderr().write_all(message).unwrap();
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let postgres = Self { directory, programs };
        if is_root() {
            // PostgreSQL refuses to run as root.
            let path = postgres.directory.path().as_os_str();
            succeed(Command::new("chown").arg("postgres").arg(path));
        }
        let (data, path) = (postgres.data(), postgres.directory.path().display());
        succeed(
            postgres
                .program("initdb")
                .args(["--no-sync", "--auth=trust", "--username=freshql", "--encoding=UTF8"])
                .args(["--locale=C.UTF-8", "--pgdata"])
                .arg(&data),
        );
        let more = prepare(&data);
        if is_root() {
            succeed(Command::new("chown").arg("-R").arg("postgres").arg(&data));
        }
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={path} -c fsync=off -c timezone=Asia/Tokyo \
             -c max_prepared_transactions=10 {more}"
        );
        let log = format!("{path}/log");
        succeed(
            postgres
                .program("pg_ctl")
                .args(["start", "--wait", "--log", &log, "--options", &options, "--pgdata"])
                .arg(&data),
        );
        Some(postgres)
    }

    /// Starts a server for all tests of this run, which a watcher stops when the run has ended;
    /// returns its URL.
    pub(crate) fn start_shared() -> Option<String> {
        let mut postgres =
            Self::start_with(|_| "-c max_connections=1000 -c shared_buffers=256MB".to_owned())?;
        let url = postgres.url("postgres");
        let stop = postgres.program("pg_ctl");
        let directory =
            std::mem::replace(&mut postgres.directory, tempfile::tempdir().unwrap()).keep();
        let arguments: Vec<_> =
            std::iter::once(stop.get_program()).chain(stop.get_args()).collect();
        // No test knows that it is the last one.
        let script = "while kill -0 \"$0\" 2>/dev/null; do sleep 0.5; done
            cd /; \"${@:2}\" stop --mode=immediate --pgdata \"$1/data\"; rm -rf \"$1\"";
        let mut watcher = Command::new("bash");
        watcher
            .args(["-c", script, &std::process::id().to_string()])
            .arg(directory)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // It outlives this process.
        std::mem::forget(watcher.spawn().unwrap());
        Some(url)
    }

    /// The URL of one of its databases, over its socket.
    pub(crate) fn url(&self, database: &str) -> String {
        let directory = self.directory.path().to_str().unwrap().replace('/', "%2F");
        format!("postgres://freshql@{directory}/{database}")
    }

    /// The file of its socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join(".s.PGSQL.5432")
    }

    /// The postmaster and all that it has started.
    pub(crate) fn processes(&self) -> Vec<String> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        let postmaster = file.lines().next().unwrap().to_owned();
        let listed =
            Command::new("ps").args(["-o", "pid=", "--ppid", &postmaster]).output().unwrap();
        let started = String::from_utf8(listed.stdout).unwrap();
        let started = started.split_whitespace().map(str::to_owned);
        std::iter::once(postmaster.clone()).chain(started).collect()
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn program(&self, name: &str) -> Command {
        let path = self.programs.join(name);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
            command
        } else {
            Command::new(path)
        };
        command
            .current_dir(self.directory.path())
            .env_remove("PGDATABASE")
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// A new database, whose order of strings differs from that of code points.
    pub(crate) fn create(&self, database: &str) {
        let locale = "LOCALE_PROVIDER icu ICU_LOCALE 'en-US' LOCALE 'C.UTF-8'";
        self.run("postgres", &format!("CREATE DATABASE {database} TEMPLATE template0 {locale}"));
    }

    /// Runs statements; returns a query's rows as lines of cells separated by `|`.
    pub(crate) fn run(&self, database: &str, sql: &str) -> Vec<String> {
        self.psql(database, sql, false).unwrap_or_else(|error| panic!("{error}\n{sql}"))
    }

    /// Runs statements; returns PostgreSQL's message if it refuses them.
    pub(crate) fn try_run(&self, database: &str, sql: &str) -> Result<Vec<String>, String> {
        self.psql(database, sql, false)
    }

    /// Runs a migration as `freshql migrate up` does: in one transaction, with temporary tables
    /// last in the search path.
    pub(crate) fn migrate(&self, database: &str, sql: &str) -> Result<(), String> {
        let path = "DO $$ BEGIN PERFORM set_config('search_path', array_to_string(current_schemas(false), ', ') || ', pg_temp', true); END $$;";
        self.psql(database, &format!("{path}\n{sql}"), true).map(drop)
    }

    /// `psql` on this database.
    pub(crate) fn client(&self, database: &str) -> Command {
        let mut command = self.program("psql");
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "freshql",
            "-d",
            database,
            "-h",
        ]);
        command.arg(self.directory.path());
        command
    }

    /// Stops the server in this mode (`fast`, or `immediate`, which is a crash), and starts it
    /// again.
    pub(crate) fn restart(&self, mode: &str) {
        let (log, data) = (self.directory.path().join("log"), self.data());
        let mut restart = self.program("pg_ctl");
        succeed(
            restart
                .args(["restart", "--wait", "--mode", mode, "--log"])
                .arg(log)
                .arg("--pgdata")
                .arg(data),
        );
    }

    /// A standby of this server.
    pub(crate) fn standby(&self) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let standby = Self { directory, programs: self.programs.clone() };
        if is_root() {
            succeed(Command::new("chown").arg("postgres").arg(standby.directory.path()));
        }
        let mut backup = standby.program("pg_basebackup");
        backup.args([
            "--write-recovery-conf",
            "--checkpoint=fast",
            "--no-sync",
            "--username=freshql",
            "--host",
        ]);
        succeed(backup.arg(self.directory.path()).arg("--pgdata").arg(standby.data()));
        let path = standby.directory.path().display();
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories={path} -c fsync=off -c max_prepared_transactions=10"
        );
        let mut start = standby.program("pg_ctl");
        start.args([
            "start",
            "--wait",
            "--log",
            &format!("{path}/log"),
            "--options",
            &options,
            "--pgdata",
        ]);
        succeed(start.arg(standby.data()));
        standby
    }

    /// Makes it the primary server.
    pub(crate) fn promote(&self) {
        succeed(self.program("pg_ctl").args(["promote", "--wait", "--pgdata"]).arg(self.data()));
    }

    fn psql(
        &self,
        database: &str,
        sql: &str,
        in_one_transaction: bool,
    ) -> Result<Vec<String>, String> {
        let mut command = self.client(database);
        if in_one_transaction {
            command.arg("-1");
        }
        let mut psql = command
            .args(["-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = psql.stdin.take().unwrap();
        let sql = sql.to_owned();
        let writer = std::thread::spawn(move || {
            // It may have stopped at a mistake.
            let _ = std::io::Write::write_all(&mut input, sql.as_bytes());
        });
        let output = psql.wait_with_output().unwrap();
        writer.join().unwrap();
        match output.status.success() {
            true => {
                Ok(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
            }
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }
}

/// PgBouncer in front of a database, in transaction mode: each transaction may run on another one
/// of a few connections.
pub(crate) struct Pooler {
    process: Child,
    /// The URL of the database through it.
    pub(crate) url: String,
    _directory: TempDir,
}

impl Pooler {
    /// None if PgBouncer is not installed.
    pub(crate) fn start(server: &Postgres, database: &str) -> Option<Self> {
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else {
            assert!(
                std::env::var_os("CI").is_none(),
                "PgBouncer is not installed, and CI must test with it"
            );
            std::io::stderr()
                .write_all(
                    b"\n*** SKIPPED: PgBouncer is not installed; scripts/setup installs it\n",
                )
                .unwrap();
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (here, server) = (directory.path().display(), server.directory.path().display());
        let settings = format!(
            "[databases]\n{database} = host={server} dbname={database} user=freshql\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 5\nlogfile = {here}/log\npidfile = {here}/pid\n"
        );
        let file = directory.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        if is_root() {
            succeed(Command::new("chown").arg("-R").arg("postgres").arg(directory.path()));
            command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", program]);
        }
        let process = command
            .arg("-q")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let url = format!("postgres://freshql@127.0.0.1:{port}/{database}?pooler=transaction");
        let pooler = Self { process, url, _directory: directory };
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "PgBouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(pooler)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.data();
        let _ = self
            .program("pg_ctl")
            .args(["stop", "--mode=immediate", "--pgdata"])
            .arg(data)
            .output();
    }
}

/// The directory of its programs, which may not be in PATH.
fn programs() -> Option<PathBuf> {
    let listed = Command::new("pg_config").arg("--bindir").output().ok();
    let by_config =
        listed.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()));
    let installed = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut by_folder: Vec<PathBuf> = installed.map(|entry| entry.path().join("bin")).collect();
    by_folder.sort();
    by_config
        .into_iter()
        .chain(by_folder.into_iter().rev())
        .find(|path| path.join("initdb").exists())
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.starts_with(b"0\n")
}

#[track_caller]
fn succeed(command: &mut Command) {
    // A server keeps the streams open that it inherits.
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = command
        .stdin(Stdio::null())
        .stdout(log.reopen().unwrap())
        .stderr(log.reopen().unwrap())
        .status();
    let text = std::fs::read_to_string(log.path()).unwrap_or_default();
    assert!(status.unwrap().success(), "{command:?}: {text}");
}
