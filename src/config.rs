//! The configuration: every value, its default, and who may say it. A value on the command line
//! goes before one in the environment (`FRESHQL_…`), that before `freshql.toml`, and that before
//! the default.
//!
//! This is the one place that decides. It reads neither the environment nor files: the front door
//! hands both in, and passes single values down to those who need them.

pub mod auth;
mod database;
mod file;
mod postgres;
mod retention;
mod value;

use std::net::SocketAddr;
use std::num::NonZero;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use auth::{Issuer, KeySource};
pub use database::Database;
pub use file::FileConfig;
pub use postgres::{PostgresHost, PostgresUrl, SslMode};
pub use retention::{IdempotencyRetention, Retention};
pub use value::{
    ByteSize, Consistency, CorsOrigins, Hosts, Ids, InvalidValue, Listen, LogFormat, Mode, Origin,
    Secret,
};

/// The file in the project's directory that holds a [`FileConfig`].
pub const FILE_NAME: &str = "freshql.toml";

/// How many connections may read at once.
pub const READERS: RangeInclusive<u64> = 1..=1024;
/// Bytes of a request's body.
pub const MAX_BODY_BYTES: RangeInclusive<u64> = 1024..=1 << 30;
/// Bytes of a request's path and query; the HTTP library can hold no more.
pub const MAX_URL_BYTES: RangeInclusive<u64> = 256..=65_534;
/// Seconds that a record of the change log is kept.
pub const LOG_SECONDS: RangeInclusive<u64> = 60..=366 * 86_400;
/// Records that the change log may have.
pub const LOG_RECORDS: RangeInclusive<u64> = 1000..=1_000_000_000;
/// Rows that one answer may read.
pub const MAX_ROWS: RangeInclusive<u64> = 100..=1_000_000_000;
/// Bytes of one answer.
pub const MAX_RESPONSE_BYTES: RangeInclusive<u64> = 4096..=1 << 30;
/// Steps that the database may take for one answer.
pub const MAX_STEPS: RangeInclusive<u64> = 100_000..=1_000_000_000_000;
/// Seconds.
pub const TIMEOUT_SECONDS: RangeInclusive<u64> = 1..=3600;
/// Connections at the same time.
pub const MAX_CONNECTIONS: RangeInclusive<u64> = 1..=1_000_000;

/// All values, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where `schema.graphql`, `queries/`, `migrations/` and `freshql.toml` are. Default: `.`
    pub dir: PathBuf,
    /// Default: `sqlite:DIR/freshql.db`
    pub database: Database,
    /// Default: `127.0.0.1:8080`
    pub listen: Listen,
    /// Which documents run. Default: [`Mode::Trusted`]
    pub mode: Mode,
    /// Apply pending migrations at start, instead of refusing to start. Default: no
    pub migrate: bool,
    /// Opens the admin API to those who know it. Default: nobody
    pub admin_token: Option<Secret>,
    /// Connections that read, each with a thread of its own. Default: one per core
    pub readers: usize,
    /// Bytes that stored answers may take up; 0 stores none. Default: 256 MiB
    pub cache_size: ByteSize,
    /// How old, at most, an answer from the cache may be. Default: [`Consistency::Strict`]
    pub consistency: Consistency,
    /// How much of the change log is kept.
    pub change_log: ChangeLogLimits,
    /// How long documents that left the query files are still served. Default: seven days
    pub document_retention: Retention,
    /// How long a mutation that is sent again with its `Idempotency-Key` gets its first answer.
    /// Default: one day
    pub idempotency_retention: IdempotencyRetention,
    /// What a single request may cost.
    pub limits: Limits,
    /// The names under which clients may address the server. Default: those of the machine itself
    /// where it listens on a loopback address, and any elsewhere
    pub hosts: Option<Hosts>,
    /// What the ids of the API are. Default: the rows' own keys
    pub ids: Ids,
    /// Whether the answers to registered documents have `__typename` where they do not ask for it.
    /// Default: no
    pub typename: bool,
    /// Whether the API's schema is shown to everybody. Default: only in [`Mode::Open`]
    pub introspection: bool,
    /// Whose pages may read our answers (CORS). Default: nobody else's
    pub cors_origins: CorsOrigins,
    /// Whether their requests may bring cookies and the like, for a proxy in front of the server.
    /// Default: no
    pub cors_credentials: bool,
    /// What is logged: a level, or tracing's directives (`info,freshql=debug`). Default: `info`
    pub log: String,
    /// How it is written. Default: [`LogFormat::Text`]
    pub log_format: LogFormat,
    /// Whose tokens say who asks. Default: nobody's, and everything is public
    pub auth: Vec<Issuer>,
}

/// How much of the change log is kept. Its newest record always stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeLogLimits {
    /// Default: one day
    pub max_age: Duration,
    /// Default: 1 000 000
    pub max_records: u64,
}

impl Default for ChangeLogLimits {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(86_400), max_records: 1_000_000 }
    }
}

/// What a single request may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Default: 1 MiB
    pub max_body_bytes: usize,
    /// Path and query, so also the variables of a GET. Default: 16 KiB
    pub max_url_bytes: usize,
    /// From the request's head to the answer's. Default: 30 s
    pub timeout: Duration,
    /// From the first byte of a request's head to its last. Default: 10 s
    pub head_timeout: Duration,
    /// For the whole body of a request, which counts as part of the request too. Default: 20 s
    pub body_timeout: Duration,
    /// Without a request on a connection. Longer than what proxies in front of the server wait, so
    /// that it is never the server that closes what they are about to use. Default: 75 s
    pub idle_timeout: Duration,
    /// Without a byte of an answer being taken. Default: 30 s
    pub write_timeout: Duration,
    /// Connections at the same time; fewer where the system gives the process too few descriptors.
    /// Default: 10 000
    pub max_connections: usize,
    /// What executing it may cost.
    pub answer: AnswerLimits,
}

/// What executing one operation may cost. Whatever goes beyond is ended on the spot. No honest page
/// comes near these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerLimits {
    /// Rows that are read for it, each as often as it is read; a list counts as one more. Default:
    /// 50 000
    pub max_rows: u64,
    /// Of its body, before any content coding. Default: 16 MiB
    pub max_response_bytes: usize,
    /// Work of the database, in steps of SQLite's virtual machine, of which it takes some hundred
    /// million a second. Default: 50 000 000
    pub max_steps: u64,
}

impl Default for AnswerLimits {
    fn default() -> Self {
        Self { max_rows: 50_000, max_response_bytes: 16 << 20, max_steps: 50_000_000 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 20,
            max_url_bytes: 16 << 10,
            timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(75),
            write_timeout: Duration::from_secs(30),
            max_connections: 10_000,
            answer: AnswerLimits::default(),
        }
    }
}

/// What the command line and the environment say; clap has decided between these two.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields are those of `Config`")]
pub struct Overrides {
    pub dir: Option<PathBuf>,
    /// A relative path is relative to the working directory.
    pub database: Option<Database>,
    pub listen: Option<Listen>,
    pub mode: Option<Mode>,
    pub migrate: Option<bool>,
    pub admin_token: Option<Secret>,
    /// In [`READERS`].
    pub readers: Option<u64>,
    pub cache_size: Option<ByteSize>,
    pub consistency: Option<Consistency>,
    /// In [`LOG_SECONDS`].
    pub change_log_max_seconds: Option<u64>,
    /// In [`LOG_RECORDS`].
    pub change_log_max_records: Option<u64>,
    pub document_retention: Option<Retention>,
    pub idempotency_retention: Option<IdempotencyRetention>,
    /// In [`MAX_BODY_BYTES`].
    pub max_body_bytes: Option<u64>,
    /// In [`MAX_URL_BYTES`].
    pub max_url_bytes: Option<u64>,
    /// In [`TIMEOUT_SECONDS`].
    pub timeout_seconds: Option<u64>,
    /// In [`MAX_ROWS`].
    pub max_rows: Option<u64>,
    /// In [`MAX_RESPONSE_BYTES`].
    pub max_response_bytes: Option<u64>,
    /// In [`MAX_STEPS`].
    pub max_steps: Option<u64>,
    /// In [`TIMEOUT_SECONDS`].
    pub head_timeout_seconds: Option<u64>,
    /// In [`TIMEOUT_SECONDS`].
    pub body_timeout_seconds: Option<u64>,
    /// In [`TIMEOUT_SECONDS`].
    pub idle_timeout_seconds: Option<u64>,
    /// In [`TIMEOUT_SECONDS`].
    pub write_timeout_seconds: Option<u64>,
    /// In [`MAX_CONNECTIONS`].
    pub max_connections: Option<u64>,
    pub hosts: Option<Hosts>,
    pub introspection: Option<bool>,
    pub cors_origins: Option<CorsOrigins>,
    pub cors_credentials: Option<bool>,
    pub log: Option<String>,
    pub log_format: Option<LogFormat>,
}

impl Overrides {
    /// The project's directory, in which `freshql.toml` is looked for.
    pub fn dir(&self) -> &Path {
        self.dir.as_deref().unwrap_or(Path::new("."))
    }
}

impl Config {
    /// Decides for each value who says it. `file` is None where the project has no `freshql.toml`.
    pub fn resolve(overrides: Overrides, file: Option<FileConfig>) -> Self {
        let dir = overrides.dir().to_owned();
        let file = file.unwrap_or_default();
        let defaults = Limits::default();
        let log = ChangeLogLimits::default();
        let mode = overrides.mode.or(file.mode).unwrap_or(Mode::Trusted);
        let seconds = |first: Option<u64>, second: Option<u64>, default| {
            first.or(second).map_or(default, Duration::from_secs)
        };
        // What a file says about paths is relative to the file, so that it holds wherever the
        // program is started.
        let database = overrides
            .database
            .or_else(|| file.database.map(|database| database.relative_to(&dir)))
            .unwrap_or_else(|| Database::Sqlite(dir.join("freshql.db")));
        Self {
            database,
            listen: overrides
                .listen
                .or(file.listen)
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)).into()),
            mode,
            migrate: overrides.migrate.or(file.migrate).unwrap_or(false),
            admin_token: overrides.admin_token,
            readers: overrides.readers.or(file.readers).map_or_else(cores, size),
            cache_size: overrides.cache_size.or(file.cache_size).unwrap_or_default(),
            consistency: overrides.consistency.or(file.consistency).unwrap_or_default(),
            change_log: ChangeLogLimits {
                max_age: overrides
                    .change_log_max_seconds
                    .or(file.change_log_max_seconds)
                    .map_or(log.max_age, Duration::from_secs),
                max_records: overrides
                    .change_log_max_records
                    .or(file.change_log_max_records)
                    .unwrap_or(log.max_records),
            },
            document_retention: overrides
                .document_retention
                .or(file.document_retention)
                .unwrap_or_default(),
            idempotency_retention: overrides
                .idempotency_retention
                .or(file.idempotency_retention)
                .unwrap_or_default(),
            limits: Limits {
                max_body_bytes: overrides
                    .max_body_bytes
                    .or(file.max_body_bytes)
                    .map_or(defaults.max_body_bytes, size),
                max_url_bytes: overrides
                    .max_url_bytes
                    .or(file.max_url_bytes)
                    .map_or(defaults.max_url_bytes, size),
                timeout: seconds(overrides.timeout_seconds, file.timeout_seconds, defaults.timeout),
                head_timeout: seconds(
                    overrides.head_timeout_seconds,
                    file.head_timeout_seconds,
                    defaults.head_timeout,
                ),
                body_timeout: seconds(
                    overrides.body_timeout_seconds,
                    file.body_timeout_seconds,
                    defaults.body_timeout,
                ),
                idle_timeout: seconds(
                    overrides.idle_timeout_seconds,
                    file.idle_timeout_seconds,
                    defaults.idle_timeout,
                ),
                write_timeout: seconds(
                    overrides.write_timeout_seconds,
                    file.write_timeout_seconds,
                    defaults.write_timeout,
                ),
                max_connections: overrides
                    .max_connections
                    .or(file.max_connections)
                    .map_or(defaults.max_connections, size),
                answer: AnswerLimits {
                    max_rows: overrides
                        .max_rows
                        .or(file.max_rows)
                        .unwrap_or(defaults.answer.max_rows),
                    max_response_bytes: overrides
                        .max_response_bytes
                        .or(file.max_response_bytes)
                        .map_or(defaults.answer.max_response_bytes, size),
                    max_steps: overrides
                        .max_steps
                        .or(file.max_steps)
                        .unwrap_or(defaults.answer.max_steps),
                },
            },
            hosts: overrides.hosts.or(file.hosts),
            ids: file.ids.unwrap_or_default(),
            typename: file.typename.unwrap_or(false),
            introspection: overrides
                .introspection
                .or(file.introspection)
                .unwrap_or(mode == Mode::Open),
            cors_origins: overrides.cors_origins.or(file.cors_origins).unwrap_or_default(),
            cors_credentials: overrides.cors_credentials.or(file.cors_credentials).unwrap_or(false),
            log: overrides.log.or(file.log).unwrap_or_else(|| "info".to_owned()),
            log_format: overrides.log_format.or(file.log_format).unwrap_or_default(),
            auth: file
                .auth
                .unwrap_or_default()
                .into_iter()
                .map(|issuer| issuer.relative_to(&dir))
                .collect(),
            dir,
        }
    }
}

/// As many connections as can read at the same time.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Larger than what the machine can address means without limit.
fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Option<FileConfig> {
        Some(FileConfig::parse(FILE_NAME, text).expect("the tests' files are right"))
    }

    #[test]
    fn nothing_said_gives_the_defaults() {
        let config = Config::resolve(Overrides::default(), None);
        assert_eq!(config, Config::resolve(Overrides::default(), file("# nothing\n")));
        assert_eq!(config.dir, Path::new("."));
        assert_eq!(config.database, Database::Sqlite("./freshql.db".into()));
        assert_eq!(config.listen.as_str(), "127.0.0.1:8080");
        assert_eq!(config.mode, Mode::Trusted);
        assert!(!config.migrate);
        assert_eq!(config.admin_token, None);
        assert!(config.readers >= 1);
        assert_eq!(config.cache_size, ByteSize(256 << 20));
        assert_eq!(config.consistency, Consistency::Strict);
        assert_eq!(config.change_log, ChangeLogLimits::default());
        assert_eq!(config.document_retention, Retention(Duration::from_secs(7 * 86_400)));
        assert_eq!(config.idempotency_retention, IdempotencyRetention(Duration::from_secs(86_400)));
        assert_eq!(config.limits, Limits::default());
        assert_eq!(config.hosts, None);
        assert!(!config.introspection);
        assert_eq!(config.cors_origins, CorsOrigins::Listed(vec![]));
        assert!(!config.cors_credentials);
        assert_eq!(config.log, "info");
        assert_eq!(config.log_format, LogFormat::Text);
    }

    #[test]
    fn the_file_goes_before_the_defaults_and_overrides_before_the_file() {
        let text = r#"
            database = "sqlite:data/shop.db"
            listen = "0.0.0.0:80"
            mode = "apq"
            migrate = true
            readers = 3
            cache_size = "1 GiB"
            consistency = "bounded 500ms"
            change_log_max_seconds = 3600
            change_log_max_records = 5000
            document_retention = "12h"
            idempotency_retention = "2h"
            hosts = ["shop.example", "*.shop.example"]
            introspection = true
            cors_origins = ["https://shop.example"]
            cors_credentials = true
            log = "warn"
            log_format = "json"
            [limits]
            max_body_bytes = 2_048
            max_url_bytes = 0x1000
            timeout_seconds = 5
            max_rows = 1000
            max_response_bytes = 1_000_000
            max_steps = 2_000_000
            head_timeout_seconds = 6
            body_timeout_seconds = 7
            idle_timeout_seconds = 8
            write_timeout_seconds = 9
            max_connections = 10
        "#;
        let from_file = Config::resolve(
            Overrides { dir: Some("shop".into()), ..Overrides::default() },
            file(text),
        );
        assert_eq!(from_file.database, Database::Sqlite("shop/data/shop.db".into()));
        assert_eq!(from_file.listen.as_str(), "0.0.0.0:80");
        assert_eq!(from_file.mode, Mode::Apq);
        assert!(from_file.migrate);
        assert_eq!(from_file.readers, 3);
        assert_eq!(from_file.cache_size, ByteSize(1 << 30));
        assert_eq!(from_file.consistency, Consistency::Bounded(Duration::from_millis(500)));
        let an_hour = ChangeLogLimits { max_age: Duration::from_secs(3600), max_records: 5000 };
        assert_eq!(from_file.change_log, an_hour);
        assert_eq!(from_file.document_retention, Retention(Duration::from_secs(43_200)));
        assert_eq!(
            from_file.idempotency_retention,
            IdempotencyRetention(Duration::from_secs(7200))
        );
        let answer =
            AnswerLimits { max_rows: 1000, max_response_bytes: 1_000_000, max_steps: 2_000_000 };
        let limits = Limits {
            max_body_bytes: 2048,
            max_url_bytes: 4096,
            timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(6),
            body_timeout: Duration::from_secs(7),
            idle_timeout: Duration::from_secs(8),
            write_timeout: Duration::from_secs(9),
            max_connections: 10,
            answer,
        };
        assert_eq!(from_file.limits, limits);
        assert_eq!(from_file.hosts, Some("shop.example, *.shop.example".parse().unwrap()));
        assert!(from_file.introspection);
        assert!(from_file.cors_credentials);
        assert_eq!(from_file.log_format, LogFormat::Json);
        assert!(from_file.cors_origins.allow("https://shop.example"));
        assert_eq!(from_file.log, "warn");

        let overrides = Overrides {
            dir: Some("shop".into()),
            database: Some("sqlite:other.db".parse().unwrap()),
            listen: Some("localhost:0".parse().unwrap()),
            mode: Some(Mode::Open),
            migrate: Some(false),
            admin_token: Some("s3cret".parse().unwrap()),
            readers: Some(1),
            cache_size: Some(ByteSize(0)),
            consistency: Some(Consistency::Strict),
            change_log_max_seconds: Some(60),
            change_log_max_records: Some(1000),
            document_retention: Some(Retention(Duration::ZERO)),
            idempotency_retention: Some("3s".parse().unwrap()),
            max_body_bytes: Some(4096),
            max_url_bytes: Some(512),
            timeout_seconds: Some(60),
            max_rows: Some(200),
            max_response_bytes: Some(8192),
            max_steps: Some(3_000_000),
            head_timeout_seconds: Some(61),
            body_timeout_seconds: Some(62),
            idle_timeout_seconds: Some(63),
            write_timeout_seconds: Some(64),
            max_connections: Some(65),
            hosts: Some(Hosts::Any),
            introspection: Some(false),
            cors_origins: Some(CorsOrigins::Any),
            cors_credentials: Some(false),
            log: Some("debug".to_owned()),
            log_format: Some(LogFormat::Text),
        };
        let expected = Config {
            dir: "shop".into(),
            database: Database::Sqlite("other.db".into()),
            listen: "localhost:0".parse().unwrap(),
            mode: Mode::Open,
            migrate: false,
            admin_token: Some("s3cret".parse().unwrap()),
            readers: 1,
            cache_size: ByteSize(0),
            consistency: Consistency::Strict,
            change_log: ChangeLogLimits { max_age: Duration::from_secs(60), max_records: 1000 },
            document_retention: Retention(Duration::ZERO),
            idempotency_retention: IdempotencyRetention(Duration::from_secs(3)),
            limits: Limits {
                max_body_bytes: 4096,
                max_url_bytes: 512,
                timeout: Duration::from_secs(60),
                answer: AnswerLimits {
                    max_rows: 200,
                    max_response_bytes: 8192,
                    max_steps: 3_000_000,
                },
                head_timeout: Duration::from_secs(61),
                body_timeout: Duration::from_secs(62),
                idle_timeout: Duration::from_secs(63),
                write_timeout: Duration::from_secs(64),
                max_connections: 65,
            },
            hosts: Some(Hosts::Any),
            ids: Ids::Local,
            typename: false,
            introspection: false,
            cors_origins: CorsOrigins::Any,
            cors_credentials: false,
            log: "debug".to_owned(),
            log_format: LogFormat::Text,
            auth: Vec::new(),
        };
        assert_eq!(Config::resolve(overrides, file(text)), expected);
    }

    #[test]
    fn the_admin_token_is_never_shown() {
        let overrides =
            Overrides { admin_token: Some("s3cret".parse().unwrap()), ..Overrides::default() };
        assert!(!format!("{overrides:?}").contains("s3cret"));
        let config = Config::resolve(overrides, None);
        assert!(!format!("{config:#?}").contains("s3cret"));
        assert_eq!(config.admin_token.unwrap().expose(), "s3cret");
    }
}
