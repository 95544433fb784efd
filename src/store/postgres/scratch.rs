//! Scratch databases on the server: a project's `freshql_dev_…`, which stay, and a run's
//! `freshql_test_…`, which the run drops. A run that was killed leaves its databases behind. The
//! next run drops them: no session has their name as its `application_name` any more.

use std::path::Path;

use super::client::{Blocking, ClientError, Execute, Parameter, Rows, Session};
use crate::config::{Database, PostgresUrl};
use crate::store::error::AdminError;
use crate::store::schema::layout::SqlName;

/// The file in the project's directory that distinguishes its databases from those of other
/// projects.
const PROJECT: &str = "project";

/// The prefix of a run's databases; 32 hexadecimal digits and a number follow.
const OF_RUNS: &str = "freshql_test_";

const EMPTY: &str = "template0 ENCODING 'UTF8'";

/// Whether this role may create databases.
pub(super) const MAY_CREATE: &str =
    "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user";

/// Databases on a server.
pub struct ScratchDatabases {
    /// The configured database, which these stand in for.
    url: PostgresUrl,
    /// Connected to that database, or, if it does not exist, to the one that every server has.
    main: Blocking,
    /// The prefix of their names.
    prefix: String,
    is_temporary: bool,
}

impl ScratchDatabases {
    pub(in crate::store) fn of_project(
        url: &PostgresUrl,
        folder: &Path,
    ) -> Result<Self, AdminError> {
        Self::open(url, format!("freshql_dev_{}_", project(folder)?), false)
    }

    pub(in crate::store) fn of_run(url: &PostgresUrl) -> Result<Self, AdminError> {
        let mut databases = Self::open(url, name_of_run(), true)?;
        databases.remove_abandoned()?;
        Ok(databases)
    }

    /// For migrations that are only tried. None if the server allows no such database.
    pub(super) fn to_rehearse(url: &PostgresUrl) -> Result<Option<Self>, ClientError> {
        if url.pooled {
            return Ok(None);
        }
        let mut databases = Self::connect(url, name_of_run(), true)?;
        if !databases.may_create()? {
            return Ok(None);
        }
        databases.remove_abandoned()?;
        Ok(Some(databases))
    }

    pub(super) fn make_for_rehearsal(&mut self) -> Result<PostgresUrl, ClientError> {
        let name = format!("{}rehearsal", self.prefix);
        self.create(&name, EMPTY)?;
        Ok(self.url.with_database(&name))
    }

    fn open(url: &PostgresUrl, prefix: String, is_temporary: bool) -> Result<Self, AdminError> {
        if url.pooled {
            let message = "scratch databases are made on the server itself, not behind a pooler: leave `pooler` \
                           out of the URL, and name the server's own address";
            return Err(AdminError(message.into()));
        }
        let mut databases = Self::connect(url, prefix, is_temporary)?;
        if !databases.may_create()? {
            let role = databases.run("SELECT quote_ident(current_user)")?;
            let role = role.first().map(|row| row.string(0)).unwrap_or_default();
            let message = format!(
                "the role {role} may not create databases on the server of {url}: run `ALTER ROLE {role} CREATEDB` there as a \
                 superuser, or use SQLite with `--database sqlite:freshql.db`"
            );
            return Err(AdminError(message.into()));
        }
        Ok(databases)
    }

    fn connect(url: &PostgresUrl, prefix: String, is_temporary: bool) -> Result<Self, ClientError> {
        let main = connect(url, &prefix)?;
        Ok(Self { url: url.clone(), main, prefix, is_temporary })
    }

    fn may_create(&mut self) -> Result<bool, ClientError> {
        Ok(self.run(MAY_CREATE)?.first().is_some_and(|row| row.is(0)))
    }

    #[expect(clippy::unused_self, reason = "as SQLite's")]
    pub(in crate::store) fn last(&self) -> &'static str {
        "last-postgres"
    }

    pub(in crate::store) fn find(&mut self, name: &str) -> Result<Option<Database>, AdminError> {
        if !self.names()?.iter().any(|known| known == name) {
            return Ok(None);
        }
        // A process that copied it may have been killed before it allowed connections again.
        self.allow_connections(name, true)?;
        Ok(Some(self.database(name)))
    }

    pub(in crate::store) fn new_name(&mut self, shape: &str) -> Result<String, AdminError> {
        let names = self.names()?;
        let mut free = (1..).map(|number: u32| format!("{}{shape}_{number}", self.prefix));
        let free = free.find(|name| !names.contains(name));
        free.ok_or_else(|| AdminError("there are too many scratch databases".into()))
    }

    pub(in crate::store) fn make(&mut self, name: &str) -> Result<Database, AdminError> {
        self.create(name, EMPTY)?;
        Ok(self.database(name))
    }

    /// PostgreSQL copies a database only while nobody is connected to it.
    pub(in crate::store) fn copy(
        &mut self,
        from: &str,
        name: &str,
    ) -> Result<Database, AdminError> {
        self.allow_connections(from, false)?;
        let copied = self.end_sessions(from).and_then(|()| {
            let from = SqlName::new(from).to_string();
            self.create(name, &from)
        });
        self.allow_connections(from, true)?;
        copied?;
        Ok(self.database(name))
    }

    pub(in crate::store) fn remove(&mut self, name: &str) {
        let name = SqlName::new(name);
        let _ = self.run(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
    }

    pub(in crate::store) fn remove_others(&mut self, kept: &[&str]) {
        let used = "SELECT DISTINCT datname FROM pg_stat_activity WHERE datname IS NOT NULL";
        let (Ok(names), Ok(used)) = (self.names(), self.run(used)) else { return };
        let is_used = |name: &str| used.iter().any(|row| row.text(0) == Some(name));
        for name in names.iter().filter(|name| !kept.contains(&name.as_str()) && !is_used(name)) {
            let _ = self.run(&format!("DROP DATABASE IF EXISTS {}", SqlName::new(name)));
        }
    }

    /// Drops the databases of killed runs: those that this role owns and whose run has no session
    /// left.
    fn remove_abandoned(&mut self) -> Result<(), ClientError> {
        let abandoned = format!(
            "SELECT datname FROM pg_database AS d WHERE datname ~ '^{OF_RUNS}[0-9a-f]{{32}}_'
               AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)
               AND NOT EXISTS (SELECT FROM pg_stat_activity
                 WHERE application_name = substring(d.datname FROM '^{OF_RUNS}[0-9a-f]{{32}}_'))"
        );
        let abandoned: Vec<_> = self.run(&abandoned)?.iter().map(|row| row.string(0)).collect();
        abandoned.iter().for_each(|name| self.remove(name));
        Ok(())
    }

    fn database(&self, name: &str) -> Database {
        Database::Postgres(Box::new(self.url.with_database(name)))
    }

    /// Those that exist.
    fn names(&mut self) -> Result<Vec<String>, ClientError> {
        let prefix = [Parameter::Text(&self.prefix)];
        let sql = "SELECT datname FROM pg_database WHERE starts_with(datname, $1::text)";
        let rows = self.main.query(Execute::text(sql, &prefix))?;
        Ok(rows.iter().map(|row| row.string(0)).collect())
    }

    fn create(&mut self, name: &str, template: &str) -> Result<(), ClientError> {
        self.run(&format!("CREATE DATABASE {} TEMPLATE {template}", SqlName::new(name))).map(drop)
    }

    fn allow_connections(&mut self, name: &str, is_allowed: bool) -> Result<(), ClientError> {
        let name = SqlName::new(name);
        self.run(&format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {is_allowed}"))?;
        Ok(())
    }

    fn end_sessions(&mut self, name: &str) -> Result<(), ClientError> {
        let name = [Parameter::Text(name)];
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = $1::text AND usename = current_user";
        self.main.query(Execute::text(sql, &name))?;
        Ok(())
    }

    /// Runs one statement; tries again if the connection was lost because the server restarted.
    fn run(&mut self, sql: &str) -> Result<Rows, ClientError> {
        let first = match self.main.script(sql) {
            Err(ClientError::Lost(_)) => {
                self.main = connect(&self.url, &self.prefix)?;
                self.main.script(sql)?
            }
            other => other?,
        };
        first.into_iter().last().ok_or_else(|| ClientError::Protocol("no result came".to_owned()))
    }
}

impl Drop for ScratchDatabases {
    fn drop(&mut self) {
        if self.is_temporary {
            let names = self.names().unwrap_or_default();
            names.iter().for_each(|name| self.remove(name));
        }
    }
}

fn name_of_run() -> String {
    format!("{OF_RUNS}{}_", uuid::Uuid::now_v7().simple())
}

/// Connects to the configured database, or, if it does not exist yet, to the one that every server
/// has. The session's `application_name` is the prefix of the databases.
fn connect(url: &PostgresUrl, prefix: &str) -> Result<Blocking, ClientError> {
    let session = Session::for_commands(url);
    let url = PostgresUrl { application_name: Some(prefix.to_owned()), ..url.clone() };
    match Blocking::connect(&url, session) {
        Err(error) if error.code() == "3D000" => {
            Blocking::connect(&url.with_database("postgres"), session)
        }
        other => other,
    }
}

/// An id that distinguishes the databases of this project from those of other projects, and of
/// other copies of this one.
fn project(folder: &Path) -> Result<String, AdminError> {
    let cannot = |what: &str, error: std::io::Error| {
        AdminError(format!("cannot {what} {}: {error}", folder.display()).into())
    };
    let file = folder.join(PROJECT);
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    let known = known.trim();
    if known.len() == 8 && known.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(known.to_owned());
    }
    // The last digits are random.
    let new = uuid::Uuid::now_v7().simple().to_string()[24..].to_owned();
    std::fs::create_dir_all(folder).map_err(|error| cannot("make", error))?;
    std::fs::write(&file, format!("{new}\n")).map_err(|error| cannot("write into", error))?;
    Ok(new)
}
